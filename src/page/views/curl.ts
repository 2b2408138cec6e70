/** A call of the API as somebody would write it. */
export interface Call {
  method: string;
  url: string;
  /** The JSON that is sent. */
  body?: string;
  headers?: { [name: string]: string };
}

/** A longer body would be no line that somebody reads. */
export const LONGEST_INLINE = 2_000;

/**
 * The same call for a shell. The token is always a variable: what is on the page may be copied into a chat.
 *
 * @example curlOf({ method: "POST", url: "http://localhost:8787/crons/digest/run" });
 */
export function curlOf({ method, url, body, headers = {} }: Call): string {
  const all = body === undefined ? headers : { "content-type": "application/json", ...headers };
  const parts = [
    `curl -X ${method} ${quoted(url)}`,
    '-H "authorization: Bearer $API_TOKEN"',
    ...Object.entries(all).map(([name, value]) => `-H ${quoted(`${name}: ${value}`)}`),
    ...(body === undefined ? [] : [`-d ${body.length > LONGEST_INLINE ? "@input.json" : quoted(body)}`]),
  ];
  return parts.join(" \\\n  ");
}

/** One word for a shell, whatever it holds. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
