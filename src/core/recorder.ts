import { methodOf } from "./arrays.ts";
import { BEHIND, rawOf } from "./behind.ts";
import type { Change, Splice } from "./changes.ts";
import { CollectionLens } from "./collections.ts";
import { isContainer, partsOf } from "./parts.ts";

export { rawOf };

/** Who is told what a writer does to the objects of a graph. All objects are raw. */
export interface Recorder {
  wrote(object: object, key: unknown, change: Change, writer: number): void;
  /** The `length` of an array was set. */
  resized(array: unknown[], before: number, writer: number): void;
  spliced(array: unknown[], splice: Splice, writer: number): void;
  /** What of the object was written is not known. */
  rewrote(object: object, writer: number): void;
  /** The writer was given the object itself, which it may change unseen. */
  handedOut(object: object, writer: number): void;
  /** The writer put in an object which it may change unseen. */
  takenIn(object: object, writer: number): void;
  /** Whether the object may hold proxies: a writer may change it unseen, or has put it in unseen. */
  mayHoldProxies(object: object): boolean;
}

/** The graph as one writer sees it: through proxies, which tell what the writer writes. */
export class Lens implements ProxyHandler<object> {
  readonly writer: number;
  readonly recorder: Recorder;
  /** Not weak, which costs more: there is a lens for each step of a run, and none lives long. */
  readonly #proxies = new Map<object, object>();
  #collections: CollectionLens | undefined;

  constructor(writer: number, recorder: Recorder) {
    this.writer = writer;
    this.recorder = recorder;
  }

  /** The writer's proxy of an object; the object itself where a proxy would be of no use, as with a Date. */
  readonly wrap = <T>(value: T): T => {
    if (typeof value !== "object" || value === null) return value;
    const raw = rawOf(value);
    return (this.#proxies.get(raw) as T | undefined) ?? this.#wrapNew(raw);
  };

  #wrapNew<T extends object>(raw: T): T {
    if (!isContainer(raw)) return this.#handOut(raw);
    const isCollection = raw instanceof Map || raw instanceof Set;
    const proxy = new Proxy<T>(raw, isCollection ? (this.#forCollections() as ProxyHandler<T>) : this);
    this.#proxies.set(raw, proxy);
    return proxy;
  }

  #forCollections(): CollectionLens {
    this.#collections ??= new CollectionLens(this);
    return this.#collections;
  }

  #handOut<T extends object>(raw: T): T {
    this.recorder.handedOut(raw, this.writer);
    return raw;
  }

  /**
   * What is to stand in `into` for a value that the writer puts there. Where no proxy stands before the value, the writer keeps
   * the object itself. Who holds `into` itself may take the value from there, and what is done to it is to be seen.
   */
  takeIn(value: unknown, into: object): unknown {
    if (typeof value !== "object" || value === null) return value;
    if (rawOf(value) === value) this.recorder.takenIn(value, this.writer);
    return this.recorder.mayHoldProxies(into) ? value : rawOf(value);
  }

  get(target: object, key: PropertyKey, receiver: unknown): unknown {
    if (key === BEHIND) return target;
    const value = Reflect.get(target, key, receiver);
    if (typeof value === "function") return this.#methodOf(target, value);
    if (typeof value !== "object" || value === null) return value;
    // A proxy may not show such a property otherwise than it is.
    return isFixed(Reflect.getOwnPropertyDescriptor(target, key)) ? this.#showFixed(value) : this.wrap(value);
  }

