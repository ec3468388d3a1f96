// Frames of a conversation with calls, as far as a relay must understand them: `channel/call/frame.ts` says what they are. A
// frame is an array whose first elements are its kind and, mostly, the number of its call; what follows is passed on as it is.

/** Kinds of frames. */
export const HELLO = 0,
  CALL = 1,
  RESULT = 2,
  THROW = 3,
  ITEM = 5,
  END = 6,
  MORE = 7,
  STOP = 8,
  SKIPPED = 9,
  SYNC = 10,
  SYNCED = 11;

/** The version of the protocol. */
export const VERSION = 1;

/** The beginning of a frame. */
export interface Head {
  readonly kind: number;
  /** The number of the call; of frames without one, what stands there. */
  readonly id: number;
  /** Where the rest begins. */
  readonly rest: number;
}

/** Whether it is the last frame of a call. */
export function isLast(kind: number): boolean {
  return kind === RESULT || kind === THROW || kind === END;
}

/** Reads the beginning of a frame; `undefined` if it is none with a number. */
export function headOf(bytes: Uint8Array): Head | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 3 || bytes[0]! < 0x82 || bytes[0]! > 0x84 || bytes[1]! > SYNCED) return undefined;
  const kind = bytes[1]!, first = bytes[2]!;
  if (first < 24) return { kind, id: first, rest: 3 };
  const size = [1, 2, 4, 8][first - 24];
  if (size === undefined || bytes.length < 3 + size) return undefined;
  const id = size === 1
    ? bytes[3]!
    : size === 2
    ? view.getUint16(3)
    : size === 4
    ? view.getUint32(3)
    : Number(view.getBigUint64(3));
  return Number.isSafeInteger(id) ? { kind, id, rest: 3 + size } : undefined;
}

/** The same frame, for a call of another number. */
export function withId(bytes: Uint8Array, head: Head, id: number): Uint8Array<ArrayBuffer> {
  const size = id < 24 ? 0 : id < 0x100 ? 1 : id < 0x1_0000 ? 2 : id < 0x1_0000_0000 ? 4 : 8;
  const frame = new Uint8Array(3 + size + bytes.length - head.rest);
  const view = new DataView(frame.buffer);
  frame[0] = bytes[0]!;
  frame[1] = head.kind;
  frame[2] = size === 0 ? id : 24 + Math.log2(size);
  if (size === 1) frame[3] = id;
  else if (size === 2) view.setUint16(3, id);
  else if (size === 4) view.setUint32(3, id);
  else if (size === 8) view.setBigUint64(3, BigInt(id));
  frame.set(bytes.subarray(head.rest), 3 + size);
  return frame;
}

/** Why a call fails that the bridges themselves fail. */
export interface Refusal {
  readonly code: "Disconnected" | "Serialization" | "TooLarge" | "System" | "NotFound";
  readonly message: string;
  /** Whether the method may have been called. */
  readonly delivered: boolean;
}

/** What the caller's end makes an `IpcError` of. */
export function failureOf({ code, message, delivered }: Refusal): unknown {
  return { class: "IpcError", message, properties: { code, delivered } };
}
