// How long views on shared memory live: as long as the guard that gave them.
import { IpcError } from "../ffi/error.ts";
import type { Mapping } from "../ffi/mapping.ts";

/** Stands between the views of one guard and shared memory. */
export class LiveScope {
  readonly #mapping: Mapping;
  readonly #start: number;
  readonly #length: number;
  #view: DataView | undefined;
  #window: ArrayBuffer | undefined;

  /**
   * @param mapping The memory.
   * @param view All of it; kept by the cell, as making one costs more than the whole guard.
   * @param start Where the value lies, in bytes.
   * @param length Bytes of the value.
   */
  constructor(mapping: Mapping, view: DataView, start: number, length: number) {
    this.#mapping = mapping;
    this.#view = view;
    this.#start = start;
    this.#length = length;
  }

  /** The memory, for accessors that go through this scope each time. */
  get view(): DataView {
    const view = this.#view;
    if (view === undefined) throw ended();
    return view;
  }

  /** Throws once the guard was released. */
  mustLive(): void {
    if (this.#view === undefined) throw ended();
  }

  /** Memory of this scope alone, for views that hold on to it: at the end it is taken away from them. */
  window(offset: number): { buffer: ArrayBuffer; offset: number } {
    this.mustLive();
    this.#window ??= this.#mapping.window(this.#start, this.#length);
    return { buffer: this.#window, offset: offset - this.#start };
  }

  /** Ends all views: accessors throw, typed arrays are empty. */
  end(): void {
    this.#view = undefined;
    this.#window?.transfer(0);
    this.#window = undefined;
  }
}

function ended(): IpcError {
  return new IpcError("Closed", "Cannot use a view on a cell: its guard was released; acquire the cell again");
}
