// Runs functions of test files as processes of their own, and ends all of them when the test ends.
import { assertEquals } from "@std/assert";
import { IpcOneShotServer, type IpcSender } from "../../mod.ts";
import type { Actor } from "./actor.ts";
import { START } from "./patience.ts";

const MAIN = new URL("./actor_main.ts", import.meta.url).href;

/** Arguments of `unshare` for what a container has of its own. */
export const CONTAINER: readonly string[] = ["--pid", "--fork", "--mount", "--mount-proc", "--net", "--ipc", "--uts"];

/** Whether this process may make namespaces: those of a container by default. */
export function mayContain(namespaces = CONTAINER): boolean {
  if (Deno.permissions.querySync({ name: "run" }).state !== "granted") return false;
  try {
    return new Deno.Command("unshare", { args: [...namespaces, "true"], stderr: "null" }).outputSync().success;
  } catch {
    return false;
  }
}

/** The processes of one test. */
export class Processes {
  readonly #children: Child[] = [];

  /**
   * Starts a process that runs an exported function of a module, and hands it its job through a channel: endpoints may
   * stand in it.
   *
   * @param module `import.meta.url` of the file that exports the function.
   * @param actor The function.
   * @param job Its argument.
   * @param flags Flags for Deno, all permissions by default.
   */
  readonly start = async <Job>(
    module: string,
    actor: Actor<Job>,
    job: Job,
    flags: string[] = ["-A"],
  ): Promise<Child> => {
    using server = new IpcOneShotServer<IpcSender<Job>>();
    const child = this.spawn(["run", "--quiet", ...flags, MAIN, module, actor.name, server.name]);
    const abort = new AbortController();
    const early = child.status.then(({ code, signal }) => {
      abort.abort(new Error(`"${actor.name}" ended before it began: ${signal ?? code}`));
    });
    const [receiver, inbox] = await server.accept({ timeout: START, signal: abort.signal });
    try {
      inbox.sendSync(job);
    } finally {
      inbox.close();
      receiver.close();
      void early;
    }
    return child;
  };

  /**
   * As {@linkcode start}, in namespaces of its own: other process ids, another network, nothing shared but files.
   *
   * @param folder Where the two meet, by path.
   * @param namespaces Other namespaces than a container's, as arguments of `unshare`.
   */
  readonly startContained = async <Job>(
    module: string,
    actor: Actor<Job>,
    job: Job,
    folder: string,
    namespaces: readonly string[] = CONTAINER,
  ): Promise<Child> => {
    using server = new IpcOneShotServer<IpcSender<Job>>({ path: `${folder}/${crypto.randomUUID().slice(0, 8)}.job` });
    const deno = [Deno.execPath(), "run", "--quiet", "-A", MAIN, module, actor.name, server.name];
    // Another program is the first process there: the kernel does not let that one be killed from inside. And where it
    // does, that program must not end by the same signal, or unshare complains that it cannot end by it as well.
    const args = [...namespaces, "--kill-child", "sh", "-c", 'timeout --foreground 600 "$@"; exit $?', "sh", ...deno];
    const child = new Child(
      new Deno.Command("unshare", { args, stdin: "piped", stdout: "piped", stderr: "inherit" }).spawn(),
    );
    this.#children.push(child);
    const [receiver, inbox] = await server.accept({ timeout: START });
    inbox.sendSync(job);
    inbox.close(), receiver.close();
    return child;
  };

  /** Starts Deno with arguments. */
  readonly spawn = (args: string[], env: Record<string, string> = {}): Child => {
    const child = new Child(
      new Deno.Command(Deno.execPath(), { args, env, stdin: "piped", stdout: "piped", stderr: "inherit" }).spawn(),
    );
    this.#children.push(child);
    return child;
  };

  /** Kills what still runs, and waits until it is gone. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children.splice(0)) await child.end();
  }
}

/** One process. */
export class Child {
  readonly #process: Deno.ChildProcess;
  readonly #stdin: WritableStreamDefaultWriter<Uint8Array>;
  readonly #stdout: ReadableStreamDefaultReader<Uint8Array>;
  #text = "";
  #ended = false;
  /** How it ended. */
  readonly status: Promise<Deno.CommandStatus>;

