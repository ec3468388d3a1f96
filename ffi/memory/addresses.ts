// What mmap returned.
import { IpcError } from "../../base/error.ts";
import { errnoText } from "../libc/platform.ts";
import { runtime } from "../runtime/mod.ts";
import type { Pointer } from "../runtime/runtime.ts";

const MAP_FAILED = 0xffff_ffff_ffff_ffffn;

/**
 * The address of what was mapped.
 *
 * @throws {IpcError} `System` if nothing was.
 */
export function addressOf(pointer: Pointer | null, errno: number, length: number): bigint {
  const address = runtime.address(pointer);
  // MAP_FAILED is all ones, not null.
  if (address === MAP_FAILED || address === 0n) {
    throw noAddresses(length, errno);
  }
  return address;
}

/** The error for so many bytes that could not be mapped. */
export function noAddresses(length: number, errno: number): IpcError {
  return new IpcError("System", `Cannot map ${length} bytes of shared memory: mmap failed with ${errnoText(errno)}`, {
    errno,
    syscall: "mmap",
  });
}
