import { pointerTo, type SchemaResult, type StandardSchema } from "../core/schema.ts";
import type { Started, StartRequest } from "../durable/answers.ts";
import type { Trigger } from "../durable/index-entry.ts";
import type { Registry } from "../durable/registry.ts";
import { digest, keyedRunId, newRunId } from "./ids.ts";
import { checkObject } from "./plain.ts";
import { type BodyError, MOST_ERRORS, Problem } from "./problem.ts";
import type { Runs } from "./runs.ts";

/** What is to be started, whoever asks for it. */
export interface StartOrder {
  flow: string;
  /** As it came: it is checked here. */
  input: unknown;
  /** Of what is started once however often it is asked for. Keys of different flows have nothing in common. */
  key: string | null;
  trigger: Trigger;
  /** The URL to be told when the run has ended. */
  callback: string | null;
}

/** The one door through which runs are started: by a request, a cron or a webhook. */
export class Starter {
  readonly #registry: Registry;
  readonly #runs: Runs;
  readonly #checkCallback: (url: unknown) => void;

  /** `checkCallback` throws for a URL that nothing may be sent to. */
  constructor(registry: Registry, runs: Runs, checkCallback: (url: unknown) => void) {
    this.#registry = registry;
    this.#runs = runs;
    this.#checkCallback = checkCallback;
  }

  /** Starts a run, or finds it started. Throws a problem for what is not valid; then nothing is started. */
  async start(order: StartOrder): Promise<Started> {
    const { flow, key } = order;
    const input = checkObject(order.input);
    const id = key === null ? newRunId() : await keyedRunId(flow, key);
    const inputDigest = key === null ? null : await digest(input);
    try {
      const valid = await checkInput(this.#registry.inputOf(flow), input);
      if (order.callback !== null) this.#checkCallback(order.callback);
      const given = valid === input ? {} : { given: JSON.stringify(input) };
      return await this.#start({ ...order, ...given, id, input: valid, inputDigest });
    } catch (error) {
      // What was accepted once is, though what is valid may have changed since.
      const found = key === null ? null : await this.#runs.call(id, (run) => run.find(inputDigest));
      if (found) return found;
      throw error;
    }
  }

  async #start(request: StartRequest): Promise<Started> {
    const { id, flow, input, given, inputDigest, trigger, callback } = request as Required<StartRequest>;
    const start = { id, flow, input, inputDigest, trigger, callback, ...(given === undefined ? {} : { given }) };
    const started = await this.#runs.call(id, (run) => run.start(start));
    if (started) return started;
    throw new Problem(503, `The run that had this key, ${id}, is being deleted: try again in a few seconds.`);
  }
}

/** What the flow's schema makes of its input. */
async function checkInput(schema: StandardSchema | undefined, input: object): Promise<unknown> {
  if (!schema) return input;
  const result = await validate(schema, input);
  if (!result.issues) return result.value;
  const errors: BodyError[] = result.issues
    .slice(0, MOST_ERRORS)
    .map(({ path, message }) => ({ pointer: pointerTo(path), detail: message }));
  const [first] = errors;
  const where = first?.pointer ? ` at ${first.pointer}` : "";
  throw new Problem(422, `The input is not what the flow takes${where}: ${first?.detail}`, errors);
}

async function validate(schema: StandardSchema, input: object): Promise<SchemaResult<unknown>> {
  try {
    return await schema["~standard"].validate(input);
  } catch (error) {
    // Of an input in which very much is wrong a library may make more than its stack can hold.
    if (error instanceof RangeError) return { issues: [{ message: `It cannot be checked: ${error.message}` }] };
    throw error;
  }
}
