import fc from "fast-check";
import { expect } from "vitest";
import { UNUSED, type Usage } from "../../src/core/bucket.ts";
import { type Budget, budgetOf, type LimitOptions, transitMsOf } from "../../src/core/budget.ts";
import {
  type Answer,
  type Holder,
  idsOf,
  Limiter,
  PERMIT_LEASE_MS,
  pack,
  type Request,
} from "../../src/core/limiter.ts";
import { range } from "./support.ts";
import { eighths, Times } from "./vendor.ts";

interface Call {
  run: string;
  tokens: number;
  state: "waiting" | "permitted" | "in exec" | "over" | "hopeless";
  startedMs: number;
  arrivedMs: number;
}

interface News {
  begun: Map<number, number>;
  ended: { id: number; atMs: number; as: Request["ended"][number]["as"] }[];
  refunds: number[];
}

interface Sent {
  request: Request;
  news: News;
  answer: Answer | null | undefined;
}

const noNews = (): News => ({ begun: new Map(), ended: [], refunds: [] });
const RENEWAL_MS = 10_000;
const OVERDUE_MS = 1000;
const SILENCE_MS = 60_000;

/** A run as a limiter sees it: as src/durable/account.ts does, and with the calls that its executors make. */
class Client {
  life = 1;
  /** Calls that have a permit, by its number. Those in exec outlive a crash. */
  holds = new Map<number, Call>();
  queue: Call[] = [];
  heard: number | null = null;
  heardMs = 0;
  retryMs: number | null = null;
  sent: Sent | null = null;
  hasToCall = false;
  readonly run: string;
  readonly calls: Call[] = [];
  readonly #times: Times;
  #number = 0;
  #news = noNews();
  /** Permits that this life was given. */
  #given = new Set<number>();

  constructor(run: string, times: Times) {
    this.run = run;
    this.#times = times;
  }

  want(tokens: readonly number[]): void {
    const { run } = this;
    for (const each of tokens) {
      const call: Call = { run, tokens: each, state: "waiting", startedMs: 0, arrivedMs: Number.POSITIVE_INFINITY };
      this.calls.push(call);
      this.queue.push(call);
    }
    this.hasToCall = true;
  }

  ids(state: Call["state"]): number[] {
    return [...this.holds].filter(([, call]) => call.state === state).map(([id]) => id);
  }

  start(id: number, delayMs: number): void {
    const call = this.holds.get(id) as Call;
    call.state = "in exec";
    call.startedMs = this.#times.trueMs;
    call.arrivedMs = call.startedMs + eighths(delayMs);
  }

  begin(id: number): void {
    this.#news.begun.set(id, (this.holds.get(id) as Call).startedMs);
    this.hasToCall = true;
  }

  end(id: number, as: Request["ended"][number]["as"]): void {
    (this.holds.get(id) as Call).state = "over";
    this.holds.delete(id);
    this.#news.ended.push({ id, atMs: this.#times.trueMs, as });
    this.hasToCall = true;
  }

  refund(id: number): void {
    const call = this.holds.get(id) as Call;
    this.holds.delete(id);
    this.#news.refunds.push(id);
    this.queue.push(Object.assign(call, { state: "waiting" }));
    this.hasToCall = true;
  }

  send(): void {
    const { trueMs } = this.#times;
    const { begun, ended, refunds } = this.#news;
    this.sent = {
      news: this.#news,
      answer: undefined,
      request: {
        run: this.run,
        life: this.life,
        number: ++this.#number,
        heard: this.heard,
        holds: [...this.holds.keys()].map((id) => [id, 1]),
        begun: [...begun].map(([id, atMs]) => ({ id, ageMs: trueMs - atMs })),
        ended: ended.map(({ id, atMs, as }) => ({ id, ageMs: trueMs - atMs, as, tokens: null, retryAfterMs: null })),
        refunds: [...refunds],
        wants: pack(this.queue.map(({ tokens }) => tokens)),
      },
    };
    this.#news = noNews();
    this.hasToCall = false;
  }