  constructor(process: Deno.ChildProcess) {
    this.#process = process;
    this.#stdin = process.stdin.getWriter();
    this.#stdin.closed.catch(() => {}); // a killed process breaks the pipe
    this.#stdout = process.stdout.getReader();
    this.status = process.status.then((status) => {
      this.#ended = true;
      return status;
    });
  }

  get pid(): number {
    return this.#process.pid;
  }

  /** What the process says next. */
  async said<T = unknown>(): Promise<T> {
    for (;;) {
      const end = this.#text.indexOf("\n");
      if (end >= 0) {
        const line = this.#text.slice(0, end);
        this.#text = this.#text.slice(end + 1);
        return JSON.parse(line) as T;
      }
      const { done, value } = await this.#stdout.read();
      if (done) {
        const { code, signal } = await this.status;
        throw new Error(`The process ended without a word: ${signal ?? `exit code ${code}`}`);
      }
      this.#text += new TextDecoder().decode(value);
    }
  }

  /** All that it writes until it ends, as it is. */
  async text(): Promise<string> {
    for (;;) {
      const { done, value } = await this.#stdout.read();
      if (done) return this.#text;
      this.#text += new TextDecoder().decode(value);
    }
  }

  /** All that it says until it ends. */
  async saidAll(): Promise<unknown[]> {
    return (await this.text()).split("\n").filter((line) => line !== "").map((line) => JSON.parse(line));
  }

  /** Tells the process something. */
  async tell(word: unknown = null): Promise<void> {
    await this.#stdin.write(new TextEncoder().encode(JSON.stringify(word) + "\n"));
  }

  /** The number of the innermost process below it, as it is here: of what runs in a container. */
  innermost(): number {
    const parents = new Map<number, number>();
    for (const { name } of Deno.readDirSync("/proc")) {
      if (!/^\d+$/.test(name)) continue;
      try {
        const text = Deno.readTextFileSync(`/proc/${name}/stat`);
        parents.set(Number(text.slice(text.lastIndexOf(")") + 4).split(" ")[0]), Number(name));
      } catch {
        // It has ended meanwhile.
      }
    }
    let pid = this.pid;
    while (parents.has(pid)) pid = parents.get(pid)!;
    return pid;
  }

  /** Sends a signal. */
  signal(signal: Deno.Signal): void {
    if (this.#ended) return;
    try {
      this.#process.kill(signal);
    } catch (error) {
      // Deno knows of the end before it tells it.
      if (!(error instanceof TypeError && /already terminated/.test(error.message))) throw error;
    }
  }

  /** Kills it at once, and waits until it is gone. */
  async kill(): Promise<void> {
    this.signal("SIGKILL");
    await this.status;
  }

  /** Waits for its end; the exit code, or the name of the signal. */
  async ended(): Promise<number | string> {
    const { code, signal } = await this.status;
    return signal ?? code;
  }

  /** Waits until it ends as it should. */
  async done(): Promise<void> {
    assertEquals(await this.ended(), 0, "the process failed; its error is printed above");
  }

  /** Waits until the process has been stopped by a signal. */
  async stopped(): Promise<void> {
    while (stateOf(this.pid) !== "T") await new Promise((resolve) => setTimeout(resolve, 1));
  }

  /** Ends it, however it is. */
  async end(): Promise<void> {
    await this.kill();
    await this.#stdout.cancel();
    await this.#stdin.close().catch(() => {});
  }

  /** Same as {@linkcode Child.end}, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.end();
  }
}

/** One letter for what a process does: "R", "S", "T" (stopped), "Z" (zombie). */
export function stateOf(pid: number): string {
  const text = Deno.readTextFileSync(`/proc/${pid}/stat`);
  return text.slice(text.lastIndexOf(")") + 2, text.lastIndexOf(")") + 3);
}
