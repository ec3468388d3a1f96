// The symbol table of libc, opened at first use, and the gate that turns `errno` into errors.
import { IpcError, type IpcErrorCode } from "../../base/error.ts";
import { runtime } from "../runtime/mod.ts";
import type { Functions, Signatures } from "../runtime/runtime.ts";
import {
  EACCES,
  ECONNREFUSED,
  ECONNRESET,
  EEXIST,
  EINTR,
  ENOENT,
  EPERM,
  EPIPE,
  errnoText,
  type Platform,
  platform,
} from "./platform.ts";

// The C declaration above each. Results of ssize_t and long are declared as i32 where they fit in one: a bigint result
// is an allocation, and an allocation between the call and the reading of errno may change errno.
const SYMBOLS = {
  // int __cxa_thread_atexit_impl(void (*func)(void *), void *arg, void *dso)
  __cxa_thread_atexit_impl: { parameters: ["pointer", "pointer", "pointer"], result: "i32" },
  // int *__errno_location(void)
  __errno_location: { parameters: [], result: "pointer" },
  // int accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
  accept4: { parameters: ["i32", "pointer", "pointer", "i32"], result: "i32" },
  // int bind(int fd, const struct sockaddr *addr, socklen_t len)
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  // int close(int fd)
  close: { parameters: ["i32"], result: "i32" },
  // int closedir(DIR *dir)
  closedir: { parameters: ["pointer"], result: "i32" },
  // int connect(int fd, const struct sockaddr *addr, socklen_t len)
  connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  // int dup3(int from, int to, int flags)
  dup3: { parameters: ["i32", "i32", "i32"], result: "i32" },
  // int fallocate(int fd, int mode, off_t offset, off_t len)
  fallocate: { parameters: ["i32", "i32", "i64", "i64"], result: "i32" },
  // int fchmod(int fd, mode_t mode)
  fchmod: { parameters: ["i32", "u32"], result: "i32" },
  // int fchown(int fd, uid_t owner, gid_t group)
  fchown: { parameters: ["i32", "i32", "u32"], result: "i32" },
  // int fclose(FILE *file), its address
  fclose: { type: "pointer" },
  fclose_call: { name: "fclose", parameters: ["pointer"], result: "i32" },
  // int fcntl(int fd, int cmd, ... /* int arg */)
  fcntl: { parameters: ["i32", "i32", "i32"], result: "i32" },
  // int fcntl(int fd, int cmd, ... /* struct flock *lock */)
  fcntl_lock: { name: "fcntl", parameters: ["i32", "i32", "buffer"], result: "i32" },
  // int fgetc(FILE *file)
  fgetc: { parameters: ["pointer"], result: "i32" },
  // int flock(int fd, int operation)
  flock: { parameters: ["i32", "i32"], result: "i32" },
  // FILE *fopen(const char *path, const char *mode)
  fopen: { parameters: ["buffer", "buffer"], result: "pointer" },
  // int ftruncate(int fd, off_t length)
  ftruncate: { parameters: ["i32", "i64"], result: "i32" },
  // uid_t geteuid(void)
  geteuid: { parameters: [], result: "u32" },
  // char *getenv(const char *name)
  getenv: { parameters: ["buffer"], result: "pointer" },
  // pid_t getpid(void)
  getpid: { parameters: [], result: "i32" },
  // int getrlimit(int resource, struct rlimit *limit)
  getrlimit: { parameters: ["i32", "buffer"], result: "i32" },
  // int getsockopt(int fd, int level, int name, void *value, socklen_t *len)
  getsockopt: { parameters: ["i32", "i32", "i32", "pointer", "pointer"], result: "i32" },
  // const char *gnu_get_libc_version(void): no other C library has it, and a cell holds a mutex of glibc's
  gnu_get_libc_version: { parameters: [], result: "pointer" },
  // pid_t gettid(void)
  gettid: { parameters: [], result: "i32" },
  // int kill(pid_t pid, int sig)
  kill: { parameters: ["i32", "i32"], result: "i32" },
  // int linkat(int olddir, const char *old, int newdir, const char *new, int flags)
  linkat: { parameters: ["i32", "buffer", "i32", "buffer", "i32"], result: "i32" },
  // int listen(int fd, int backlog)
  listen: { parameters: ["i32", "i32"], result: "i32" },
  // off_t lseek(int fd, off_t offset, int whence)
  lseek: { parameters: ["i32", "i64", "i32"], result: "i64" },
  // int madvise(void *addr, size_t length, int advice)
  madvise: { parameters: ["pointer", "usize", "i32"], result: "i32" },
  // int memcmp(const void *a, const void *b, size_t length)
  memcmp: { parameters: ["buffer", "buffer", "usize"], result: "i32" },
  // int memfd_create(const char *name, unsigned flags)
  memfd_create: { parameters: ["buffer", "u32"], result: "i32" },
  // int mkfifo(const char *path, mode_t mode)
  mkfifo: { parameters: ["buffer", "u32"], result: "i32" },
  // void *mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset)
  mmap: { parameters: ["pointer", "usize", "i32", "i32", "i32", "i64"], result: "pointer" },
  // int munmap(void *addr, size_t length)
  munmap: { parameters: ["pointer", "usize"], result: "i32" },
  // int open(const char *path, int flags, ... /* mode_t mode */)
  open: { parameters: ["buffer", "i32", "u32"], result: "i32" },
  // DIR *opendir(const char *path)
  opendir: { parameters: ["buffer"], result: "pointer" },
  // int pipe2(int fds[2], int flags)
  pipe2: { parameters: ["buffer", "i32"], result: "i32" },
  // int poll(struct pollfd *fds, nfds_t nfds, int timeout)
  poll: { parameters: ["buffer", "usize", "i32"], result: "i32" },
  // close, its address, for calls that wait on another thread
  close_address: { name: "close", type: "pointer" },
  // poll, its address, for calls that wait on another thread
  poll_address: { name: "poll", type: "pointer" },
  // int ppoll(struct pollfd *fds, nfds_t nfds, const struct timespec *timeout, const sigset_t *mask)
  ppoll: { parameters: ["buffer", "usize", "buffer", "pointer"], result: "i32" },
  // ssize_t pread(int fd, void *buf, size_t count, off_t offset)
  pread: { parameters: ["i32", "buffer", "usize", "i64"], result: "i32" },
  // void *pthread_getspecific(pthread_key_t key), as a number
  pthread_getspecific: { parameters: ["u32"], result: "u64" },
  // int pthread_key_create(pthread_key_t *key, void (*destructor)(void *))
  pthread_key_create: { parameters: ["buffer", "pointer"], result: "i32" },
  // int pthread_mutex_consistent(pthread_mutex_t *mutex)
  pthread_mutex_consistent: { parameters: ["pointer"], result: "i32" },
  // int pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attr)
  pthread_mutex_init: { parameters: ["pointer", "buffer"], result: "i32" },
  // int pthread_mutex_trylock(pthread_mutex_t *mutex)
  pthread_mutex_trylock: { parameters: ["pointer"], result: "i32" },
  // int pthread_mutex_unlock(pthread_mutex_t *mutex)
  pthread_mutex_unlock: { parameters: ["pointer"], result: "i32" },
  // int pthread_mutexattr_init(pthread_mutexattr_t *attr)
  pthread_mutexattr_init: { parameters: ["buffer"], result: "i32" },
  // int pthread_mutexattr_setpshared(pthread_mutexattr_t *attr, int pshared)
  pthread_mutexattr_setpshared: { parameters: ["buffer", "i32"], result: "i32" },
  // int pthread_mutexattr_setrobust(pthread_mutexattr_t *attr, int robust)
  pthread_mutexattr_setrobust: { parameters: ["buffer", "i32"], result: "i32" },
  // int pthread_mutexattr_settype(pthread_mutexattr_t *attr, int kind)
  pthread_mutexattr_settype: { parameters: ["buffer", "i32"], result: "i32" },
  // int pthread_setspecific(pthread_key_t key, const void *value), a number
  pthread_setspecific: { parameters: ["u32", "u64"], result: "i32" },
  // ssize_t pwrite(int fd, const void *buf, size_t count, off_t offset)
  pwrite: { parameters: ["i32", "buffer", "usize", "i64"], result: "i32" },
  // ssize_t read(int fd, void *buf, size_t count)
  read: { parameters: ["i32", "buffer", "usize"], result: "i32" },
  // struct dirent *readdir(DIR *dir)
  readdir: { parameters: ["pointer"], result: "pointer" },
  // ssize_t readlink(const char *path, char *buf, size_t size)
  readlink: { parameters: ["buffer", "buffer", "usize"], result: "i32" },
  // ssize_t recv(int fd, void *buf, size_t len, int flags)
  recv: { parameters: ["i32", "buffer", "usize", "i32"], result: "i32" },
  // ssize_t recvmsg(int fd, struct msghdr *msg, int flags)
  recvmsg: { parameters: ["i32", "pointer", "i32"], result: "i32" },
  // int sched_yield(void)
  sched_yield: { parameters: [], result: "i32" },
  // ssize_t send(int fd, const void *buf, size_t len, int flags)
  send: { parameters: ["i32", "buffer", "usize", "i32"], result: "i32" },
  // ssize_t sendmsg(int fd, const struct msghdr *msg, int flags)
  sendmsg: { parameters: ["i32", "pointer", "i32"], result: "i32" },
  // int socket(int domain, int type, int protocol)
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  // int ioctl(int fd, unsigned long request, ... /* int *value */)
  ioctl: { parameters: ["i32", "usize", "buffer"], result: "i32" },
  // int shutdown(int fd, int how)
  shutdown: { parameters: ["i32", "i32"], result: "i32" },
  // int socketpair(int domain, int type, int protocol, int fds[2])
  socketpair: { parameters: ["i32", "i32", "i32", "buffer"], result: "i32" },
  // ssize_t splice(int in, off_t *in_offset, int out, off_t *out_offset, size_t length, unsigned flags)
  splice: { parameters: ["i32", "pointer", "i32", "pointer", "usize", "u32"], result: "i32" },
  // int statvfs(const char *path, struct statvfs *buf)
  statvfs: { parameters: ["buffer", "buffer"], result: "i32" },
  // int statx(int dir, const char *path, int flags, unsigned mask, struct statx *buf)
  statx: { parameters: ["i32", "buffer", "i32", "u32", "buffer"], result: "i32" },
  // long syscall(long number, ... /* futex: uint32_t *word, int op, uint32_t value, struct timespec *, uint32_t *, uint32_t */)
  syscall: { parameters: ["i64", "pointer", "i32", "i32", "buffer", "pointer", "i32"], result: "i32" },
  // long syscall(long number, ... /* close_range: unsigned first, unsigned last, unsigned flags */)
  syscall_close_range: { name: "syscall", parameters: ["i64", "u32", "u32", "u32"], result: "i32" },
  // int tgkill(pid_t tgid, pid_t tid, int sig), in glibc since 2.30
  tgkill: { parameters: ["i32", "i32", "i32"], result: "i32" },
  // int timerfd_create(int clock, int flags)
  timerfd_create: { parameters: ["i32", "i32"], result: "i32" },
  // int timerfd_settime(int fd, int flags, const struct itimerspec *timer, struct itimerspec *before)
  timerfd_settime: { parameters: ["i32", "i32", "buffer", "pointer"], result: "i32" },
  // int unlink(const char *path)
  unlink: { parameters: ["buffer"], result: "i32" },
  // int unlinkat(int dir, const char *path, int flags)
  unlinkat: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  // int usleep(useconds_t microseconds)
  usleep: { parameters: ["u32"], result: "i32" },
  // ssize_t vmsplice(int pipe, const struct iovec *parts, size_t count, unsigned flags)
  vmsplice: { parameters: ["i32", "buffer", "usize", "u32"], result: "i32" },
  // ssize_t write(int fd, const void *buf, size_t count)
  write: { parameters: ["i32", "buffer", "usize"], result: "i32" },
} as const satisfies Signatures;

