import type { Order } from "../../src/durable/protocol.ts";

// Calls to come and pull that reach no executor: they are kept here, and a test answers in its place.

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
