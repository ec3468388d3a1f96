/* isthmus.h: channels and cells that C and C++ programs share with Deno, Node.js, Bun and Python on one machine.
 *
 * One header for Linux, x86-64 and arm64, that needs libc alone. In ONE source file, before any other include:
 *
 *   #define ISTHMUS_IMPLEMENTATION
 *   #include "isthmus.h"
 *
 * and in all others the include alone. That one file is compiled as C (C11) or C++ (C++11), by gcc or clang, with
 * -pthread. Memory formats and protocols: docs/protocol.md.
 *
 * Every function returns ISTHMUS_OK or an error, and isthmus_message() says in words what happened. A handle is used by
 * one thread at a time. A process's handles are owned in the name of its main thread, which must not end before they are
 * closed; a child made by fork() must not use its parent's. No signal is raised: SIGPIPE is kept back.
 *
 * Time-outs are milliseconds: -1 waits as long as it takes, 0 not at all. Sizes are bytes. An `options` that is NULL, and
 * every field of it that is 0, means the default. */
#ifndef ISTHMUS_H
#define ISTHMUS_H

#if defined(ISTHMUS_IMPLEMENTATION) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a function says. The numbers stay as they are in later versions. */
typedef enum isthmus_error {
  ISTHMUS_OK = 0,
  ISTHMUS_TIMEOUT = 1,        /* the time was over; with 0, there was nothing to be had at once */
  ISTHMUS_DISCONNECTED = 2,   /* the other end is gone, and all that it sent was received */
  ISTHMUS_INVALID = 3,        /* an argument makes no sense */
  ISTHMUS_NOT_FOUND = 4,      /* nobody listens there; there is no such cell */
  ISTHMUS_ALREADY_EXISTS = 5, /* the channel has a receiver, or the name a cell */
  ISTHMUS_INCOMPATIBLE = 6,   /* something else, or of another format */
  ISTHMUS_CORRUPT = 7,        /* what no honest peer writes */
  ISTHMUS_PERMISSION = 8,     /* of a user who is not trusted */
  ISTHMUS_TOO_LARGE = 9,      /* larger than the channel, the cell, or the limit */
  ISTHMUS_TOO_SMALL = 10,     /* the buffer is too small; nothing was taken, and the length was stored */
  ISTHMUS_DEADLOCK = 11,      /* this thread has the lock already */
  ISTHMUS_NOT_LOCKED = 12,    /* this handle does not have the lock */
  ISTHMUS_UNSUPPORTED = 13,   /* not with this C library, or kernel */
  ISTHMUS_SYSTEM = 14         /* a system call failed: isthmus_errno() */
} isthmus_error;

/* The name of an error, as in the other languages: "Timeout". */
const char *isthmus_error_name(isthmus_error error);

/* What the last error of this thread was, in words. Stays as it is until the next one. */
const char *isthmus_message(void);

/* The errno of the last error of this thread; 0 if no system call had to do with it. */
int isthmus_errno(void);

/* --- Channels ---------------------------------------------------------------------------------------------------- */

typedef struct isthmus_sender isthmus_sender;
typedef struct isthmus_receiver isthmus_receiver;

typedef struct isthmus_options {
  size_t capacity;        /* bytes that can wait, if the channel is made here: 65536 to 2^30; 4 MiB by default */
  unsigned mode;          /* permission bits, if it is made here; 0600 by default */
  int trust_anyone;       /* 1: channels of all users; by default those of this user and root */
  const uid_t *trust;     /* other users that are trusted as well */
  size_t trust_count;     /* how many */
  size_t most_bytes;      /* longer messages are ISTHMUS_TOO_LARGE when they are received, and dropped */
} isthmus_options;

/* A sending end of the channel at a path, which is made if there is none. A channel has any number of them. */
isthmus_error isthmus_sender_open(const char *path, const isthmus_options *options, isthmus_sender **sender);

/* The receiving end, of which there is one at a time. One that is started again, after it was closed or killed, goes on
 * with the next message. */
isthmus_error isthmus_receiver_open(const char *path, const isthmus_options *options, isthmus_receiver **receiver);

/* Closing NULL does nothing. A receiver that leaves a named channel empty, as the last one
 * attached, removes it. All loans and borrowed messages end. */
void isthmus_sender_close(isthmus_sender *sender);
void isthmus_receiver_close(isthmus_receiver *receiver);

/* Sends a message; waits for room. The bytes are the caller's again when it returns. */
isthmus_error isthmus_send(isthmus_sender *sender, const void *data, size_t length, int timeout_ms);

/* Bytes that the channel holds. */
size_t isthmus_capacity(const isthmus_sender *sender);

/* A message that is written in place. */
typedef struct isthmus_loan {
  void *data;      /* to be written to until it is committed or given up */
  size_t length;   /* as reserved */
  uint32_t private_[4];
} isthmus_loan;

/* Claims room for a message of up to so many bytes, at most the channel's capacity. Other messages may be sent meanwhile;
 * they come behind this one. */
isthmus_error isthmus_reserve(isthmus_sender *sender, size_t length, isthmus_loan *loan, int timeout_ms);

/* Sends the first so many bytes of a loan. */
isthmus_error isthmus_commit(isthmus_sender *sender, isthmus_loan *loan, size_t length);

/* Gives a loan up: nothing is sent. */
void isthmus_cancel(isthmus_sender *sender, isthmus_loan *loan);

/* Receives the next message into a buffer of `size` bytes. ISTHMUS_TOO_SMALL stores the length that is needed and leaves
 * the message where it is. Descriptors that came with a message are closed. */
isthmus_error isthmus_receive(isthmus_receiver *receiver, void *buffer, size_t size, size_t *length, int timeout_ms);

/* Waits until there is a message, and says how long it is; it is not taken. `length` may be NULL. */
isthmus_error isthmus_wait(isthmus_receiver *receiver, size_t *length, int timeout_ms);

/* A message in the channel's own memory. */
typedef struct isthmus_borrowed {
  const void *data;
  size_t length;
  void *private_;
} isthmus_borrowed;

/* Receives the next message without a copy. Others may be received and borrowed before it is given back, in any order.
 * The memory is shared: a peer that misbehaves may change it, so look at each byte once. */
isthmus_error isthmus_borrow(isthmus_receiver *receiver, isthmus_borrowed *message, int timeout_ms);

/* Gives a borrowed message back; its room is the senders' again. */
void isthmus_give_back(isthmus_receiver *receiver, isthmus_borrowed *message);

/* For programs with an event loop of their own: watch *fd for input, and after *timeout_ms (-1: no need) or the event call
 * isthmus_disarm() and receive with a time-out of 0 until there is nothing. ISTHMUS_OK: there is a message already, do not
 * wait; ISTHMUS_TIMEOUT: wait. */
isthmus_error isthmus_arm(isthmus_receiver *receiver, int *fd, int *timeout_ms);
void isthmus_disarm(isthmus_receiver *receiver);

/* Connects to a server (IpcServer, or IpcBytesServer) by its name or path: a channel each way. Does not wait for it to
 * accept. Messages of any size may be sent: what does not fit into the channel goes beside it. Of an IpcServer they are
 * CBOR, which this header neither writes nor reads. */
isthmus_error isthmus_connect(const char *name, const isthmus_options *options, isthmus_sender **sender,
                              isthmus_receiver **receiver);

/* The same with the program that started this one by spawn(), once and early: it waits. */
isthmus_error isthmus_parent(isthmus_sender **sender, isthmus_receiver **receiver);

/* --- Cells ------------------------------------------------------------------------------------------------------- */

typedef struct isthmus_cell isthmus_cell;
typedef struct isthmus_watch isthmus_watch;

typedef struct isthmus_cell_options {
  const char *layout;     /* "u32", "[3]f64", "{\"x\":f64,\"y\":f64}": as C lays it out; NULL: CBOR bytes */
  size_t capacity;        /* of a cell without a layout, if it is made here: most bytes of a value; 65536 by default */
  unsigned mode;          /* permission bits, if it is made here; 0600 by default */
  int trust_anyone;       /* as for channels */
  const uid_t *trust;
  size_t trust_count;
} isthmus_cell_options;

/* Makes a cell with its first value. With a layout, `length` is that of the layout. */
isthmus_error isthmus_cell_create(const char *name, const isthmus_cell_options *options, const void *value,
                                  size_t length, isthmus_cell **cell);

/* Attaches to a cell. Without a layout, it may have any: isthmus_cell_layout() says which. */
isthmus_error isthmus_cell_load(const char *name, const isthmus_cell_options *options, isthmus_cell **cell);

/* Does what is needed. A cell that exists keeps its value. */
isthmus_error isthmus_cell_open(const char *name, const isthmus_cell_options *options, const void *value, size_t length,
                                isthmus_cell **cell);

/* Ends the attachment, and gives the lock back. The last one to close a cell removes it. */
void isthmus_cell_close(isthmus_cell *cell);

const char *isthmus_cell_layout(const isthmus_cell *cell); /* "" of CBOR */
size_t isthmus_cell_capacity(const isthmus_cell *cell);    /* most bytes of a value */
size_t isthmus_cell_holders(const isthmus_cell *cell);     /* attachments that live, in all processes */

/* The value as it was at one moment; takes no lock and waits for nobody. */
isthmus_error isthmus_cell_read(isthmus_cell *cell, void *buffer, size_t size, size_t *length);

/* Takes the lock. *owner_died (which may be NULL) is 1 if the one who had it before died with it, or did not finish its
 * write; the value is the last whole one. The thread that locks unlocks. */
isthmus_error isthmus_cell_lock(isthmus_cell *cell, int *owner_died, int timeout_ms);
isthmus_error isthmus_cell_unlock(isthmus_cell *cell);

/* Stores a value, under the lock: whole or, if this process dies meanwhile, not at all. */
isthmus_error isthmus_cell_write(isthmus_cell *cell, const void *value, size_t length);

/* Atomic operations on a cell with the layout u32, i32, u64 or i64, without the lock. *before (which may be NULL) is what
 * it was. Results wrap around. */
typedef enum isthmus_operation {
  ISTHMUS_LOAD, ISTHMUS_EXCHANGE, ISTHMUS_ADD, ISTHMUS_SUB, ISTHMUS_AND, ISTHMUS_OR, ISTHMUS_XOR
} isthmus_operation;
isthmus_error isthmus_cell_atomic(isthmus_cell *cell, isthmus_operation operation, uint64_t operand, uint64_t *before);
isthmus_error isthmus_cell_compare_exchange(isthmus_cell *cell, uint64_t expected, uint64_t replacement,
                                            uint64_t *before);

/* Follows a cell: each call waits for a value that differs from the one before. May skip some, never the last one. */
isthmus_error isthmus_watch_open(isthmus_cell *cell, isthmus_watch **watch);
isthmus_error isthmus_watch_next(isthmus_watch *watch, void *buffer, size_t size, size_t *length, int timeout_ms);
void isthmus_watch_close(isthmus_watch *watch);

#ifdef __cplusplus
}
#endif

#endif /* ISTHMUS_H */

/* ================================================================================================================= */

#if defined(ISTHMUS_IMPLEMENTATION) && !defined(ISTHMUS_IMPLEMENTED)
#define ISTHMUS_IMPLEMENTED

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include <dirent.h>

#if !defined(__linux__) || !(defined(__x86_64__) || defined(__aarch64__)) || !defined(__LP64__)
#error "isthmus.h runs on Linux, x86-64 and arm64, in 64-bit programs"
#endif
#if !defined(F_OFD_SETLK) || !defined(O_TMPFILE)
#error "include isthmus.h before all others, or compile with -D_GNU_SOURCE"
#endif
#if defined(__has_feature)
#define ISTH__THREAD_SANITIZER __has_feature(thread_sanitizer)
#endif
#ifndef F_ADD_SEALS
#define F_ADD_SEALS 1033
#define F_GET_SEALS 1034
#endif

/* Offsets of the ring are in 32-bit words, as in channel/ring/layout.ts. */
enum {
  ISTH__VERSION = 2, ISTH__BLOCK = 64,
  ISTH__W_NAMESPACE = 4, ISTH__W_TRIMS = 5, ISTH__W_TAIL = 16, ISTH__W_HEAD = 32, ISTH__W_BELL = 48, ISTH__W_SPACE = 64,
  ISTH__W_CONSUMER = 80, ISTH__W_READ = 84, ISTH__W_GAPS = 96, ISTH__W_GAP_LOG = 112, ISTH__LOGGED_GAPS = 16, ISTH__W_SLOTS = 1024, ISTH__SLOTS = 1024, ISTH__SLOT_WORDS = 16,
  ISTH__W_COMMIT = ISTH__W_SLOTS + ISTH__SLOTS * ISTH__SLOT_WORDS,
  ISTH__ID_TID = 0, ISTH__ID_START = 1, ISTH__ID_NAMESPACE = 2, ISTH__ID_PID = 3, ISTH__ID_LOCK = 7,
  ISTH__CLAIM_POSITION = 4, ISTH__CLAIM_BLOCKS = 5, ISTH__SLOT_COUNTER = 6,
  ISTH__EXTENDED = 32, ISTH__WITH_FDS = 1, ISTH__OUTSIDE = 2,
  ISTH__WARM = (256 << 10) / 64, ISTH__CHUNK = (64 << 10) / 64,
  ISTH__MOST_FDS = 1 << 16, ISTH__PACKET_FDS = 253, ISTH__MOST_BELLS = 256,
  ISTH__SEALS = 1 | 2 | 4, ISTH__SEAL_WRITE = 8
};
#define ISTH__CLOSED 0xFFFFFFFFu
#define ISTH__FOREVER INT64_MAX
#define ISTH__FULL UINT32_MAX
#define ISTH__LARGE ((uint64_t)1 << 20)

/* --- Errors ------------------------------------------------------------------------------------------------------ */

static __thread char isth__text[512];
static __thread const char *isth__said = "no error";
static __thread int isth__number;

/* Messages that need no formatting: these are said on paths that are taken often. */
static isthmus_error isth__say(isthmus_error error, const char *text) {
  isth__said = text;
  isth__number = 0;
  return error;
}

__attribute__((format(printf, 2, 3))) static isthmus_error isth__fail(isthmus_error error, const char *format, ...) {
  va_list list;
  va_start(list, format);
  vsnprintf(isth__text, sizeof isth__text, format, list);
  va_end(list);
  isth__said = isth__text;
  isth__number = 0;
  return error;
}

__attribute__((format(printf, 1, 2))) static isthmus_error isth__system(const char *format, ...) {
  int number = errno;
  va_list list;
  va_start(list, format);
  int length = vsnprintf(isth__text, sizeof isth__text, format, list);
  va_end(list);
  size_t at = length < 0 ? 0 : (size_t)length < sizeof isth__text ? (size_t)length : sizeof isth__text - 1;
  snprintf(isth__text + at, sizeof isth__text - at, ": %s", strerror(number));
  isth__said = isth__text;
  isth__number = number;
  if (number == EACCES || number == EPERM) return ISTHMUS_PERMISSION;
  return ISTHMUS_SYSTEM;
}

const char *isthmus_error_name(isthmus_error error) {
  switch (error) {
    case ISTHMUS_OK: return "OK";
    case ISTHMUS_TIMEOUT: return "Timeout";
    case ISTHMUS_DISCONNECTED: return "Disconnected";
    case ISTHMUS_INVALID: return "Invalid";
    case ISTHMUS_NOT_FOUND: return "NotFound";
    case ISTHMUS_ALREADY_EXISTS: return "AlreadyExists";
    case ISTHMUS_INCOMPATIBLE: return "Incompatible";
    case ISTHMUS_CORRUPT: return "Corrupt";
    case ISTHMUS_PERMISSION: return "Permission";
    case ISTHMUS_TOO_LARGE: return "TooLarge";
    case ISTHMUS_TOO_SMALL: return "TooSmall";
    case ISTHMUS_DEADLOCK: return "Deadlock";
    case ISTHMUS_NOT_LOCKED: return "NotLocked";
    case ISTHMUS_UNSUPPORTED: return "Unsupported";
    case ISTHMUS_SYSTEM: return "System";
  }
  return "Unknown";
}

const char *isthmus_message(void) { return isth__said; }
int isthmus_errno(void) { return isth__number; }

/* --- Memory that is shared --------------------------------------------------------------------------------------- */

