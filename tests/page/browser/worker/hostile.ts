import { type ExecContext, Flow, Node, type NonIterableObject, ParallelBatchNode } from "../../../../src/index.ts";

// Data that wants to be more than text. The tests read this too.

export const IMAGE = "<img src=x onerror=alert(1)>";
export const SCRIPT = "</script><script>window.isPwned=true</script>";
/** Turns what comes after it around, where nobody isolates it. */
export const RIGHT_TO_LEFT = "\u202Egnp.exe\u2066";
const LONG = "x<b>".repeat(250_000);
const DEPTH = 2_000;

export const HOSTILE_FLOW = `hostile ${IMAGE}`;

/** The items, by what is hostile in them. */
export const HOSTILE = { image: IMAGE, script: SCRIPT, direction: RIGHT_TO_LEFT, long: LONG, deep: null } as const;
export type Hostile = keyof typeof HOSTILE;

function deep(): unknown {
  let value: unknown = IMAGE;
  for (let depth = 0; depth < DEPTH; depth++) value = [value];
  return value;
}

function hostileValue(kind: Hostile): unknown {
  return kind === "deep" ? deep() : HOSTILE[kind];
}

interface Item {
  [key: string]: unknown;
  kind: Hostile;
  isFailing: boolean;
}

/** Gives back what it got, emits it, or fails with it. */
class Mirror extends ParallelBatchNode<NonIterableObject, NonIterableObject, Item, unknown> {
  constructor() {
    super({
      name: `Mirror ${SCRIPT}`,
      onItemError: "collect",
      limit: { name: "mirrors", key: ({ kind }: Item) => `key ${String(HOSTILE[kind]).slice(0, 40)}` },
    });
  }

  override prep() {
    this.emit(IMAGE);
    const kinds = Object.keys(HOSTILE) as Hostile[];
    return [false, true].flatMap((isFailing) => {
      return kinds.map((kind) => ({ kind, isFailing, [IMAGE]: HOSTILE[kind] }));
    });
  }

  override exec({ kind, isFailing }: Item, context?: ExecContext) {
    context?.emit({ [SCRIPT]: hostileValue(kind) });
    if (!isFailing) return hostileValue(kind);
    const error = new Error(String(HOSTILE[kind]));
    error.name = `Error ${IMAGE}`;
    throw error;
  }

  override post() {
    return SCRIPT;
  }
}

class Behind extends Node {
  override exec(): never {
    throw new Error(`${SCRIPT}${RIGHT_TO_LEFT}${LONG}`);
  }
}

export function hostile(): Flow {
  const mirror = new Mirror();
  mirror.on(SCRIPT, new Behind({ name: `Behind ${IMAGE}` }));
  return new Flow(mirror);
}
