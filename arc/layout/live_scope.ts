// How long views on shared memory live: as long as the guard that gave them.
import { IpcError } from "../../base/error.ts";
import type { Mapping } from "../../ffi/memory/mapping.ts";
import type { PodLayout, Scope, Slot } from "./layout.ts";
import { LiveSlot } from "./live_slot.ts";

/** Stands between the views of one guard and shared memory. */
export class LiveScope implements Scope {
  readonly #mapping: Mapping;
  readonly #memory: DataView<ArrayBuffer>;
  readonly #start: number;
  readonly #length: number;
  #live = true;
  #window: ArrayBuffer | undefined;
  /** Memory of what has moved. */
  #apart: ArrayBuffer[] | undefined;
  #root: LiveSlot;

  /**
   * @param mapping The memory.
   * @param memory All of it; kept by the cell, as making one costs more than the whole guard.
   * @param start Where the value lies, in bytes.
   * @param layout Of the value.
   */
  constructor(mapping: Mapping, memory: DataView<ArrayBuffer>, start: number, layout: PodLayout<unknown>) {
    this.#mapping = mapping;
    this.#memory = memory;
    this.#start = start;
    this.#length = layout.size;
    this.#root = new LiveSlot(this, layout, memory, start, false);
  }

  /** The whole value. */
  get root(): LiveSlot {
    return this.#root;
  }

  /** Replaces the whole value by bytes that belong to this scope from now on. */
  replaceRoot(bytes: Uint8Array<ArrayBuffer>): void {
    if (this.#root.seen) this.#root = LiveSlot.apart(this, this.#root.layout, bytes);
    else new Uint8Array(this.#memory.buffer, this.#start, this.#length).set(bytes);
  }

  /** Throws once the guard was released. */
  mustLive(): void {
    if (!this.#live) throw ended();
  }

  /** Whether any part lies elsewhere than in its place. */
  get anyMoved(): boolean {
    return this.#apart !== undefined;
  }

  /** Memory of a part that has moved: taken away from its views at the end, too. */
  adopt(buffer: ArrayBuffer): void {
    (this.#apart ??= []).push(buffer);
  }

  /** Memory of a slot for views that hold on to it: at the end it is taken away from them. */
  window({ memory, offset }: Slot): { buffer: ArrayBuffer; offset: number } {
    this.mustLive();
    if (memory !== this.#memory) return { buffer: memory.buffer, offset };
    this.#window ??= this.#mapping.window(this.#start, this.#length);
    return { buffer: this.#window, offset: offset - this.#start };
  }

  /** Puts everything into its place and ends all views: accessors throw, typed arrays are empty. */
  end(): void {
    this.#live = false;
    this.#endWindow();
    if (this.#apart === undefined) return;
    const root = this.#root;
    root.settle();
    if (root.moved) {
      new Uint8Array(this.#memory.buffer, this.#start, this.#length).set(
        new Uint8Array(root.memory.buffer, 0, this.#length),
      );
    }
    this.#endApart();
  }

  #endWindow(): void {
    if (this.#window !== undefined) this.#mapping.endWindow(this.#window);
    this.#window = undefined;
  }

  /** A program may have transferred such a buffer: then it is empty already, and the memory is the program's. */
  #endApart(): void {
    for (const buffer of this.#apart ?? []) if (!buffer.detached) buffer.transfer(0);
    this.#apart = undefined;
  }

  /** Ends all views; what they wrote is not to be kept. */
  drop(): void {
    this.#live = false;
    this.#endWindow();
    this.#endApart();
  }
}

function ended(): IpcError {
  return new IpcError("Closed", "Cannot use a view on a cell: its guard was released; acquire the cell again");
}