static inline uint32_t isth__load(const uint32_t *at) { return __atomic_load_n(at, __ATOMIC_SEQ_CST); }
static inline void isth__store(uint32_t *at, uint32_t value) { __atomic_store_n(at, value, __ATOMIC_SEQ_CST); }
/* For what only one side writes, and a sequentially consistent access follows. */
static inline void isth__put(uint32_t *at, uint32_t value) { __atomic_store_n(at, value, __ATOMIC_RELEASE); }
static inline uint32_t isth__swap(uint32_t *at, uint32_t expected, uint32_t value) {
  __atomic_compare_exchange_n(at, &expected, value, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
  return expected;
}
static inline uint32_t isth__add(uint32_t *at, uint32_t value) {
  return __atomic_fetch_add(at, value, __ATOMIC_SEQ_CST);
}

/* A full barrier. ThreadSanitizer does not know the instruction, but an exchange, which is one as well. */
static inline void isth__fence(void) {
#if defined(__SANITIZE_THREAD__) || (defined(__has_feature) && ISTH__THREAD_SANITIZER)
  uint32_t word = 0;
  __atomic_exchange_n(&word, 1, __ATOMIC_SEQ_CST);
#else
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}

static inline void isth__breath(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  __asm__ volatile("yield");
#endif
}

static int64_t isth__now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t isth__deadline(int timeout_ms) {
  return timeout_ms < 0 ? ISTH__FOREVER : isth__now() + (int64_t)timeout_ms * 1000000;
}

/* Sleeps until something of a descriptor, or the time is over (0). A negative descriptor is a sleep. */
static int isth__poll(int fd, short events, int64_t deadline) {
  for (;;) {
    struct pollfd one;
    one.fd = fd;
    one.events = events;
    one.revents = 0;
    struct timespec span, *limit = NULL;
    if (deadline != ISTH__FOREVER) {
      int64_t left = deadline == 0 ? 0 : deadline - isth__now();
      if (left < 0) left = 0;
      span.tv_sec = (time_t)(left / 1000000000);
      span.tv_nsec = (long)(left % 1000000000);
      limit = &span;
    }
    int found = ppoll(&one, 1, limit, NULL);
    if (found < 0 && errno == EINTR) continue;
    return found > 0 ? one.revents : 0;
  }
}

/* Writes a byte that means "look"; 0 if nobody listens any more. A full pipe counts as rung. `quiet`: this process holds
 * the other end as well, so there is no SIGPIPE to be kept back. */
static int isth__ring_bell(int fd, int quiet) {
  sigset_t pipe_signal, before, pending;
  int was_pending = 0;
  if (!quiet) {
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    sigpending(&pending);
    was_pending = sigismember(&pending, SIGPIPE) == 1;
    pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
  }
  ssize_t wrote;
  do wrote = write(fd, "\1", 1);
  while (wrote < 0 && errno == EINTR);
  int heard = wrote == 1 || errno == EAGAIN;
  if (!quiet) {
    if (wrote < 0 && errno == EPIPE && !was_pending) {
      struct timespec none;
      none.tv_sec = 0;
      none.tv_nsec = 0;
      while (sigtimedwait(&pipe_signal, NULL, &none) < 0 && errno == EINTR) {
      }
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
  }
  return heard;
}

/* Takes the bytes out that ringers left; a peer may write all the time. */
static void isth__drain_bell(int fd) {
  char bytes[4096];
  for (int i = 0; i < 16; i++) {
    ssize_t got = read(fd, bytes, sizeof bytes);
    if (got < 0 && errno == EINTR) continue;
    if (got < (ssize_t)sizeof bytes) return;
  }
}

static int isth__allocate(int fd, off_t at, off_t length) {
  int failed;
  do failed = fallocate(fd, 0, at, length);
  while (failed < 0 && errno == EINTR);
  return failed;
}

static int isth__lock_file(int fd, int how) {
  int failed;
  do failed = flock(fd, how | LOCK_NB);
  while (failed < 0 && errno == EINTR);
  return failed == 0;
}

static int isth__byte(int fd, int command, short type, off_t at, off_t length, struct flock *lock) {
  memset(lock, 0, sizeof *lock);
  lock->l_type = type;
  lock->l_whence = SEEK_SET;
  lock->l_start = at;
  lock->l_len = length;
  return fcntl(fd, command, lock);
}

static int isth__lock_byte(int fd, off_t at) {
  struct flock lock;
  return isth__byte(fd, F_OFD_SETLK, F_WRLCK, at, 1, &lock) == 0;
}

static void isth__unlock_byte(int fd, off_t at) {
  struct flock lock;
  isth__byte(fd, F_OFD_SETLK, F_UNLCK, at, 1, &lock);
}

/* Whether another open file has the byte; 1 if that cannot be told. */
static int isth__is_locked(int fd, off_t at) {
  struct flock lock;
  return isth__byte(fd, F_OFD_GETLK, F_WRLCK, at, 1, &lock) != 0 || lock.l_type != F_UNLCK;
}

static int isth__reopen(int fd, int flags) {
  char path[40];
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  return open(path, flags | O_CLOEXEC | O_NONBLOCK);
}

static int isth__memory_file(const char *label) {
  return (int)syscall(SYS_memfd_create, label, 1u | 2u); /* close on exec, seals allowed */
}

static int isth__is_at(const char *path, int fd) {
  struct stat there, own;
  return lstat(path, &there) == 0 && fstat(fd, &own) == 0 && there.st_ino == own.st_ino && there.st_dev == own.st_dev;
}

/* Gives a file without a name one. */
static int isth__publish(int fd, const char *path) {
  char source[40];
  snprintf(source, sizeof source, "/proc/self/fd/%d", fd);
  return linkat(AT_FDCWD, source, AT_FDCWD, path, AT_SYMLINK_FOLLOW);
}

static char *isth__join(const char *one, const char *two) {
  size_t length = strlen(one) + strlen(two) + 1;
  char *text = (char *)malloc(length);
  if (text != NULL) snprintf(text, length, "%s%s", one, two);
  return text;
}

static void isth__close_all(const int *fds, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (fds[i] >= 0) close(fds[i]);
}

/* --- Who this process is, and whether others live ---------------------------------------------------------------- */

typedef struct {
  uint32_t tid, start, space;
} isth__identity;

static uint32_t isth__inode(const char *path) {
  struct stat found;
  return stat(path, &found) == 0 ? (uint32_t)found.st_ino : 0;
}

/* Whether a thread lives: 0 or 1. *start is when it was started, 0 if that cannot be told. */
static int isth__start_of(uint32_t tid, uint32_t *start) {
  char path[64], text[1024];
  *start = 0;
  snprintf(path, sizeof path, "/proc/%u/task/%u/stat", tid, tid);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
  if (fd >= 0) close(fd);
  if (length <= 0) return !(kill((pid_t)tid, 0) < 0 && errno == ESRCH); /* /proc may be hidden, or not there */
  text[length] = 0;
  char *rest = strrchr(text, ')'); /* the name before may hold spaces and brackets */
  if (rest == NULL || rest[1] == 0) return 1;
  rest += 2;
  if (*rest == 'Z' || *rest == 'X' || *rest == 'x') return 0;
  for (int field = 3; field < 22 && rest != NULL; field++) {
    rest = strchr(rest, ' ');
    if (rest != NULL) rest++;
  }
  if (rest != NULL) *start = (uint32_t)strtoull(rest, NULL, 10);
  return 1;
}

/* The main thread of this process. */
static isth__identity isth__self(void) {
  isth__identity own;
  char link[32];
  own.tid = (uint32_t)getpid();
  own.start = own.space = 0;
  ssize_t length = readlink("/proc/self", link, sizeof link - 1);
  if (length <= 0) return own;
  link[length] = 0;
  /* In another PID namespace's /proc, our numbers are those of other threads. */
  if (strtoul(link, NULL, 10) != own.tid) return own;
  uint32_t pids = isth__inode("/proc/self/ns/pid"), times = isth__inode("/proc/self/ns/time");
  own.space = pids == 0 || times == 0 || times == 0xEFFFFFFAu ? pids : (pids ^ times) * 0x9E3779B1u;
  if (own.space != 0) isth__start_of(own.tid, &own.start);
  return own;
}

/* Whether a thread lives; 1 if that cannot be told. */
static int isth__alive(const isth__identity *own, uint32_t tid, uint32_t start, uint32_t space) {
  uint32_t found;
  if (tid == 0 || tid >> 31 || own->space == 0 || space != own->space) return 1;
  if (!isth__start_of(tid, &found)) return 0;
  return found == 0 || start == 0 || found == start;
}

/* --- Whose files are used ---------------------------------------------------------------------------------------- */

typedef struct {
  unsigned mode;
  int anyone;
  const uid_t *users;
  size_t count;
} isth__trust;

static isthmus_error isth__check_owner(const isth__trust *trust, int fd, const char *path) {
  struct stat found;
  if (fstat(fd, &found) < 0) return isth__system("Cannot open \"%s\"", path);
  if (trust->anyone) return ISTHMUS_OK;
  int known = found.st_uid == 0 || found.st_uid == geteuid();
  for (size_t i = 0; i < trust->count && !known; i++) known = found.st_uid == trust->users[i];
  if (!known)
    return isth__fail(ISTHMUS_PERMISSION, "Cannot open \"%s\": it belongs to user %u; name whom you trust", path,
                      (unsigned)found.st_uid);
  if (found.st_mode & 022 & ~trust->mode)
    return isth__fail(ISTHMUS_PERMISSION, "Cannot open \"%s\": others may write to it (mode 0%o); give the same mode if "
                      "that is meant", path, (unsigned)found.st_mode & 0777);
  return ISTHMUS_OK;
}

/* --- The ring's memory ------------------------------------------------------------------------------------------- */

typedef struct {
  int fd;              /* has no locks */
  int lock;            /* an open file of this attachment alone, for locks; -1 if there is none yet */
  int bell, room;      /* the doorbell; of a named ring, the bell of those who wait for room, else the socket */
  char *path;          /* of a named ring */
  uint32_t blocks, mask;
  unsigned char *base, *data;
  size_t mapped;
  uint32_t *words, *commits;
  isth__identity own;
} isth__ring;

static uint64_t isth__data_offset(uint32_t blocks) {
  return ((uint64_t)ISTH__W_COMMIT * 4 + (uint64_t)blocks * 4 + 65535) / 65536 * 65536;
}

static uint64_t isth__ring_size(uint32_t blocks) { return isth__data_offset(blocks) + (uint64_t)blocks * ISTH__BLOCK; }

static inline uint32_t isth__blocks_for(size_t length) {
  return length == 0 ? 1 : (uint32_t)((length + 63) >> 6);
}

static inline uint32_t isth__padding(uint32_t blocks) { return (uint32_t)0 - (2 * blocks + 1); }

static isthmus_error isth__blocks_of(size_t capacity, uint32_t *blocks) {
  if (capacity == 0) capacity = 4u << 20;
  if (capacity > (size_t)1 << 30)
    return isth__fail(ISTHMUS_INVALID, "Cannot make a channel with a capacity of %zu bytes: the most is 2^30", capacity);
  uint32_t most = 1024;
  while ((size_t)most * ISTH__BLOCK < capacity) most *= 2;
  *blocks = most;
  return ISTHMUS_OK;
}

/* The head of the file, and its data twice in a row, so that every record is contiguous. */
static isthmus_error isth__map_ring(isth__ring *ring, uint32_t blocks) {
  size_t head = (size_t)isth__data_offset(blocks), data = (size_t)blocks * ISTH__BLOCK;
  ring->mapped = head + 2 * data;
  void *all = mmap(NULL, ring->mapped, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (all == MAP_FAILED) return isth__system("Cannot map %zu bytes", ring->mapped);
  unsigned char *base = (unsigned char *)all;
  if (mmap(base, head + data, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, ring->fd, 0) == MAP_FAILED ||
      mmap(base + head + data, data, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, ring->fd, (off_t)head) ==
        MAP_FAILED) {
    isthmus_error error = isth__system("Cannot map %zu bytes", ring->mapped);
    munmap(all, ring->mapped);
    return error;
  }
  ring->base = base;
  ring->data = base + head;
  ring->words = (uint32_t *)all;
  ring->commits = ring->words + ISTH__W_COMMIT;
  ring->blocks = blocks;
  ring->mask = blocks - 1;
  return ISTHMUS_OK;
}

static void isth__write_header(uint32_t *words, uint32_t blocks, uint32_t space) {
  memcpy(words, "ISTHRING", 8);
  words[2] = ISTH__VERSION;
  words[3] = blocks;
  words[4] = space;
}

/* Checks the size and the header of a ring in a file, by copies of its own, and maps it. */
static isthmus_error isth__attach_ring(isth__ring *ring, const char *path) {
  struct stat found;
  uint32_t header[4], blocks = 1024;
  if (fstat(ring->fd, &found) < 0) return isth__system("Cannot open \"%s\"", path);
  while (blocks <= 1u << 24 && isth__ring_size(blocks) != (uint64_t)found.st_size) blocks *= 2;
  if (blocks > 1u << 24 || pread(ring->fd, header, sizeof header, 0) != (ssize_t)sizeof header ||
      memcmp(header, "ISTHRING", 8) != 0)
    return isth__fail(ISTHMUS_INCOMPATIBLE, "Cannot open \"%s\": the file is not a channel", path);
  if (header[2] != ISTH__VERSION)
    return isth__fail(ISTHMUS_INCOMPATIBLE, "Cannot open \"%s\": it has format %u, and this header knows format %u", path,
                      header[2], (unsigned)ISTH__VERSION);
  if (header[3] != blocks)
    return isth__fail(ISTHMUS_INCOMPATIBLE, "Cannot open \"%s\": its header says %u blocks, its size says %u", path,
                      header[3], blocks);
  isthmus_error error = isth__map_ring(ring, blocks);
  if (error == ISTHMUS_OK && isth__load(ring->words + ISTH__W_NAMESPACE) != ring->own.space)
    isth__store(ring->words + ISTH__W_NAMESPACE, 0); /* who looks at this from now on holds locks */
  return error;
}

static void isth__close_ring(isth__ring *ring) {
  int fds[4];
  fds[0] = ring->fd, fds[1] = ring->lock, fds[2] = ring->bell, fds[3] = ring->room;
  if (ring->base != NULL) munmap(ring->base, ring->mapped);
  isth__close_all(fds, 4);
  free(ring->path);
}

/* --- Named rings ------------------------------------------------------------------------------------------------- */

enum { ISTH__OPEN = O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW };

static isthmus_error isth__open_trusted(const char *path, const isth__trust *trust, int *fd) {
  *fd = open(path, ISTH__OPEN);
  if (*fd < 0) {
    if (errno == ENOENT) return ISTHMUS_NOT_FOUND;
    return isth__system("Cannot open the channel \"%s\"", path);
  }
  return isth__check_owner(trust, *fd, path);
}

static int isth__is_fifo(int fd) {
  struct stat found;
  return fstat(fd, &found) == 0 && S_ISFIFO(found.st_mode);
}

/* ISTHMUS_NOT_FOUND: there is none, or not any more. */
static isthmus_error isth__attach_named(isth__ring *ring, const char *path, const isth__trust *trust) {
  struct stat found;
  if (lstat(path, &found) < 0) {
    if (errno == ENOENT) return ISTHMUS_NOT_FOUND;
    return isth__system("Cannot open the channel \"%s\"", path);
  }
  if (!S_ISREG(found.st_mode))
    return isth__fail(ISTHMUS_INCOMPATIBLE, "Cannot open the channel \"%s\": the path is %s", path,
                      S_ISSOCK(found.st_mode) ? "the socket of a server; use isthmus_connect()" : "not a regular file");
  isthmus_error error = isth__open_trusted(path, trust, &ring->lock);
  if (error != ISTHMUS_OK) return error;
  for (int i = 0; !isth__lock_file(ring->lock, LOCK_SH) && isth__is_at(path, ring->lock); i++) {
    if (i == 1000)
      return isth__fail(ISTHMUS_INCOMPATIBLE, "Cannot open the channel \"%s\": another program has locked the file", path);
    isth__poll(-1, 0, isth__now() + 1000000); /* somebody removes it, in microseconds */
  }
  if (!isth__is_at(path, ring->lock)) return ISTHMUS_NOT_FOUND;
  /* A mapping keeps its open file alive, and that its locks: so by another one. */
  error = isth__open_trusted(path, trust, &ring->fd);
  if (error != ISTHMUS_OK) return error;
  if (!isth__is_at(path, ring->lock) || !isth__is_at(path, ring->fd)) return ISTHMUS_NOT_FOUND;
  error = isth__attach_ring(ring, path);
  if (error != ISTHMUS_OK) return error;
  if (isth__allocate(ring->lock, 0, (off_t)isth__data_offset(ring->blocks)) < 0)
    return isth__system("Cannot allocate the channel \"%s\"", path);
  for (int i = 0; i < 2; i++) {
    char *name = isth__join(path, i == 0 ? ".bell" : ".room");
    if (name == NULL) return isth__system("Cannot open the channel \"%s\"", path);
    error = isth__open_trusted(name, trust, i == 0 ? &ring->bell : &ring->room);
    if (error == ISTHMUS_OK && !isth__is_fifo(i == 0 ? ring->bell : ring->room))
      error = isth__fail(ISTHMUS_INCOMPATIBLE, "Cannot open the channel: \"%s\" must be a FIFO", name);
    free(name);
    if (error != ISTHMUS_OK) return error;
  }
  ring->path = isth__join(path, "");
  return ring->path == NULL ? isth__system("Cannot open the channel \"%s\"", path) : ISTHMUS_OK;
}

/* Makes a ring at a path, or what is missing beside one, unless somebody else does. */
static isthmus_error isth__create_named(const char *path, uint32_t blocks, unsigned mode) {
  char *folder = isth__join(path, "");
  if (folder == NULL) return isth__system("Cannot create the channel \"%s\"", path);
  char *slash = strrchr(folder, '/');
  if (slash != NULL) slash[1] = 0;
  int fd = open(slash != NULL ? folder : ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  free(folder);
  if (fd < 0) {
    if (errno == ENOENT)
      return isth__fail(ISTHMUS_NOT_FOUND, "Cannot create the channel \"%s\": its folder does not exist", path);
    return isth__system("Cannot create the channel \"%s\": its folder must take unnamed files", path);
  }
  uint32_t header[5];
  isth__write_header(header, blocks, 0);
  if (ftruncate(fd, (off_t)isth__ring_size(blocks)) < 0 || isth__allocate(fd, 0, (off_t)isth__data_offset(blocks)) < 0 ||
      fchmod(fd, mode) < 0 || pwrite(fd, header, sizeof header, 0) != (ssize_t)sizeof header) {
    isthmus_error error = isth__system("Cannot create the channel \"%s\"", path);
    close(fd);
    return error;
  }
  struct stat there; /* of a ring that has lost its bells, those who may use it must get in */
  unsigned theirs = lstat(path, &there) == 0 ? (unsigned)there.st_mode & 0777 : mode;
  isthmus_error error = ISTHMUS_OK;
  for (int i = 0; i < 2 && error == ISTHMUS_OK; i++) {
    char *name = isth__join(path, i == 0 ? ".bell" : ".room");
    if (name == NULL) {
      error = isth__system("Cannot create the channel \"%s\"", path);
    } else if (mkfifo(name, 0600) == 0) {
      int bell = open(name, ISTH__OPEN);
      if (bell >= 0) {
        if (fchmod(bell, theirs) < 0) error = isth__system("Cannot set the mode of \"%s\"", name);
        close(bell);
      }
    } else if (errno != EEXIST) {
      error = isth__system("Cannot create \"%s\"", name);
    }
    free(name);
  }
  if (error == ISTHMUS_OK && isth__publish(fd, path) < 0 && errno != EEXIST)
    error = isth__system("Cannot create the channel \"%s\"", path);
  close(fd);
  return error;
}

/* Bells first, the path last: nobody attaches to a ring that has lost its bells. */
static void isth__remove_named(const char *path, int lock) {
  if (!isth__is_at(path, lock)) return;
  for (int i = 0; i < 3; i++) {
    char *name = isth__join(path, i == 0 ? ".room" : i == 1 ? ".bell" : "");
    int failed = name == NULL || (unlink(name) < 0 && errno != ENOENT);
    free(name);
    if (failed) return;
  }
}

static isth__trust isth__trust_of(const isthmus_options *options) {
  isth__trust trust;
  memset(&trust, 0, sizeof trust);
  trust.mode = options != NULL && options->mode != 0 ? options->mode : 0600;
  if (options != NULL) {
    trust.anyone = options->trust_anyone;
    trust.users = options->trust;
    trust.count = options->trust == NULL ? 0 : options->trust_count;
  }
  return trust;
}

static void isth__empty_ring(isth__ring *ring) {
  memset(ring, 0, sizeof *ring);
  ring->fd = ring->lock = ring->bell = ring->room = -1;
  ring->own = isth__self();
}

static isthmus_error isth__open_named(isth__ring *ring, const char *path, const isthmus_options *options) {
  isth__trust trust = isth__trust_of(options);
  size_t length = path == NULL ? 0 : strlen(path);
  uint32_t blocks = 0;
  isth__empty_ring(ring);
  if (length == 0 || length > 4088 || path[length - 1] == '/' || path[0] == '@')
    return isth__say(ISTHMUS_INVALID, "Cannot open a channel: its path has 1 to 4088 bytes, names a file, and does not "
                     "begin with \"@\"");
  if (trust.mode > 0777) return isth__say(ISTHMUS_INVALID, "Cannot open a channel: a mode has the bits 0777 at most");
  isthmus_error error = isth__blocks_of(options == NULL ? 0 : options->capacity, &blocks);
  if (error != ISTHMUS_OK) return error;
  for (int i = 0; i < 1000; i++) {
    error = isth__attach_named(ring, path, &trust);
    if (error == ISTHMUS_OK) return error;
    isth__close_ring(ring);
    isth__empty_ring(ring);
    if (error != ISTHMUS_NOT_FOUND) return error;
    error = isth__create_named(path, blocks, trust.mode);
    if (error != ISTHMUS_OK) return error;
  }
  return isth__fail(ISTHMUS_TIMEOUT, "Cannot open the channel \"%s\": its files are removed and made again all the time",
                    path);
}

/* --- Who owns a slot, or the receiving end ------------------------------------------------------------------------ */

static off_t isth__byte_of(uint32_t at) {
  return at < ISTH__W_SLOTS ? (off_t)ISTH__SLOTS : (off_t)(at - ISTH__W_SLOTS) / ISTH__SLOT_WORDS;
}

static uint64_t isth__pair(uint32_t tid, uint32_t start) { return (uint64_t)tid | (uint64_t)start << 32; }

static uint64_t *isth__pair_at(isth__ring *ring, uint32_t at) { return (uint64_t *)(void *)(ring->words + at); }

/* `locked`: 1 if the lock that the owner may say it holds is held, 0 if not, -1 to find out. */
static int isth__owner_lives(isth__ring *ring, uint32_t at, uint64_t found, int locked) {
  uint32_t tid = (uint32_t)found, start = (uint32_t)(found >> 32);
  if (tid == 0) return 0;
  int taking = tid >> 31 != 0;
  uint32_t number = taking ? (uint32_t)0 - tid : tid;
  int holds = taking ? (number & 0x40000000) != 0 : isth__load(ring->words + at + ISTH__ID_LOCK) != 0;
  if (holds && !(locked < 0 ? isth__is_locked(ring->fd, isth__byte_of(at)) : locked)) return 0;
  if (taking) return isth__alive(&ring->own, number & 0x3FFFFFFF, 0, start);
  return isth__alive(&ring->own, tid, start, isth__load(ring->words + at + ISTH__ID_NAMESPACE));
}

static int isth__identity_lives(isth__ring *ring, uint32_t at) {
  return isth__owner_lives(ring, at, __atomic_load_n(isth__pair_at(ring, at), __ATOMIC_SEQ_CST), -1);
}

/* Claims an identity that nobody has, or with `take_over` nobody who lives; with `lock` only if it can be locked, too. */
static int isth__claim_identity(isth__ring *ring, uint32_t at, int take_over, int lock) {
  if (isth__load(ring->words + at) != 0 && !take_over) return 0;
  if (lock >= 0 && !isth__lock_byte(lock, isth__byte_of(at))) return 0;
  uint64_t *pair = isth__pair_at(ring, at), found = __atomic_load_n(pair, __ATOMIC_SEQ_CST);
  uint32_t number = (uint32_t)0 - (lock >= 0 ? ring->own.tid | 0x40000000 : ring->own.tid);
  /* Who has got the lock knows that the one before has it no more; who has not takes nothing that may be locked. */
  int is_free = (uint32_t)found == 0 || (take_over && !isth__owner_lives(ring, at, found, lock >= 0 ? 0 : 1));
  if (!is_free || !__atomic_compare_exchange_n(pair, &found, isth__pair(number, ring->own.space), 0, __ATOMIC_SEQ_CST,
                                               __ATOMIC_SEQ_CST)) {
    if (lock >= 0) isth__unlock_byte(lock, isth__byte_of(at));
    return 0;
  }
  isth__store(ring->words + at + ISTH__ID_NAMESPACE, ring->own.space);
  isth__store(ring->words + at + ISTH__ID_PID, ring->own.tid);
  isth__store(ring->words + at + ISTH__ID_LOCK, lock >= 0);
  /* A dead owner's claim would be taken for one of ours. */
  if (at >= ISTH__W_SLOTS) isth__store(ring->words + at + ISTH__CLAIM_BLOCKS, 0);
  __atomic_store_n(pair, isth__pair(ring->own.tid, ring->own.start), __ATOMIC_SEQ_CST);
  return 1;
}

static void isth__clear_identity(isth__ring *ring, uint32_t at, int lock) {
  if (lock >= 0 && isth__load(ring->words + at + ISTH__ID_LOCK) != 0) {
    /* First: who says that it holds the lock, and does not, is dead. */
    isth__store(ring->words + at + ISTH__ID_LOCK, 0);
    isth__unlock_byte(lock, isth__byte_of(at));
  }
  isth__store(ring->words + at + ISTH__ID_START, 0);
  isth__store(ring->words + at + ISTH__ID_NAMESPACE, 0);
  isth__store(ring->words + at + ISTH__ID_PID, 0);
  isth__store(ring->words + at + ISTH__ID_TID, 0);
}

/* --- Packets with descriptors, beside an unnamed ring ------------------------------------------------------------- */

enum { ISTH__PACKET_MESSAGE = 1, ISTH__PACKET_BELL = 2, ISTH__PACKET_BUNDLE = 3 };

/* Sends bytes with descriptors: 1, 0 if the queue is full, -1 with errno. */
static int isth__send_packet(int to, const void *data, size_t length, const int *fds, size_t count) {
  union {
    char bytes[CMSG_SPACE(sizeof(int) * 8)];
    struct cmsghdr align;
  } control;
  struct iovec piece;
  struct msghdr message;
  memset(&message, 0, sizeof message);
  memset(&control, 0, sizeof control);
  piece.iov_base = (void *)(uintptr_t)data;
  piece.iov_len = length;
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  if (count > 0) {
    message.msg_control = control.bytes;
    message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(int) * count);
    memcpy(CMSG_DATA(head), fds, sizeof(int) * count);
  }
  ssize_t sent;
  do sent = sendmsg(to, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  if (sent == (ssize_t)length) return 1;
  if (sent < 0 && (errno == EAGAIN || errno == ETOOMANYREFS)) return 0;
  if (sent >= 0) errno = EPIPE; /* 16 bytes go whole or not at all */
  return -1;
}

/* Receives a packet of 16 bytes. Returns its length, 0 if there is none (any more), -1 with errno; -2: more descriptors
 * than are allowed, or no room for them. */
static int isth__receive_packet(int from, int32_t packet[4], int fds[ISTH__PACKET_FDS], size_t *count) {
  union {
    char bytes[CMSG_SPACE(sizeof(int) * ISTH__PACKET_FDS)];
    struct cmsghdr align;
  } control;
  struct iovec piece;
  struct msghdr message;
  memset(&message, 0, sizeof message);
  piece.iov_base = packet;
  piece.iov_len = 16;
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = control.bytes;
  message.msg_controllen = sizeof control.bytes;
  *count = 0;
  ssize_t got;
  do got = recvmsg(from, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  while (got < 0 && errno == EINTR);
  if (got < 0) return errno == EAGAIN || errno == ECONNRESET ? 0 : -1;
  for (struct cmsghdr *head = CMSG_FIRSTHDR(&message); head != NULL; head = CMSG_NXTHDR(&message, head)) {
    if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS) continue;
    size_t more = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < more; i++) {
      int fd;
      memcpy(&fd, CMSG_DATA(head) + i * sizeof(int), sizeof fd);
      if (*count < ISTH__PACKET_FDS) fds[(*count)++] = fd;
      else close(fd);
    }
  }
  if (message.msg_flags & MSG_CTRUNC) {
    isth__close_all(fds, *count);
    *count = 0;
    return -2;
  }
  return (int)got;
}

/* --- Sending ----------------------------------------------------------------------------------------------------- */

struct isthmus_sender {
  isth__ring ring;
  uint32_t slot;          /* of claims that are committed at once */
  uint32_t limit;         /* positions before this are free, as far as this sender knows */
  uint32_t claimed_at;    /* position of the last claim */
  int until_look;         /* claims until the next look whether the receiver lives */
  int gone;
  int64_t looked_at;
  int space_bell;         /* of an unnamed ring: listened to for room */
  unsigned char *known;   /* of a named ring: which chunks of its data have memory */
  uint32_t trims;
  uint32_t head_then;     /* how far the receiver was when it was looked at for its speed */
  int64_t head_at;
  int all_locked;
  int loans_open;
  uint32_t slots[ISTH__SLOTS], slot_count;
  uint32_t spare[ISTH__SLOTS], spare_count;
};

static isthmus_error isth__gone(isthmus_sender *s) {
  s->gone = 1;
  return isth__say(ISTHMUS_DISCONNECTED, "Cannot send: the receiver is gone");
}

/* Whether an end of the ring is, or was, in another PID namespace, or this one is not known. */
static int isth__locks_needed(isthmus_sender *s) {
  return s->ring.own.space == 0 || isth__load(s->ring.words + ISTH__W_NAMESPACE) != s->ring.own.space;
}

static int isth__lock_fd(isthmus_sender *s) {
  if (s->ring.lock < 0) s->ring.lock = isth__reopen(s->ring.fd, O_RDWR);
  return s->ring.lock;
}

static isthmus_error isth__claim_slot(isthmus_sender *s, int locked, uint32_t *slot) {
  int lock = locked || isth__locks_needed(s) ? isth__lock_fd(s) : -1;
  for (int pass = lock >= 0 ? 0 : 2; pass < 4; pass++) {
    for (uint32_t i = 0; i < ISTH__SLOTS; i++) {
      uint32_t at = ISTH__W_SLOTS + i * ISTH__SLOT_WORDS;
      int own = 0;
      for (uint32_t j = 0; j < s->slot_count && (pass & 1) && !own; j++) own = s->slots[j] == at;
      if (own || !isth__claim_identity(&s->ring, at, pass & 1, pass < 2 ? lock : -1)) continue;
      s->slots[s->slot_count++] = *slot = at;
      s->all_locked = 0;
      return ISTHMUS_OK;
    }
  }
  return isth__say(ISTHMUS_SYSTEM, "Cannot send: 1024 threads send through this channel already; close some senders");
}

/* Takes the locks that have become necessary since the last call. */
static void isth__lock_slots(isthmus_sender *s) {
  if (s->all_locked || !isth__locks_needed(s) || isth__lock_fd(s) < 0) return;
  int done = 1;
  for (uint32_t i = 0; i < s->slot_count; i++) {
    uint32_t *word = s->ring.words + s->slots[i] + ISTH__ID_LOCK;
    if (isth__load(word) != 0) continue;
    if (isth__lock_byte(s->ring.lock, isth__byte_of(s->slots[i]))) isth__store(word, 1);
    else done = 0;
  }
  s->all_locked = done;
}

/* Of an unnamed ring: whether the receiver was in a thread that has ended, whose process goes on. */
static int isth__receiver_ended(isthmus_sender *s) {
  const uint32_t *at = s->ring.words + ISTH__W_CONSUMER;
  uint32_t tid = isth__load(at), pid = isth__load(at + ISTH__ID_PID);
  if (tid == 0 || tid >> 31 || pid == 0 || pid >> 31 || s->ring.own.space == 0) return 0;
  if (isth__load(at + ISTH__ID_NAMESPACE) != s->ring.own.space) return 0;
  return syscall(SYS_tgkill, (int)pid, (int)tid, 0) < 0 && errno == ESRCH && isth__load(at) == tid;
}

static isthmus_error isth__require_receiver(isthmus_sender *s) {
  if (s->gone || isth__load(s->ring.words + ISTH__W_BELL) == ISTH__CLOSED) return isth__gone(s);
  if (s->ring.path == NULL && ((isth__poll(s->ring.bell, 0, 0) & POLLERR) || isth__receiver_ended(s)))
    return isth__gone(s);
  return ISTHMUS_OK;
}

/* Wakes a receiver that sleeps with this ticket. */
static isthmus_error isth__wake(isthmus_sender *s, uint32_t ticket) {
  /* pair: byte/BELL. The byte before the flag, and this wait's flag alone. */
  if (ticket == ISTH__CLOSED || !isth__ring_bell(s->ring.bell, s->ring.path != NULL)) return isth__gone(s);
  isth__swap(s->ring.words + ISTH__W_BELL, ticket, 0);
  return ISTHMUS_OK;
}

/* Publishes the record at a position and wakes the receiver, once. */
static inline isthmus_error isth__publish_record(isthmus_sender *s, uint32_t position, uint32_t word) {
  uint32_t index = position & s->ring.mask;
  isth__store(s->ring.commits + index, word);
  /* pair: commit/BELL. The word is stored, then BELL loaded; both sequentially consistent. */
  uint32_t bell = isth__load(s->ring.words + ISTH__W_BELL);
  if (bell == 0) return ISTHMUS_OK;
  isthmus_error error = isth__wake(s, bell);
  /* The receiver may have polled, received this very record, and closed its end.
   * pair: READ/end. It moves READ, then closes. */
  if (error != ISTHMUS_OK && (int32_t)(isth__load(s->ring.words + ISTH__W_READ) - position) > 0) return ISTHMUS_OK;
  return error;
}

/* Memory for free blocks of a named ring from an index on, a chunk at a time: a page that cannot be had is a SIGBUS.
 * Returns how many blocks there are now; 0 with errno if not those that are needed. */
static uint32_t isth__allocate_blocks(isthmus_sender *s, uint32_t first, uint32_t most, uint32_t needed) {
  isth__ring *ring = &s->ring;
  uint32_t trims = isth__load(ring->words + ISTH__W_TRIMS), chunks = ring->blocks / ISTH__CHUNK;
  off_t data = (off_t)isth__data_offset(ring->blocks);
  if (trims != s->trims) {
    memset(s->known, 0, chunks); /* the receiver has given memory back */
    s->trims = trims;
  }
  uint32_t wanted = (first + needed + ISTH__CHUNK - 1) / ISTH__CHUNK * ISTH__CHUNK - first;
  if (wanted > most) wanted = most;
  for (uint32_t at = first; at < first + wanted; at = (at / ISTH__CHUNK + 1) * ISTH__CHUNK) {
    uint32_t number = (at & ring->mask) / ISTH__CHUNK;
    if (s->known[number]) continue;
    if (isth__allocate(ring->fd, data + (off_t)number * ISTH__CHUNK * ISTH__BLOCK, (off_t)ISTH__CHUNK * ISTH__BLOCK) == 0) {
      s->known[number] = 1;
      continue;
    }
    if (errno != ENOSPC) return 0;
    if (at - first >= needed) return at - first;
    /* No room for whole chunks: perhaps for the pages of one message. */
    uint32_t before = needed < ring->blocks - first ? needed : ring->blocks - first;
    if (isth__allocate(ring->fd, data + (off_t)first * ISTH__BLOCK, (off_t)before * ISTH__BLOCK) < 0) return 0;
    if (before < needed && isth__allocate(ring->fd, data, (off_t)(needed - before) * ISTH__BLOCK) < 0) return 0;
    return needed;
  }
  return wanted;
}

/* Claims what is left up to the end of the ring, as padding. 0 if another was faster. */
static int isth__skip_rest(isthmus_sender *s, uint32_t tail) {
  uint32_t index = tail & s->ring.mask, rest = s->ring.blocks - index, *slot = s->ring.words + s->slot;
  isth__put(slot + ISTH__CLAIM_POSITION, tail);
  isth__put(slot + ISTH__CLAIM_BLOCKS, rest);
  int mine = isth__swap(s->ring.words + ISTH__W_TAIL, tail, tail + rest) == tail;
  if (mine) isth__store(s->ring.commits + index, isth__padding(rest));
  isth__store(slot + ISTH__CLAIM_BLOCKS, 0);
  return mine;
}

/* Learns how far the receiver got. ISTHMUS_TIMEOUT: so many blocks do not fit. */
static isthmus_error isth__refresh_limit(isthmus_sender *s, uint32_t blocks) {
  uint32_t *words = s->ring.words, capacity = s->ring.blocks, head = 0, tail = 0, used = 0;
  for (int i = 0;; i++) {
    /* pair: word/HEAD, SPACE/HEAD. HEAD is loaded before anything is claimed, and after SPACE was stored. */
    head = isth__load(words + ISTH__W_HEAD);
    tail = isth__load(words + ISTH__W_TAIL);
    used = tail - head;
    if (used <= capacity) break;
    if (i == 1000)
      return isth__fail(ISTHMUS_CORRUPT, "Cannot send: the ring's positions make no sense (%u of %u blocks used)", used,
                        capacity);
  }
  uint32_t index = tail & s->ring.mask, half = capacity / 2 > blocks ? capacity / 2 : blocks;
  /* Back to the first blocks, which are in the caches, if half of the ring is free there. */
  if (index > ISTH__WARM && index >= used && index - used >= half && isth__skip_rest(s, tail)) {
    s->limit = s->known == NULL ? head + capacity : tail + (capacity - index);
    return ISTHMUS_OK;
  }
  uint32_t unused = capacity - used, window = blocks > ISTH__WARM ? blocks : (uint32_t)ISTH__WARM;
  if (window > unused) window = unused;
  s->limit = tail + window;
  if (unused < blocks) {
    isth__store(words + s->slot + ISTH__CLAIM_BLOCKS, 0); /* what an attempt may have noted is another's claim now */
    return ISTHMUS_TIMEOUT;
  }
  if (s->known == NULL) return ISTHMUS_OK;
  uint32_t had = isth__allocate_blocks(s, index, window, blocks);
  s->limit = tail + had;
  if (had != 0) return ISTHMUS_OK;
  int number = errno;
  if (number == ENOSPC && index >= used && index - used >= blocks) {
    isth__skip_rest(s, tail); /* the blocks at the beginning are free, and allocated already */
    return ISTHMUS_OK;
  }
  isth__store(words + s->slot + ISTH__CLAIM_BLOCKS, 0);
  errno = number;
  return isth__system("Cannot send through \"%s\": no memory for %zu bytes more; nothing was sent", s->ring.path,
                      (size_t)blocks * ISTH__BLOCK);
}

/* What is done once in some claims: is the receiver there? Every claim of a slow sender, every 16th of a fast one. */
static isthmus_error isth__look_at_receiver(isthmus_sender *s) {
  int64_t now = isth__now();
  if (!s->gone && now - s->looked_at < 1000000) {
    s->until_look = 16;
    return ISTHMUS_OK;
  }
  isthmus_error error = isth__require_receiver(s);
  if (error != ISTHMUS_OK) return error;
  s->limit = isth__load(s->ring.words + ISTH__W_TAIL); /* and no older, or positions could come round to it */
  isth__lock_slots(s);
  /* The next one looks as well, unless it comes soon. */
  s->until_look = 0;
  s->looked_at = now;
  return ISTHMUS_OK;
}

/* Claims blocks by a slot's note. ISTHMUS_TIMEOUT: there is no room. */
static inline isthmus_error isth__claim(isthmus_sender *s, uint32_t blocks, uint32_t slot_at, uint32_t *index) {
  if (--s->until_look < 0) {
    isthmus_error error = isth__look_at_receiver(s);
    if (error != ISTHMUS_OK) return error;
  }
  uint32_t *words = s->ring.words, *slot = words + slot_at;
  uint32_t tail = __atomic_load_n(words + ISTH__W_TAIL, __ATOMIC_RELAXED); /* however old: the swap finds out */
  for (int attempts = 0; attempts < 10000; attempts++) {
    uint32_t room = s->limit - tail;
    if (room < blocks || room > s->ring.blocks) {
      isthmus_error error = isth__refresh_limit(s, blocks);
      if (error != ISTHMUS_OK) return error;
      tail = isth__load(words + ISTH__W_TAIL);
      continue;
    }
    /* pair: record/TAIL. The note before the tail: who finds the blocks claimed finds out by whom. */
    isth__put(slot + ISTH__CLAIM_POSITION, tail);
    isth__put(slot + ISTH__CLAIM_BLOCKS, blocks);
    uint32_t found = isth__swap(words + ISTH__W_TAIL, tail, tail + blocks);
    if (found == tail) {
      s->claimed_at = tail;
      *index = tail & s->ring.mask;
      return ISTHMUS_OK;
    }
    tail = found;
  }
  isth__store(slot + ISTH__CLAIM_BLOCKS, 0);
  return ISTHMUS_TIMEOUT;
}

/* Has the receiver closed its end? Then the claim becomes padding. It is rung once, after the commit. */
static inline isthmus_error isth__before_copy(isthmus_sender *s, uint32_t index, uint32_t blocks) {
  if (isth__load(s->ring.words + ISTH__W_BELL) != ISTH__CLOSED) return ISTHMUS_OK;
  isth__store(s->ring.commits + index, isth__padding(blocks));
  return isth__gone(s);
}

/* A message that is one copy. ISTHMUS_TIMEOUT, without words: there is no room. */
static inline isthmus_error isth__try_send(isthmus_sender *s, const void *data, size_t length) {
  uint32_t blocks = isth__blocks_for(length), index = 0;
  isthmus_error error = isth__claim(s, blocks, s->slot, &index);
  if (error != ISTHMUS_OK) return error;
  error = isth__before_copy(s, index, blocks);
  if (error == ISTHMUS_OK) {
    if (length > 0) memcpy(s->ring.data + ((size_t)index << 6), data, length);
    error = isth__publish_record(s, s->claimed_at, (uint32_t)length + 1);
  }
  /* The load of BELL keeps this store behind the commit. A note that stayed would be inside a gap again after 2^32
   * blocks. */
  isth__put(s->ring.words + s->slot + ISTH__CLAIM_BLOCKS, 0);
  return error;
}

/* A message whose body is in a memory file beside an unnamed ring. */
static isthmus_error isth__try_send_outside(isthmus_sender *s, int body, uint64_t length) {
  uint32_t index = 0, header[4];
  isthmus_error error = isth__claim(s, 1, s->slot, &index);
  if (error != ISTHMUS_OK) return error;
  error = isth__before_copy(s, index, 1);
  if (error == ISTHMUS_OK) {
    uint32_t word = isth__padding(1);
    /* Never used again, by the next owner of the slot. */
    uint32_t counter = isth__add(s->ring.words + s->slot + ISTH__SLOT_COUNTER, 1);
    uint32_t packet[4];
    packet[0] = ISTH__PACKET_MESSAGE, packet[1] = s->slot, packet[2] = counter, packet[3] = 1;
    int sent = isth__send_packet(s->ring.room, packet, sizeof packet, &body, 1);
    if (sent == 1) {
      unsigned char *to = s->ring.data + ((size_t)index << 6);
      header[0] = ISTH__WITH_FDS | ISTH__OUTSIDE, header[1] = s->slot, header[2] = counter, header[3] = 1;
      memcpy(to, header, sizeof header);
      memcpy(to + 16, &length, 8);
      word = (uint32_t)0 - 2 * ISTH__EXTENDED;
    }
    isthmus_error rung = isth__publish_record(s, s->claimed_at, word);
    if (sent == 0) error = ISTHMUS_TIMEOUT;
    else if (sent < 0 && (errno == EPIPE || errno == ECONNRESET)) error = isth__gone(s);
    else if (sent < 0) error = isth__system("Cannot send a message of %llu bytes", (unsigned long long)length);
    if (error == ISTHMUS_OK) error = rung;
  }
  isth__put(s->ring.words + s->slot + ISTH__CLAIM_BLOCKS, 0);
  return error;
}

/* Asks the receiver to ring when there is room. Look once more after it. 0 if it cannot be asked. */
static int isth__arm_space(isthmus_sender *s) {
  if (s->space_bell < 0 && s->ring.path != NULL) {
    s->space_bell = fcntl(s->ring.room, F_DUPFD_CLOEXEC, 0);
    if (s->space_bell < 0) return 0;
  } else if (s->space_bell < 0) {
    int ends[2];
    uint32_t packet[4];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) return 0;
    packet[0] = ISTH__PACKET_BELL, packet[1] = packet[2] = 0, packet[3] = 1;
    /* Another user's process opens its end anew. */
    int sent = fchmod(ends[0], 0666) == 0 && isth__send_packet(s->ring.room, packet, sizeof packet, &ends[1], 1) == 1;
    close(ends[1]);
    if (!sent) {
      close(ends[0]);
      return 0;
    }
    s->space_bell = ends[0];
  }
  isth__lock_slots(s);
  /* pair: bell/SPACE, SPACE/HEAD. */
  isth__store(s->ring.words + ISTH__W_SPACE, 1);
  /* What fills the ring may be a claim of the dead, which a receiver that sleeps has to step over. */
  uint32_t bell = isth__load(s->ring.words + ISTH__W_BELL);
  if (bell != 0 && bell != ISTH__CLOSED) isth__wake(s, bell);
  return 1;
}

/* Sleeps until there may be room. ISTHMUS_TIMEOUT: the time is over. `round` counts the calls for one message. */
static isthmus_error isth__wait_for_room(isthmus_sender *s, int64_t deadline, int *round) {
  if (*round < 400 && deadline != 0) {
    (*round)++;
    isth__breath();
    return ISTHMUS_OK;
  }
  int64_t now = isth__now();
  if (now >= deadline) return isth__say(ISTHMUS_TIMEOUT, "Cannot send: the time was over before there was room");
  /* While the receiver is at work, by the clock, as long as it takes for a quarter of the ring: a bell would ring for
   * the first block that it releases. */
  uint32_t head = isth__load(s->ring.words + ISTH__W_HEAD), released = head - s->head_then;
  int64_t passed = now - s->head_at;
  s->head_then = head;
  s->head_at = now;
  if (released > 0 && released <= 1u << 30 && passed < 1000000000) {
    int64_t nap = (int64_t)((double)(s->ring.blocks / 4) / released * (double)passed);
    if (nap > 2000000) nap = 2000000;
    if (nap > deadline - now) nap = deadline - now;
    if (nap >= 50000) {
      isth__poll(-1, 0, now + nap);
      return ISTHMUS_OK;
    }
  }
  if (*round == 400) { /* armed: look once more, then sleep */
    *round = isth__arm_space(s) ? 401 : 402;
    return ISTHMUS_OK;
  }
  int64_t longest = *round == 402 ? 5000000 : s->ring.path != NULL ? 20000000 : 100000000;
  int events = isth__poll(*round == 402 ? -1 : s->space_bell, POLLIN, deadline - now < longest ? deadline : now + longest);
  if (*round == 401 && (events & POLLHUP) && s->ring.path == NULL) {
    close(s->space_bell); /* the receiver that had it is gone; the next wait gives another */
    s->space_bell = -1;
  } else if (events & POLLIN) {
    isth__drain_bell(s->space_bell);
  }
  *round = 400;
  return isth__require_receiver(s);
}

isthmus_error isthmus_send(isthmus_sender *s, const void *data, size_t length, int timeout_ms) {
  if (s == NULL || (data == NULL && length > 0)) return isth__say(ISTHMUS_INVALID, "Cannot send: an argument is NULL");
  int body = -1;
  isthmus_error error;
  if (length <= (size_t)s->ring.blocks * ISTH__BLOCK) {
    error = isth__try_send(s, data, length);
    if (error != ISTHMUS_TIMEOUT) return error;
  } else if (s->ring.path != NULL) {
    return isth__fail(ISTHMUS_TOO_LARGE, "Cannot send %zu bytes through \"%s\": a message is at most as large as the "
                      "channel, %zu bytes; make it with a larger capacity", length, s->ring.path, isthmus_capacity(s));
  } else {
    body = isth__memory_file("isthmus-message");
    for (size_t at = 0; body >= 0 && at < length;) {
      ssize_t wrote = write(body, (const char *)data + at, length - at < (size_t)1 << 30 ? length - at : (size_t)1 << 30);
      if (wrote < 0 && errno == EINTR) continue;
      if (wrote <= 0) {
        error = isth__system("Cannot put a message of %zu bytes into a memory file", length);
        close(body);
        return error;
      }
      at += (size_t)wrote;
    }
    if (body < 0 || fcntl(body, F_ADD_SEALS, ISTH__SEALS | ISTH__SEAL_WRITE) < 0) {
      error = isth__system("Cannot make a memory file of %zu bytes", length);
      if (body >= 0) close(body);
      return error;
    }
    error = isth__try_send_outside(s, body, length);
  }
  int64_t deadline = isth__deadline(timeout_ms);
  int round = 0;
  while (error == ISTHMUS_TIMEOUT) {
    if (timeout_ms == 0) {
      error = isth__say(ISTHMUS_TIMEOUT, "Cannot send: there is no room");
      break;
    }
    error = isth__wait_for_room(s, deadline, &round);
    if (error != ISTHMUS_OK) break;
    error = body < 0 ? isth__try_send(s, data, length) : isth__try_send_outside(s, body, length);
  }
  if (body >= 0) close(body);
  return error;
}

size_t isthmus_capacity(const isthmus_sender *s) { return s == NULL ? 0 : (size_t)s->ring.blocks * ISTH__BLOCK; }

isthmus_error isthmus_reserve(isthmus_sender *s, size_t length, isthmus_loan *loan, int timeout_ms) {
  if (s == NULL || loan == NULL) return isth__say(ISTHMUS_INVALID, "Cannot reserve: an argument is NULL");
  memset(loan, 0, sizeof *loan);
  if (length > isthmus_capacity(s))
    return isth__fail(ISTHMUS_TOO_LARGE, "Cannot reserve %zu bytes: the channel holds %zu", length, isthmus_capacity(s));
  /* A claim that stays open has a slot of its own, with a lock. */
  uint32_t slot, blocks = isth__blocks_for(length), index = 0;
  isthmus_error error = ISTHMUS_OK;
  if (s->spare_count > 0) slot = s->spare[--s->spare_count];
  else error = isth__claim_slot(s, 1, &slot);
  if (error != ISTHMUS_OK) return error;
  int64_t deadline = isth__deadline(timeout_ms);
  int round = 0;
  while ((error = isth__claim(s, blocks, slot, &index)) == ISTHMUS_TIMEOUT) {
    isth__store(s->ring.words + slot + ISTH__CLAIM_BLOCKS, 0);
    error = timeout_ms == 0 ? isth__say(ISTHMUS_TIMEOUT, "Cannot reserve: there is no room")
                            : isth__wait_for_room(s, deadline, &round);
    if (error != ISTHMUS_OK) break;
  }
  if (error == ISTHMUS_OK && isth__load(s->ring.words + ISTH__W_BELL) == ISTH__CLOSED) {
    isth__store(s->ring.commits + index, isth__padding(blocks));
    error = isth__gone(s);
  }
  if (error != ISTHMUS_OK) {
    isth__store(s->ring.words + slot + ISTH__CLAIM_BLOCKS, 0);
    s->spare[s->spare_count++] = slot;
    return error;
  }
  s->loans_open++;
  loan->data = s->ring.data + ((size_t)index << 6);
  loan->length = length;
  loan->private_[0] = slot, loan->private_[1] = index, loan->private_[2] = blocks, loan->private_[3] = s->claimed_at;
  return ISTHMUS_OK;
}

static isthmus_error isth__end_loan(isthmus_sender *s, isthmus_loan *loan, size_t length, int sent) {
  uint32_t slot = loan->private_[0], index = loan->private_[1], blocks = loan->private_[2];
  uint32_t used = sent ? isth__blocks_for(length) : blocks;
  if (used < blocks) isth__store(s->ring.commits + ((index + used) & s->ring.mask), isth__padding(blocks - used));
  isthmus_error error = isth__publish_record(s, loan->private_[3], sent ? (uint32_t)length + 1 : isth__padding(used));
  isth__put(s->ring.words + slot + ISTH__CLAIM_BLOCKS, 0);
  s->spare[s->spare_count++] = slot;
  s->loans_open--;
  memset(loan, 0, sizeof *loan);
  return error;
}

isthmus_error isthmus_commit(isthmus_sender *s, isthmus_loan *loan, size_t length) {
  if (s == NULL || loan == NULL || loan->data == NULL)
    return isth__say(ISTHMUS_INVALID, "Cannot commit: the loan was committed, or given up");
  if (length > loan->length)
    return isth__fail(ISTHMUS_INVALID, "Cannot commit %zu bytes of a loan of %zu", length, loan->length);
  return isth__end_loan(s, loan, length, 1);
}

void isthmus_cancel(isthmus_sender *s, isthmus_loan *loan) {
  if (s != NULL && loan != NULL && loan->data != NULL) isth__end_loan(s, loan, 0, 0);
}

/* Takes over the ring, also if it fails. */
static isthmus_error isth__new_sender(isth__ring *ring, isthmus_sender **sender) {
  isthmus_sender *s = (isthmus_sender *)calloc(1, sizeof *s);
  *sender = NULL;
  if (s == NULL) {
    isthmus_error error = isth__system("Cannot make a sender");
    isth__close_ring(ring);
    return error;
  }
  s->ring = *ring;
  s->space_bell = -1;
  isthmus_error error = ISTHMUS_OK;
  if (ring->path != NULL) {
    s->known = (unsigned char *)calloc(1, ring->blocks / ISTH__CHUNK);
    s->trims = isth__load(ring->words + ISTH__W_TRIMS);
    if (s->known == NULL) error = isth__system("Cannot make a sender");
  }
  if (error == ISTHMUS_OK) error = isth__claim_slot(s, 0, &s->slot);
  if (error != ISTHMUS_OK) {
    isthmus_sender_close(s);
    return error;
  }
  s->limit = isth__load(ring->words + ISTH__W_TAIL);
  *sender = s;
  return ISTHMUS_OK;
}

isthmus_error isthmus_sender_open(const char *path, const isthmus_options *options, isthmus_sender **sender) {
  isth__ring ring;
  if (sender == NULL) return isth__say(ISTHMUS_INVALID, "Cannot open a sender: an argument is NULL");
  *sender = NULL;
  isthmus_error error = isth__open_named(&ring, path, options);
  return error == ISTHMUS_OK ? isth__new_sender(&ring, sender) : error;
}

void isthmus_sender_close(isthmus_sender *s) {
  if (s == NULL) return;
  /* An open loan's slot says that its claim is dead as soon as it has no owner: the receiver steps over it. */
  for (uint32_t i = 0; i < s->slot_count; i++) {
    isth__store(s->ring.words + s->slots[i] + ISTH__CLAIM_BLOCKS, 0);
    isth__clear_identity(&s->ring, s->slots[i], s->ring.lock);
  }
  if (s->space_bell >= 0) close(s->space_bell);
  free(s->known);
  isth__close_ring(&s->ring);
  free(s);
}

/* --- Receiving --------------------------------------------------------------------------------------------------- */

typedef struct isth__lent {
  struct isth__lent *next;
  uint32_t position;
  int returned;
  void *mapped;        /* a body outside the ring */
  size_t mapped_length;
} isth__lent;

typedef struct isth__arrived {
  struct isth__arrived *next;
  uint32_t slot, counter, bundled; /* of a bundle: how many it is to hold, in the one socket */
  size_t count;
  int fds[];
} isth__arrived;

struct isthmus_receiver {
  isth__ring ring;
  uint32_t head;          /* the next record */
  uint32_t published;     /* HEAD as this receiver has stored it */
  uint32_t known_tail;
  uint32_t ticket;
  int polls, in_vain;     /* looks before a sleep; those that did not pay in a row */
  int unfinished;         /* there may be more padding than one call passes over */
  int orphans;
  int has_last_tail;
  uint32_t last_tail;
  uint32_t gap_position;
  int64_t gap_pause, gap_at, ring_after;
  size_t most_bytes;
  isth__lent *lent, *lent_end, *unused;
  isth__arrived *arrived, *arrived_end;
  int bells[ISTH__MOST_BELLS];
  int bell_count;
  /* The record at the head, if it was found; of an extended one, its body. */
  int found, outside;
  uint32_t index, length, blocks, skip;
  int body;
  uint64_t body_length;
};

static isthmus_error isth__damaged(const char *what, unsigned long long number) {
  return isth__fail(ISTHMUS_CORRUPT, "Cannot receive: the ring is damaged, %s (%llu); a peer misbehaves", what, number);
}

static int isth__private_end(int fd) {
  char path[40], name[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(path, name, sizeof name - 1);
  /* The peer shares the open file and could make it block; a FIFO with a name may wait for the program behind it. */
  if (length > 5 && memcmp(name, "pipe:", 5) == 0 && (fcntl(fd, F_GETFL) & O_ACCMODE) == O_WRONLY) {
    int own = isth__reopen(fd, O_WRONLY);
    if (own >= 0) {
      close(fd);
      return own;
    }
  }
  close(fd);
  return -1;
}

/* Reads one packet from the socket: 1, 0 if there is none, -1 if it was none or could not be read. */
static int isth__read_packet(isthmus_receiver *r) {
  int32_t packet[4];
  int fds[ISTH__PACKET_FDS];
  size_t count;
  int got = isth__receive_packet(r->ring.room, packet, fds, &count);
  if (got == 0) return 0;
  if (got < 0) return -1;
  if (got == 16 && packet[0] == ISTH__PACKET_BELL && count == 1) {
    int bell = isth__private_end(fds[0]);
    if (bell < 0) return -1;
    if (r->bell_count == ISTH__MOST_BELLS) { /* its sender learns of it, and gives another */
      close(r->bells[0]);
      memmove(r->bells, r->bells + 1, sizeof r->bells - sizeof r->bells[0]);
      r->bell_count--;
    }
    r->bells[r->bell_count++] = bell;
    return 1;
  }
  int bundle = packet[0] == ISTH__PACKET_BUNDLE && count == 1 && packet[3] > 0 && packet[3] <= ISTH__MOST_FDS;
  int plain = packet[0] == ISTH__PACKET_MESSAGE && packet[3] > 0 && (size_t)packet[3] == count;
  isth__arrived *item =
    got == 16 && (bundle || plain) ? (isth__arrived *)malloc(sizeof *item + count * sizeof(int)) : NULL;
  if (item == NULL) {
    isth__close_all(fds, count);
    return -1;
  }
  item->next = NULL;
  item->slot = (uint32_t)packet[1];
  item->counter = (uint32_t)packet[2];
  item->bundled = bundle ? (uint32_t)packet[3] : 0;
  item->count = count;
  memcpy(item->fds, fds, count * sizeof(int));
  if (r->arrived_end != NULL) r->arrived_end->next = item;
  else r->arrived = item;
  r->arrived_end = item;
  return 1;
}

static void isth__drop_arrived(isthmus_receiver *r) {
  while (r->arrived != NULL) {
    isth__arrived *next = r->arrived->next;
    isth__close_all(r->arrived->fds, r->arrived->count);
    free(r->arrived);
    r->arrived = next;
  }
  r->arrived_end = NULL;
}

/* Looks among what has arrived; closes what belongs to earlier records of the same slot, which never came. */
static isth__arrived *isth__find_arrived(isthmus_receiver *r, uint32_t slot, uint32_t counter) {
  isth__arrived *before = NULL, *item = r->arrived, *found = NULL;
  while (item != NULL) {
    isth__arrived *next = item->next;
    uint32_t ahead = item->counter - counter;
    if (item->slot == slot && (ahead == 0 || ahead >> 31)) {
      if (before != NULL) before->next = next;
      else r->arrived = next;
      if (r->arrived_end == item) r->arrived_end = before;
      if (ahead == 0) {
        found = item;
        break;
      }
      isth__close_all(item->fds, item->count);
      free(item);
    } else {
      before = item;
    }
    item = next;
  }
  return found;
}

/* The first descriptor of a record, or -1; the others are closed, as C has no use for them. */
static isthmus_error isth__take_first(isthmus_receiver *r, uint32_t slot, uint32_t counter, uint32_t count, int *first) {
  *first = -1;
  if (r->ring.path != NULL) return isth__damaged("a record claims descriptors, on a channel without any", count);
  for (int i = 0; i < 512; i++) {
    isth__arrived *item = isth__find_arrived(r, slot, counter);
    if (item == NULL) {
      int read = isth__read_packet(r);
      if (read < 0) return isth__damaged("a packet with descriptors could not be read", (unsigned long long)errno);
      if (read == 0) break;
      continue;
    }
    uint32_t had = item->bundled != 0 ? 0 : (uint32_t)item->count;
    if (item->bundled == 0) {
      *first = item->fds[0];
      isth__close_all(item->fds + 1, item->count - 1);
    } else {
      int32_t packet[4];
      int fds[ISTH__PACKET_FDS];
      size_t more;
      while (had < item->bundled && isth__receive_packet(item->fds[0], packet, fds, &more) == 16 && more > 0) {
        if (*first < 0) *first = fds[0];
        else close(fds[0]);
        isth__close_all(fds + 1, more - 1);
        had += (uint32_t)more;
      }
      close(item->fds[0]);
    }
    free(item);
    if (had == count) return ISTHMUS_OK;
    if (*first >= 0) close(*first);
    *first = -1;
    return isth__damaged("not all descriptors of a record came with it", had);
  }
  return isth__damaged("the descriptors of a record did not come with it", count);
}

/* Rings all who wait for room. Never fails: a message was just received. */
static void isth__ring_space(isthmus_receiver *r) {
  if (r->ring.path != NULL) {
    isth__ring_bell(r->ring.room, 1);
    return;
  }
  for (int i = 0; i < 32 && isth__read_packet(r) != 0; i++) {
  }
  int kept = 0;
  for (int i = 0; i < r->bell_count; i++) {
    if (isth__ring_bell(r->bells[i], 0)) r->bells[kept++] = r->bells[i];
    else close(r->bells[i]);
  }
  r->bell_count = kept;
}

static void isth__space_wanted(isthmus_receiver *r) {
  int64_t began = isth__now();
  if (began < r->ring_after) return; /* SPACE stays set */
  /* pair: bell/SPACE. SPACE is cleared, then the bells taken. */
  isth__store(r->ring.words + ISTH__W_SPACE, 0);
  isth__ring_space(r);
  int64_t end = isth__now(), took = end - began;
  r->ring_after = took > 200000 ? end + 4 * took : 0;
}

static void isth__forget_returned(isthmus_receiver *r) {
  while (r->lent != NULL && r->lent->returned) {
    isth__lent *first = r->lent;
    r->lent = first->next;
    if (r->lent == NULL) r->lent_end = NULL;
    first->next = r->unused;
    r->unused = first;
  }
}

static inline void isth__publish_head(isthmus_receiver *r) {
  if (r->lent != NULL) isth__forget_returned(r);
  r->published = r->lent != NULL ? r->lent->position : r->head;
  /* pair: SPACE/HEAD. HEAD is stored, then SPACE loaded. */
  isth__store(r->ring.words + ISTH__W_HEAD, r->published);
  if (isth__load(r->ring.words + ISTH__W_SPACE) != 0) isth__space_wanted(r);
}

/* pair: READ/word, word/HEAD. READ first: if this process dies before it clears the word, the next receiver does. */
static inline void isth__pass(isthmus_receiver *r, uint32_t blocks, uint32_t index) {
  r->head += blocks;
  isth__put(r->ring.words + ISTH__W_READ, r->head);
  isth__put(r->ring.commits + index, 0);
}

static isthmus_error isth__load_tail(isthmus_receiver *r, uint32_t *tail) {
  *tail = isth__load(r->ring.words + ISTH__W_TAIL);
  if (*tail - r->published > r->ring.blocks || (*tail - r->head) >> 31)
    return isth__damaged("its positions make no sense", *tail - r->published);
  return ISTHMUS_OK;
}

/* A record must lie between head and TAIL. */
static isthmus_error isth__require_claimed(isthmus_receiver *r, uint32_t blocks, uint32_t index) {
  if (blocks > 0 && (int32_t)(r->known_tail - r->head) > 0 && r->known_tail - r->head >= blocks) return ISTHMUS_OK;
  isthmus_error error = isth__load_tail(r, &r->known_tail);
  if (error != ISTHMUS_OK) {
    r->known_tail = r->head;
    return error;
  }
  if (blocks > 0 && r->known_tail - r->head >= blocks) return ISTHMUS_OK;
  /* One block further, so that the same word is not reported again and again. */
  isth__pass(r, r->head == r->known_tail ? 0 : 1, index);
  isth__publish_head(r);
  return isth__damaged("a record claims more blocks than senders did", blocks);
}

/* Passes over the record, and over padding behind it, so that a channel is empty when its last message was received. */
static inline void isth__pass_record(isthmus_receiver *r) {
  r->found = 0;
  isth__pass(r, r->blocks, r->index);
  for (int i = 0; i < 1024; i++) {
    uint32_t index = r->head & r->ring.mask, word = isth__load(r->ring.commits + index);
    if (!(word >> 31) || !(word & 1)) return;
    uint32_t blocks = ((uint32_t)0 - word) >> 1;
    /* What does not fit is found, and said, by the next call. */
    if (blocks == 0 || isth__load(r->ring.words + ISTH__W_TAIL) - r->head < blocks) return;
    isth__pass(r, blocks, index);
  }
}

static void isth__release(isthmus_receiver *r) {
  if (r->body >= 0) close(r->body);
  r->body = -1;
  isth__pass_record(r);
  isth__publish_head(r);
}

/* The body of an extended record: in the ring behind its header, or in the first of its descriptors. */
static isthmus_error isth__open_extended(isthmus_receiver *r) {
  uint32_t header[4];
  uint64_t length;
  const unsigned char *from = r->ring.data + ((size_t)r->index << 6);
  memcpy(header, from, sizeof header);
  memcpy(&length, from + 16, 8);
  int fd = -1;
  if (header[0] & ISTH__WITH_FDS) {
    if (header[3] < 1 || header[3] > ISTH__MOST_FDS) return isth__damaged("a record claims too many descriptors", header[3]);
    isthmus_error error = isth__take_first(r, header[1], header[2], header[3], &fd);
    if (error != ISTHMUS_OK) return error;
  }
  if (!(header[0] & ISTH__OUTSIDE)) {
    if (fd >= 0) close(fd);
    if (length != r->length - ISTH__EXTENDED) return isth__damaged("a record claims another length than it has", length);
    r->skip = ISTH__EXTENDED;
    return ISTHMUS_OK;
  }
  if (fd < 0) return isth__damaged("a record claims a body elsewhere, and sends no memory", length);
  struct stat status;
  int seals = fcntl(fd, F_GET_SEALS);
  if (seals < 0 || (seals & (ISTH__SEALS | ISTH__SEAL_WRITE)) != (ISTH__SEALS | ISTH__SEAL_WRITE) ||
      (fcntl(fd, F_GETFL) & O_ACCMODE) == O_WRONLY || fstat(fd, &status) < 0 || (uint64_t)status.st_size != length) {
    close(fd);
    return isth__damaged("the memory of a message is not sealed, or of another length", length);
  }
  if (length > ISTH__LARGE && (uint64_t)status.st_blocks * 512 < length) {
    close(fd);
    return isth__damaged("a message claims bytes that nobody wrote", length);
  }
  r->outside = 1;
  r->body = fd;
  r->body_length = length;
  return ISTHMUS_OK;
}

static isthmus_error isth__locate(isthmus_receiver *r, uint32_t index, uint32_t length, int extended) {
  uint32_t blocks = isth__blocks_for(length);
  if ((int32_t)(r->known_tail - r->head) < (int32_t)blocks) {
    isthmus_error error = isth__require_claimed(r, blocks, index);
    if (error != ISTHMUS_OK) return error;
  }
  r->index = index, r->length = length, r->blocks = blocks;
  r->skip = 0, r->outside = 0;
  isthmus_error error = ISTHMUS_OK;
  if (extended) {
    error = length < ISTH__EXTENDED ? isth__damaged("an extended record has no room for its header", length)
                                    : isth__open_extended(r);
  } else if (length > ISTH__LARGE) {
    struct stat status;
    if (fstat(r->ring.fd, &status) == 0 && (uint64_t)status.st_blocks * 512 < length)
      error = isth__damaged("a record claims bytes that nobody wrote", length);
  }
  uint64_t whole = r->outside ? r->body_length : length - r->skip;
  if (error == ISTHMUS_OK && r->most_bytes != 0 && whole > r->most_bytes)
    error = isth__fail(ISTHMUS_TOO_LARGE, "Cannot receive a message of %llu bytes: at most %zu are allowed here; it is "
                       "dropped", (unsigned long long)whole, r->most_bytes);
  if (error != ISTHMUS_OK) isth__release(r);
  else r->found = 1;
  return error;
}

/* The record at the head, if it is whole: r->found. */
static inline isthmus_error isth__next(isthmus_receiver *r) {
  if (r->found) return ISTHMUS_OK;
  for (int i = 0; i < 1024; i++) {
    uint32_t index = r->head & r->ring.mask, word = isth__load(r->ring.commits + index);
    if (word == 0) return ISTHMUS_OK;
    if (word < 1u << 31) return isth__locate(r, index, word - 1, 0);
    uint32_t size = (uint32_t)0 - word;
    if ((size & 1) == 0) return isth__locate(r, index, size >> 1, 1);
    isthmus_error error = isth__require_claimed(r, size >> 1, index);
    if (error != ISTHMUS_OK) return error;
    isth__pass(r, size >> 1, index);
    isth__publish_head(r);
  }
  r->unfinished = 1;
  return ISTHMUS_OK;
}

/* Blocks from the head on that nobody who lives has claimed, of a gap. */
static uint32_t isth__unclaimed(isthmus_receiver *r, uint32_t gap) {
  uint32_t *words = r->ring.words, end = gap;
  int64_t until = isth__now() + 1000000;
  for (uint32_t i = 0; i < ISTH__SLOTS; i++) {
    uint32_t at = ISTH__W_SLOTS + i * ISTH__SLOT_WORDS, tid = isth__load(words + at);
    if (tid == 0 || tid >> 31) continue; /* who is just taking it has claimed nothing yet */
    uint32_t blocks = isth__load(words + at + ISTH__CLAIM_BLOCKS);
    if (blocks == 0 || blocks >> 31) continue;
    uint32_t start = isth__load(words + at + ISTH__CLAIM_POSITION) - r->head;
    if (start >= end) continue; /* before the head, or behind what is known to be claimed */
    /* Finding out takes time, and a peer may name many: the others count as living, and are looked at the next time. */
    if (isth__now() >= until || isth__identity_lives(&r->ring, at)) end = start;
  }
  return end;
}

/* Steps over claims of dead senders at the head. *worth: whether to look for a message again. */
static isthmus_error isth__recover(isthmus_receiver *r, int all_gone, int *worth) {
  uint32_t tail, gap = 0;
  *worth = 0;
  isthmus_error error = isth__load_tail(r, &tail);
  if (error != ISTHMUS_OK) return error;
  uint32_t most = tail - r->head;
  if (most > 65536) most = 65536;
  while (gap < most && isth__load(r->ring.commits + ((r->head + gap) & r->ring.mask)) == 0) gap++;
  *worth = most > 0;
  if (gap == 0) return ISTHMUS_OK;
  uint32_t skip = all_gone ? gap : isth__unclaimed(r, gap);
  *worth = skip > 0;
  /* pair: commit/record. Who committed after the first look and then died, or moved on, left its word by now. */
  for (uint32_t i = 0; i < skip; i++)
    if (isth__load(r->ring.commits + ((r->head + i) & r->ring.mask)) != 0) return ISTHMUS_OK;
  if (skip == 0) return ISTHMUS_OK;
  /* pair: gap/READ. The entry, its number, then READ: a sender that was killed finds out later what became of its claim. */
  uint32_t gaps = isth__load(r->ring.words + ISTH__W_GAPS);
  uint32_t *entry = r->ring.words + ISTH__W_GAP_LOG + 2 * (gaps % ISTH__LOGGED_GAPS);
  isth__put(entry, r->head);
  isth__put(entry + 1, skip);
  isth__store(r->ring.words + ISTH__W_GAPS, gaps + 1);
  r->head += skip;
  isth__store(r->ring.words + ISTH__W_READ, r->head);
  isth__publish_head(r);
  r->orphans = r->ring.path == NULL;
  return ISTHMUS_OK;
}

/* Looks at a gap less and less often. */
static isthmus_error isth__look_at_gap(isthmus_receiver *r, int *worth) {
  int64_t now = isth__now();
  *worth = 0;
  if (r->gap_position != r->head || r->gap_pause == 0) {
    r->gap_position = r->head;
    r->gap_pause = 500000;
    r->gap_at = now;
    return ISTHMUS_OK; /* most likely its sender is just writing */
  }
  if (now - r->gap_at < r->gap_pause) return ISTHMUS_OK;
  r->gap_at = now;
  r->gap_pause = r->gap_pause * 2 > 50000000 ? 50000000 : r->gap_pause * 2;
  return isth__recover(r, 0, worth);
}

/* Closes descriptors of records that never came, once nothing is claimed any more. */
static void isth__close_orphans(isthmus_receiver *r) {
  if (!r->orphans) return;
  for (int i = 0; i < 512; i++) {
    int read = isth__read_packet(r);
    if (read < 0) return;
    if (read > 0) continue;
    if (isth__load(r->ring.words + ISTH__W_TAIL) == r->head) {
      r->orphans = 0;
      isth__drop_arrived(r);
    }
    return;
  }
}

/* An empty ring goes on at its first blocks, which are in the caches. */
static void isth__go_back(isthmus_receiver *r) {
  uint32_t index = r->head & r->ring.mask;
  if (index <= ISTH__WARM || r->lent != NULL) return;
  uint32_t until = r->head + (r->ring.blocks - index);
  if (isth__swap(r->ring.words + ISTH__W_TAIL, r->head, until) != r->head) return;
  r->head = r->known_tail = until;
  isth__store(r->ring.words + ISTH__W_READ, until);
  isth__publish_head(r);
}

/* No sender is left: what is committed still counts, what is not never will be. */
static isthmus_error isth__drain_last(isthmus_receiver *r) {
  isthmus_error error;
  if (!r->has_last_tail) {
    r->has_last_tail = 1;
    r->last_tail = r->head; /* for the case that it makes no sense, which is said once */
    error = isth__load_tail(r, &r->last_tail);
    if (error != ISTHMUS_OK) {
      r->last_tail = r->head;
      return error;
    }
  }
  int64_t until = isth__now() + 1000000;
  do {
    int worth = 0;
    if ((int32_t)(r->last_tail - r->head) <= 0) break;
    error = isth__next(r);
    if (error != ISTHMUS_OK || r->found) return error;
    if (!r->unfinished) {
      error = isth__recover(r, 1, &worth);
      if (error != ISTHMUS_OK) return error;
      if (!worth) break;
    }
    r->unfinished = 0;
    if (isth__now() >= until) return ISTHMUS_OK;
  } while (1);
  return isth__say(ISTHMUS_DISCONNECTED, "Cannot receive: every sender is gone, and all that they sent was received");
}

/* Looks for a message without waiting, and deals with gaps and the end of the senders. */
static isthmus_error isth__look(isthmus_receiver *r) {
  if (r->lent != NULL && r->lent->returned) isth__publish_head(r);
  isthmus_error error = isth__next(r);
  if (error != ISTHMUS_OK || r->found) return error;
  if (r->unfinished) {
    r->unfinished = 0;
    return ISTHMUS_OK;
  }
  if (r->ring.path == NULL) {
    isth__close_orphans(r);
    if (isth__poll(r->ring.bell, 0, 0) & POLLHUP) return isth__drain_last(r);
  }
  uint32_t tail;
  error = isth__load_tail(r, &tail);
  if (error != ISTHMUS_OK) return error;
  if (tail != r->head) {
    int worth;
    error = isth__look_at_gap(r, &worth);
    return error == ISTHMUS_OK && worth ? isth__next(r) : error;
  }
  isth__go_back(r);
  return ISTHMUS_OK;
}

/* Declares that this receiver waits for its bell; *pause: nanoseconds after which to look in any case. */
static isthmus_error isth__begin_wait(isthmus_receiver *r, int64_t *pause) {
  int worth;
  uint32_t tail;
  *pause = ISTH__FOREVER;
  if (r->lent != NULL && r->lent->returned) isth__publish_head(r);
  isth__go_back(r);
  if (r->ring_after != 0 && isth__load(r->ring.words + ISTH__W_SPACE) != 0) {
    r->ring_after = 0;
    isth__publish_head(r);
  }
  r->ticket = (r->ticket + 1) & 0x3FFFFFFF;
  if (r->ticket == 0) r->ticket = 1;
  /* pair: commit/BELL. BELL is stored, then the word loaded. */
  isth__store(r->ring.words + ISTH__W_BELL, r->ticket);
  if (r->ring.path == NULL) isth__close_orphans(r);
  isthmus_error error = isth__load_tail(r, &tail);
  if (error == ISTHMUS_OK && tail != r->head) error = isth__look_at_gap(r, &worth);
  if (tail != r->head) *pause = r->gap_pause > 0 ? r->gap_pause : 500000;
  if (error == ISTHMUS_OK) error = isth__next(r);
  return error;
}

static void isth__end_wait(isthmus_receiver *r) { isth__store(r->ring.words + ISTH__W_BELL, 0); }

/* The next message, waiting for it: r->found. */
static isthmus_error isth__await(isthmus_receiver *r, int timeout_ms) {
  isthmus_error error = isth__next(r);
  if (error != ISTHMUS_OK || r->found) return error;
  if (timeout_ms == 0) {
    error = isth__look(r);
    if (error != ISTHMUS_OK || r->found) return error;
    return isth__say(ISTHMUS_TIMEOUT, "Cannot receive: nothing was sent");
  }
  int64_t deadline = isth__deadline(timeout_ms);
  for (;;) {
    /* Looking some times pays only while messages come quickly. */
    const uint32_t *word = r->ring.commits + (r->head & r->ring.mask);
    for (int i = 0; i < r->polls; i++) {
      if (isth__load(word) != 0) break;
      isth__breath();
    }
    error = isth__next(r);
    if (error != ISTHMUS_OK) return error;
    if (r->found) {
      r->in_vain = 0;
      return ISTHMUS_OK;
    }
    int64_t pause, began = isth__now();
    error = isth__begin_wait(r, &pause);
    if (error != ISTHMUS_OK || r->found || r->unfinished) {
      isth__end_wait(r);
      r->unfinished = 0;
      if (error != ISTHMUS_OK || r->found) return error;
      if (isth__now() >= deadline) return isth__say(ISTHMUS_TIMEOUT, "Cannot receive: nothing was sent in time");
      continue;
    }
    if (r->lent != NULL && r->lent->returned) isth__publish_head(r);
    int events = isth__poll(r->ring.bell, POLLIN, pause < deadline - began ? began + pause : deadline);
    isth__end_wait(r);
    if (events & POLLIN) isth__drain_bell(r->ring.bell);
    int64_t now = isth__now();
    /* A short sleep says that looking would have paid, or that it keeps the peer from running: three times are no accident. */
    if (now - began >= 200000) r->polls = r->polls > 40 ? r->polls / 2 : 20;
    else r->polls = ++r->in_vain < 3 || r->in_vain % 64 == 0 ? 400 : 20;
    if (!(events & POLLIN) || (events & POLLHUP) || now >= deadline) {
      error = isth__look(r);
      if (error != ISTHMUS_OK || r->found) return error;
      if (now >= deadline) return isth__say(ISTHMUS_TIMEOUT, "Cannot receive: nothing was sent in time");
    }
  }
}

isthmus_error isthmus_receive(isthmus_receiver *r, void *buffer, size_t size, size_t *length, int timeout_ms) {
  if (r == NULL || (buffer == NULL && size > 0)) return isth__say(ISTHMUS_INVALID, "Cannot receive: an argument is NULL");
  isthmus_error error = isth__await(r, timeout_ms);
  if (error != ISTHMUS_OK) return error;
  size_t whole = r->outside ? (size_t)r->body_length : r->length - r->skip;
  if (length != NULL) *length = whole;
  if (whole > size)
    return isth__fail(ISTHMUS_TOO_SMALL, "Cannot receive a message of %zu bytes into a buffer of %zu", whole, size);
  if (!r->outside) {
    if (whole > 0) memcpy(buffer, r->ring.data + ((size_t)r->index << 6) + r->skip, whole);
  } else {
    for (size_t at = 0; at < whole;) {
      /* Not by the position, which who sent the file shares. */
      ssize_t got = pread(r->body, (char *)buffer + at, whole - at, (off_t)at);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) {
        error = got < 0 ? isth__system("Cannot read a message") : isth__damaged("a message was cut short", at);
        break;
      }
      at += (size_t)got;
    }
  }
  isth__release(r);
  return error;
}

isthmus_error isthmus_wait(isthmus_receiver *r, size_t *length, int timeout_ms) {
  if (r == NULL) return isth__say(ISTHMUS_INVALID, "Cannot wait: the receiver is NULL");
  isthmus_error error = isth__await(r, timeout_ms);
  if (error == ISTHMUS_OK && length != NULL) *length = r->outside ? (size_t)r->body_length : r->length - r->skip;
  return error;
}

isthmus_error isthmus_borrow(isthmus_receiver *r, isthmus_borrowed *message, int timeout_ms) {
  if (r == NULL || message == NULL) return isth__say(ISTHMUS_INVALID, "Cannot borrow: an argument is NULL");
  memset(message, 0, sizeof *message);
  isthmus_error error = isth__await(r, timeout_ms);
  if (error != ISTHMUS_OK) return error;
  isth__lent *lent = r->unused;
  if (lent != NULL) r->unused = lent->next;
  else lent = (isth__lent *)malloc(sizeof *lent);
  if (lent == NULL) return isth__system("Cannot borrow a message");
  memset(lent, 0, sizeof *lent);
  lent->position = r->head;
  if (r->outside) {
    lent->mapped_length = (size_t)r->body_length;
    lent->mapped = mmap(NULL, lent->mapped_length, PROT_READ, MAP_PRIVATE, r->body, 0);
    if (lent->mapped == MAP_FAILED) {
      error = isth__system("Cannot map a message of %zu bytes", lent->mapped_length);
      lent->next = r->unused;
      r->unused = lent;
      return error;
    }
    message->data = lent->mapped;
    message->length = lent->mapped_length;
    close(r->body);
    r->body = -1;
  } else {
    message->data = r->ring.data + ((size_t)r->index << 6) + r->skip;
    message->length = r->length - r->skip;
  }
  message->private_ = lent;
  if (r->lent_end != NULL) r->lent_end->next = lent;
  else r->lent = lent;
  r->lent_end = lent;
  isth__pass_record(r);
  return ISTHMUS_OK;
}

void isthmus_give_back(isthmus_receiver *r, isthmus_borrowed *message) {
  if (r == NULL || message == NULL || message->private_ == NULL) return;
  isth__lent *lent = (isth__lent *)message->private_;
  memset(message, 0, sizeof *message);
  lent->returned = 1;
  if (lent->mapped != NULL) munmap(lent->mapped, lent->mapped_length);
  lent->mapped = NULL;
  if (lent == r->lent) isth__publish_head(r);
}

isthmus_error isthmus_arm(isthmus_receiver *r, int *fd, int *timeout_ms) {
  if (r == NULL || fd == NULL || timeout_ms == NULL) return isth__say(ISTHMUS_INVALID, "Cannot arm: an argument is NULL");
  int64_t pause;
  *fd = r->ring.bell;
  *timeout_ms = -1;
  isthmus_error error = isth__begin_wait(r, &pause);
  if (error != ISTHMUS_OK || r->found || r->unfinished) {
    isth__end_wait(r);
    return error;
  }
  if (pause != ISTH__FOREVER) *timeout_ms = (int)((pause + 999999) / 1000000);
  return ISTHMUS_TIMEOUT;
}

void isthmus_disarm(isthmus_receiver *r) {
  if (r == NULL) return;
  isth__end_wait(r);
  isth__drain_bell(r->ring.bell);
}

/* Goes on where the last receiver stopped, even if it was killed before it released what it had received. */
static void isth__resume(isthmus_receiver *r) {
  uint32_t *words = r->ring.words;
  r->published = r->head = isth__load(words + ISTH__W_HEAD);
  uint32_t read = isth__load(words + ISTH__W_READ), tail = isth__load(words + ISTH__W_TAIL);
  uint32_t received = read - r->published, used = tail - r->published;
  if (received > used || used > r->ring.blocks) return; /* damaged: the first look at the tail says so */
  for (uint32_t i = 0; i < received; i++) isth__put(r->ring.commits + ((r->published + i) & r->ring.mask), 0);
  r->head = r->published = read;
  isth__store(words + ISTH__W_HEAD, read);
}

/* Takes over the ring, also if it fails. */
static isthmus_error isth__new_receiver(isth__ring *ring, const isthmus_options *options, isthmus_receiver **receiver) {
  isthmus_receiver *r = (isthmus_receiver *)calloc(1, sizeof *r);
  *receiver = NULL;
  if (r == NULL) {
    isthmus_error error = isth__system("Cannot make a receiver");
    isth__close_ring(ring);
    return error;
  }
  /* On a file system without such locks, by the number of the process alone. */
  if (!isth__claim_identity(ring, ISTH__W_CONSUMER, 1, ring->lock) &&
      (ring->path == NULL || !isth__claim_identity(ring, ISTH__W_CONSUMER, 1, -1))) {
    isthmus_error error = isth__fail(ISTHMUS_ALREADY_EXISTS, "Cannot receive from \"%s\": the channel has a receiver "
                                     "already", ring->path == NULL ? "" : ring->path);
    isth__close_ring(ring);
    free(r);
    return error;
  }
  r->ring = *ring;
  r->body = -1;
  r->polls = 400;
  r->orphans = ring->path == NULL;
  r->most_bytes = options == NULL ? 0 : options->most_bytes;
  isth__resume(r);
  r->known_tail = r->head;
  /* The one before may have died while it gave memory back. */
  if (ring->path != NULL) isth__add(ring->words + ISTH__W_TRIMS, 1);
  uint32_t bell = isth__load(ring->words + ISTH__W_BELL);
  if (bell != 0 && bell != ISTH__CLOSED) isth__end_wait(r); /* the flag of an earlier receiver's wait */
  *receiver = r;
  return ISTHMUS_OK;
}

isthmus_error isthmus_receiver_open(const char *path, const isthmus_options *options, isthmus_receiver **receiver) {
  isth__ring ring;
  if (receiver == NULL) return isth__say(ISTHMUS_INVALID, "Cannot open a receiver: an argument is NULL");
  *receiver = NULL;
  isthmus_error error = isth__open_named(&ring, path, options);
  return error == ISTHMUS_OK ? isth__new_receiver(&ring, options, receiver) : error;
}

/* Asked once nobody else is attached: a sender may have come, sent and gone until then. */
static void isth__leave_named(isth__ring *ring) {
  if (ring->path == NULL || !isth__lock_file(ring->lock, LOCK_EX)) return;
  if (isth__load(ring->words + ISTH__W_HEAD) == isth__load(ring->words + ISTH__W_TAIL))
    isth__remove_named(ring->path, ring->lock);
}

void isthmus_receiver_close(isthmus_receiver *r) {
  if (r == NULL) return;
  while (r->lent != NULL) { /* what was borrowed was received */
    isth__lent *next = r->lent->next;
    if (r->lent->mapped != NULL) munmap(r->lent->mapped, r->lent->mapped_length);
    free(r->lent);
    r->lent = next;
  }
  r->lent_end = NULL;
  while (r->unused != NULL) {
    isth__lent *next = r->unused->next;
    free(r->unused);
    r->unused = next;
  }
  if (r->body >= 0) close(r->body);
  isth__publish_head(r);
  isth__store(r->ring.words + ISTH__W_BELL, r->ring.path == NULL ? ISTH__CLOSED : 0);
  isth__clear_identity(&r->ring, ISTH__W_CONSUMER, r->ring.path == NULL ? -1 : r->ring.lock);
  isth__leave_named(&r->ring);
  isth__drop_arrived(r);
  isth__close_all(r->bells, (size_t)r->bell_count);
  isth__close_ring(&r->ring);
  free(r);
}

/* --- Servers, and the program that started this one --------------------------------------------------------------- */

/* What a channel without a name needs: the memory, a pipe, a pair of sockets. */
static isthmus_error isth__make_channel(size_t capacity, isth__ring *ring, int there[3], int sending) {
  uint32_t blocks = 0, header[5];
  int pipes[2] = {-1, -1}, sockets[2] = {-1, -1};
  isth__empty_ring(ring);
  isthmus_error error = isth__blocks_of(capacity, &blocks);
  if (error != ISTHMUS_OK) return error;
  ring->fd = isth__memory_file("isthmus-ring");
  isth__write_header(header, blocks, ring->own.space);
  if (ring->fd < 0 || ftruncate(ring->fd, (off_t)isth__ring_size(blocks)) < 0 ||
      pwrite(ring->fd, header, sizeof header, 0) != (ssize_t)sizeof header ||
      fcntl(ring->fd, F_ADD_SEALS, ISTH__SEALS) < 0 || pipe2(pipes, O_CLOEXEC | O_NONBLOCK) < 0 ||
      fchmod(pipes[0], 0666) < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) < 0)
    error = isth__system("Cannot make a channel");
  else error = isth__map_ring(ring, blocks);
  ring->bell = pipes[sending ? 1 : 0];
  ring->room = sockets[0];
  there[0] = ring->fd;
  there[1] = pipes[sending ? 0 : 1];
  there[2] = sockets[1];
  if (error != ISTHMUS_OK) {
    isth__close_all(there + 1, 2);
    isth__close_ring(ring);
    isth__empty_ring(ring);
  }
  return error;
}

static isthmus_error isth__greet(const char *name, const int fds[6], const unsigned char *token) {
  struct sockaddr_un address;
  unsigned char hello[32];
  size_t length = strlen(name);
  memset(&address, 0, sizeof address);
  address.sun_family = AF_UNIX;
  if (length == 0 || length > sizeof address.sun_path - 1 || strcmp(name, "@") == 0)
    return isth__fail(ISTHMUS_INVALID, "Cannot connect to \"%s\": a name has 1 to 107 bytes", name);
  memcpy(address.sun_path, name, length);
  if (name[0] == '@') address.sun_path[0] = 0;
  int line = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), done;
  if (line < 0) return isth__system("Cannot connect to \"%s\"", name);
  socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + (name[0] == '@' ? 0 : 1));
  do done = connect(line, (struct sockaddr *)&address, size);
  while (done < 0 && errno == EINTR);
  uint32_t numbers[2] = {ISTH__VERSION, 2};
  memcpy(hello, "ISTHHELO", 8);
  memcpy(hello + 8, numbers, 8);
  if (token != NULL) memcpy(hello + 16, token, 16);
  isthmus_error error = ISTHMUS_OK;
  if (done < 0 && (errno == ECONNREFUSED || errno == ENOENT)) {
    error = isth__fail(ISTHMUS_NOT_FOUND, "Cannot connect to \"%s\": nobody listens there (any more)", name);
  } else if (done < 0) {
    error = isth__system("Cannot connect to \"%s\"", name);
  } else {
    int sent = isth__send_packet(line, hello, token == NULL ? 16 : 32, fds, 6);
    if (sent < 0 && (errno == EPIPE || errno == ECONNRESET))
      error = isth__fail(ISTHMUS_NOT_FOUND, "Cannot connect to \"%s\": the server went away", name);
    else if (sent < 0) error = isth__system("Cannot connect to \"%s\"", name);
    else if (sent == 0) error = isth__fail(ISTHMUS_SYSTEM, "Cannot connect to \"%s\": its queue is full", name);
  }
  close(line);
  return error;
}

