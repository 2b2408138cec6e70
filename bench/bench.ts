import { parseArgs } from "node:util";
import { Server } from "./server.ts";
import { Minimal, Pocketflare, type System, type Work, Workflows } from "./system.ts";
import { isWithinBound, printTable, type Row } from "./table.ts";

const usage = `Usage: npm run bench [-- --quick]

Measures Pocketflare beside a hand-written minimal pull loop and Cloudflare Workflows' local engine, all three on this
machine under \`wrangler dev\`. Exits with 1 when Pocketflare costs more than it promises.

  --quick   fewer items and repetitions, about a third of the time`;

interface Plan {
  /** How often each comparison is repeated; medians are shown. */
  pairs: number;
  /** The size of the big run whose cost per item must be that of a small one. */
  manyItems: number;
  workflowItems: number;
}

const plans: Record<"full" | "quick", Plan> = {
  full: { pairs: 5, manyItems: 100_000, workflowItems: 10_000 },
  quick: { pairs: 3, manyItems: 30_000, workflowItems: 1_000 },
};

const instant: Work = { items: 10_000, execMs: 0, perExecutor: 100 };
// By six, as is the default: a hundred timers in one object end a millisecond apart, which would be most of what is measured.
const sleep: Work = { items: 1_000, execMs: 100, perExecutor: 6 };

/** Branches of three nodes, of which each has one instant item. */
const branching = (branches: number): Work => ({ ...instant, items: 3 * branches, isBranching: true });

/** Runs that are not counted: the first ones measure how fast a runtime compiles, which no server does twice. */
const warmUps = 8;

const servers: Server[] = [];
let isInterrupted = false;

async function start(name: string): Promise<Server> {
  if (isInterrupted) throw new Error("Interrupted");
  console.error(`Starting ${name} …`);
  const server = new Server(name);
  servers.push(server);
  return server.ready();
}

/** A server runs only while it is measured: there are few cores. */
async function stopAll(): Promise<void> {
  await Promise.all(servers.map((server) => server.stop()));
  servers.length = 0;
}

interface Pair {
  minimal: number;
  pocketflare: number;
}

/** Both systems by turns, so that whatever else the machine does meets both. */
async function compare(minimal: System, pocketflare: System, work: Work, pairs: number): Promise<Pair> {
  console.error(`Measuring ${work.items} items of ${work.execMs} ms, ${work.perExecutor} to an executor …`);
  const walls: { minimal: number[]; pocketflare: number[] } = { minimal: [], pocketflare: [] };
  for (let pair = 0; pair < pairs; pair++) {
    walls.minimal.push(await minimal.wallMs(work));
    walls.pocketflare.push(await pocketflare.wallMs(work));
  }
  return { minimal: median(walls.minimal), pocketflare: median(walls.pocketflare) };
}

async function compareBoth(plan: Plan): Promise<Row[]> {
  const minimal = new Minimal(await start("minimal"));
  const pocketflare = new Pocketflare(await start("pocketflare"));
  const measure = (work: Work, pairs = plan.pairs) => compare(minimal, pocketflare, work, pairs);
  await measure(instant, warmUps);
  await measure(sleep, 1);
  const rows = await compareInstant(measure, plan);
  rows.push(...(await measureBranches(pocketflare, plan)));
  rows.push(row("1,000 items of 100 ms, executors of 6, ms", await measure(sleep), 1.1));
  rows.push(...(await compareCosts(minimal, pocketflare)), ...(await measureLimiter(pocketflare, plan)));
  return [...rows, memoryRow(minimal, pocketflare)];
}

/** How fast one limiter object grants permits that nothing holds back, and how many calls each costs. */
async function measureLimiter(pocketflare: Pocketflare, { pairs }: Plan): Promise<Row[]> {
  const rows: Row[] = [];
  for (const [name, work] of Object.entries({ instant, "100 ms": sleep })) {
    const limited = { ...work, isLimited: true };
    console.error(`Measuring ${work.items} items that need a permit …`);
    const walls: number[] = [];
    for (let run = 0; run < pairs; run++) walls.push(await pocketflare.wallMs(limited));
    const { limiterCallsPerItem } = await pocketflare.cost(limited);
    rows.push({ what: `permits granted per second (${name})`, pocketflare: (work.items * 1000) / median(walls) });
    rows.push({ what: `  limiter's calls per permit`, ratio: limiterCallsPerItem, bound: 0.1 });
  }
  return rows;
}

