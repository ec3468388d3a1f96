/* A C program that shares a cell with Deno programs, by the layout that the documentation of arc/ gives.
 *
 *   arc_peer FILE count N       adds 1 to the number in the cell (CBOR, or a POD u32), N times, under the lock
 *   arc_peer FILE hold          takes the lock, says "held", waits for a line, gives the lock back
 *   arc_peer FILE die           takes the lock, begins to write, and kills itself
 *   arc_peer FILE set N         writes the number N (CBOR), and rings those who watch
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

struct bell {
  _Atomic int32_t owner;
  int32_t start, namespace;
  _Atomic uint32_t wants; /* bit 0: the lock, bit 1: changes */
  _Atomic uint32_t ticket;
  uint32_t reserved[3];
};

struct cell {
  char magic[8];
  uint32_t version, kind;
  uint64_t size;
  uint32_t ref_count, state;
  uint64_t fingerprint;
  _Atomic uint32_t counter, waiters;
  uint32_t length[2];
  uint32_t offset, stride;
  union {
    pthread_mutex_t mutex;
    char room[64];
  };
  _Atomic uint32_t watchers, starving, bells_in_use, next_ticket;
  uint32_t capacity, writer[2], text_offset, text_length, mutex_mark, namespace, reserved[5];
  struct bell bells[256];
};
_Static_assert(sizeof(struct cell) == 8384, "layout");

static const char *path;
static struct stat file;
static struct cell *cell;

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static void attach(void) {
  for (;;) {
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) fail("open");
    /* Holds the cell. Then the name must still mean this file: the last holder may have removed it meanwhile. */
    if (flock(fd, LOCK_SH) < 0 || fstat(fd, &file) < 0) fail("flock");
    struct stat there;
    if (stat(path, &there) < 0) fail("stat");
    if (there.st_ino != file.st_ino) {
      close(fd);
      continue;
    }
    /* Counts as a holder: any free byte of these. */
    for (int n = 0; n < 65536; n++) {
      struct flock byte = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0x10000000 + n, .l_len = 1};
      if (fcntl(fd, F_OFD_SETLK, &byte) == 0) break;
    }
    /* By a descriptor of its own: a mapping would keep the locks of this one. */
    int apart = open(path, O_RDWR | O_CLOEXEC);
    cell = mmap(NULL, file.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, apart, 0);
    close(apart);
    if (cell == MAP_FAILED) fail("mmap");
    if (memcmp(cell->magic, "IPCARC\0\1", 8) != 0 || cell->version != 1) {
      fprintf(stderr, "not a cell of format 1\n");
      exit(1);
    }
    /* The mutex is the C library's own: one of another library would keep nobody apart. */
#ifdef __GLIBC__
    const uint32_t mark = 1 | sizeof(pthread_mutex_t) << 8;
#else
    const uint32_t mark = 0; /* no library that is known */
#endif
    if (cell->mutex_mark != mark) {
      fprintf(stderr, "its lock is of another C library\n");
      exit(1);
    }
    struct stat namespace;
    if (stat("/proc/self/ns/pid", &namespace) < 0 || cell->namespace != (uint32_t)namespace.st_ino) cell->namespace = 0;
    return;
  }
}

/* Not pthread_mutex_lock: a thread that is killed while it waits in there may make the kernel take a living owner with the
 * same number, in another container, for dead. So this tries, and sleeps by a futex on the first word of the mutex, where
 * the owner's number is, and the bit that says that somebody sleeps. */
static void lock(void) {
  _Atomic uint32_t *word = (_Atomic uint32_t *)&cell->mutex;
  int error, slept = 0;
  while ((error = pthread_mutex_trylock(&cell->mutex)) == EBUSY) {
    uint32_t found = *word;
    if ((found & FUTEX_TID_MASK) == 0 || (found & FUTEX_OWNER_DIED)) continue;
    if (!(found & FUTEX_WAITERS) && !atomic_compare_exchange_strong(word, &found, found | FUTEX_WAITERS)) continue;
    syscall(SYS_futex, word, FUTEX_WAIT, found | FUTEX_WAITERS, NULL, NULL, 0);
    slept = 1;
  }
  if (error != 0 && error != EOWNERDEAD) {
    errno = error;
    fail("lock");
  }
  if (slept) atomic_fetch_or(word, FUTEX_WAITERS); /* others may sleep as well */
  /* A writer died while the counter was odd: forward by three, and the old value stays. */
  if (cell->counter & 1) cell->counter += cell->stride == 0 ? 1 : 3;
  if (error == EOWNERDEAD) pthread_mutex_consistent(&cell->mutex);
}

