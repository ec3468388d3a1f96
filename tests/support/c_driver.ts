// Programs in C at the other end: compiled when they are first needed, told what to do by lines.
import { lineReader } from "./line_reader.ts";
import { patience } from "./patience.ts";

const granted = (["run", "read", "write"] as const)
  .every((name) => Deno.permissions.querySync({ name }).state === "granted");

/** The C compiler of this machine, if tests may use one. */
export const compiler: string | undefined = !granted ? undefined : ["gcc", "clang", "cc"].find((name) => {
  try {
    return new Deno.Command(name, { args: ["--version"], stdout: "null", stderr: "null" }).outputSync().success;
  } catch {
    return false;
  }
});

const root = new URL("../../", import.meta.url).pathname;
const compiled = new Map<string, string>();

/** Compiles a program that includes the header; returns where it is. Removed when the tests end. */
export function compile(source: string): string {
  const known = compiled.get(source);
  if (known !== undefined) return known;
  const folder = Deno.makeTempDirSync({ prefix: "isthmus-test-" });
  globalThis.addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));
  const program = `${folder}/program`;
  const { success, stderr } = new Deno.Command(compiler!, {
    args: [
      "-O2",
      "-std=c11",
      "-Wall",
      "-Wextra",
      "-Werror",
      `-I${root}clients/c`,
      "-o",
      program,
      root + source,
      "-pthread",
    ],
    stderr: "piped",
  }).outputSync();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  compiled.set(source, program);
  return program;
}

/** A driver of the matrix in C: see `tests/languages/matrix/driver.c`. */
export class CDriver implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;
  readonly #lines: AsyncIterator<string>;
  #ended = false;
  /** What the `at` lines of the command that runs have said, the newest last. */
  readonly told: number[] = [];

  constructor() {
    this.#child = new Deno.Command(compile("tests/languages/matrix/driver.c"), { stdin: "piped", stdout: "piped" })
      .spawn();
    this.#input = this.#child.stdin.getWriter();
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
    if (!/^ok\b/.test(answer)) throw new Error(`${command}: ${answer}`);
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

  async #line(): Promise<string> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error("The C program says nothing")), patience(60_000));
    });
    try {
      const { done, value } = await Promise.race([this.#lines.next(), late]);
      if (done) throw new Error("The C program has ended");
      return value;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Kills it; returns what it had told by then. */
  async kill(): Promise<number[]> {
    this.#child.kill("SIGKILL");
    for (;;) {
      const { done, value } = await this.#lines.next();
      if (done) break;
      const at = /^at (\d+)$/.exec(value);
      if (at !== null) this.told.push(Number(at[1]));
    }
    await this.#end();
    return this.told;
  }

  /** Sends a signal. */
  signal(signal: Deno.Signal): void {
    this.#child.kill(signal);
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
