import type { Context, MiddlewareHandler } from "hono";
import { PROTOCOL } from "../durable/sockets.ts";
import { Problem } from "./problem.ts";

/** An object that can be looked at by a WebSocket. */
interface Watched {
  fetch(request: Request): Promise<Response>;
}

const BEARER = /^bearer\.([\w-]+)$/;

/**
 * A browser can give a WebSocket no header but a list of protocols, so the token comes in one of them: `bearer.` and the token in
 * base64url. (In the URL it would end up in logs.) From here on it is as if it had come in its own header.
 */
export const bearerOfSocket: MiddlewareHandler = (context, next) => {
  if (!isUpgrade(context)) return next();
  const offered = protocolsOf(context).flatMap((each) => BEARER.exec(each)?.[1] ?? []);
  if (offered[0] === undefined || context.req.header("authorization") !== undefined) return next();
  const token = textOf(offered[0]);
  // What no header can have is nobody's token.
  if (/^[\x20-\x7e]+$/.test(token)) {
    const headers = new Headers(context.req.raw.headers);
    headers.set("authorization", `Bearer ${token}`);
    context.req.raw = new Request(context.req.raw, { headers });
  }
  return next();
};

/** Opens a WebSocket to an object, which tells by it what changes there. */
export async function live(
  context: Context,
  call: (open: (watched: Watched) => Promise<Response | null>) => Promise<Response | null>,
): Promise<Response> {
  if (!isUpgrade(context)) throw new Problem(426, "Expected a WebSocket: the header `Upgrade: websocket`");
  if (!protocolsOf(context).includes(PROTOCOL)) {
    throw new Problem(400, `Expected the header \`Sec-WebSocket-Protocol\` to name ${PROTOCOL}`);
  }
  checkOrigin(context);
  const request = new Request("https://object/live", { headers: { upgrade: "websocket" } });
  const opened = await call(async (watched) => {
    const response = await watched.fetch(request);
    return response.status === 101 ? response : null;
  });
  return opened as Response;
}

/** Where who calls is known by a cookie, pages of others could open a socket in the name of who looks at them. */
function checkOrigin(context: Context): void {
  const origin = context.req.header("origin");
  if (origin === undefined || URL.parse(origin)?.host === new URL(context.req.url).host) return;
  throw new Problem(403, "Expected a WebSocket of this Worker's own page, got one of another origin");
}

function isUpgrade(context: Context): boolean {
  return context.req.header("upgrade")?.toLowerCase() === "websocket";
}

function protocolsOf(context: Context): string[] {
  return (context.req.header("sec-websocket-protocol") ?? "").split(",").map((each) => each.trim());
}

/** Nothing where it is no text in base64url: then nobody is let in. */
function textOf(base64url: string): string {
  try {
    const bytes = Uint8Array.from(atob(base64url.replace(/-/g, "+").replace(/_/g, "/")), (unit) => unit.charCodeAt(0));
    return new TextDecoder().decode(bytes);
  } catch {
    return "";
  }
}
