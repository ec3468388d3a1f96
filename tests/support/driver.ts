// A driver of the matrix of languages: a program that is told what to do by lines, and answers by lines.
import { lineReader } from "./line_reader.ts";
import { patience } from "./patience.ts";
import { stateOf } from "./processes.ts";

/** A program that does what it is told: see `tests/languages/matrix/`. */
export class Driver implements AsyncDisposable {
  readonly #name: string;
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;
  readonly #lines: AsyncIterator<string>;
  /** The next line, while it is awaited. */
  #next: Promise<IteratorResult<string>> | undefined;
  #ended = false;
  /** What the `at` lines of the command that runs have said, the newest last. */
  readonly told: number[] = [];

  /** What its command must be made with. */
  static readonly STREAMS = { stdin: "piped", stdout: "piped" } as const;

  /**
   * @param name What it is called in errors.
   * @param command Its program, with {@linkcode Driver.STREAMS}.
   */
  constructor(name: string, command: Deno.Command) {
    this.#name = name;
    this.#child = command.spawn();
    this.#input = this.#child.stdin.getWriter();
    this.#input.closed.catch(() => {}); // a killed one breaks the pipe
    this.#lines = lineReader(this.#child.stdout);
  }

  /** Its process. */
  get pid(): number {
    return this.#child.pid;
  }

  /** Does a command; returns its closing line. */
  async ask(command: string): Promise<string> {
    await this.tell(command);
    return await this.answer();
  }

  /** Does a command that must succeed; returns the words behind "ok". */
  async ok(command: string): Promise<string> {
    const answer = await this.ask(command);
    if (!/^ok\b/.test(answer)) throw new Error(`${this.#name}: ${command}: ${answer}`);
    return answer.slice(3);
  }

  /** Begins a command. */
  async tell(command: string): Promise<void> {
    this.told.length = 0;
    await this.#input.write(new TextEncoder().encode(`${command}\n`));
  }

  /** The closing line of the command that runs; what it tells before goes to {@linkcode told}. */
  async answer(enough?: (told: number) => boolean): Promise<string> {
    for (;;) {
      const next = await this.#line();
      const at = /^at (\d+)$/.exec(next);
      if (at === null) return next;
      this.told.push(Number(at[1]));
      if (enough?.(Number(at[1]))) return next;
    }
  }

  /** Reads what it tells for some milliseconds, while the command runs. */
  async readFor(milliseconds: number): Promise<void> {
    const until = performance.now() + milliseconds;
    for (;;) {
      const left = until - performance.now();
      if (left <= 0) return;
      let timer: ReturnType<typeof setTimeout> | undefined;
      const over = new Promise<undefined>((resolve) => timer = setTimeout(() => resolve(undefined), left));
      const found = await Promise.race([this.#next ??= this.#lines.next(), over]);
      clearTimeout(timer);
      if (found === undefined) return;
      this.#next = undefined;
      const at = /^at (\d+)$/.exec(found.value ?? "");
      if (at === null) throw new Error(`${this.#name} ends its command: ${found.value}`);
      this.told.push(Number(at[1]));
    }
  }

  async #line(): Promise<string> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`${this.#name} says nothing`)), patience(60_000));
    });
    try {
      const { done, value } = await Promise.race([this.#next ??= this.#lines.next(), late]);
      this.#next = undefined;
      if (done) throw new Error(`${this.#name} has ended`);
      return value;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Waits until a signal has stopped it. */
  async stopped(): Promise<void> {
    while (stateOf(this.pid) !== "T") await new Promise((resolve) => setTimeout(resolve, 1));
  }

  /** Kills it; returns what it had told by then. Nothing is done if it has ended. */
  async kill(): Promise<number[]> {
    if (this.#ended) return this.told;
    this.signal("SIGKILL");
    for (;;) {
      const { done, value } = await (this.#next ?? this.#lines.next());
      this.#next = undefined;
      if (done) break;
      const at = /^at (\d+)$/.exec(value);
      if (at !== null) this.told.push(Number(at[1]));
    }
    await this.#end();
    return this.told;
  }

  /** Sends a signal. */
  signal(signal: Deno.Signal): void {
    try {
      this.#child.kill(signal);
    } catch (error) {
      if (!(error instanceof TypeError && /already terminated/.test(error.message))) throw error; // known there already
    }
  }

  async #end(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    await this.#input.close().catch(() => {}); // a killed one has closed it
    await this.#lines.return?.();
    await this.#child.status;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#ended) await this.#input.write(new TextEncoder().encode("quit\n")).catch(() => {});
    await this.#end();
  }
}
