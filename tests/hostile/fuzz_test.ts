// A hostile peer does everything that it may, chosen by a seeded number, to programs that have honest clients as well.
// None of them crashes, hangs, or grows; what the honest clients say and hear is checked message by message.
//
// `deno task test:hostile` does a million steps; the suite a part of them. A failure names its seed: `-- --seed=N` begins
// with it.
import { assert, assertEquals } from "@std/assert";
import { channel, IpcError, type IpcReceiver, type IpcSender, IpcServer } from "../../mod.ts";
import type { Self } from "../support/actor.ts";
import { soon } from "../support/assert_ipc.ts";
import { descriptorsOf } from "../support/leftovers.ts";
import { Random } from "../support/open_channel.ts";
import { patience } from "../support/patience.ts";
import type { Processes } from "../support/processes.ts";
import { processTest } from "../support/test.ts";
import { numberArgument } from "../support/test_arguments.ts";
import { type RawChannel, victim } from "./forge.ts";
import { greetWrongly, HostileEnd } from "./grammar.ts";

const STEPS = numberArgument("steps", 15_000), SEED = numberArgument("seed", Date.now() % 1_000_000);

/** Steps of one test, on one channel, and between two looks of the victim. */
const PART = 50_000, ROUND = 500, BATCH = 5;

/** A call of the victim's may take so long, with its time-out of a few milliseconds, on a busy machine. */
const HANGING = patience(2000);

interface Work {
  readonly orders: IpcReceiver<{ raw: RawChannel; seed: number } | null>;
  readonly server: string;
}

/** Attacks one channel after the other, and the server between them; takes as many steps at a time as it is told. */
export function attack({ orders, server }: Work, self: Self): void {
  for (let order = orders.recvSync(); order !== null; order = orders.recvSync()) {
    const random = new Random(order.seed);
    const end = new HostileEnd(order.raw, random);
    for (let steps = self.hear<number>(); steps > 0; steps = self.hear<number>()) {
      for (let i = 0; i < steps; i++) end.step();
      self.say();
    }
    end.close();
    for (let i = 0; i < 3; i++) greetWrongly(server, random);
    self.say();
  }
  orders.close();
}

