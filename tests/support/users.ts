// Processes of other users, for tests that run as root.
import { assertEquals } from "@std/assert";

/** Whether this process may become anybody. */
export const isRoot: boolean = Deno.permissions.querySync({ name: "run" }).state === "granted" && Deno.uid() === 0;

/** Becomes another user, for good. */
export function become(uid: number, gid = uid): void {
  const { symbols, close } = Deno.dlopen("libc.so.6", {
    setgroups: { parameters: ["usize", "pointer"], result: "i32" },
    setresgid: { parameters: ["u32", "u32", "u32"], result: "i32" },
    setresuid: { parameters: ["u32", "u32", "u32"], result: "i32" },
    prctl: { parameters: ["i32", "u64", "u64", "u64", "u64"], result: "i32" },
  });
  const results = [
    symbols.setgroups(0n, null),
    symbols.setresgid(gid, gid, gid),
    symbols.setresuid(uid, uid, uid),
    symbols.prctl(4, 1n, 0n, 0n, 0n), // PR_SET_DUMPABLE: its own /proc/self/fd, which a change of user takes away
  ];
  if (results.some((result) => result !== 0)) throw new Error("Cannot become another user");
  void close;
}

/** A process of another user that does as it is told, a function at a time. */
export class OtherUser implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #output: ReadableStreamDefaultReader<string>;
  #rest = "";

  /** @param gid Its group, if not of the same number. */
  constructor(uid: number, gid = uid) {
    const config = new URL("../../deno.json", import.meta.url).pathname;
    this.#process = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--quiet", "--config", config, import.meta.url, `${uid}`, `${gid}`],
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    this.#input = this.#process.stdin.getWriter();
    this.#output = this.#process.stdout.pipeThrough(new TextDecoderStream()).getReader();
  }

  /**
   * Has it run a function, which sees the library as `isthmus`, `main` of the command line, and `kept`, an object for what
   * the next one needs.
   *
   * @returns What it returns, or `"Code: message"` of its error.
   */
  async do(body: string): Promise<unknown> {
    await this.#input.write(new TextEncoder().encode(JSON.stringify(body) + "\n"));
    while (!this.#rest.includes("\n")) {
      const { value, done } = await this.#output.read();
      if (done) throw new Error("the other user's process has ended");
      this.#rest += value;
    }
    const end = this.#rest.indexOf("\n");
    const line = this.#rest.slice(0, end);
    this.#rest = this.#rest.slice(end + 1);
    return JSON.parse(line);
  }

  /** Kills it. */
  async kill(): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#process.status;
  }

  /** Waits for its end. */
  async end(): Promise<void> {
    await this.#input.close();
    assertEquals((await this.#process.status).code, 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#process.kill("SIGKILL");
    } catch {
      // ended already
    }
    await this.#process.status;
    await this.#input.close().catch(() => {});
    await this.#output.cancel();
  }
}

if (import.meta.main) {
  const isthmus = await import("../../mod.ts");
  const { main } = await import("../../cli/mod.ts");
  become(Number(Deno.args[0]), Number(Deno.args[1]));
  const kept = {};
  const say = (value: unknown) => {
    const line = new TextEncoder().encode(JSON.stringify(value ?? null) + "\n");
    for (let at = 0; at < line.length;) at += Deno.stdout.writeSync(line.subarray(at));
  };
  let rest = "";
  for await (const text of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    for (const line of lines) {
      try {
        const body = new Function("isthmus", "main", "kept", `return (async () => { ${JSON.parse(line)} })()`);
        say(await body(isthmus, main, kept));
      } catch (error) {
        say(`${(error as { code?: string }).code}: ${(error as Error).message}`);
      }
    }
  }
}
