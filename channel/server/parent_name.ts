// How a program that was started by spawn() finds its parent: by an environment variable, which any language can read.
//
// ```text
// ISTHMUS_PARENT = NAME ":" TOKEN [":" CAPACITY]
// ```
//
// NAME is a Unix stream socket in Linux's abstract namespace, written with a leading "@"; if it begins with
// "@isthmus-bytes-parent-", messages are byte strings, else values. TOKEN is 16 bytes as 32
// hexadecimal digits: who sends them is the program, or one that it has started. CAPACITY is what the parent asks for.
import { integerOf } from "../../base/arguments.ts";
import { freshAbstractName } from "../../ffi/socket/socket_address.ts";

/** The environment variable. */
export const PARENT_VARIABLE = "ISTHMUS_PARENT";

/** Bytes of a token. */
const TOKEN = 16;

/** Where a parent waits for its child. */
export interface ParentName {
  /** The name of its socket. */
  readonly server: string;
  /** Whether the conversation is one of byte strings: the name of the socket says so. */
  readonly bytes: boolean;
  /** What the child proves by that it is the child. */
  readonly token: Uint8Array<ArrayBuffer>;
  /** Bytes that can wait in each direction, if the parent says so. */
  readonly capacity?: number;
}

/** What is in the name of the socket, as in those of servers. */
const VALUES_MARK = "parent", BYTES_MARK = "bytes-parent";

/** A name for one child. Names can be seen by everybody on the machine, tokens by nobody else. */
export function freshParentName(capacity?: number, bytes = false): ParentName {
  const server = freshAbstractName(bytes ? BYTES_MARK : VALUES_MARK);
  const token = crypto.getRandomValues(new Uint8Array(TOKEN));
  return capacity === undefined ? { server, bytes, token } : { server, bytes, token, capacity };
}

/** A name as the text of the variable. */
export function formatParentName({ server, token, capacity }: ParentName): string {
  const text = `${server}:${token.toHex()}`;
  return capacity === undefined ? text : `${text}:${capacity}`;
}

/** The name in the text of the variable; `undefined` if it holds something else. */
export function parseParentName(text: string): ParentName | undefined {
  const found = /^(@[^:]{1,106}):([0-9a-f]{32})(?::([1-9][0-9]{0,9}))?$/.exec(text);
  if (found === null) return undefined;
  const server = found[1]!, token = Uint8Array.fromHex(found[2]!);
  const bytes = server.startsWith(`@isthmus-${BYTES_MARK}-`);
  if (found[3] === undefined) return { server, bytes, token };
  return {
    server,
    bytes,
    token,
    capacity: integerOf(Number(found[3]), 1, 2 ** 30, "Cannot make a channel with the capacity"),
  };
}
