// An OpenAI-compatible vendor of batches that forgets nothing. As a module: `await BatchVendor.open(settings)`. As a process of its
// own: `node batch-vendor.ts SETTINGS` takes settings as JSON, or none, prints its address, and has no way to end but a signal.
//
//   POST /v1/files, GET /v1/files/ID/content, POST /v1/batches, GET /v1/batches[/ID], POST /v1/batches/ID/cancel
//   POST /v1/chat/completions  answers at once what a job's line would be
//   POST /control  takes a Control: settings are kept until they are set anew, the rest is done at once; answers with the counts
//   GET  /counts   all it has seen, as Counts
//
// A job has no clock: it goes on by a step each time it is asked for. What a line says decides what comes of it: FAIL_ONCE fails
// with 500 in the first job that has it, FAIL_ALWAYS in each, BAD_REQUEST with 400 and RATE_LIMIT with 429 in each, EMPTY is answered
// without a content. The results of a job stand in its files in reverse.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";

export interface BatchSettings {
  /** A job ends when it is asked for so many times; null: when it is told to. Default 3. */
  polls: number | null;
  /** Of a job that expires or is canceled: so many lines, its first, have an answer. Default: half of them, rounded down. */
  partial: number | null;
  /** Whether a create with an `Idempotency-Key` that came before is answered with the job of that. Default false, as OpenAI. */
  honoursKeys: boolean;
  /** Whether `GET /v1/batches` is known. Default true. */
  lists: boolean;
  /** Whether jobs keep their metadata. Default true. */
  keepsMetadata: boolean;
  /** Batches on a page at most. Default 100. */
  pageSize: number;
  /** `create`: a job is made, and its answer held back until this is null again. Default null. */
  hold: "create" | null;
  /** The key that calls must bear. Default: any, or none. */
  key: string | null;
  /** Files are sent in pieces of so many bytes. Default 1021. */
  pieceBytes: number;
  /** Whether the last line of a file ends. Default true. */
  endsLines: boolean;
}

/** How a job ends. */
export type Ending = "completed" | "expired" | "failed";
/** What a call can be. */
export type Place = "upload" | "create" | "list" | "poll" | "cancel" | "content" | "chat";

/** What the next calls are answered instead; `cut`: the connection ends, after so many bytes of a file or at once. */
export interface Refusal {
  place: Place;
  /** Default 1. */
  times?: number;
  status?: number;
  headers?: { [name: string]: string };
  /** As it is, or as JSON. */
  body?: unknown;
  cut?: number;
}

export interface Control extends Partial<BatchSettings> {
  refuse?: Refusal[];
  /** How the next jobs to be created will end, in turn; after these each is completed. */
  endings?: Ending[];
  /** Ends jobs now, by their ids, or all that run. */
  end?: string[] | "all";
  /** What the next files to be read have in them, in turn. */
  contents?: string[];
  /** Closes the connections of all answers that are held back. */
  hangUp?: true;
}

export interface SeenJob {
  id: string;
  /** Its `pocketflare_key`. */
  key: string | null;
  /** What each of its lines says, in order. */
  lines: string[];
  status: string;
  /** How often it was asked for. */
  polls: number;
}

export interface Counts {
  /** For each line, in how many jobs it was. */
  submitted: { [line: string]: number };
  jobs: SeenJob[];
  /** Every create that was taken, with the job that it was answered with, or would have been. */
  creates: { idempotencyKey: string | null; job: string }[];
  uploads: { filename: string; idempotencyKey: string | null; bytes: number }[];
  /** Ids of jobs, once for each cancel that came. */
  cancels: string[];
  /** How many calls of each kind came, refused ones included. */
  calls: { [place in Place]: number };
  /** Answers that are held back. */
  held: number;
}

const DEFAULTS: BatchSettings = {
  polls: 3,
  partial: null,
  honoursKeys: false,
  lists: true,
  keepsMetadata: true,
  pageSize: 100,
  hold: null,
  key: null,
  pieceBytes: 1021,
  endsLines: true,
};

/** What the vendor makes of a line. */
export function summaryOf(line: string): string {
  return `summary of ${line}`;
}

