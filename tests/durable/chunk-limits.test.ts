import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Chunks } from "../../src/durable/chunks.ts";
import { ChunkNeeds, StepNeeds, type StoredNeeds } from "../../src/durable/needs.ts";
import type { LimitUse, NodeOptions } from "../../src/index.ts";
import { chunked, type Piece, type Pieced, pieces, setOptions } from "./chunk-pieces.ts";
import { atRest, change, limitOf, newKey, seen } from "./limited.ts";
import { itemsOf, redriven } from "./redriving.ts";
import { newStage, type Stage } from "./stage.ts";
import { call, crash, finished, ran, runOf, start } from "./support.ts";

let stage: Stage;
let key: string;
beforeEach(() => {
  stage = newStage();
  key = newKey();
});
afterEach(() => {
  vi.restoreAllMocks();
});

const at = (name: string): LimitUse<Piece> => ({ name, key: (piece) => piece.key ?? "" });
const counted: LimitUse<Piece> = { ...at("counted"), tokens: ({ tokens = 0 }) => tokens };
const range = (count: number) => Array.from({ length: count }, (_, n) => n);
const lists = () => chunked.calls.map(({ items }) => items).sort((a, b) => (a[0] ?? 0) - (b[0] ?? 0));
const limited = (limit: NodeOptions<Piece>["limit"], options: NodeOptions<Piece>) =>
  setOptions({ ...options, ...(limit === undefined ? {} : { limit }) });

