// One run: the subscribers, then the publisher, each a process that talks in lines of its standard input and output.
import { processorTime } from "../harness/loop.mjs";
import type { Measurement, Workload } from "../harness/workload.ts";

/** Milliseconds that processes get beyond the ones that are measured, before they are killed. */
const GRACE = 30_000;

/** What publishes and subscribes. */
export interface BroadcastPrograms {
  /** What runs beside the processes, for one measurement. */
  serve?(name: string): Promise<AsyncDisposable & { readonly pid: number }>;
  /** The program that publishes, or subscribes. */
  command(role: "publish" | "subscribe", name: string, size: number, milliseconds: number): readonly string[];
}

/**
 * A publisher publishes for some time, as fast as it can. Counted are the messages that the slowest subscriber received,
 * over the time until all have received the last: what waits in queues when the publisher ends counts with its time.
 */
export async function measureBroadcast(
  programs: BroadcastPrograms,
  { size, subscribers, measure }: Workload,
): Promise<Measurement> {
  const name = `bench-${crypto.randomUUID().slice(0, 8)}`;
  await using server = await programs.serve?.(name);
  const running: Program[] = [];
  const start = async (role: "publish" | "subscribe", milliseconds: number) => {
    const program = new Program(programs.command(role, name, size, milliseconds));
    running.push(program);
    await program.line();
    return program;
  };
  const timer = setTimeout(() => running.forEach((program) => program.kill()), measure + GRACE);
  try {
    // Publishers make the topic; so it is there when the subscribers come.
    const publisher = await start("publish", measure);
    const listeners: Program[] = [];
    while (listeners.length < subscribers!) listeners.push(await start("subscribe", 0));
    const pids = running.map(({ pid }) => pid).concat(server?.pid ?? []);
    const before = processorTime(pids), began = performance.now();
    await publisher.tell("go");
    const published = JSON.parse(await publisher.line()) as { count: number };
    const received = (await Promise.all(listeners.map((listener) => listener.line())))
      .map((line) => (JSON.parse(line) as { count: number }).count);
    const ns = (performance.now() - began) * 1e6, cpu = processorTime(pids) - before;
    const ops = Math.max(1, Math.min(...received));
    return { ops, ns, cpu, missed: Math.max(0, 1 - ops / published.count) };
  } finally {
    for (const program of running) await program.end();
    clearTimeout(timer);
  }
}

/** A process. */
class Program {
  readonly #process: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #output: ReadableStreamDefaultReader<string>;
  #rest = "";

  constructor([program, ...args]: readonly string[]) {
    this.#process = new Deno.Command(program!, { args, stdin: "piped", stdout: "piped", stderr: "inherit" }).spawn();
    this.#input = this.#process.stdin.getWriter();
    this.#output = this.#process.stdout.pipeThrough(new TextDecoderStream()).getReader();
  }

  get pid(): number {
    return this.#process.pid;
  }

  async line(): Promise<string> {
    for (;;) {
      const end = this.#rest.indexOf("\n");
      if (end >= 0) {
        const line = this.#rest.slice(0, end);
        this.#rest = this.#rest.slice(end + 1);
        return line;
      }
      const { value, done } = await this.#output.read();
      if (done) throw new Error("A process of the measurement has ended");
      this.#rest += value;
    }
  }

  async tell(line: string): Promise<void> {
    await this.#input.write(new TextEncoder().encode(`${line}\n`));
  }

  kill(): void {
    try {
      this.#process.kill("SIGKILL");
    } catch {
      // It has ended.
    }
  }

  /** It ends when its input does. */
  async end(): Promise<void> {
    await this.#input.close().catch(() => {});
    await this.#process.status;
    await this.#output.cancel();
  }
}
