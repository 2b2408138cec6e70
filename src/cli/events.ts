/** A server-sent event. */
export interface ServerEvent {
  event: string;
  id: string | null;
  data: string;
}

type Bytes = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

/** Reads server-sent events as they come. `onLine` is called for each line, the heartbeats among them. */
export async function* readEvents(body: Bytes, onLine: () => void): AsyncGenerator<ServerEvent> {
  let event: ServerEvent = empty();
  for await (const line of linesOf(body)) {
    onLine();
    const [, field, value = ""] = /^(\w+):? ?(.*)$/s.exec(line) ?? [];
    if (line === "") {
      if (event.data !== "") yield event;
      event = empty();
    } else if (field === "event" || field === "id") event[field] = value;
    else if (field === "data") event.data += event.data === "" ? value : `\n${value}`;
  }
}

function empty(): ServerEvent {
  return { event: "message", id: null, data: "" };
}

async function* linesOf(body: Bytes): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  // A line may be very long, and come in many pieces.
  let pieces: string[] = [];
  for await (const bytes of body) {
    const [first = "", ...rest] = decoder.decode(bytes, { stream: true }).split("\n");
    pieces.push(first);
    for (const next of rest) {
      yield pieces.join("").replace(/\r$/, "");
      pieces = [next];
    }
  }
}
