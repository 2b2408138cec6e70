import { expect } from "vitest";
import { LimitedVendor } from "./accounts.ts";
import { finish, readItems, start } from "./client.ts";
import type { AccountOptions } from "./limited-vendor.ts";
import { Site } from "./server.ts";
import type { Work } from "./worker/limited.ts";

/** A server and the vendor that it calls. */
export interface Scene {
  vendor: LimitedVendor;
  site: Site;
}

/** A server that is up, and a vendor with these accounts. */
export async function open(accounts: { [name: string]: AccountOptions }): Promise<Scene> {
  const vendor = await LimitedVendor.open(accounts);
  const site = new Site(vendor.url);
  await site.start();
  return { vendor, site };
}

/** A run, and what it was started with. */
export interface Started {
  id: string;
  flow: string;
  work: Work;
}

/** Starts a run that calls the vendor so many times. What it calls is named after it. */
export async function startCalls(
  { site }: Scene,
  flow: string,
  name: string,
  count: number,
  accounts: string[],
): Promise<Started> {
  const work: Work = { name, count, accounts };
  const { run } = await start(site.url, flow, work, name);
  return { id: run.id, flow, work };
}

/** Waits for the runs to end. Every item has succeeded, and none has spent an attempt more than the one it needs. */
export async function expectAllSucceed({ site }: Scene, runs: readonly Started[]): Promise<void> {
  const last = await Promise.all(runs.map(({ flow, work }) => finish(site.url, flow, work, work.name)));
  for (const { id, status, items } of last) {
    expect({ id, status, items }).toMatchObject({ status: "completed", items: { succeeded: items.total, failed: 0 } });
    const ends = new Set((await readItems(site.url, id)).map(({ status, attempts }) => `${status}, ${attempts}`));
    expect([...ends]).toEqual(["succeeded, 1"]);
  }
}
