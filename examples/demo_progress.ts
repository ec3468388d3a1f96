// A progress bar on a terminal; anywhere else a line for every tenth of the way, and for every two seconds.

const REDRAW_MS = 50;
const LINE_MS = 2000;

/** Shows how far something is, until it is closed. */
export class ProgressBar implements Disposable {
  readonly #total: number;
  readonly #done: () => number;
  readonly #onTerminal = Deno.stdout.isTerminal();
  readonly #begin = performance.now();
  readonly #timer: ReturnType<typeof setInterval>;
  #shownTenths = 0;
  #shownAt = this.#begin;

  /**
   * @param total Bytes in all.
   * @param done Asked for the bytes that are done, now and then.
   */
  constructor(total: number, done: () => number) {
    this.#total = total;
    this.#done = done;
    this.#timer = setInterval(() => this.#show(), REDRAW_MS);
  }

  #show(): void {
    const done = this.#done();
    const share = this.#total === 0 ? 1 : Math.min(1, done / this.#total);
    const percent = `${Math.floor(share * 100)}%`.padStart(4);
    const rate = `${megabytes(done)} of ${megabytes(this.#total)}, ${
      megabytes(done / (performance.now() - this.#begin) * 1000)
    }/s`;
    if (this.#onTerminal) {
      print(`\r\x1b[K${bar(share, rate.length)} ${percent}  ${rate}`);
    } else if (Math.floor(share * 10) > this.#shownTenths || performance.now() - this.#shownAt >= LINE_MS) {
      this.#shownTenths = Math.floor(share * 10);
      this.#shownAt = performance.now();
      print(`  progress  ${percent}  ${rate}\n`);
    }
  }

  /** Stops, and takes the bar off the terminal. */
  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    if (this.#onTerminal) print("\r\x1b[K");
  }
}

function bar(share: number, textLength: number): string {
  const width = Math.max(10, Math.min(40, Deno.consoleSize().columns - textLength - 12));
  const full = Math.round(share * width);
  const filled = "█".repeat(full);
  return `  ${Deno.noColor ? filled : `\x1b[36m${filled}\x1b[39m`}${"░".repeat(width - full)}`;
}

/** A number of bytes for people. */
export function megabytes(bytes: number): string {
  if (bytes >= 1e9) return `${(bytes / 1e9).toFixed(2)} GB`;
  return bytes >= 1e6
    ? `${(bytes / 1e6).toFixed(1)} MB`
    : bytes >= 1e3
    ? `${(bytes / 1e3).toFixed(1)} kB`
    : `${bytes} B`;
}

function print(text: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(text));
}
