/** What is wrong with the command as it was written. */
export class UsageError extends Error {
  override readonly name = "UsageError";
  /** What may have been meant, or where help is. */
  readonly hint: string | null;
  constructor(message: string, hint: string | null = null) {
    super(message);
    this.hint = hint;
  }
}

/** What could not be done, though the command was right. */
export class Failure extends Error {
  override readonly name = "Failure";
  /** What to do about it. */
  readonly hint: string | null;
  constructor(message: string, hint: string | null = null) {
    super(message);
    this.hint = hint;
  }
}

/** Ctrl-C. */
export class Interrupted extends Error {
  override readonly name = "Interrupted";
}