static isthmus_error isth__converse(const char *name, size_t capacity, const unsigned char *token,
                                    const isthmus_options *options, isthmus_sender **sender,
                                    isthmus_receiver **receiver) {
  isth__ring out, in;
  int fds[6];
  isthmus_error error = isth__make_channel(capacity, &out, fds, 1);
  if (error != ISTHMUS_OK) return error;
  error = isth__make_channel(capacity, &in, fds + 3, 0);
  if (error == ISTHMUS_OK) {
    /* Before the greeting, so that the server finds ends that are at work. */
    error = isth__new_receiver(&in, options, receiver);
    if (error != ISTHMUS_OK) {
      isth__close_all(fds + 4, 2);
    } else {
      error = isth__new_sender(&out, sender);
      if (error == ISTHMUS_OK) error = isth__greet(name, fds, token);
      isth__close_all(fds + 4, 2);
      isth__close_all(fds + 1, 2);
      if (error != ISTHMUS_OK) {
        isthmus_sender_close(*sender);
        isthmus_receiver_close(*receiver);
        *sender = NULL;
        *receiver = NULL;
      }
      return error;
    }
  }
  isth__close_all(fds + 1, 2);
  isth__close_ring(&out);
  return error;
}

/* The part of a fresh name behind its "#", or 0; *known: it is that of a server for conversations. */
static size_t isth__asked_capacity(const char *name, int *other) {
  const char *mark = strrchr(name, '#');
  *other = strncmp(name, "@isthmus-one-shot-", 18) == 0;
  if (mark == NULL || (strncmp(name, "@isthmus-server-", 16) != 0 && strncmp(name, "@isthmus-bytes-server-", 22) != 0))
    return 0;
  return (size_t)strtoull(mark + 1, NULL, 10);
}

