// Test vectors of rings. All numbers stand here as `docs/protocol.md` has them, and not as the code names them.
import { type Made, messageText as message, type Vector, VectorMemory } from "./memory.ts";

const BLOCKS = 1024, DATA = 131_072, SIZE = DATA + 64 * BLOCKS;
const TAIL = 64,
  HEAD = 128,
  BELL = 192,
  SPACE = 256,
  CONSUMER = 320,
  READ = 336,
  GAPS = 384,
  GAP_LOG = 448,
  SLOTS = 4096,
  COMMIT = 69_632;

/** An owner that says it holds a lock, in a file where nobody does: dead, whatever runs on the machine. */
const DEAD = [77, 1, 1, 77] as const;

const text = (length: number) => Uint8Array.from({ length }, (_, k) => 97 + k % 26);

class Ring extends VectorMemory {
  constructor(size = SIZE, blocks = BLOCKS) {
    super(size);
    this.put(0, "ISTHRING").words(8, 2, blocks);
  }

  at(head: number, tail: number, read = head): this {
    return this.words(TAIL, tail).words(HEAD, head).words(READ, read);
  }

  word(position: number, word: number): this {
    return this.words(COMMIT + 4 * (position & (BLOCKS - 1)), word);
  }

  /** Bytes of a record; what crosses the end goes on at the beginning. */
  data(position: number, bytes: Uint8Array): this {
    for (const [k, byte] of bytes.entries()) {
      this.bytes[DATA + (64 * (position & (BLOCKS - 1)) + k) % (64 * BLOCKS)] = byte;
    }
    return this;
  }

  message(position: number, bytes: Uint8Array): this {
    return this.word(position, bytes.length + 1).data(position, bytes);
  }

  slot(number: number, owner: readonly number[], claim: [position: number, blocks: number], lock: number): this {
    return this.words(SLOTS + 64 * number, ...owner, ...claim, 0, lock);
  }

  extended(
    position: number,
    length: number,
    header: [flags: number, slot: number, counter: number, count: number],
  ): this {
    const bytes = new VectorMemory(32).words(0, ...header, length);
    return this.data(position, bytes.bytes);
  }
}

const FIRST = text(3), SECOND = text(100), THIRD = text(200);

/** A gap of two blocks, and a message behind it. */
const gap = () => new Ring().at(0, 4).message(2, SECOND);

