import { createScheduledController } from "cloudflare:test";
import { expect, type MockInstance, vi } from "vitest";
import { woken } from "../durable/orders.ts";
import { call, runOf } from "../durable/support.ts";
import { callbacks, SECRETS } from "../durable/triggering.ts";
import worker from "../durable/worker.ts";

/** A run as a list shows it. */
export interface Listed {
  id: string;
  flow: string;
  status: string;
  trigger: { type: string; name: string | null };
}

/** What was started since a moment, by whomever. */
export class Starts {
  readonly #known = new Set(woken);

  /** The ids of all run objects that were woken since, and never before. A start wakes its run's, whatever comes of it. */
  get ids(): string[] {
    return [...new Set(woken)].filter((id) => !this.#known.has(id));
  }

  /** The only one. */
  get id(): string {
    const { ids } = this;
    expect(ids).toHaveLength(1);
    return ids[0] as string;
  }

  /** Those in which there is a run: an object may be woken to be asked for one. */
  async runs(): Promise<string[]> {
    const { ids } = this;
    const views = await Promise.all(ids.map((id) => runOf(id).view()));
    return ids.filter((_, at) => views[at] !== null);
  }

  /** The only one. */
  async run(): Promise<string> {
    const runs = await this.runs();
    expect(runs).toHaveLength(1);
    return runs[0] as string;
  }
}

/** The runs that a trigger has started, as they are listed once the list has them all: newest first. */
export async function listed(type: string, name: string, count: number): Promise<Listed[]> {
  const list = async () => {
    const response = await call(`/runs?trigger=${type}&name=${name}&limit=1000`);
    expect(response.status).toBe(200);
    return (await response.json<{ runs: Listed[] }>()).runs;
  };
  await expect.poll(async () => (await list()).length, { interval: 20 }).toBeGreaterThanOrEqual(count);
  return list();
}

/** The platform delivers a cron. Rejects where the Worker throws. */
export function fire(cron: string, scheduledTime: number): Promise<void> {
  return worker.scheduled(createScheduledController({ cron, scheduledTime }));
}

/** Whatever is logged while a test runs: secrets must not be among it. */
export class Logs {
  readonly #spies: MockInstance[] = (["debug", "log", "info", "warn", "error"] as const).map((level) =>
    vi.spyOn(console, level),
  );

  end(): void {
    for (const spy of this.#spies) spy.mockRestore();
  }

  get text(): string {
    return this.#spies.flatMap(({ mock }) => mock.calls.flat().map((said) => textOf(said))).join("\n");
  }
}

function textOf(said: unknown): string {
  return typeof said === "string" ? said : `${JSON.stringify(said)} ${String(said)}`;
}

const ALL = [...Object.values(SECRETS), ...[callbacks.secret].flat().map(String)];

/** Neither as they are configured nor as they are used. */
export function expectNoSecretIn(text: string): void {
  for (const secret of ALL) {
    expect(text).not.toContain(secret);
    if (!secret.startsWith("whsec_")) continue;
    expect(text).not.toContain(secret.slice("whsec_".length));
    expect(text).not.toContain(atob(secret.slice("whsec_".length)));
  }
}