isthmus_error isthmus_connect(const char *name, const isthmus_options *options, isthmus_sender **sender,
                              isthmus_receiver **receiver) {
  int other;
  if (sender == NULL || receiver == NULL || name == NULL)
    return isth__say(ISTHMUS_INVALID, "Cannot connect: an argument is NULL");
  *sender = NULL;
  *receiver = NULL;
  size_t asked = isth__asked_capacity(name, &other);
  if (other)
    return isth__fail(ISTHMUS_INCOMPATIBLE, "Cannot connect to \"%s\": it is the name of a server for one channel", name);
  return isth__converse(name, options != NULL && options->capacity != 0 ? options->capacity : asked, NULL, options,
                        sender, receiver);
}

isthmus_error isthmus_parent(isthmus_sender **sender, isthmus_receiver **receiver) {
  if (sender == NULL || receiver == NULL) return isth__say(ISTHMUS_INVALID, "Cannot find the parent: an argument is NULL");
  *sender = NULL;
  *receiver = NULL;
  const char *text = getenv("ISTHMUS_PARENT");
  if (text == NULL)
    return isth__say(ISTHMUS_NOT_FOUND, "Cannot find the parent: ISTHMUS_PARENT is not set; start the program by spawn()");
  char name[108];
  unsigned char token[16];
  const char *mark = strchr(text, ':');
  size_t length = mark == NULL ? 0 : (size_t)(mark - text), capacity = 0;
  int right = text[0] == '@' && length >= 2 && length <= 107 && strspn(mark + 1, "0123456789abcdef") == 32;
  if (right && mark[33] == ':') {
    char *end;
    capacity = (size_t)strtoull(mark + 34, &end, 10);
    right = mark[34] >= '1' && mark[34] <= '9' && *end == 0;
  } else if (right) {
    right = mark[33] == 0;
  }
  if (!right)
    return isth__say(ISTHMUS_NOT_FOUND, "Cannot find the parent: ISTHMUS_PARENT holds something else than what spawn() "
                     "sets");
  memcpy(name, text, length);
  name[length] = 0;
  for (int i = 0; i < 16; i++) {
    unsigned byte;
    if (sscanf(mark + 1 + 2 * i, "%2x", &byte) != 1) return isth__say(ISTHMUS_NOT_FOUND, "Cannot find the parent");
    token[i] = (unsigned char)byte;
  }
  static int taken; /* the parent may listen for a moment longer, and is not to be asked twice */
  if (__atomic_exchange_n(&taken, 1, __ATOMIC_ACQ_REL) != 0)
    return isth__say(ISTHMUS_NOT_FOUND, "Cannot find the parent: this program has its end of the conversation already");
  isthmus_error error = isth__converse(name, capacity, token, NULL, sender, receiver);
  if (error != ISTHMUS_OK) __atomic_store_n(&taken, 0, __ATOMIC_RELEASE);
  if (error == ISTHMUS_NOT_FOUND)
    return isth__say(error, "Cannot find the parent: it does not wait for this program (any more), or another process was "
                     "faster");
  return error;
}