type Symbols = Functions<typeof SYMBOLS>;

/** libc as this isolate sees it. */
export interface Libc {
  /** The functions, by their C names. */
  readonly c: Symbols;
  /** `errno` of this thread. Read it in the very next expression: garbage collection may change it. */
  readonly errnoCell: Int32Array;
  /** The constants of this machine. */
  readonly platform: Platform;
}

let opened: Libc | undefined;

/**
 * Looks libc's functions up at the first call; they serve for the isolate's life.
 *
 * @throws {IpcError} `Permission` without `--allow-ffi`, `Unsupported` on another platform.
 */
export function libc(): Libc {
  return opened ??= open();
}

function open(): Libc {
  const table = platform();
  let c: Symbols;
  try {
    c = runtime.bind(table.libc, SYMBOLS);
  } catch (cause) {
    if (cause instanceof IpcError) throw cause;
    throw new IpcError(
      "Unsupported",
      `Cannot open "${table.libc}" with all it needs: ${(cause as Error).message}; glibc 2.30 or later is needed`,
      { cause },
    );
  }
  // One location a thread, and an isolate stays on its thread.
  const errnoCell = new Int32Array(runtime.memoryAt(c.__errno_location()!, 4));
  return { c, errnoCell, platform: table };
}

/** Which code of {@linkcode IpcError} an error number stands for where the caller knows nothing better. */
function codeOf(errno: number): IpcErrorCode {
  switch (errno) {
    case EACCES:
    case EPERM:
      return "Permission";
    case ENOENT:
      return "NotFound";
    case EEXIST:
      return "AlreadyExists";
    case EPIPE:
    case ECONNRESET:
    case ECONNREFUSED:
      return "Disconnected";
    default:
      return "System";
  }
}

/** The error for a failed call: `what` is what was tried ("Cannot create a pipe"). */
export function systemError(what: string, syscall: string, errno: number): IpcError {
  return new IpcError(codeOf(errno), `${what}: ${syscall} failed with ${errnoText(errno)}`, { errno, syscall });
}

/**
 * The gate: a result below zero becomes an error. Call it with `errno` read at once:
 * `check(c.listen(fd, 1), errnoCell[0]!, "listen", "Cannot listen")`; arguments are evaluated left to right, with
 * nothing between the call and the read that could collect garbage.
 */
export function check(result: number, errno: number, syscall: string, what: string): number {
  if (result < 0) throw systemError(what, syscall, errno);
  return result;
}

/** Whether a call must be made again because a signal came in between. */
export function interrupted(result: number, errno: number): boolean {
  return result < 0 && errno === EINTR;
}

/** A C string. Throws `TypeError` where the text holds a NUL, which C would take for its end. */
export function cString(text: string): Uint8Array<ArrayBuffer> {
  if (text.includes("\0")) {
    throw new TypeError(`Cannot use ${JSON.stringify(text)} as a name: it contains a NUL character`);
  }
  return new TextEncoder().encode(text + "\0");
}
