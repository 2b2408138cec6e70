import { test } from "@fast-check/vitest";
import { sign as signAsGithub } from "@octokit/webhooks-methods";
import fc from "fast-check";
import { Webhook } from "standardwebhooks";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Secrets } from "../../src/triggers/secrets.ts";
import {
  github,
  NoSecretError,
  standardWebhooks,
  UnverifiedError,
  type Verified,
  type Verify,
} from "../../src/triggers/verify.ts";

const RUNS = { numRuns: 300 };
const NOW = new Date("2026-11-20T12:00:00Z");
const OLD = `whsec_${btoa("an old secret of 24 byte")}`;
const NEW = `whsec_${btoa("a new secret of 24 bytes")}`;
const OTHER = `whsec_${btoa("another's secret, 24 byt")}`;
const bytesOf = (text: string) => new TextEncoder().encode(text);

interface Sent {
  body: Uint8Array;
  headers: Record<string, string>;
}

/** A delivery as a sender makes it, by the library's own hand. */
function sent({ secrets = [NEW], id = "msg_1", at = NOW, body = '{"order":7}' } = {}): Sent {
  const signature = secrets.map((secret) => new Webhook(secret).sign(id, at, body)).join(" ");
  const timestamp = String(Math.floor(at.getTime() / 1000));
  return {
    body: bytesOf(body),
    headers: { "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": signature },
  };
}

async function verified(verify: Verify, { body, headers }: Sent): Promise<Verified> {
  return verify({ body, headers: new Headers(headers) });
}

/** The error that a delivery is refused with. */
async function refused(verify: Verify, delivery: Sent): Promise<UnverifiedError> {
  const error = await verified(verify, delivery).catch((error) => error);
  expect(error).toBeInstanceOf(UnverifiedError);
  expect(error).toMatchObject({ name: "UnverifiedError", status: 401, message: expect.stringMatching(/^Expected /) });
  return error;
}

const shifted = (ms: number) => new Date(NOW.getTime() + ms);
const withHeaders = (delivery: Sent, headers: Record<string, string>) => ({
  ...delivery,
  headers: { ...delivery.headers, ...headers },
});
const without = ({ body, headers }: Sent, name: string): Sent => ({
  body,
  headers: Object.fromEntries(Object.entries(headers).filter(([key]) => key !== name)),
});

/** What a header may hold. Around it there is no white space: that is not part of it. */
const headerText = fc.string({ unit: fc.integer({ min: 32, max: 255 }).map((code) => String.fromCharCode(code)) });
const signatureLike = fc.oneof(
  headerText,
  fc.constantFrom("v1", "v1,", ",", " ", "v1 v1", "v1,a,b", "v1a,x", "v1,\u00ff", "v1,,", "sha256=", "sha256", "="),
  fc.base64String().map((text) => `v1,${text}`),
  fc.stringMatching(/^sha256=[0-9a-fA-F]{60,68}$/),
);
const timeLike = fc.oneof(
  headerText,
  fc.constantFrom("0", "-1", "1e9", "0x6", "NaN", "Infinity", "9".repeat(400), " ", String(NOW.getTime() / 1000)),
);

beforeEach(() => {
  vi.useFakeTimers({ now: NOW, toFake: ["Date"] });
});
afterEach(() => {
  vi.useRealTimers();
});