/* --- Layouts of cells ---------------------------------------------------------------------------------------------- */

typedef struct {
  uint64_t size, align;
  int scalar;
} isth__layout;

/* Reads a layout at *text, and moves behind it. 0 if it is none. */
static int isth__parse_layout(const char **text, int depth, isth__layout *out) {
  static const struct {
    const char *name;
    int size;
  } scalars[] = {{"u8", 1}, {"i8", 1}, {"u16", 2}, {"i16", 2}, {"u32", 4}, {"i32", 4},
                 {"u64", 8}, {"i64", 8}, {"f32", 4}, {"f64", 8}, {"bool", 1}};
  const char *at = *text;
  if (depth > 100) return 0;
  for (size_t i = 0; i < sizeof scalars / sizeof scalars[0]; i++) {
    size_t length = strlen(scalars[i].name);
    if (strncmp(at, scalars[i].name, length) != 0) continue;
    out->size = out->align = (uint64_t)scalars[i].size;
    out->scalar = 1;
    *text = at + length;
    return 1;
  }
  out->scalar = 0;
  if (*at == '[') {
    char *end;
    if (at[1] < '1' || at[1] > '9') return 0;
    unsigned long long count = strtoull(at + 1, &end, 10);
    if (*end != ']' || count > 1u << 30) return 0;
    at = end + 1;
    isth__layout element;
    if (!isth__parse_layout(&at, depth + 1, &element) || element.size * count > 1u << 30) return 0;
    out->size = element.size * count;
    out->align = element.align;
    *text = at;
    return 1;
  }
  if (*at != '{') return 0;
  out->size = 0;
  out->align = 1;
  do {
    isth__layout field;
    if (*++at != '"') return 0;
    for (at++; *at != '"'; at++) {
      if (*at == '\\') at++;
      if (*at == 0) return 0;
    }
    if (*++at != ':') return 0;
    at++;
    if (!isth__parse_layout(&at, depth + 1, &field)) return 0;
    out->size = (out->size + field.align - 1) / field.align * field.align + field.size;
    if (field.align > out->align) out->align = field.align;
    if (out->size > 1u << 30) return 0;
  } while (*at == ',');
  if (*at != '}') return 0;
  out->size = (out->size + out->align - 1) / out->align * out->align;
  *text = at + 1;
  return 1;
}

