import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { onTestFinished } from "vitest";

/** One address for a server that has another one after each start. While the server is down, connections break off. */
export async function openFront(serverUrl: () => string): Promise<string> {
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const { hostname, port } = new URL(serverUrl());
    const inner = connect(Number(port), hostname);
    const close = () => {
      client.destroy();
      inner.destroy();
    };
    for (const socket of [client, inner]) {
      sockets.add(socket);
      socket.on("error", close).on("close", close);
    }
    client.pipe(inner).pipe(client);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
