import * as v from "valibot";
import {
  type CallbackOptions,
  type CronEntry,
  type Crons,
  github,
  standardWebhooks,
  type Verify,
  type WebhookEntry,
} from "../../src/cloudflare.ts";
import { Flow, Node, type NonIterableObject } from "../../src/index.ts";
import { stage } from "./stage.ts";

/** What one run is to do. It says its name when it begins. */
export interface Deed {
  name?: string;
  /** Where it waits. */
  gate?: string;
  /** The words without which it fails. */
  needs?: string;
  done?: boolean;
}

class Doing extends Node<Deed, NonIterableObject, Deed, boolean> {
  prep({ name = "deed", gate, needs }: Deed) {
    return { name, ...(gate === undefined ? {} : { gate }), ...(needs === undefined ? {} : { needs }) };
  }
  async exec({ name = "", gate, needs }: Deed) {
    stage().say(name);
    if (gate !== undefined) await stage().pass(gate);
    if (needs !== undefined && stage().count(needs) === 0) throw new Error(`${name} needs ${needs}`);
    return true;
  }
  post(shared: Deed, _: Deed, done: boolean) {
    shared.done = done;
  }
}

const deed = () => new Flow(new Doing());

/** Flows that are started by others than a request. */
export const triggeredFlows = {
  deed,
  "strict deed": {
    flow: deed,
    input: v.object({ name: v.pipe(v.string(), v.minLength(3)), gate: v.optional(v.string()) }),
  },
};

/** What crons start runs with, besides a name: the test writes it. */
export const clockwork: { -readonly [key in "gate" | "needs"]?: string } = {};

const byTheClock = (name: string, more: Partial<CronEntry> = {}): CronEntry => ({
  flow: "deed",
  name,
  input: (scheduledTime) => ({ name: `${name} ${scheduledTime}`, ...clockwork }),
  ...more,
});

/** A cron for each minute of an hour: each test takes one that nobody has fired yet. */
function everyMinute(overlap: "skip" | "allow", hour: number): Crons {
  const minutes = Array.from({ length: 60 }, (_, minute) => minute);
  return Object.fromEntries(
    minutes.map((minute) => [`${minute} ${hour} * * *`, byTheClock(`${overlap}-${minute}`, { overlap })]),
  );
}

export const HOURS = { allow: 6, skip: 7 } as const;

export const crons: Crons = {
  ...everyMinute("allow", HOURS.allow),
  ...everyMinute("skip", HOURS.skip),
  // Says nothing of overlap, of the input, or of a name.
  "0 8 * * MON": { flow: "deed" },
  "0 9 * * *": [
    byTheClock("misfit-of-two", { flow: "strict deed", input: () => ({ name: "no" }) }),
    byTheClock("fit-of-two"),
  ],
  "0 10 * * *": byTheClock("misfit", { flow: "strict deed", input: () => ({ name: 5 }) }),
  "0 11 * * *": byTheClock("later-input", { flow: "strict deed", input: async (at) => ({ name: `later ${at}` }) }),
};

const secretOf = (text: string) => `whsec_${btoa(text)}`;

/** What senders and receivers know. */
export const SECRETS = {
  orders: secretOf("what signs the orders now"),
  ordersBefore: secretOf("what signed the orders once"),
  github: "It's a Secret to Everybody",
  callbacks: secretOf("what signs the callbacks now"),
  callbacksBefore: secretOf("what signed the callbacks once"),
} as const;

/** How the hook `custom` tells its sender: the test writes it. */
export const custom: { verify: Verify } = { verify: () => ({ id: null }) };

const bySender = standardWebhooks({ secret: [SECRETS.orders, SECRETS.ordersBefore] });

export const webhooks: { [name: string]: WebhookEntry } = {
  orders: { verify: bySender, flow: "deed" },
  "orders.copy": { verify: bySender, flow: "deed" },
  github: { verify: github({ secret: SECRETS.github }), flow: "deed" },
  custom: { verify: (delivery) => custom.verify(delivery), flow: "deed" },
  "no-secret": { verify: standardWebhooks({ secret: [undefined, ""] }), flow: "deed" },
  "no-secret-of-github": { verify: github({ secret: undefined }), flow: "deed" },
  mapped: {
    verify: bySender,
    flow: "deed",
    input: (payload, { id, body, headers }) => ({ id, payload, bytes: body.length, kind: headers.get("x-kind") }),
  },
  strict: { verify: bySender, flow: "strict deed" },
  calling: {
    verify: bySender,
    flow: "deed",
    callback: (payload) => (payload as { callback?: string }).callback,
  },
};

export const callbacks: CallbackOptions = { secret: [SECRETS.callbacks, SECRETS.callbacksBefore] };