interface Line {
  custom_id: string;
  url: string;
  body: { messages?: { content?: unknown }[] };
}

const isOver = (status: string) => ["completed", "expired", "failed", "cancelled"].includes(status);

/** A batch: it goes on when it is asked for. */
class Job {
  polls = 0;
  status = "validating";
  files: { output: string | null; error: string | null } = { output: null, error: null };
  readonly id: string;
  readonly lines: readonly Line[];
  readonly metadata: { [key: string]: string };
  readonly errors: string[];
  /** Its answers, made when it is created: FAIL_ONCE fails in the job that was made first. */
  readonly answers: readonly object[];
  readonly #ending: Ending;

  constructor(
    id: string,
    lines: Line[],
    metadata: Job["metadata"],
    answers: object[],
    ending: Ending,
    errors: string[],
  ) {
    this.id = id;
    this.lines = lines;
    this.metadata = metadata;
    this.answers = answers;
    this.#ending = errors.length > 0 ? "failed" : ending;
    this.errors = this.#ending === "failed" && errors.length === 0 ? ["The vendor has run out of steam."] : errors;
  }

  /** Whether it ends with this poll. */
  poll(most: number | null): boolean {
    this.polls++;
    if (isOver(this.status)) return false;
    if (this.status === "cancelling" || (most !== null && this.polls >= most)) return true;
    this.status = this.polls === 1 ? "validating" : this.polls + 1 === most ? "finalizing" : "in_progress";
    return false;
  }

  /** Ends it; what it returns stands in its two files. */
  end(partial: number | null): { output: object[]; error: object[] } {
    this.status = this.status === "cancelling" ? "cancelled" : this.#ending;
    if (this.status === "failed") return { output: [], error: [] };
    const done = this.status === "completed" ? this.lines.length : (partial ?? Math.floor(this.lines.length / 2));
    const answers = this.answers.map((answer, at) => (at < done ? answer : this.#lost(at)));
    const isGood = (answer: object) => "response" in answer && (answer.response as Reply | null)?.status_code === 200;
    return { output: answers.filter(isGood).reverse(), error: answers.filter((answer) => !isGood(answer)).reverse() };
  }

  get counts(): object {
    const isDone = isOver(this.status) && this.status !== "failed";
    return { total: this.lines.length, completed: isDone ? this.lines.length : 0, failed: 0 };
  }

  #lost(at: number): object {
    const message = `This request could not be executed before the job was ${this.status}.`;
    return {
      id: `${this.id}-${at}`,
      custom_id: this.lines[at]?.custom_id,
      response: null,
      error: { code: `batch_${this.status}`, message },
    };
  }
}

interface Reply {
  status_code: number;
  body: object;
}

class Refused extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** The outside world that a batch node calls. */
export class BatchVendor {
  readonly settings: BatchSettings;
  readonly #refusals: Refusal[] = [];
  readonly #endings: Ending[] = [];
  readonly #contents: string[] = [];
  readonly #files = new Map<string, string>();
  readonly #jobs: Job[] = [];
  readonly #byKey = new Map<string, Job>();
  readonly #held: { response: ServerResponse; job: Job }[] = [];
  readonly #creates: Counts["creates"] = [];
  readonly #uploads: Counts["uploads"] = [];
  readonly #cancels: string[] = [];
  readonly #chats: string[] = [];
  readonly #calls: Counts["calls"] = { upload: 0, create: 0, list: 0, poll: 0, cancel: 0, content: 0, chat: 0 };
  readonly #server: Server;

  private constructor(settings: Partial<BatchSettings>) {
    this.settings = { ...DEFAULTS, ...settings };
    this.#server = createServer((request, response) => void this.#serve(request, response));
    // A caller that keeps a connection for its next call should find it open.
    this.#server.keepAliveTimeout = 60_000;
  }

