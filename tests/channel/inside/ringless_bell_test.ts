// The doorbell of a receiver without a ring: clients in other languages ring it once, and close it.
import { assertEquals } from "@std/assert";
import { LazyChannel } from "../../../channel/endpoint/lazy_channel.ts";
import { receiverFrom } from "../../../channel/endpoint/receiver.ts";
import { senderFrom } from "../../../channel/endpoint/sender.ts";
import { KIND_POST } from "../../../channel/ring/ringless.ts";
import type { RinglessSender } from "../../../channel/ring/ringless_sender.ts";
import { ringBell } from "../../../ffi/event/doorbell.ts";
import { receiveMessage, sendMessage } from "../../../ffi/socket/socket_message.ts";
import type { IpcError, IpcReceiver } from "../../../mod.ts";
import { test } from "../../support/test.ts";

/** The receiver, and the sender's end as a message would bring it to another isolate. */
function open(): [IpcReceiver<number>, RinglessSender] {
  const lazy = new LazyChannel(65_536), receiver = receiverFrom<number>(lazy);
  const sender = lazy.senderHandle as RinglessSender;
  lazy.closeSender();
  return [receiver, sender];
}

/** Posts a number, as a client in another language does: rings the bell that it finds, and closes it. */
function postLikeOthers({ socket }: RinglessSender, value: number): void {
  const packet = new Uint8Array(17), fields = new DataView(packet.buffer);
  fields.setInt32(0, KIND_POST, true);
  fields.setInt32(12, 1, true);
  packet[16] = value;
  assertEquals(sendMessage(socket.fd, packet, []), 17);
  const bell = receiveMessage(socket.fd, packet, 1);
  if (typeof bell === "number" || bell.fds.length !== 1) throw new Error("there is no bell");
  ringBell(bell.fds[0]!.fd);
  bell.fds[0]!.close();
}

const turns = () => new Promise((resolve) => setTimeout(resolve, 20));

for (const end of ["a message", "the end"]) {
  test(`A receiver without a ring hears of ${end} after its bell was rung and closed`, async () => {
    const [receiver, handle] = open();
    const first = receiver.recv();
    postLikeOthers(handle, 1);
    assertEquals(await first, 1);
    await turns();
    const second = receiver.recv({ timeout: 5000 }).catch((error: IpcError) => error.code);
    await turns();
    if (end === "the end") {
      handle.close();
      assertEquals(await second, "Disconnected");
    } else {
      const sender = senderFrom<number>(handle);
      assertEquals(sender.capacity, 65_536); // by a new ring: what was posted by hand is not known here
      sender.sendSync(2);
      assertEquals(await second, 2);
      sender.close();
    }
    receiver.close();
  });
}
