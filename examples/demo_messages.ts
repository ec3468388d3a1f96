// What the two processes of the demo say to each other.
import type { IpcSender } from "@isthmus/ipc";

/** The worker's first and only message to the server: how to reach it. */
export interface Hello {
  /** Process id of the worker. */
  pid: number;
  /** Takes one {@linkcode Job}, then the pieces of the file, then ends. */
  parts: IpcSender<Part>;
}

/** The first message to the worker. */
export interface Job {
  /** Name of the cell in which the worker writes its {@linkcode Progress}. */
  progress: string;
  /** Where the {@linkcode Report} goes. */
  reply: IpcSender<Report>;
}

/** A message to the worker: the job, then pieces of the file. */
export type Part = Job | Uint8Array;

/** How far the worker is. */
export interface Progress {
  /** Bytes that are in the digest already. */
  bytes: number;
}

/** What the worker found. */
export interface Report {
  /** SHA-256 of all pieces, in hexadecimal. */
  digest: string;
  /** Bytes received. */
  bytes: number;
  /** Messages received, the job included. */
  messages: number;
}
