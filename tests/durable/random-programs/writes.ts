import { type Branch, branchAt, type Shared, type Write } from "./program.ts";

/** What hooks use of `this`. */
export interface Self {
  _params: { [name: string]: unknown };
  [field: string]: unknown;
}

/** What one call of a hook has at hand. */
export interface Scene {
  self: Self;
  shared: Shared;
  path: string;
  branch: Branch;
  prepRes: unknown;
  results: unknown;
  pause(ms: number): Promise<void>;
}

type Doing = (scene: Scene, key: string, value: number) => unknown;

/** Each deed; one that suspends returns a promise. None of them ever throws. */
const DOINGS: { readonly [deed in Write["do"]]: Doing } = {
  count: ({ branch }, _, value) => {
    branch.count += value;
  },
  sum: ({ shared }, _, value) => {
    shared.sums.sum += value;
  },
  push: ({ branch }, _, value) => branch.list.push(value),
  shift: ({ branch }) => branch.list.shift(),
  reverse: ({ branch }) => branch.list.reverse(),
  renew: ({ branch }) => {
    branch.list = [...branch.list];
  },
  set: ({ branch }, key, value) => {
    branch.keyed[key] = { value };
  },
  delete: ({ branch }, key) => delete branch.keyed[key],
  move: ({ branch }, key) => {
    branch.keyed.moved = branch.keyed[key];
    delete branch.keyed[key];
  },
  nest: ({ branch }, key) => {
    branch.keyed[key] = { inside: branch.keyed[key] };
  },
  map: ({ branch }, key, value) => branch.map.set(key, [value]),
  unmap: ({ branch }, key) => branch.map.delete(key),
  add: ({ branch }, _, value) => branch.set.add(value),
  date: ({ branch }, _, value) => branch.date.setTime(value),
  alias: ({ branch }) => {
    branch.alias = branch.list;
  },
  "through alias": ({ branch }, _, value) => branch.alias?.push({ value }),
  mirror: ({ shared, branch, path }) => {
    shared.mirror[path] = branch.list;
  },
  params: ({ self, branch }) => branch.list.push(structuredClone(self._params)),
  field: ({ self, branch }, _, value) => {
    branch.keyed.field = self.field;
    self.field = { value, since: new Date(value) };
  },
  "read and write late": ({ branch, pause }, _, value) => {
    const { count } = branch;
    return pause(value % 2).then(() => {
      branch.count = count + value;
    });
  },
  pause: ({ pause }, _, value) => pause(value % 2),
  "through prepRes": ({ shared, branch, prepRes }, _, value) => {
    if (prepRes === branch) branch.count += value;
    else if (prepRes instanceof Set) prepRes.add(value);
    else if (Array.isArray(prepRes) && prepRes !== shared.numbers) prepRes.push(value);
  },
  "keep prepRes": ({ prepRes, branch }) => {
    branch.keyed.prepRes = prepRes;
  },
  "keep results": ({ results, branch }) => branch.list.push(results),
  gather: ({ shared, branch, path }) => {
    branch.keyed.gathered = branchesOf(shared, path).map(([, { count, list }]) => [count, list.length]);
  },
  adopt: ({ shared, branch, path }) => {
    for (const [childPath, child] of branchesOf(shared, path)) {
      branch.map.set(childPath, child);
      delete shared.branches[childPath];
    }
  },
};

function branchesOf(shared: Shared, path: string): [string, Branch][] {
  const children = Object.entries(shared.branches).filter(([child]) => child.startsWith(`${path}/`));
  return children.sort(([one], [other]) => (one < other ? -1 : 1));
}

/** Does one thing after the other, in one go where none of them suspends, and returns what `end` does. */
export function perform<T>(scene: Scene, writes: readonly Write[], end: () => T): T | Promise<T> {
  for (const [index, { do: deed, key = "a", value = 1 }] of writes.entries()) {
    const done = DOINGS[deed](scene, key, value);
    if (done instanceof Promise) return done.then(() => perform(scene, writes.slice(index + 1), end));
  }
  return end();
}

/** Sets the scene in the branch that the node's params name. */
export function sceneOf(
  self: Self,
  shared: Shared,
  pause: Scene["pause"],
  prepRes?: unknown,
  results?: unknown,
): Scene {
  const path = String(self._params.path ?? "");
  return { self, shared, path, branch: branchAt(shared, path), prepRes, results, pause };
}
