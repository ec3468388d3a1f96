// What user-mode emulation cannot carry, and why: the one list. A test that is not named here has to pass.

/** A test, or all tests of a file, that is not run under emulation. */
export interface NotEmulated {
  /** From the folder `tests`. */
  readonly file: string;
  /** The name of the test; all of the file without it. */
  readonly test?: string;
  /** What is different from a machine with this processor. */
  readonly reason: string;
}

/** Every one of them. The run fails if one names nothing that exists. */
export const NOT_EMULATED: readonly NotEmulated[] = [
  {
    file: "arc/inside/wait_test.ts",
    test: "50 processes that contend all make progress",
    reason: "Each takes 400 MB, nearly all of it QEMU's own: together more than most machines have.",
  },
  {
    file: "limits/inside/scarce_resources_test.ts",
    test: "Without room in the address space it fails to map memory, says so, and leaves nothing behind",
    reason: "The limit counts QEMU's own memory as well: V8 gets none, and ends the process.",
  },
];
