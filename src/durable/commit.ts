/**
 * One transaction: all of it is stored, or, when `write` throws, nothing. Then memory may say more than the rows do, so
 * `onFailure` must see to it that the object starts anew from them.
 */
export function commit<T>(storage: DurableObjectStorage, onFailure: (error: unknown) => void, write: () => T): T {
  try {
    return storage.transactionSync(write);
  } catch (error) {
    onFailure(error);
    throw error;
  }
}