static void ring(int bell) {
  char name[64];
  snprintf(name, sizeof name, "/dev/shm/isthmus-bell.%lx.%d", (unsigned long)file.st_ino, bell);
  int fd = open(name, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return; /* its owner is dead */
  if (write(fd, "!", 1) < 0) { /* full: rung already */ }
  close(fd);
}

/* After a change of the value: wakes who watches. */
static void ring_watchers(void) {
  if (cell->watchers == 0) return;
  cell->watchers = 0;
  for (uint32_t i = 0; i < cell->bells_in_use && i < 256; i++)
    if (atomic_fetch_and(&cell->bells[i].wants, ~2u) & 2u) ring(i);
}

/* After unlocking: wakes who has waited longest for the lock. Pthreads wakes those who block in pthread_mutex_lock. */
static void ring_waiter(void) {
  if (cell->waiters == 0) return;
  cell->waiters = 0;
  int chosen = -1, wanting = 0;
  for (uint32_t i = 0; i < cell->bells_in_use && i < 256; i++) {
    if (!(cell->bells[i].wants & 1u)) continue;
    wanting++;
    if (chosen < 0 || (int32_t)(cell->bells[i].ticket - cell->bells[chosen].ticket) < 0) chosen = i;
  }
  if (wanting > 1) cell->waiters = 1;
  if (chosen >= 0 && (atomic_fetch_and(&cell->bells[chosen].wants, ~1u) & 1u)) ring(chosen);
}

static void unlock(void) {
  pthread_mutex_unlock(&cell->mutex);
  ring_waiter();
}

static unsigned char *place(int which) {
  return (unsigned char *)cell + cell->offset + which * cell->stride;
}

static int current(void) {
  return (cell->counter >> 1) & 1;
}

/* A number as CBOR: of the forms that other encoders may choose, those for unsigned integers. */
static uint32_t read_number(void) {
  unsigned char *from = place(current());
  if (cell->kind == 1) {
    uint32_t number;
    memcpy(&number, from, 4);
    return number;
  }
  if (from[0] < 24) return from[0];
  if (from[0] == 24) return from[1];
  if (from[0] == 25) return from[1] << 8 | from[2];
  return (uint32_t)from[1] << 24 | from[2] << 16 | from[3] << 8 | from[4];
}

static void write_number(uint32_t number) {
  if (cell->stride == 0) { /* a scalar has one place, written by one store */
    atomic_store((_Atomic uint32_t *)place(0), number);
    cell->counter += 2;
    return;
  }
  cell->counter += 1; /* odd: the other place is being written */
  atomic_thread_fence(memory_order_seq_cst);
  int other = current() ^ 1;
  unsigned char *to = place(other);
  to[0] = 26;
  to[1] = number >> 24, to[2] = number >> 16, to[3] = number >> 8, to[4] = number;
  cell->length[other] = 5;
  cell->writer[other] = 0; /* another encoder than the library's */
  cell->counter += 1;      /* even: it is the value now */
}

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  path = argv[1];
  signal(SIGPIPE, SIG_IGN); /* a bell whose owner dies while it is rung */
  attach();
  if (strcmp(argv[2], "count") == 0) {
    for (int i = atoi(argv[3]); i > 0; i--) {
      lock();
      write_number(read_number() + 1);
      unlock();
    }
  } else if (strcmp(argv[2], "set") == 0) {
    lock();
    write_number(atoi(argv[3]));
    ring_watchers();
    unlock();
  } else if (strcmp(argv[2], "hold") == 0) {
    lock();
    puts("held");
    fflush(stdout);
    getchar();
    unlock();
  } else if (strcmp(argv[2], "die") == 0) {
    lock();
    cell->counter += 1;
    memset(place(current() ^ 1), 0xff, 5);
    raise(SIGKILL);
  }
  return 0;
}
