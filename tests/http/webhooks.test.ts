import { createExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { sign as signAsGithub } from "@octokit/webhooks-methods";
import { Webhook } from "standardwebhooks";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type Delivery, serve, standardWebhooks, UnverifiedError, type WebhookEntry } from "../../src/cloudflare.ts";
import { newStage, type Stage } from "../durable/stage.ts";
import { call, finished, post, type Run } from "../durable/support.ts";
import { custom, SECRETS, triggeredFlows } from "../durable/triggering.ts";
import { problemOf } from "./problem.ts";
import { expectNoSecretIn, Logs, listed, Starts } from "./triggered.ts";

let stage: Stage;
let starts: Starts;
let logs: Logs;
/** All that was answered in a test. */
let answered: string[];
beforeEach(() => {
  stage = newStage();
  starts = new Starts();
  logs = new Logs();
  answered = [];
  custom.verify = () => ({ id: null });
});
afterEach(() => {
  expectNoSecretIn(answered.join("\n") + logs.text);
  vi.restoreAllMocks();
});

const MINUTE_MS = 60_000;
const OTHER = `whsec_${btoa("another's secret, 24 byt")}`;
let count = 0;

/** An id that no delivery had yet. */
function newId(): string {
  return `msg_${++count}`;
}

interface Sent {
  id?: string;
  secret?: string;
  at?: Date;
  type?: string;
}

/** The headers of a delivery as a sender makes them, by the library's own hand. */
function signed(
  body: string,
  { id = newId(), secret = SECRETS.orders, at = new Date(), type = "application/json" }: Sent,
) {
  return {
    "content-type": type,
    "webhook-id": id,
    "webhook-timestamp": String(Math.floor(at.getTime() / 1000)),
    "webhook-signature": new Webhook(secret).sign(id, at, body),
  };
}

async function deliver(hook: string, body: string | Uint8Array, headers: Record<string, string>): Promise<Response> {
  const response = await call(`/webhooks/${hook}`, { method: "POST", body, headers });
  const text = await response.clone().text();
  answered.push(text, JSON.stringify([...response.headers]));
  return response;
}

/** What a sender sends whom the hook knows. */
function send(hook: string, payload: unknown, sent: Sent = {}): Promise<Response> {
  const body = JSON.stringify(payload);
  return deliver(hook, body, signed(body, sent));
}

async function runOf(response: Response): Promise<Run> {
  expect(response.status).toBe(202);
  expect(response.headers.get("content-type")).toBe("application/json");
  const answer = await response.json<{ run: Run }>();
  expect(Object.keys(answer)).toEqual(["run"]);
  return answer.run;
}

/** Nothing is started, and no object was woken to find that out. */
async function refused(response: Response, status: number, detail: unknown = expect.any(String)) {
  const problem = await problemOf(response);
  expect(problem).toMatchObject({ status, detail });
  expect(starts.ids).toEqual([]);
  return problem;
}

