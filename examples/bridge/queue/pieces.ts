// Messages larger than NATS takes: each piece is a message of its own in the queue's stream, which no consumer asks for, and the
// frame that follows says where they are. They are removed when the frame is done with.
import type { JetStreamClient, JetStreamManager } from "@nats-io/jetstream";
import type { Queue } from "./stream.ts";

/** Pieces that are sent, or asked for, at a time. */
const AT_A_TIME = 4;

/** Sends the pieces of a message; resolves when NATS has all of them. Sending them again is harmless. */
export async function sendPieces(
  client: JetStreamClient,
  queue: Queue,
  source: string,
  position: number,
  bytes: Uint8Array,
  size: number,
): Promise<number> {
  const pieces = Math.ceil(bytes.length / size);
  await inTurns(pieces, async (number) => {
    await client.publish(queue.piece(source, position, number), bytes.slice(number * size, (number + 1) * size), {
      expect: { streamName: queue.stream },
    });
  });
  return pieces;
}

/** Fetches a message into memory that is given. `false` if pieces are missing: the message was delivered before. */
export async function fetchPieces(
  manager: JetStreamManager,
  queue: Queue,
  source: string,
  position: number,
  pieces: number,
  target: Uint8Array,
): Promise<boolean> {
  const sizes: number[] = [];
  let size = 0, missing = false;
  const fetch = async (number: number) => {
    if (missing) return;
    const piece = await manager.streams.getMessage(queue.stream, {
      last_by_subj: queue.piece(source, position, number),
    });
    if (piece === null) {
      missing = true;
      return;
    }
    if (number === 0) size = piece.data.length;
    if (number * size + piece.data.length > target.length) throw new Error("its pieces are longer than it is");
    target.set(piece.data, number * size);
    sizes[number] = piece.data.length;
  };
  await fetch(0);
  await inTurns(pieces - 1, (number) => fetch(number + 1));
  if (!missing && sizes.reduce((sum, length) => sum + length, 0) !== target.length) {
    throw new Error("its pieces are shorter than it is");
  }
  return !missing;
}

/** Removes the pieces of a message that was delivered. */
export async function removePieces(
  manager: JetStreamManager,
  queue: Queue,
  source: string,
  position: number,
): Promise<void> {
  await manager.streams.purge(queue.stream, { filter: queue.piece(source, position) });
}

async function inTurns(count: number, work: (number: number) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async () => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: Math.min(count, AT_A_TIME) }, worker));
}
