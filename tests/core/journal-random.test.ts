import { test } from "@fast-check/vitest";
import fc from "fast-check";
import { describe, expect } from "vitest";
import { teachStructuredClone } from "../../src/core/clone.ts";
import { decode, encode } from "../../src/core/codec.ts";
import { Journal } from "../../src/core/journal.ts";
import { expectAlike } from "./journal-twin.ts";
import { begin, type Command, commands, World } from "./journal-world.ts";

type Action = "write" | "snapshot" | "close" | "restart";

const steps = fc.oneof(
  { weight: 8, arbitrary: commands },
  { weight: 2, arbitrary: fc.constantFrom<Action>("write", "write", "write", "snapshot", "close", "restart") },
);

/** A program on a journal, and the same program on a plain twin. */
class Pair {
  #plain: object = begin();
  #journal = new Journal({ shared: begin() });
  #snapshot = this.#journal.snapshot();
  #entries: string[] = [];
  #writer = 0;
  #last = 1;
  readonly #worlds = [this.#world(), new World(() => this.#plain)];

  #world(): World {
    return new World((writer) => {
      const { shared } = this.#journal.root as { shared: object };
      return this.#journal.view(writer + this.#writer)(shared);
    });
  }

  do(step: Action | Command): void {
    if (typeof step === "string") this[step]();
    else this.#run(step);
  }

  #run(command: Command): void {
    // A run asks after a hook when that suspends or ends, and only then can another go on.
    if (command.writer !== this.#last) this.#journal.check(this.#last + this.#writer);
    this.#last = command.writer;
    for (const world of this.#worlds) world.do(command);
  }

  write(): void {
    const writers = Array.from({ length: this.#writer + 3 }, (_, index) => this.#journal.hasWritten(index + 1));
    const entry = this.#journal.write();
    if (entry !== null) {
      expect(writers).toContain(true);
      this.#entries.push(entry);
    }
    this.#compare();
  }

  snapshot(): void {
    this.#snapshot = this.#journal.snapshot();
    this.#entries = [];
    this.#compare();
  }

  close(): void {
    for (const writer of [1, 2, 3]) {
      this.#journal.close(writer + this.#writer);
      for (const world of this.#worlds) world.forget(writer);
    }
    this.#writer += 3;
    this.write();
  }

  /** The journal is lost, and read back. Neither it nor the codec keeps that an object is frozen, or a key hidden. */
  restart(): void {
    this.close();
    this.#plain = decode(encode(this.#plain, "shared")) as object;
    this.#journal = Journal.read(this.#snapshot, this.#entries);
  }

  #compare(): void {
    const { shared } = Journal.read(this.#snapshot, this.#entries).root as { shared: unknown };
    expectAlike(shared, this.#plain);
    expectAlike((this.#journal.root as { shared: unknown }).shared, this.#plain);
  }
}

describe("what is read back", () => {
  test.prop([fc.array(steps, { maxLength: 60, size: "max" })], { numRuns: 80 })(
    "is the graph as it was, whatever hooks did to it",
    (program) => {
      teachStructuredClone();
      const pair = new Pair();
      for (const step of program) pair.do(step);
      pair.write();
    },
  );
});
