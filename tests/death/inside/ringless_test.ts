// A channel that begins without a ring, one side of which is killed or stopped at any of its steps.
import { assert, assertEquals } from "@std/assert";
import { channel, type IpcError, type IpcReceiver, type IpcSender } from "../../../mod.ts";
import { setStepHook } from "../../../base/step_hook.ts";
import type { Self } from "../../support/actor.ts";
import { assertIpcError, assertIpcErrorSync, soon } from "../../support/assert_ipc.ts";
import { Choices } from "../../support/choices.ts";
import { patience } from "../../support/patience.ts";
import type { Child } from "../../support/processes.ts";
import { turn } from "../../support/sent_away.ts";
import { processTest } from "../../support/test.ts";

type Step = "posted" | "growing" | "grown" | "stopped";
interface Trap {
  readonly step: Step;
  readonly signal: "SIGKILL" | "SIGSTOP";
}

/** Has this process killed or stopped when it first comes to a step. */
function setTrap({ step, signal }: Trap): void {
  setStepHook((name) => {
    if (name !== step) return;
    setStepHook(undefined);
    Deno.kill(Deno.pid, signal);
  });
}

// --- The holder of the sender ------------------------------------------------------------------------------------------

export interface Sending {
  readonly sender: IpcSender<number>;
  readonly trap: Trap;
}

/** Sends numbers from 0 on, until it is killed or told to end. */
export function sendThree({ sender, trap }: Sending, self: Self): void {
  setTrap(trap);
  for (let n = 0; n < 3; n++) sender.sendSync(n);
  self.say("sent");
  self.hear();
  sender.close();
}

/** How the receiver waits for the messages of a sender that is killed. */
const RECEIVE: Record<string, (receiver: IpcReceiver<number>, killed: Promise<unknown>) => Promise<number[]>> = {
  "recv(), waiting all the time": (receiver) => receiveAll(() => soon(receiver.recv())),
  "recv(), later": async (receiver, killed) => (await killed, receiveAll(() => soon(receiver.recv()))),
  // deno-lint-ignore require-await -- others need to wait
  "recvSync(), waiting all the time": async (receiver) => receiveAll(() => receiver.recvSync()),
  "recvSync(), later": async (receiver, killed) => (await killed, receiveAll(() => receiver.recvSync())),
  "tryRecv()": async (receiver, killed) => {
    await killed;
    return receiveAll(() => {
      const result = receiver.tryRecv();
      return result.state === "message" ? result.value : receiver.recvSync({ timeout: 0 });
    });
  },
  "borrow(), later": async (receiver, killed) => {
    await killed;
    return receiveAll(async () => {
      using message = await soon(receiver.borrow());
      return message.value;
    });
  },
};

async function receiveAll(next: () => number | Promise<number>): Promise<number[]> {
  const got: number[] = [];
  try {
    for (;;) got.push(await next());
  } catch (error) {
    assertEquals((error as IpcError).code, "Disconnected");
    return got;
  }
}

