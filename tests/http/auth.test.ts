import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { newRunId } from "../../src/http/ids.ts";
import { call, post } from "../durable/support.ts";
import { problemOf } from "./problem.ts";

const { POCKETFLARE_OPEN: wasOpen } = env;
const TOKEN = "s3cret-token";

/** What the Worker is configured with, read at each request. */
function configure({ token, open }: { token?: string; open?: string }): void {
  delete env.API_TOKEN;
  delete env.POCKETFLARE_OPEN;
  if (token !== undefined) env.API_TOKEN = token;
  if (open !== undefined) env.POCKETFLARE_OPEN = open;
}

beforeEach(() => configure({ token: TOKEN }));
afterEach(() => configure({ open: wasOpen as string }));

const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });
const GUARDED: [method: string, path: string][] = [
  ["GET", "/flows"],
  ["POST", "/flows/work/runs"],
  ["GET", `/runs/${newRunId()}`],
  ["GET", `/runs/${newRunId()}/items`],
  ["GET", `/runs/${newRunId()}/results`],
  ["POST", `/runs/${newRunId()}/cancel`],
  ["GET", "/nowhere"],
];

describe("a Worker with an API token", () => {
  it.each(GUARDED)("asks for it: %s %s", async (method, path) => {
    const response = await call(path, { method });
    expect(response.headers.get("www-authenticate")).toMatch(/^Bearer\b/);
    expect(await problemOf(response)).toMatchObject({ status: 401, title: "Not authorized" });
  });

  it("lets in who knows it", async () => {
    expect((await call("/flows", bearer(TOKEN))).status).toBe(200);
    const response = await post("/flows/work/runs", { tasks: [] }, bearer(TOKEN).headers);
    expect(response.status).toBe(202);
  });

  it.each([
    ["another token", "Bearer another"],
    ["half of it", `Bearer ${TOKEN.slice(0, -1)}`],
    ["more than it", `Bearer ${TOKEN}x`],
    ["none", "Bearer "],
    ["no scheme", TOKEN],
    ["another scheme", `Basic ${btoa("x:s3cret")}`],
    ["undefined", "Bearer undefined"],
  ])("keeps out who brings %s", async (_, authorization) => {
    const response = await call("/flows", { headers: { authorization } });
    expect(response.status).toBe(401);
    expect(response.headers.get("www-authenticate")).toMatch(/^Bearer\b/);
  });

  it("asks for it though it is open: the token wins", async () => {
    configure({ token: TOKEN, open: "true" });
    expect((await call("/flows")).status).toBe(401);
    expect((await call("/flows", bearer(TOKEN))).status).toBe(200);
  });

  it("says to everybody that it is there", async () => {
    expect((await call("/health")).status).toBe(200);
  });
});

describe("a Worker without an API token", () => {
  it.each([undefined, "", "false", "1", "yes"])(
    "serves nothing unless it was opened by name: POCKETFLARE_OPEN=%s",
    async (open) => {
      configure(open === undefined ? {} : { open });
      for (const [method, path] of GUARDED) {
        const problem = await problemOf(await call(path, { method }));
        expect(problem).toMatchObject({
          status: 503,
          detail: expect.stringContaining("wrangler secret put API_TOKEN"),
        });
      }
      expect((await call("/flows", bearer(""))).status).toBe(503);
      expect((await call("/health")).status).toBe(200);
    },
  );

  it("serves nothing for an empty one either", async () => {
    configure({ token: "" });
    expect((await call("/flows", bearer(""))).status).toBe(503);
  });

  it("serves everybody when it was opened", async () => {
    configure({ open: "true" });
    expect((await call("/flows")).status).toBe(200);
  });
});
