// A sender is killed or stopped within the commit of a batch of loans.
import { assertEquals } from "@std/assert";
import { bytesChannel, type IpcBytesSender } from "../../mod.ts";
import type { Self } from "../support/actor.ts";
import { assertIpcErrorSync } from "../support/assert_ipc.ts";
import { patience } from "../support/patience.ts";
import { setTrap, type Trap, type Trapped } from "../support/step_trap.ts";
import { processTest } from "../support/test.ts";

/** Messages of the batch, and bytes of each: in private memory, and in the ring. */
const COUNT = 6, LENGTHS = [100, 5000];

/** A bound against hanging only. */
const SOON = { timeout: patience(20_000) };

interface Job {
  readonly to: IpcBytesSender;
  readonly length: number;
  readonly trap: Trap;
}

export function lendMany({ to, length, trap }: Job, self: Self): void {
  setTrap(trap);
  const batch = to.reserveManySync(COUNT, length);
  for (const [n, bytes] of batch.messages.entries()) bytes.fill(n);
  batch.commit(Array.from({ length: COUNT }, (_, n) => length - n));
  self.say("sent");
  to.close();
}

const sent = (length: number, count: number) => Array.from({ length: count }, (_, n) => [length - n, n]);

for (const length of LENGTHS) {
  for (
    const [step, occurrence] of [["claimed", 1], ["committed", 1], ["committed", 3], ["committed", COUNT]] as const
  ) {
    processTest(
      `A sender killed at "${step}" the ${occurrence}. time in a batch of ${length} bytes has sent the messages before`,
      async ({ start }) => {
        const [to, receiver] = bytesChannel({ capacity: 65_536 });
        const killed = await start(import.meta.url, lendMany, {
          to,
          length,
          trap: { step, occurrence, signal: "SIGKILL" },
        });
        const { committed } = await killed.said<Trapped>();
        assertEquals((await killed.status).signal, "SIGKILL");
        to.sendSync(new Uint8Array([99]));
        const received: number[][] = [];
        for (;;) {
          const bytes = receiver.recvSync(SOON);
          if (bytes[0] === 99) break;
          received.push([bytes.length, bytes[0]!]);
        }
        assertEquals(committed, step === "claimed" ? 0 : occurrence);
        assertEquals(received, sent(length, committed));
        assertEquals(to.trySend(new Uint8Array(65_536)), true, "all the room is there again");
        to.close(), receiver.close();
      },
    );
  }

  for (const occurrence of [1, 2, 3, COUNT - 1]) {
    processTest(
      `A sender stopped in a batch of ${length} bytes after ${occurrence} messages keeps the others: they come later`,
      async ({ start }) => {
        const [to, receiver] = bytesChannel({ capacity: 65_536 });
        const trap: Trap = { step: "committed", occurrence, signal: "SIGSTOP" };
        const stopped = await start(import.meta.url, lendMany, { to, length, trap });
        await stopped.said<Trapped>();
        await stopped.stopped();
        to.sendSync(new Uint8Array([99]));
        const received: number[][] = [];
        const take = (bytes: Uint8Array) => received.push([bytes.length, bytes[0]!]);
        for (let n = 0; n < occurrence; n++) take(receiver.recvSync(SOON));
        // Long enough for many looks at the gap; a stopped process lives, however long it takes.
        assertIpcErrorSync("Timeout", () => receiver.recvSync({ timeout: 100 }));
        stopped.signal("SIGCONT");
        for (let n = occurrence; n < COUNT; n++) take(receiver.recvSync(SOON));
        assertEquals(received, sent(length, COUNT));
        assertEquals(receiver.recvSync(SOON), new Uint8Array([99]));
        assertEquals(await stopped.said(), "sent");
        assertEquals((await stopped.status).code, 0);
        to.close(), receiver.close();
      },
    );
  }
}
