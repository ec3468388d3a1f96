// What both sides of a conversation with calls see of the line between them, and how it ends.
import { IpcError } from "../../base/error.ts";
import type { PeerCredentials } from "../../ffi/socket/socket_types.ts";
import type { WaitOptions } from "../../base/wait.ts";
import type { Frame } from "./frame.ts";

/** The line, as its calling and its answering side use it: see `line.ts`. */
export interface CallLine {
  readonly duplex: { readonly peer?: PeerCredentials | undefined };
  /** Why it is at its end, if it is. */
  readonly end: LineEnd | undefined;
  /** One more waits for something to be received; one less does. */
  hold(): void;
  letGo(): void;
  trySend(frame: Frame): boolean;
  send(frame: Frame, options?: WaitOptions): Promise<void>;
  post(frame: Frame, sent?: () => void): void;
  /** Where the next frame will lie, and whether the peer has not received what lies there. */
  position(): number;
  isUnread(position: number): boolean;
  /** The peer has broken the rules. */
  violated(what: string): void;
  finish(end: LineEnd): void;
}

/** Why a line is at its end. */
export interface LineEnd {
  /** What calls that are under way fail with, and those that come later. */
  readonly code: "Disconnected" | "Closed" | "Corrupt" | "Incompatible" | "System";
  readonly why: string;
  readonly cause?: unknown;
}

/** The peer has closed its end, or has died. */
export const GONE: LineEnd = { code: "Disconnected", why: "the other end is gone" };
/** The program has closed this end. */
export const CLOSED_HERE: LineEnd = { code: "Closed", why: "this end was closed" };

/** The error for something that cannot be done as the line is at its end. */
export function endError(what: string, { code, why, cause }: LineEnd, delivered?: boolean): IpcError {
  return new IpcError(code, `${what}: ${why}`, {
    ...(cause === undefined ? {} : { cause }),
    ...(delivered === undefined ? {} : { delivered }),
  });
}
