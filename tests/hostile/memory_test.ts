import { assert } from "@std/assert";
import { channel, type IpcError, type IpcReceiver, IpcSender } from "../../mod.ts";
import type { Self } from "../support/actor.ts";
import { soon } from "../support/assert_ipc.ts";
import { damage } from "../support/damage.ts";
import { openChannel, Random } from "../support/open_channel.ts";
import { patience } from "../support/patience.ts";
import { processTest, test } from "../support/test.ts";

/** What a damaged channel may fail with. `Timeout` is a receiver that waits, or a sender of a ring that looks full. */
const ALLOWED = new Set(["Corrupt", "Serialization", "Disconnected", "Timeout"]);

/** The ring may be damaged before it is attached, which is refused then, and leaves the endpoint closed. */
const ALLOWED_ELSEWHERE = new Set([...ALLOWED, "Incompatible", "AlreadyExists", "Closed"]);

/** A call may take its timeout, and a busy machine; a loop that does not end takes longer. */
const HANGING = patience(5_000);

/** How often each outcome was met. */
type Tally = Record<string, number>;

/** Does one call, and counts its outcome; throws for one that must not be. */
function attempt(tally: Tally, name: string, call: () => unknown, allowed = ALLOWED): void {
  const began = performance.now();
  let outcome = `${name} done`;
  try {
    call();
  } catch (error) {
    const { code } = error as IpcError;
    if (!allowed.has(code)) throw error;
    outcome = `${name} ${code}`;
  }
  tally[outcome] = (tally[outcome] ?? 0) + 1;
  const took = performance.now() - began;
  if (took > HANGING) throw new Error(`${outcome}: took ${took} ms`);
}

const SEED = 20_240_229;

test("Damage between any two calls is a message, a skipped message or an IpcError, 80,000 times", async () => {
  const tally: Tally = {};
  for (let round = 0; round < 400; round++) {
    const random = new Random(SEED + round);
    const { sender, receiver, memory, close } = openChannel<unknown>();
    try {
      for (let i = 0; i < 100; i++) {
        const value = random.of([
          () => round,
          () => ({ n: i, text: "x".repeat(random.below(300)) }),
          () => new Uint8Array(random.below(4000)),
          () => new Uint8Array(70_000), // beside the ring, in a memory file
          () => [sender],
        ])();
        damage(memory, random);
        attempt(tally, "trySend", () => sender.trySend(value));
        damage(memory, random);
        if (random.below(4) > 0) attempt(tally, "tryRecv", () => dispose(receiver.tryRecv()));
        if (random.below(8) === 0) attempt(tally, "recvMany", () => dispose(receiver.recvMany()));
        if (random.below(32) === 0) attempt(tally, "recvSync", () => dispose(receiver.recvSync({ timeout: 1 })));
        if (random.below(32) === 0) attempt(tally, "sendSync", () => sender.sendSync(value, { timeout: 1 }));
        if (random.below(32) === 0) {
          const outcomes = [receiver.recv({ timeout: 1 }), sender.send(value, { timeout: 1 })].map((p) =>
            p.then(dispose)
          );
          damage(memory, random);
          for (const settled of await soon(Promise.allSettled(outcomes))) {
            attempt(tally, "await", () => {
              if (settled.status === "rejected") throw settled.reason;
            });
          }
        }
      }
    } catch (error) {
      throw new Error(`Round ${round}`, { cause: error });
    } finally {
      close();
    }
  }
  // The damage must not be such that nothing gets through any more.
  for (
    const outcome of ["trySend done", "tryRecv done", "tryRecv Corrupt", "trySend Corrupt", "tryRecv Serialization"]
  ) {
    assert((tally[outcome] ?? 0) > 50, `${outcome}: ${JSON.stringify(tally)}`);
  }
}, "an endpoint that a damaged message names and then drops, such as under a key twice, waits for the collector");

/** Closes the endpoints that came in messages. */
function dispose(value: unknown): void {
  if (typeof value !== "object" || value === null) return;
  if (value instanceof IpcSender) value.close();
  else if (value instanceof Map || value instanceof Set || Array.isArray(value)) {
    for (const item of value) dispose(item);
  } else for (const item of Object.values(value)) dispose(item);
}

interface Round {
  readonly sender?: IpcSender<unknown>;
  readonly receiver?: IpcReceiver<unknown>;
}

/** Sends into one damaged ring after the other, until it is told to take the next. */
export function sendThroughout({ rounds }: { rounds: IpcReceiver<Round | null> }, self: Self): void {
  const tally: Tally = {};
  const values = [1, "text ".repeat(20), new Uint8Array(3000), new Uint8Array(100_000), { a: [{}, new Map([[1, 2]])] }];
  self.say();
  for (let round = rounds.recvSync(); round !== null; round = rounds.recvSync()) {
    const { sender } = round;
    const until = performance.now() + 60;
    for (let i = 0; performance.now() < until; i++) {
      attempt(tally, "sendSync", () => sender!.sendSync(values[i % values.length], { timeout: 2 }), ALLOWED_ELSEWHERE);
    }
    sender!.close();
    self.say(tally["sendSync done"] ?? 0);
  }
  self.say(tally);
}

/** Receives from one damaged ring after the other. */
export function receiveThroughout({ rounds }: { rounds: IpcReceiver<Round | null> }, self: Self): void {
  const tally: Tally = {};
  self.say();
  for (let round = rounds.recvSync(); round !== null; round = rounds.recvSync()) {
    const { receiver } = round;
    const until = performance.now() + 60;
    while (performance.now() < until) {
      attempt(tally, "recvSync", () => receiver!.recvSync({ timeout: 2 }), ALLOWED_ELSEWHERE);
    }
    receiver!.close();
    self.say(tally["recvSync done"] ?? 0);
  }
  self.say(tally);
}

processTest("Damage under a running sender and a running receiver never crashes or hangs them", async ({ start }) => {
  const [toSender, senderRounds] = channel<Round | null>();
  const [toReceiver, receiverRounds] = channel<Round | null>();
  const sending = await start(import.meta.url, sendThroughout, { rounds: senderRounds });
  const receiving = await start(import.meta.url, receiveThroughout, { rounds: receiverRounds });
  await sending.said(), await receiving.said();
  let damages = 0, through = 0;
  // On a slow machine more rounds are needed for as many messages to get through.
  for (let round = 0; round < 60 || through <= 1000; round++) {
    const random = new Random(SEED + round);
    const { sender, receiver, memory, close } = openChannel<unknown>();
    toReceiver.sendSync({ receiver });
    toSender.sendSync({ sender });
    let done = false;
    const ended = Promise.all([soon(sending.said<number>()), soon(receiving.said<number>())])
      .finally(() => done = true);
    ended.catch(() => {});
    while (!done) {
      for (let i = 0; i < 5; i++) {
        damage(memory, random);
        damages++;
      }
      await new Promise((resolve) => setTimeout(resolve, random.below(3)));
    }
    through = Math.min(...await ended);
    close();
  }
  toSender.sendSync(null), toReceiver.sendSync(null);
  const sent = await soon(sending.said<Tally>()), received = await soon(receiving.said<Tally>());
  const tallies = JSON.stringify({ damages, sent, received });
  assert(damages > 2000 && sent["sendSync done"]! > 1000 && received["recvSync done"]! > 1000, tallies);
  assert((await sending.status).success && (await receiving.status).success);
  for (const end of [toSender, toReceiver]) end.close();
});
