// Looks into a cell without attaching to it: no lock, not counted as a holder, nothing written.
import { decodeCbor } from "../../cbor/mod.ts";
import { IpcError } from "../../base/error.ts";
import type { IpcFd } from "../../ffi/file/fd.ts";
import type { FileStatus } from "../../ffi/file/file_status.ts";
import { readAt } from "../../ffi/file/read_at.ts";
import { type ReadLayout, readLayout } from "./layout_text.ts";
import { type CellInfo, describeCell } from "./registry.ts";
import { checkHeader, openCellFile, readHeader } from "../segment/cell_file.ts";
import { fingerprintOf } from "../segment/format.ts";
import {
  BELLS_IN_USE,
  BUFFER_OFFSET,
  BUFFER_STRIDE,
  CAPACITY,
  COUNTER,
  KIND,
  KIND_CBOR,
  LENGTHS,
  REF_COUNT,
  STATE,
  VERSION,
  WAITERS,
  WATCHERS,
} from "../segment/header.ts";

/** How often a value is read again that was overwritten while it was read. */
const ATTEMPTS = 1000;

/** Most bytes of a value that are decoded for looking at: what decodes them takes many times as much memory. */
export const DECODED_LIMIT: number = 8 << 20;

/** The header of a cell, as it is stored. */
export interface CellHeader {
  readonly version: number;
  readonly kind: number;
  readonly state: number;
  /** As of the last attach or close. */
  readonly referenceCount: number;
  /** In hexadecimal; 0 for CBOR. */
  readonly fingerprint: string;
  /** Two for every change; odd while a write is in progress. */
  readonly changeCounter: number;
  /** Whether somebody may wait for the lock. */
  readonly waiters: boolean;
  /** Whether somebody may watch the value. */
  readonly watchers: boolean;
  /** Isolates that could wait at one time so far. */
  readonly bellsInUse: number;
  readonly bufferOffset: number;
  readonly bufferStride: number;
}

/** A cell, looked at. */
export class CellPeek implements Disposable {
  readonly name: string;
  readonly #what: string;
  readonly #fd: IpcFd;
  readonly #status: FileStatus;

  private constructor(name: string, what: string, fd: IpcFd, status: FileStatus) {
    this.name = name;
    this.#what = what;
    this.#fd = fd;
    this.#status = status;
  }

  /**
   * Opens the file of a cell.
   *
   * @returns `undefined` if there is none of that name.
   * @throws {IpcError} `Incompatible` if the name belongs to something else.
   */
  static open(name: string): CellPeek | undefined {
    const what = `Cannot look at the cell "${name}"`;
    const found = openCellFile(name, what, "read");
    return found && new CellPeek(name, what, found.fd, found.status);
  }

  /** What is known of the cell. */
  info(): CellInfo {
    return describeCell(this.name, this.#fd.fd, this.#status);
  }

  /** What its header says. */
  header(): CellHeader {
    const words = readHeader(this.#fd.fd);
    return {
      version: words[VERSION]!,
      kind: words[KIND]!,
      state: words[STATE]!,
      referenceCount: words[REF_COUNT]!,
      fingerprint: fingerprintOf(words).toString(16).padStart(16, "0"),
      changeCounter: words[COUNTER]! >>> 0,
      waiters: words[WAITERS] !== 0,
      watchers: words[WATCHERS] !== 0,
      bellsInUse: words[BELLS_IN_USE]!,
      bufferOffset: words[BUFFER_OFFSET]!,
      bufferStride: words[BUFFER_STRIDE]!,
    };
  }

  /** The layout of its values; `undefined` for CBOR, and where the header does not tell. */
  layout(): ReadLayout | undefined {
    const { layout, capacity } = this.info();
    return readLayout(layout, fingerprintOf(readHeader(this.#fd.fd)), capacity);
  }

  /**
   * The bytes of the value as they were at one moment.
   *
   * @throws {IpcError} `Corrupt` if the header is impossible, `TooLarge` if there are too many to look at.
   */
  bytes(): Uint8Array<ArrayBuffer> {
    const fd = this.#fd.fd;
    checkHeader(fd, this.#status, this.#what);
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const words = readHeader(fd);
      const offset = words[BUFFER_OFFSET]!, stride = words[BUFFER_STRIDE]!, capacity = words[CAPACITY]!;
      const before = words[COUNTER]!;
      const place = stride === 0 ? 0 : (before >>> 1) & 1;
      const length = stride === 0 ? capacity : words[LENGTHS + place]!;
      if (length < 0 || length > capacity) {
        if (overtaken(fd, before)) continue;
        throw new IpcError(
          "Corrupt",
          `${this.#what}: its value claims ${length} bytes, and ${capacity} are the most it can hold; remove it`,
        );
      }
      if (length > DECODED_LIMIT) {
        throw new IpcError(
          "TooLarge",
          `${this.#what}: its value has ${length} bytes, and ${DECODED_LIMIT} are the most that are looked at`,
        );
      }
      const bytes = readAt(fd, offset + place * stride, length);
      if (stride === 0 || !overtaken(fd, before)) return bytes;
    }
    throw new IpcError("Timeout", `${this.#what}: its value changes faster than it can be read`);
  }

  /**
   * The value; its bytes where the layout is not known.
   *
   * @throws {IpcError} As {@linkcode CellPeek.bytes}; `Serialization` if the bytes make no value.
   */
  value(): unknown {
    const bytes = this.bytes();
    if (readHeader(this.#fd.fd)[KIND] === KIND_CBOR) return decodeCbor(bytes);
    const known = this.layout();
    return known?.layout.size !== bytes.length ? bytes : known.layout.read(new DataView(bytes.buffer), 0);
  }

  /** Closes the file. */
  close(): void {
    this.#fd.close();
  }

  /** Same as {@linkcode CellPeek.close}, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }
}

/** Whether the place that was current may have been written since, as in `value_store.ts`. */
function overtaken(fd: number, before: number): boolean {
  return ((readHeader(fd)[COUNTER]! - (before & ~1)) >>> 0) > 2;
}
