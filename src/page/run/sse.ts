export interface SseEvent {
  type: string;
  id: string;
  data: string;
}

/** Reads a text/event-stream, however its text is cut into chunks. Comments are nothing. */
export class SseReader {
  #rest = "";

  /** The events that this chunk has completed. */
  read(chunk: string): SseEvent[] {
    // A \r at the end may be half of a line's end.
    const text = `${this.#rest}${chunk}`;
    const cut = text.endsWith("\r") ? text.length - 1 : text.length;
    const blocks = text.slice(0, cut).replaceAll(/\r\n?/g, "\n").split("\n\n");
    this.#rest = `${blocks.pop()}${text.slice(cut)}`;
    return blocks.map(eventOf).filter((event) => event.data !== "");
  }
}

function eventOf(block: string): SseEvent {
  const event: SseEvent = { type: "message", id: "", data: "" };
  const data: string[] = [];
  for (const line of block.split("\n")) {
    const [, field, value = ""] = /^([^:]*):? ?(.*)$/s.exec(line) ?? [];
    if (field === "event") event.type = value;
    else if (field === "id") event.id = value;
    else if (field === "data") data.push(value);
  }
  return { ...event, data: data.join("\n") };
}
