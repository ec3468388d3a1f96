// Where the program writes: colours on a terminal alone, and a reader that goes away is no crash.

import { printable } from "./text.ts";

/** The reader of the output is gone: nothing that is written any more reaches anybody. */
export class ReaderGone extends Error {
  override name = "ReaderGone";
}

/** A stream that text goes to. */
export interface TextSink {
  writeSync(bytes: Uint8Array): number;
  isTerminal(): boolean;
}

const COLORS = { red: 31, green: 32, yellow: 33, cyan: 36, bold: 1, dim: 2 } as const;

/** Names of what {@linkcode Output.paint} can do. */
export type Color = keyof typeof COLORS;

/** Writes text. */
export class Output {
  readonly #sink: TextSink;
  /** Whether a person is watching: output may be redrawn in place. */
  readonly terminal: boolean;
  readonly #colored: boolean;

  /** @param sink The standard output, or the standard error. */
  constructor(sink: TextSink) {
    this.#sink = sink;
    this.terminal = sink.isTerminal();
    this.#colored = this.terminal && !Deno.noColor;
  }

  /** How wide the terminal is now; without one, as wide as can be. */
  get columns(): number {
    return this.#size()?.columns ?? Infinity;
  }

  /** How many lines the terminal shows now; without one, as many as can be. */
  get rows(): number {
    return this.#size()?.rows ?? Infinity;
  }

  #size(): { columns: number; rows: number } | undefined {
    if (!this.terminal) return undefined;
    try {
      const { columns, rows } = Deno.consoleSize();
      return columns > 0 && rows > 0 ? { columns, rows } : undefined; // some terminals do not know
    } catch {
      return undefined;
    }
  }

  /** Writes a line. */
  line(text = ""): void {
    this.write(`${text}\n`);
  }

  /** Writes a value as one JSON document. */
  json(value: unknown): void {
    const text = JSON.stringify(value, null, this.terminal ? 2 : undefined);
    this.line(this.terminal ? text.split("\n").map(printable).join("\n") : text);
  }

  /**
   * Writes text as it is.
   *
   * @throws {ReaderGone} If the pipe is closed.
   */
  write(text: string): void {
    let bytes = new TextEncoder().encode(text);
    try {
      while (bytes.length > 0) bytes = bytes.subarray(this.#sink.writeSync(bytes));
    } catch (cause) {
      if (cause instanceof Deno.errors.BrokenPipe) throw new ReaderGone("The output was closed", { cause });
      throw cause;
    }
  }

  /** Text in a colour, where there are colours. */
  paint(color: Color, text: string): string {
    return this.#colored ? `\x1b[${COLORS[color]}m${text}\x1b[0m` : text;
  }
}
