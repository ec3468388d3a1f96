// One run: the subscribers, then the publisher, each a process that talks in lines of its standard input and output.
import type { BroadcastSide } from "./sides.ts";

/** Messages a second. */
export interface Figures {
  readonly published: number;
  /** By each subscriber, on average. */
  readonly received: number;
}

/** Measures one side. */
export async function measure(
  side: BroadcastSide,
  size: number,
  subscribers: number,
  milliseconds: number,
): Promise<Figures> {
  const name = `bench-${crypto.randomUUID().slice(0, 8)}`;
  await using server = await side.serve?.(name);
  void server;
  // Publishers make the topic; so it is there when the subscribers come.
  const publisher = new Program(side.command("publish", name, size, milliseconds));
  await publisher.line();
  const listeners = Array.from({ length: subscribers }, () => new Program(side.command("subscribe", name, size, 0)));
  for (const listener of listeners) await listener.line();
  await publisher.tell("go");
  const published = JSON.parse(await publisher.line()) as { count: number; milliseconds: number };
  let received = 0;
  for (const listener of listeners) {
    const { count } = JSON.parse(await listener.line()) as { count: number };
    received += count / published.milliseconds * 1000 / subscribers;
  }
  for (const program of [publisher, ...listeners]) await program.end();
  return { published: published.count / published.milliseconds * 1000, received };
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
