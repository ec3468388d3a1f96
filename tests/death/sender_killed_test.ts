import { assertEquals } from "@std/assert";
import { channel, type IpcError } from "../../mod.ts";
import { soon } from "../support/assert_ipc.ts";
import { patience } from "../support/patience.ts";
import { stateOf } from "../support/processes.ts";
import { bystander, type Extra, type Numbered, RECEIVE, receiveFrom, SENDERS, victim } from "../support/senders.ts";
import type { Trap, Trapped } from "../support/step_trap.ts";
import { processTest } from "../support/test.ts";

/** A bound against hanging only. */
const SOON = patience(20_000);

const MOMENTS: readonly { step: Trap["step"]; occurrence: number; extra?: Extra }[] = [
  { step: "recorded", occurrence: 1 },
  { step: "recorded", occurrence: 40 },
  { step: "claimed", occurrence: 1 },
  { step: "claimed", occurrence: 40 },
  { step: "copied", occurrence: 1 },
  { step: "copied", occurrence: 40 },
  { step: "committed", occurrence: 1 },
  { step: "committed", occurrence: 40 },
  { step: "ringing", occurrence: 1 },
  { step: "ringing", occurrence: 2 },
  { step: "ringing", occurrence: 3 },
  { step: "claimed", occurrence: 3, extra: "endpoint" },
  { step: "descriptors-sent", occurrence: 1, extra: "endpoint" },
  { step: "descriptors-sent", occurrence: 20, extra: "endpoint" },
  { step: "committed", occurrence: 3, extra: "endpoint" },
  { step: "descriptors-sent", occurrence: 3, extra: "more than the ring holds" },
];

function isDead(pid: number): boolean {
  try {
    return stateOf(pid) === "Z";
  } catch {
    return true;
  }
}

async function receiveOrTimeout<T>(receive: () => Promise<T>, received: T[]): Promise<void> {
  try {
    received.push(await receive());
  } catch (error) {
    if ((error as IpcError).code !== "Timeout") throw error;
  }
}

for (const [way, receive] of Object.entries(RECEIVE)) {
  for (const { step, occurrence, extra = "nothing" } of MOMENTS) {
    const moment = `at "${step}" the ${occurrence}. time` + (extra === "nothing" ? "" : `, messages with ${extra}`);
    processTest(
      `${way} gets what a sender had committed when it was killed ${moment}, and what others send`,
      async ({ start }) => {
        // This process and the bystander keep a sender each: no end of file tells of the death.
        const [sender, receiver] = channel<Numbered>({ capacity: 65_536 });
        const other = await start(SENDERS, bystander, { sender });
        await other.tell(10);
        await other.said();
        for (let n = 0; n < 10; n++) assertEquals(await receiveFrom(receive, receiver, SOON), ["bystander", n]);

        const trap: Trap = { step, occurrence, signal: "SIGKILL" };
        const killed = await start(SENDERS, victim, { sender, trap, extra, count: 100 });
        const received: (readonly [string, number])[] = [];
        // Only a receiver that sleeps is rung for; otherwise all that was sent still lies in the ring.
        if (step === "ringing") {
          while (!isDead(killed.pid)) await receiveOrTimeout(() => receiveFrom(receive, receiver, 50), received);
        }
        const { committed } = await killed.said<Trapped>();
        assertEquals((await killed.status).signal, "SIGKILL");
        while (received.length < committed) received.push(await receiveFrom(receive, receiver, SOON));
        assertEquals(received, Array.from({ length: committed }, (_, n) => ["victim", n] as const));

        await other.tell(100);
        for (let n = 10; n < 110; n++) assertEquals(await receiveFrom(receive, receiver, SOON), ["bystander", n]);
        assertEquals(receiver.tryRecv(), { state: "empty" });

        sender.close();
        await other.tell(0);
        assertEquals((await other.status).code, 0);
        assertEquals(receiver.tryRecv(), { state: "disconnected" });
        receiver.close();
      },
    );
  }
}

for (const step of ["committed", "ringing"] as const) {
  processTest(
    `recv() that sleeps gets what a sender committed that was killed at "${step}", with the next message`,
    async ({ start }) => {
      const [sender, receiver] = channel<Numbered>();
      const asleep = receiver.recv();
      const trap: Trap = { step, occurrence: 1, signal: "SIGKILL" };
      const killed = await start(SENDERS, victim, { sender, trap, extra: "nothing", count: 1 });
      await killed.status;
      sender.sendSync(["next", 0]);
      assertEquals((await soon(asleep)).slice(0, 2), ["victim", 0]);
      assertEquals(receiver.recvSync({ timeout: SOON }), ["next", 0]);
      sender.close(), receiver.close();
    },
  );
}

for (const [step, occurrence] of [["claimed", 1], ["copied", 1]] as const) {
  processTest(
    `recv() that sleeps is woken by the next sender, after one was killed at "${step}"`,
    async ({ start }) => {
      const [sender, receiver] = channel<Numbered>();
      const asleep = receiver.recv();
      const trap: Trap = { step, occurrence, signal: "SIGKILL" };
      const killed = await start(SENDERS, victim, { sender, trap, extra: "nothing", count: 1 });
      await killed.status;
      await sender.send(["next", 0]);
      assertEquals(await soon(asleep), ["next", 0]);
      sender.close(), receiver.close();
    },
  );
}
