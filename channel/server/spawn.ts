// Starts a program that is a peer.
import { asFound, optionsOf } from "../../base/arguments.ts";
import { IpcError } from "../../base/error.ts";
import { step } from "../../base/step_hook.ts";
import { millisecondsText, timeoutOf } from "../../base/wait.ts";
import { ChildProcess, moduleCommand, within } from "../../ffi/runtime/child_process.ts";
import type { ProgramOptions } from "../../ffi/runtime/program.ts";
import { messageLimitOf } from "../endpoint/receiver_core.ts";
import { capacityOf } from "../ring/memory.ts";
import { bytesReceiverFrom } from "../endpoint/bytes_receiver.ts";
import { bytesSenderFrom } from "../endpoint/bytes_sender.ts";
import { receiverFrom } from "../endpoint/receiver.ts";
import { senderFrom } from "../endpoint/sender.ts";
import { IpcBytesChild } from "./bytes_child.ts";
import { IpcChild } from "./child.ts";
import { ChildDoor } from "./child_door.ts";
import { formatParentName, freshParentName, PARENT_VARIABLE } from "./parent_name.ts";
import { closeOutput, endProgram, StartedProgram } from "./started_program.ts";

/**
 * Options of {@linkcode spawn}.
 *
 * @example A program that gets little time and reads no standard input
 * ```ts ignore
 * import { IpcError, spawn, type SpawnOptions } from "@isthmus/ipc";
 * import { assertEquals, assertRejects } from "@std/assert";
 *
 * const options: SpawnOptions = { args: ["-c", "exit 3"], stdin: "null", timeout: 5000 };
 * const error = await assertRejects(() => spawn("sh", options), IpcError);
 * assertEquals(error.code, "Disconnected"); // it has ended, and never called parent()
 * assertEquals((error.cause as Deno.CommandStatus).code, 3);
 * ```
 */
export interface SpawnOptions {
  /** The conversation is one of values: see {@linkcode BytesSpawnOptions}. @default false */
  bytes?: false;
  /** Arguments of the program. */
  args?: string[];
  /**
   * Flags of `deno run` for a module: permissions and others. Those given replace the default: the library needs
   * `--allow-ffi`.
   *
   * @default ["--allow-ffi"]
   */
  permissions?: string[];
  /** The folder to start it in; this program's own by default. */
  cwd?: string | URL;
  /** Environment variables, beside those of this program. */
  env?: Record<string, string>;
  /**
   * What the program reads: a pipe, what this program reads, or nothing.
   *
   * @default "inherit"
   */
  stdin?: "piped" | "inherit" | "null";
  /**
   * Where the standard output of the program goes: to a pipe, where this program's goes, or nowhere.
   *
   * @default "inherit"
   */
  stdout?: "piped" | "inherit" | "null";
  /**
   * Where the standard error of the program goes, likewise.
   *
   * @default "inherit"
   */
  stderr?: "piped" | "inherit" | "null";
  /** Bytes that can wait in each direction, as for `channel()`. */
  capacity?: number;
  /** Bytes that a message of the program may have, as for `channel()`. */
  maxMessageBytes?: number;
  /**
   * Milliseconds until the program has called `parent()`; it is ended if it has not.
   *
   * @default 30000
   */
  timeout?: number;
  /**
   * Milliseconds that the program has to end by itself when `using` or `await using` ends it.
   *
   * @default 2000
   */
  grace?: number;
  /** Ends the program, by SIGTERM, and a second later by SIGKILL; also once it talks. */
  signal?: AbortSignal;
}

/**
 * Options of {@linkcode spawn} for a conversation in byte strings.
 *
 * @example
 * ```ts ignore
 * import { type BytesSpawnOptions, spawn } from "@isthmus/ipc";
 *
 * const options: BytesSpawnOptions = { bytes: true, capacity: 1 << 24 };
 * await using child = await spawn(new URL("./resize.ts", import.meta.url), options); // it calls parent({ bytes: true })
 * ```
 */
export interface BytesSpawnOptions extends Omit<SpawnOptions, "bytes"> {
  /** The conversation is one of byte strings. */
  bytes: true;
}

const TIMEOUT = 30_000, GRACE = 2000;

