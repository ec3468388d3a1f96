// What this system offers: for those who ask whether the library works here, and for paths that users read.
import { listDirectory, readTextFile } from "../file/directory.ts";
import { libc } from "../libc/libc.ts";
import { platform } from "../libc/platform.ts";

/** Where the system shows its processes. */
export const PROCESS_FOLDER = "/proc";

/**
 * Makes sure that the library works here.
 *
 * @throws {IpcError} `Permission` without `--allow-ffi`, `Unsupported` on another platform.
 */
export function requireSystem(): void {
  libc();
}

/** The operating system and the processor, in words. */
export function systemName(): string {
  return platform().name;
}

/** The C library that is used, and the kernel under it where that can be told. */
export function systemLibrary(): { readonly path: string; readonly kernel: string | undefined } {
  return { path: libc().platform.libc, kernel: readTextFile("/proc/sys/kernel/osrelease")?.trim() };
}

/** How many descriptors this process has open. */
export function countDescriptors(): number {
  return listDirectory("/proc/self/fd").length;
}

/** Whether the system shows which processes live. */
export function showsProcesses(): boolean {
  return readTextFile("/proc/self/stat") !== undefined;
}
