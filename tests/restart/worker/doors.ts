import { type BaseNode, type ExecContext, Flow, Node, type Outcome, ParallelBatchNode } from "../../../src/index.ts";
import type { Ask } from "./flows.ts";

// What the doors of the Worker that is killed lead to, and the secrets on both sides of them. The tests read this too.

export const HOOK_SECRET = "whsec_UG9ja2V0RmxhcmUsIHRoZSBob29rJ3Mgc2VjcmV0";
export const CALLBACK_SECRET = "whsec_UG9ja2V0RmxhcmUsIHRoZSByZWNlaXZlcidzIG9uZQ==";
export const CRON = "0 6 * * *";

/** Of the items of a speech every fifth fails, after it has emitted. */
export const FAILING = 5;

export interface Speech {
  count: number;
  ms: number;
  said?: number;
}

interface Question {
  item: string;
  ms: number;
}

interface Word extends Question {
  isFailing: boolean;
}

/** Emits in each hook and for each item, some of which fail for good. */
class Speaking extends ParallelBatchNode<Speech, Record<string, never>, Word, string> {
  private readonly ask: Ask;

  constructor(ask: Ask) {
    super({ concurrency: 6, onItemError: "collect" });
    this.ask = ask;
  }

  override prep({ count, ms }: Speech) {
    this.emit("begins");
    return Array.from({ length: count }, (_, index) => ({
      item: `word ${index}`,
      ms,
      isFailing: index % FAILING === 0,
    }));
  }

  override async exec({ item, ms, isFailing }: Word, context?: ExecContext) {
    const { value } = await this.ask(item, ms, context as ExecContext);
    context?.emit(value);
    if (isFailing) throw new Error(`${item} is not said`);
    return value;
  }

  override post(shared: Speech, _: unknown, outcomes: Outcome<string>[]) {
    shared.said = outcomes.filter(({ ok }) => ok).length;
    this.emit("ends");
  }
}

class Closing extends Node<Speech> {
  override post({ said }: Speech) {
    this.emit(`${said} said`);
  }
}

/** Has one item, which is executed where the run is: nobody else has an alarm that would wake it. */
class Alone extends Node<Question, Record<string, never>, Question, string> {
  private readonly ask: Ask;

  constructor(ask: Ask) {
    super();
    this.ask = ask;
  }

  override prep({ item, ms }: Question) {
    return { item, ms };
  }

  override async exec({ item, ms }: Question, context?: ExecContext) {
    return (await this.ask(item, ms, context as ExecContext)).value;
  }
}

/** Every other item fails once, after the vendor has answered, and waits for its second attempt. */
class Hesitating extends ParallelBatchNode<Speech, Record<string, never>, Question, string> {
  private readonly ask: Ask;

  constructor(ask: Ask) {
    super({ maxRetries: 2, wait: 1 });
    this.ask = ask;
  }

  override prep({ count, ms }: Speech) {
    return Array.from({ length: count }, (_, index) => ({ item: `${index}`, ms }));
  }

  override async exec({ item, ms }: Question, context?: ExecContext) {
    const { value } = await this.ask(item, ms, context as ExecContext);
    if (context?.attempt === 1 && Number(item) % 2 === 0) throw new Error("not yet");
    return value;
  }
}

export function doorFlows(ask: Ask): { [name: string]: () => BaseNode } {
  const speech = () => {
    const speaking = new Speaking(ask);
    speaking.next(new Closing());
    return new Flow<Speech>(speaking);
  };
  return { speech, alone: () => new Flow(new Alone(ask)), hesitating: () => new Flow(new Hesitating(ask)) };
}
