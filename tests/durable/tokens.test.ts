import { beforeEach, describe, expect, it } from "vitest";
import { chunked, pieces, setOptions } from "./chunk-pieces.ts";
import { HandRun } from "./executor.ts";
import { tasks } from "./flows.ts";
import { newStage } from "./stage.ts";
import { crash, getRun, post, ran, runOf } from "./support.ts";

beforeEach(() => {
  newStage();
  setOptions({});
});

async function tokensOf(id: string): Promise<number> {
  return (await getRun(id)).tokens;
}

describe("what calls say that they have used", () => {
  it("is counted in their run, with a limit or without one", async () => {
    chunked.settles = 100;
    const { id } = await ran("chunked", { pieces: pieces(5) });
    expect(await tokensOf(id)).toBe(500);
    await crash(runOf(id));
    expect(await tokensOf(id)).toBe(500);
  });

  it("is that of each call once, for however many items it was, and of those that failed too", async () => {
    setOptions({ batchSize: 3, maxRetries: 2 });
    chunked.settles = 40;
    const { id } = await ran("chunked", { pieces: pieces(6, { 4: { spoils: 1 } }) });
    expect(chunked.calls).toHaveLength(3);
    expect(await tokensOf(id)).toBe(120);
  });

  it("is nothing where none says so, and goes on with a redrive", async () => {
    setOptions({ onItemError: "collect" });
    const { id } = await ran("chunked", { pieces: pieces(3, { 1: { errors: 9 } }) });
    expect(await tokensOf(id)).toBe(0);
    chunked.settles = 7;
    expect((await post(`/runs/${id}/retry`)).status).toBe(202);
    await expect.poll(() => tokensOf(id)).toBe(7);
  });

  it("is counted once though its report comes again, and not where another executor has the item", async () => {
    const run = await HandRun.start("by hand", tasks(3));
    const [order] = await run.orders(1);
    const first = await run.entered(order as never, "first");
    const [one, two] = first.given as [number, number];
    await first.unheard({ done: [one], failed: [two], tokens: 10 });
    await first.report({ done: [one], failed: [two], tokens: 10 });
    expect(await tokensOf(run.id)).toBe(20);
    const second = await run.entered(order as never, "second", 2);
    await first.report({ failed: [2], tokens: 10 });
    expect(await tokensOf(run.id)).toBe(20);
    const { given } = second;
    expect(given.length).toBeGreaterThan(0);
    await second.report({ done: given, tokens: 1 });
    expect(await tokensOf(run.id)).toBe(20 + given.length);
    await post(`/runs/${run.id}/cancel`);
  });
});
