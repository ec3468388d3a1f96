// A receiver that polls may have received a message, and closed its end, before the call that sent it returns.
import { assert, assertEquals, assertThrows } from "@std/assert";
import { setStepHook } from "../../../base/step_hook.ts";
import { bytesChannel, channel, type IpcBytesReceiver, IpcError, type IpcReceiver } from "../../../mod.ts";

type Act = () => void;

/** Has something done at the next step of this name. */
function at(name: "committed" | "ringing", act: Act): void {
  setStepHook((step) => {
    if (step !== name) return;
    setStepHook(undefined);
    act();
  });
}

/** Has something done when the next message is committed, before its sender finds out who waits for it. */
const whenCommitted = (act: Act) => at("committed", act);
/** Has something done before the next ring. */
const beforeRing = (act: Act) => at("ringing", act);

const ONE = new Uint8Array([1]), TWO = new Uint8Array([2]);

/** Ways to send the message `[1]`, or two messages that begin with it; what is received of them. */
const WAYS: Record<string, (send: ReturnType<typeof bytesChannel>[0]) => number> = {
  "sendSync()": (sender) => (sender.sendSync(ONE), 1),
  "trySend()": (sender) => (sender.trySend(ONE), 1),
  "a loan": (sender) => {
    const loan = sender.reserveSync(1);
    loan.bytes[0] = 1;
    loan.commit();
    return 1;
  },
  "a batch of loans": (sender) => {
    const batch = sender.reserveManySync(2, 1);
    batch.messages[0]![0] = 1;
    batch.messages[1]![0] = 2;
    batch.commit();
    return 2;
  },
};

function used(): ReturnType<typeof bytesChannel> {
  const [sender, receiver] = bytesChannel();
  sender.sendSync(TWO);
  assertEquals(receiver.recvSync(), TWO);
  receiver.backlog; // the channel is made
  return [sender, receiver];
}

function receiveAll(receiver: IpcBytesReceiver): void {
  while (receiver.tryRecv().state === "message");
}

for (const [way, send] of Object.entries(WAYS)) {
  Deno.test(`What ${way} sent was sent if it was received, also if the receiver is gone then`, async () => {
    for (const rung of [false, true]) {
      const [sender, receiver] = used();
      const waiting = rung ? receiver.recv().catch((error: IpcError) => error.code) : undefined;
      (rung ? beforeRing : whenLast(way))(() => {
        receiveAll(receiver);
        receiver.close();
      });
      send(sender);
      assert(receiver.closed);
      assertEquals(await waiting, rung ? "Closed" : undefined);
      const error = assertThrows(() => sender.sendSync(ONE), IpcError);
      assertEquals(error.code, "Disconnected");
      sender.close();
    }
  });

  Deno.test(`What ${way} sent is Disconnected if the receiver was gone before it was received`, async () => {
    const [sender, receiver] = used();
    const waiting = receiver.recv().catch((error: IpcError) => error.code);
    beforeRing(() => receiver.close());
    const error = assertThrows(() => send(sender), IpcError);
    assertEquals(error.code, "Disconnected");
    assertEquals(await waiting, "Closed");
    sender.close();
  });
}

/** When the last message is committed. */
function whenLast(way: string): (act: Act) => void {
  return way === "a batch of loans" ? (act) => whenCommitted(() => whenCommitted(act)) : whenCommitted;
}

Deno.test("An endpoint in a message that was received is the receiver's, else still the sender's", async () => {
  for (const received of [true, false]) {
    const [sender, receiver] = channel<IpcReceiver<number>>();
    const [inner, moving] = channel<number>();
    const waiting = receiver.recv().catch((error: IpcError) => error.code);
    let moved: IpcReceiver<number> | undefined;
    beforeRing(() => {
      if (received) moved = receiver.recvSync();
      receiver.close();
    });
    if (received) sender.sendSync(moving);
    else assertEquals(assertThrows(() => sender.sendSync(moving), IpcError).code, "Disconnected");
    assertEquals(await waiting, "Closed");
    assertEquals(moving.closed, received);
    inner.sendSync(7);
    assertEquals((moved ?? moving).recvSync(), 7);
    for (const end of [inner, moved, moving, sender]) end?.close();
  }
});
