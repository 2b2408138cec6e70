import type { Browser, BrowserContext, BrowserContextOptions, ConsoleMessage, Page, Request } from "playwright-core";
import { afterAll, afterEach, beforeAll, expect, inject } from "vitest";
import { launch } from "./chromium.ts";
import type { Site } from "./site.ts";

export interface TabOptions extends BrowserContextOptions {
  /** What may go wrong in this test, by what is said of it. */
  allowed?: RegExp[];
  /** What is done before the page is loaded. */
  before?(page: Page): Promise<unknown>;
}

/** What a browser has said of one page. */
export interface Watched {
  /** Errors, warnings, violations of the policy and failed requests. */
  faults: string[];
  /** The addresses of all requests, WebSockets included. */
  requests: string[];
  /** All that the page has logged. */
  logs: string[];
}

export interface Tab extends Watched {
  page: Page;
  context: BrowserContext;
}

interface Opened extends Watched {
  context: BrowserContext;
  origin: string;
  allowed: RegExp[];
}

/** What the page gave up itself: a search that was typed on, a view that was left. */
const GIVEN_UP = "net::ERR_ABORTED";

/** A browser for one file of tests. After each of them all contexts are closed, and nothing may have gone wrong in one. */
export function useTabs(args: readonly string[] = []) {
  let browser: Browser;
  const opened: Opened[] = [];

  beforeAll(async () => {
    browser = await launch(inject("chromium"), args);
  });
  afterAll(() => browser?.close());
  afterEach(async () => {
    const all = opened.splice(0);
    await Promise.all(all.map(({ context }) => context.close()));
    for (const { faults, requests, origin, allowed } of all) {
      expect(faults.filter((fault) => !allowed.some((pattern) => pattern.test(fault)))).toEqual([]);
      expect(requests.filter((url) => !isOf(url, origin))).toEqual([]);
    }
  });

  /** A context of its own, as a new user has it, with the page at a place: `#/runs`. */
  return async function open(site: Site, place = "", options: TabOptions = {}): Promise<Tab> {
    const { allowed = [], before, ...rest } = options;
    const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...rest });
    const page = await context.newPage();
    const watched = watch(page);
    opened.push({ ...watched, context, origin: site.url, allowed });
    await before?.(page);
    await page.goto(site.url + (place.startsWith("/") ? place : `/${place}`));
    return { page, context, ...watched };
  };
}

function watch(page: Page): Watched {
  const [faults, requests, logs]: string[][] = [[], [], []];
  const watched = { faults, requests, logs } as Watched;
  page.setDefaultTimeout(15_000);
  page.on("console", (message: ConsoleMessage) => {
    watched.logs.push(message.text());
    if (!["error", "warning", "assert"].includes(message.type())) return;
    watched.faults.push(`console: ${message.text()} (${message.location().url})`);
  });
  page.on("pageerror", (error) => watched.faults.push(`error: ${error.stack ?? error.message}`));
  page.on("crash", () => watched.faults.push("the page crashed"));
  page.on("request", (request) => watched.requests.push(request.url()));
  page.on("websocket", (socket) => watched.requests.push(socket.url()));
  page.on("requestfailed", (request: Request) => {
    const said = request.failure()?.errorText ?? "";
    if (said !== GIVEN_UP) watched.faults.push(`request: ${said} ${request.url()}`);
  });
  return watched;
}

/** Of the page's own server, or of the page itself. */
function isOf(url: string, origin: string): boolean {
  const { protocol, host } = new URL(url);
  return ["data:", "blob:"].includes(protocol) || host === new URL(origin).host;
}