const STANDARD = ["piped", "inherit", "null"];

/**
 * Starts a program and waits until it has called {@linkcode parent}: both have their end of a conversation then.
 *
 * Needs `--allow-run` for the program, which for a module is Deno itself. In Node.js and Bun a module is run by the same
 * program, with the flags that this one was started with.
 *
 * @typeParam Out What this side sends.
 * @typeParam In What the program sends.
 * @param program A Deno module by its URL, or any program by its name or path.
 * @param options What to start it with, and how long to wait for it.
 * @returns The program, and this side's end of the conversation.
 * @throws {IpcError} `Disconnected` if the program ends before it has called `parent()`, `Timeout` if it does not call it
 * in time (it is ended then): both say the exit code, and have the status as their `cause`; `NotFound` if there is no such
 * program; `Permission`; `Unsupported` for a module in a program that was compiled; `System`.
 * @throws {TypeError} If an argument is of the wrong kind.
 *
 * @example A module, a question, and an answer
 * ```ts ignore
 * import { spawn } from "@isthmus/ipc";
 *
 * await using child = await spawn<string, number>(new URL("./lengths.ts", import.meta.url));
 * await child.send("hello");
 * console.log(await child.recv());
 * ```
 */
export function spawn<Out, In>(program: URL | string, options?: SpawnOptions): Promise<IpcChild<Out, In>>;
/**
 * The same for a conversation in byte strings.
 *
 * @param program A Deno module by its URL, or any program by its name or path.
 * @param options What to start it with, with `bytes: true`.
 * @returns The program, and this side's end of the conversation.
 * @throws {IpcError} As for values: `Disconnected`, `Timeout`, `NotFound`, `Permission`, `Unsupported`, `System`.
 * @throws {TypeError} If an argument is of the wrong kind.
 *
 * @example An image, made smaller in another process
 * ```ts ignore
 * import { spawn } from "@isthmus/ipc";
 *
 * await using child = await spawn(new URL("./resize.ts", import.meta.url), { bytes: true });
 * await child.send(Deno.readFileSync("large.png"));
 * Deno.writeFileSync("small.png", await child.recv());
 * ```
 */
export function spawn(program: URL | string, options: BytesSpawnOptions): Promise<IpcBytesChild>;
export async function spawn(
  program: URL | string,
  options: SpawnOptions | BytesSpawnOptions = {},
): Promise<IpcChild<unknown, unknown> | IpcBytesChild> {
  const plan = planOf(program, options);
  const { signal } = plan;
  signal?.throwIfAborted();
  const name = freshParentName(plan.capacity, plan.bytes);
  // Known before anybody can arrive: the event loop has no turn in between.
  let started: StartedProgram | undefined;
  const door = new ChildDoor<IpcChild<unknown, unknown> | IpcBytesChild>(name, (sending, receiving, peer) => {
    const child = plan.bytes
      ? new IpcBytesChild(started, bytesSenderFrom(sending), bytesReceiverFrom({ handle: receiving }), peer)
      : new IpcChild(started, senderFrom<unknown>(sending), receiverFrom<unknown>({ handle: receiving }), peer);
    if (plan.maxMessageBytes !== undefined) child.limitMessages(plan.maxMessageBytes);
    return child;
  });
  try {
    plan.start.env[PARENT_VARIABLE] = formatParentName(name);
    const process = new ChildProcess(plan.program, plan.start);
    started = new StartedProgram(process, plan.grace);
    step("child-started");
    const stop = endAtSignal(process, signal);
    try {
      await within(plan.timeout, Promise.race([door.arrived(), process.status, stop.aborted]), true);
      if (signal?.aborted) throw signal.reason;
      if (process.ended) door.lookOnceMore();
      const child = door.take();
      if (child !== undefined) return child;
      const ended = process.ended;
      await endProgram(process, 0, true);
      throw neverCame(plan, ended, await process.status);
    } catch (error) {
      await endProgram(process, 0, true);
      closeOutput(process);
      throw error;
    }
  } finally {
    door.close();
  }
}

