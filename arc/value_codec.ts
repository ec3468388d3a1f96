// How the value of a cell becomes bytes, and back: by CBOR, or by a layout.
import { decodeCbor, encodeCbor } from "../cbor/mod.ts";
import { IpcError } from "../base/error.ts";
import type { PodLayout } from "./layout/layout.ts";

/** Bytes of a value that is about to be stored. Valid until the next encoding. */
export function encodeValue(value: unknown, capacity: number, name: string): Uint8Array {
  const bytes = encodeCbor(value);
  if (bytes.length > capacity) {
    throw new IpcError(
      "TooLarge",
      `Cannot store a value of ${bytes.length} bytes in the cell "${name}": ` +
        `its capacity is ${capacity} bytes; create it with a larger capacity`,
    );
  }
  return bytes;
}

/** A value from a copy of its bytes. */
export function decodeValue<T>(bytes: Uint8Array<ArrayBuffer>, layout: PodLayout<T> | undefined): T {
  if (layout === undefined) return decodeCbor(bytes) as T;
  return layout.read(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), 0);
}
