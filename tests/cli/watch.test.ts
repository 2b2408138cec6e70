import type { ServerResponse } from "node:http";
import { expect, test } from "vitest";
import { cli } from "./cli.ts";
import { openStub } from "./stub.ts";

// What of a stream of events is said. A stub sends those that a real server would tell together, and breaks off where it is told to.

const TIMES = {
  createdAt: "2026-01-01T00:00:00Z",
  startedAt: "2026-01-01T00:00:00Z",
  finishedAt: null,
  resumesAt: null,
};
const LEFT = { pending: 0, running: 0, deferred: 0, failed: 0, canceled: 0 };

function runOf(status: string, succeeded: number, total: number) {
  const items = { ...LEFT, total, succeeded };
  return { id: "01X", flow: "many", status, ...TIMES, step: null, items, error: null, waitsFor: [], output: null };
}

function send(response: ServerResponse, event: string, id: number, data: object): void {
  response.write(`event: ${event}\nid: ${id}\ndata: ${JSON.stringify(data)}\n\n`);
}

function finish(response: ServerResponse, total: number): void {
  const run = { ...runOf("completed", total, total), finishedAt: "2026-01-01T00:00:02Z" };
  send(response, "done", 9, { status: "completed", run });
  response.end();
}

test("off a terminal a hundredth of the items is a line, and what changes nothing is none", async () => {
  const total = 1_000;
  const url = await openStub((_, response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    send(response, "snapshot", 0, runOf("running", 0, total));
    for (let succeeded = 1; succeeded <= total; succeeded++) {
      send(response, "progress", 0, { items: { ...LEFT, total, succeeded } });
      send(response, "progress", 0, { executions: succeeded });
      send(response, "emit", succeeded, { node: "N", data: "word" });
    }
    finish(response, total);
  });
  const { code, stdout, stderr } = await cli(["status", "01X", "--watch"], { url });
  expect({ code, stdout }).toEqual({ code: 0, stdout: "01X completed in 2.0 s: 1,000 of 1,000 items succeeded\n" });
  const lines = stderr.trimEnd().split("\n");
  expect(lines).toHaveLength(101);
  expect(lines[0]).toBe("0/1,000  running");
  expect(lines.at(-1)).toBe("1,000/1,000  running");
});

test("after each break it comes again with the number of the event that it had last, and starts nothing anew", async () => {
  const asked: unknown[] = [];
  const url = await openStub((request, response) => {
    asked.push([request.method, request.url, request.headers["last-event-id"]]);
    if (asked.length === 3) return void response.writeHead(503).end();
    response.writeHead(200, { "content-type": "text/event-stream" });
    send(response, "snapshot", 0, runOf("running", asked.length, 4));
    if (asked.length === 4) return finish(response, 4);
    send(response, "emit", 10 * asked.length, { node: "N", data: "word" });
    // Half an event is none.
    response.write("event: done\ndata: {", () => response.destroy());
  });
  const { code, stderr } = await cli(["status", "01X", "--watch"], { url });
  expect(code).toBe(0);
  expect(asked).toEqual([undefined, "10", "20", "20"].map((id) => ["GET", "/runs/01X/events", id]));
  expect(stderr.match(/The connection is lost/g)).toHaveLength(2);
  expect(stderr.match(/Connected again/g)).toHaveLength(2);
});

test("what the server refuses meanwhile ends the watching", async () => {
  let asked = 0;
  const url = await openStub((_, response) => {
    const isFirst = asked++ === 0;
    response.writeHead(isFirst ? 200 : 404, { "content-type": "text/event-stream" });
    if (!isFirst) return void response.end('{"detail":"There is no run 01X"}');
    send(response, "snapshot", 0, runOf("running", 0, 4));
    response.end();
  });
  const { code, stdout, stderr } = await cli(["status", "01X", "--watch"], { url });
  expect({ code, stdout, asked }).toEqual({ code: 1, stdout: "", asked: 2 });
  expect(stderr).toContain("Error: There is no run 01X");
});

test("a run that is deleted while it is watched is exit code 1", async () => {
  const url = await openStub((_, response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    send(response, "snapshot", 0, runOf("running", 0, 4));
    send(response, "done", 0, { status: "deleted", run: null });
    response.end();
  });
  const { code, stdout, stderr } = await cli(["status", "01X", "--watch", "--json"], { url });
  expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
  expect(stderr).toContain("The run 01X was deleted");
});
