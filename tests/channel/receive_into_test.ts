import { assertEquals } from "@std/assert";
import { bytesChannel, IpcError } from "../../mod.ts";
import { test } from "../support/test.ts";

function refusal(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof IpcError) return error.code;
    throw error;
  }
  throw new Error("not refused");
}

test("recvIntoSync() copies a message to the beginning of the caller's memory, and says how long it is", () => {
  const [sender, receiver] = bytesChannel();
  const memory = new Uint8Array(8).fill(9);
  sender.sendSync(new Uint8Array([1, 2, 3]));
  sender.sendSync(new Uint8Array(0));
  assertEquals(receiver.recvIntoSync(memory), 3);
  assertEquals(memory, new Uint8Array([1, 2, 3, 9, 9, 9, 9, 9]));
  assertEquals(receiver.recvIntoSync(memory), 0);
  sender.close();
  receiver.close();
});

test("recvInto() leaves a message that is too long for the next call, inside the ring and beside it", async () => {
  const [sender, receiver] = bytesChannel({ capacity: 1 << 16 });
  for (const length of [100, 200_000]) {
    sender.sendSync(new Uint8Array(length).fill(5));
    assertEquals(refusal(() => receiver.recvIntoSync(new Uint8Array(length - 1))), "TooLarge");
    const memory = new Uint8Array(length);
    assertEquals(await receiver.recvInto(memory), length);
    assertEquals(memory[length - 1], 5);
  }
  assertEquals(refusal(() => receiver.recvIntoSync(new Uint8Array(1), { timeout: 0 })), "Timeout");
  sender.close();
  assertEquals(refusal(() => receiver.recvIntoSync(new Uint8Array(1))), "Disconnected");
  receiver.close();
});

test("recvInto() waits for a message", async () => {
  const [sender, receiver] = bytesChannel();
  const memory = new Uint8Array(4);
  const waiting = receiver.recvInto(memory);
  sender.sendSync(new Uint8Array([7]));
  assertEquals([await waiting, memory[0]], [1, 7]);
  sender.close();
  receiver.close();
});