  static async open(settings: Partial<BatchSettings> = {}): Promise<BatchVendor> {
    const vendor = new BatchVendor(settings);
    await new Promise<void>((resolve) => vendor.#server.listen(0, "127.0.0.1", resolve));
    return vendor;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  control(control: Control): Counts {
    const { refuse = [], endings = [], end = [], contents = [], hangUp, ...settings } = control;
    Object.assign(this.settings, settings);
    this.#refusals.push(...refuse.map((refusal) => ({ ...refusal })));
    this.#endings.push(...endings);
    this.#contents.push(...contents);
    for (const job of this.#jobs) if (!isOver(job.status) && (end === "all" || end.includes(job.id))) this.#end(job);
    for (const { response } of hangUp ? this.#held.splice(0) : []) response.destroy();
    for (const { response, job } of this.settings.hold === null ? this.#held.splice(0) : [])
      this.#answer(response, job);
    return this.counts();
  }

  counts(): Counts {
    const all = this.#jobs.flatMap(({ lines }) => lines.map(textOf));
    const submitted = Object.groupBy(all, (line) => line);
    return {
      submitted: Object.fromEntries(Object.entries(submitted).map(([line, times = []]) => [line, times.length])),
      jobs: this.#jobs.map(({ id, metadata, lines, status, polls }) => {
        return { id, key: metadata["pocketflare_key"] ?? null, lines: lines.map(textOf), status, polls };
      }),
      creates: this.#creates,
      uploads: this.#uploads,
      cancels: this.#cancels,
      calls: { ...this.#calls },
      held: this.#held.length,
    };
  }

  close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    return closed;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // Of a caller that was killed while it sent the call nothing is taken.
    const body = await buffer(request).catch(() => undefined);
    if (body === undefined) return;
    try {
      await this.#route(request, body, response);
    } catch (error) {
      const { status = 500, message } = error as Partial<Refused>;
      answer(response, status, { error: { message } });
    }
  }

  async #route(request: IncomingMessage, body: Buffer, response: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(request.url as string, this.url);
    const route = `${request.method} ${pathname}`;
    if (route === "POST /control") return answer(response, 200, this.control(JSON.parse(String(body)) as Control));
    if (route === "GET /counts") return answer(response, 200, this.counts());
    const [, place, id = ""] = placeOf(route) ?? [];
    if (place === undefined) throw new Refused(404, `Nothing at ${route}`);
    this.#calls[place]++;
    this.#checkKey(request);
    const refusal = this.#refusalAt(place);
    if (refusal && (place !== "content" || refusal.cut === undefined)) return refuse(response, refusal);
    if (place === "chat") return this.#chat(JSON.parse(String(body)) as Line["body"], response);
    const key = keyOf(request);
    if (place === "upload") return answer(response, 200, await this.#upload(request, body, key));
    if (place === "create") return this.#create(JSON.parse(String(body)) as Create, key, response);
    if (place === "list") return answer(response, 200, this.#page(searchParams));
    if (place === "poll") return this.#answer(response, this.#poll(id));
    if (place === "cancel") return this.#answer(response, this.#cancel(id));
    return this.#send(response, id, refusal?.cut ?? Number.POSITIVE_INFINITY);
  }

  #checkKey({ headers }: IncomingMessage): void {
    const { key } = this.settings;
    if (key === null || headers.authorization === `Bearer ${key}`) return;
    // A vendor that says more than is wise.
    throw new Refused(401, `Incorrect API key provided: ${headers.authorization?.replace("Bearer ", "")}.`);
  }

  #refusalAt(place: Place): Refusal | undefined {
    const at = this.#refusals.findIndex((refusal) => refusal.place === place);
    const refusal = this.#refusals[at];
    if (!refusal) return undefined;
    refusal.times = (refusal.times ?? 1) - 1;
    if (refusal.times <= 0) this.#refusals.splice(at, 1);
    return refusal;
  }

  async #upload(request: IncomingMessage, body: Buffer, idempotencyKey: string | null): Promise<object> {
    const headers = { "content-type": String(request.headers["content-type"]) };
    const form = await new Response(new Uint8Array(body), { headers }).formData();
    const file = form.get("file");
    if (form.get("purpose") !== "batch" || file === null || typeof file === "string") {
      throw new Refused(400, "Expected a file for the purpose `batch`");
    }
    if (!/^[\w.-]+\.jsonl$/.test(file.name)) throw new Refused(400, `Expected a .jsonl file, got ${file.name}`);
    const id = this.#keep(await file.text());
    this.#uploads.push({ filename: file.name, idempotencyKey, bytes: file.size });
    return { id, object: "file", bytes: file.size, filename: file.name, purpose: "batch" };
  }

  #chat(body: Line["body"], response: ServerResponse): void {
    const text = textOf({ body });
    const reply = replyTo(text, !this.#had().has(text));
    this.#chats.push(text);
    answer(response, reply.status_code, reply.body);
  }

  #create(create: Create, idempotencyKey: string | null, response: ServerResponse): void {
    const before = this.settings.honoursKeys && idempotencyKey !== null ? this.#byKey.get(idempotencyKey) : undefined;
    const job = before ?? this.#made(create);
    if (!before) this.#jobs.push(job);
    if (idempotencyKey !== null) this.#byKey.set(idempotencyKey, job);
    this.#creates.push({ idempotencyKey, job: job.id });
    if (this.settings.hold === "create") this.#hold(response, job);
    else this.#answer(response, job);
  }

