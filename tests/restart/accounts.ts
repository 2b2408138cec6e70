import { join } from "node:path";
import { onTestFinished } from "vitest";
import { spawnGroup } from "../../demo/group.ts";
import type { AccountOptions, Now, Refusal } from "./limited-vendor.ts";
import { addressOf } from "./server.ts";
import type { Call } from "./windows.ts";

const PROCESS = join(import.meta.dirname, "limited-vendor.ts");

/** A vendor that holds accounts to their limits: a process of its own, so that no busy test or server bends its clock. */
export class LimitedVendor {
  readonly url: string;

  private constructor(url: string) {
    this.url = url;
  }

  /** Starts a vendor that ends when the test has finished. */
  static async open(accounts: { [name: string]: AccountOptions }): Promise<LimitedVendor> {
    const group = spawnGroup(PROCESS, [JSON.stringify(accounts)], { output: "pipe" });
    onTestFinished(() => group.kill());
    const vendor = new LimitedVendor(await addressOf(group));
    // A process is slow at what it has never done: that would make the first calls seem later than they were.
    for (let asked = 0; asked < 50; asked++) await vendor.now();
    return vendor;
  }

  /** The calls that have ended, of one account or of all. */
  async calls(account?: string): Promise<Call[]> {
    const calls = (await this.#get("/calls")) as Call[];
    return account === undefined ? calls : calls.filter((call) => call.account === account);
  }

  /** The moment by the vendor's clock, and how many calls it has had. */
  async now(): Promise<Now> {
    return (await this.#get("/now")) as Now;
  }

  /** Refuses an account's next call. */
  async refuseNext(account: string, refusal: Refusal): Promise<void> {
    const body = JSON.stringify(refusal);
    const { status } = await fetch(`${this.url}/refusals/${account}`, { method: "POST", body });
    if (status !== 204) throw new Error(`Expected 204, got ${status}`);
  }

  async #get(path: string): Promise<unknown> {
    const response = await fetch(this.url + path);
    if (!response.ok) throw new Error(`Expected 200 from ${path}, got ${response.status}`);
    return response.json();
  }
}
