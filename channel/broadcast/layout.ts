// The memory of a topic, drawn once. Publishers map it for reading and writing, subscribers for reading alone.
//
// ```text
// byte
//      0  magic (8)              "ISTHCAST"
//      8  format version (4)
//     12  blocks (4)             64 bytes each, a power of two
//     16  STATE (4)              0 in use · 1 removed: its path is, or will be, another topic's
//     64  TURN (4)               whose turn it is to publish: slot + 1, or 0 (bits 0 to 10) · somebody sleeps until it is
//                                given back (bit 11) · number of the turn (bits 12 to 31)
//    128  LAST (8)               position of the newest message; -1 before the first
//    136  OLDEST (8)             position of the oldest message that is whole
//   4096  slots                  1024 of 64 bytes, one for each publisher:
//            0  owner            thread id (4), 0 = free · start time (4) · PID namespace (4) · process id (4)
//           28  lock (4)         1: the owner holds a lock on the byte of PATH.seats that has the slot's number
// 131072  data                   the messages, one behind the other; mapped twice in a row
// ```
//
// A position counts blocks from the first message on, in 64 bits, and never wraps; the block is the position modulo the
// number of blocks. A message begins with a block:
//
// ```text
//  0  length (4)     bytes of the message, at most those of half the blocks
//  4  reserved (4)   0
//  8  number (8)     0 for the first message of the topic, then 1, 2, …
// 16  the message
// ```
import { SLOT_WORDS, SLOTS, W_SLOTS } from "../ring/layout.ts";

/** "ISTHCAST", as two little-endian words. */
export const MAGIC_LOW = 0x48545349, MAGIC_HIGH = 0x54534143;
/** Of this layout and that of the seats. */
export const FORMAT_VERSION = 1;

/** Word (not byte) indices. Of a position it is that of the lower half. */
export const W_MAGIC = 0, W_VERSION = 2, W_BLOCKS = 3, W_STATE = 4, W_TURN = 16, W_LAST = 32, W_OLDEST = 34;

/** A value of STATE. */
export const REMOVED = 1;

/** Bytes of a block, and the base-2 logarithm of it. */
export const BLOCK = 64, BLOCK_SHIFT = 6;

/** Bytes before a message, in its first block. */
export const MESSAGE_HEADER = 16;

/** Where the data begins: a multiple of the largest page of any supported kernel. */
export const DATA_OFFSET = 131_072;
/** Words before the slots of publishers, and all words before the data. */
export const HEADER_WORDS = W_SLOTS, WORDS = W_SLOTS + SLOTS * SLOT_WORDS;

/** Blocks for each byte that is to be kept: beside the largest message there is room for as much again. */
export const ROOM = 2;

/** The blocks that a message of so many bytes takes. */
export function blocksFor(length: number): number {
  return (MESSAGE_HEADER + length + (BLOCK - 1)) >>> BLOCK_SHIFT;
}

/** Bytes of the file of a topic. */
export function topicSize(blocks: number): number {
  return DATA_OFFSET + blocks * BLOCK;
}

/** The smallest and the largest number of bytes that a topic keeps, and that where none is asked for. */
export const MIN_CAPACITY = 65_536, MAX_CAPACITY = 2 ** 29, DEFAULT_CAPACITY = 4 << 20;
