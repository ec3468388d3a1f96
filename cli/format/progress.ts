// How far a command has come: a bar on a terminal, nothing elsewhere.
import type { Output } from "./output.ts";
import { cut } from "./text.ts";

const WIDTH = 24;

/** A bar in the last line of a terminal. */
export class Progress implements Disposable {
  readonly #out: Output;
  readonly #total: number;
  #shown = false;

  /**
   * @param out Where it is shown.
   * @param total Steps there are.
   */
  constructor(out: Output, total: number) {
    this.#out = out;
    this.#total = total;
  }

  /**
   * Shows a bar in place of the one before.
   *
   * @param done Steps that are done.
   * @param what What is being done.
   */
  show(done: number, what: string): void {
    if (!this.#out.terminal) return;
    const filled = Math.round(WIDTH * done / this.#total);
    const rest = cut(` ${done}/${this.#total}  ${what}`, Math.max(0, this.#out.columns - WIDTH - 1));
    this.#out.write(`\r${this.#out.paint("cyan", "█".repeat(filled))}${"░".repeat(WIDTH - filled)}${rest}\x1b[K`);
    this.#shown = true;
  }

  /** Takes the bar away, so that a line can be written in its place. */
  clear(): void {
    if (this.#shown) this.#out.write("\r\x1b[K");
    this.#shown = false;
  }

  /** Takes the bar away. */
  [Symbol.dispose](): void {
    this.clear();
  }
}
