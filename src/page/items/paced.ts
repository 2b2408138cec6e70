/**
 * Does something soon after it is asked for, but at most once in `ms`, and never again while it still goes on: what is asked for
 * meanwhile is done once, afterwards.
 */
export class Paced {
  readonly #ms: number;
  readonly #act: () => Promise<void>;
  #isAsked = false;
  #isUnderWay = false;
  #isStopped = false;

  constructor(ms: number, act: () => Promise<void>) {
    this.#ms = ms;
    this.#act = act;
  }

  ask(): void {
    this.#isAsked = true;
    if (!this.#isUnderWay) void this.#run();
  }

  stop(): void {
    this.#isStopped = true;
  }

  async #run(): Promise<void> {
    this.#isUnderWay = true;
    while (this.#isAsked && !this.#isStopped) {
      this.#isAsked = false;
      await this.#act();
      await new Promise((resolve) => setTimeout(resolve, this.#ms));
    }
    this.#isUnderWay = false;
  }
}
