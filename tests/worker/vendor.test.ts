import { afterEach, beforeEach, expect, test } from "vitest";
import { startVendor, type Vendor } from "../../demo/vendor.ts";

let vendor: Vendor;
beforeEach(async () => {
  vendor = await startVendor({ latencyMs: 50 });
});
afterEach(() => vendor.close());

function ask(idempotencyKey: string, signal?: AbortSignal): Promise<Response> {
  return fetch(`${vendor.baseUrl}/chat/completions`, {
    method: "POST",
    headers: { "idempotency-key": idempotencyKey },
    body: JSON.stringify({ model: "tiny", messages: [{ role: "user", content: "Summarize: Rain fell." }] }),
    signal: signal ?? null,
  });
}

test("answers as OpenAI does, after its latency", async () => {
  const fromMs = performance.now();
  const response = await ask("a");
  expect(await response.json()).toMatchObject({
    object: "chat.completion",
    model: "tiny",
    choices: [{ message: { role: "assistant", content: "Rain fell." } }],
  });
  expect(performance.now() - fromMs).toBeGreaterThanOrEqual(45);
});

test("counts calls, repeats, and how many were in flight at once", async () => {
  await Promise.all(["a", "b", "c"].map((key) => ask(key)));
  await ask("b");
  const stats = await fetch(new URL("/stats", vendor.baseUrl));
  expect(await stats.json()).toEqual({ calls: 4, repeats: 1, inFlight: 0, peak: 3, lost: 0 });
});

test("a call whose caller hung up is in flight no more, but lost", async () => {
  const controller = new AbortController();
  const call = ask("a", controller.signal).catch(() => "gone");
  await expect.poll(() => vendor.stats().inFlight, { interval: 5 }).toBe(1);
  controller.abort();
  expect(await call).toBe("gone");
  await expect.poll(() => vendor.stats()).toMatchObject({ inFlight: 0, lost: 1 });
  await ask("b");
  expect(vendor.stats()).toMatchObject({ inFlight: 0, lost: 1 });
});

test("gives the scripted answers in turn, then ordinary ones", async () => {
  const body = JSON.stringify([
    { status: 429, headers: { "retry-after": "3" }, body: "slow down" },
    null,
    { status: 500 },
  ]);
  await fetch(new URL("/script", vendor.baseUrl), { method: "POST", body });
  const first = await ask("a");
  expect([first.status, first.headers.get("retry-after"), await first.text()]).toEqual([429, "3", "slow down"]);
  const statuses = [];
  for (const key of ["b", "c", "d"]) statuses.push((await ask(key)).status);
  expect(statuses).toEqual([200, 500, 200]);
});

test("says what it does not know, or cannot read", async () => {
  expect((await fetch(new URL("/v1/models", vendor.baseUrl))).status).toBe(404);
  const unreadable = await fetch(`${vendor.baseUrl}/chat/completions`, { method: "POST", body: "{" });
  expect(unreadable.status).toBe(400);
  expect(await unreadable.text()).toContain("SyntaxError");
});
