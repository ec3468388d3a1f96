// The channel at the far end of a queue, and what is known about what was sent into it.
//
// A message is sent exactly once, also if this process is killed at any moment. Room is reserved in the ring; then it is noted
// where; then the message is committed. The next process asks the ring what became of what was noted last.
import { IpcBytesSender, type Loan, type LoanReceipt } from "../../../mod.ts";
import { BridgeError, say } from "../log.ts";
import { ringIdentity, StateFile } from "../state_file.ts";

/** One message to be sent. */
export interface Delivery {
  /** `undefined` for what comes from a program without Isthmus: of that nothing is kept. */
  readonly source: string | undefined;
  readonly position: number;
  readonly bytes: Uint8Array;
  /** The frame that it came in. */
  readonly frame: FrameKey;
}

/** What a frame is known by. */
export interface FrameKey {
  readonly first: number;
  readonly last: number;
  /** Where it is acknowledged. */
  readonly reply: string;
}

/** What is kept beside the ring. */
interface Kept {
  /** Which ring. */
  ring: string;
  /** What this end is called. */
  owner: string;
  /** The last message of each source that was sent. */
  sources: Record<string, number>;
  /** What may have been sent since: its source, its position and its frame there, and where it was reserved here. */
  pending: [source: string, position: number, first: number, ring: number, gaps: number][];
  /** Of a shared queue, the frames of late, and up to which position they were sent. */
  recent: Recent[];
}

type Recent = [source: string, first: number, last: number, reply: string, position: number];

/** Messages that are reserved at a time: one note for all of them. */
const GROUP = 32;
/** Sources that are remembered: a line of JSON each. */
const MOST_SOURCES = 500;
/** Frames of a shared queue that are remembered: their acknowledgements may not have left this process. */
const MOST_RECENT = 64;
/** Milliseconds after the last message until all is noted. */
const IDLE = 50;

/** Sends messages into a channel, and knows which of them it has sent. */
export class FarChannel implements Disposable {
  readonly #sender: IpcBytesSender;
  readonly #state: StateFile<Kept>;
  readonly #kept: Kept;
  readonly #path: string;
  readonly #shared: boolean;
  #idle: ReturnType<typeof setTimeout> | undefined;

  /**
   * @param path Where the channel is.
   * @param name What tells this connection to it from others.
   */
  constructor(path: string, name: string, options: { capacity: number | undefined; shared: boolean }) {
    this.#path = path;
    this.#shared = options.shared;
    const { capacity } = options;
    this.#sender = IpcBytesSender.open(path, capacity === undefined ? {} : { capacity });
    try {
      this.#state = new StateFile<Kept>(`${path}.in-${name}`);
    } catch (error) {
      this.#sender.close();
      throw error;
    }
    const ring = ringIdentity(path);
    this.#kept = this.#state.found ?? { ring, owner: crypto.randomUUID(), sources: {}, pending: [], recent: [] };
    this.#findOut(ring);
  }

  /** A name of this end that stays the same. */
  get owner(): string {
    return this.#kept.owner;
  }

  /** The position of the last message of a source that was sent. */
  lastOf(source: string): number | undefined {
    return this.#kept.sources[source];
  }

  /** Of a shared queue: up to where a frame was sent, if it is one of late. */
  sentOf(source: string, first: number): number | undefined {
    return this.#kept.recent.find((frame) => frame[0] === source && frame[1] === first)?.[4];
  }

  /** Of a shared queue: the frames of late of which something was sent, and up to where. */
  get begun(): (FrameKey & { source: string; position: number })[] {
    return this.#kept.recent.filter(([, , , , position]) => position >= 0)
      .map(([source, first, last, reply, position]) => ({ source, first, last, reply, position }));
  }