/** What an item of a branch costs beside one of a batch, and whether a branch costs the same among many. */
async function measureBranches(pocketflare: Pocketflare, { pairs }: Plan): Promise<Row[]> {
  const walls: { batch: number[]; branches: number[] } = { batch: [], branches: [] };
  const many = branching(10_000);
  console.error(`Measuring ${many.items} items of branches …`);
  for (let pair = 0; pair < pairs; pair++) {
    walls.batch.push((await pocketflare.wallMs(instant)) / instant.items);
    walls.branches.push((await pocketflare.wallMs(many)) / many.items);
  }
  const perItem = 1000 * median(walls.branches);
  const [few, most] = [await pocketflare.cost(branching(100)), await pocketflare.cost(many)];
  const flat = (what: string, of: "rowsPerItem" | "bytesPerItem"): Row[] => [
    { what: `  ${what} a branch, of 100`, pocketflare: 3 * few[of] },
    { what: `  ${what} a branch, of 10,000`, pocketflare: 3 * most[of], ratio: most[of] / few[of], bound: 1.1 },
  ];
  return [
    {
      what: "10,000 branches of three nodes, µs an item; beside a batch",
      pocketflare: perItem,
      ratio: perItem / (1000 * median(walls.batch)),
      bound: 3,
    },
    ...flat("rows written", "rowsPerItem"),
    ...flat("bytes stored", "bytesPerItem"),
  ];
}

/** What an item costs when its exec costs nothing, and whether it still costs that when there are many. */
async function compareInstant(measure: (work: Work) => Promise<Pair>, { manyItems }: Plan): Promise<Row[]> {
  const many = { ...instant, items: manyItems };
  const few = perItem(await measure(instant), instant);
  const bySix = perItem(await measure({ ...instant, perExecutor: 6 }), instant);
  const manyPerItem = perItem(await measure(many), many);
  return [
    row("10,000 instant items, one executor, µs an item", few, 2),
    row("  executors of 6", bySix),
    row(`${manyItems.toLocaleString("en-US")} instant items, one executor, µs an item`, manyPerItem),
    { what: "  pocketflare, beside its 10,000", ratio: manyPerItem.pocketflare / few.pocketflare, bound: 1.2 },
  ];
}

/** Counted in runs of their own, since counting takes time. */
async function compareCosts(minimal: System, pocketflare: System): Promise<Row[]> {
  const rows: Row[] = [];
  for (const [name, work] of Object.entries({ instant: instant, "100 ms": sleep })) {
    const least = await minimal.cost(work);
    const ours = await pocketflare.cost(work);
    rows.push({ what: `object calls per item (${name})`, minimal: least.callsPerItem, pocketflare: ours.callsPerItem });
    rows.push({ what: `rows written per item (${name})`, minimal: least.rowsPerItem, pocketflare: ours.rowsPerItem });
  }
  return rows;
}

async function measureWorkflows({ workflowItems }: Plan): Promise<Row> {
  const workflows = new Workflows(await start("workflows"));
  await workflows.wallMs({ ...instant, items: 200 });
  const wallMs = await workflows.wallMs({ ...instant, items: workflowItems });
  const what = `${workflowItems.toLocaleString("en-US")} instant items as steps, µs an item`;
  return { what, workflows: (wallMs * 1000) / workflowItems };
}

function memoryRow(minimal: System, pocketflare: System): Row {
  const what = "peak memory of the server, MB";
  return { what, minimal: minimal.server.peakMemoryMb(), pocketflare: pocketflare.server.peakMemoryMb() };
}

function row(what: string, pair: Pair, bound?: number): Row {
  return { what, ...pair, ratio: pair.pocketflare / pair.minimal, ...(bound === undefined ? {} : { bound }) };
}

function perItem({ minimal, pocketflare }: Pair, { items }: Work): Pair {
  return { minimal: (minimal * 1000) / items, pocketflare: (pocketflare * 1000) / items };
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return ((sorted[Math.floor((sorted.length - 1) / 2)] ?? 0) + (sorted[Math.ceil((sorted.length - 1) / 2)] ?? 0)) / 2;
}

function readPlan(): Plan | undefined {
  try {
    return parseArgs({ options: { quick: { type: "boolean" } } }).values.quick ? plans.quick : plans.full;
  } catch {
    console.error(usage);
    return undefined;
  }
}

async function main(): Promise<number> {
  const plan = readPlan();
  if (!plan) return 2;
  try {
    const rows = await compareBoth(plan);
    await stopAll();
    rows.push(await measureWorkflows(plan));
    printTable(rows);
    return rows.every(isWithinBound) ? 0 : 1;
  } catch (error) {
    if (!isInterrupted) throw error;
    return 130;
  } finally {
    await stopAll();
  }
}

/** Stopping the servers makes whatever `main` waits for fail, so that it ends by itself. */
function interrupt(): void {
  isInterrupted = true;
  void stopAll();
}

process.on("SIGINT", interrupt);
process.on("SIGTERM", interrupt);
// The last resort for an end that nobody foresaw: no server outlives the bench.
process.once("exit", () => {
  for (const server of servers) server.kill();
});
process.exitCode = await main();
