// Concept: names.
import type { WaitOptions } from "../../base/wait.ts";
import type { IpcFd } from "../file/fd.ts";
import type { PeerCredentials } from "../socket/socket_types.ts";

/** One end of a connection. */
export interface Connection {
  /** Its handle. */
  readonly fd: number;
  /** Who is at the other end, as the system vouches for it. */
  readonly peer: PeerCredentials;
  close(): void;
}

/** A name that is listened at. */
export interface NameListener {
  /** The next client, if one waits. */
  tryAccept(): Connection | undefined;
  /** Waits for the next client. */
  accept(options?: WaitOptions): Promise<Connection>;
  /** Gives the name up. */
  close(): void;
}

/** How processes find each other, and things that outlive them. */
export interface Names {
  /** A name that nobody can guess, and that leaves nothing behind. */
  fresh(use: string): string;
  /**
   * Listens at a name. That of a dead process is taken over.
   *
   * @throws {IpcError} `AlreadyExists` if another server listens there.
   */
  listen(name: string): NameListener;
  /**
   * Connects to a name, without waiting.
   *
   * @throws {IpcError} `NotFound` if no server listens there.
   */
  connect(name: string): Connection;
  /**
   * Makes something that has no name yet, in a place.
   *
   * @param what Begins the message of an error.
   */
  createUnnamed(place: string, what: string): IpcFd;
  /** Gives it its name, all at once. @returns `false` if something has the name. */
  publish(file: number, path: string, what: string): boolean;
  /** Takes a name away; what has it open goes on. @returns 0, or a failure. */
  remove(path: string): number;
}