static isthmus_error isth__layout_of(const char *text, isth__layout *layout) {
  const char *end = text;
  if (strlen(text) > 65536 || !isth__parse_layout(&end, 0, layout) || *end != 0)
    return isth__fail(ISTHMUS_INVALID, "Cannot read the layout \"%.200s\": it is a scalar's name, [length]element or {…}",
                      text);
  return ISTHMUS_OK;
}

/* FNV-1a, 64 bits; 1 in the place of 0. */
static uint64_t isth__fingerprint(const char *text) {
  uint64_t found = 0xCBF29CE484222325u;
  for (; *text != 0; text++) found = (found ^ (unsigned char)*text) * 0x100000001B3u;
  return found == 0 ? 1 : found;
}

/* --- The memory of a cell ------------------------------------------------------------------------------------------ */

/* Offsets of 32-bit words in bytes, as in arc/segment/header.ts. */
enum {
  ISTH__C_KIND = 12, ISTH__C_SIZE = 16, ISTH__C_REFERENCES = 24, ISTH__C_STATE = 28, ISTH__C_PRINT = 32, ISTH__C_COUNTER = 40,
  ISTH__C_WAITERS = 44, ISTH__C_LENGTHS = 48, ISTH__C_OFFSET = 56, ISTH__C_STRIDE = 60, ISTH__C_MUTEX = 64,
  ISTH__C_WATCHERS = 128, ISTH__C_STARVING = 132, ISTH__C_BELLS = 136, ISTH__C_TICKET = 140, ISTH__C_CAPACITY = 144,
  ISTH__C_WRITERS = 148, ISTH__C_TEXT = 156, ISTH__C_MARK = 164, ISTH__C_NAMESPACE = 168, ISTH__C_TABLE = 192,
  ISTH__C_VALUES = ISTH__C_TABLE + 32 * 256,
  ISTH__B_OWNER = 0, ISTH__B_START = 4, ISTH__B_NAMESPACE = 8, ISTH__B_WANTS = 12, ISTH__B_TICKET = 16,
  ISTH__WANTS_LOCK = 1, ISTH__WANTS_CHANGE = 2, ISTH__CELL_BELLS = 256,
  ISTH__PLACES = 0x10000000, ISTH__PLACE_COUNT = 65536
};

struct isthmus_cell {
  char *path, *layout;
  unsigned char *base;
  size_t size, capacity;
  uint32_t offset, stride;
  int fd;
  ino_t inode;
  dev_t device;
  unsigned mode;
  isth__identity own;
  int wide, atomic;   /* of a cell that is one integer of 4 or 8 bytes */
  pid_t holder;       /* the thread that has locked by this handle */
  int bell, bell_fd, bell_refused, watches;
};

struct isthmus_watch {
  isthmus_cell *cell;
  uint32_t counter;
  unsigned char *last, *copy;
  size_t length;
};

static uint32_t *isth__word(const isthmus_cell *c, size_t at) { return (uint32_t *)(void *)(c->base + at); }
static uint32_t *isth__bell_word(const isthmus_cell *c, uint32_t bell, size_t at) {
  return isth__word(c, ISTH__C_TABLE + 32 * (size_t)bell + at);
}
static pthread_mutex_t *isth__mutex(const isthmus_cell *c) {
  return (pthread_mutex_t *)(void *)(c->base + ISTH__C_MUTEX);
}

static uint32_t isth__mark(void) {
#ifdef __GLIBC__
  return 1u | (uint32_t)sizeof(pthread_mutex_t) << 8;
#else
  return 0;
#endif
}

static void isth__bell_path(const isthmus_cell *c, uint32_t bell, char path[64]) {
  snprintf(path, 64, "/dev/shm/isthmus-bell.%llx.%u", (unsigned long long)c->inode, bell);
}