function receiving(): Made[] {
  const ok = (name: string, about: string, ring: VectorMemory, ...says: string[]): Made => [
    { name: `ring_${name}`, kind: "ring", about, says: ["ok", ...says] } satisfies Vector,
    ring,
  ];
  return [
    ok("empty", "nothing was ever sent", new Ring(), "empty"),
    ok(
      "messages",
      "three messages, one of them empty",
      new Ring().at(0, 6).message(0, FIRST).word(1, 1).message(2, THIRD),
      message(FIRST),
      "message",
      message(THIRD),
      "empty",
    ),
    ok(
      "positions_wrap",
      "positions go past 2^32",
      new Ring().at(0xFFFFFFFE, 3).message(-2, FIRST).message(-1, SECOND).message(1, SECOND),
      message(FIRST),
      message(SECOND),
      message(SECOND),
      "empty",
    ),
    ok(
      "crosses_the_end",
      "a record whose bytes go on at the first block",
      new Ring().at(1022, 1026).message(1022, THIRD),
      message(THIRD),
      "empty",
    ),
    ok(
      "padding",
      "padding before and behind a message",
      new Ring().at(0, 6).word(0, -7).message(3, FIRST).word(4, -5),
      message(FIRST),
      "empty",
    ),
    ok(
      "full",
      "all blocks are claimed",
      new Ring().at(5, 1029).message(5, FIRST).word(6, -2047),
      message(FIRST),
      "empty",
    ),
    ok(
      "reserved",
      "what no field has is not zero, and means nothing",
      junk(new Ring()).at(3, 5).message(3, FIRST).message(4, FIRST),
      message(FIRST),
      message(FIRST),
      "empty",
    ),

    // What the dead leave.
    ok(
      "claim_of_the_dead",
      "a sender died between claim and commit",
      gap().slot(5, DEAD, [0, 2], 1),
      message(SECOND),
      "empty",
    ),
    ok("claim_of_nobody", "blocks were claimed that no slot knows of", gap(), message(SECOND), "empty"),
    ok(
      "claim_of_the_living",
      "an owner of another PID namespace that holds no lock counts as living",
      gap().slot(5, [77, 1, 1, 77], [0, 2], 0),
      "empty",
    ),
    ok(
      "claims_of_both",
      "a dead sender's claim is passed over, up to that of a living one",
      new Ring().at(0, 5).slot(5, DEAD, [0, 1], 1).message(1, FIRST).slot(6, [78, 1, 1, 78], [2, 2], 0).message(
        4,
        FIRST,
      ),
      message(FIRST),
      "empty",
    ),
    ok(
      "slot_being_taken",
      "what the last owner recorded is not the claim of who is just taking the slot",
      gap().slot(5, [-77, 1, 1, 77], [0, 2], 0),
      message(SECOND),
      "empty",
    ),
    ok(
      "claim_of_no_blocks",
      "a record of claims with 0 or fewer blocks is none",
      gap().slot(5, [77, 1, 1, 77], [0, 0], 0).slot(6, [78, 1, 1, 78], [0, -5], 0),
      message(SECOND),
      "empty",
    ),
    ok(
      "old_claim",
      "a claim record of a living owner that lies before the head means nothing",
      new Ring().at(10, 13).slot(5, [77, 1, 1, 77], [8, 2], 0).message(12, FIRST),
      message(FIRST),
      "empty",
    ),
    ok(
      "receiver_died_before_read",
      "it was not given the message; it was asleep, and BELL says so still",
      new Ring().at(7, 8).words(BELL, 12).words(CONSUMER, ...DEAD).words(CONSUMER + 28, 1).message(7, FIRST),
      message(FIRST),
      "empty",
    ),
    ok(
      "receiver_died_after_read",
      "it had the message, and cleared neither its word nor moved HEAD",
      new Ring().at(7, 10, 9).words(CONSUMER, ...DEAD).words(CONSUMER + 28, 1).message(7, SECOND).message(9, FIRST),
      message(FIRST),
      "empty",
    ),
    ok(
      "read_before_head",
      "a READ that makes no sense is not used",
      new Ring().at(7, 8, 2).message(7, FIRST),
      message(FIRST),
      "empty",
    ),
    ok("read_behind_tail", "the same", new Ring().at(7, 8, 500).message(7, FIRST), message(FIRST), "empty"),
    ok(
      "space_wanted",
      "a sender waits for room",
      new Ring().at(0, 1).words(SPACE, 1).message(0, FIRST),
      message(FIRST),
      "empty",
    ),

    // What no honest peer writes.
    ok(
      "record_behind_tail",
      "a record of more blocks than were claimed",
      new Ring().at(0, 2).message(0, THIRD),
      "error Corrupt",
    ),
    ok(
      "longest_message",
      "the largest number of bytes a word can say",
      new Ring().at(0, 2).word(0, 0x7FFFFFFF),
      "error Corrupt",
    ),
    ok("longest_extended", "the same of an extended record", new Ring().at(0, 2).word(0, 0x80000000), "error Corrupt"),
    ok(
      "padding_behind_tail",
      "padding of more blocks than were claimed",
      new Ring().at(0, 2).word(0, -7),
      "error Corrupt",
    ),
    ok("padding_of_none", "padding of no block", new Ring().at(0, 2).word(0, -1), "error Corrupt"),
    ok(
      "word_behind_tail",
      "a message where nothing was claimed",
      new Ring().at(4, 4).message(4, FIRST),
      "error Corrupt",
    ),
    ok(
      "extended_without_header",
      "an extended record of fewer bytes than its header",
      new Ring().at(0, 1).word(0, -2 * 31).extended(0, 0, [0, 0, 0, 0]),
      "error Corrupt",
    ),
    ok(
      "extended_of_another_length",
      "its header claims another length than its word",
      new Ring().at(0, 1).word(0, -2 * 37).extended(0, 6, [0, 0, 0, 0]),
      "error Corrupt",
    ),
    ok(
      "extended_elsewhere",
      "a body in a memory file, and no descriptor",
      new Ring().at(0, 1).word(0, -2 * 32).extended(0, 6, [2, 0, 0, 0]),
      "error Corrupt",
    ),
    ok(
      "extended_with_descriptors",
      "descriptors, in a ring with a name",
      new Ring().at(0, 1).word(0, -2 * 37).extended(0, 5, [1, 1024, 0, 1]),
      "error Corrupt",
    ),
    ok("tail_before_head", "more was received than claimed", new Ring().at(9, 8), "error Corrupt"),
    ok("tail_too_far", "more blocks are claimed than there are", new Ring().at(0, 1025), "error Corrupt"),
  ];
}

