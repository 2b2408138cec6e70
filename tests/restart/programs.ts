import { decode } from "../../src/core/codec.ts";
import { type Comparable, comparable, type End, endInMemory, type Written } from "../durable/programs/ends.ts";
import { written } from "../durable/programs/index.ts";
import { finish, type Run, start, unlessAnswered } from "./client.ts";
import type { Site } from "./server.ts";

/** How programs ended, by their names. */
export type Ends = Map<string, Comparable>;

export async function endsInMemory(): Promise<Ends> {
  const ends = written.map(async (program) => {
    return [program.name, comparable(program, await endInMemory(program))] as const;
  });
  return new Map(await Promise.all(ends));
}

/** Programs as runs of one server. A run has a key, so that it is one however often it is started. */
export class Runs {
  readonly ends: Ends = new Map();
  /** How many kills found each program under way. */
  readonly kills = new Map<string, number>();
  /** The key of each program's latest run. */
  readonly #keys = new Map<string, number>();
  readonly #site: Site;
  readonly #programs: readonly Written[];
  readonly #accepted = new Set<string>();

  constructor(site: Site, programs: readonly Written[]) {
    this.#site = site;
    this.#programs = programs;
  }

  /** How many runs were accepted, and how many have ended. */
  get progress(): number {
    return this.#accepted.size + this.ends.size;
  }

  /** Runs a program that ended before any kill found it under way once more. */
  repeatWhatWasSpared(): void {
    for (const name of [...this.ends.keys()].filter((name) => !this.kills.has(name))) {
      this.ends.delete(name);
      this.#accepted.delete(name);
      this.#keys.set(name, (this.#keys.get(name) ?? 0) + 1);
    }
  }

  /** Starts what has not ended, all at once, and hears how it ends. Resolves when there is no more to hear: the server may be gone. */
  async attend(): Promise<void> {
    const open = this.#programs.filter(({ name }) => !this.ends.has(name));
    const unexpected = (name: string) => (error: Error) => void this.ends.set(name, unexpectedEnd(error));
    await Promise.all(
      open.map((program) => this.#attend(program).catch(unlessAnswered).catch(unexpected(program.name))),
    );
  }

  async kill(): Promise<void> {
    for (const name of this.#accepted) {
      if (!this.ends.has(name)) this.kills.set(name, (this.kills.get(name) ?? 0) + 1);
    }
    await this.#site.kill();
  }

  async #attend(program: Written): Promise<void> {
    const { name, input } = program;
    const flow = encodeURIComponent(name);
    const key = String(this.#keys.get(name) ?? 0);
    await start(this.#site.url, flow, input, key);
    this.#accepted.add(name);
    const run = await finish(this.#site.url, flow, input, key);
    this.ends.set(name, comparable(program, endOf(run)));
  }
}

/** An answer that no run should give, or none within a minute. */
function unexpectedEnd({ name, message }: Error): Comparable {
  return { end: { error: { name, message } }, outline: [] };
}

function endOf({ status, action, output, error }: Run): End {
  if (status === "completed") return { shared: decode(output as string), action };
  return { error: { name: error?.name ?? "", message: error?.message ?? "" } };
}