describe("a delivery that its sender has signed", () => {
  it("is answered with 202 and its run, which becomes what was sent and says what started it", async () => {
    const { id } = await runOf(await send("orders", { name: "order 7", more: [1, { a: null }] }));
    expect(starts.ids).toEqual([id]);
    const run = await finished(id);
    expect(run).toMatchObject({ flow: "deed", status: "completed", callback: null });
    expect(run.trigger).toEqual({ type: "webhook", name: "orders" });
    expect(run.output).toEqual({ name: "order 7", more: [1, { a: null }], done: true });
    expect(await listed("webhook", "orders", 1)).toMatchObject([{ id, trigger: run.trigger }]);
  });

  it("is answered while the run goes on, and not when it has ended", async () => {
    const run = await runOf(await send("orders", { name: "held", gate: "order" }));
    expect(run.finishedAt).toBeNull();
    await stage.heard("held");
    stage.open("order");
    expect(await finished(run.id)).toMatchObject({ status: "completed" });
  });

  it("and comes fifty times, ten at once, is one run, and each answer names it", async () => {
    const body = JSON.stringify({ name: "fifty times" });
    const headers = signed(body, {});
    const ids: string[] = [];
    for (let round = 0; round < 5; round++) {
      const responses = await Promise.all(Array.from({ length: 10 }, () => deliver("orders.copy", body, headers)));
      for (const response of responses) ids.push((await runOf(response)).id);
    }
    expect(ids).toHaveLength(50);
    expect(starts.ids).toEqual([...new Set(ids)]);
    await finished(starts.id);
    expect(stage.count("fifty times")).toBe(1);
    expect((await listed("webhook", "orders.copy", 1)).map(({ id }) => id)).toEqual([starts.id]);
  });

  it("and comes again once its run has ended is answered with that run", async () => {
    const id = newId();
    const run = await finished((await runOf(await send("orders", { name: "ended" }, { id }))).id);
    expect(await runOf(await send("orders", { name: "ended" }, { id }))).toEqual(run);
    expect(stage.count("ended")).toBe(1);
  });

  it("is known by its id, whatever its body and its time", async () => {
    const id = newId();
    const first = await runOf(await send("orders", { name: "first" }, { id }));
    const again = { id, at: new Date(Date.now() - MINUTE_MS), secret: SECRETS.ordersBefore };
    expect((await runOf(await send("orders", { name: "other" }, again))).id).toBe(first.id);
    expect((await finished(first.id)).output).toMatchObject({ name: "first" });
    expect(stage.count("other")).toBe(0);
  });

  it("with the id of another, or of another hook's, is a run of its own", async () => {
    const id = newId();
    for (const hook of ["orders", "orders.copy"]) await runOf(await send(hook, {}, { id }));
    await runOf(await send("orders", {}, { id: `${id}x` }));
    // Clients have keys as well.
    for (const key of [id, `webhook orders ${id}`]) {
      expect((await post("/flows/deed/runs", {}, { "idempotency-key": key })).status).toBe(202);
    }
    expect(starts.ids).toHaveLength(5);
  });

  it.each(["orders", "ordersBefore"] as const)("by the secret that is, or was until now: %s", async (name) => {
    await runOf(await send("orders", {}, { secret: SECRETS[name] }));
    expect(starts.ids).toHaveLength(1);
  });

  it.each([-4, 4])("%i minutes from now, is taken", async (minutes) => {
    await runOf(await send("orders", {}, { at: new Date(Date.now() + minutes * MINUTE_MS) }));
  });

  it("needs no token of this Worker's", async () => {
    const { POCKETFLARE_OPEN: wasOpen } = env;
    try {
      delete env.POCKETFLARE_OPEN;
      await runOf(await send("orders", {}));
      env.API_TOKEN = "the token";
      await runOf(await send("orders", {}));
      const before = new Starts();
      const forged = { ...signed("{}", { secret: OTHER }), authorization: "Bearer the token" };
      expect((await deliver("orders", "{}", forged)).status).toBe(401);
      expect((await deliver("orders", "{}", { authorization: "Bearer the token" })).status).toBe(401);
      expect(before.ids).toEqual([]);
    } finally {
      delete env.API_TOKEN;
      env.POCKETFLARE_OPEN = wasOpen as string;
    }
  });
});

describe("a delivery that is not its sender's is refused with 401, and nothing is started", () => {
  const body = '{"name":"order 7"}';
  const without = (name: string) => {
    const headers: Record<string, string> = signed(body, {});
    delete headers[name];
    return headers;
  };

  it.each<[string, () => [body: string, headers: Record<string, string>]]>([
    ["one byte is another", () => ['{"name":"order 8"}', signed(body, {})]],
    ["one byte more", () => [`${body} `, signed(body, {})]],
    ["another id", () => [body, { ...signed(body, {}), "webhook-id": newId() }]],
    [
      "another time",
      () => [body, { ...signed(body, {}), "webhook-timestamp": String(Math.floor(Date.now() / 1000) - 9) }],
    ],
    ["six minutes old", () => [body, signed(body, { at: new Date(Date.now() - 6 * MINUTE_MS) })]],
    ["six minutes early", () => [body, signed(body, { at: new Date(Date.now() + 6 * MINUTE_MS) })]],
    ["another's secret", () => [body, signed(body, { secret: OTHER })]],
    ["no signature", () => [body, without("webhook-signature")]],
    ["no id", () => [body, without("webhook-id")]],
    ["no time", () => [body, without("webhook-timestamp")]],
    ["no headers", () => [body, {}]],
    ["a body that is not JSON either", () => ["{", signed(body, {})]],
  ])("%s", async (_, make) => {
    const response = await deliver("orders", ...make());
    expect(response.headers.get("www-authenticate")).toBe("Signature");
    await refused(response, 401);
  });

  it("for a run that it has started already, too", async () => {
    const id = newId();
    const run = await runOf(await send("orders", {}, { id }));
    const response = await send("orders", {}, { id, secret: OTHER });
    expect(response.status).toBe(401);
    expect(await response.text()).not.toContain(run.id);
  });
});

