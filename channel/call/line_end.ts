// How a conversation with calls ends.
import { IpcError } from "../../base/error.ts";

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