describe("a call for many items", () => {
  it("counts once against a limit's requests, and waits with all of them, deferred", async () => {
    limited(at("hourly"), { batchSize: 4 });
    const { id } = await start("chunked", { pieces: pieces(18, {}, { key }) });
    const waiting = await seen(id, { status: "waiting", items: { succeeded: 12, deferred: 6, pending: 0 } });
    expect(waiting.executions).toBe(3);
    expect(await limitOf("hourly", key)).toMatchObject({ used: { requests: 3 }, inFlight: 0, waiting: 2 });
    expect((await itemsOf(id)).map(({ status, attempts }) => `${status} ${attempts}`)).toEqual([
      ...Array(12).fill("succeeded 1"),
      ...Array(6).fill("deferred 0"),
    ]);
    await crash(runOf(id));
    await seen(id, { status: "waiting", items: { succeeded: 12, deferred: 6 } });
    await change("hourly", key, { requests: 100 });
    expect(await finished(id)).toMatchObject({ status: "completed", executions: 5 });
    expect(lists()).toEqual([
      [0, 1, 2, 3],
      [4, 5, 6, 7],
      [8, 9, 10, 11],
      [12, 13, 14, 15],
      [16, 17],
    ]);
    await atRest("hourly", key);
  });

  it("says when it is tried again: each of its own items alone, and not those behind, which wait for a permit", async () => {
    limited(at("hourly"), { batchSize: 4, maxRetries: 2, wait: 3600 });
    const { id } = await start("chunked", { pieces: pieces(18, { 9: { spoils: 1 } }, { key }) });
    await seen(id, { status: "waiting", items: { succeeded: 8, deferred: 10 } });
    const nextOf = async (index: number) => {
      const [{ step } = { step: 0 }] = await itemsOf(id);
      return (await (await call(`/runs/${id}/items/${step}/${index}`)).json<{ nextAt: string | null }>()).nextAt;
    };
    const nexts = await Promise.all([7, 8, 9, 11, 12, 17].map(nextOf));
    const due = expect.stringMatching(/^20/);
    expect(nexts).toEqual([null, due, due, due, null, null]);
    expect(new Set(nexts).size).toBe(2);
  });

  it("takes one place of a limit's concurrency", async () => {
    limited(at("pair"), { batchSize: 3 });
    const { id } = await start("chunked", { pieces: pieces(12, {}, { key, gate: "go" }) });
    await stage.until(() => chunked.calls.length === 2);
    await seen(id, { items: { running: 6, deferred: 6 } });
    expect(await limitOf("pair", key)).toMatchObject({ inFlight: 2, waiting: 2 });
    stage.open("go");
    expect(await finished(id)).toMatchObject({ status: "completed", executions: 4 });
    await atRest("pair", key);
  });

  it("takes the tokens of its items together, and gives back what it did not use", async () => {
    limited(counted, { batchSize: 3 });
    const { id } = await start("chunked", { pieces: pieces(7, {}, { key, tokens: 150, gate: "go" }) });
    await stage.until(() => chunked.calls.length === 2);
    // 450 and 450 of 1,000; the last would need 150.
    await seen(id, { items: { running: 6, deferred: 1 } });
    expect(await limitOf("counted", key)).toMatchObject({ used: { tokens: 900 }, inFlight: 2, waiting: 1 });
    chunked.settles = 100;
    stage.open("go");
    await seen(id, { items: { succeeded: 6 } });
    await crash(runOf(id));
    await seen(id, { items: { succeeded: 6 } });
    expect(lists()).toHaveLength(2);
  });

  it("settles what it has used for all of its items", async () => {
    limited(counted, { batchSize: 3 });
    chunked.settles = 100;
    const run = await ran("chunked", { pieces: pieces(6, {}, { key, tokens: 150 }) });
    expect(run).toMatchObject({ status: "completed", executions: 2 });
    await atRest("counted", key);
    expect(await limitOf("counted", key)).toMatchObject({ used: { tokens: 200 } });
  });

  it("has items of one key alone, in their order, whatever others are between them", async () => {
    limited(at("wide"), { batchSize: 3 });
    const other = newKey();
    const list = [..."aaabbaaaab"].map((letter, n): Piece => ({ n, key: letter === "a" ? key : other }));
    const run = await ran("chunked", { pieces: list });
    expect(run).toMatchObject({ status: "completed", output: { results: range(10).map((n) => 10 * n) } });
    expect(lists()).toEqual([[0, 1, 2], [3, 4], [5], [6, 7, 8], [9]]);
  });

  it("of several limits has items that share the keys of all", async () => {
    const second: LimitUse<Piece> = { name: "trio", key: ({ text = "" }) => text };
    limited([at("wide"), second], { batchSize: 4 });
    const [one, two] = [newKey(), newKey()];
    const list = ["1", "1", "2", "2", "2", "1"].map((text, n): Piece => ({ n, key, text: text === "1" ? one : two }));
    await ran("chunked", { pieces: list });
    expect(lists()).toEqual([[0, 1], [2, 3], [4], [5]]);
  });

  it("keeps none of another key waiting", async () => {
    limited(at("hourly"), { batchSize: 2 });
    const other = newKey();
    const { id } = await start("chunked", {
      pieces: [...pieces(10, {}, { key }), ...range(4).map((at) => ({ n: 10 + at, key: other }))],
    });
    await seen(id, { status: "waiting", items: { succeeded: 10, deferred: 4 } });
    expect(lists()).toEqual([
      [0, 1],
      [2, 3],
      [4, 5],
      [10, 11],
      [12, 13],
    ]);
  });

  it("keeps neither half of what is split waiting behind another key", async () => {
    limited(at("hourly"), { batchSize: 2, split: true, onItemError: "collect" });
    const other = newKey();
    const { id } = await start("chunked", {
      pieces: [...pieces(10, {}, { key }), { n: 10, key: other, spoils: 9 }, { n: 11, key: other }],
    });
    await seen(id, { status: "waiting", items: { succeeded: 7, failed: 1, deferred: 4 } });
    expect(
      lists()
        .slice(3)
        .sort((a, b) => b.length - a.length || (a[0] ?? 0) - (b[0] ?? 0)),
    ).toEqual([...[[10, 11], [10], [11]]]);
  });

  it("that its vendor refuses costs no attempt, and is made again with the same items and key", async () => {
    limited(at("wide"), { batchSize: 3, onItemError: "collect" });
    const run = await ran("chunked", { pieces: pieces(3, { 1: { refused: 2 } }, { key }) });
    expect(run).toMatchObject({ status: "completed", items: { succeeded: 3 }, executions: 3 });
    expect(lists()).toEqual(Array(3).fill([0, 1, 2]));
    expect(new Set(chunked.calls.map((call) => call.key)).size).toBe(1);
    expect(chunked.calls.map(({ attempt }) => attempt)).toEqual([1, 1, 1]);
    expect((await itemsOf(run.id)).map(({ attempts }) => attempts)).toEqual([1, 1, 1]);
    await atRest("wide", key);
  });

  it("that its vendor refuses, where there is no limit, is an attempt", async () => {
    limited(undefined, { batchSize: 3, onItemError: "collect", maxRetries: 2 });
    const run = await ran("chunked", { pieces: pieces(3, { 1: { refused: 9 } }) });
    expect(run).toMatchObject({ items: { failed: 3 }, executions: 2 });
  });

  it("of which only some are tried again needs no more than these", async () => {
    limited(counted, { batchSize: 3, maxRetries: 2 });
    const { id } = await ran("chunked", { pieces: pieces(3, { 1: { errors: 1 } }, { key, tokens: 250 }) });
    expect(lists()).toEqual([[0, 1, 2], [1]].sort((a, b) => (a[0] ?? 0) - (b[0] ?? 0)));
    await atRest("counted", key);
    // 750 twice would be more than there is: an hour would pass.
    expect((await itemsOf(id)).map(({ status }) => status)).toEqual(Array(3).fill("succeeded"));
  });
});

