// A program that was started, apart from what is said to it: how it is watched, and ended.
import { type ChildProcess, within } from "../../ffi/runtime/child_process.ts";
import type { ProgramStatus } from "../../ffi/runtime/program.ts";

/** Milliseconds that a program has to end after SIGTERM. */
const TERM_PATIENCE = 1000;

/** A program, and how much time it has to end by itself. */
export class StartedProgram {
  readonly #process: ChildProcess;
  readonly #grace: number;

  /**
   * @param process The program.
   * @param grace Milliseconds that it has to end by itself.
   */
  constructor(process: ChildProcess, grace: number) {
    this.#process = process;
    this.#grace = grace;
  }

  get pid(): number {
    return this.#process.pid;
  }

  get ended(): boolean {
    return this.#process.ended;
  }

  /** Who asks for it keeps this process alive until then. */
  get status(): Promise<ProgramStatus> {
    this.#process.keepAlive();
    return this.#process.status;
  }

  get stdin(): WritableStream<Uint8Array<ArrayBuffer>> {
    return this.#process.stdin;
  }

  get stdout(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return this.#process.stdout;
  }

  get stderr(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return this.#process.stderr;
  }

  kill(signal: Deno.Signal): void {
    this.#process.kill(signal);
  }

  /**
   * Ends it, and reads no more of what it writes.
   *
   * @param awaited Whether this process stays alive for it.
   */
  async end(awaited: boolean): Promise<void> {
    await endProgram(this.#process, this.#grace, awaited);
    closeOutput(this.#process);
  }
}

/**
 * Ends a program: gives it time, then sends SIGTERM, then SIGKILL.
 *
 * @param grace Milliseconds before SIGTERM.
 * @param awaited Whether this process stays alive for it.
 */
export async function endProgram(process: ChildProcess, grace: number, awaited: boolean): Promise<void> {
  if (awaited) process.keepAlive();
  closeStream(process, "stdin");
  if (!process.ended && !(grace > 0 && await within(grace, process.status, awaited))) {
    process.kill("SIGTERM");
    if (!await within(TERM_PATIENCE, process.status, awaited)) process.kill("SIGKILL");
  }
  await process.status;
}

/** What a program has written is not read any more. */
export function closeOutput(process: ChildProcess): void {
  closeStream(process, "stdout");
  closeStream(process, "stderr");
}

/** Closes a stream of a program, unless it is not piped, or somebody is at it. */
function closeStream(process: ChildProcess, name: "stdin" | "stdout" | "stderr"): void {
  let stream: WritableStream | ReadableStream;
  try {
    stream = process[name];
  } catch {
    return; // not piped
  }
  if (stream.locked) return;
  const closing = "cancel" in stream ? stream.cancel() : stream.close();
  closing.catch(() => {}); // it was closed, or the program has ended
}
