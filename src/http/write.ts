import type { TypedResponse } from "hono";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import type { ItemView, RunView } from "../durable/view.ts";

// Results and outputs are JSON text already, so they are put in as they are.

export function writeRun({ output, ...view }: RunView): string {
  return `${JSON.stringify(view).slice(0, -1)},"output":${output ?? "null"}}`;
}

export function writeItem({ result, ...item }: ItemView): string {
  return result === undefined ? JSON.stringify(item) : `${JSON.stringify(item).slice(0, -1)},"result":${result}}`;
}

/** A response of JSON text, which a typed client knows as `T`. */
export function json<T, S extends ContentfulStatusCode = 200>(
  text: string,
  status: S = 200 as S,
): Response & TypedResponse<T, S, "json"> {
  const response = new Response(text, { status, headers: { "content-type": "application/json" } });
  return response as Response & TypedResponse<T, S, "json">;
}