static isthmus_error isth__cell_path(const char *name, char **path) {
  size_t length = name == NULL ? 0 : strlen(name);
  if (isth__mark() == 0) return isth__say(ISTHMUS_UNSUPPORTED, "Cannot use cells: they hold a mutex of glibc");
  if (length == 0 || length > 200 || strchr(name, '/') != NULL)
    return isth__say(ISTHMUS_INVALID, "Cannot use a cell: its name has 1 to 200 bytes, and no \"/\"");
  *path = isth__join("/dev/shm/isthmus.", name);
  return *path == NULL ? isth__system("Cannot use the cell \"%s\"", name) : ISTHMUS_OK;
}

/* Counts from now on as a holder. */
static int isth__join_cell(int fd) {
  uint32_t first = (uint32_t)(isth__now() / 64) % ISTH__PLACE_COUNT;
  for (uint32_t n = 0; n < ISTH__PLACE_COUNT; n++)
    if (isth__lock_byte(fd, ISTH__PLACES + (off_t)((first + n) % ISTH__PLACE_COUNT))) return 1;
  return 0;
}

/* How many others have locked bytes of a range, one each. */
static size_t isth__count_locked(int fd, off_t start, off_t end) {
  size_t count = 0;
  struct { off_t start, end; } ranges[64];
  int open_ranges = 1;
  ranges[0].start = start, ranges[0].end = end;
  while (open_ranges > 0) {
    off_t from = ranges[--open_ranges].start, to = ranges[open_ranges].end;
    struct flock lock;
    if (from >= to || isth__byte(fd, F_OFD_GETLK, F_WRLCK, from, to - from, &lock) < 0 || lock.l_type == F_UNLCK) continue;
    count++;
    off_t length = lock.l_len == 0 ? to - lock.l_start : lock.l_len;
    if (open_ranges > 60) continue;
    ranges[open_ranges].start = from, ranges[open_ranges++].end = lock.l_start;
    ranges[open_ranges].start = lock.l_start + length, ranges[open_ranges++].end = to;
  }
  return count;
}

/* Removes a cell that nobody else holds: its bells first, its name last. */
static void isth__remove_cell(const char *path, int fd) {
  struct stat status;
  char beginning[64];
  if (fstat(fd, &status) < 0) return;
  int length = snprintf(beginning, sizeof beginning, "isthmus-bell.%llx.", (unsigned long long)status.st_ino);
  DIR *folder = opendir("/dev/shm");
  if (folder != NULL) {
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
      if (strncmp(entry->d_name, beginning, (size_t)length) == 0) unlinkat(dirfd(folder), entry->d_name, 0);
    closedir(folder);
  }
  if (isth__is_at(path, fd)) unlink(path);
}

/* Attaches to a living cell's file; *fd is -1 if there is none. A dead one is removed on the way. */
static isthmus_error isth__open_cell_file(const char *name, const char *path, const isth__trust *trust, int *fd) {
  char magic[8];
  for (int i = 0; i < 2000; i++) {
    *fd = open(path, ISTH__OPEN);
    if (*fd < 0) {
      if (errno == ENOENT) return ISTHMUS_OK;
      return isth__system("Cannot load the cell \"%s\"", name);
    }
    struct stat status;
    memset(&status, 0, sizeof status);
    isthmus_error error = ISTHMUS_OK;
    if (fstat(*fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size == 0)
      error = isth__fail(ISTHMUS_CORRUPT, "Cannot load the cell \"%s\": its file was cut short to 0 bytes", name);
    else if (!S_ISREG(status.st_mode) || pread(*fd, magic, 8, 0) != 8 || memcmp(magic, "IPCARC\0\1", 8) != 0)
      error = isth__fail(ISTHMUS_INCOMPATIBLE, "Cannot load the cell \"%s\": its file is of another kind", name);
    if (error == ISTHMUS_OK) error = isth__check_owner(trust, *fd, path);
    if (error == ISTHMUS_OK && isth__lock_file(*fd, LOCK_EX)) {
      isth__remove_cell(path, *fd);
      if (isth__is_at(path, *fd))
        error = isth__fail(ISTHMUS_PERMISSION, "Cannot load the cell \"%s\": it is dead, and cannot be removed", name);
    } else if (error == ISTHMUS_OK && isth__lock_file(*fd, LOCK_SH) && isth__is_at(path, *fd)) {
      if (isth__join_cell(*fd)) return ISTHMUS_OK;
      error = isth__fail(ISTHMUS_SYSTEM, "Cannot load the cell \"%s\": it has too many attachments", name);
    } else if (error == ISTHMUS_OK) {
      isth__poll(-1, 0, isth__now() + 1000000); /* somebody is just removing it */
    }
    close(*fd);
    *fd = -1;
    if (error != ISTHMUS_OK) return error;
  }
  return isth__fail(ISTHMUS_TIMEOUT, "Cannot load the cell \"%s\": a process that removes it was stopped half-way", name);
}

static void isth__leave_cell(const char *path, int fd) {
  if (isth__lock_file(fd, LOCK_EX)) isth__remove_cell(path, fd);
  close(fd);
}

/* Maps a file by an open file of its own: a mapping keeps its one, and that its locks. */
static unsigned char *isth__map_apart(int fd, size_t size) {
  int apart = isth__reopen(fd, O_RDWR);
  if (apart < 0) return NULL;
  void *found = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, apart, 0);
  int number = errno;
  close(apart);
  errno = number;
  return found == MAP_FAILED ? NULL : (unsigned char *)found;
}

static uint32_t isth__at(const unsigned char *header, size_t at) {
  uint32_t word;
  memcpy(&word, header + at, 4);
  return word;
}

/* Checks the header, by a copy of its own, and makes the handle. Owns path and fd, also if it fails. */
static isthmus_error isth__attach_cell(const char *name, char *path, int fd, const char *layout, isthmus_cell **cell) {
  unsigned char header[192];
  struct stat status;
  isthmus_error error = ISTHMUS_OK;
  isthmus_cell *c = (isthmus_cell *)calloc(1, sizeof *c);
  uint64_t size = 0, print = 0;
  memset(header, 0, sizeof header); /* of a file that is cut short, the rest reads as 0 */
  if (c == NULL || fstat(fd, &status) < 0 || pread(fd, header, sizeof header, 0) < 0) {
    error = isth__system("Cannot load the cell \"%s\"", name);
  } else if (isth__at(header, 8) != 1) {
    error = isth__fail(ISTHMUS_INCOMPATIBLE, "Cannot load the cell \"%s\": it has format %u, and this header knows format 1",
                       name, isth__at(header, 8));
  } else if (isth__at(header, ISTH__C_MARK) != isth__mark()) {
    error = isth__fail(ISTHMUS_INCOMPATIBLE, "Cannot load the cell \"%s\": its lock is that of another C library or "
                       "processor", name);
  } else {
    memcpy(&size, header + ISTH__C_SIZE, 8);
    memcpy(&print, header + ISTH__C_PRINT, 8);
    uint32_t kind = isth__at(header, ISTH__C_KIND);
    c->capacity = isth__at(header, ISTH__C_CAPACITY);
    c->offset = isth__at(header, ISTH__C_OFFSET);
    c->stride = isth__at(header, ISTH__C_STRIDE);
    int scalar = c->stride == 0 && kind == 1 && (c->capacity == 1 || c->capacity == 2 || c->capacity == 4 || c->capacity == 8);
    int fits = size == (uint64_t)status.st_size && kind <= 1 && c->capacity > 0 && c->capacity <= (size_t)1 << 30 &&
               c->offset >= ISTH__C_VALUES && c->offset % 64 == 0 &&
               (scalar || (c->stride >= c->capacity && c->stride % 64 == 0)) &&
               (uint64_t)c->offset + c->stride + c->capacity <= size;
    if (!fits)
      error = isth__fail(ISTHMUS_CORRUPT, "Cannot load the cell \"%s\": the numbers in its header contradict one another",
                         name);
    uint32_t text = isth__at(header, ISTH__C_TEXT), length = isth__at(header, ISTH__C_TEXT + 4);
    int has_text = error == ISTHMUS_OK && text >= ISTH__C_VALUES && length > 0 && length <= 65536 &&
                   (uint64_t)text + length <= size;
    c->layout = (char *)calloc(1, has_text ? length + 1 : 1);
    if (c->layout == NULL || (has_text && pread(fd, c->layout, length, text) != (ssize_t)length))
      error = isth__system("Cannot load the cell \"%s\"", name);
    isth__layout wanted;
    if (error == ISTHMUS_OK && layout != NULL) error = isth__layout_of(layout, &wanted);
    if (error == ISTHMUS_OK && layout != NULL &&
        (kind != 1 || print != isth__fingerprint(layout) || wanted.size != c->capacity || wanted.scalar != (c->stride == 0)))
      error = isth__fail(ISTHMUS_INCOMPATIBLE, "Cannot load the cell \"%s\" with the layout %.200s: it has %.200s", name,
                         layout, kind == 1 ? c->layout : "CBOR values");
  }
  if (error == ISTHMUS_OK) {
    c->base = isth__map_apart(fd, (size_t)size);
    if (c->base == NULL) error = isth__system("Cannot map the cell \"%s\"", name);
  }
  if (error != ISTHMUS_OK) {
    isth__leave_cell(path, fd);
    if (c != NULL) free(c->layout);
    free(c);
    free(path);
    return error;
  }
  c->path = path;
  c->fd = fd;
  c->size = (size_t)size;
  c->inode = status.st_ino;
  c->device = status.st_dev;
  c->mode = status.st_mode & 0777;
  c->own = isth__self();
  c->bell = c->bell_fd = -1;
  const char *kinds[] = {"u32", "i32", "u64", "i64"};
  for (int i = 0; i < 4; i++)
    if (strcmp(c->layout, kinds[i]) == 0 && c->stride == 0 && c->capacity == (size_t)(i < 2 ? 4 : 8)) {
      c->atomic = 1;
      c->wide = i >= 2;
    }
  isth__store(isth__word(c, ISTH__C_REFERENCES), (uint32_t)isthmus_cell_holders(c));
  if (isth__load(isth__word(c, ISTH__C_NAMESPACE)) != c->own.space) isth__store(isth__word(c, ISTH__C_NAMESPACE), 0);
  *cell = c;
  return ISTHMUS_OK;
}

static size_t isth__up(size_t length) { return (length + 63) / 64 * 64; }

static void isth__put_at(unsigned char *base, size_t at, uint32_t word) { memcpy(base + at, &word, 4); }

/* Fills a new cell in a file that nobody can find yet. */
static int isth__fill_cell(unsigned char *base, size_t size, const char *text, int scalar, size_t capacity,
                           const void *value, size_t length, uint32_t space) {
  size_t text_length = text == NULL ? 0 : strlen(text), offset = isth__up(ISTH__C_VALUES + text_length);
  uint64_t size64 = size, print = text == NULL ? 0 : isth__fingerprint(text);
  pthread_mutexattr_t attributes;
  memcpy(base, "IPCARC\0\1", 8);
  isth__put_at(base, 8, 1);
  isth__put_at(base, ISTH__C_KIND, text != NULL);
  memcpy(base + ISTH__C_SIZE, &size64, 8);
  isth__put_at(base, ISTH__C_REFERENCES, 1);
  memcpy(base + ISTH__C_PRINT, &print, 8);
  isth__put_at(base, ISTH__C_LENGTHS, (uint32_t)length);
  isth__put_at(base, ISTH__C_LENGTHS + 4, (uint32_t)length);
  isth__put_at(base, ISTH__C_OFFSET, (uint32_t)offset);
  isth__put_at(base, ISTH__C_STRIDE, scalar ? 0 : (uint32_t)isth__up(capacity));
  isth__put_at(base, ISTH__C_CAPACITY, (uint32_t)capacity);
  isth__put_at(base, ISTH__C_TEXT, text == NULL ? 0 : ISTH__C_VALUES);
  isth__put_at(base, ISTH__C_TEXT + 4, (uint32_t)text_length);
  isth__put_at(base, ISTH__C_MARK, isth__mark());
  isth__put_at(base, ISTH__C_NAMESPACE, space);
  if (text_length > 0) memcpy(base + ISTH__C_VALUES, text, text_length);
  if (length > 0) memcpy(base + offset, value, length);
  int failed = pthread_mutexattr_init(&attributes);
  if (failed == 0) failed = pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  if (failed == 0) failed = pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  if (failed == 0) failed = pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_NORMAL);
  if (failed == 0) failed = pthread_mutex_init((pthread_mutex_t *)(void *)(base + ISTH__C_MUTEX), &attributes);
  isth__put_at(base, ISTH__C_STATE, 1);
  return failed;
}

static isth__trust isth__cell_trust(const isthmus_cell_options *options) {
  isthmus_options as;
  memset(&as, 0, sizeof as);
  if (options != NULL) {
    as.mode = options->mode;
    as.trust_anyone = options->trust_anyone;
    as.trust = options->trust;
    as.trust_count = options->trust_count;
  }
  return isth__trust_of(&as);
}

isthmus_error isthmus_cell_create(const char *name, const isthmus_cell_options *options, const void *value,
                                  size_t length, isthmus_cell **cell) {
  char *path;
  isth__layout layout = {0, 0, 0};
  const char *text = options == NULL ? NULL : options->layout;
  size_t capacity = options == NULL || options->capacity == 0 ? 65536 : options->capacity;
  isth__trust trust = isth__cell_trust(options);
  if (cell == NULL || (value == NULL && length > 0))
    return isth__say(ISTHMUS_INVALID, "Cannot create a cell: an argument is NULL");
  *cell = NULL;
  isthmus_error error = ISTHMUS_OK;
  if (text != NULL) {
    error = isth__layout_of(text, &layout);
    if (error != ISTHMUS_OK) return error;
    capacity = (size_t)layout.size;
    if (length != capacity)
      return isth__fail(ISTHMUS_INVALID, "Cannot create a cell: its layout has %zu bytes, the value %zu", capacity, length);
  }
  if (capacity > (size_t)1 << 30 || trust.mode > 0777)
    return isth__say(ISTHMUS_INVALID, "Cannot create a cell: the most is 2^30 bytes, and the mode 0777");
  if (length > capacity)
    return isth__fail(ISTHMUS_TOO_LARGE, "Cannot create a cell: its value has %zu bytes, its capacity is %zu", length,
                      capacity);
  error = isth__cell_path(name, &path);
  if (error != ISTHMUS_OK) return error;
  size_t offset = isth__up(ISTH__C_VALUES + (text == NULL ? 0 : strlen(text)));
  size_t size = offset + (layout.scalar ? 0 : isth__up(capacity)) + isth__up(capacity);
  int fd = open("/dev/shm", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600), linked = 0;
  if (fd < 0 || isth__allocate(fd, 0, (off_t)size) < 0 || fchmod(fd, trust.mode) < 0) {
    error = isth__system("Cannot create the cell \"%s\" of %zu bytes", name, size);
  } else {
    unsigned char *base = isth__map_apart(fd, size);
    int failed = base == NULL ? errno
                              : isth__fill_cell(base, size, text, layout.scalar, capacity, value, length, isth__self().space);
    if (base != NULL) munmap(base, size);
    errno = failed;
    if (failed != 0) error = isth__system("Cannot create the cell \"%s\"", name);
    /* Held before it can be found, so that nobody takes it for a dead one. */
    else if (!isth__lock_file(fd, LOCK_SH) || !isth__join_cell(fd)) error = isth__system("Cannot lock the cell \"%s\"", name);
  }
  for (int i = 0; error == ISTHMUS_OK && !linked && i < 2000; i++) {
    int other;
    if (isth__publish(fd, path) == 0) {
      linked = 1;
    } else if (errno != EEXIST) {
      error = isth__system("Cannot create the cell \"%s\"", name);
    } else {
      error = isth__open_cell_file(name, path, &trust, &other);
      if (error == ISTHMUS_OK && other >= 0) {
        isth__leave_cell(path, other);
        error = isth__fail(ISTHMUS_ALREADY_EXISTS, "Cannot create the cell \"%s\": there is one already", name);
      }
    }
  }
  if (error == ISTHMUS_OK && !linked)
    error = isth__fail(ISTHMUS_TIMEOUT, "Cannot create the cell \"%s\": others create and remove it all the time", name);
  if (error != ISTHMUS_OK) {
    if (fd >= 0) close(fd);
    free(path);
    return error;
  }
  return isth__attach_cell(name, path, fd, text, cell);
}

isthmus_error isthmus_cell_load(const char *name, const isthmus_cell_options *options, isthmus_cell **cell) {
  char *path;
  int fd;
  isth__trust trust = isth__cell_trust(options);
  if (cell == NULL) return isth__say(ISTHMUS_INVALID, "Cannot load a cell: an argument is NULL");
  *cell = NULL;
  isthmus_error error = isth__cell_path(name, &path);
  if (error != ISTHMUS_OK) return error;
  error = isth__open_cell_file(name, path, &trust, &fd);
  if (error == ISTHMUS_OK && fd < 0)
    error = isth__fail(ISTHMUS_NOT_FOUND, "Cannot load the cell \"%s\": there is none; create it first", name);
  if (error == ISTHMUS_OK) return isth__attach_cell(name, path, fd, options == NULL ? NULL : options->layout, cell);
  free(path);
  return error;
}

isthmus_error isthmus_cell_open(const char *name, const isthmus_cell_options *options, const void *value, size_t length,
                                isthmus_cell **cell) {
  for (;;) {
    isthmus_error error = isthmus_cell_load(name, options, cell);
    if (error != ISTHMUS_NOT_FOUND) return error;
    error = isthmus_cell_create(name, options, value, length, cell);
    if (error != ISTHMUS_ALREADY_EXISTS) return error;
  }
}

const char *isthmus_cell_layout(const isthmus_cell *c) { return c == NULL ? "" : c->layout; }
size_t isthmus_cell_capacity(const isthmus_cell *c) { return c == NULL ? 0 : c->capacity; }
size_t isthmus_cell_holders(const isthmus_cell *c) {
  return c == NULL ? 0 : 1 + isth__count_locked(c->fd, 0, (off_t)ISTH__PLACES + ISTH__PLACE_COUNT);
}

/* --- Bells of a cell ------------------------------------------------------------------------------------------------ */

static uint32_t isth__bells_in_use(const isthmus_cell *c) {
  uint32_t found = isth__load(isth__word(c, ISTH__C_BELLS));
  return found <= ISTH__CELL_BELLS ? found : found >> 31 ? 0 : ISTH__CELL_BELLS;
}

/* Rings by name; 0 if nobody listens there. */
static int isth__ring_by_name(const isthmus_cell *c, uint32_t bell) {
  char path[64];
  isth__bell_path(c, bell, path);
  int fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return 0;
  int heard = isth__is_fifo(fd) && isth__ring_bell(fd, 0);
  close(fd);
  return heard;
}

/* Takes a bell, when this handle first waits. 0 if it cannot: then it looks now and then. */
static int isth__open_bell(isthmus_cell *c) {
  char path[64];
  if (c->bell >= 0 || c->bell_refused) return c->bell >= 0;
  uint32_t taking = (uint32_t)0 - c->own.tid; /* negative while the words do not belong together */
  int bell = -1;
  for (int pass = 0; pass < 2 && bell < 0; pass++) {
    for (uint32_t i = 0; i < ISTH__CELL_BELLS && bell < 0; i++) {
      uint32_t *at = isth__bell_word(c, i, ISTH__B_OWNER), owner = isth__load(at);
      if (pass == 0 ? owner != 0
                    : owner >> 31 || isth__alive(&c->own, owner, isth__load(isth__bell_word(c, i, ISTH__B_START)),
                                                 isth__load(isth__bell_word(c, i, ISTH__B_NAMESPACE))))
        continue;
      if (isth__swap(at, owner, taking) == owner) bell = (int)i;
    }
  }
  c->bell_refused = 1;
  if (bell < 0) return 0;
  isth__store(isth__bell_word(c, (uint32_t)bell, ISTH__B_WANTS), 0);
  isth__store(isth__bell_word(c, (uint32_t)bell, ISTH__B_START), c->own.start);
  isth__store(isth__bell_word(c, (uint32_t)bell, ISTH__B_NAMESPACE), c->own.space);
  isth__store(isth__bell_word(c, (uint32_t)bell, ISTH__B_OWNER), c->own.tid);
  for (uint32_t used; (used = isth__load(isth__word(c, ISTH__C_BELLS))) <= (uint32_t)bell;)
    isth__swap(isth__word(c, ISTH__C_BELLS), used, (uint32_t)bell + 1);
  isth__bell_path(c, (uint32_t)bell, path);
  unlink(path); /* what a dead owner left */
  int made = mkfifo(path, 0600) == 0, fd = open(path, ISTH__OPEN);
  struct stat status;
  if (fd < 0 || fstat(fd, &status) < 0 || !S_ISFIFO(status.st_mode) ||
      (status.st_uid != geteuid() && status.st_uid != 0) || (made && fchmod(fd, c->mode) < 0)) {
    if (fd >= 0) close(fd);
    isth__store(isth__bell_word(c, (uint32_t)bell, ISTH__B_OWNER), 0);
    return 0;
  }
  c->bell = bell;
  c->bell_fd = fd;
  c->bell_refused = 0;
  return 1;
}