  #methodOf(target: object, native: unknown): unknown {
    return (Array.isArray(target) && methodOf({ raw: target, lens: this }, native)) || native;
  }

  getOwnPropertyDescriptor(target: object, key: PropertyKey): PropertyDescriptor | undefined {
    const own = Reflect.getOwnPropertyDescriptor(target, key);
    if (typeof own?.value === "object") own.value = isFixed(own) ? this.#showFixed(own.value) : this.wrap(own.value);
    return own;
  }

  #showFixed<T>(value: T): T {
    if (typeof value === "object" && value !== null && rawOf(value) === value) this.#handOut(value);
    return value;
  }

  set(target: object, key: PropertyKey, value: unknown, receiver: unknown): boolean {
    const own = Reflect.getOwnPropertyDescriptor(target, key);
    const isOrdinary = own ? own.writable === true : !(key in target);
    if (isOrdinary && this.#proxies.get(target) === receiver) return this.#set(target, key, value, own);
    // A setter, or an object that inherits from the proxy. What is to be set on the proxy comes back through defineProperty.
    return Reflect.set(target, key, value, receiver);
  }

  #set(target: object, key: PropertyKey, value: unknown, own: PropertyDescriptor | undefined): boolean {
    const taken = this.takeIn(value, target);
    if (own && Object.is(rawOf(own.value), rawOf(value))) return true;
    if (!Reflect.set(target, key, taken)) return false;
    this.#tell(target, key, own);
    return true;
  }

  #tell(target: object, key: PropertyKey, before: PropertyDescriptor | undefined): void {
    if (key === "length" && Array.isArray(target)) this.recorder.resized(target, before?.value, this.writer);
    else this.recorder.wrote(target, key, before ? "set" : "inserted", this.writer);
  }

  defineProperty(target: object, key: PropertyKey, descriptor: PropertyDescriptor): boolean {
    const before = Reflect.getOwnPropertyDescriptor(target, key);
    const taken = "value" in descriptor ? { value: this.takeIn(descriptor.value, target) } : {};
    if (!Reflect.defineProperty(target, key, { ...descriptor, ...taken })) return false;
    const now = Reflect.getOwnPropertyDescriptor(target, key) as PropertyDescriptor;
    if (before && before.enumerable !== now.enumerable) this.recorder.rewrote(target, this.writer);
    else if (!before || !isSameProperty(before, now)) this.#tell(target, key, before);
    return true;
  }

  deleteProperty(target: object, key: PropertyKey): boolean {
    const wasThere = Object.hasOwn(target, key);
    const isGone = Reflect.deleteProperty(target, key);
    if (wasThere && isGone) this.recorder.wrote(target, key, "deleted", this.writer);
    return isGone;
  }

  setPrototypeOf(target: object, prototype: object | null): boolean {
    this.recorder.rewrote(target, this.writer);
    return Reflect.setPrototypeOf(target, prototype);
  }
}

function isFixed(own: PropertyDescriptor | undefined): boolean {
  return own?.configurable === false && own.writable === false;
}

function isSameProperty(before: PropertyDescriptor, now: PropertyDescriptor): boolean {
  return Object.is(rawOf(before.value), rawOf(now.value)) && before.get === now.get && before.set === now.set;
}

/**
 * A value with every proxy that can be reached from it, through objects and collections that are none, replaced by the object
 * behind it, in place.
 */
export function withoutProxies<T>(value: T): T {
  const seen = new Set<unknown>();
  if (rawOf(value) === value) walkRaw(value, (object) => !seen.has(object) && seen.add(object) === seen);
  for (const object of seen) replaceProxies(object as object);
  return rawOf(value);
}

/** `enter` is told of each object that no proxy leads to, and says whether to go on into it. */
export function walkRaw(value: unknown, enter: (object: object) => boolean): void {
  const ahead = [value];
  while (ahead.length > 0) {
    const object = ahead.pop();
    if (typeof object !== "object" || object === null || !enter(object)) continue;
    for (const part of partsOf(object)) if (rawOf(part) === part) ahead.push(part);
  }
}

/** Replaces what proxies an object holds. Those in a frozen object stay, and whoever reads it looks behind them. */
export function replaceProxies(object: object): void {
  if (partsOf(object).every((part) => rawOf(part) === part)) return;
  if (object instanceof Map) replaceEntries(object);
  else if (object instanceof Set) replaceMembers(object);
  else for (const key of Reflect.ownKeys(object)) replaceValue(object, key);
}

function replaceEntries(map: Map<unknown, unknown>): void {
  const entries = [...map];
  map.clear();
  for (const [key, value] of entries) map.set(rawOf(key), rawOf(value));
}

function replaceMembers(set: Set<unknown>): void {
  const members = [...set];
  set.clear();
  for (const member of members) set.add(rawOf(member));
}

function replaceValue(object: object, key: PropertyKey): void {
  const { value } = Reflect.getOwnPropertyDescriptor(object, key) as PropertyDescriptor;
  if (rawOf(value) !== value) Reflect.set(object, key, rawOf(value));
}
