// One side of a comparison, as `compare.ts` drives it.

/** A row that runs with one of the revisions, and waits for its turn. */
export class Program {
  /** Those that have not ended. */
  static readonly running: Set<Program> = new Set();

  /** Nanoseconds of an operation in the fastest turn so far. */
  best = Infinity;
  readonly #row: string;
  readonly #process: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #output: ReadableStreamDefaultReader<string>;

  constructor(tree: string, row: string) {
    this.#row = row;
    this.#process = new Deno.Command(Deno.execPath(), {
      args: ["run", "--allow-all", "--quiet", `${tree}bench/compare/program.ts`, row],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    Program.running.add(this);
    this.#input = this.#process.stdin.getWriter();
    this.#output = this.#process.stdout.pipeThrough(new TextDecoderStream()).getReader();
  }

  /** Lets it run, and returns the nanoseconds of an operation. */
  async turn(milliseconds: number): Promise<number> {
    await this.#input.write(new TextEncoder().encode(`${milliseconds}\n`)).catch(() => {}); // it has ended: seen below
    const { value } = await this.#output.read();
    if (value === undefined) throw new Error(`Cannot measure "${this.#row}": the program ended`);
    return Number(value);
  }

  async end(): Promise<void> {
    await this.#input.close().catch(() => {});
    await this.#output.cancel();
    await this.#process.status;
    Program.running.delete(this);
  }
}