describe("a chunk with more tokens than its limit ever has", () => {
  it("is halved until each call may be made, though its node does not split what fails", async () => {
    limited(counted, { batchSize: 8 });
    const { id } = await start("chunked", { pieces: pieces(8, {}, { key, tokens: 200 }) });
    await seen(id, { status: "waiting", items: { succeeded: 4, deferred: 4 } });
    expect(lists()).toEqual([[0, 1, 2, 3]]);
    expect(await limitOf("counted", key)).toMatchObject({ used: { requests: 1, tokens: 800 } });
    await crash(runOf(id));
    await seen(id, { status: "waiting", items: { succeeded: 4, deferred: 4 } });
  });

  it("is halved down to the one item that is too large by itself, which fails alone, with the LimitError", async () => {
    limited(counted, { batchSize: 4, onItemError: "collect" });
    const run = await ran("chunked", { pieces: pieces(4, { 2: { tokens: 1001 } }, { key, tokens: 10 }) });
    expect(run).toMatchObject({ status: "completed", items: { succeeded: 3, failed: 1 } });
    expect((run.output as Pieced).results).toEqual([
      ...[0, 10],
      expect.stringContaining("Expected item 2 to need at most the 1000 tokens"),
      30,
    ]);
    expect(lists()).toEqual([[0, 1], [3]]);
    expect((await itemsOf(run.id))[2]).toMatchObject({ status: "failed", attempts: 0, error: { name: "LimitError" } });
    await atRest("counted", key);
  });

  it("fails its run by that item alone where no failure is collected, and takes it up again", async () => {
    limited(counted, { batchSize: 4, concurrency: 1 });
    const run = await ran("chunked", { pieces: pieces(4, { 3: { tokens: 1001 } }, { key, tokens: 10 }) });
    expect(run).toMatchObject({ status: "failed", error: { name: "LimitError", index: 3 }, items: { failed: 1 } });
    limited(undefined, { batchSize: 4 });
    await crash(runOf(run.id));
    expect(await redriven(run.id)).toMatchObject({ status: "completed", items: { succeeded: 4 } });
  });

  it("of which the needs of one item cannot be told leaves that out: it fails by itself", async () => {
    const foul: LimitUse<Piece> = { ...at("counted"), tokens: ({ tokens }) => tokens as number };
    limited(foul, { batchSize: 4, onItemError: "collect" });
    const list = pieces(4, {}, { key, tokens: 10 }).map((piece) => (piece.n === 1 ? { n: 1, key } : piece));
    const run = await ran("chunked", { pieces: list });
    expect(run).toMatchObject({ items: { succeeded: 3, failed: 1 } });
    expect(lists()).toEqual([[0], [2, 3]]);
    expect((await itemsOf(run.id))[1]).toMatchObject({ status: "failed", error: { name: "LimitError" } });
  });
});

describe("what a chunk needs", () => {
  const stored: StoredNeeds[] = [..."aabbb"].map((letter, index) => [letter, index + 1, "", 10]);
  const limits: LimitUse[] = [
    { name: "one", key: String, tokens: Number },
    { name: "two", tokens: Number },
  ];
  const pages = {
    needs: (_: number, index: number) => ({
      first: index < 3 ? 0 : 3,
      needs: index < 3 ? stored.slice(0, 3) : stored.slice(3),
    }),
    allNeeds: () => stored,
  };

  it("is what its open items need together, of each limit", () => {
    const items = new StepNeeds(pages, 1, limits);
    const chunks = new Chunks(5, 5, new Set(), items.chunkKeys());
    const needs = new ChunkNeeds(chunks, items);
    expect(chunks.count).toBe(2);
    expect(needs.of(1)).toEqual({
      all: [
        { limit: "one", key: "b", tokens: 3 + 4 + 5 },
        { limit: "two", key: "", tokens: 30 },
      ],
      fault: null,
    });
    chunks.settle(3);
    expect(needs.of(1).all.map(({ tokens }) => tokens)).toEqual([3 + 5, 20]);
    expect(needs.lineKeys()).toEqual([needs.lineKey(0), needs.lineKey(1)]);
    expect(needs.lineKey(0)).not.toBe(needs.lineKey(1));
  });

  it("is one request where items do not differ", () => {
    const items = new StepNeeds(pages, 1, [{ name: "one" }]);
    expect([items.chunkKeys(), items.lineKeys()]).toEqual([null, null]);
    const needs = new ChunkNeeds(new Chunks(5, 5, new Set(), null), items);
    expect(needs.of(0)).toEqual({ all: [{ limit: "one", key: "", tokens: 0 }], fault: null });
    expect(needs.lineKeys()).toBeNull();
  });
});
