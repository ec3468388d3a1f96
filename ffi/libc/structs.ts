// Where the parts of C's structures lie, by their C names, in bytes. Only those that are looked at. x86-64 and arm64
// agree about all of them, as 64-bit Linux with glibc does; a test asks a C compiler for each processor.

/** What `sendmsg` and `recvmsg` take. */
export const MSGHDR = {
  struct: "msghdr",
  size: 56,
  msg_iov: 16,
  msg_iovlen: 24,
  msg_control: 32,
  msg_controllen: 40,
  msg_flags: 48,
} as const;

/** One run of bytes of a message. */
export const IOVEC = { struct: "iovec", size: 16, iov_base: 0, iov_len: 8 } as const;

/** What stands before the descriptors that a message carries. */
export const CMSGHDR = {
  struct: "cmsghdr",
  size: 16,
  cmsg_len: 0,
  cmsg_level: 8,
  cmsg_type: 12,
} as const;

/** What `statx` finds out. */
export const STATX = {
  struct: "statx",
  size: 256,
  stx_uid: 20,
  stx_gid: 24,
  stx_mode: 28,
  stx_ino: 32,
  stx_size: 40,
  stx_blocks: 48,
  stx_dev_major: 136,
  stx_dev_minor: 140,
} as const;

/** What `statvfs` finds out. */
export const STATVFS = {
  struct: "statvfs",
  size: 112,
  f_frsize: 8,
  f_blocks: 16,
  f_bavail: 32,
} as const;

/** What `getrlimit` finds out. */
export const RLIMIT = { struct: "rlimit", size: 16, rlim_cur: 0, rlim_max: 8 } as const;

/** A lock on a range of bytes. */
export const FLOCK = {
  struct: "flock",
  size: 32,
  l_type: 0,
  l_whence: 2,
  l_start: 8,
  l_len: 16,
  l_pid: 24,
} as const;

/** Who is at the other end of a socket. */
export const UCRED = { struct: "ucred", size: 12, pid: 0, uid: 4, gid: 8 } as const;

/** The address of a Unix socket. */
export const SOCKADDR_UN = {
  struct: "sockaddr_un",
  size: 110,
  sun_family: 0,
  sun_path: 2,
} as const;

/** An entry of a folder. */
export const DIRENT = { struct: "dirent", size: 280, d_name: 19 } as const;

/** `FILE`, as glibc has it. */
export const IO_FILE = { struct: "_IO_FILE", size: 216, _IO_buf_base: 56, _IO_buf_end: 64, _fileno: 112 } as const;
