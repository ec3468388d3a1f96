// The `isthmus` command as a process.

const CLI = new URL("../../cli/mod.ts", import.meta.url).pathname;

/** What a process has said, and how it ended. */
export interface Said {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** The arguments of Deno that run the command; Deno itself says nothing about it. */
export function isthmusArguments(args: readonly string[]): string[] {
  return ["run", "--quiet", "--no-prompt", "--allow-ffi", CLI, ...args];
}

/** Runs the command to its end. */
export async function isthmus(...args: string[]): Promise<Said> {
  return await isthmusReading("", ...args);
}

/** Runs the command to its end, with a text to read. */
export async function isthmusReading(input: string, ...args: string[]): Promise<Said> {
  const process = new Deno.Command(Deno.execPath(), {
    args: isthmusArguments(args),
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = process.stdin.getWriter();
  // A command that does not read may have ended by now.
  await writer.write(new TextEncoder().encode(input)).then(() => writer.close()).catch(() => {});
  const { code, stdout, stderr } = await process.output();
  return { code, out: new TextDecoder().decode(stdout), err: new TextDecoder().decode(stderr) };
}

/** The command while it runs: its output line by line. */
export class Running implements AsyncDisposable {
  readonly process: Deno.ChildProcess;
  readonly #lines: ReadableStreamDefaultReader<string>;
  #rest = "";

  constructor(...args: string[]) {
    this.process = new Deno.Command(Deno.execPath(), {
      args: isthmusArguments(args),
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#lines = this.process.stdout.pipeThrough(new TextDecoderStream()).getReader();
  }

  /** The next line; `undefined` after the last. */
  async line(): Promise<string | undefined> {
    for (;;) {
      const end = this.#rest.indexOf("\n");
      if (end >= 0) {
        const line = this.#rest.slice(0, end);
        this.#rest = this.#rest.slice(end + 1);
        return line;
      }
      const { value, done } = await this.#lines.read();
      if (done) return undefined;
      this.#rest += value;
    }
  }

  /** Closes the pipe that it prints to. */
  async stopReading(): Promise<void> {
    await this.#lines.cancel();
  }

  /** Sends a signal, and waits for the end: the exit code, the lines that are left, and the standard error. */
  async end(signal: Deno.Signal): Promise<{ code: number; lines: string[]; err: string }> {
    this.process.kill(signal);
    return await this.ended();
  }

  /** Waits for the end. */
  async ended(): Promise<{ code: number; lines: string[]; err: string }> {
    const lines: string[] = [];
    for (let line = await this.line(); line !== undefined; line = await this.line()) lines.push(line);
    const err = await new Response(this.process.stderr).text();
    const { code } = await this.process.status;
    return { code, lines, err };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.process.kill("SIGKILL");
    } catch {
      // it has ended
    }
    await this.process.status;
    await this.#lines.cancel();
    if (!this.process.stderr.locked) await this.process.stderr.cancel();
  }
}

/** Runs a script that has the package as `isthmus`, and kills itself at its end. */
export async function killed(script: string): Promise<void> {
  const module = new URL("../../mod.ts", import.meta.url).href;
  const { signal } = await new Deno.Command(Deno.execPath(), {
    args: ["eval", `import * as isthmus from ${JSON.stringify(module)};${script};Deno.kill(Deno.pid, "SIGKILL");`],
    stdin: "null",
  }).output();
  if (signal !== "SIGKILL") throw new Error(`The script ended by ${signal}`);
}

/**
 * Runs a shell command on a terminal of so many columns, with the command in it as `isthmus`: what the terminal gets.
 * `undefined` where there is no program for it.
 */
export async function onTerminal(columns: number, script: string, env: Record<string, string> = {}): Promise<
  string | undefined
> {
  const words = [Deno.execPath(), ...isthmusArguments([])].map((word) => `"${word}"`).join(" ");
  const command = `stty cols ${columns} rows 30; isthmus() { ${words} "$@"; }; ${script}`;
  const output = await new Deno.Command("bash", {
    args: ["-c", 'command -v script >/dev/null || exit 77; exec script -qec "$COMMAND" /dev/null'],
    env: { ...env, COMMAND: command, SHELL: "/bin/bash" },
    stdin: "null",
  }).output();
  if (output.code === 77) {
    console.log('Not tried on a terminal, as there is no program "script" here');
    return undefined;
  }
  return new TextDecoder().decode(output.stdout).replaceAll("\r\n", "\n");
}

/** A shell command on a terminal that is typed on while it runs. */
export class TypedTerminal implements AsyncDisposable {
  /** All that it has shown. */
  text = "";
  readonly #process: Deno.ChildProcess;
  readonly #output: ReadableStreamDefaultReader<string>;
  readonly #keys: WritableStreamDefaultWriter<Uint8Array>;

  private constructor(process: Deno.ChildProcess) {
    this.#process = process;
    this.#output = process.stdout.pipeThrough(new TextDecoderStream()).getReader();
    this.#keys = process.stdin.getWriter();
  }

  /** Begins; `undefined`, with a word about it, where there is no program for it. */
  static async run(command: string): Promise<TypedTerminal | undefined> {
    if ((await new Deno.Command("sh", { args: ["-c", "command -v script"] }).output()).code !== 0) {
      console.log('Not tried on a terminal, as there is no program "script" here');
      return undefined;
    }
    const args = ["-qec", command, "/dev/null"];
    return new TypedTerminal(new Deno.Command("script", { args, stdin: "piped", stdout: "piped" }).spawn());
  }

  /** Waits until it has shown a text. */
  async until(found: string): Promise<void> {
    while (!this.text.includes(found)) {
      const { value, done } = await this.#output.read();
      if (done) throw new Error(`Ended before ${found} came: ${this.text}`);
      this.text += value;
    }
  }

  /** Types keys. */
  async type(keys: string): Promise<void> {
    await this.#keys.write(new TextEncoder().encode(keys));
  }

  /** How it ended. */
  get status(): Promise<Deno.CommandStatus> {
    return this.#process.status;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#process.kill("SIGKILL");
    } catch {
      // it has ended
    }
    await this.#process.status;
    await this.#keys.close().catch(() => {});
    await this.#output.cancel();
  }
}
