// One run: the subscribers, then the publisher, each a process that talks in lines of its standard input and output.
import { processorTime } from "../harness/loop.mjs";
import type { Measurement, Workload } from "../harness/workload.ts";

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
  // Publishers make the topic; so it is there when the subscribers come.
  const publisher = new Program(programs.command("publish", name, size, measure));
  await publisher.line();
  const listeners = Array.from(
    { length: subscribers! },
    () => new Program(programs.command("subscribe", name, size, 0)),
  );
  for (const listener of listeners) await listener.line();
  const pids = [publisher, ...listeners].map(({ pid }) => pid).concat(server?.pid ?? []);
  const before = processorTime(pids), began = performance.now();
  await publisher.tell("go");
  const published = JSON.parse(await publisher.line()) as { count: number };
  const received = (await Promise.all(listeners.map((listener) => listener.line())))
    .map((line) => (JSON.parse(line) as { count: number }).count);
  const ns = (performance.now() - began) * 1e6, cpu = processorTime(pids) - before;
  for (const program of [publisher, ...listeners]) await program.end();
  const ops = Math.max(1, Math.min(...received));
  return { ops, ns, cpu, missed: Math.max(0, 1 - ops / published.count) };
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

  /** It ends when its input does. */
  async end(): Promise<void> {
    await this.#input.close().catch(() => {});
    await this.#process.status;
    await this.#output.cancel();
  }
}