  receive(): void {
    const { answer } = this.sent as Sent;
    this.sent = null;
    if (answer) this.#accept(answer);
  }

  /** Nobody knows whether the limiter has heard: all of it is told again. */
  fail(): void {
    const { begun, ended, refunds } = (this.sent as Sent).news;
    this.#news = {
      begun: new Map([...begun, ...this.#news.begun]),
      ended: [...ended, ...this.#news.ended],
      refunds: [...refunds, ...this.#news.refunds],
    };
    this.sent = null;
    this.hasToCall = true;
  }

  hear(answer: Answer): void {
    if (answer.life !== this.life || this.heard === null) this.hasToCall = true;
    else this.#accept(answer);
  }

  crash(): void {
    this.life++;
    this.holds = new Map([...this.holds].filter(([, { state }]) => state === "in exec"));
    this.queue = this.calls.filter(({ state }) => state === "waiting" || state === "permitted");
    for (const call of this.queue) call.state = "waiting";
    this.#news = noNews();
    this.#given = new Set();
    this.heard = null;
    this.sent = null;
    this.retryMs = null;
    this.hasToCall = this.holds.size > 0 || this.queue.length > 0;
  }

  /** When it calls by itself if it hears nothing; nothing if it need not. */
  get callsMs(): number | null {
    const times: number[] = [];
    if (this.holds.size > 0) times.push(this.heardMs + RENEWAL_MS);
    if (this.queue.length > 0) times.push((this.retryMs ?? this.heardMs + SILENCE_MS) + OVERDUE_MS);
    return times.length === 0 ? null : Math.min(...times);
  }

  #accept({ granted, last, gone, retryAfterMs, mostTokens }: Answer): void {
    const heard = this.heard ?? 0;
    for (const id of idsOf(granted)) if (id > heard) this.#take(id);
    for (const id of gone) this.#lose(id);
    if (last < heard) return;
    this.heard = last;
    this.heardMs = this.#times.trueMs;
    this.retryMs = retryAfterMs === null ? null : this.heardMs + retryAfterMs;
    const [next] = this.queue;
    if (mostTokens === null || !next || next.tokens <= mostTokens) return;
    next.state = "hopeless";
    this.queue.shift();
    this.hasToCall = true;
  }

  /** A permit's lease has ended. A call that was made on it is not waited for any more. */
  #lose(id: number): void {
    const call = this.holds.get(id);
    if (!call) return;
    this.holds.delete(id);
    if (call.state === "permitted") this.queue.push(Object.assign(call, { state: "waiting" }));
    else call.state = "over";
    this.hasToCall = true;
  }

  #take(id: number): void {
    expect([this.holds.has(id), this.#given.has(id)], "a number is given once").toEqual([false, false]);
    this.#given.add(id);
    const call = this.queue.shift();
    if (call) {
      this.holds.set(id, Object.assign(call, { state: "permitted" }));
      return;
    }
    this.#news.refunds.push(id);
    this.hasToCall = true;
  }
}

export type Deed =
  | "pass"
  | "hurry"
  | "wake"
  | "sleep"
  | "still"
  | "back"
  | "want"
  | "send"
  | "deliver"
  | "receive"
  | "fail"
  | "talk"
  | "push"
  | "push twice"
  | "drop push"
  | "stray"
  | "start"
  | "begun"
  | "end"
  | "refund"
  | "beat"
  | "crash limiter"
  | "crash undecided"
  | "crash run";

export interface Move {
  deed: Deed;
  who: number;
  which: number;
  much: number;
}

/** A limiter, what is stored of it, runs, and messages between them that come late, twice or never. */
export class World {
  readonly times = new Times();
  readonly clients: Client[];
  readonly budget: Budget;
  /** Whether a run was silent for longer than its permits are believed. */
  isOutlived = false;
  limiter: Limiter;
  saved: { usage: Usage; holders: Map<string, Holder> } = { usage: UNUSED, holders: new Map() };
  #pushes: [Client, Answer][] = [];
  /** What runs said and do not wait for any more, and the limiter did not hear yet. */
  #strays: Request[] = [];

  constructor(options: LimitOptions, runs: number) {
    this.budget = budgetOf("llm", options);
    this.limiter = new Limiter(this.budget);
    this.clients = range(runs).map((at) => new Client(`run ${at}`, this.times));
  }

  get calls(): Call[] {
    return this.clients.flatMap(({ calls }) => calls);
  }

  /** Decides and stores, and then tells. */
  commit<T>(decide: (limiter: Limiter) => { others: Map<string, Answer>; answer: T }): T {
    this.#noteLeases();
    const { others, answer } = decide(this.limiter);
    this.saved.usage = structuredClone(this.limiter.usage);
    for (const run of this.limiter.changed) {
      const holder = this.limiter.holders.get(run);
      if (holder) this.saved.holders.set(run, structuredClone({ ...holder, leaseMs: 0 }));
      else this.saved.holders.delete(run);
    }
    this.limiter.changed.clear();
    this.#tell(others);
    this.#expectConsistent();
    return answer;
  }

  beat(): void {
    this.commit((limiter) => ({ others: limiter.beat(this.times.wallMs), answer: null }));
    this.#tell(this.limiter.unheard());
  }

  /** All that it was and did not store is lost. */
  crash(): void {
    this.limiter = new Limiter(this.budget);
    this.limiter.restore(
      structuredClone(this.saved.usage),
      [...structuredClone(this.saved.holders).values()],
      this.times.wallMs,
    );
    expect([...this.limiter.holders].map(([run, holder]) => [run, { ...holder, leaseMs: 0 }])).toEqual(
      [...this.saved.holders].map(([run, holder]) => [run, holder]),
    );
  }

  exchange(request: Request): Answer | null {
    const before = this.limiter.holders.get(request.run);
    const isOlder = before?.life === request.life && before.latest > request.number;
    const isStale = before !== undefined && (before.life > request.life || isOlder);
    const kept = isStale && structuredClone([...this.limiter.holders]);
    const answer = this.commit((limiter) => {
      const exchanged = limiter.exchange(request, this.times.wallMs);
      return { others: exchanged?.others ?? new Map(), answer: exchanged?.answer ?? null };
    });
    expect(answer === null, "the stale are not heard").toBe(isStale);
    if (isStale) expect([...this.limiter.holders]).toEqual(kept);
    return answer;
  }

  play({ deed, who, which, much }: Move): void {
    const { times, budget } = this;
    const client = this.clients[who % this.clients.length] as Client;
    const pick = <T>(values: readonly T[]) => values[which % values.length] as T | undefined;
    const share = much / 1000;
    switch (deed) {
      case "pass":
        times.pass(share * budget.periodMs * 0.5);
        break;
      case "hurry":
        times.pass(share * 3);
        break;
      case "wake":
        times.passUntil(Math.min(this.limiter.wakeMs ?? 0, times.wallMs + 2 * budget.periodMs));
        break;
      case "sleep":
        times.pass(share * 2 * PERMIT_LEASE_MS);
        break;
      case "still":
        times.standStill(share * budget.periodMs);
        break;
      case "back":
        times.turnBack(share * budget.periodMs);
        break;
      case "want":
        client.want(Array(1 + (which % 5)).fill(much % 7));
        break;
      case "send":
        if (!client.sent) client.send();
        break;
      case "deliver":
        if (client.sent) client.sent.answer = this.exchange(client.sent.request);
        break;
      case "receive":
        if (client.sent?.answer !== undefined) client.receive();
        break;
      case "fail":
        this.#leave(client);
        if (client.sent) client.fail();
        break;
      case "talk":
        this.talk(client);
        break;
      case "push": {
        const push = pick(this.#pushes);
        this.#pushes = this.#pushes.filter((other) => other !== push);
        push?.[0].hear(push[1]);
        break;
      }
      case "push twice": {
        const push = pick(this.#pushes);
        push?.[0].hear(push[1]);
        break;
      }
      case "drop push":
        this.#pushes.splice(which, 1);
        break;
      case "stray": {
        const [stray] = this.#strays.splice(0, 1);
        if (stray) this.exchange(stray);
        break;
      }
      case "start": {
        const id = pick(client.ids("permitted"));
        if (id !== undefined) client.start(id, share * transitMsOf(budget));
        break;
      }
      case "begun": {
        const id = pick(client.ids("in exec"));
        if (id !== undefined) client.begin(id);
        break;
      }
      case "end": {
        const id = pick(client.ids("in exec"));
        if (id === undefined) break;
        const hasArrived = (client.holds.get(id) as Call).arrivedMs <= times.trueMs;
        const how = (["succeeded", "failed", "refused", "succeeded"] as const)[much % 4] ?? "failed";
        if (hasArrived || much % 16 === 0) client.end(id, hasArrived ? how : "lost");
        break;
      }
      case "refund": {
        const id = pick(client.ids("permitted"));
        if (id !== undefined) client.refund(id);
        break;
      }
      case "beat":
        this.beat();
        break;
      case "crash limiter":
        this.crash();
        this.beat();
        break;
      case "crash undecided":
        if (!client.sent) client.send();
        this.limiter.exchange((client.sent as Sent).request, times.wallMs);
        this.crash();
        break;
      case "crash run":
        this.#leave(client);
        client.crash();
        break;
    }
    this.#expectKept();
  }

  /** A call to the limiter, from asking to hearing. */
  talk(client: Client): void {
    if (!client.sent) client.send();
    const sent = client.sent as Sent;
    sent.answer = this.exchange(sent.request);
    client.receive();
  }

  /** No more accidents: everything goes on until all calls are made. */
  finish(): void {
    this.#strays = [];
    for (const client of this.clients) if (client.sent) client.fail();
    const isOver = () => this.calls.every(({ state }) => state === "over" || state === "hopeless");
    for (let turn = 0; !isOver(); turn++) {
      if (turn > 5000) expect.fail(`It never ends: ${JSON.stringify([this.saved, this.calls], null, 1)}`);
      if (!this.#goOn()) this.#wait();
    }
    for (const client of this.clients) this.talk(client);
    expect(this.limiter.usage).toMatchObject({ inFlight: 0, onTheWay: { requests: 0, tokens: 0 } });
  }

  /** Everybody does what can be done without waiting. Returns whether there was anything. */
  #goOn(): boolean {
    let isMoving = false;
    const { trueMs, wallMs } = this.times;
    const pushes = this.#pushes;
    this.#pushes = [];
    for (const [client, answer] of pushes) client.hear(answer);
    for (const client of this.clients) {
      for (const id of client.ids("in exec")) {
        if ((client.holds.get(id) as Call).arrivedMs > trueMs) continue;
        client.end(id, "succeeded");
        isMoving = true;
      }
      for (const id of client.ids("permitted")) {
        client.start(id, transitMsOf(this.budget));
        client.begin(id);
      }
      if (!client.hasToCall && trueMs < (client.callsMs ?? Infinity)) continue;
      this.talk(client);
      isMoving = true;
    }
    if (wallMs < (this.limiter.wakeMs ?? Infinity)) return isMoving;
    this.beat();
    return true;
  }

  #wait(): void {
    const { times } = this;
    const toWakeMs = (this.limiter.wakeMs ?? Infinity) - times.wallMs;
    const toCallMs = Math.min(...this.clients.map(({ callsMs }) => callsMs ?? Infinity)) - times.trueMs;
    const arrivals = this.calls.filter(({ state }) => state === "in exec").map(({ arrivedMs }) => arrivedMs);
    const passes = Math.min(toWakeMs, toCallMs, Math.min(...arrivals) - times.trueMs);
    expect(passes, "somebody has something to do some time").toBeLessThan(Infinity);
    times.pass(Math.max(passes, 0.125));
  }

  /** A run gives up on what it has sent, which may still be heard. */
  #leave({ sent }: Client): void {
    if (sent && sent.answer === undefined) this.#strays.push(sent.request);
  }

  #tell(answers: Map<string, Answer>): void {
    for (const [run, answer] of answers) {
      const client = this.clients.find((known) => known.run === run) as Client;
      this.#pushes.push([client, answer]);
    }
  }

  #noteLeases(): void {
    const nowMs = Math.max(this.times.wallMs + this.limiter.usage.skewMs, 0);
    for (const { open, leaseMs } of this.limiter.holders.values()) {
      if (open.size > 0 && leaseMs <= nowMs) this.isOutlived = true;
    }
  }

