import { describe, expect, it } from "vitest";
import { toFailure } from "../../src/core/errors.ts";
import { written } from "./programs/index.ts";
import { ran, storedOutput } from "./support.ts";

interface End {
  shared?: unknown;
  action?: string | null;
  error?: { name: string; message: string };
}

async function endInMemory({ make, input }: (typeof written)[number]): Promise<End> {
  const shared = structuredClone(input);
  try {
    const action = await make().run(shared);
    return { shared, action: action || null };
  } catch (error) {
    const { name, message } = toFailure(error);
    return { error: { name, message } };
  }
}

async function endOfRun({ name, input }: (typeof written)[number]): Promise<End> {
  const { id, status, action, error } = await ran(name, input);
  if (status !== "completed") return { error: { name: error?.name ?? "", message: error?.message ?? "" } };
  return { shared: await storedOutput(id), action };
}

describe("a durable run ends as the flow in memory does", () => {
  it.each(written.map((program) => [program.name, program] as const))("%s", async (_, program) => {
    const inMemory = await endInMemory(program);
    expect(inMemory.error?.message).toBe(program.fails);
    expect(await endOfRun(program)).toStrictEqual(inMemory);
  });
});