for (const step of ["posted", "growing", "grown"] as const) {
  processTest(
    `What was sent before a sender was killed at "${step}" is received once, then the end`,
    async ({ start }) => {
      for (const receive of Object.values(RECEIVE)) {
        const [sender, receiver] = channel<number>();
        const child = await start(import.meta.url, sendThree, { sender, trap: { step, signal: "SIGKILL" } });
        sender.close();
        assertEquals(await receive(receiver, child.status), [0]);
        assertEquals((await child.status).signal, "SIGKILL");
        receiver.close();
      }
    },
  );

  processTest(`A receiver waits on for the sender here when the other was killed at "${step}"`, async ({ start }) => {
    const [sender, receiver] = channel<number>();
    const child = await start(import.meta.url, sendThree, { sender, trap: { step, signal: "SIGKILL" } });
    const waiting = [receiver.recv(), receiver.recv(), receiver.recv()];
    await child.status;
    await turn();
    sender.sendSync(8), sender.sendSync(9);
    assertEquals(await soon(Promise.all(waiting)), [0, 8, 9]);
    sender.close();
    assertIpcErrorSync("Disconnected", () => receiver.recvSync());
    receiver.close();
  });

  processTest(`A sender that is stopped at "${step}" holds up nobody, and goes on afterwards`, async ({ start }) => {
    for (const grows of [false, true]) {
      const [sender, receiver] = channel<number>();
      const child = await start(import.meta.url, sendThree, { sender, trap: { step, signal: "SIGSTOP" } });
      await soon(child.stopped());
      if (grows) sender.sendSync(8), sender.sendSync(9);
      assertEquals(receiver.recvSync({ timeout: 0 }), 0);
      if (grows) assertEquals([receiver.recvSync({ timeout: 0 }), receiver.recvSync({ timeout: 0 })], [8, 9]);
      assertEquals(receiver.tryRecv(), { state: "empty" });
      const waiting = receiver.recv();
      await turn();
      child.signal("SIGCONT");
      assertEquals([await soon(waiting), await soon(receiver.recv())], [1, 2]);
      sender.close();
      await child.tell();
      await soon(assertIpcError("Disconnected", () => receiver.recv()));
      receiver.close();
    }
  });
}

/** Uses many senders, one after another, and notes each message when the call that sent it has returned. */
export function useMany(
  { senders, returned, seed }: {
    senders: IpcSender<number | [number, unknown]>[];
    returned: IpcSender<[number, number]>;
    seed: number;
  },
  self: Self,
): void {
  const choices = Choices.of(seed);
  self.say();
  for (;;) {
    for (const [at, sender] of senders.entries()) {
      if (sender.closed) continue;
      const n = counts[at] ?? 0;
      counts[at] = n + 1;
      sender.sendSync(choices.below(3) > 0 ? n : [n, "x".repeat(choices.below(3000))]);
      returned.sendSync([at, n]);
      if (choices.below(8) === 0) sender.close();
    }
  }
}

const counts: number[] = [];
const EACH = 40;

processTest(
  "Senders that are killed at any moment have lost nothing that they sent, nor doubled it",
  async ({ start }) => {
    const until = performance.now() + 6000;
    let kills = 0, channels = 0;
    const strike = async (seed: number) => {
      const choices = Choices.of(seed);
      const made = Array.from({ length: EACH }, () => channel<number | [number, unknown]>({ capacity: 65_536 }));
      const [returned, notes] = channel<[number, number]>();
      const child: Child = await start(import.meta.url, useMany, {
        senders: made.map(([sender]) => sender),
        returned,
        seed,
      });
      for (const end of [returned, ...made.map(([sender]) => sender)]) end.close();
      const got = made.map((): number[] => []);
      const receive = async (at: number) => {
        const receiver = made[at]![1];
        try {
          for (;;) {
            const message = choices.below(2) === 0 ? receiver.recvSync({ timeout: 0 }) : await soon(receiver.recv());
            got[at]!.push(typeof message === "number" ? message : message[0]);
          }
        } catch (error) {
          if ((error as IpcError).code === "Timeout") return receive(at);
          assertEquals((error as IpcError).code, "Disconnected");
        }
      };
      // Some wait from the beginning on, others look when all is over.
      const early = made.map((_, at) => at % 2 === 0 ? receive(at) : undefined);
      await child.said();
      const moment = performance.now() + choices.below(12_000) / 1000;
      while (performance.now() < moment) await turn();
      await child.kill();
      for (const at of made.keys()) await (early[at] ?? receive(at));
      const known = made.map(() => 0);
      for (const [at, n] of notes.recvMany()) known[at] = n + 1;
      for (const at of made.keys()) {
        const numbers = got[at]!;
        assertEquals(numbers, numbers.map((_, n) => n), "in order, none twice");
        assert(
          numbers.length >= known[at]! && numbers.length <= known[at]! + 1,
          `${known[at]} sent, ${numbers.length} came`,
        );
      }
      for (const [, receiver] of made) receiver.close();
      notes.close();
      kills++, channels += known.filter((count) => count > 0).length;
    };
    let seed = 0;
    const striking = async () => {
      while (performance.now() < until && kills < 100) await strike(++seed);
    };
    await Promise.all([striking(), striking(), striking()]);
    assert(kills > 3 && channels > 10, `${kills} were killed, in ${channels} channels`);
  },
);

