import { abortAllDurableObjects, runDurableObjectAlarm } from "cloudflare:test";
import fc from "fast-check";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { type Answer, idsOf, type Request } from "../../src/core/limiter.ts";
import { Cast, Desk, StoppedClock } from "./limiters.ts";
import { newStage } from "./stage.ts";
import { crash } from "./support.ts";

const LEASE_MS = 30_000;
/** What the limit `window` allows. */
const WINDOW = { requests: 6, tokens: 1000, concurrency: 4, periodMs: 10_000 };

let clock: StoppedClock;
let cast: Cast;
beforeEach(() => {
  newStage();
  clock = new StoppedClock();
  cast = new Cast((run) => run.startsWith("walker"));
});
afterEach(() => {
  vi.restoreAllMocks();
});

interface Call {
  tokens: number;
  begunMs: number | null;
  /** Nobody executes it any more, although its run still has it in its rows. */
  isDead: boolean;
}

/** A run as a limiter knows it. What it does is what `Account` does, at moments of the test's choosing. */
class Walker {
  readonly name: string;
  /** When its calls began. */
  readonly starts: number[] = [];
  readonly calls = new Map<number, Call>();
  readonly #desk: Desk;
  #life = 1;
  #number = 0;
  #heard: number | null = null;
  #seen = new Set<number>();
  #wants: number[] = [];
  #begun: number[] = [];
  #ended: Request["ended"] = [];
  #refunds: number[] = [];
  #spokeMs = clock.nowMs;
  #read = 0;

  constructor(name: string, desk: Desk) {
    this.name = name;
    this.#desk = desk;
  }