/** Bytes that are not zero wherever no field is. */
function junk(ring: Ring): Ring {
  for (let at = 24; at < 1024; at++) {
    if (
      ![TAIL, HEAD, BELL, SPACE].some((field) => at >= field && at < field + 4) &&
      (at < CONSUMER || at >= CONSUMER + 32) && (at < GAPS || at >= GAPS + 4) && (at < GAP_LOG || at >= GAP_LOG + 128)
    ) {
      ring.bytes[at] = 0xA5;
    }
  }
  for (let at = 0; at < 4; at++) ring.bytes.fill(0xA5, SLOTS + 64 * at + 32, SLOTS + 64 * at + 64);
  ring.bytes.fill(0xA5, COMMIT + 4 * BLOCKS, COMMIT + 4 * BLOCKS + 64).fill(0xA5, DATA, DATA + 64);
  return ring;
}

function refused(): Made[] {
  const no = (name: string, about: string, memory: VectorMemory): Made => [
    { name: `ring_${name}`, kind: "ring", about, says: ["error Incompatible"] },
    memory,
  ];
  return [
    no("of_no_bytes", "a file of no bytes", new VectorMemory(0)),
    no("of_a_few_bytes", "a file that ends within the header", new Ring().resized(20)),
    no("cut_short", "the last page is missing", new Ring().resized(SIZE - 4096)),
    no("too_long", "one page too many", new Ring().resized(SIZE + 4096)),
    no("another_magic", "the first letter is another", new Ring().put(0, "X")),
    no("format_1", "an older format", new Ring().words(8, 1)),
    no("format_3", "a newer format", new Ring().words(8, 3)),
    no("other_blocks", "twice the blocks that its size says", new Ring().words(12, 2 * BLOCKS)),
    no("odd_blocks", "a number of blocks that is no power of two", new Ring(DATA + 64 * 1025, 1025)),
    no("no_blocks", "no blocks", new Ring().words(12, 0)),
  ];
}

function sending(): Made[] {
  const sender = (name: string, about: string, memory: VectorMemory, ...says: string[]): Made => [
    { name: `sender_${name}`, kind: "sender", about, says },
    memory,
  ];
  return [
    sender("empty", "there is room", new Ring().at(0, 0), "ok", "sent"),
    sender(
      "positions_wrap",
      "there is room for a record past 2^32",
      new Ring().at(0xFFFFFFFE, 0xFFFFFFFF),
      "ok",
      "sent",
    ),
    sender("full", "there is no room", new Ring().at(5, 1029).message(5, FIRST).word(6, -2047), "ok", "full"),
    sender("slots_of_the_dead", "all slots have owners, which are dead", taken(new Ring(), DEAD, 1), "ok", "sent"),
    sender("tail_too_far", "more blocks are claimed than there are", new Ring().at(0, 1025), "ok", "error Corrupt"),
    sender("tail_before_head", "more was received than claimed", new Ring().at(9, 8), "ok", "error Corrupt"),
    sender("format_3", "a newer format", new Ring().words(8, 3), "error Incompatible"),
  ];
}

function taken(ring: Ring, owner: readonly number[], lock: number): Ring {
  for (let slot = 0; slot < 1024; slot++) ring.slot(slot, owner, [0, 1], lock);
  return ring;
}

/** All vectors of rings. */
export function rings(): Made[] {
  return [...receiving(), ...refused(), ...sending()];
}