  /** What became of what an earlier process was about to send. */
  #findOut(ring: string): void {
    const { pending, sources } = this.#kept;
    for (const [source, position, first, at, gaps] of pending) {
      const outcome = this.#kept.ring === ring ? this.#sender.outcome({ position: at, gaps }) : "unknown";
      if (outcome === "not sent") break; // nor those behind it
      if (outcome === "unknown") {
        say(`it is not known whether a message was sent into "${this.#path}" before: it is sent, perhaps again`);
        break;
      }
      sources[source] = position;
      const frame = this.#kept.recent.find((frame) => frame[0] === source && frame[1] === first);
      if (frame !== undefined) frame[4] = position;
    }
    this.#kept.ring = ring;
    this.#kept.pending = [];
    this.#state.save(this.#kept);
  }

  /**
   * Sends messages in order; waits while the ring is full.
   *
   * @param signal Ends the wait: by then the first ones may have been sent.
   * @throws {BridgeError} If the channel can never hold one of them.
   */
  async send(deliveries: readonly Delivery[], signal: AbortSignal): Promise<void> {
    const { capacity } = this.#sender;
    const loans: Loan[] = [];
    let from = 0;
    const commit = (until: number) => {
      this.#commit(deliveries.slice(from, until), loans);
      loans.length = 0;
      from = until;
    };
    try {
      for (const [i, { bytes }] of deliveries.entries()) {
        if (bytes.length > capacity) {
          throw new BridgeError(
            `Cannot deliver a message of ${bytes.length} bytes into "${this.#path}", which holds ${capacity}: it stays in the ` +
              "queue; stop the receiver, remove the channel, and make it anew with a larger --capacity",
          );
        }
        let loan = this.#sender.tryReserve(bytes.length);
        if (loan === undefined) {
          commit(i);
          loan = await this.#sender.reserve(bytes.length, { signal });
        }
        loans.push(loan);
        loan.bytes.set(bytes);
        if (loans.length === GROUP) commit(i + 1);
      }
      commit(deliveries.length);
    } finally {
      for (const loan of loans) loan[Symbol.dispose]();
    }
  }

  /** Notes where the messages will be, then sends them. */
  #commit(deliveries: readonly Delivery[], loans: readonly Loan[]): void {
    if (loans.length === 0) return;
    const { sources } = this.#kept;
    const receipts: LoanReceipt[] = loans.map(({ receipt }) => receipt);
    this.#kept.pending = deliveries.flatMap(({ source, position, frame: { first } }, i) =>
      source === undefined ? [] : [[source, position, first, receipts[i]!.position, receipts[i]!.gaps]]
    );
    if (this.#shared) { for (const delivery of deliveries) this.#remember(delivery); }
    if (this.#kept.pending.length > 0) this.#state.save(this.#kept);
    for (const loan of loans) loan.commit();
    for (const { source, position, frame: { first } } of deliveries) {
      if (source === undefined) continue;
      if (!(source in sources)) this.#makeRoom();
      sources[source] = position;
      if (!this.#shared) continue;
      this.#kept.recent.find((frame) => frame[0] === source && frame[1] === first)![4] = position;
    }
    this.#kept.pending = [];
    // While there is traffic the next note says it, too.
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => this.#state.save(this.#kept), IDLE);
  }

  #remember({ source, frame: { first, last, reply } }: Delivery): void {
    if (source === undefined) return;
    const { recent } = this.#kept;
    const found = recent.find((frame) => frame[0] === source && frame[1] === first);
    if (found !== undefined) {
      found[3] = reply; // it was given anew
      return;
    }
    recent.push([source, first, last, reply, -1]);
    if (recent.length > MOST_RECENT) recent.shift();
  }

  /** Forgets the source that has been silent for the longest time, roughly: the one that was seen first. */
  #makeRoom(): void {
    const known = Object.keys(this.#kept.sources);
    if (known.length < MOST_SOURCES) return;
    say(`more than ${MOST_SOURCES} channels send into this queue: the first one is forgotten`);
    delete this.#kept.sources[known[0]!];
  }

  /** Leaves the channel; everything is noted. */
  [Symbol.dispose](): void {
    clearTimeout(this.#idle);
    this.#state.save(this.#kept);
    this.#state[Symbol.dispose]();
    this.#sender.close();
  }
}