  want(tokens: number, count: number): void {
    if (this.#wants.length < 10) this.#wants.push(...Array(count).fill(tokens));
  }

  /** Says all there is to say, however often it takes, and listens to the answer. */
  async exchange(times: number, strike: () => Promise<void>): Promise<void> {
    const request = this.#request();
    const asked = this.#wants.length;
    this.#begun = [];
    this.#ended = [];
    this.#refunds = [];
    let answer: Answer | null = null;
    for (let time = 0; time < times; time++) {
      const answering = this.#desk.exchange(request).catch(() => null);
      if (time > 0) await strike();
      answer = (await answering) ?? answer;
    }
    answer = (await this.#desk.exchange(request)) ?? answer;
    expect(answer).toMatchObject({ life: this.#life });
    this.#spokeMs = clock.nowMs;
    expect(this.#wants).toHaveLength(asked);
    this.#accept(answer as Answer);
  }

  /** Listens to what it was told meanwhile. */
  hear(): void {
    const told = cast.toldTo(this.name, this.#desk);
    for (const answer of told.slice(this.#read)) {
      if (answer.life === this.#life && this.#heard !== null) this.#accept(answer);
    }
    this.#read = told.length;
  }

  begin(): void {
    for (const [id, call] of this.calls) {
      if (call.begunMs !== null || call.isDead) continue;
      call.begunMs = clock.nowMs;
      this.starts.push(clock.nowMs);
      this.#begun.push(id);
    }
  }

  /** Its oldest calls end. */
  end(count: number): void {
    const ending = [...this.calls].filter(([, { begunMs, isDead }]) => begunMs !== null || isDead).slice(0, count);
    for (const [id, { tokens, isDead }] of ending) {
      this.calls.delete(id);
      const as = isDead ? "lost" : "succeeded";
      this.#ended.push({ id, ageMs: 0, tokens: isDead ? null : Math.floor(tokens / 2), as, retryAfterMs: null });
    }
  }

  refund(): void {
    const [unused] = [...this.calls].find(([, { begunMs, isDead }]) => begunMs === null && !isDead) ?? [];
    if (unused === undefined) return;
    this.calls.delete(unused);
    this.#refunds.push(unused);
  }

  /** Its object is lost, and with it what it has not said, and the permits that no item has yet. */
  lose(): void {
    this.#life++;
    this.#heard = null;
    this.#seen = new Set();
    this.#wants = [];
    this.#begun = [];
    this.#ended = [];
    this.#refunds = [];
    for (const [id, { begunMs }] of this.calls) if (begunMs === null) this.calls.delete(id);
  }

  /** Whoever was not heard for so long that its lease has ended has been away, and so has whoever executed for it. */
  returnIfAway(): void {
    if (clock.nowMs - this.#spokeMs < LEASE_MS) return;
    this.lose();
    for (const call of this.calls.values()) call.isDead = true;
  }

  leave(): void {
    this.#wants = [];
    this.begin();
    this.end(this.calls.size);
  }

  get inFlight(): number {
    return [...this.calls.values()].filter(({ isDead }) => !isDead).length;
  }

  #accept({ granted, gone, last }: Answer): void {
    const heard = this.#heard ?? 0;
    for (const id of idsOf(granted).filter((id) => id > heard)) {
      expect([...this.calls.keys(), ...this.#seen]).not.toContain(id);
      this.#seen.add(id);
      this.calls.set(id, { tokens: this.#wants.shift() ?? 0, begunMs: null, isDead: false });
    }
    for (const id of gone) this.#forget(id);
    this.#heard = Math.max(heard, last);
  }

  /** What is gone nobody executes any more, or its place would not be free. */
  #forget(id: number): void {
    if (this.calls.has(id)) expect(this.calls.get(id)).toMatchObject({ isDead: true });
    this.calls.delete(id);
  }

  #request(): Request {
    return {
      run: this.name,
      life: this.#life,
      number: ++this.#number,
      heard: this.#heard,
      holds: [...this.calls.keys()].map((id) => [id, 1]),
      begun: this.#begun.map((id) => ({ id, ageMs: clock.nowMs - (this.calls.get(id)?.begunMs ?? clock.nowMs) })),
      ended: this.#ended,
      refunds: this.#refunds,
      wants: this.#wants.map((tokens) => [tokens, 1]),
    };
  }
}

const WALKERS = 3;

const who = fc.nat(WALKERS - 1);
const count = fc.integer({ min: 1, max: 4 });
/** How often a request is lost with its answer before it is answered. */
const times = fc.constantFrom(0, 0, 1, 2);
const ms = fc.oneof(fc.nat(3000), fc.constantFrom(9_999, 10_000, LEASE_MS - 1));
const what = fc.constantFrom;
const step = fc.oneof(
  { weight: 5, arbitrary: fc.record({ what: what("ask"), who, times, count, tokens: fc.nat(300) }) },
  { weight: 5, arbitrary: fc.record({ what: what("begin"), who }) },
  { weight: 4, arbitrary: fc.record({ what: what("end", "end and tell"), who, times, count }) },
  { weight: 4, arbitrary: fc.record({ what: what("tell", "hear", "refund", "lose"), who, times }) },
  { weight: 2, arbitrary: fc.record({ what: what("pass"), ms }) },
  { weight: 2, arbitrary: fc.record({ what: what("crash", "lose all", "alarm", "outage") }) },
);

type Step = { what: string; who?: number; tokens?: number; count?: number; times?: number; ms?: number };

let walks = 0;

class Walk {
  readonly desk = new Desk("window", `walk ${walks++}`);
  readonly walkers = Array.from({ length: WALKERS }, (_, at) => new Walker(`walker ${walks}/${at}`, this.desk));

  async take({ what, who = 0, tokens = 0, count = 0, times = 0, ms = 0 }: Step): Promise<void> {
    const walker = this.walkers[who] as Walker;
    if (what === "ask") walker.want(tokens, count);
    if (what === "end" || what === "end and tell") walker.end(count);
    if (["ask", "tell", "end and tell"].includes(what)) await walker.exchange(times, () => crash(this.desk.stub));
    if (what === "hear") walker.hear();
    if (what === "begin") walker.begin();
    if (what === "refund") walker.refund();
    if (what === "lose") walker.lose();
    if (what === "crash") await crash(this.desk.stub);
    if (what === "lose all") await abortAllDurableObjects();
    if (what === "alarm") await runDurableObjectAlarm(this.desk.stub);
    if (what === "pass") this.pass(ms);
    if (what === "outage") await this.outage();
  }

  /** All leases end while nobody says a word. */
  async outage(): Promise<void> {
    this.pass(LEASE_MS);
    await runDurableObjectAlarm(this.desk.stub);
  }

  pass(ms: number): void {
    clock.forward(ms);
    for (const walker of this.walkers) walker.returnIfAway();
  }

  async check(): Promise<void> {
    const inFlight = this.walkers.reduce((sum, walker) => sum + walker.inFlight, 0);
    expect(inFlight).toBeLessThanOrEqual(WINDOW.concurrency);
    const seen = await this.desk.view();
    expect(seen.inFlight).toBeLessThanOrEqual(WINDOW.concurrency);
    expect(seen.used.requests).toBeLessThanOrEqual(WINDOW.requests);
    expect(seen.used.tokens).toBeLessThanOrEqual(WINDOW.tokens);
    const starts = this.walkers.flatMap(({ starts }) => starts);
    const latest = starts.filter((ms) => ms > clock.nowMs - WINDOW.periodMs);
    expect(latest.length).toBeLessThanOrEqual(WINDOW.requests);
  }

  /** All runs finish. Nothing must be left of them. */
  async end(): Promise<void> {
    for (let times = 0; times < 2; times++) {
      for (const walker of this.walkers) {
        walker.hear();
        walker.leave();
        await walker.exchange(0, async () => undefined);
        await this.check();
      }
    }
    expect(await this.desk.view()).toMatchObject({ inFlight: 0, waiting: 0 });
    this.pass(LEASE_MS);
    await this.walkers[0]?.exchange(0, async () => undefined);
    expect(await this.desk.tables()).toEqual({ limiter: 1, counted: 0, holder: 0 });
    expect((await this.desk.view()).used).toEqual({ requests: 0, tokens: 0 });
  }
}

let granted = 0;

it("whatever runs do and whenever anything is lost, nothing is above the limit and no permit is given twice", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 60 }), async (steps) => {
      const walk = new Walk();
      await walk.walkers[0]?.exchange(0, async () => undefined);
      for (const step of steps) {
        await walk.take(step);
        await walk.check();
      }
      granted += walk.walkers.reduce((sum, { starts }) => sum + starts.length, 0);
      await walk.end();
    }),
    { numRuns: 15 },
  );
  expect(granted).toBeGreaterThan(0);
}, 600_000);
