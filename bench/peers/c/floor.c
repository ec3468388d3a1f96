/* What C reaches on this machine, in two ways:
 *
 *   floor seqpacket KIND SIZE WARMUP_MS MEASURE_MS     one message a packet of a SEQPACKET socket
 *   floor ring      KIND SIZE WARMUP_MS MEASURE_MS     a shared ring with a futex for sleeping; copied in, copied out
 *
 * KIND is one-way or round-trip. The payload is handled as by all sides: the sender changes the first byte before each
 * message, the receiver reads the first and the last of a copy of its own. Prints {"ops":…,"ns":…,"cpu":…}. */
#define _GNU_SOURCE
#include <linux/futex.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile uint64_t sum;

static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Processor time of this process and of another, in nanoseconds; the kernel counts in hundredths of a second. */
static uint64_t ticks_of(pid_t pid) {
  char path[64], text[1024];
  snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
  FILE *file = fopen(path, "r");
  if (!file) return 0;
  size_t length = fread(text, 1, sizeof text - 1, file);
  fclose(file);
  text[length] = 0;
  char *rest = strrchr(text, ')');
  unsigned long user = 0, system = 0;
  if (rest) sscanf(rest + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system);
  return (user + system) * 10000000u;
}

/* --- SEQPACKET ---------------------------------------------------------------------------------------------------- */

static int end;
static uint8_t *payload;
static size_t size;

static void die(const char *what) {
  perror(what);
  exit(1);
}

static void packet_send(void) {
  payload[0]++;
  if (send(end, payload, size, MSG_NOSIGNAL) != (ssize_t)size) die("send");
}

static void packet_receive(void) {
  if (recv(end, payload, size, 0) != (ssize_t)size) die("recv");
  sum += payload[0] + payload[size - 1];
}

/* --- The ring ----------------------------------------------------------------------------------------------------- */

#define RING (32u << 20)

struct ring {
  _Alignas(64) _Atomic uint64_t tail;
  _Alignas(64) _Atomic uint64_t head;
  _Alignas(64) _Atomic uint32_t reader_sleeps;
  _Alignas(64) _Atomic uint32_t writer_sleeps;
  _Alignas(64) uint8_t data[2 * RING]; /* the second half catches what crosses the end */
};

static struct ring *out, *in;

static void futex_wait(_Atomic uint32_t *word) { syscall(SYS_futex, word, FUTEX_WAIT, 1, NULL, NULL, 0); }

static void wake(_Atomic uint32_t *word) {
  if (atomic_load(word) && atomic_exchange(word, 0)) syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static size_t record(size_t length) { return (length + 8 + 7) & ~(size_t)7; }

static void ring_send(void) {
  payload[0]++;
  size_t need = record(size);
  uint64_t tail = atomic_load_explicit(&out->tail, memory_order_relaxed);
  while (tail + need - atomic_load(&out->head) > RING) {
    atomic_store(&out->writer_sleeps, 1);
    if (tail + need - atomic_load(&out->head) > RING) futex_wait(&out->writer_sleeps);
    atomic_store(&out->writer_sleeps, 0);
  }
  uint8_t *to = out->data + tail % RING;
  memcpy(to, &size, 8);
  memcpy(to + 8, payload, size);
  atomic_store(&out->tail, tail + need);
  wake(&out->reader_sleeps);
}

static void ring_receive(void) {
  uint64_t head = atomic_load_explicit(&in->head, memory_order_relaxed);
  while (atomic_load(&in->tail) == head) {
    atomic_store(&in->reader_sleeps, 1);
    if (atomic_load(&in->tail) == head) futex_wait(&in->reader_sleeps);
    atomic_store(&in->reader_sleeps, 0);
  }
  const uint8_t *from = in->data + head % RING;
  size_t length;
  memcpy(&length, from, 8);
  memcpy(payload, from + 8, length);
  sum += payload[0] + payload[length - 1];
  atomic_store(&in->head, head + record(length));
  wake(&in->writer_sleeps);
}

/* --- Measuring ---------------------------------------------------------------------------------------------------- */

static void (*send_one)(void), (*receive_one)(void);

static void round_trip(void) {
  send_one();
  receive_one();
}

static void run(void (*operation)(void), double milliseconds, uint64_t *ops, uint64_t *ns) {
  uint64_t batch = (1u << 18) / (size + 64);
  if (batch > 512) batch = 512;
  if (operation == round_trip && batch > 32) batch = 32;
  if (batch == 0) batch = 1;
  uint64_t begin = now(), t = begin, count = 0;
  do {
    for (uint64_t i = 0; i < batch; i++) operation();
    count += batch;
    t = now();
  } while (t - begin < milliseconds * 1e6);
  *ops = count;
  *ns = t - begin;
}

int main(int argc, char **argv) {
  if (argc != 6) {
    fprintf(stderr, "usage: floor seqpacket|ring one-way|round-trip SIZE WARMUP_MS MEASURE_MS\n");
    return 2;
  }
  int ring = strcmp(argv[1], "ring") == 0, both = strcmp(argv[2], "round-trip") == 0;
  size = strtoul(argv[3], NULL, 10);
  payload = calloc(1, size);
  int ends[2];
  struct ring *rings[2] = {0};
  if (ring) {
    for (int i = 0; i < 2; i++) {
      rings[i] = mmap(NULL, sizeof(struct ring), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
      if (rings[i] == MAP_FAILED) die("mmap");
    }
  } else {
    if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends)) die("socketpair");
    int room = (int)(4 * size);
    if (size > 50000)
      for (int i = 0; i < 2; i++) setsockopt(ends[i], SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room);
  }
  send_one = ring ? ring_send : packet_send;
  receive_one = ring ? ring_receive : packet_receive;
  pid_t child = fork();
  if (child < 0) die("fork");
  end = ends[child ? 0 : 1];
  out = rings[child ? 0 : 1];
  in = rings[child ? 1 : 0];
  if (!child) {
    for (;;) {
      if (both) receive_one();
      send_one();
    }
  }
  void (*operation)(void) = both ? round_trip : receive_one;
  uint64_t ops, ns, before;
  run(operation, atof(argv[4]), &ops, &ns);
  before = ticks_of(getpid()) + ticks_of(child);
  run(operation, atof(argv[5]), &ops, &ns);
  uint64_t cpu = ticks_of(getpid()) + ticks_of(child) - before;
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
  printf("{\"ops\":%llu,\"ns\":%llu,\"cpu\":%llu}\n", (unsigned long long)ops, (unsigned long long)ns,
         (unsigned long long)cpu);
  return 0;
}