describe("a delivery by Standard Webhooks", () => {
  const verify = standardWebhooks({ secret: NEW });

  it("is verified, and its id told", async () => {
    expect(await verified(verify, sent())).toEqual({ id: "msg_1" });
  });

  it("is verified as the spec's own example writes it", async () => {
    // https://github.com/standard-webhooks/standard-webhooks/blob/main/libraries/javascript/src/index.test.ts
    vi.setSystemTime(1614265330_000);
    const verify = standardWebhooks({ secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" });
    const headers = {
      "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
      "webhook-timestamp": "1614265330",
      "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    };
    expect(await verified(verify, { body: bytesOf('{"test": 2432232314}'), headers })).toEqual({
      id: "msg_p5jXN8AQM9LWM0D4loKWxJek",
    });
  });

  test.prop([fc.string({ unit: "binary" }), fc.stringMatching(/^[\w-]{1,255}$/)], RUNS)(
    "is verified whatever is in it",
    async (body, id) => {
      expect(await verified(verify, sent({ body, id }))).toEqual({ id });
    },
  );

  it.each(["", "\ufeff{}", "not json", "\u0000", "über"])("may have the body %o", async (body) => {
    expect(await verified(verify, sent({ body }))).toEqual({ id: "msg_1" });
  });

  test.prop([fc.string({ minLength: 1 }), fc.nat(), fc.integer({ min: 1, max: 255 })], RUNS)(
    "is refused with one byte of its body changed",
    async (text, at, change) => {
      const delivery = sent({ body: text });
      const body = delivery.body.slice();
      body[at % body.length] = (body[at % body.length] as number) ^ change;
      await refused(verify, { ...delivery, body });
    },
  );

  it("is refused with a byte order mark before its body, or without its own", async () => {
    await refused(verify, { ...sent({ body: "{}" }), body: bytesOf("\ufeff{}") });
    await refused(verify, { ...sent({ body: "\ufeff{}" }), body: bytesOf("{}") });
  });

  it("is refused with an id, a time or a signature that is not its own", async () => {
    const delivery = sent();
    for (const headers of [
      { "webhook-id": "msg_2" },
      { "webhook-id": "msg_1x" },
      { "webhook-timestamp": String(NOW.getTime() / 1000 + 1) },
      { "webhook-signature": sent({ body: "{}" }).headers["webhook-signature"] as string },
    ]) {
      expect((await refused(verify, withHeaders(delivery, headers))).message).toBe(
        "Expected a signature by this hook's secret in `webhook-signature`, made for this body within five minutes of now, got " +
          "none: No matching signature found",
      );
    }
  });

  it.each(["x", ".0", " x", "e0", ",1"])(
    "is refused with `%s` behind its time, of which the library reads only the digits",
    async (rest) => {
      const delivery = sent();
      const timestamp = `${delivery.headers["webhook-timestamp"]}${rest}`;
      expect((await refused(verify, withHeaders(delivery, { "webhook-timestamp": timestamp }))).message).toBe(
        "Expected `webhook-timestamp` to be a whole number of seconds since 1970",
      );
    },
  );

  it.each(["0", "+"])("is refused with `%s` before its time", async (before) => {
    const delivery = sent();
    const timestamp = `${before}${delivery.headers["webhook-timestamp"]}`;
    await refused(verify, withHeaders(delivery, { "webhook-timestamp": timestamp }));
  });

  it.each([
    ["six minutes old", -360, "Message timestamp too old"],
    ["a second too old", -301, "Message timestamp too old"],
    ["six minutes ahead", 360, "Message timestamp too new"],
    ["a second too far ahead", 301, "Message timestamp too new"],
  ])("is refused when it is %s", async (_, seconds, reason) => {
    expect((await refused(verify, sent({ at: shifted(seconds * 1000) }))).message).toMatch(new RegExp(`: ${reason}$`));
  });

  it.each([-300, 300, -1, 1])("is verified when it is %d seconds from now", async (seconds) => {
    expect(await verified(verify, sent({ at: shifted(seconds * 1000) }))).toEqual({ id: "msg_1" });
  });

  it("is refused with another's secret", async () => {
    await refused(verify, sent({ secrets: [OTHER] }));
  });

  it.each(["webhook-id", "webhook-timestamp", "webhook-signature"])(
    "is refused without `%s`, and with an empty one",
    async (name) => {
      const message = `Expected the header \`${name}\`, without which nothing can be verified`;
      expect((await refused(verify, without(sent(), name))).message).toBe(message);
      expect((await refused(verify, withHeaders(sent(), { [name]: "" }))).message).toBe(message);
      await refused(verify, { ...sent(), headers: {} });
    },
  );

  test.prop([headerText, timeLike, signatureLike], RUNS)(
    "is refused with random headers",
    async (id, timestamp, signature) => {
      const headers = { "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": signature };
      await refused(verify, { ...sent(), headers });
    },
  );

  test.prop([signatureLike], RUNS)("is refused with a random signature and else its own headers", async (signature) => {
    await refused(verify, withHeaders(sent(), { "webhook-signature": signature }));
  });

  test.prop([fc.uint8Array({ minLength: 1 })], RUNS)(
    "is refused when its body is not the text that was signed",
    async (body) => {
      fc.pre(
        new TextDecoder().decode(body) !== new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytesOf('{"order":7}')),
      );
      await refused(verify, { ...sent(), body });
    },
  );

  it.each([[[0xff]], [[0xc3]], [[0xed, 0xa0, 0x80]], [[0xc0, 0x80]], [[0xef, 0xbf]]])(
    "is refused with the bytes %j, though what a lenient reader makes of them was signed",
    async (bytes) => {
      const body = Uint8Array.from(bytes);
      const delivery = { ...sent({ body: new TextDecoder().decode(body) }), body };
      expect((await refused(verify, delivery)).message).toBe("Expected a body in UTF-8, got other bytes");
    },
  );

  it("may have an id of 255 characters", async () => {
    const id = "x".repeat(255);
    expect(await verified(verify, sent({ id }))).toEqual({ id });
    expect((await refused(verify, sent({ id: `${id}x` }))).message).toBe(
      "Expected `webhook-id` to have at most 255 characters, got 256",
    );
  });

  it.each(["msg.a", "msg.1a", "a.b.c", ".x", "1", "msg1"])("may have the id %s", async (id) => {
    expect(await verified(verify, sent({ id }))).toEqual({ id });
  });

  it.each(["msg.1", "msg.1700000000", "msg.1.x", ".1", "a.b.0"])(
    "is refused with the id %s, which is ambiguous",
    async (id) => {
      expect((await refused(verify, sent({ id }))).message).toBe(
        "Expected `webhook-id` to have no digits alone behind a dot: it could be read as another id",
      );
    },
  );

  const now = NOW.getTime() / 1000;
  const segment = fc.constantFrom("a", "1", String(now), String(now - 5), "", "{}");
  const dotted = fc.array(segment, { minLength: 1, maxLength: 4 }).map((segments) => segments.join("."));
  const ids = dotted.filter((id) => id !== "");

  test.prop([ids, dotted, fc.constantFrom(now, now - 5)], RUNS)(
    "has one id, wherever its text is cut",
    async (id, body, at) => {
      const { headers } = sent({ id, body, at: new Date(at * 1000) });
      const segments = `${id}.${at}.${body}`.split(".");
      const cuts = segments.slice(1, -1).map((timestamp, index) => ({
        body: bytesOf(segments.slice(index + 2).join(".")),
        headers: { ...headers, "webhook-id": segments.slice(0, index + 1).join("."), "webhook-timestamp": timestamp },
      }));
      const results = await Promise.all(cuts.map((cut) => verified(verify, cut).catch(() => null)));
      expect(results.filter((result) => result !== null).length).toBeLessThanOrEqual(1);
    },
  );

  it("may have several signatures, of which one is ours", async () => {
    const ours = sent().headers["webhook-signature"];
    const theirs = sent({ secrets: [OTHER] }).headers["webhook-signature"];
    for (const signature of [`${theirs} ${ours}`, `${ours} ${theirs}`, `v1a,x v1 v2,y  ${ours}`, `v1 ${ours} ,`]) {
      expect(await verified(verify, withHeaders(sent(), { "webhook-signature": signature }))).toEqual({ id: "msg_1" });
    }
    await refused(verify, withHeaders(sent(), { "webhook-signature": `${theirs} v1 v2,y` }));
    await refused(verify, withHeaders(sent(), { "webhook-signature": `${ours}`.replace("v1,", "v2,") }));
  });

  it("is verified by either of two secrets, and by none once it is gone", async () => {
    const both = standardWebhooks({ secret: [NEW, undefined, OLD, ""] });
    expect(await verified(both, sent({ secrets: [OLD] }))).toEqual({ id: "msg_1" });
    expect(await verified(both, sent({ secrets: [NEW] }))).toEqual({ id: "msg_1" });
    expect(await verified(both, sent({ secrets: [OTHER, OLD] }))).toEqual({ id: "msg_1" });
    await refused(both, sent({ secrets: [OTHER] }));
    await refused(standardWebhooks({ secret: [NEW, undefined] }), sent({ secrets: [OLD] }));
  });

  it("is tried with every secret, whichever matches", async () => {
    const verifying = vi.spyOn(Webhook.prototype, "verify");
    const both = standardWebhooks({ secret: [NEW, OLD] });
    for (const secret of [NEW, OLD]) {
      verifying.mockClear();
      await verified(both, sent({ secrets: [secret] }));
      expect(verifying).toHaveBeenCalledTimes(2);
    }
    verifying.mockRestore();
  });

  it("is refused with an error of our own, whatever the library throws", async () => {
    const verifying = vi.spyOn(Webhook.prototype, "verify").mockImplementation(() => {
      throw new RangeError(NEW);
    });
    expect((await refused(verify, sent())).message).toMatch(/got none: Malformed headers$/);
    verifying.mockRestore();
  });
});

describe("the secret of Standard Webhooks", () => {
  const sixteen = btoa("sixteen bytes, ok");

  it.each([NEW, NEW.slice("whsec_".length), `whsec_${sixteen}`, `whsec_${btoa("x".repeat(64))}`])(
    "may be %s",
    async (secret) => {
      expect(await verified(standardWebhooks({ secret }), sent({ secrets: [secret] }))).toEqual({ id: "msg_1" });
    },
  );

  test.prop([fc.uint8Array({ minLength: 16, maxLength: 64 }), fc.boolean()], RUNS)(
    "is what the sender has, with or without padding",
    async (bytes, isPadded) => {
      const padded = Buffer.from(bytes).toString("base64");
      const secret = `whsec_${isPadded ? padded : padded.replace(/=+$/, "")}`;
      expect(await verified(standardWebhooks({ secret }), sent({ secrets: [`whsec_${padded}`] }))).toEqual({
        id: "msg_1",
      });
    },
  );

  it.each([
    `whsec_${sixteen}!`,
    `whsec_${sixteen}\n`,
    ` ${NEW}`,
    "whsec_whsec_bXkgc2VjcmV0IHNlY3JldCBzZWNyZXQ",
    "whsk_bXkgc2VjcmV0IHNlY3JldCBzZWNyZXQ",
    "a-url-safe_secret-of-base64-is-not",
    "bXkgc2VjcmV0IHNlY3JldCBzZWNyZXQ=====",
    "bXkgc2VjcmV0IHNlY3JldCBzZWNyZ",
  ])("is refused when the verifier is made if it is not base64: %o", (secret) => {
    for (const secrets of [secret, [undefined, secret]]) {
      expect(() => standardWebhooks({ secret: secrets })).toThrow(
        new TypeError(
          "Expected `secret` of `standardWebhooks` to be `whsec_` and base64, as the sender shows it, got other characters",
        ),
      );
    }
  });

  it.each([
    [btoa("fifteen bytes !"), 15],
    ["whsec_", 0],
    ["whsec_c2hvcnQ=", 5],
    ["whsec_c2hvcnQ", 5],
  ])("is refused if it is short: %s", (secret, bytes) => {
    expect(() => standardWebhooks({ secret })).toThrow(
      new RangeError(`Expected \`secret\` of \`standardWebhooks\` to be at least 16 bytes in base64, got ${bytes}`),
    );
  });

  test.prop([fc.string({ minLength: 3 })], RUNS)("is never repeated in an error", (secret) => {
    try {
      standardWebhooks({ secret: `${secret}\u0000` });
    } catch (error) {
      expect(String(error)).not.toContain(`${secret}\u0000`);
      return;
    }
    throw new Error("Expected a secret that is not base64 to be refused");
  });
});

describe.each([
  ["standardWebhooks", standardWebhooks],
  ["github", github],
])("the secret of %s", (name, verifierOf) => {
  it.each<[Secrets]>([[undefined], [""], [[]], [[undefined]], [[undefined, "", undefined]]])(
    "may be unset, as %j is, until a delivery comes",
    async (secret) => {
      const verify = verifierOf({ secret });
      const error = await verified(verify, sent()).catch((error) => error);
      expect(error).toBeInstanceOf(NoSecretError);
      expect(error).toMatchObject({ name: "NoSecretError", status: 503 });
      expect(error.message).toBe(
        `This hook has no secret yet: set the variable that \`secret\` of \`${name}\` is read from, with ` +
          "`wrangler secret put <VARIABLE>`, or in `.dev.vars` for a local server.",
      );
      // Nothing is told apart without one.
      expect(await verified(verify, { body: bytesOf(""), headers: {} }).catch((error) => error)).toBeInstanceOf(
        NoSecretError,
      );
    },
  );

  it.each<[unknown, string]>([
    [null, "null"],
    [5, "a number"],
    [{}, "an object"],
    [[NEW, 5], "a number"],
    [[undefined, 5], "a number"],
    [[NEW, null], "null"],
    [[[NEW]], "an array"],
  ])("cannot be %j", (secret, got) => {
    expect(() => verifierOf({ secret: secret as Secrets })).toThrow(
      new TypeError(`Expected \`secret\` of \`${name}\` to be a string or several, got ${got}`),
    );
  });
});

describe("a delivery by GitHub", () => {
  // https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries#testing-the-webhook-payload-validation
  const SECRET = "It's a Secret to Everybody";
  const DELIVERY = {
    body: bytesOf("Hello, World!"),
    headers: {
      "x-github-delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
      "x-hub-signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
    },
  };
  const ID = "72d3162e-cc78-11e3-81ab-4c9367dc0958";
  const verify = github({ secret: SECRET });

  async function signed(body: string, secret = SECRET): Promise<Sent> {
    const signature = await signAsGithub(secret, body);
    return { body: bytesOf(body), headers: { "x-github-delivery": ID, "x-hub-signature-256": signature } };
  }

  it("is verified as GitHub's own example writes it, and its id told", async () => {
    expect(await verified(verify, DELIVERY)).toEqual({ id: ID });
  });

  test.prop([fc.string({ unit: "binary", minLength: 1 }), fc.string({ minLength: 1 })], RUNS)(
    "is verified whatever is in it",
    async (body, secret) => {
      expect(await verified(github({ secret }), await signed(body, secret))).toEqual({ id: ID });
    },
  );

  test.prop([fc.nat(), fc.integer({ min: 1, max: 255 })], RUNS)(
    "is refused with one byte of its body changed",
    async (at, change) => {
      const body = DELIVERY.body.slice();
      body[at % body.length] = (body[at % body.length] as number) ^ change;
      await refused(verify, { ...DELIVERY, body });
    },
  );

  it("is refused with one digit of its signature changed", async () => {
    const signature = DELIVERY.headers["x-hub-signature-256"];
    for (let at = "sha256=".length; at < signature.length; at += 1) {
      const changed = `${signature.slice(0, at)}${signature[at] === "0" ? "1" : "0"}${signature.slice(at + 1)}`;
      expect((await refused(verify, withHeaders(DELIVERY, { "x-hub-signature-256": changed }))).message).toBe(
        "Expected `x-hub-signature-256` to be a signature by this hook's secret, made for this body",
      );
    }
  });

  it("is refused with its signature in another form, which a lenient reader would take", async () => {
    const signature = DELIVERY.headers["x-hub-signature-256"];
    const digits = signature.slice("sha256=".length);
    const pairs = digits.match(/../g) as string[];
    for (const other of [
      digits,
      signature.toUpperCase(),
      `sha256=${digits.toUpperCase()}`,
      `sha256=${pairs.join(" ")}`,
      `sha256=zz${digits}`,
      `${signature}, ${signature}`,
      `sha1=${digits}`,
      `x${signature}`,
      `${signature}0`,
    ]) {
      expect((await refused(verify, withHeaders(DELIVERY, { "x-hub-signature-256": other }))).message).toBe(
        "Expected `x-hub-signature-256` to be `sha256=` and 64 hexadecimal digits",
      );
    }
  });

  it("is refused with another's secret", async () => {
    await refused(github({ secret: "another" }), DELIVERY);
  });

  it.each(["x-github-delivery", "x-hub-signature-256"])(
    "is refused without `%s`, and with an empty one",
    async (name) => {
      const message = `Expected the header \`${name}\`, without which nothing can be verified`;
      expect((await refused(verify, without(DELIVERY, name))).message).toBe(message);
      expect((await refused(verify, withHeaders(DELIVERY, { [name]: "" }))).message).toBe(message);
      await refused(verify, { ...DELIVERY, headers: {} });
    },
  );

  test.prop([headerText, signatureLike], RUNS)("is refused with random headers", async (id, signature) => {
    await refused(verify, { ...DELIVERY, headers: { "x-github-delivery": id, "x-hub-signature-256": signature } });
  });

  test.prop([signatureLike], RUNS)("is refused with a random signature", async (signature) => {
    await refused(verify, withHeaders(DELIVERY, { "x-hub-signature-256": signature }));
  });

  it("is refused without a body", async () => {
    expect((await refused(verify, { ...DELIVERY, body: bytesOf("") })).message).toBe(
      "Expected a body, got an empty one",
    );
  });

  it("is refused with invalid UTF-8, though what a lenient reader makes of it was signed", async () => {
    const body = Uint8Array.of(0x7b, 0xff, 0x7d);
    const delivery = { ...(await signed(new TextDecoder().decode(body))), body };
    expect((await refused(verify, delivery)).message).toBe("Expected a body in UTF-8, got other bytes");
  });

  it("is refused with a byte order mark before its body, or without its own", async () => {
    await refused(verify, { ...(await signed("{}")), body: bytesOf("\ufeff{}") });
    await refused(verify, { ...(await signed("\ufeff{}")), body: bytesOf("{}") });
  });

  it("may have an id of 255 characters", async () => {
    const id = "x".repeat(255);
    expect(await verified(verify, withHeaders(DELIVERY, { "x-github-delivery": id }))).toEqual({ id });
    expect((await refused(verify, withHeaders(DELIVERY, { "x-github-delivery": `${id}x` }))).message).toBe(
      "Expected `x-github-delivery` to have at most 255 characters, got 256",
    );
  });

  it("is verified by either of two secrets, and by none once it is gone", async () => {
    const both = github({ secret: ["the new one", undefined, SECRET, ""] });
    expect(await verified(both, DELIVERY)).toEqual({ id: ID });
    expect(await verified(both, await signed("{}", "the new one"))).toEqual({ id: ID });
    await refused(both, await signed("{}", "another"));
    await refused(github({ secret: ["the new one", undefined] }), DELIVERY);
  });

  it("never repeats a secret or a signature in an error", async () => {
    const signature = DELIVERY.headers["x-hub-signature-256"].slice(10);
    const errors = [
      await refused(verify, { ...DELIVERY, body: bytesOf("Hello") }),
      await refused(verify, withHeaders(DELIVERY, { "x-hub-signature-256": signature })),
      await refused(standardWebhooks({ secret: NEW }), sent({ secrets: [OTHER] })),
    ];
    for (const error of errors) {
      const text = `${error.message} ${error.stack}`;
      expect(text).not.toContain(SECRET);
      expect(text).not.toContain(signature);
      expect(text).not.toContain(NEW.slice("whsec_".length));
      expect(text).not.toContain(sent().headers["webhook-signature"]);
    }
  });
});