/* Asks to be rung. The bell first, then the sign: a ringer takes the sign down before it looks at the bells. */
static int isth__arm_bell(isthmus_cell *c, uint32_t wants) {
  if (!isth__open_bell(c)) return 0;
  __atomic_fetch_or(isth__bell_word(c, (uint32_t)c->bell, ISTH__B_WANTS), wants, __ATOMIC_SEQ_CST);
  isth__store(isth__word(c, wants & ISTH__WANTS_LOCK ? ISTH__C_WAITERS : ISTH__C_WATCHERS), 1);
  return 1;
}

static int isth__take_wish(isthmus_cell *c, uint32_t bell, uint32_t wish) {
  return (__atomic_fetch_and(isth__bell_word(c, bell, ISTH__B_WANTS), ~wish, __ATOMIC_SEQ_CST) & wish) != 0;
}

/* After a change of the value. */
static void isth__ring_watchers(isthmus_cell *c) {
  if (isth__load(isth__word(c, ISTH__C_WATCHERS)) == 0) return;
  isth__store(isth__word(c, ISTH__C_WATCHERS), 0);
  for (uint32_t i = isth__bells_in_use(c); i-- > 0;)
    if (isth__take_wish(c, i, ISTH__WANTS_CHANGE)) isth__ring_by_name(c, i);
}

/* After unlocking: wakes who has waited longest. Those who wait by the mutex itself the kernel wakes. */
static void isth__ring_waiter(isthmus_cell *c) {
  if (isth__load(isth__word(c, ISTH__C_WAITERS)) == 0) return;
  isth__store(isth__word(c, ISTH__C_WAITERS), 0);
  for (int i = 0; i < 2 * ISTH__CELL_BELLS; i++) {
    uint32_t starving = isth__load(isth__word(c, ISTH__C_STARVING)) - 1, lowest = 0;
    int chosen = -1, wanting = 0;
    for (uint32_t bell = isth__bells_in_use(c); bell-- > 0;) {
      if (!(isth__load(isth__bell_word(c, bell, ISTH__B_WANTS)) & ISTH__WANTS_LOCK)) continue;
      wanting++;
      uint32_t ticket = isth__load(isth__bell_word(c, bell, ISTH__B_TICKET));
      /* Tickets wrap around; differences do not. */
      if (chosen < 0 || bell == starving || ((uint32_t)chosen != starving && (ticket - lowest) >> 31)) {
        chosen = (int)bell;
        lowest = ticket;
      }
    }
    if (chosen < 0) return;
    if (wanting > 1) isth__store(isth__word(c, ISTH__C_WAITERS), 1);
    if (!isth__take_wish(c, (uint32_t)chosen, ISTH__WANTS_LOCK)) continue; /* rung by another */
    if (isth__ring_by_name(c, (uint32_t)chosen)) return;
    if ((uint32_t)chosen == starving) isth__swap(isth__word(c, ISTH__C_STARVING), (uint32_t)chosen + 1, 0);
  }
}

/* --- The value of a cell -------------------------------------------------------------------------------------------- */

static uint64_t isth__load_scalar(const isthmus_cell *c) {
  const unsigned char *at = c->base + c->offset;
  /* The bytes around it are the cell's own, so one aligned load does for the smaller ones, too. */
  if (c->capacity == 8) return __atomic_load_n((const uint64_t *)(const void *)at, __ATOMIC_SEQ_CST);
  return isth__load((const uint32_t *)(const void *)at);
}

/* One look: the counter that it goes with, and as much of the value as fits. */
static isthmus_error isth__read_cell(isthmus_cell *c, void *buffer, size_t size, size_t *length, uint32_t *counter) {
  for (;;) {
    uint32_t before = isth__load(isth__word(c, ISTH__C_COUNTER));
    *counter = before;
    if (c->stride == 0) {
      uint64_t value = isth__load_scalar(c);
      *length = c->capacity;
      if (size >= c->capacity) memcpy(buffer, &value, c->capacity);
      return ISTHMUS_OK;
    }
    uint32_t place = before >> 1 & 1, has = isth__load(isth__word(c, ISTH__C_LENGTHS + 4 * (size_t)place));
    *length = has;
    if (has <= size && has <= c->capacity && has > 0) memcpy(buffer, c->base + c->offset + (size_t)place * c->stride, has);
    isth__fence(); /* the copying comes before the second look */
    if (isth__load(isth__word(c, ISTH__C_COUNTER)) - (before & ~1u) > 2) continue; /* a writer has come round */
    if (has > c->capacity)
      return isth__fail(ISTHMUS_CORRUPT, "Cannot read \"%s\": its value claims %u of %zu bytes", c->path, has, c->capacity);
    return ISTHMUS_OK;
  }
}

isthmus_error isthmus_cell_read(isthmus_cell *c, void *buffer, size_t size, size_t *length) {
  uint32_t counter;
  size_t found = 0;
  if (c == NULL || (buffer == NULL && size > 0)) return isth__say(ISTHMUS_INVALID, "Cannot read: an argument is NULL");
  isthmus_error error = isth__read_cell(c, buffer, size, &found, &counter);
  if (error != ISTHMUS_OK) return error;
  if (length != NULL) *length = found;
  if (found > size)
    return isth__fail(ISTHMUS_TOO_SMALL, "Cannot read a value of %zu bytes into a buffer of %zu", found, size);
  return ISTHMUS_OK;
}

isthmus_error isthmus_cell_write(isthmus_cell *c, const void *value, size_t length) {
  if (c == NULL || (value == NULL && length > 0)) return isth__say(ISTHMUS_INVALID, "Cannot write: an argument is NULL");
  if (c->holder == 0) return isth__say(ISTHMUS_NOT_LOCKED, "Cannot write to a cell that this handle has not locked");
  if (c->layout[0] != 0 && length != c->capacity)
    return isth__fail(ISTHMUS_INVALID, "Cannot write %zu bytes: the layout of the cell has %zu", length, c->capacity);
  if (length > c->capacity)
    return isth__fail(ISTHMUS_TOO_LARGE, "Cannot write %zu bytes: the cell holds %zu", length, c->capacity);
  uint32_t *counter = isth__word(c, ISTH__C_COUNTER);
  if (c->stride == 0) {
    uint64_t whole = isth__load_scalar(c);
    memcpy(&whole, value, length);
    if (c->capacity == 8) __atomic_store_n((uint64_t *)(void *)(c->base + c->offset), whole, __ATOMIC_SEQ_CST);
    else isth__store(isth__word(c, c->offset), (uint32_t)whole);
    isth__add(counter, 2);
  } else {
    size_t place = (isth__add(counter, 1) >> 1 & 1) ^ 1;
    isth__fence(); /* who sees a byte of the new value sees the odd counter, too */
    if (length > 0) memcpy(c->base + c->offset + place * c->stride, value, length);
    isth__store(isth__word(c, ISTH__C_LENGTHS + 4 * place), (uint32_t)length);
    isth__store(isth__word(c, ISTH__C_WRITERS + 4 * place), 0); /* not the library's own encoder */
    isth__add(counter, 1);
  }
  isth__ring_watchers(c);
  return ISTHMUS_OK;
}

/* --- The lock of a cell --------------------------------------------------------------------------------------------- */

/* Never waits inside pthread_mutex_lock: see "Cells" in docs/internals.md. EBUSY, 0, EOWNERDEAD or another. */
static int isth__try_mutex(isthmus_cell *c, pid_t self) {
  uint32_t word = isth__load(isth__word(c, ISTH__C_MUTEX));
  /* A thread of another PID namespace with this one's number: not even an attempt. */
  if (word != 0 && (word & ~FUTEX_WAITERS) == (uint32_t)self) return EBUSY;
  return pthread_mutex_trylock(isth__mutex(c));
}

static void isth__sleep_for_lock(isthmus_cell *c, int64_t nanoseconds) {
  uint32_t *word = isth__word(c, ISTH__C_MUTEX), found = isth__load(word), marked = found | FUTEX_WAITERS;
  if ((found & FUTEX_TID_MASK) == 0 || (found & FUTEX_OWNER_DIED)) return;
  if (found != marked && isth__swap(word, found, marked) != found) return;
  struct timespec span;
  if (nanoseconds > 100000000) nanoseconds = 100000000; /* what a lost wake-up costs at most */
  span.tv_sec = 0;
  span.tv_nsec = (long)nanoseconds;
  syscall(SYS_futex, word, FUTEX_WAIT, marked, &span, NULL, 0);
}

isthmus_error isthmus_cell_lock(isthmus_cell *c, int *owner_died, int timeout_ms) {
  if (owner_died != NULL) *owner_died = 0;
  if (c == NULL) return isth__say(ISTHMUS_INVALID, "Cannot lock: the cell is NULL");
  pid_t self = (pid_t)syscall(SYS_gettid);
  uint32_t word = isth__load(isth__word(c, ISTH__C_MUTEX));
  int same = c->own.space != 0 && isth__load(isth__word(c, ISTH__C_NAMESPACE)) == c->own.space;
  if (c->holder == self || (same && (word & FUTEX_TID_MASK) == (uint32_t)self && !(word & FUTEX_OWNER_DIED)))
    return isth__say(ISTHMUS_DEADLOCK, "Cannot lock the cell: this thread has the lock already");
  int64_t deadline = ISTH__FOREVER;
  int result = isth__try_mutex(c, self), slept = 0;
  if (result == EBUSY && timeout_ms >= 0) deadline = isth__deadline(timeout_ms);
  while (result == EBUSY) {
    int64_t left = deadline == ISTH__FOREVER ? deadline : deadline - isth__now();
    if (timeout_ms == 0 || left <= 0) return isth__say(ISTHMUS_TIMEOUT, "Cannot lock the cell: another has the lock");
    isth__sleep_for_lock(c, left);
    slept = 1;
    result = isth__try_mutex(c, self);
  }
  if (result != 0 && result != EOWNERDEAD) {
    errno = result;
    isth__system("Cannot lock the cell \"%s\"", c->path);
    return result == ENOTRECOVERABLE ? ISTHMUS_CORRUPT : ISTHMUS_SYSTEM;
  }
  /* Others may sleep as well, and this attempt did not say so. */
  if (slept) __atomic_fetch_or(isth__word(c, ISTH__C_MUTEX), FUTEX_WAITERS, __ATOMIC_SEQ_CST);
  int died = result == EOWNERDEAD;
  uint32_t *counter = isth__word(c, ISTH__C_COUNTER);
  if (isth__load(counter) & 1) { /* a writer did not finish: the same place stays current, readers begin again */
    isth__add(counter, c->stride == 0 ? 1 : 3);
    died = 1;
  }
  if (result == EOWNERDEAD) pthread_mutex_consistent(isth__mutex(c));
  if (owner_died != NULL) *owner_died = died;
  c->holder = self;
  return ISTHMUS_OK;
}

isthmus_error isthmus_cell_unlock(isthmus_cell *c) {
  if (c == NULL || c->holder == 0) return isth__say(ISTHMUS_NOT_LOCKED, "Cannot unlock a cell that was not locked");
  if (c->holder != (pid_t)syscall(SYS_gettid))
    return isth__say(ISTHMUS_NOT_LOCKED, "Cannot unlock the cell: another thread has locked it, and must unlock it");
  c->holder = 0;
  int result = pthread_mutex_unlock(isth__mutex(c));
  if (result != 0) {
    errno = result;
    return isth__system("Cannot unlock the cell \"%s\"", c->path);
  }
  isth__ring_waiter(c);
  return ISTHMUS_OK;
}

/* --- Atomic operations, and changes --------------------------------------------------------------------------------- */

static isthmus_error isth__require_atomic(const isthmus_cell *c) {
  if (c == NULL) return isth__say(ISTHMUS_INVALID, "Cannot use atomic operations: the cell is NULL");
  if (!c->atomic)
    return isth__fail(ISTHMUS_INCOMPATIBLE, "Cannot use atomic operations on a cell with the layout %.200s: they need u32, "
                      "i32, u64 or i64", c->layout[0] != 0 ? c->layout : "of CBOR");
  return ISTHMUS_OK;
}

static void isth__touched(isthmus_cell *c) {
  isth__add(isth__word(c, ISTH__C_COUNTER), 2);
  isth__ring_watchers(c);
}

isthmus_error isthmus_cell_compare_exchange(isthmus_cell *c, uint64_t expected, uint64_t replacement, uint64_t *before) {
  isthmus_error error = isth__require_atomic(c);
  if (error != ISTHMUS_OK) return error;
  uint64_t found;
  if (c->wide) {
    found = expected;
    __atomic_compare_exchange_n((uint64_t *)(void *)(c->base + c->offset), &found, replacement, 0, __ATOMIC_SEQ_CST,
                                __ATOMIC_SEQ_CST);
  } else {
    expected = (uint32_t)expected;
    replacement = (uint32_t)replacement;
    found = isth__swap(isth__word(c, c->offset), (uint32_t)expected, (uint32_t)replacement);
  }
  if (before != NULL) *before = found;
  if (found == expected && found != replacement) isth__touched(c);
  return ISTHMUS_OK;
}

isthmus_error isthmus_cell_atomic(isthmus_cell *c, isthmus_operation operation, uint64_t operand, uint64_t *before) {
  isthmus_error error = isth__require_atomic(c);
  if (error != ISTHMUS_OK) return error;
  if ((unsigned)operation > ISTHMUS_XOR) return isth__say(ISTHMUS_INVALID, "Cannot use an atomic operation that is none");
  uint64_t *wide = (uint64_t *)(void *)(c->base + c->offset), found, after;
  uint32_t *narrow = isth__word(c, c->offset);
  for (;;) {
    found = c->wide ? __atomic_load_n(wide, __ATOMIC_SEQ_CST) : isth__load(narrow);
    switch (operation) {
      case ISTHMUS_EXCHANGE: after = operand; break;
      case ISTHMUS_ADD: after = found + operand; break;
      case ISTHMUS_SUB: after = found - operand; break;
      case ISTHMUS_AND: after = found & operand; break;
      case ISTHMUS_OR: after = found | operand; break;
      case ISTHMUS_XOR: after = found ^ operand; break;
      case ISTHMUS_LOAD:
      default: after = found; break;
    }
    if (!c->wide) after = (uint32_t)after;
    if (operation == ISTHMUS_LOAD) break;
    if (c->wide ? __atomic_compare_exchange_n(wide, &found, after, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)
                : isth__swap(narrow, (uint32_t)found, (uint32_t)after) == (uint32_t)found)
      break;
  }
  if (before != NULL) *before = found;
  if (after != found) isth__touched(c);
  return ISTHMUS_OK;
}

isthmus_error isthmus_watch_open(isthmus_cell *c, isthmus_watch **watch) {
  if (c == NULL || watch == NULL) return isth__say(ISTHMUS_INVALID, "Cannot watch: an argument is NULL");
  isthmus_watch *w = (isthmus_watch *)calloc(1, sizeof *w);
  *watch = NULL;
  if (w != NULL) {
    w->cell = c;
    w->last = (unsigned char *)malloc(c->capacity);
    w->copy = (unsigned char *)malloc(c->capacity);
  }
  if (w == NULL || w->last == NULL || w->copy == NULL) {
    isthmus_error error = isth__system("Cannot watch the cell \"%s\"", c->path);
    isthmus_watch_close(w);
    return error;
  }
  isthmus_error error = isth__read_cell(c, w->last, c->capacity, &w->length, &w->counter);
  if (error == ISTHMUS_OK) *watch = w;
  else isthmus_watch_close(w);
  return error;
}

isthmus_error isthmus_watch_next(isthmus_watch *w, void *buffer, size_t size, size_t *length, int timeout_ms) {
  if (w == NULL || (buffer == NULL && size > 0)) return isth__say(ISTHMUS_INVALID, "Cannot watch: an argument is NULL");
  isthmus_cell *c = w->cell;
  int64_t deadline = isth__deadline(timeout_ms);
  for (;;) {
    /* The bell first, then the value: a change after the look rings. */
    int armed = isth__arm_bell(c, ISTH__WANTS_CHANGE);
    uint32_t counter;
    size_t found = 0;
    isthmus_error error = isth__read_cell(c, w->copy, c->capacity, &found, &counter);
    int changed = error == ISTHMUS_OK && counter >> 1 != w->counter >> 1 &&
                  (found != w->length || memcmp(w->copy, w->last, found) != 0);
    int64_t now = isth__now();
    if (error != ISTHMUS_OK || changed || now >= deadline) {
      if (armed) isth__take_wish(c, (uint32_t)c->bell, ISTH__WANTS_CHANGE);
      if (error != ISTHMUS_OK) return error;
      if (!changed) return isth__say(ISTHMUS_TIMEOUT, "Cannot watch: the value did not change in time");
      if (length != NULL) *length = found;
      if (found > size)
        return isth__fail(ISTHMUS_TOO_SMALL, "Cannot copy a value of %zu bytes into a buffer of %zu", found, size);
      if (found > 0) memcpy(buffer, w->copy, found);
      unsigned char *last = w->last;
      w->last = w->copy;
      w->copy = last;
      w->length = found;
      w->counter = counter;
      return ISTHMUS_OK;
    }
    if (counter >> 1 != w->counter >> 1) w->counter = counter;
    /* By itself, too: for what no bell tells, or where there is none. */
    int64_t pause = now + (armed ? 75000000 : 5000000);
    if (isth__poll(armed ? c->bell_fd : -1, POLLIN, pause < deadline ? pause : deadline) & POLLIN)
      isth__drain_bell(c->bell_fd);
  }
}

void isthmus_watch_close(isthmus_watch *w) {
  if (w == NULL) return;
  free(w->last);
  free(w->copy);
  free(w);
}

void isthmus_cell_close(isthmus_cell *c) {
  if (c == NULL) return;
  if (c->holder == (pid_t)syscall(SYS_gettid)) isthmus_cell_unlock(c);
  if (c->bell >= 0) {
    char path[64];
    isth__bell_path(c, (uint32_t)c->bell, path);
    isth__store(isth__bell_word(c, (uint32_t)c->bell, ISTH__B_WANTS), 0);
    unlink(path);
    isth__store(isth__bell_word(c, (uint32_t)c->bell, ISTH__B_START), 0);
    isth__store(isth__bell_word(c, (uint32_t)c->bell, ISTH__B_OWNER), 0);
    close(c->bell_fd);
  }
  size_t left = isthmus_cell_holders(c) - 1;
  isth__store(isth__word(c, ISTH__C_REFERENCES), (uint32_t)left);
  if (isth__lock_file(c->fd, LOCK_EX)) {
    isth__store(isth__word(c, ISTH__C_STATE), 2);
    isth__remove_cell(c->path, c->fd);
  }
  close(c->fd);
  munmap(c->base, c->size);
  free(c->path);
  free(c->layout);
  free(c);
}

#endif /* ISTHMUS_IMPLEMENTATION */
