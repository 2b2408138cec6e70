import type { Programs, Shared } from "./program.ts";

/** One of everything that a run keeps and JSON does not. */
function treasure() {
  const list = [1, { a: 2 }];
  const loop: { [key: string]: unknown } = { name: "loop" };
  loop.self = loop;
  return {
    date: new Date(1e12),
    map: new Map<unknown, unknown>([["k", new Map([[1, 2n]])]]),
    set: new Set(["a", new Date(0)]),
    big: -(2n ** 80n),
    bytes: new Uint8Array([0, 255]),
    floats: new Float32Array([0.5, Number.NaN]),
    buffer: new Uint8Array([1, 2, 3]).buffer,
    nothing: undefined,
    zero: -0,
    nan: Number.NaN,
    infinite: Number.NEGATIVE_INFINITY,
    url: new URL("https://example.com/a?b#c"),
    error: new Error("kept"),
    texts: ["\0", "😀", "__proto__", "\u2028"],
    keys: JSON.parse('{"__proto__":{"x":1},"":2}'),
    bare: Object.assign(Object.create(null), { a: 1 }),
    list,
    same: list,
    loop,
  };
}

/** Values of all kinds in shared, in items, in results, and between two of them. */
export const valuables: Programs = {
  "values of every kind in shared, and the same objects still the same": {
    flow: ({ node, flow }) => {
      const fill = node({
        post(shared: Shared) {
          Object.assign(shared, treasure());
        },
      });
      const look = node({
        prep: (shared: Shared) => shared.list,
        post(shared: Shared, list: unknown[]) {
          const { loop } = shared as unknown as { loop: { self: unknown } };
          list.push("by its other name");
          shared.seen = [shared.list === shared.same, list === shared.list, loop.self === loop];
        },
      });
      fill.next(look);
      return flow(fill);
    },
  },
  "values of every kind from prep to exec to post": {
    flow: ({ node, flow }) =>
      flow(
        node({
          prep: treasure,
          exec: (found: ReturnType<typeof treasure>) => ({ ...found, seen: found.list === found.same }),
          post(shared: Shared, prepRes: unknown, execRes: unknown) {
            shared.prepRes = prepRes;
            shared.execRes = execRes;
          },
        }),
      ),
    copies: true,
  },
  "items and results of every kind": {
    flow: ({ parallel, flow }) =>
      flow(
        parallel({
          prep: () => Object.values(treasure()),
          exec: (value: unknown) => value,
          post(shared: Shared, prepRes: unknown, results: unknown) {
            shared.prepRes = prepRes;
            shared.results = results;
          },
        }),
      ),
    copies: true,
  },
};
