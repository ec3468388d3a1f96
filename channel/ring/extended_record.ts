// Messages that do not fit into a plain record: with descriptors beside them, or larger than the ring.
import { step } from "../../base/step_hook.ts";
import type { IpcFd } from "../../ffi/file/fd.ts";
import { writeMemoryFile } from "../../ffi/memory/memory_file.ts";
import { sendDescriptors } from "./carrier.ts";
import {
  BLOCK_SHIFT,
  blocksFor,
  EXTENDED_HEADER,
  HAS_DESCRIPTORS,
  IS_OUT_OF_LINE,
  paddingWord,
  SLOT_COUNTER,
} from "./layout.ts";
import type { Payload } from "./payload.ts";
import { FULL, type RecordWriter } from "./record_writer.ts";

/**
 * Sends a message as an extended record if there is room.
 *
 * @param socket Of the channel, for descriptors.
 * @param fds Descriptors that travel with it; they stay the caller's.
 * @returns `false` if the ring, or the queue of descriptors, is full.
 * @throws {IpcError} `Disconnected` if the consumer is gone.
 */
export function trySendExtended(
  records: RecordWriter,
  socket: number,
  message: Payload,
  fds: readonly number[],
): boolean {
  const { length } = message, { memory, slot } = records;
  const outOfLine = EXTENDED_HEADER + length > records.capacity;
  const inline = EXTENDED_HEADER + (outOfLine ? 0 : length);
  records.checkForTravellers(); // what travels with a message would be lost with it
  const index = records.tryClaim(blocksFor(inline));
  if (index === FULL) return false;
  let body: IpcFd | undefined;
  let word = paddingWord(blocksFor(inline)); // what the claim becomes if anything fails from here on
  let heard = true;
  try {
    if (outOfLine) {
      body = writeMemoryFile("isthmus-message", message.parts(), length);
      fds = [body.fd, ...fds];
    }
    // Never used again, also by the next owner of the slot: what a dead owner sent cannot be taken for another message's.
    const counter = Atomics.add(memory.words, slot + SLOT_COUNTER, 1);
    if (!sendDescriptors(socket, slot, counter, fds)) return false;
    step("descriptors-sent");
    const at = index << BLOCK_SHIFT;
    const header = memory.dataWords, h = at >>> 2;
    header[h] = (fds.length > 0 ? HAS_DESCRIPTORS : 0) | (outOfLine ? IS_OUT_OF_LINE : 0);
    header[h + 1] = slot;
    header[h + 2] = counter;
    header[h + 3] = fds.length;
    header[h + 4] = length >>> 0;
    header[h + 5] = Math.floor(length / 2 ** 32);
    if (!outOfLine) message.copyTo(memory.data, memory.dataLongs, at + EXTENDED_HEADER);
    word = -(2 * inline);
  } finally {
    body?.close();
    heard = records.commit(index, word);
  }
  if (!heard) records.checkConsumer(); // it died after it was looked for
  return true;
}
