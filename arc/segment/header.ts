// The memory of a cell. The same text, for C and Python programs, is in the documentation of the module.

/**
 * ```text
 *    0   8  magic "IPCARC\0\1"
 *    8   4  format version: 1
 *   12   4  kind: 0 CBOR, 1 POD
 *   16   8  segment size, in bytes
 *   24   4  reference count, as of the last attach or close (the locks on the file are exact)
 *   28   4  state: 0 starting, 1 ready, 2 gone
 *   32   8  layout fingerprint (0 = CBOR)
 *   40   4  change counter c: odd while a write is in progress; the value is in buffer (c >> 1) & 1
 *   44   4  waiters: not 0 if a program may be waiting for the lock
 *   48   4  length of the value in buffer 0
 *   52   4  length of the value in buffer 1
 *   56   4  offset of buffer 0
 *   60   4  distance from buffer 0 to buffer 1; 0 for a scalar, which has one place only
 *   64  64  pthread_mutex_t (process-shared, robust, normal)
 *  128   4  watchers: not 0 if a program may be watching
 *  132   4  starving: 1 + the bell of a waiter that waits too long, to whom others give way; 0 if there is none
 *  136   4  bells in use: 1 + the highest number ever taken
 *  140   4  next ticket: who waits first has the lower one
 *  144   4  capacity: most bytes of a value
 *  148   4  writer of buffer 0: 1 if written by this library's encoder, 0 if by another
 *  152   4  writer of buffer 1
 *  156   4  offset of the text that describes the layout (0 = CBOR)
 *  160   4  length of that text
 *  164   4  whose mutex it is: 1 glibc, + 256 × sizeof(pthread_mutex_t)
 *  168   4  PID namespace of all that ever attached: the low 32 bits of its inode; 0: of several, or unknown
 *  172  20  reserved, 0
 *  192  32  × 256 bells, see `bells.ts`
 * 8384   …  the text, then buffer 0 and buffer 1, each at a multiple of 64
 * ```
 *
 * All words are in the byte order of the machine (little-endian on both that are supported).
 */
export const MAGIC: Uint8Array = new Uint8Array([0x49, 0x50, 0x43, 0x41, 0x52, 0x43, 0, 1]);
/** The format that this code reads and writes. */
export const FORMAT_VERSION = 1;
/** Values of the word at {@linkcode KIND}. */
export const KIND_CBOR = 0, KIND_POD = 1;
/** Values of the word at {@linkcode STATE}. */
export const STATE_READY = 1, STATE_GONE = 2;

/** Indexes of 32-bit words in the header; 64-bit fields occupy two, the low half first. */
export const VERSION = 2,
  KIND = 3,
  SIZE_LOW = 4,
  SIZE_HIGH = 5,
  REF_COUNT = 6,
  STATE = 7,
  FINGERPRINT_LOW = 8,
  FINGERPRINT_HIGH = 9,
  COUNTER = 10,
  WAITERS = 11,
  LENGTHS = 12, // two words
  BUFFER_OFFSET = 14,
  BUFFER_STRIDE = 15,
  WATCHERS = 32,
  STARVING = 33,
  BELLS_IN_USE = 34,
  NEXT_TICKET = 35,
  CAPACITY = 36,
  WRITERS = 37, // two words
  TEXT_OFFSET = 39,
  TEXT_LENGTH = 40,
  MUTEX_MARK = 41,
  NAMESPACE = 42,
  BELL_TABLE = 48;

/** Offset of the mutex, in bytes. */
export const MUTEX_OFFSET = 64;
/** Bells of a cell: isolates that can wait at one time and be woken at once (others look every few milliseconds). */
export const BELL_COUNT = 256;
/** 32-bit words of one bell. */
export const BELL_WORDS = 8;
/** End of the table of bells, in bytes. */
export const VALUES_OFFSET: number = (BELL_TABLE + BELL_COUNT * BELL_WORDS) * 4;
/** Largest value: lengths are 32-bit, and both buffers must be addressable by one ArrayBuffer. */
export const MAX_CAPACITY = 0x4000_0000;

/** Rounds up to a cache line, so that the two buffers share none. */
export function alignUp(bytes: number, alignment = 64): number {
  return Math.ceil(bytes / alignment) * alignment;
}
