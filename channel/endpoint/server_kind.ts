// The two kinds of server, and what tells a client of the other kind that it is at the wrong one.
//
// A name that a server gets by itself says the kind, so that the client's mistake is an error where it is made, and no
// server hears of it. A path says nothing: there the server finds out, by the number of channels that the client brings.
import { IpcError } from "../../base/error.ts";
import { freshAbstractName } from "../../ffi/socket/socket_address.ts";

/** What a kind of server is called, and how it is connected to. */
export interface ServerKind {
  /** In the names that such servers get. */
  readonly mark: string;
  /** The class of the server. */
  readonly server: string;
  /** What its clients call. */
  readonly connect: string;
  /** How many channels a client brings. */
  readonly channels: number;
}

/** A server for one client, which brings the receiver of one channel. */
export const ONE_SHOT: ServerKind = {
  mark: "one-shot",
  server: "IpcOneShotServer",
  connect: "IpcSender.connect()",
  channels: 1,
};

/** A server for many clients, which bring a channel each way. */
export const MANY: ServerKind = { mark: "server", server: "IpcServer", connect: "IpcServer.connect()", channels: 2 };

/** The same for conversations in byte strings. At a path they cannot be told apart. */
export const MANY_BYTES: ServerKind = {
  mark: "bytes-server",
  server: "IpcBytesServer",
  connect: "IpcBytesServer.connect()",
  channels: 2,
};

const KINDS = [ONE_SHOT, MANY, MANY_BYTES];

/** The most channels that a client of any kind brings. */
export const MOST_CHANNELS = Math.max(...KINDS.map(({ channels }) => channels));

/** A name that a server got by itself, as a whole: in others, "#" is a letter like any other. */
const FRESH_NAME =
  /^@isthmus-(one-shot|server|bytes-server)-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}(?:#([1-9][0-9]{0,9}))?$/;

/**
 * A name for a server without a path.
 *
 * @param capacity What it asks its clients for, if anything.
 */
export function freshServerName(kind: ServerKind, capacity?: number): string {
  return freshAbstractName(kind.mark) + (capacity === undefined ? "" : `#${capacity}`);
}

/** The capacity that the server of a name asks for; `undefined` if the name does not say. */
export function capacityInName(name: string): number | undefined {
  const capacity = typeof name === "string" ? FRESH_NAME.exec(name)?.[2] : undefined;
  return capacity === undefined ? undefined : Number(capacity);
}

/**
 * Looks whether a name is one of a server of this kind, as far as it can be told.
 *
 * @throws {IpcError} `Incompatible` if it is that of a server of another kind.
 */
export function requireKind(name: string, kind: ServerKind): void {
  const mark = typeof name === "string" ? FRESH_NAME.exec(name)?.[1] : undefined;
  const found = KINDS.find((other) => other.mark === mark);
  if (found === undefined || found === kind) return;
  throw new IpcError(
    "Incompatible",
    `Cannot connect to "${name}" by ${kind.connect}: it is the name of an ${found.server}; use ${found.connect}, or ` +
      `make the server an ${kind.server}`,
  );
}

/** The error of a server to which a client of another kind came; `undefined` if no kind of client brings that many. */
export function wrongKind(kind: ServerKind, channels: number): IpcError | undefined {
  const found = KINDS.find((other) => other.channels === channels);
  if (found === undefined || found === kind) return undefined;
  return new IpcError(
    "Incompatible",
    `Cannot accept a client that came by ${found.connect}: this is an ${kind.server}; let the client use ` +
      `${kind.connect}, or make this an ${found.server}`,
  );
}
