// The memory of a ring, drawn once.
//
// ```text
// byte
//      0  magic (8)              "ISTHRING"
//      8  format version (4)
//     12  blocks (4)             capacity in blocks of 64 bytes, a power of two
//     16  namespace (4)          PID namespace of all that ever attached; 0: of several, or a named ring
//     20  trims (4)              of a named ring: changes when memory was given back   consumer
//     64  TAIL (4)               next position to claim                 producers, by compare-and-swap
//    128  HEAD (4)               first position not released            consumer
//    192  BELL (4)               0 consumer busy · n > 0 it waits, ticket n · -1 it closed the channel
//    256  SPACE (4)              1: a producer waits for room           producers set, consumer clears
//    320  consumer               thread id (4) · start time (4) · PID namespace (4) · process id (4)
//    336  READ (4)               first position not received yet; from HEAD to here blocks are about to be released
//    348  consumer's lock (4)    1: it holds a lock on byte 1024 of the file
//    384  GAPS (4)               gaps that consumers stepped over, ever
//    448  log of gaps            the last 16, gap k at entry k mod 16: position (4) · blocks (4)
//   4096  slots                  1024 of 64 bytes, one for each thread that sends:
//            0  owner            thread id (4), 0 = free · start time (4) · PID namespace (4) · process id (4)
//           16  claim record     position (4) · blocks (4), 0 = no claim
//           24  counter (4)      messages with descriptors sent through this slot, ever
//           28  lock (4)         1: the owner holds a lock on the byte of the file that has the slot's number
//  69632  commit words           4 bytes a block, see below
//      …  data                   64 bytes a block, from a multiple of 64 KiB on; mapped twice in a row
// ```
//
// Positions count blocks in 32 bits and wrap; a block's index is the position modulo the number of blocks. TAIL, HEAD and
// BELL have a cache line each: they are written by different sides.
//
// The commit word of a record's first block says what the record is. All others are 0, always: the consumer clears the
// word before it releases the blocks.
//
// ```text
//          0   not committed (yet)
//      n > 0   a message of n - 1 bytes
//      n < 0   -n = 2 blocks + 1   padding of that many blocks
//              -n = 2 bytes       an extended record of that many bytes, which begins with this header:
//                                   0 flags (4) · 4 slot (4) · 8 counter (4) · 12 descriptors (4) · 16 length (8)
// ```

/** Bytes of a block. */
export const BLOCK = 64;
/** Base-2 logarithm of {@linkcode BLOCK}. */
export const BLOCK_SHIFT = 6;

/**
 * Blocks that the caches of a core hold. A ring goes back to the first ones after these when it can, and a producer looks
 * after as many whether it can.
 */
export const WARM_BLOCKS = (256 << 10) / BLOCK;

/** "ISTHRING", as two little-endian words. */
export const MAGIC_LOW = 0x48545349, MAGIC_HIGH = 0x474e4952;
/** Of this layout, and of what travels beside it. Another number means another one. */
export const FORMAT_VERSION = 2;

/** Word (not byte) indices. */
export const W_MAGIC = 0,
  W_VERSION = 2,
  W_BLOCKS = 3,
  W_NAMESPACE = 4,
  W_TRIMS = 5,
  W_TAIL = 16,
  W_HEAD = 32,
  W_BELL = 48,
  W_SPACE = 64;
/** Word indices of the receiver's identity, laid out as {@linkcode ID_TID} and {@linkcode ID_LOCK} say, and of READ. */
export const W_CONSUMER = 80, W_READ = 84;

/** Word indices of the number of gaps, and of their log; gaps that the log has. */
export const W_GAPS = 96, W_GAP_LOG = 112, LOGGED_GAPS = 16;

/** Value of BELL once the consumer has closed the channel for good. */
export const BELL_CLOSED = -1;

/** Threads that can send through one ring at a time. */
export const SLOTS = 1024;
/** Word index of the first slot, and words of a slot. */
export const W_SLOTS = 1024, SLOT_WORDS = 16;
/** Word offsets of an identity, in a slot and in the consumer's, beside those of `shared_identity.ts`. */
export const ID_PID = 3, ID_LOCK = 7;
export { ID_NAMESPACE, ID_START, ID_TID } from "../../ffi/process/shared_identity.ts";
/** Word offsets in a slot. */
export const CLAIM_POSITION = 4, CLAIM_BLOCKS = 5, SLOT_COUNTER = 6;

/** Word index of the first commit word. */
export const W_COMMIT = W_SLOTS + SLOTS * SLOT_WORDS;

/** Bytes of the header, and of everything that does not depend on the number of blocks. */
export const HEADER_BYTES = 4096, DATA_START = W_COMMIT * 4;

/** The data begins at a multiple of this, the largest page of any supported kernel, which it must be mapped by. */
const DATA_ALIGNMENT = 65536;

/** The smallest and the largest capacity, in bytes: a page, and what a commit word can count. */
export const MIN_CAPACITY = DATA_ALIGNMENT, MAX_CAPACITY = 2 ** 30;
/** The capacity where none is asked for, in bytes. */
export const DEFAULT_CAPACITY = 4 << 20;

/** Bytes before the data. */
export function dataOffset(blocks: number): number {
  return Math.ceil((W_COMMIT * 4 + blocks * 4) / DATA_ALIGNMENT) * DATA_ALIGNMENT;
}

/** Bytes of the memory of a ring. */
export function ringSize(blocks: number): number {
  return dataOffset(blocks) + blocks * BLOCK;
}

/** Blocks that `bytes` take; an empty message takes one. */
export function blocksFor(bytes: number): number {
  return bytes === 0 ? 1 : (bytes + (BLOCK - 1)) >>> BLOCK_SHIFT;
}

/** The commit word of padding. */
export function paddingWord(blocks: number): number {
  return -(2 * blocks + 1);
}

/** Bytes of the header of an extended record. */
export const EXTENDED_HEADER = 32;
/** Flags of an extended record: descriptors travel with it; its body is in a memory file, the first of them. */
export const HAS_DESCRIPTORS = 1, IS_OUT_OF_LINE = 2;
