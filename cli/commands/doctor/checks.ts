// What `isthmus doctor` looks at, one function each.

import { IpcArc, u32 } from "../../../arc/mod.ts";
import { channel } from "../../../channel/mod.ts";
import {
  countDescriptors,
  descriptorLimit,
  fileSystemSpace,
  mappingsAgree,
  PROCESS_FOLDER,
  sealsHold,
  SHARED_FOLDER,
  showsProcesses,
  systemLibrary,
  systemName,
} from "../../../ffi/inspect.ts";
import { ADDITIONS, runPeer } from "./peer.ts";

/** What a check has found. */
export interface Finding {
  /** `warn` still works, but not always or not well. */
  status: "ok" | "warn" | "fail";
  /** What is there. */
  found: string;
  /** What to do about it. */
  advice?: string;
}

/** One check. */
export interface Check {
  readonly name: string;
  /** Whether it makes sense only where libc could be opened. */
  readonly needsLibrary: boolean;
  readonly look: () => Finding | Promise<Finding>;
}

/** The oldest Deno that the package is tested with. */
const TESTED_DENO = [2, 9] as const;
/** Descriptors that a program with some dozen channels gets by with. */
const ENOUGH_DESCRIPTORS = 1024;
/** Containers get 64 MB by default. */
const ENOUGH_SHARED_MEMORY = 128e6;

/** All checks, in their order. */
export const CHECKS: readonly Check[] = [
  { name: "platform", needsLibrary: false, look: lookAtPlatform },
  { name: "Deno", needsLibrary: false, look: lookAtDeno },
  { name: "permission", needsLibrary: false, look: lookAtPermission },
  { name: "libc", needsLibrary: true, look: lookAtLibc },
  { name: "sealed memory", needsLibrary: true, look: lookAtSeals },
  { name: "atomics", needsLibrary: true, look: lookAtAtomics },
  { name: "channel", needsLibrary: true, look: lookAtChannel },
  { name: "shared cell", needsLibrary: true, look: lookAtCell },
  { name: SHARED_FOLDER, needsLibrary: true, look: lookAtSharedMemory },
  { name: "descriptors", needsLibrary: true, look: lookAtDescriptors },
  { name: PROCESS_FOLDER, needsLibrary: true, look: lookAtProc },
];

function lookAtPlatform(): Finding {
  return { status: "ok", found: systemName() };
}

function lookAtDeno(): Finding {
  const found = Deno.version.deno;
  const [major = 0, minor = 0] = found.split(".").map(Number);
  const [wantedMajor, wantedMinor] = TESTED_DENO;
  if (major > wantedMajor || (major === wantedMajor && minor >= wantedMinor)) return { status: "ok", found };
  return {
    status: "warn",
    found,
    advice: `Tested with ${wantedMajor}.${wantedMinor} and later: run "deno upgrade"`,
  };
}

function lookAtPermission(): Finding {
  const { state } = Deno.permissions.querySync({ name: "ffi" });
  if (state === "granted") return { status: "ok", found: "--allow-ffi" };
  return { status: "fail", found: "no --allow-ffi", advice: "Run Deno with --allow-ffi" };
}

function lookAtLibc(): Finding {
  const { path, kernel } = systemLibrary(); // throws if it lacks something
  return { status: "ok", found: kernel === undefined ? path : `${path} on kernel ${kernel}` };
}

function lookAtSeals(): Finding {
  if (!sealsHold()) {
    return {
      status: "fail",
      found: "a sealed memory file could be cut short",
      advice: "Use a kernel that keeps seals: this one lets a peer crash the process",
    };
  }
  return { status: "ok", found: "memory files keep their size" };
}

async function lookAtAtomics(): Promise<Finding> {
  if (Deno.permissions.querySync({ name: "run", command: Deno.execPath() }).state !== "granted") return tryOneProcess();
  using counter = IpcArc.create<number>(`doctor-${crypto.randomUUID()}`, 0, { layout: u32 });
  await runPeer(counter);
  const found = counter.atomic.load(), expected = 2 * ADDITIONS;
  if (found === expected) {
    return { status: "ok", found: `two processes added ${expected.toLocaleString("en")} times, none was lost` };
  }
  return {
    status: "fail",
    found: `${expected - found} of ${expected} additions of two processes were lost`,
    advice: "Report this machine: its shared memory is not coherent, so nothing here can work",
  };
}

function tryOneProcess(): Finding {
  if (!mappingsAgree()) return { status: "fail", found: "two mappings of one file differ" };
  return { status: "ok", found: "two mappings agree (--allow-run would try it between two processes)" };
}

async function lookAtChannel(): Promise<Finding> {
  const [sender, receiver] = channel<string>();
  using _sender = sender;
  using _receiver = receiver;
  const begin = performance.now();
  await sender.send("ping");
  const text = await receiver.recv({ timeout: 5000 });
  const microseconds = ((performance.now() - begin) * 1000).toFixed(0);
  return { status: text === "ping" ? "ok" : "fail", found: `one message, ${microseconds} µs for the first` };
}

function lookAtCell(): Finding {
  using cell = IpcArc.create(`doctor-${crypto.randomUUID()}`, 0);
  const value = cell.updateSync((value) => value + 1);
  return { status: value === 1 ? "ok" : "fail", found: "created, locked, changed and removed" };
}

function lookAtSharedMemory(): Finding {
  const space = fileSystemSpace(SHARED_FOLDER);
  if (space === undefined) {
    return {
      status: "warn",
      found: "not there",
      advice: `Mount a tmpfs at ${SHARED_FOLDER}: shared cells live there; channels do without`,
    };
  }
  const found = `${megabytes(space.free)} free of ${megabytes(space.size)}`;
  if (space.free >= ENOUGH_SHARED_MEMORY) return { status: "ok", found };
  return {
    status: "warn",
    found,
    advice: `Enlarge it: "mount -o remount,size=1G ${SHARED_FOLDER}", or "docker run --shm-size=1g" for a container`,
  };
}

function lookAtDescriptors(): Finding {
  const { soft, hard } = descriptorLimit();
  const used = countDescriptors();
  const found = `${used} of ${soft} in use`;
  if (soft >= ENOUGH_DESCRIPTORS) return { status: "ok", found };
  return {
    status: "warn",
    found,
    advice: `A channel takes four in each process: raise the limit, "ulimit -n ${Math.max(hard, ENOUGH_DESCRIPTORS)}"`,
  };
}

function lookAtProc(): Finding {
  if (showsProcesses()) return { status: "ok", found: "shows who is alive" };
  return {
    status: "warn",
    found: "not there",
    advice: "Mount it: without it a thread that died and one with the same number cannot be told apart",
  };
}

function megabytes(bytes: number): string {
  return bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : `${(bytes / 1e6).toFixed(0)} MB`;
}
