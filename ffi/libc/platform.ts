// What differs between operating systems and processors, in one table each.
import { IpcError } from "../../base/error.ts";
import { runtime } from "../runtime/mod.ts";

/** Constants of one operating system on one processor. */
export interface Platform {
  readonly name: string;
  readonly libc: string;
  readonly O_NOFOLLOW: number;
  readonly O_DIRECTORY: number;
  readonly O_TMPFILE: number;
  /** Number of the system call. */
  readonly SYS_futex: number;
  readonly SYS_close_range: bigint;
  /** Bytes of a `pthread_mutex_t`. */
  readonly mutexSize: number;
}

/** Every system and processor that there is a table for. */
export const PLATFORMS: Record<string, Platform> = {
  "linux-x86_64": {
    name: "Linux x86-64",
    libc: "libc.so.6",
    O_NOFOLLOW: 0x20000,
    O_DIRECTORY: 0x10000,
    O_TMPFILE: 0x410000,
    SYS_futex: 202,
    SYS_close_range: 436n,
    mutexSize: 40,
  },
  "linux-aarch64": {
    name: "Linux arm64",
    libc: "libc.so.6",
    O_NOFOLLOW: 0x8000,
    O_DIRECTORY: 0x4000,
    O_TMPFILE: 0x404000,
    SYS_futex: 98,
    SYS_close_range: 436n,
    mutexSize: 48,
  },
};

/** The table of this machine; throws `Unsupported` where there is none. */
export function platform(): Platform {
  const found = PLATFORMS[runtime.target];
  if (found === undefined) {
    const supported = Object.values(PLATFORMS).map((p) => p.name).join(" and ");
    throw new IpcError(
      "Unsupported",
      `Cannot use shared memory on "${runtime.target}": supported are ${supported}`,
    );
  }
  return found;
}

// The same on every Linux: asm-generic values, which x86-64 and arm64 share.

/** `open` flags. */
export const O_RDONLY = 0, O_WRONLY = 1, O_RDWR = 2, O_CREAT = 0o100, O_EXCL = 0o200, O_NONBLOCK = 0o4000;
/** Closed by `exec`. */
export const O_CLOEXEC = 0o2000000;
/** A clock, and flags of a timer that is a descriptor. */
export const CLOCK_MONOTONIC = 1, TFD_NONBLOCK = O_NONBLOCK, TFD_CLOEXEC = O_CLOEXEC;
/** `fcntl` commands. */
export const F_GETFL = 3,
  F_SETFL = 4,
  F_ADD_SEALS = 1033,
  F_GET_SEALS = 1034,
  F_DUPFD_CLOEXEC = 1030,
  F_GETPIPE_SZ = 1032;
/** Seals of a memory file. */
export const F_SEAL_SEAL = 1, F_SEAL_SHRINK = 2, F_SEAL_GROW = 4, F_SEAL_WRITE = 8, F_SEAL_FUTURE_WRITE = 16;
/** `memfd_create` flags. */
export const MFD_CLOEXEC = 1, MFD_ALLOW_SEALING = 2;
/** `mmap` protections and flags. */
export const PROT_NONE = 0, PROT_READ = 1, PROT_WRITE = 2;
/** `mmap` flags. */
export const MAP_SHARED = 1, MAP_PRIVATE = 2, MAP_FIXED = 0x10, MAP_ANONYMOUS = 0x20, MAP_NORESERVE = 0x4000;
/** `fallocate` modes. */
export const FALLOC_FL_KEEP_SIZE = 1, FALLOC_FL_PUNCH_HOLE = 2;
/** `splice` and `vmsplice` flags. */
export const SPLICE_F_NONBLOCK = 2;
/** `lseek` origins. */
export const SEEK_SET = 0, SEEK_END = 2;
/** Socket families and types. */
export const AF_UNIX = 1, SOCK_STREAM = 1, SOCK_SEQPACKET = 5, SOCK_NONBLOCK = O_NONBLOCK, SOCK_CLOEXEC = O_CLOEXEC;
/** Socket options. */
export const SOL_SOCKET = 1, SO_PEERCRED = 17, SCM_RIGHTS = 1, SO_SNDBUF = 7, SO_TYPE = 3, SO_DOMAIN = 39;
/** `sendmsg` and `recvmsg` flags. */
export const SHUT_RD = 0, SIOCOUTQ = 0x5411;
export const MSG_PEEK = 0x2, MSG_DONTWAIT = 0x40, MSG_NOSIGNAL = 0x4000, MSG_CMSG_CLOEXEC = 0x40000000;
/** `recvmsg` result flags. */
export const MSG_TRUNC = 0x20, MSG_CTRUNC = 8;
/** `madvise`: the pages are not needed as they are. */
export const MADV_DONTNEED = 4;
/** `poll` events. */
export const POLLIN = 1, POLLOUT = 4, POLLERR = 8, POLLHUP = 16, POLLNVAL = 32;
/** `fcntl` commands and types of locks on a range of bytes, owned by the open file description. */
export const F_OFD_GETLK = 36, F_OFD_SETLK = 37, F_WRLCK = 1, F_UNLCK = 2;
/** `*at` functions: relative to the working directory; flags. */
export const AT_FDCWD = -100,
  AT_SYMLINK_NOFOLLOW = 0x100,
  AT_SYMLINK_FOLLOW = 0x400,
  AT_EMPTY_PATH = 0x1000,
  AT_STATX_DONT_SYNC = 0x4000;