describe("a delivery of GitHub's", () => {
  const body = '{"name":"push"}';
  const headersOf = async (id: string, secret: string = SECRETS.github, of = body) => ({
    "content-type": "application/json",
    "x-github-delivery": id,
    "x-hub-signature-256": await signAsGithub(secret, of),
  });

  it("starts one run, however often it comes", async () => {
    const headers = await headersOf("72d3162e-cc78-11e3-81ab-4c9367dc0958");
    const responses = await Promise.all(Array.from({ length: 5 }, () => deliver("github", body, headers)));
    for (const response of responses) expect((await runOf(response)).id).toBe(starts.id);
    expect((await finished(starts.id)).trigger).toEqual({ type: "webhook", name: "github" });
    await runOf(await deliver("github", body, await headersOf("another")));
    expect(starts.ids).toHaveLength(2);
  });

  it.each<[string, () => Promise<Record<string, string>>]>([
    ["another's secret", () => headersOf("1", "another's")],
    ["another body", () => headersOf("1", SECRETS.github, '{"name":"pull"}')],
    ["the older signature alone", async () => ({ "x-github-delivery": "1", "x-hub-signature": "sha1=00" })],
    ["Standard Webhooks", async () => signed(body, {})],
  ])("that is none is refused: %s", async (_, make) => {
    await refused(await deliver("github", body, await make()), 401);
  });
});

describe("a verifier of the user's own", () => {
  it("is given body and headers as they came, and its id is the delivery's", async () => {
    const bytes = Uint8Array.from(new TextEncoder().encode('{ "name" : "ä" }'));
    custom.verify = async ({ body, headers }) => {
      if (new TextDecoder().decode(body) !== '{ "name" : "ä" }') throw new Error("no such body");
      return { id: headers.get("x-id") };
    };
    for (const id of ["1", "1", "2"]) await runOf(await deliver("custom", bytes, { "x-id": id }));
    expect(starts.ids).toHaveLength(2);
  });

  it("that knows no ids makes each delivery a run", async () => {
    for (let time = 0; time < 3; time++) await runOf(await deliver("custom", "{}", signed("{}", { secret: OTHER })));
    expect(starts.ids).toHaveLength(3);
  });

  it.each<[string, () => unknown]>([
    [
      "throws",
      () => {
        throw new Error("the password is hunter2");
      },
    ],
    ["rejects", () => Promise.reject(new Error("the password is hunter2"))],
    [
      "throws what is no error",
      () => {
        throw "hunter2";
      },
    ],
    ["returns false", () => false],
    ["returns true", () => true],
    ["returns nothing", () => undefined],
    ["returns null", () => null],
    ["returns an empty object", () => ({})],
    ["returns an id that is none", () => ({ id: 7 })],
    ["returns an id that is not there", () => ({ id: undefined })],
    ["returns an id that is empty", () => ({ id: "" })],
    ["promises nothing", async () => undefined],
  ])("that %s lets nobody in, and what it says is not shown", async (_, verify) => {
    custom.verify = verify as typeof custom.verify;
    const response = await deliver("custom", "{}", {});
    await refused(response, 401, "Expected a delivery of the sender's");
    expect(answered.join()).not.toContain("hunter2");
  });

  it("may say why, to whoever sent it", async () => {
    custom.verify = () => {
      throw new UnverifiedError("Expected a delivery of this year's");
    };
    await refused(await deliver("custom", "{}", {}), 401, "Expected a delivery of this year's");
  });
});

describe("a hook that cannot take deliveries", () => {
  it.each(["no-secret", "no-secret-of-github"])("for it has no secret says so with 503: %s", async (hook) => {
    await refused(await send(hook, {}), 503, expect.stringContaining("This hook has no secret yet"));
    await refused(await deliver(hook, "{}", {}), 503);
  });

  it.each(["nobody", "__proto__", "constructor", "orders%2Fx", "ORDERS"])(
    "for there is none is 404: %s",
    async (hook) => {
      const problem = await refused(await send(hook, {}), 404);
      expect(problem.detail).toMatch(/^There is no /);
    },
  );

  it("for another method is 404", async () => {
    await refused(await call("/webhooks/orders"), 404);
  });
});