/** What is to be done, checked. */
interface Plan {
  /** For messages. */
  readonly shown: string;
  readonly program: string;
  readonly start: ProgramOptions;
  readonly bytes: boolean;
  readonly capacity: number | undefined;
  readonly maxMessageBytes: number | undefined;
  readonly timeout: number;
  readonly grace: number;
  readonly signal: AbortSignal | undefined;
}

function planOf(program: URL | string, options: SpawnOptions | BytesSpawnOptions): Plan {
  const isModule = program instanceof URL;
  if (!isModule && (typeof program !== "string" || program === "")) {
    throw new TypeError(`Cannot start ${asFound(program)}: give the URL of a module, or the name of a program`);
  }
  const shown = isModule ? program.href : program, what = `Cannot start "${shown}"`;
  const {
    bytes = false,
    args = [],
    permissions,
    cwd,
    env = {},
    capacity,
    maxMessageBytes,
    timeout,
    grace,
    signal,
    ...streams
  } = optionsOf(options, what);
  if (typeof bytes !== "boolean") {
    throw new TypeError(`${what} with the option "bytes" ${asFound(bytes)}: it must be true or false`);
  }
  for (const [option, list] of Object.entries({ args, permissions: permissions ?? [] })) {
    if (!Array.isArray(list) || !list.every((text) => typeof text === "string")) {
      throw new TypeError(`${what} with the option "${option}" ${asFound(list)}: it must be an array of strings`);
    }
  }
  if (!isModule && permissions !== undefined) {
    throw new TypeError(`${what} with permissions: those are flags of "deno run", for a module; put them into "args"`);
  }
  if (cwd !== undefined && typeof cwd !== "string" && !(cwd instanceof URL)) {
    throw new TypeError(`${what} in the folder ${asFound(cwd)}: it must be a path or a URL`);
  }
  const isRecord = typeof env === "object" && env !== null && !Array.isArray(env);
  if (!isRecord || !Object.values(env).every((text) => typeof text === "string")) {
    throw new TypeError(`${what} with the environment ${asFound(env)}: it must be an object with strings`);
  }
  const { stdin = "inherit", stdout = "inherit", stderr = "inherit" } = streams;
  for (const [option, value] of Object.entries({ stdin, stdout, stderr })) {
    if (STANDARD.includes(value)) continue;
    throw new TypeError(`${what} with the ${option} ${asFound(value)}: it must be one of "${STANDARD.join('", "')}"`);
  }
  const wait = timeoutOf({
    ...(timeout === undefined ? {} : { timeout }),
    ...(signal === undefined ? {} : { signal }),
  });
  const time = timeoutOf(grace === undefined ? {} : { timeout: grace });
  const [command, all] = isModule ? moduleCommand(program, permissions, args) : [program, [...args]];
  return {
    shown,
    program: command,
    bytes,
    start: { args: all, cwd, env: { ...env }, stdin, stdout, stderr },
    capacity: capacity === undefined ? undefined : capacityOf(capacity) && capacity,
    maxMessageBytes: messageLimitOf(maxMessageBytes),
    timeout: timeout === undefined ? TIMEOUT : wait,
    grace: grace === undefined ? GRACE : time,
    signal,
  };
}

/** Ends a program when a signal says so, as long as it runs. */
function endAtSignal(process: ChildProcess, signal: AbortSignal | undefined): { readonly aborted: Promise<void> } {
  const { promise: aborted, resolve } = Promise.withResolvers<void>();
  if (signal !== undefined) {
    const end = () => {
      resolve();
      endProgram(process, 0, false).catch(() => {}); // of another user: it cannot be ended
    };
    signal.addEventListener("abort", end, { once: true });
    void process.status.then(() => signal.removeEventListener("abort", end));
  }
  return { aborted };
}

function neverCame({ shown, timeout }: Plan, hadEnded: boolean, status: Deno.CommandStatus): IpcError {
  const how = status.signal === null ? `exit code ${status.code}` : `exit code ${status.code}, by ${status.signal}`;
  const message = hadEnded
    ? `Cannot start "${shown}": it ended with ${how} before it had called parent()`
    : `Cannot start "${shown}": timed out after ${
      millisecondsText(timeout)
    }, as it has not called parent(); it was ended, with ${how}`;
  return new IpcError(hadEnded ? "Disconnected" : "Timeout", message, { cause: status });
}
