// What the tests hold in their hands while a run goes on: whether its vendor answers, and whether it has recovered.

const POLL_MS = 20;

/** By run; a server that was killed has forgotten it. */
const released = new Set<string>();
const healed = new Set<string>();

/** The run of a call of exec, or of execBatch. */
export function runOf({ idempotencyKey }: { idempotencyKey: string }): string {
  return idempotencyKey.split(/[./]/)[0] as string;
}

export function release(run: string): void {
  released.add(run);
}

export function heal(run: string): void {
  healed.add(run);
}

export function isHealed(run: string): boolean {
  return healed.has(run);
}

/** Resolves once the test lets the run go, and rejects where it is canceled. */
export async function untilReleased(run: string, signal: AbortSignal): Promise<void> {
  while (!released.has(run)) {
    signal.throwIfAborted();
    await pause(POLL_MS);
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