  /** The usage is what its holders say, in memory as in store. */
  #expectConsistent(): void {
    const { usage, holders } = this.limiter;
    const open = [...holders.values()].flatMap((holder) => [...holder.open.values()]);
    const uncounted = open.filter(({ countedMs }) => countedMs === null);
    const unpaid = this.budget.algorithm === "token-bucket" ? open : uncounted;
    expect(usage.inFlight).toBe(open.length);
    expect(usage.onTheWay).toEqual({
      requests: uncounted.length,
      tokens: unpaid.reduce((sum, { tokens }) => sum + tokens, 0),
    });
    expect(this.saved.usage).toEqual(usage);
    expect([...this.saved.holders.keys()].toSorted()).toEqual([...holders.keys()].toSorted());
    for (const [run, holder] of holders) {
      expect({ ...holder, leaseMs: 0 }).toEqual(this.saved.holders.get(run));
      expect(holder.heard).toBeLessThanOrEqual(holder.last);
      expect(Math.max(0, ...holder.open.keys())).toBeLessThanOrEqual(holder.last);
      expect(holder.wants.length + holder.open.size, "no idle holder is kept").toBeGreaterThan(0);
    }
  }

  /** What runs have, the limiter has stored, and so no more calls are made at once than it allows. */
  #expectKept(): void {
    if (this.isOutlived) return;
    for (const { run, holds } of this.clients) {
      const open = this.saved.holders.get(run)?.open;
      for (const id of holds.keys()) expect(open?.has(id), `permit ${id} of ${run} is stored`).toBe(true);
    }
    const inExec = this.calls.filter(({ state }) => state === "in exec").length;
    expect(inExec).toBeLessThanOrEqual(this.budget.concurrency ?? Infinity);
  }
}

/** Deeds and how often each is done. */
const WEIGHTS: { [deed in Deed]: number } = {
  pass: 4,
  hurry: 3,
  wake: 5,
  sleep: 0,
  still: 1,
  back: 1,
  want: 6,
  send: 5,
  deliver: 6,
  receive: 5,
  fail: 2,
  talk: 6,
  push: 6,
  "push twice": 2,
  "drop push": 1,
  stray: 1,
  start: 10,
  begun: 4,
  end: 8,
  refund: 2,
  beat: 3,
  "crash limiter": 2,
  "crash undecided": 2,
  "crash run": 2,
};

export function movesOf(weights: Partial<{ [deed in Deed]: number }>): fc.Arbitrary<Move[]> {
  const deeds = Object.entries({ ...WEIGHTS, ...weights }).flatMap(([deed, weight]) => Array(weight).fill(deed));
  const move = fc.record({
    deed: fc.constantFrom(...(deeds as Deed[])),
    who: fc.nat(2),
    which: fc.nat(9),
    much: fc.nat(1000),
  });
  return fc.array(move, { maxLength: 150, size: "max" });
}
