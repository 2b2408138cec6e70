import { expect, test } from "vitest";
import { cli } from "./cli.ts";
import { openStub } from "./stub.ts";

// What `start` says of a run, whose server is a stub.

const ITEMS = { total: 1, pending: 0, running: 0, deferred: 0, succeeded: 1, failed: 0, canceled: 0 };
const RUN = {
  id: "01X",
  status: "completed",
  items: ITEMS,
  startedAt: "2026-01-01T00:00:00Z",
  finishedAt: "2026-01-01T00:00:02Z",
  step: null,
  error: null,
  waitsFor: [],
};

function openOne(): Promise<string> {
  return openStub((request, response) => {
    if (request.method === "POST") return void response.writeHead(202).end(JSON.stringify(RUN));
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write(`event: snapshot\nid: 0\ndata: ${JSON.stringify(RUN)}\n\n`);
    response.end(`event: done\ndata: ${JSON.stringify({ status: "completed", run: RUN })}\n\n`);
  });
}

test("the command that it says next names the server, where the environment does not", async () => {
  const url = await openOne();
  const next = "Started. Watch it: npx pocketflare status 01X --watch";
  expect((await cli(["start", "few", "--url", `${url}/`])).stderr).toBe(`${next} --url ${url}\n`);
  expect((await cli(["start", "few"], { url })).stderr).toBe(`${next}\n`);
});

test("one may wait for longer than a timer can be set for", async () => {
  const said = await cli(["start", "few", "--wait", "99999999999"], { url: await openOne() });
  expect(said).toEqual({
    code: 0,
    stdout: "01X completed in 2.0 s: 1 of 1 item succeeded\n",
    stderr: "Started 01X\n1/1  completed\n",
  });
});