describe("a signed body that starts nothing", () => {
  it.each(["with", "without"])("is larger than 10 MiB, %s its length told: 413", async (told) => {
    const body = `{"name":"${"x".repeat(10 * 1024 * 1024)}"}`;
    const stream = new Response(body).body as ReadableStream;
    const response = await call("/webhooks/orders", {
      method: "POST",
      headers: signed(told === "with" ? body : "{}", {}),
      body: told === "with" ? body : stream,
    });
    await refused(response, 413, expect.stringContaining("10485760 bytes"));
  });

  it.each(["{", "", "order=7"])("is not JSON: 400, `%s`", async (body) => {
    await refused(
      await deliver("orders", body, signed(body, {})),
      400,
      expect.stringContaining("Expected a JSON body"),
    );
  });

  it.each([
    ["[1]", "an array"],
    ["7", "7"],
    ["null", "null"],
  ])("is no object: 422, %s", async (body, got) => {
    const problem = await refused(await deliver("orders", body, signed(body, {})), 422);
    expect(problem.errors).toEqual([{ pointer: "", detail: `Expected a JSON object, got ${got}` }]);
  });

  it.each(["orders", "calling"])("is text where the hook makes no input of it: 422, %s", async (hook) => {
    await refused(await deliver(hook, "order 7", signed("order 7", { type: "text/plain" })), 422);
  });

  it.each(["null", "5", "[]", "[null]", '"text"'])(
    "is no object, where the hook looks into it for a callback: 422, %s",
    async (body) => {
      await refused(await deliver("calling", body, signed(body, {})), 422);
    },
  );

  it("would change what its object inherits from: 422", async () => {
    const body = '{"__proto__":{"a":1}}';
    await refused(await deliver("orders", body, signed(body, {})), 422);
  });

  it("is not what the flow takes: 422, and its id is still free", async () => {
    const id = newId();
    // The id's object is asked for a run that has begun with what was valid then: nothing is stored by that.
    const problem = await problemOf(await send("strict", { name: "ab" }, { id }));
    expect(problem).toMatchObject({ status: 422, errors: [{ pointer: "/name", detail: expect.any(String) }] });
    expect(await starts.runs()).toEqual([]);
    const run = await runOf(await send("strict", { name: "abc" }, { id }));
    expect((await finished(run.id)).output).toEqual({ name: "abc", done: true });
  });
});

describe("a hook with `input`", () => {
  it("makes the run's input of payload, id, body and headers", async () => {
    const id = newId();
    const body = '{"order":"ä"}';
    const run = await runOf(await deliver("mapped", body, { ...signed(body, { id }), "x-kind": "new" }));
    const { output } = await finished(run.id);
    expect(output).toEqual({ id, payload: { order: "ä" }, bytes: 14, kind: "new", done: true });
  });

  it.each([
    ["text/plain", '{"order":7}', '{"order":7}'],
    ["application/x-www-form-urlencoded", "order=7", "order=7"],
    ["application/cloudevents+json; charset=utf-8", '{"order":7}', { order: 7 }],
    ["Application/JSON", "[7]", [7]],
  ])("is given a payload of type %s", async (type, body, payload) => {
    const run = await runOf(await deliver("mapped", body, signed(body, { type })));
    expect((await finished(run.id)).output).toMatchObject({ payload });
  });
});

describe("a hook that fails, and not for what it was sent", () => {
  const fail = () => {
    throw new Error("no such table: secret");
  };
  const verify = (delivery: Delivery) => custom.verify(delivery);
  it.each<[string, Partial<WebhookEntry>]>([
    ["input", { input: fail }],
    ["input, later", { input: async () => fail() }],
    ["callback", { callback: fail }],
  ])("is 500: what it says is logged and not answered, %s", async (_, more) => {
    const served = serve({ flows: triggeredFlows, webhooks: { failing: { verify, flow: "deed", ...more } } });
    for (const id of [null, newId()]) {
      custom.verify = () => ({ id });
      const headers = { "content-type": "application/json" };
      const request = new Request("http://flows.test/webhooks/failing", { method: "POST", headers, body: "{}" });
      const response = await served.fetch(request, env, createExecutionContext());
      const text = await response.clone().text();
      await refused(response, 500);
      expect(text).not.toMatch(/table|secret/);
    }
    expect(logs.text.match(/no such table: secret/g)?.length).toBeGreaterThanOrEqual(2);
  });
});

describe("a Worker whose webhooks cannot be meant does not start", () => {
  const verify = standardWebhooks({ secret: SECRETS.orders });
  it.each<[string, { [name: string]: unknown }, RegExp]>([
    ["an unknown flow", { a: { verify, flow: "nothing" } }, /to start a flow that serve knows, got `nothing`/],
    ["nothing to verify with", { a: { flow: "deed" } }, /without it anybody could start runs/],
    ["a misspelt option", { a: { verify, flow: "deed", inputs: () => ({}) } }, /got `inputs`/],
    ["a name that is no path", { "a/b": { verify, flow: "deed" } }, /a webhook's name to be up to 64 letters/],
  ])("%s", (_, webhooks, message) => {
    const entries = webhooks as { [name: string]: WebhookEntry };
    expect(() => serve({ flows: triggeredFlows, webhooks: entries })).toThrow(message);
  });
});
