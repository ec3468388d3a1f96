// A terminal's second screen, for a page that is drawn again and again; the first one is left as it was.
import type { Output } from "./output.ts";

const ENTER = "\x1b[?1049h\x1b[?25l", LEAVE = "\x1b[?25h\x1b[?1049l";

/** A page in the terminal's second screen, without a cursor. */
export class Screen implements Disposable {
  readonly #out: Output;
  #entered = false;

  /** @param out A terminal. */
  constructor(out: Output) {
    this.#out = out;
    this.enter();
  }

  /** Shows the second screen, where the program was stopped meanwhile. */
  enter(): void {
    this.#out.write(ENTER);
    this.#entered = true;
  }

  /** Shows the first screen again. */
  leave(): void {
    if (!this.#entered) return;
    this.#entered = false;
    this.#out.write(LEAVE);
  }

  /**
   * Draws a page from the top. Each line is written over the one before, so nothing flickers.
   *
   * @param lines No more and no wider than the terminal shows; printable, apart from colours.
   */
  draw(lines: readonly string[]): void {
    this.#out.write(`\x1b[H${lines.map((line) => `${line}\x1b[K`).join("\r\n")}\x1b[J`);
  }

  /** Shows the first screen again. */
  [Symbol.dispose](): void {
    this.leave();
  }
}
