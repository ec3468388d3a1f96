// A new channel that nobody has used yet. It takes no descriptor and no memory until either end is: what is made and
// closed again, or given up on the way to its first use, costs no system call.
import { requireSystem } from "../../ffi/process/system.ts";
import { OpenThing } from "../../ffi/process/open_things.ts";
import { createChannel } from "../ring/handle.ts";
import { capacityOf } from "../ring/memory.ts";
import { RingConsumer } from "../ring/consumer.ts";
import { RingProducer } from "../ring/producer.ts";
import { SenderPort } from "./sender_port.ts";

/** One end of a channel that was made, as long as nobody took it; or closed before. */
type End<T> = T | "not made" | "taken" | "closed";

/** What the two ends of a new channel share until the first of them is used. */
export class LazyChannel extends OpenThing {
  readonly #capacity: number;
  #sender: End<SenderPort> = "not made";
  #receiver: End<RingConsumer> = "not made";

  /**
   * @throws {RangeError} If the capacity is none.
   * @throws {IpcError} `Permission` without `--allow-ffi`, `Unsupported` on another platform.
   */
  constructor(capacity: number | undefined) {
    super();
    this.#capacity = capacityOf(capacity);
    requireSystem(); // who may not make channels learns it here, not at the first use
  }

  /**
   * The sending end; the caller's from now on. To be called once.
   *
   * @throws {IpcError} `System` if there are no descriptors or no memory; both ends are as they were then.
   */
  takeSender(): SenderPort {
    if (this.#sender === "not made") this.#make();
    const port = this.#sender as SenderPort;
    this.#sender = "taken";
    this.#endIfEmpty();
    return port;
  }

  /** The receiving end, likewise. */
  takeReceiver(): RingConsumer {
    if (this.#receiver === "not made") this.#make();
    const ring = this.#receiver as RingConsumer;
    this.#receiver = "taken";
    this.#endIfEmpty();
    return ring;
  }

  /** The sending end, if it was made and not taken; it stays here. */
  get sender(): SenderPort | undefined {
    return this.#sender instanceof SenderPort ? this.#sender : undefined;
  }

  /** The receiving end, likewise. */
  get receiver(): RingConsumer | undefined {
    return this.#receiver instanceof RingConsumer ? this.#receiver : undefined;
  }

  /** Closes the sending end, which was not taken. */
  closeSender(): void {
    if (this.#sender instanceof SenderPort) this.#sender.release(this);
    this.#sender = "closed";
    this.#endIfEmpty();
  }

  /** Closes the receiving end, which was not taken. */
  closeReceiver(): void {
    if (this.#receiver instanceof RingConsumer) this.#receiver.close();
    this.#receiver = "closed";
    this.#endIfEmpty();
  }

  /** The end that was not taken, if the channel was made. */
  override letGo(): void {
    if (this.#sender instanceof SenderPort) this.closeSender();
    if (this.#receiver instanceof RingConsumer) this.closeReceiver();
  }

  #endIfEmpty(): void {
    if (!(this.#sender instanceof SenderPort) && !(this.#receiver instanceof RingConsumer)) this.ended();
  }

  /** Makes both ends at the first use of one. The other learns by the usual means if its peer was closed before. */
  #make(): void {
    const senderClosed = this.#sender === "closed", receiverClosed = this.#receiver === "closed";
    const [port, ring] = createEnds(this.#capacity);
    this.#sender = port;
    this.#receiver = ring;
    this.opened();
    if (senderClosed) this.closeSender();
    if (receiverClosed) this.closeReceiver();
  }
}

/** Both ends of a new ring, in this isolate. */
function createEnds(capacity: number): [SenderPort, RingConsumer] {
  const parts = createChannel(capacity);
  let ring: RingProducer;
  try {
    ring = RingProducer.create(parts.memory, parts.senderBell, parts.senderSocket, parts.receiverSocket);
  } catch (error) {
    parts.memory.release();
    parts.receiverBell.close();
    parts.receiverSocket.close();
    throw error;
  }
  return [SenderPort.of(ring), RingConsumer.create(parts.memory, parts.receiverBell, parts.receiverSocket)];
}
