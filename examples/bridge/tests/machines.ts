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
async function answers(port: number): Promise<boolean> {
  try {
    using connection = await Deno.connect({ hostname: "127.0.0.1", port });
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
  readonly port: number;
  readonly #args: readonly string[];
  #process: Deno.ChildProcess | undefined;

  /** @param folder Where it stores. */
  constructor(folder: string, port = freePort(), more: readonly string[] = []) {
    this.port = port;
    this.#args = ["-a", "127.0.0.1", "-p", `${port}`, "-js", "-sd", folder, ...more];
  }

  /** Its URL. */
  get url(): string {
    return `nats://127.0.0.1:${this.port}`;
  }

  /** Starts it; resolves when it takes connections. */
  async start(): Promise<void> {
    this.#process = new Deno.Command("nats-server", { args: [...this.#args], stdout: "null", stderr: "null" }).spawn();
    await until("the server answers", () => answers(this.port));
  }

  /** Kills it. */
  async kill(): Promise<void> {
    if (this.#process === undefined) return;
    this.#process.kill("SIGKILL");
    await this.#process.status;
    this.#process = undefined;
  }
}

/** A bridge, which can be killed and started again. */
export class Bridge {
  readonly #args: readonly string[];
  readonly #wrapper: readonly string[];
  #process: Deno.ChildProcess | undefined;
  #output: Promise<void> | undefined;
  /** What it has said, in all its lives. */
  said = "";

  /** @param wrapper A command that it is run by. */
  constructor(args: readonly string[], wrapper: readonly string[] = []) {
    this.#args = args;
    this.#wrapper = wrapper;
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
    const process = new Deno.Command(command!, { args, stdin: "null", stdout: "null", stderr: "piped" }).spawn();
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
    const { code, stderr } = await new Deno.Command(Deno.execPath(), { args, stdin: "null", stdout: "null" }).output();
    return { code, said: new TextDecoder().decode(stderr) };
  }
}

/** What one test has. */
export class Machines {
  /** A folder in memory, for channels. */
  readonly folder = Deno.makeTempDirSync({ dir: "/dev/shm", prefix: "isthmus-bridge-" });
  readonly #ends: (() => Promise<unknown>)[] = [];

  /** A server that stores in the test's folder. */
  async server(more: readonly string[] = []): Promise<Server> {
    const server = new Server(`${this.folder}/nats-${crypto.randomUUID()}`, undefined, more);
    this.onEnd(() => server.kill());
    await server.start();
    return server;
  }

  /** A bridge to a server. */
  async bridge(server: { url: string }, ...args: string[]): Promise<Bridge> {
    const bridge = this.prepare([...args, "--server", server.url]);
    await bridge.start();
    return bridge;
  }

  /** A bridge that is not started yet. */
  prepare(args: readonly string[], wrapper: readonly string[] = []): Bridge {
    const bridge = new Bridge(args, wrapper);
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
