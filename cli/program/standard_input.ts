// The standard input, piece by piece and line by line: read only as fast as the pieces are used.
import { IpcError } from "../../base/error.ts";
import type { Stop } from "./stop.ts";

const NEWLINE = 0x0a;

/**
 * What is read at a time, until the end of the input.
 *
 * @param length Bytes at most. A piece is valid until the next one is asked for.
 * @param stop Ends it; what is read by then is lost.
 */
export async function* inputPieces(length: number, stop: Stop): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const buffer = new Uint8Array(length);
  for (;;) {
    const read = await stop.or(Deno.stdin.read(buffer));
    if (read === null) return;
    yield buffer.subarray(0, read);
  }
}

/**
 * Lines without their ends; the last one need not have any.
 *
 * @param pieces The input.
 * @param limit Bytes that a line may have: what is not yet a line is held in memory.
 */
export async function* linesOf(pieces: AsyncIterable<Uint8Array>, limit: number): AsyncGenerator<Uint8Array> {
  let held: Uint8Array[] = [], length = 0;
  for await (const piece of pieces) {
    let start = 0;
    for (let end; (end = piece.indexOf(NEWLINE, start)) >= 0; start = end + 1) {
      const last = piece.subarray(start, end);
      yield length === 0 ? last : joined([...held, last]);
      held = [], length = 0;
    }
    if (start === piece.length) continue;
    held.push(piece.slice(start)); // the piece itself is overwritten by the next one
    length += piece.length - start;
    if (length > limit) {
      throw new IpcError("TooLarge", `it is longer than ${limit} bytes, which is more than the channel can hold`);
    }
  }
  if (length > 0) yield joined(held);
}

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(pieces.reduce((length, piece) => length + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