/** `flock` operations. */
export const LOCK_SH = 1, LOCK_EX = 2, LOCK_NB = 4, LOCK_UN = 8;
/** What `statx` is asked for. */
export const STATX_INO = 0x100, STATX_BLOCKS = 0x400, STATX_BASIC_STATS = 0x7ff;
/** What `getrlimit` is asked for. */
export const RLIMIT_NOFILE = 7;
/** Attributes of mutexes. */
export const PTHREAD_PROCESS_SHARED = 1, PTHREAD_MUTEX_ROBUST = 1, PTHREAD_MUTEX_NORMAL = 0;
/** Futex operations, and what is in the word of one that a mutex locks by; as `linux/futex.h` has it. */
export const FUTEX_WAIT = 0,
  FUTEX_WAKE = 1,
  FUTEX_WAITERS = 0x8000_0000,
  FUTEX_OWNER_DIED = 0x4000_0000,
  FUTEX_TID_MASK = 0x3fff_ffff;

/** Numbers of the errors that the code tells apart. */
export const EPERM = 1,
  ENOENT = 2,
  ESRCH = 3,
  EINTR = 4,
  ENXIO = 6,
  EBADF = 9,
  EAGAIN = 11,
  ENOMEM = 12,
  EACCES = 13,
  EBUSY = 16,
  EEXIST = 17,
  EISDIR = 21,
  EINVAL = 22,
  ENFILE = 23,
  EMFILE = 24,
  EFBIG = 27,
  ENOSPC = 28,
  EPIPE = 32,
  EDEADLK = 35,
  ENAMETOOLONG = 36,
  ELOOP = 40,
  EMSGSIZE = 90,
  EADDRINUSE = 98,
  ECONNABORTED = 103,
  ECONNRESET = 104,
  ENOBUFS = 105,
  ENOTCONN = 107,
  ETOOMANYREFS = 109,
  ETIMEDOUT = 110,
  ECONNREFUSED = 111,
  EOWNERDEAD = 130,
  ENOTRECOVERABLE = 131;

/** What a user reads for an error number: its name, its meaning and, where there is one, a way out. */
const ERRNO_TEXT: Readonly<Record<number, string>> = {
  [EPERM]: "EPERM (operation not permitted)",
  [ENOENT]: "ENOENT (no such file or name)",
  [ESRCH]: "ESRCH (no such process)",
  [EINTR]: "EINTR (interrupted)",
  [EBADF]: "EBADF (not an open descriptor)",
  [EAGAIN]: "EAGAIN (would block)",
  [ENOMEM]: "ENOMEM (out of memory)",
  [EACCES]: "EACCES (permission denied)",
  [EBUSY]: "EBUSY (in use)",
  [EEXIST]: "EEXIST (exists already)",
  [EINVAL]: "EINVAL (invalid argument)",
  [ENFILE]: "ENFILE (too many open files in the system)",
  [EMFILE]: "EMFILE (too many open files in this process; close some or raise the limit, `ulimit -n`)",
  [EFBIG]: "EFBIG (larger than files may be in this process, `ulimit -f`)",
  [ENOSPC]: "ENOSPC (no space left; free some or enlarge the file system)",
  [EPIPE]: "EPIPE (the reader is gone)",
  [EDEADLK]: "EDEADLK (would wait for itself)",
  [ENAMETOOLONG]: "ENAMETOOLONG (name too long)",
  [EMSGSIZE]: "EMSGSIZE (message too long)",
  [EADDRINUSE]: "EADDRINUSE (name in use)",
  [ECONNRESET]: "ECONNRESET (the peer is gone)",
  [ENOBUFS]: "ENOBUFS (no buffer space)",
  [ENOTCONN]: "ENOTCONN (not connected)",
  [ETOOMANYREFS]: "ETOOMANYREFS (too many descriptors in flight; let the receiver take some, or raise `ulimit -n`)",
  [ETIMEDOUT]: "ETIMEDOUT (timed out)",
  [ECONNREFUSED]: "ECONNREFUSED (nobody listens)",
  [EOWNERDEAD]: "EOWNERDEAD (the owner died)",
  [ENOTRECOVERABLE]: "ENOTRECOVERABLE (state not recoverable)",
};

/** The name and meaning of an error number. */
export function errnoText(errno: number): string {
  return ERRNO_TEXT[errno] ?? `errno ${errno}`;
}
