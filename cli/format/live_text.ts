// Lines on a terminal that are drawn again and again in the same place.
import type { Output } from "./output.ts";
import { cut, width } from "./text.ts";

/** A block of lines at the end of what the terminal shows. */
export class LiveText {
  readonly #out: Output;
  #drawn: readonly string[] = [];

  constructor(out: Output) {
    this.#out = out;
  }

  /** Puts lines, which must be printable, in the place of those before; as many of them as the terminal can show. */
  draw(lines: readonly string[]): void {
    const { columns, rows } = this.#out;
    const fitting = lines.length < rows ? lines : [...lines.slice(0, Math.max(1, rows - 2)), "…"];
    const cutLines = fitting.map((line) => cut(line, columns));
    // By the width of now: a terminal that was made narrower has broken the lines that stand there.
    const above = this.#drawn.reduce((sum, line) => sum + Math.max(1, Math.ceil(width(line) / columns)), 0);
    const back = above === 0 ? "" : `\x1b[${above}A\r\x1b[J`;
    this.#drawn = cutLines;
    this.#out.write(back + cutLines.map((line) => `${line}\n`).join(""));
  }
}
