// A program that spawn() starts in tests. Its first argument says what it does; it has `--allow-ffi` alone as a rule.
import { type IpcDuplex, IpcError, parent, spawn } from "../../mod.ts";
import { setStepHook } from "../../base/step_hook.ts";

/** This module. */
export const SPAWNED = new URL(import.meta.url);

const WAYS: Record<string, (...args: string[]) => void | Promise<void>> = {
  /** Sends back what it gets, until the parent closes. */
  async echo() {
    using line = parent<unknown, unknown>();
    await line.run((message) => message);
  },
  /** Sends byte strings back, reversed. */
  async reverse() {
    using line = parent({ bytes: true });
    if (parent({ bytes: true }) !== line) throw new Error("another conversation");
    await line.run((bytes) => bytes.toReversed());
  },
  /** Asks for the kind of conversation that the parent does not want, and writes down what it gets. */
  kind(bytes) {
    try {
      if (bytes === "bytes") parent({ bytes: true });
      else parent();
    } catch (error) {
      console.log((error as IpcError).code);
    }
  },
  /** Says what it was started with. */
  surroundings(variable) {
    using line = parent<unknown, unknown>();
    line.sendSync({ args: Deno.args, cwd: Deno.cwd(), variable: Deno.env.get(variable!) });
  },
  /** Says something and ends at once. */
  brief() {
    const line = parent<string, unknown>();
    line.sendSync("here");
    line.sendSync("gone");
  },
  /** Never calls parent(). */
  silent() {
    setInterval(() => {}, 1000);
  },
  /** Ends before it calls parent(). */
  ends(code) {
    Deno.exit(Number(code));
  },
  /** Neither ends when the parent closes nor by SIGTERM. */
  async stubborn() {
    Deno.addSignalListener("SIGTERM", () => {});
    setInterval(() => {}, 1000);
    await parent<string, unknown>().send("ready");
  },
  /** Ends a moment after the parent has closed the conversation, with a code of its own. */
  async tidy() {
    const line = parent<string, unknown>();
    line.sendSync("ready");
    for await (const _message of line);
    line.close();
    setTimeout(() => Deno.exit(7), 50);
  },
  /** Looks at what parent() returns the second time, and what a Worker and a program of its own get. */
  async again() {
    const line = parent<unknown, unknown>();
    const again = parent();
    const worker = new Worker(new URL("./spawned_worker.ts", import.meta.url), { type: "module" });
    const inWorker = await new Promise((resolve) => worker.onmessage = ({ data }) => resolve(data));
    worker.terminate();
    const args = ["run", "--quiet", "-A", import.meta.url, "seek"];
    const { stdout } = await new Deno.Command(Deno.execPath(), { args }).output();
    line.sendSync([again === line, inWorker, new TextDecoder().decode(stdout).trim()]);
  },
  /** Writes down what it gets for a parent. */
  seek() {
    console.log(found());
  },
  /** Starts a child, and ends without a word to it. */
  async "has-child"() {
    await spawn(SPAWNED, { args: ["echo"], stdin: "null", stdout: "null" });
  },
  /** Kills itself at a step of parent(). */
  killed(step) {
    setStepHook((name) => name === step && Deno.kill(Deno.pid, "SIGKILL"));
    const line = parent<string, unknown>();
    line.sendSync("survived");
  },
  /** Writes down what parent() throws, when it is told to call it. */
  async late() {
    await Deno.stdin.readable.getReader().read();
    console.log(found());
    Deno.exit(0);
  },
  /** Has a program of its own call parent() in its place. */
  async wrapped() {
    const args = ["run", "--quiet", "--allow-ffi", import.meta.url, "echo"];
    await new Deno.Command(Deno.execPath(), { args }).spawn().status;
  },
  /** Stays until it is killed, with the conversation. */
  stay() {
    const line: IpcDuplex<string, unknown> = parent();
    line.sendSync("ready");
    setInterval(() => line.closed, 1000);
  },
};

/** What parent() returns or throws, in words. */
export function found(): string {
  try {
    parent();
    return "a parent";
  } catch (error) {
    return error instanceof IpcError ? `${error.code}: ${error.message}` : String(error);
  }
}

if (import.meta.main) await WAYS[Deno.args[0]!]!(...Deno.args.slice(1));
