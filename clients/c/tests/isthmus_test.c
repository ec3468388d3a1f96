/* The tests of isthmus.h against itself, with real processes. Takes words: only tests whose names have one of
 * them, and none whose names have one that follows a "-". */
#define ISTHMUS_IMPLEMENTATION
#include "isthmus.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Machines under load, sanitizers and emulators take their time; nothing waits as long as this unless it hangs. */
enum { PATIENCE = 60000 };

static int failures;
static char path[128], name[64];

static void failed(const char *file, int line, const char *what) {
  printf("%s:%d: %s (%s)\n", file, line, what, isthmus_message());
  failures++;
}

#define CHECK(condition) ((condition) ? (void)0 : failed(__FILE__, __LINE__, #condition))
#define IS(error, call)                                                                                     \
  do {                                                                                                      \
    isthmus_error said_ = (call);                                                                           \
    if (said_ != (error)) {                                                                                 \
      printf("%s:%d: %s says %s, not %s: %s\n", __FILE__, __LINE__, #call, isthmus_error_name(said_),       \
             isthmus_error_name(error), isthmus_message());                                                 \
      failures++;                                                                                           \
    }                                                                                                       \
  } while (0)
#define OK(call) IS(ISTHMUS_OK, call)

static void fill(unsigned char *to, size_t length, uint64_t i) {
  for (size_t k = 0; k < length; k++) to[k] = (unsigned char)(i + k);
  if (length >= 8) memcpy(to, &i, 8);
}

static int is_message(const void *data, size_t length, uint64_t i) {
  const unsigned char *bytes = (const unsigned char *)data;
  if (length >= 8 && memcmp(bytes, &i, 8) != 0) return 0;
  for (size_t k = 8; k < length; k++)
    if (bytes[k] != (unsigned char)(i + k)) return 0;
  return 1;
}

static size_t length_of(uint64_t i, size_t size) { return size - (i * 37) % (size / 2); }

static isthmus_receiver *receiver(size_t capacity) {
  isthmus_options options;
  isthmus_receiver *r = NULL;
  memset(&options, 0, sizeof options);
  options.capacity = capacity;
  OK(isthmus_receiver_open(path, &options, &r));
  if (r == NULL) exit(1);
  return r;
}

static isthmus_sender *sender(void) {
  isthmus_sender *s = NULL;
  OK(isthmus_sender_open(path, NULL, &s));
  if (s == NULL) exit(1);
  return s;
}

/* Ends a child that was not killed. */
static void leave(void) {
  fflush(stdout);
  _exit(failures == 0 ? 0 : 1);
}

static void join(pid_t child) {
  int status;
  CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

#include "channel_tests.h"
#include "cell_tests.h"

static const struct {
  const char *name;
  void (*run)(void);
} tests[] = {
  {"messages come in order, and the channel goes when it is empty", messages_come_in_order},
  {"50,000 small messages from another process", small_messages},
  {"messages larger than a quarter of the ring, borrowed", large_messages},
  {"loans and borrowed messages", loans_and_borrows},
  {"messages are given back in any order", borrowed_out_of_order},
  {"loans hold up what comes behind them until they end", loans_hold_up_and_go},
  {"a channel has one receiver, and a path that makes sense", one_receiver},
  {"senders are killed", killed_senders},
  {"receivers are killed", killed_receivers},
  {"a damaged ring is an error", damaged_rings},
  {"a ring that a peer scribbles on", scribbled_rings},
  {"a message above the limit is dropped", most_bytes},
  {"a program with its own event loop", event_loops},
  {"connecting where nobody listens", nobody_listens},
  {"cells have values", cells_have_values},
  {"layouts", layouts},
  {"cells under contention", contended_cells},
  {"owners of a lock are killed", killed_owners},
  {"atomic operations", atomics},
  {"watching", watching},
  {"a damaged cell is an error", damaged_cells},
};

int main(int argc, char **argv) {
  int passed = 0, broken = 0;
  setvbuf(stdout, NULL, _IOLBF, 0);
  snprintf(path, sizeof path, "/dev/shm/isthmus-c-test-%d", (int)getpid());
  snprintf(name, sizeof name, "c-test-%d", (int)getpid());
  for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
    int wanted = argc == 1 || argv[1][0] == '-';
    for (int k = 1; k < argc; k++) {
      if (argv[k][0] != '-') wanted |= strstr(tests[i].name, argv[k]) != NULL;
      else if (strstr(tests[i].name, argv[k] + 1) != NULL) wanted = 0;
    }
    if (!wanted) continue;
    failures = 0;
    tests[i].run();
    printf("%s ... %s\n", tests[i].name, failures == 0 ? "ok" : "FAILED");
    if (failures == 0) passed++;
    else broken++;
  }
  printf("%s | %d passed | %d failed\n", broken == 0 ? "ok" : "FAILED", passed, broken);
  return broken != 0;
}
