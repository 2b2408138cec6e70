import { parseArgs } from "node:util";
import { freePort, startServer } from "./server.ts";

const OPTIONS = {
  ip: { type: "string", default: "127.0.0.1" },
  port: { type: "string", default: "8787" },
} as const;

/** What opens a local server, and lets webhooks and callbacks be tried: the secret is known to everybody. */
const SECRET = "pocketflare-local-secret";
const LOCAL = {
  POCKETFLARE_OPEN: "true",
  WEBHOOK_SECRET: `whsec_${btoa(SECRET)}`,
  CALLBACK_SECRET: `whsec_${btoa(SECRET)}`,
  CALLBACK_PRIVATE: "true",
};

interface Args {
  ip: string;
  port: number;
  /** All the others: wrangler's. */
  rest: string[];
}

async function main({ ip, port, rest }: Args): Promise<void> {
  await freePort(port, ip).catch((cause: Error) => {
    throw new Error(`${cause.message}. Another port: npm run dev -- --port ${port + 1}`, { cause });
  });
  const server = await startServer({
    host: ip,
    port,
    vars: LOCAL,
    args: ["--env", "local", ...rest],
    loud: true,
  });
  server.child.once("exit", (code) => process.exit(code ?? 1));
  console.log(hello(`http://${ip === "127.0.0.1" ? "localhost" : ip}:${port}`));
}

function readArgs(args: string[]): Args {
  // Not strict: what is not known here is for wrangler to judge.
  const { values, tokens } = parseArgs({ args, options: OPTIONS, strict: false, allowPositionals: true, tokens: true });
  const taken = new Set<number>();
  for (const token of tokens) {
    if (token.kind !== "option" || !(token.name in OPTIONS)) continue;
    taken.add(token.index);
    if (!token.inlineValue) taken.add(token.index + 1);
  }
  return { ip: String(values.ip), port: Number(values.port), rest: args.filter((_, index) => !taken.has(index)) };
}

function hello(url: string): string {
  const texts = [
    "The sun rose over the hills and the valley woke. Farmers went out into their fields early. By noon all hay was in.",
    "Rain is forecast for the weekend. The farmers hurry to bring the harvest in before the rain begins. Nobody rests.",
  ];
  return `
Open  ${url}/                        the page
      ${url}/openapi.json            the API
      ${url}/cdn-cgi/explorer/       what the runs store
Try   curl '${url}/flows/summarize/runs?wait=20' -H 'content-type: application/json' \\
        -d '${JSON.stringify({ texts })}'
      curl -X POST ${url}/crons/digest/run

Open to everybody who can reach it, without a token. State in .wrangler/state; Ctrl-C ends it, and unfinished runs go on at the next start.
The README has a command for each flow.
`;
}

try {
  await main(readArgs(process.argv.slice(2)));
} catch (error) {
  console.error(`Could not start: ${(error as Error).message}`);
  process.exit(1);
}