/** An honest client of the server: sends numbers, and expects each to come back doubled, in order. */
export async function converse({ name }: { name: string }, self: Self): Promise<void> {
  const client = IpcServer.connect<number | null, number>(name);
  const stop = Promise.resolve().then(() => self.say());
  await stop;
  let asked = 0;
  for (const until = performance.now() + self.hear<number>(); performance.now() < until; asked++) {
    await client.send(asked);
    const answer = await client.recv({ timeout: patience(20_000) });
    if (answer !== 2 * asked) throw new Error(`${asked}: heard ${answer}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  client.close();
  self.say(asked);
}

/** Everything that a program does with its two ends, each call with an outcome or an IpcError, in time. */
class Program {
  readonly outcomes: Record<string, number> = {};

  constructor(readonly sender: IpcSender<unknown>, readonly receiver: IpcReceiver<unknown>, readonly random: Random) {}

  async use(): Promise<void> {
    const { sender, receiver, random } = this;
    const value = random.of([1, "text", { a: [1, { b: 2 }] }, new Uint8Array(3000), new Uint8Array(80_000)]);
    await this.#call("tryRecv", () => receiver.tryRecv());
    switch (random.below(8)) {
      case 0:
        return this.#call("recvMany", () => receiver.recvMany());
      case 1:
        return this.#call("recvSync", () => receiver.recvSync({ timeout: 2 }));
      case 2:
        return this.#call("recv", () => receiver.recv({ timeout: 2 }));
      case 3:
        return this.#call("borrow", () => receiver.tryBorrow()?.release());
      case 4:
        return this.#call("trySend", () => sender.trySend(value));
      case 5:
        return this.#call("sendSync", () => sender.sendSync(value, { timeout: 2 }));
      case 6:
        return this.#call("send", () => sender.send(value, { timeout: 2 }));
      default:
        return this.#call("endpoints", () => sender.trySend([sender]));
    }
  }

  async #call(name: string, call: () => unknown): Promise<void> {
    const began = performance.now();
    let outcome = "done";
    try {
      await this.#useUp(await call());
    } catch (error) {
      if (!(error instanceof IpcError)) throw new Error(`${name} threw`, { cause: error });
      outcome = error.code;
    }
    const took = performance.now() - began;
    if (took > HANGING) throw new Error(`${name} took ${took} ms: ${outcome}`);
    this.outcomes[`${name} ${outcome}`] = (this.outcomes[`${name} ${outcome}`] ?? 0) + 1;
  }

  /** Endpoints that a message brought are tried, and closed. */
  async #useUp(value: unknown): Promise<void> {
    if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return;
    if (!(Symbol.dispose in value)) {
      for (const inner of Object.values(value)) await this.#useUp(inner);
      return;
    }
    const end = value as Partial<IpcReceiver<unknown> & IpcSender<unknown> & { bytes: Uint8Array }> & Disposable;
    try {
      end.trySend?.(1);
      end.tryRecv?.();
      if (this.random.below(4) === 0) await end.recv?.({ timeout: 1 });
    } catch (error) {
      if (!(error instanceof IpcError) && !(error instanceof TypeError)) throw error;
    } finally {
      end[Symbol.dispose]();
    }
  }
}

/** Serves numbers, doubled, until it is closed. */
async function serve(server: IpcServer<number, number | null>): Promise<void> {
  for await (const client of server) {
    void (async () => {
      try {
        for await (const n of client) await client.send(2 * Number(n));
      } catch (error) {
        if (!(error instanceof IpcError)) throw error;
      } finally {
        client.close();
      }
    })();
  }
}

for (let from = 0; from < STEPS; from += PART) {
  const steps = Math.min(PART, STEPS - from), seed = SEED + from / ROUND;
  processTest(
    `${steps} steps of a hostile peer harm nobody but its own channel (seed ${seed})`,
    ({ start }) => fuzz(start, steps, seed),
    "what a damaged message names and drops, such as an endpoint under a key twice, waits for the collector",
  );
}

async function fuzz(start: Processes["start"], most: number, firstSeed: number): Promise<void> {
  const server = new IpcServer<number, number | null>({ capacity: 65_536 });
  const serving = serve(server);
  const [orders, inbox] = channel<{ raw: RawChannel; seed: number } | null>();
  const hostile = await start(import.meta.url, attack, { orders: inbox, server: server.name });
  const honest = await start(import.meta.url, converse, { name: server.name });
  await honest.said();
  const duration = Math.max(2000, most / 20);
  await honest.tell(duration);
  const heard = honest.said<number>();
  // A channel of its own between honest ends, beside those that are attacked.
  const [own, ownReceiver] = channel<number>({ capacity: 65_536 });
  let sent = 0, tally: Record<string, number> = {}, open = 0, memory = 0;
  for (let round = 0, steps = 0; steps < most; round++) {
    const seed = firstSeed + round, random = new Random(seed * 7 + 1);
    try {
      const { sender, receiver, raw, close } = victim<unknown>();
      const program = new Program(sender, receiver, random);
      orders.sendSync({ raw, seed });
      for (let i = 0; i < ROUND; i += BATCH, steps += BATCH) {
        await hostile.tell(BATCH);
        const done = hostile.said();
        await program.use(); // at the same time
        await soon(done);
        await program.use();
        own.sendSync(sent);
        assertEquals(await ownReceiver.recv(), sent++);
      }
      await hostile.tell(0);
      await soon(hostile.said());
      close();
      tally = Object.fromEntries(
        [...new Set([...Object.keys(tally), ...Object.keys(program.outcomes)])].map((key) => [
          key,
          (tally[key] ?? 0) + (program.outcomes[key] ?? 0),
        ]),
      );
    } catch (error) {
      throw new Error(`Seed ${seed}`, { cause: error });
    }
    if (round === 4) open = descriptorsOf("self").length, memory = Deno.memoryUsage().rss;
  }
  orders.sendSync(null);
  assert((await hostile.status).success, "the hostile peer itself ended well");
  // The honest client was served all the time.
  const conversations = await soon(heard.then((count) => count), "The honest client");
  assert(conversations > 20, `${conversations}`);
  const seen = JSON.stringify(tally);
  for (const outcome of ["tryRecv done", "trySend done", "tryRecv Corrupt", "recv Timeout"]) {
    assert((tally[outcome] ?? 0) > most / 10_000, `${outcome}: ${seen}`);
  }
  const grown = (Deno.memoryUsage().rss - memory) / 2 ** 20, more = descriptorsOf("self").length - open;
  assert(grown < 300, `${grown} MiB more`);
  assert(more < 50, `${more} descriptors more`);
  server.close();
  await serving;
  for (const end of [orders, own, ownReceiver]) end.close();
}