// --- The process that made the channel ---------------------------------------------------------------------------------

export interface Making {
  readonly to: IpcSender<IpcSender<number>>;
  readonly trap?: Trap;
  readonly first: "waits" | "receives" | "rings" | "nothing";
}

/** Makes a channel, sends its sender away, and does something with the receiver each time that it is told to. */
export async function make({ to, trap, first }: Making, self: Self): Promise<void> {
  const [sender, receiver] = channel<number>();
  to.sendSync(sender);
  to.close(), sender.close();
  if (trap !== undefined) setTrap(trap);
  if (first === "waits") void receiver.recv().catch(() => {});
  if (first === "receives") receiver.recvSync();
  if (first === "rings") {
    self.say("made"), self.hear();
    receiver.capacity;
  }
  await turn();
  self.say("made");
  if (first === "waits") return await new Promise(() => setInterval(() => {}, 60_000));
  self.hear();
  self.say(receiver.recvMany());
  self.hear();
}

for (const first of ["waits", "nothing"] as const) {
  for (const posts of [0, 1, 2]) {
    processTest(
      `A sender is told that the process of a receiver that ${
        first === "waits" ? first : "does nothing"
      } was killed, ` +
        `after ${posts} messages`,
      async ({ start }) => {
        for (const use of [(sender: IpcSender<number>) => sender.sendSync(9), (s: IpcSender<number>) => s.send(9)]) {
          const [to, from] = channel<IpcSender<number>>();
          const child = await start(import.meta.url, make, { to, first });
          to.close();
          const sender = await soon(from.recv());
          await child.said();
          for (let n = 0; n < posts; n++) sender.sendSync(n);
          await child.kill();
          await assertIpcError("Disconnected", () => use(sender));
          await assertIpcError("Disconnected", () => use(sender));
          using clone = sender.clone();
          assertIpcErrorSync("Disconnected", () => clone.sendSync(1));
          sender.close(), from.close();
        }
      },
    );
  }
}

for (const posts of [false, true]) {
  const after = posts ? "after a message" : "before any message";

  processTest(
    `A sender is told of a receiver that was killed just before it gives its ring, ${after}`,
    async ({ start }) => {
      const [to, from] = channel<IpcSender<number>>();
      const child = await start(import.meta.url, make, {
        to,
        first: "rings",
        trap: { step: "stopped", signal: "SIGKILL" },
      });
      to.close();
      const sender = await soon(from.recv());
      await child.said();
      if (posts) sender.sendSync(0);
      await child.tell();
      await child.status;
      assertIpcErrorSync("Disconnected", () => sender.sendSync(1));
      await assertIpcError("Disconnected", () => sender.send(1));
      sender.close(), from.close();
    },
  );

  processTest(
    `A receiver that is stopped just before it gives its ring delays a sender for a moment, ${after}`,
    async ({ start }) => {
      const [to, from] = channel<IpcSender<number>>();
      const child = await start(import.meta.url, make, {
        to,
        first: "rings",
        trap: { step: "stopped", signal: "SIGSTOP" },
      });
      to.close();
      const sender = await soon(from.recv());
      await child.said();
      if (posts) sender.sendSync(0);
      await child.tell();
      await soon(child.stopped());
      for (let times = 0; times < 2; times++) {
        const began = performance.now();
        const error = assertIpcErrorSync("System", () => sender.sendSync(1));
        assert(error.message.includes("try again"), error.message);
        assert(performance.now() - began < patience(2000));
        assert(!sender.closed);
      }
      child.signal("SIGCONT");
      assertEquals(await soon(child.said()), "made");
      sender.sendSync(1), sender.sendSync(2);
      await child.tell();
      assertEquals(await soon(child.said()), posts ? [0, 1, 2] : [1, 2]);
      await child.tell();
      await child.done();
      sender.close(), from.close();
    },
  );
}
