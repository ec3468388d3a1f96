// All cells of this machine, as files show them: for the command line.
import { listDirectory } from "../../ffi/file/directory.ts";
import { type FileStatus, fileStatus } from "../../ffi/file/file_status.ts";
import { lockHolders } from "../../ffi/file/lock_holders.ts";
import { processOfThread } from "../../ffi/process/liveness.ts";
import { readAt } from "../../ffi/file/read_at.ts";
import { mutexOwner } from "../../ffi/memory/robust_mutex.ts";
import { unlinkFile } from "../../ffi/file/unlink.ts";
import { SHARED_FOLDER } from "../../ffi/file/named_file.ts";
import { BELL_PREFIX, CELL_PREFIX } from "../segment/cell_name.ts";
import { countOthers } from "../../ffi/file/presence.ts";
import { checkHeader, openCellFile, readHeader } from "../segment/cell_file.ts";
import { removeByForce, removeDead } from "../segment/remove.ts";
import { layoutTextPlace } from "../segment/format.ts";
import { CAPACITY, COUNTER, KIND, KIND_CBOR, LENGTHS, MUTEX_OFFSET, NAMESPACE, WAITERS } from "../segment/header.ts";

/** What can be known of a cell without attaching to it. */
export interface CellInfo {
  /** The name that it was created with. */
  readonly name: string;
  /** Whether its values are CBOR, or lie in memory by a layout. */
  readonly kind: "cbor" | "pod";
  /** The layout as text; empty for CBOR. */
  readonly layout: string;
  /** Bytes of shared memory. */
  readonly size: number;
  /** Bytes that a value may have. */
  readonly capacity: number;
  /** Bytes of the value. */
  readonly length: number;
  /** Writes since it was made, modulo 2^31. */
  readonly changes: number;
  /** Whether a process may wait for the lock. */
  readonly waiters: boolean;
  /** Ids of the processes that hold it, as far as this user may see them; one that holds it twice is there twice. */
  readonly holders: readonly number[];
  /** Whether a process has the lock. */
  readonly locked: boolean;
  /** Id of the process that has the lock, if that can be told. */
  readonly lockedBy: number | undefined;
  /** How many hold it, exactly, also those whose processes this user may not see. */
  readonly references: number;
  /** Whether all its holders are dead. */
  readonly stale: boolean;
  /** What is wrong with its header, if anything: then its numbers are not to be relied on. */
  readonly damage: string | undefined;
}

/**
 * All cells that this user can open, by name.
 *
 * @returns What is known of each.
 */
export function listCells(): CellInfo[] {
  const cells: CellInfo[] = [];
  for (const name of cellNames()) {
    const info = cellInfo(name);
    if (info !== undefined) cells.push(info);
  }
  return cells;
}

function cellNames(): string[] {
  return listDirectory(SHARED_FOLDER)
    .filter((file) => file.startsWith(CELL_PREFIX) && file.length > CELL_PREFIX.length)
    .map((file) => file.slice(CELL_PREFIX.length))
    .sort();
}

/** What is known of one cell; `undefined` if there is none, or it cannot be opened. */
export function cellInfo(name: string): CellInfo | undefined {
  let found;
  try {
    found = openCellFile(name, `Cannot look at the cell "${name}"`, "read");
  } catch {
    return undefined; // not a cell, or not ours
  }
  if (found === undefined) return undefined;
  try {
    return describeCell(name, found.fd.fd, found.status);
  } finally {
    found.fd.close();
  }
}

/** What is known of a cell whose file is open. */
export function describeCell(name: string, fd: number, status: FileStatus): CellInfo {
  const header = readHeader(fd);
  const holders = lockHolders(status);
  // Without taking a lock: who leaves at this moment must find out that it is the last.
  const references = countOthers(fd);
  return {
    name,
    kind: header[KIND] === KIND_CBOR ? "cbor" : "pod",
    layout: layoutText(fd, header, status.size),
    size: status.size,
    capacity: header[CAPACITY]!,
    length: header[LENGTHS + ((header[COUNTER]! >>> 1) & 1)]!,
    changes: header[COUNTER]! >>> 1,
    waiters: header[WAITERS] !== 0,
    holders,
    locked: mutexOwner(header[MUTEX_OFFSET >> 2]!) !== undefined,
    lockedBy: processOfThread(mutexOwner(header[MUTEX_OFFSET >> 2]!) ?? 0, header[NAMESPACE]!, holders, references),
    references,
    stale: holders.length === 0 && references === 0,
    damage: damageOf(fd, status),
  };
}

function damageOf(fd: number, status: FileStatus): string | undefined {
  try {
    checkHeader(fd, status, "");
    return undefined;
  } catch (error) {
    return (error as Error).message.replace(/^: /, "");
  }
}

/** The text that describes the layout; empty if there is none, or it cannot be where the header says. */
function layoutText(fd: number, header: Int32Array, size: number): string {
  const place = layoutTextPlace(header, size);
  return place === undefined ? "" : new TextDecoder().decode(readAt(fd, place.offset, place.length));
}

/** What became of the cells whose holders are all dead, and of what else they left. */
export interface Collected {
  /** Names of the cells that were removed. */
  readonly removed: readonly string[];
  /** What could not be removed, and why. */
  readonly failed: readonly { readonly name: string; readonly reason: string }[];
}

/** Removes the cells whose holders are all dead, and doorbells that belong to no cell. */
export function collectStaleCells(): Collected {
  const removed: string[] = [], failed: { name: string; reason: string }[] = [];
  for (const name of cellNames()) {
    // Those of others that cannot be opened, and what is not a cell, are left.
    if (cellInfo(name)?.stale !== true) continue;
    try {
      if (removeDead(name)) removed.push(name);
    } catch (error) {
      failed.push({ name, reason: (error as Error).message });
    }
  }
  removeOrphanBells();
  return { removed, failed };
}

function removeOrphanBells(): void {
  // In this order: a bell whose cell is made after the look at the cells is not in the list of bells.
  const bells = listDirectory(SHARED_FOLDER).filter((file) => file.startsWith(BELL_PREFIX));
  if (bells.length === 0) return;
  const inodes = new Set(
    cellNames().map((name) => fileStatus(`${SHARED_FOLDER}/${CELL_PREFIX}${name}`)?.inode.toString(16)),
  );
  for (const bell of bells) {
    const inode = bell.slice(BELL_PREFIX.length).split(".")[0];
    // Another user's stays: nobody looks at it, and its owner, or root, removes it.
    if (!inodes.has(inode)) unlinkFile(`${SHARED_FOLDER}/${bell}`);
  }
}

/**
 * Removes a cell by force. Programs that hold it keep what they have, apart from who comes later.
 *
 * @param name The name of the cell.
 * @returns `false` if there is none.
 * @throws {IpcError} `Incompatible` if the name belongs to something else; `Permission` if it cannot be removed.
 */
export function removeCell(name: string): boolean {
  return removeByForce(name);
}
