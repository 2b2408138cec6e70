import type { Order } from "../../src/durable/protocol.ts";

// What the Worker under test tells the tests. Calls to come and pull that reach no executor are kept here: a test answers them.

/** The names of the run objects that were loaded, in order. */
export const woken: string[] = [];

const orders = new Map<string, Order[]>();

export function isByHand(body: unknown): body is Order {
  return (body as Order | undefined)?.flow?.startsWith("by hand") === true;
}

export function keepOrder(order: Order): void {
  ordersOf(order.run).push(order);
}

export function ordersOf(run: string): Order[] {
  const known = orders.get(run) ?? [];
  orders.set(run, known);
  return known;
}
