// Programs that are started by Node.js and Bun.
import process from "node:process";
import { asFound } from "../../base/arguments.ts";
import { IpcError } from "../../base/error.ts";
import { noProgram, NOT_EXECUTABLE, type ProgramOptions, type ProgramStatus, type StartedProgram } from "./program.ts";

/** What is used of a child of `node:child_process`. */
interface NodeChild {
  readonly pid: number | undefined;
  readonly stdin: unknown;
  readonly stdout: unknown;
  readonly stderr: unknown;
  kill(signal: string): boolean;
  ref(): void;
  unref(): void;
  on(event: "error", listener: (cause: unknown) => void): void;
  on(event: "exit", listener: (code: number | null, signal: string | null) => void): void;
}

/** What is used of Node.js's own modules; not imported, as Deno would ask for more than it needs. */
interface Modules {
  "node:child_process": { spawn(program: string, args: string[], options: unknown): NodeChild };
  "node:fs": { existsSync(path: string | URL): boolean };
  "node:os": { readonly constants: { readonly signals: Record<string, number> } };
  "node:stream": { Readable: { toWeb(stream: unknown): unknown }; Writable: { toWeb(stream: unknown): unknown } };
  "node:url": { fileURLToPath(url: URL): string };
}

const module = <Name extends keyof Modules>(name: Name) =>
  process.getBuiltinModule(name as "node:fs") as unknown as Modules[Name];

/** The arguments that run a module by this runtime, and the program that takes them. */
export function nodeModuleCommand(
  url: URL,
  flags: readonly string[] | undefined,
  args: readonly string[],
): [string, string[]] {
  const what = `Cannot start "${url.href}"`;
  if (flags !== undefined) {
    throw new IpcError("Unsupported", `${what} with permissions: those are Deno's; leave them out`);
  }
  if (url.protocol !== "file:") {
    throw new IpcError("Unsupported", `${what}: this runtime starts modules of files only`);
  }
  return [process.execPath, [...process.execArgv, module("node:url").fileURLToPath(url), ...args]];
}

/**
 * Starts a program.
 *
 * @throws {IpcError} `NotFound` if there is no such program, or folder; `Permission` if it cannot be executed.
 */
export function startByNode(program: string, options: ProgramOptions): StartedProgram {
  const { args, cwd, env, stdin, stdout, stderr } = options;
  const names = { piped: "pipe", inherit: "inherit", null: "ignore" };
  const child = module("node:child_process").spawn(program, args, {
    cwd,
    env: { ...process.env, ...env },
    stdio: [names[stdin], names[stdout], names[stderr]],
  });
  child.on("error", () => {}); // of a program that did not start: told here; of a signal: `kill` says so
  if (child.pid === undefined) throw notStarted(program, cwd);
  return new NodeProgram(child, child.pid);
}

/** Why a program did not start; Node.js would say so later. */
function notStarted(program: string, cwd: string | URL | undefined): IpcError {
  const what = `Cannot start ${asFound(program)}`, { existsSync } = module("node:fs");
  if (cwd !== undefined && !existsSync(cwd)) {
    return new IpcError("NotFound", `${what}: there is no folder "${cwd}" to start it in`);
  }
  const places = program.includes("/") ? [""] : (process.env["PATH"] ?? "").split(":").map((folder) => `${folder}/`);
  if (!places.some((place) => existsSync(place + program))) {
    return new IpcError("NotFound", `${what}: ${noProgram(program, "there is no such program")}`);
  }
  return new IpcError("Permission", `${what}: ${noProgram(program, NOT_EXECUTABLE)}`);
}

class NodeProgram implements StartedProgram {
  readonly #child: NodeChild;
  readonly #streams = new Map<string, unknown>();
  readonly pid: number;
  readonly status: Promise<ProgramStatus>;

  constructor(child: NodeChild, pid: number) {
    this.#child = child;
    this.pid = pid;
    this.status = new Promise((resolve) => {
      child.on("exit", (exitCode, signal) => {
        const code = exitCode ?? 128 + (module("node:os").constants.signals[signal ?? ""] ?? 0);
        resolve({ success: code === 0, code, signal: signal as Deno.Signal | null });
      });
    });
    // A pipe that nobody uses keeps nobody alive.
    for (const stream of [child.stdin, child.stdout, child.stderr]) (stream as { unref?(): void } | null)?.unref?.();
  }

  ref(): void {
    this.#child.ref();
  }

  unref(): void {
    this.#child.unref();
  }

  kill(signal: Deno.Signal): void {
    try {
      this.#child.kill(signal);
    } catch (cause) {
      if ((cause as { code?: string }).code !== "EPERM") throw cause;
      throw new IpcError("Permission", `Cannot send ${signal} to process ${this.pid}: it runs as another user`, {
        cause,
      });
    }
  }

  get stdin(): WritableStream<Uint8Array<ArrayBuffer>> {
    return this.#stream("stdin") as WritableStream<Uint8Array<ArrayBuffer>>;
  }

  get stdout(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return this.#stream("stdout") as ReadableStream<Uint8Array<ArrayBuffer>>;
  }

  get stderr(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return this.#stream("stderr") as ReadableStream<Uint8Array<ArrayBuffer>>;
  }

  #stream(name: "stdin" | "stdout" | "stderr"): unknown {
    const stream = this.#child[name] as { ref?(): void } | null;
    if (stream === null) throw new TypeError(`Cannot use ${name} of a program that was started without: say "piped"`);
    let web = this.#streams.get(name);
    if (web === undefined) {
      stream.ref?.();
      const { Readable, Writable } = module("node:stream");
      this.#streams.set(name, web = name === "stdin" ? Writable.toWeb(stream) : Readable.toWeb(stream));
    }
    return web;
  }
}