  #made({ input_file_id, endpoint, completion_window, metadata = {} }: Create): Job {
    const input = this.#files.get(input_file_id);
    if (input === undefined) throw new Refused(400, `No such file: ${input_file_id}`);
    if (completion_window !== "24h") throw new Refused(400, "Expected a completion window of 24h");
    const tooLong = Object.values(metadata).find((value) => value.length > 512);
    if (tooLong !== undefined) throw new Refused(400, "Metadata values have at most 512 characters");
    const lines = input
      .split("\n")
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Line);
    const had = this.#had();
    const id = `batch_${this.#jobs.length + 1}`;
    const answers = lines.map((line, at) => this.#answerTo(line, `${id}-${at}`, !had.has(textOf(line))));
    const kept = this.settings.keepsMetadata ? metadata : {};
    return new Job(id, lines, kept, answers, this.#endings.shift() ?? "completed", errorsIn(lines, endpoint));
  }

  #had(): Set<string> {
    return new Set([...this.#jobs.flatMap((job) => job.lines.map(textOf)), ...this.#chats]);
  }

  #answerTo(line: Line, id: string, isFirst: boolean): object {
    const response = { request_id: `request-${id}`, ...replyTo(textOf(line), isFirst) };
    return { id, custom_id: line.custom_id, response, error: null };
  }

  #hold(response: ServerResponse, job: Job): void {
    const held = { response, job };
    this.#held.push(held);
    // Its caller was killed.
    response.once("close", () => {
      const at = this.#held.indexOf(held);
      if (at >= 0) this.#held.splice(at, 1);
    });
  }

  #page(query: URLSearchParams): object {
    if (!this.settings.lists) throw new Refused(404, "Batches cannot be listed");
    const limit = Math.min(Number(query.get("limit") ?? 20), this.settings.pageSize);
    const all = this.#jobs.toReversed();
    const from = all.findIndex(({ id }) => id === query.get("after")) + 1;
    const data = all.slice(from, from + limit).map((job) => this.#described(job));
    return { object: "list", data, has_more: from + limit < all.length };
  }

  #poll(id: string): Job {
    const job = this.#job(id);
    if (job.poll(this.settings.polls)) this.#end(job);
    return job;
  }

  #cancel(id: string): Job {
    this.#cancels.push(id);
    const job = this.#job(id);
    if (isOver(job.status)) throw new Refused(409, `Cannot cancel a batch with status '${job.status}'.`);
    job.status = "cancelling";
    return job;
  }

  #job(id: string): Job {
    const job = this.#jobs.find((made) => made.id === id);
    if (!job) throw new Refused(404, `No batch found with id '${id}'.`);
    return job;
  }

  #end(job: Job): void {
    const { output, error } = job.end(this.settings.partial);
    job.files = { output: this.#write(output), error: this.#write(error) };
  }

  #write(answers: object[]): string | null {
    if (answers.length === 0) return null;
    const text = answers.map((written) => JSON.stringify(written)).join("\n");
    return this.#keep(this.settings.endsLines ? `${text}\n` : text);
  }

  #keep(text: string): string {
    const id = `file-${this.#files.size + 1}`;
    this.#files.set(id, text);
    return id;
  }

  /** Sends a file in pieces, each its own write. */
  async #send(response: ServerResponse, id: string, cut: number): Promise<void> {
    const text = this.#contents.shift() ?? this.#files.get(id);
    if (text === undefined) throw new Refused(404, `No such file: ${id}`);
    const bytes = Buffer.from(text);
    const { pieceBytes } = this.settings;
    response.writeHead(200, { "content-type": "application/octet-stream" });
    for (let sent = 0; sent < Math.min(bytes.length, cut); sent += pieceBytes) {
      if (response.destroyed) return;
      response.write(bytes.subarray(sent, Math.min(sent + pieceBytes, cut)));
      // A turn for each, so that pieces are not put together on their way.
      await new Promise((resolve) => setImmediate(resolve));
    }
    if (cut < bytes.length) response.destroy();
    else response.end();
  }

  #answer(response: ServerResponse, job: Job): void {
    answer(response, 200, this.#described(job));
  }

  #described({ id, status, metadata, counts, errors, files }: Job): object {
    const said = status === "failed" ? { object: "list", data: errors.map((message) => ({ message })) } : null;
    return {
      id,
      object: "batch",
      status,
      metadata,
      request_counts: counts,
      errors: said,
      output_file_id: files.output,
      error_file_id: files.error,
    };
  }
}

