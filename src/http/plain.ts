import { pointerTo } from "../core/schema.ts";
import { Problem } from "./problem.ts";

const DEEPEST = 500;
const LONGEST_SHOWN = 64;
/** To assign it would change what the object inherits from: no honest body has it. */
const FORBIDDEN = "__proto__";

/** Throws a problem for what cannot become a flow's shared store. */
export function checkObject(input: unknown): object {
  if (typeof input !== "object" || input === null || Array.isArray(input)) {
    const detail = `Expected a JSON object, got ${Array.isArray(input) ? "an array" : shown(input)}`;
    throw new Problem(422, `${detail}: the body becomes the flow's shared store`, [{ pointer: "", detail }]);
  }
  checkPlain(input, "a JSON object");
  return input;
}

function shown(value: unknown): string {
  const text = String(JSON.stringify(value));
  return text.length <= LONGEST_SHOWN ? text : `${text.slice(0, LONGEST_SHOWN)}…`;
}

/** Throws a problem for what is too deep to be worked on, and for a key that would change what its object inherits from. */
export function checkPlain(value: unknown, what: string): void {
  // Level by level, and not by recursion: a hostile body is deeper than a stack.
  let level = [value].filter(isObject);
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > DEEPEST) {
      const detail = `Expected ${what} nested at most ${DEEPEST} levels deep, got a deeper one`;
      throw new Problem(422, detail, [{ pointer: "", detail }]);
    }
    if (level.some((object) => Object.hasOwn(object, FORBIDDEN))) {
      const detail = `Expected ${what} without the key \`${FORBIDDEN}\``;
      throw new Problem(422, detail, [{ pointer: pointerTo(pathTo(value) ?? []), detail }]);
    }
    level = level.flatMap((object) => Object.values(object).filter(isObject));
  }
}

/** Where the forbidden key is. Only asked where it is no deeper than may be. */
function pathTo(value: unknown): string[] | undefined {
  if (!isObject(value)) return undefined;
  if (Object.hasOwn(value, FORBIDDEN)) return [FORBIDDEN];
  for (const [key, part] of Object.entries(value)) {
    const path = pathTo(part);
    if (path) return [key, ...path];
  }
  return undefined;
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}
