// How a sender without a ring gets one: see `ringless.ts`.
import { endToShare } from "../../ffi/event/doorbell.ts";
import { waitReadable } from "../../ffi/event/readable.ts";
import { IpcError } from "../../base/error.ts";
import type { IpcFd } from "../../ffi/file/fd.ts";
import { patienceNow, waited } from "./ringless_patience.ts";
import { createChannel, type Handle } from "./handle.ts";
import { BELL_CLOSED, W_BELL, W_HEAD, W_READ, W_TAIL } from "./layout.ts";
import { BytesPayload } from "./payload.ts";
import { RingProducer } from "./producer.ts";
import type { RinglessSender } from "./ringless_sender.ts";

/** Tries to hand a ring over: two would do. */
const MOST_TRIES = 3;

/**
 * Makes the ring through which a sender's messages go from now on, or finds that the receiver has made it.
 *
 * @returns The producer of a ring that was made here, which ends the sender; or the handle of one that the receiver has made:
 * call `leave()` of the sender when it is in use.
 * @throws {IpcError} As `post()` of the sender; `System` if there is no room, or the receiver, which is about to make the
 * ring, was stopped: another try may succeed.
 */
export function grow(sender: RinglessSender): RingProducer | Handle {
  for (let i = 0; i < MOST_TRIES; i++) {
    const grown = sender.ring() ?? make(sender);
    if (grown !== undefined) return grown;
    const began = performance.now(), found = waitReadable(sender.socket.fd, began + patienceNow());
    waited(performance.now() - began);
    if (!found) break;
  }
  const found = sender.ring();
  if (found !== undefined) return found;
  throw new IpcError("System", "Cannot send: the receiver stopped while it made a ring: try again");
}

/**
 * Makes a ring, and sends the receiver its end; `undefined` if the receiver does not take it, as it makes one. A receiver that is
 * gone leaves a ring without a receiver.
 */
function make(sender: RinglessSender): RingProducer | undefined {
  const parts = createChannel(sender.capacity);
  parts.memory.release(); // the receiver's share of it: that will be another mapping
  let given: IpcFd | undefined, producer: RingProducer | undefined;
  try {
    given = endToShare(parts.senderBell);
    producer = RingProducer.create(parts.memory, parts.senderBell, parts.senderSocket);
    // What is received by now is neither sent again, nor waited for: it would count as waiting until the receiver looks.
    const { unreceived } = sender;
    if (unreceived !== undefined && !producer.trySend(new BytesPayload(unreceived))) {
      throw new IpcError("System", "Cannot send: a new ring has no room");
    }
    const { memory, receiverBell, receiverSocket, senderSocket } = parts;
    const handles = [memory.fd, receiverBell, receiverSocket, memory.fd, given, senderSocket];
    const outcome = sender.handOver(unreceived !== undefined, handles.map(({ fd }) => fd));
    if (outcome === "refused") {
      producer.close();
      return undefined;
    }
    if (outcome === "gone") leave(producer.memory.words);
    return producer;
  } catch (error) {
    if (producer !== undefined) producer.close();
    else if (given === undefined) parts.memory.release(), parts.senderBell.close(), parts.senderSocket.close();
    throw error;
  } finally {
    parts.receiverBell.close();
    parts.receiverSocket.close();
    if (given !== parts.senderBell) given?.close();
  }
}

/** Leaves a ring as a receiver does that has received all, and closes: nobody can tell whether what was posted was received. */
function leave(words: Int32Array<ArrayBuffer>): void {
  const tail = Atomics.load(words, W_TAIL);
  Atomics.store(words, W_READ, tail);
  Atomics.store(words, W_HEAD, tail);
  Atomics.store(words, W_BELL, BELL_CLOSED);
}