interface Create {
  input_file_id: string;
  endpoint: string;
  completion_window: string;
  metadata?: { [key: string]: string };
}

const PLACES: readonly (readonly [RegExp, Place])[] = [
  [/^POST \/v1\/chat\/completions$/, "chat"],
  [/^POST \/v1\/files$/, "upload"],
  [/^GET \/v1\/files\/([^/]+)\/content$/, "content"],
  [/^POST \/v1\/batches$/, "create"],
  [/^GET \/v1\/batches$/, "list"],
  [/^GET \/v1\/batches\/([^/]+)$/, "poll"],
  [/^POST \/v1\/batches\/([^/]+)\/cancel$/, "cancel"],
];

/** What a call is, and of what. */
export function placeOf(route: string): [unknown, Place, string] | undefined {
  for (const [pattern, place] of PLACES) {
    const found = pattern.exec(route);
    if (found) return [route, place, decodeURIComponent(found[1] ?? "")];
  }
  return undefined;
}

/** What a line says: its last message. */
function textOf({ body }: Pick<Line, "body">): string {
  return String(body.messages?.at(-1)?.content);
}

function replyTo(text: string, isFirst: boolean): Reply {
  const fail = (status: number) => ({ status_code: status, body: { error: { message: `No answer for ${text}` } } });
  if (text.includes("BAD_REQUEST")) return fail(400);
  if (text.includes("RATE_LIMIT")) return fail(429);
  if (text.includes("FAIL_ALWAYS") || (text.includes("FAIL_ONCE") && isFirst)) return fail(500);
  const content = text.includes("EMPTY") ? null : summaryOf(text);
  const usage = { prompt_tokens: text.length, completion_tokens: 10, total_tokens: text.length + 10 };
  return { status_code: 200, body: { choices: [{ message: { role: "assistant", content } }], usage } };
}

/** What is wrong with a file as a whole. */
function errorsIn(lines: readonly Line[], endpoint: string): string[] {
  const isUnique = new Set(lines.map((line) => line.custom_id)).size === lines.length;
  const isAimed = lines.every((line) => line.url === endpoint);
  return [...(isUnique ? [] : ["A custom_id came twice."]), ...(isAimed ? [] : ["A line is for another endpoint."])];
}

function keyOf({ headers }: IncomingMessage): string | null {
  const key = headers["idempotency-key"];
  return typeof key === "string" ? key : null;
}

function refuse(response: ServerResponse, { status = 500, headers = {}, body, cut }: Refusal): void {
  if (cut !== undefined) return void response.destroy();
  response.writeHead(status, { "content-type": "application/json", ...headers });
  response.end(typeof body === "string" ? body : JSON.stringify(body ?? { error: { message: "Try again" } }));
}

function answer(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
}

if (process.argv[1] === import.meta.filename) {
  const vendor = await BatchVendor.open(JSON.parse(process.argv[2] ?? "{}") as Partial<BatchSettings>);
  console.log(`Ready on ${vendor.url}`);
}
