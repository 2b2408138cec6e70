import type { Order } from "../../src/durable/protocol.ts";
import { stage } from "./stage.ts";

// Runs that nobody executes: what they would tell an executor is kept here, and a test answers in its place.

const orders = new Map<string, Order[]>();

export function isByHand({ flow }: Order): boolean {
  return flow.startsWith("by hand");
}

export function keepOrder(order: Order): void {
  ordersOf(order.run).push(order);
  stage().say(`order for ${order.run}`);
}

export function ordersOf(run: string): Order[] {
  const known = orders.get(run);
  if (known) return known;
  orders.set(run, []);
  return ordersOf(run);
}

/** The run's latest order, once there are so many. */
export async function orderOf(run: string, count = 1): Promise<Order> {
  await stage().until(() => ordersOf(run).length >= count);
  return ordersOf(run).at(-1) as Order;
}
