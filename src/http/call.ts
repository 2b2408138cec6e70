import { sleep } from "../core/attempt.ts";

const TRIES = 4;

/** Calls an object, again on a new stub where it was lost: every call that the API makes is safe to repeat. */
export async function callObject<S, T>(stub: () => S, call: (stub: S, tries: number) => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await call(stub(), tries);
    } catch (error) {
      if (tries === TRIES || isFinal(error)) throw error;
      await sleep(50 * 2 ** tries);
    }
  }
}

/** The platform asks not to repeat calls to an overloaded object; what our own code threw it would throw again. */
function isFinal(error: unknown): boolean {
  const { overloaded, remote } = error as { overloaded?: boolean; remote?: boolean };
  return overloaded === true || (remote === true && !(error as { durableObjectReset?: boolean }).durableObjectReset);
}
