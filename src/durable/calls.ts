import { pull } from "./executor.ts";
import type { Order, RunPort } from "./protocol.ts";
import type { Registered } from "./registry.ts";
import type { Slot, Wake } from "./slots.ts";

/** How calls leave a run's object for its executors. */
export interface ExecutorPorts {
  object(order: Order): Promise<unknown>;
  queue(order: Order): Promise<unknown>;
  /** Tells the executor object of a slot that there is more to do. */
  nudge(run: string, slot: number): Promise<unknown>;
}

/** What is known of the run that calls. */
export interface Caller {
  run: string;
  flow: Registered;
  flowName: string;
  /** The run itself, for items that are executed where it is. */
  port: RunPort;
  waitUntil(promise: Promise<unknown>): void;
}

/** A run's calls to its executors. Each may be lost: what must not be is sent again by the heartbeat. */
export class Calls {
  readonly #caller: Caller;
  readonly #ports: ExecutorPorts;
  #nudgeInline: (() => void) | undefined;

  constructor(caller: Caller, ports: ExecutorPorts) {
    this.#caller = caller;
    this.#ports = ports;
  }

  wake({ slot, wake, home }: Wake): void {
    const { run, flowName, flow, waitUntil } = this.#caller;
    const order = { run, flow: flowName, version: flow.version, slot, wake };
    const sent = home === "inline" ? this.#pullInline(order) : this.#ports[home](order);
    waitUntil(sent.catch((error) => console.warn({ message: "A wake was not sent", run, slot, error: String(error) })));
  }

  /** Makes an executor report at once. One that cannot be reached reports before long by itself. */
  nudge({ id, home }: Slot): void {
    if (home === "inline") this.#nudgeInline?.();
    if (home === "object") this.#caller.waitUntil(this.#ports.nudge(this.#caller.run, id).catch(() => undefined));
  }

  /** A run's sole open item is executed where the run is, by the same loop, with calls that do not leave the object. */
  async #pullInline(order: Order): Promise<void> {
    const { flow, port, waitUntil: linger } = this.#caller;
    const reach = (nudge: () => void) => {
      this.#nudgeInline = nudge;
    };
    await pull({ order, flow, delivery: 1, claimMs: Number.POSITIVE_INFINITY, connect: () => port, linger, reach });
    this.#nudgeInline = undefined;
  }
}
