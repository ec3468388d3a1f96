// Which files other processes have open, and what those processes are called, by /proc.
import { linkTarget, listDirectory, readTextFile } from "./directory.ts";
import { type FileStatus, fileStatus } from "./file_status.ts";

/** One descriptor of one process. */
export interface OpenFile {
  readonly pid: number;
  readonly fd: number;
}

/** What is open under each path, in those processes that this user may look into. */
export type OpenFiles = ReadonlyMap<string, readonly OpenFile[]>;

/** Looks through all processes. */
export function openFiles(): OpenFiles {
  const found = new Map<string, OpenFile[]>();
  for (const pid of listDirectory("/proc")) {
    if (!/^\d+$/.test(pid)) continue;
    for (const fd of listDirectory(`/proc/${pid}/fd`)) {
      const target = linkTarget(`/proc/${pid}/fd/${fd}`);
      if (target === undefined || !target.startsWith("/")) continue; // a pipe, a socket, …
      const file = { pid: Number(pid), fd: Number(fd) };
      const others = found.get(target);
      if (others === undefined) found.set(target, [file]);
      else others.push(file);
    }
  }
  return found;
}

/**
 * Ids of the processes, each once, that have this very file open. A path may stand for another file in a process that
 * lives in another container.
 */
export function openedBy(files: OpenFiles, path: string, status: FileStatus): number[] {
  const pids = new Set<number>();
  for (const { pid, fd } of files.get(path) ?? []) {
    const there = fileStatus(`/proc/${pid}/fd/${fd}`, true);
    if (there?.inode === status.inode && there.device === status.device) pids.add(pid);
  }
  return [...pids];
}

/** What a process is called; `undefined` if there is none of that id. */
export function processName(pid: number): string | undefined {
  return readTextFile(`/proc/${pid}/comm`)?.replace(/\n$/, "");
}
