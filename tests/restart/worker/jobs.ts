import {
  type BatchApiOptions,
  Flow,
  type NonIterableObject,
  OpenAiBatchNode,
  type Outcome,
} from "../../../src/index.ts";

// The flows that give their items to a vendor's batch API.

/** What opens the vendor's API. It is to be seen nowhere else. */
export const VENDOR_KEY = "sk-restart-7f3b0c9d2e5a8146";

export interface Texts {
  texts: string[];
  /** Of each summary so many characters are kept. Default: all. */
  kept?: number;
  /** For each text its summary, or what went wrong. */
  summaries?: string[];
}

class Summaries extends OpenAiBatchNode<Texts, NonIterableObject, string> {
  constructor(url: string, options: BatchApiOptions) {
    super({ ...options, api: { url: `${url}/v1`, key: () => VENDOR_KEY } });
  }

  override prep({ texts }: Texts) {
    return texts;
  }

  override request(text: string) {
    return { model: "tiny", messages: [{ role: "user", content: text }] };
  }

  override post(shared: Texts, _: unknown, results: unknown[]) {
    const words = (results as (string | Outcome<string>)[]).map((result) => {
      if (typeof result === "string") return result;
      return result.ok ? result.value : result.error.message;
    });
    shared.summaries = words.map((each) => each.slice(0, shared.kept));
  }
}

/** Half a second and one second: the tests' hours. */
const POLL = { wait: 0.5, backoff: 1.5, maxWait: 1 };

const COLLECTING = { concurrency: 3, maxRetries: 2, onItemError: "collect", poll: POLL } as const;

/** A flow, and how long its runs may take. */
interface Entry {
  flow: () => Flow<Texts>;
  deadline?: string;
}

/** All flows by name, over one vendor. */
export function jobFlows(vendorUrl: string): { [name: string]: Entry } {
  const summaries = (options: BatchApiOptions) => () => new Flow<Texts>(new Summaries(vendorUrl, options));
  const long = { concurrency: 3, batchSize: 10, poll: { wait: 3600, maxWait: 3600 } };
  return {
    "three days": { flow: summaries({ ...COLLECTING, batchSize: 100 }) },
    jobs: { flow: summaries({ ...COLLECTING, batchSize: 10 }) },
    "one job": { flow: summaries({ ...COLLECTING, batchSize: 10_000 }) },
    "first failure": { flow: summaries({ concurrency: 3, batchSize: 10, poll: POLL }) },
    "long jobs": { flow: summaries(long) },
    "jobs in time": { flow: summaries(long), deadline: "4s" },
  };
}
