import { alarmClock, sleep as pause } from "./attempt.ts";
import { durationMs } from "./duration.ts";
import { describeType } from "./errors.ts";
import { nameOf } from "./follow.ts";
import { BaseNode, type NodeKind, type NonIterableObject, type PostResult } from "./node.ts";
import type { MaybePromise } from "./turn.ts";

/** A number of seconds, as PocketFlow's `wait` is, or a duration such as `"90s"`, `"2h"` or `"3d"`. */
export type Duration = number | string;

/** What a node that waits may be told. */
export interface WaitingOptions {
  /** The node's id in graphs and errors; its class's name otherwise. */
  name?: string;
}

/** What somebody has sent to a run. */
export interface Signal<Payload = unknown> {
  name: string;
  payload: Payload;
  /** When it came. */
  at: Date;
}

const LONGEST_DAYS = 3650;
const SIGNAL = /^[\w.-]{1,64}$/;

/**
 * A node that ends after a while, and has no exec. A durable run that sleeps is in no memory, and costs nothing until it goes on.
 * How long is what the constructor was told, or what a `prep` of its own returns: a duration, or the Date to sleep until.
 *
 * Throws a RangeError for a duration that cannot be meant; where `prep` returned it, that is the run's error.
 *
 * @example first.next(new SleepNode("3d")).next(remind);
 * @example
 * class UntilDue extends SleepNode<{ dueAt: Date }> {
 *   prep(shared) { return shared.dueAt; }
 * }
 */
export class SleepNode<S = unknown, P extends NonIterableObject = NonIterableObject> extends BaseNode<
  S,
  P,
  Duration | Date,
  void
> {
  private readonly _time: Duration | Date | undefined;

  constructor(time?: Duration | Date, options: WaitingOptions = {}) {
    super(options);
    if (time !== undefined) wakeMsOf(this.constructor.name, time, 0);
    this._time = time;
  }

  protected override get _kind(): NodeKind {
    return "sleep";
  }

  override prep(_shared: S): MaybePromise<Duration | Date> {
    return this._time as Duration | Date;
  }

  protected override _exec(time: unknown): Promise<void> {
    const nowMs = Date.now();
    return pause(wakeMsOf(nameOf(this as BaseNode), time, nowMs) - nowMs);
  }
}

/**
 * Makes a `SleepNode`.
 *
 * @example first.next(sleep("3d")).next(remind);
 */
export function sleep(time: Duration | Date, options?: WaitingOptions): SleepNode {
  return new SleepNode(time, options);
}

/**
 * A node that waits for a signal, and has no exec: `post` gets what came, or `null` after `timeout`. Unless it says otherwise it then
 * returns `"timeout"`. Which signal is what the constructor was told, or what a `prep` of its own returns, so that each branch can
 * wait for its own. A durable run that waits is in no memory; a signal that comes early is kept for it, and each is taken by one
 * node, the one that came first by the node that began to wait first. In memory `onWait` of the run's options gives the payload.
 *
 * @example
 * class Approval extends WaitForEvent<Shared, NonIterableObject, { approved: boolean }> {
 *   post(shared, _name, signal) {
 *     if (!signal) return "timeout";
 *     return signal.payload.approved ? "approved" : "rejected";
 *   }
 * }
 * const approval = new Approval("approval", { timeout: "7d" });
 * approval.on("approved", publish).on("timeout", remind).end("rejected");
 * // curl -X POST …/runs/01J…/signals/approval -d '{"approved":true}'
 */
export class WaitForEvent<
  S = unknown,
  P extends NonIterableObject = NonIterableObject,
  Payload = unknown,
> extends BaseNode<S, P, string, Signal<Payload> | null> {
  private readonly _signal: string | undefined;
  private readonly _timeout: Duration | undefined;

  constructor(signal?: string, options: WaitingOptions & { timeout?: Duration } = {}) {
    const { timeout, ...others } = options;
    super(others);
    if (signal !== undefined) checkSignal(this.constructor.name, signal);
    if (timeout !== undefined) wakeMsOf(this.constructor.name, timeout, 0, "timeout");
    this._signal = signal;
    this._timeout = timeout;
  }

  protected override get _kind(): NodeKind {
    return "wait";
  }

  /** The name of the signal. */
  override prep(_shared: S): MaybePromise<string> {
    return this._signal as string;
  }

  override post(_shared: S, _name: string, signal: Signal<Payload> | null): MaybePromise<PostResult> {
    return signal === null ? "timeout" : undefined;
  }

  /** When the wait is over that begins now, if no signal comes before; nothing where it has no end. */
  protected _timeoutMs(nowMs: number): number | null {
    return this._timeout === undefined ? null : wakeMsOf(nameOf(this as BaseNode), this._timeout, nowMs, "timeout");
  }

  protected override async _exec(prepRes: unknown): Promise<Signal<Payload> | null> {
    const name = checkSignal(nameOf(this as BaseNode), prepRes);
    if (!this._waiter) {
      throw new Error(
        `Expected \`onWait\` in the run's options, which gives the payload of signal \`${name}\` to ` +
          `${nameOf(this as BaseNode)} in memory: flow.run(shared, { onWait: (name) => … })`,
      );
    }
    const nowMs = Date.now();
    const untilMs = this._timeoutMs(nowMs);
    const came = Promise.resolve(this._waiter(name)).then((payload): Signal<Payload> => {
      return { name, payload: payload as Payload, at: new Date() };
    });
    if (untilMs === null) return came;
    const clock = alarmClock(untilMs - nowMs);
    return Promise.race([came, clock.rings.then(() => null)]).finally(clock.stop);
  }
}

/** When a sleep ends that begins now. */
export function wakeMsOf(owner: string, time: unknown, nowMs: number, key = "time"): number {
  if (time instanceof Date && Number.isFinite(time.getTime())) return time.getTime();
  if (typeof time === "string") return nowMs + durationMs(owner, key, time, LONGEST_DAYS);
  if (typeof time === "number" && time >= 0 && time <= LONGEST_DAYS * 86_400) return nowMs + time * 1000;
  const got = typeof time === "number" || time instanceof Date ? `\`${String(time)}\`` : describeType(time);
  throw new RangeError(
    `Expected the ${key} of ${owner} to be seconds (0 or more), a duration such as "90s", "2h" or "3d", or a valid Date, got ${got}`,
  );
}

/** The name of a signal, if it can be one. */
export function checkSignal(owner: string, name: unknown): string {
  if (typeof name === "string" && SIGNAL.test(name)) return name;
  const got = typeof name === "string" ? `\`${name.slice(0, 64)}\`` : describeType(name);
  throw new TypeError(
    `Expected the signal of ${owner} to be a name (up to 64 letters, digits, dots, dashes or underscores), got ${got}`,
  );
}
