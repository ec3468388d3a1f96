// Test vectors of topics. All numbers stand here as `docs/protocol.md` has them, and not as the code names them.
import { type Made, messageText as message, VectorMemory } from "./memory.ts";

const BLOCKS = 2048, DATA = 131_072, SIZE = DATA + 64 * BLOCKS;
const TURN = 64, LAST = 128, OLDEST = 136, SLOTS = 4096;

class Topic extends VectorMemory {
  constructor(size = SIZE, blocks = BLOCKS) {
    super(size);
    this.put(0, "ISTHCAST").words(8, 1, blocks).long(LAST, -1);
  }

  at(oldest: number, last: number): this {
    return this.long(OLDEST, oldest).long(LAST, last);
  }

  /** A message; what crosses the end goes on at the beginning. */
  message(position: number, number: number, content: Uint8Array, length = content.length): this {
    const record = new VectorMemory(16 + content.length).words(0, length, 0).long(8, number).put(16, content);
    for (const [k, byte] of record.bytes.entries()) {
      this.bytes[DATA + (64 * (position % BLOCKS) + k) % (64 * BLOCKS)] = byte;
    }
    return this;
  }
}

const text = (length: number) => Uint8Array.from({ length }, (_, k) => 97 + k % 26);
const FIRST = text(3), SECOND = text(100), THIRD = text(200), NONE = text(0);

/** Messages at the positions 0, 1 and 3. */
const three = () => new Topic().at(0, 3).message(0, 0, FIRST).message(1, 1, SECOND).message(3, 2, NONE);

/** All vectors of topics. */
export function topics(): Made[] {
  const topic = (name: string, about: string, memory: VectorMemory, ...says: string[]): Made => [
    { name: `topic_${name}`, kind: "topic", about, says },
    memory,
  ];
  const no = (name: string, about: string, memory: VectorMemory) => topic(name, about, memory, "error Incompatible");
  const junk = three();
  junk.bytes.fill(0xA5, 20, TURN).fill(0xA5, TURN + 4, LAST).fill(0xA5, OLDEST + 8, 1024);
  junk.words(DATA + 4, 0xA5A5A5A5);
  const far = 2 ** 33 + 2046, many = 2 ** 32 + 5;
  return [
    topic("empty", "nothing was ever published", new Topic(), "ok", "empty"),
    topic(
      "messages",
      "three messages, the last one empty",
      three(),
      "ok",
      message(FIRST),
      message(SECOND),
      "message",
      "empty",
    ),
    topic(
      "oldest_moved",
      "the first message is overwritten soon",
      three().at(1, 3),
      "ok",
      message(SECOND),
      "message",
      "empty",
    ),
    topic(
      "far_on",
      "positions and numbers of more than 32 bits, and a message that crosses the end",
      new Topic().at(far, far + 4).message(far, many, THIRD).message(far + 4, many + 1, FIRST),
      "ok",
      message(THIRD),
      message(FIRST),
      "empty",
    ),
    topic(
      "publisher_died",
      "it had its turn, and wrote a message that LAST does not know of",
      three().message(4, 3, FIRST).words(TURN, 1 | 5 << 12).words(SLOTS, 77, 1, 1, 77).words(SLOTS + 28, 1),
      "ok",
      message(FIRST),
      message(SECOND),
      "message",
      "empty",
    ),
    topic(
      "reserved",
      "what no field has is not zero, and means nothing",
      junk,
      "ok",
      message(FIRST),
      message(SECOND),
      "message",
      "empty",
    ),
    topic(
      "longest_message",
      "a message of half the memory",
      new Topic().at(0, 0).message(0, 0, NONE, 65_536),
      "ok",
      message(new Uint8Array(65_536)),
      "empty",
    ),

    topic(
      "too_long",
      "a message of more than half the memory",
      new Topic().at(0, 0).message(0, 0, NONE, 65_537),
      "ok",
      "error Corrupt",
    ),
    topic("of_no_length", "a message of -1 bytes", new Topic().at(0, 0).message(0, 0, NONE, -1), "ok", "error Corrupt"),
    topic(
      "wrong_number",
      "the second message has the number of a later one",
      new Topic().at(0, 1).message(0, 7, FIRST).message(1, 9, FIRST),
      "ok",
      message(FIRST),
      "error Corrupt",
    ),
    topic(
      "negative_number",
      "a message with a negative number",
      new Topic().at(0, 1).message(0, 0, FIRST).message(1, -1, FIRST),
      "ok",
      message(FIRST),
      "error Corrupt",
    ),
    topic(
      "last_too_far",
      "a newest message where none was written",
      three().at(0, 2 ** 40),
      "ok",
      message(FIRST),
      message(SECOND),
      "message",
      "error Corrupt",
    ),

    no("of_no_bytes", "a file of no bytes", new VectorMemory(0)),
    no("of_a_few_bytes", "a file that ends within the header", new Topic().resized(20)),
    no("cut_short", "the last page is missing", three().resized(SIZE - 4096)),
    no("too_much", "one page too many", three().resized(SIZE + 4096)),
    no("another_magic", "the first letter is another", three().put(0, "X")),
    no("format_2", "a newer format", three().words(8, 2)),
    no("other_blocks", "twice the blocks that its size says", three().words(12, 2 * BLOCKS)),
    no("odd_blocks", "a number of blocks that is no power of two", new Topic(DATA + 64 * 2049, 2049)),
    no("negative_blocks", "a negative number of blocks", three().words(12, -BLOCKS)),
    no("of_a_ring", "a ring", three().put(0, "ISTHRING")),
  ];
}
