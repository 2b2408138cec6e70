import type { TypedResponse } from "hono";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import type { KeptEvent } from "../durable/event-store.ts";
import type { ItemDetail } from "../durable/item-detail.ts";
import type { ItemView, RunView } from "../durable/view.ts";

// Results and outputs are JSON text already, so they are put in as they are.

export function writeRun({ output, ...view }: RunView): string {
  return `${JSON.stringify(view).slice(0, -1)},"output":${output ?? "null"}}`;
}

export function writeItem({ result, ...item }: ItemView): string {
  return result === undefined ? JSON.stringify(item) : `${JSON.stringify(item).slice(0, -1)},"result":${result}}`;
}

export function writeItemDetail({ input, ...item }: ItemDetail): string {
  return `${writeItem(item).slice(0, -1)},"input":${input}}`;
}

/** `after` is the number of the event before the first of these. */
export function writeLog(events: readonly KeptEvent[], after: number): string {
  const texts = events.map((event) => {
    if (event.type !== "emit") return JSON.stringify(event);
    const { data, ...rest } = event;
    return `${JSON.stringify(rest).slice(0, -1)},"data":${data}}`;
  });
  return `{"events":[${texts.join(",")}],"last":${events.at(-1)?.id ?? after}}`;
}

/** A response of JSON text, which a typed client knows as `T`. */
export function json<T, S extends ContentfulStatusCode = 200>(
  text: string,
  status: S = 200 as S,
): Response & TypedResponse<T, S, "json"> {
  const response = new Response(text, { status, headers: { "content-type": "application/json" } });
  return response as Response & TypedResponse<T, S, "json">;
}
