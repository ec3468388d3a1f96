// A real NATS server, bridges as processes, and a folder for their channels: all of it ends with the test.

const MAIN = new URL("../main.ts", import.meta.url).pathname;
const CONFIG = new URL("../deno.json", import.meta.url).pathname;

/** Milliseconds until something that does not come is called missing: a bound against hanging only. */
export const PATIENCE = 60_000;

/** Whether there is a server to test with. */
export const hasServer = await (async () => {
  try {
    return (await new Deno.Command("nats-server", { args: ["--version"], stdout: "null", stderr: "null" }).output())
      .success;
  } catch {
    return false;
  }
})();

/** A TCP port that is free now. */
export function freePort(): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  try {
    return (listener.addr as Deno.NetAddr).port;
  } finally {
    listener.close();
  }
}

/** Whether a server takes connections. */
async function answers(address: { hostname: string; port: number }): Promise<boolean> {
  try {
    using connection = await Deno.connect(address);
    return await connection.read(new Uint8Array(16)) !== null;
  } catch {
    return false;
  }
}

/** Waits until something holds. */
export async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  for (const deadline = performance.now() + PATIENCE; !await holds();) {
    if (performance.now() > deadline) throw new Error(`Waited in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** A NATS server, which can be stopped and started again with what it has stored. */
export class Server {
  readonly #command: readonly string[];
  readonly #check: { hostname: string; port: number } | undefined;
  #process: Deno.ChildProcess | undefined;
  /** Its URL. */
  readonly url: string;

  /**
   * @param args Its arguments, but for the address.
   * @param wrapper A command that it is run by.
   * @param hostname Where it listens; if not on this machine's loopback, nobody looks whether it does.
   */
  constructor(args: readonly string[], wrapper: readonly string[] = [], hostname = "127.0.0.1") {
    const port = freePort();
    this.url = `nats://${hostname}:${port}`;
    this.#check = hostname === "127.0.0.1" ? { hostname, port } : undefined;
    this.#command = [...wrapper, "nats-server", "-a", hostname, "-p", `${port}`, ...args];
  }

  /** Starts it; resolves when it takes connections. */
  async start(): Promise<void> {
    const [command, ...args] = this.#command;
    this.#process = new Deno.Command(command!, { args, stdin: "null", stdout: "null", stderr: "null" }).spawn();
    const check = this.#check;
    if (check !== undefined) await until("the server answers", () => answers(check));
  }

  /** Ends it. */
  async kill(signal: "SIGKILL" | "SIGTERM" = "SIGKILL"): Promise<void> {
    if (this.#process === undefined) return;
    this.#process.kill(signal);
    await this.#process.status;
    this.#process = undefined;
  }
}

/** A bridge, which can be killed and started again. */
export class Bridge {
  readonly #args: readonly string[];
  readonly #wrapper: readonly string[];
  readonly #env: Record<string, string>;
  #process: Deno.ChildProcess | undefined;
  #output: Promise<void> | undefined;
  /** What it has said, in all its lives. */
  said = "";

  /**
   * @param wrapper A command that it is run by.
   * @param env Variables of its environment.
   */
  constructor(args: readonly string[], wrapper: readonly string[] = [], env: Record<string, string> = {}) {
    this.#args = args;
    this.#wrapper = wrapper;
    this.#env = { NATS_URL: "", NATS_CONTEXT: "", ...env };
  }

  /** Starts it; resolves when it is ready. */
  async start(): Promise<void> {
    const [command, ...args] = [
      ...this.#wrapper,
      Deno.execPath(),
      "run",
      "--quiet",
      "--config",
      CONFIG,
      "-A",
      MAIN,
      ...this.#args,
    ];
    const process = new Deno.Command(command!, { args, env: this.#env, stdin: "null", stdout: "null", stderr: "piped" })
      .spawn();
    this.#process = process;
    const before = this.said.length;
    let ended = false;
    this.#output = (async () => {
      for await (const text of process.stderr.pipeThrough(new TextDecoderStream())) this.said += text;
      ended = true;
    })();
    await until(`a bridge is ready; it says: ${this.said.slice(before)}`, () => {
      if (ended) throw new Error(`The bridge has ended: ${this.said.slice(before)}`);
      return this.said.includes(": ready", before);
    });
  }

  /** The same, while the server may not be there yet. */
  async startPatiently(): Promise<void> {
    await until("the bridge is let in", async () => {
      try {
        await this.start();
        return true;
      } catch {
        await this.end();
        return false;
      }
    });
  }

  /** Its exit code. */
  get status(): Promise<Deno.CommandStatus> {
    return this.#process!.status;
  }

  /** Ends it, and waits until it has. */
  async end(signal: "SIGKILL" | "SIGTERM" = "SIGKILL"): Promise<number> {
    const process = this.#process;
    if (process === undefined) return 0;
    try {
      process.kill(signal);
    } catch {
      // it has ended
    }
    const { code } = await process.status;
    await this.#output;
    this.#process = undefined;
    return code;
  }

  /** Runs it until it ends by itself. */
  async toItsEnd(): Promise<{ code: number; said: string }> {
    const args = ["run", "--quiet", "--config", CONFIG, "-A", MAIN, ...this.#args];
    const options = { args, env: this.#env, stdin: "null", stdout: "null" } as const;
    const { code, stderr } = await new Deno.Command(Deno.execPath(), options).output();
    return { code, said: new TextDecoder().decode(stderr) };
  }
}

/** What one test has. */
export class Machines {
  /** A folder in memory, for channels. */
  readonly folder = Deno.makeTempDirSync({ dir: "/dev/shm", prefix: "isthmus-bridge-" });
  readonly #ends: (() => Promise<unknown>)[] = [];

  /** A server that stores in the test's folder. */
  async server(...more: string[]): Promise<Server> {
    const server = this.prepareServer(["-js", "-sd", `${this.folder}/nats-${crypto.randomUUID()}`, ...more]);
    await server.start();
    return server;
  }

  /** A server that is not started yet. */
  prepareServer(args: readonly string[], wrapper: readonly string[] = [], hostname?: string): Server {
    const server = new Server(args, wrapper, hostname);
    this.onEnd(() => server.kill());
    return server;
  }

  /** A bridge to a server. */
  async bridge(server: { url: string }, ...args: string[]): Promise<Bridge> {
    const bridge = this.prepare([...args, "--server", server.url]);
    await bridge.start();
    return bridge;
  }

  /** A bridge that is not started yet. */
  prepare(args: readonly string[], wrapper: readonly string[] = [], env: Record<string, string> = {}): Bridge {
    const bridge = new Bridge(args, wrapper, env);
    this.onEnd(() => bridge.end());
    return bridge;
  }

  /** Does something when the test ends. */
  onEnd(end: () => Promise<unknown>): void {
    this.#ends.push(end);
  }

  /** Ends everything. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const end of this.#ends.reverse()) await end();
    Deno.removeSync(this.folder, { recursive: true });
  }
}

/** A test with servers and bridges; ignored, with a word about it, where there is no server. */
export function bridgeTest(name: string, body: (machines: Machines) => Promise<void>): void {
  Deno.test({
    name: hasServer ? name : `${name} (needs nats-server)`,
    ignore: !hasServer,
    sanitizeOps: true,
    sanitizeResources: true,
    async fn() {
      await using machines = new Machines();
      await body(machines);
    },
  });
}
