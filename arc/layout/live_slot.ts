// The parts of a value while a guard is open: where each lies, and which views were given out.
//
// A view behaves like an object of the program: a program that replaces an element, or a field, does not change what was there
// before and may still be in use elsewhere. `[v[0], v[1]] = [v[1], v[0]]` swaps, and `v.sort()` sorts, though all
// elements lie in one piece of memory. So what replaces a part that somebody may have a view of gets memory of its own,
// and moves to its place when the guard is released. A part that nobody has seen is written in place.
import type { PodLayout, Scope, Slot } from "./layout.ts";

/** One part of a value, or the whole. */
export class LiveSlot implements Slot {
  readonly scope: Scope;
  readonly layout: PodLayout<unknown>;
  /** Where it lies. */
  readonly memory: DataView<ArrayBuffer>;
  readonly offset: number;
  /** Whether the memory is its own, and not part of what surrounds it. */
  readonly moved: boolean;
  /** Parts that were given out as views, by their offset within this one. */
  #parts: Map<number, LiveSlot> | undefined;
  #view: unknown;

  constructor(
    scope: Scope,
    layout: PodLayout<unknown>,
    memory: DataView<ArrayBuffer>,
    offset: number,
    moved: boolean,
  ) {
    this.scope = scope;
    this.layout = layout;
    this.memory = memory;
    this.offset = offset;
    this.moved = moved;
  }

  /** A slot in memory of its own. */
  static apart(scope: Scope, layout: PodLayout<unknown>, bytes: Uint8Array<ArrayBuffer>): LiveSlot {
    scope.adopt(bytes.buffer);
    return new LiveSlot(scope, layout, new DataView(bytes.buffer), 0, true);
  }

  /** Whether a view of it was given out. */
  get seen(): boolean {
    return this.#view !== undefined;
  }

  /** The view of it, always the same. */
  view(): unknown {
    this.scope.mustLive();
    return this.#view ??= this.layout.live(this);
  }

  /** The view of a part that is not primitive. */
  part(layout: PodLayout<unknown>, offset: number): unknown {
    let part = this.#parts?.get(offset);
    if (part === undefined) {
      this.scope.mustLive();
      part = new LiveSlot(this.scope, layout, this.memory, this.offset + offset, false);
      (this.#parts ??= new Map()).set(offset, part);
    }
    return part.view();
  }

  /** Replaces a part that is not primitive. */
  replace(layout: PodLayout<unknown>, offset: number, value: unknown, path: string): void {
    this.scope.mustLive(); // before the value is looked at, so that a dead view says that it is dead
    const bytes = layout.encode(value, path); // code of the program may run in here, and release the guard
    this.scope.mustLive();
    if (this.#parts?.has(offset)) this.#parts.set(offset, LiveSlot.apart(this.scope, layout, bytes));
    else bytesAt(this.memory, this.offset + offset, bytes.length).set(bytes);
  }

  /** A copy of its bytes as they are now. */
  snapshot(): Uint8Array<ArrayBuffer> {
    this.scope.mustLive();
    const bytes = bytesAt(this.memory, this.offset, this.layout.size).slice();
    if (this.scope.anyMoved) {
      for (const [offset, part] of this.#parts ?? []) bytes.set(part.snapshot(), offset);
    }
    return bytes;
  }

  /** Puts what has moved into its place, for memory whose views have ended. */
  settle(): void {
    for (const [offset, part] of this.#parts ?? []) {
      part.settle();
      if (!part.moved) continue;
      bytesAt(this.memory, this.offset + offset, part.layout.size).set(bytesAt(part.memory, 0, part.layout.size));
    }
  }
}

function bytesAt(memory: DataView<ArrayBuffer>, offset: number, length: number): Uint8Array<ArrayBuffer> {
  if (memory.buffer.detached) {
    throw new TypeError("Cannot store a part of a cell's value whose buffer was transferred: the old value stays");
  }
  return new Uint8Array(memory.buffer, memory.byteOffset + offset, length);
}
