// What every JavaScript runtime has, and all the core may lean on. Only tsconfig.core.json reads this file: it is how the
// compiler proves that the core imports no platform.
declare function setTimeout(callback: () => void, delayMs: number): unknown;
declare function clearTimeout(timer: unknown): void;
declare const console: { warn(message: string): void; error(message: string, error: unknown): void };
interface AbortSignal {
  readonly aborted: boolean;
  readonly reason: unknown;
}
declare class AbortController {
  readonly signal: AbortSignal;
  abort(reason?: unknown): void;
}
declare class URL {
  constructor(url: string);
  readonly href: string;
  toJSON(): string;
}
