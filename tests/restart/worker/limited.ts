import {
  type BaseNode,
  type ExecContext,
  Flow,
  type NodeOptions,
  ParallelBatchNode,
  RateLimitedError,
} from "../../../src/index.ts";

// The flows that share limits. Each test has a limit of its own, and the vendor an account for it.

// A machine that is busy with other things takes longer to carry a call to the vendor: `transitMs` is for that. It costs no
// call that ends before it is up.

export const LIMITS = {
  fast: { requests: 50, per: "1s", concurrency: 20, transitMs: 250 },
  long: { requests: 100, per: "4s", concurrency: 20 },
  slow: { requests: 50, per: "1s", concurrency: 200, transitMs: 100 },
  tokens: { tokens: 10_000, per: "1s", concurrency: 20 },
  keyed: { requests: 50, per: "1s", concurrency: 20, transitMs: 250 },
  cool: { requests: 1_000, per: "1s", concurrency: 10 },
  fair: { requests: 20, per: "1s" },
  five: { concurrency: 5 },
  patched: { requests: 2, per: "10s" },
} as const;

/** What the vendor answers to a call. */
export interface Reply {
  tokens: number;
}

export interface Work {
  name: string;
  count: number;
  /** The vendor's accounts that are called, in turn. */
  accounts: string[];
}

interface Question {
  item: string;
  account: string;
}

/** Calls the vendor. Rejects with a RateLimitedError when it refuses. */
export type Call = (question: Question, context: ExecContext) => Promise<Reply>;

/** The Worker's way to a vendor with accounts. */
export function caller(vendorUrl: string): Call {
  return async ({ item, account }, { idempotencyKey }) => {
    const response = await fetch(`${vendorUrl}/calls/${account}`, {
      method: "POST",
      headers: { "idempotency-key": idempotencyKey },
      body: JSON.stringify({ item }),
    });
    const reply = (await response.json()) as Reply;
    if (response.status === 429) throw RateLimitedError.from(response);
    if (!response.ok) throw new Error(`The vendor answered ${response.status}`);
    return reply;
  };
}

/** The vendor is called about each item. One attempt: a refusal that spent it would fail the run. */
class Calls extends ParallelBatchNode<Work, Record<string, never>, Question, number> {
  private readonly call: Call;

  constructor(call: Call, options: NodeOptions) {
    super({ concurrency: 50, ...options });
    this.call = call;
  }

  override prep({ name, count, accounts }: Work) {
    const account = (index: number) => accounts[index % accounts.length] as string;
    return Array.from({ length: count }, (_, index) => ({ item: `${name} ${index}`, account: account(index) }));
  }

  override async exec(question: Question, context?: ExecContext) {
    const { tokens } = await this.call(question, context as ExecContext);
    context?.settle(tokens);
    return tokens;
  }
}

/** All flows by name, over one vendor. */
export function limitedFlows(call: Call): { [name: string]: () => BaseNode } {
  const calls = (options: NodeOptions) => () => new Flow(new Calls(call, options));
  return {
    fast: calls({ limit: "fast" }),
    alsoFast: calls({ limit: "fast" }),
    long: calls({ limit: "long" }),
    slow: calls({ limit: "slow", concurrency: 200 }),
    tokens: calls({ limit: { name: "tokens", tokens: () => 100 } }),
    keyed: calls({ limit: { name: "keyed", key: ({ account }: Question) => account } }),
    cool: calls({ limit: "cool" }),
    fair: calls({ limit: "fair" }),
    five: calls({ limit: "five" }),
    patched: calls({ limit: "patched" }),
  };
}
