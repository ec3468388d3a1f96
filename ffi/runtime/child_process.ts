// Programs that are started: by Deno, which asks for `--allow-run`, or by Node.js and Bun.
import { asFound } from "../../base/arguments.ts";
import { IpcError } from "../../base/error.ts";
import { runtime } from "./mod.ts";
import { noProgram, NOT_EXECUTABLE, type ProgramOptions, type ProgramStatus, type StartedProgram } from "./program.ts";
import { nodeModuleCommand, startByNode } from "./node_child.ts";

const isDeno = "Deno" in globalThis;

/** The arguments that run a module by this runtime, and the program that takes them. */
export function moduleCommand(
  module: URL,
  flags: readonly string[] | undefined,
  args: readonly string[],
): readonly [string, string[]] {
  if (!isDeno) return nodeModuleCommand(module, flags, args);
  if (Deno.build.standalone) {
    throw new IpcError(
      "Unsupported",
      `Cannot start "${module.href}": this program was compiled, and cannot run modules; give the path of deno as the ` +
        'program, and "run" and the module as its arguments',
    );
  }
  return [Deno.execPath(), ["run", ...(flags ?? ["--allow-ffi"]), module.href, ...args]];
}

/** A program that was started. It does not keep this process alive, nor end with it. */
export class ChildProcess {
  readonly #process: StartedProgram;
  readonly #status: Promise<ProgramStatus>;
  #ended = false;

  /**
   * Starts a program.
   *
   * @throws {IpcError} `NotFound` if there is no such program, or folder; `Permission`; `System`.
   */
  constructor(program: string, options: ProgramOptions) {
    this.#process = isDeno ? startByDeno(program, options) : startByNode(program, options);
    this.#process.unref();
    this.#status = this.#process.status.then((status) => {
      this.#ended = true;
      return status;
    });
  }

  get pid(): number {
    return this.#process.pid;
  }

  /** How it ended, once it has. By itself this does not keep the process alive: see {@linkcode keepAlive}. */
  get status(): Promise<ProgramStatus> {
    return this.#status;
  }

  /** Whether it is known to have ended. */
  get ended(): boolean {
    return this.#ended;
  }

  /** From now on this process stays alive until the program has ended. */
  keepAlive(): void {
    if (!this.#ended) this.#process.ref();
  }

  /** As at the beginning: this process does not stay alive for the program. */
  letRun(): void {
    if (!this.#ended) this.#process.unref();
  }

  /**
   * Sends a signal, if the program has not ended.
   *
   * @throws {IpcError} `Permission` if it runs as another user.
   * @throws {TypeError} If there is no such signal.
   */
  kill(signal: Deno.Signal): void {
    if (this.#ended) return;
    try {
      this.#process.kill(signal);
    } catch (error) {
      // It has ended, which is not known here yet.
      if (!isDeno) throw error;
      if (error instanceof Deno.errors.NotFound || (error as Error).message?.includes("terminated")) return;
      if (!(error instanceof Deno.errors.PermissionDenied)) throw error;
      throw new IpcError("Permission", `Cannot send ${signal} to process ${this.pid}: it runs as another user`, {
        cause: error,
      });
    }
  }

  /** What it reads, if that is piped. */
  get stdin(): WritableStream<Uint8Array<ArrayBuffer>> {
    return this.#process.stdin;
  }

  /** What it writes, if that is piped. */
  get stdout(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return this.#process.stdout;
  }

  /** What it complains of, if that is piped. */
  get stderr(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return this.#process.stderr;
  }
}

function startByDeno(program: string, options: ProgramOptions): StartedProgram {
  const { cwd, ...rest } = options;
  try {
    return new Deno.Command(program, cwd === undefined ? rest : { ...rest, cwd }).spawn();
  } catch (cause) {
    throw startError(program, options, cause);
  }
}

/** Resolves after so many milliseconds, 2^31 at most, or at once when `early` does; says whether it was `early`. */
export async function within(milliseconds: number, early: Promise<unknown>, keepAlive: boolean): Promise<boolean> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<false>((resolve) => {
    if (milliseconds === Infinity) return;
    timer = setTimeout(() => resolve(false), Math.min(milliseconds, 0x7fff_ffff));
    if (!keepAlive) runtime.timerAwaited(timer, false);
  });
  try {
    return await Promise.race([early.then(() => true as const), late]);
  } finally {
    clearTimeout(timer);
  }
}

function startError(program: string, { cwd }: ProgramOptions, cause: unknown): unknown {
  const what = `Cannot start ${asFound(program)}`;
  if (cause instanceof Deno.errors.NotCapable) {
    return new IpcError("Permission", `${what}: run again with --allow-run`, { cause });
  }
  if (cause instanceof Deno.errors.PermissionDenied) {
    return new IpcError("Permission", `${what}: ${noProgram(program, NOT_EXECUTABLE)}`, {
      cause,
    });
  }
  if (cause instanceof Deno.errors.NotFound) {
    const found = /cwd/.test(cause.message)
      ? `there is no folder "${cwd}" to start it in`
      : noProgram(program, "there is no such program");
    return new IpcError("NotFound", `${what}: ${found}`, { cause });
  }
  if (!(cause instanceof Error) || cause instanceof TypeError) return cause;
  return new IpcError("System", `${what}: ${cause.message}`, { cause });
}
