/* The tests of isthmus.h against itself, with real processes. Takes words: only tests whose names have one of
 * them, and none whose names have one that follows a "-". */
#define ISTHMUS_IMPLEMENTATION
#include "isthmus.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

/* --- Channels ---------------------------------------------------------------------------------------------------- */

static void messages_come_in_order(void) {
  isthmus_receiver *r = receiver(0);
  isthmus_sender *s = sender();
  char buffer[8];
  size_t length;
  IS(ISTHMUS_TIMEOUT, isthmus_receive(r, buffer, sizeof buffer, &length, 0));
  IS(ISTHMUS_TIMEOUT, isthmus_receive(r, buffer, sizeof buffer, &length, 5));
  OK(isthmus_send(s, "one", 3, 0));
  OK(isthmus_send(s, NULL, 0, 0));
  OK(isthmus_send(s, "three", 5, 0));
  OK(isthmus_wait(r, &length, 0));
  CHECK(length == 3);
  IS(ISTHMUS_TOO_SMALL, isthmus_receive(r, buffer, 2, &length, 0));
  CHECK(length == 3);
  OK(isthmus_receive(r, buffer, sizeof buffer, &length, 0));
  CHECK(length == 3 && memcmp(buffer, "one", 3) == 0);
  OK(isthmus_receive(r, buffer, sizeof buffer, &length, 0));
  CHECK(length == 0);
  OK(isthmus_receive(r, buffer, sizeof buffer, &length, 0));
  CHECK(length == 5 && memcmp(buffer, "three", 5) == 0);
  isthmus_sender_close(s);
  isthmus_receiver_close(r);
  CHECK(access(path, F_OK) < 0);
}

static void send_many(size_t size, uint64_t count, int loans) {
  isthmus_sender *s = sender();
  unsigned char *bytes = (unsigned char *)malloc(size);
  for (uint64_t i = 0; i < count; i++) {
    size_t length = length_of(i, size);
    if (loans) {
      isthmus_loan loan;
      OK(isthmus_reserve(s, size, &loan, PATIENCE));
      if (loan.data == NULL) break;
      fill((unsigned char *)loan.data, length, i);
      OK(isthmus_commit(s, &loan, length));
    } else {
      fill(bytes, length, i);
      OK(isthmus_send(s, bytes, length, PATIENCE));
    }
  }
  free(bytes);
  isthmus_sender_close(s);
}

static void stream(size_t size, uint64_t count, int loans, int borrow) {
  isthmus_receiver *r = receiver(1 << 20);
  pid_t child = fork();
  if (child == 0) {
    send_many(size, count, loans);
    leave();
  }
  unsigned char *bytes = (unsigned char *)malloc(size);
  for (uint64_t i = 0; i < count && failures == 0; i++) {
    size_t length = 0;
    isthmus_borrowed message;
    if (borrow) OK(isthmus_borrow(r, &message, PATIENCE));
    else OK(isthmus_receive(r, bytes, size, &length, PATIENCE));
    CHECK((borrow ? message.length : length) == length_of(i, size));
    CHECK(is_message(borrow ? message.data : bytes, length_of(i, size), i));
    if (borrow) isthmus_give_back(r, &message);
  }
  free(bytes);
  if (failures > 0) kill(child, SIGKILL);
  join(child);
  isthmus_receiver_close(r);
  CHECK(access(path, F_OK) < 0);
}

static void small_messages(void) { stream(64, 50000, 0, 0); }
static void large_messages(void) { stream(300000, 200, 0, 1); }
static void loans_and_borrows(void) { stream(5000, 5000, 1, 1); }

static void borrowed_out_of_order(void) {
  isthmus_receiver *r = receiver(65536);
  isthmus_sender *s = sender();
  isthmus_borrowed three[3];
  unsigned char bytes[20000];
  for (uint64_t i = 0; i < 3; i++) {
    fill(bytes, sizeof bytes, i);
    OK(isthmus_send(s, bytes, sizeof bytes, 0));
  }
  for (int i = 0; i < 3; i++) OK(isthmus_borrow(r, &three[i], 0));
  IS(ISTHMUS_TIMEOUT, isthmus_send(s, bytes, sizeof bytes, 0));
  isthmus_give_back(r, &three[2]);
  isthmus_give_back(r, &three[1]);
  IS(ISTHMUS_TIMEOUT, isthmus_send(s, bytes, sizeof bytes, 0));
  CHECK(is_message(three[0].data, three[0].length, 0));
  isthmus_give_back(r, &three[0]);
  isthmus_give_back(r, &three[0]); /* harmless */
  OK(isthmus_send(s, bytes, sizeof bytes, 0));
  isthmus_sender_close(s);
  isthmus_receiver_close(r);
  OK(isthmus_receiver_open(path, NULL, &r)); /* it keeps what was not received */
  OK(isthmus_wait(r, NULL, 0));
  isthmus_borrowed last;
  OK(isthmus_borrow(r, &last, 0));
  isthmus_receiver_close(r);
}

static void loans_hold_up_and_go(void) {
  isthmus_receiver *r = receiver(65536);
  isthmus_sender *s = sender();
  isthmus_loan one, two;
  char buffer[64];
  size_t length;
  OK(isthmus_reserve(s, 100, &one, 0));
  OK(isthmus_reserve(s, 100, &two, 0));
  OK(isthmus_send(s, "behind", 6, 0));
  memcpy(two.data, "two", 3);
  OK(isthmus_commit(s, &two, 3));
  IS(ISTHMUS_INVALID, isthmus_commit(s, &two, 3));
  IS(ISTHMUS_TIMEOUT, isthmus_receive(r, buffer, sizeof buffer, &length, 3));
  isthmus_cancel(s, &one);
  OK(isthmus_receive(r, buffer, sizeof buffer, &length, 0));
  CHECK(length == 3);
  OK(isthmus_receive(r, buffer, sizeof buffer, &length, 0));
  CHECK(length == 6);
  OK(isthmus_reserve(s, 100, &one, 0));
  isthmus_sender_close(s); /* with a loan out: nobody waits for it */
  s = sender();
  uint32_t at = r->head, *words = r->ring.words;
  OK(isthmus_send(s, "later", 5, 0));
  OK(isthmus_receive(r, buffer, sizeof buffer, &length, PATIENCE));
  CHECK(isth__load(words + ISTH__W_GAPS) == 1 && words[ISTH__W_GAP_LOG] == at && words[ISTH__W_GAP_LOG + 1] == 2);
  CHECK(length == 5);
  IS(ISTHMUS_TOO_LARGE, isthmus_send(s, path, 65537, 0));
  IS(ISTHMUS_TOO_LARGE, isthmus_reserve(s, 65537, &one, 0));
  isthmus_sender_close(s);
  isthmus_receiver_close(r);
}

static void one_receiver(void) {
  isthmus_receiver *r = receiver(0), *other;
  IS(ISTHMUS_ALREADY_EXISTS, isthmus_receiver_open(path, NULL, &other));
  isthmus_receiver_close(r);
  IS(ISTHMUS_INVALID, isthmus_receiver_open("", NULL, &other));
  IS(ISTHMUS_INVALID, isthmus_receiver_open("@name", NULL, &other));
  IS(ISTHMUS_NOT_FOUND, isthmus_receiver_open("/nowhere/at/all", NULL, &other));
  IS(ISTHMUS_INCOMPATIBLE, isthmus_receiver_open("/dev/null", NULL, &other));
}

/* Senders are killed at any moment: what each sent comes once, in its order, without a gap but at the end. */
static void killed_senders(void) {
  isthmus_receiver *r = receiver(65536);
  unsigned char bytes[512];
  for (int round = 0; round < 60 && failures == 0; round++) {
    pid_t child = fork();
    if (child == 0) {
      isthmus_sender *s = sender();
      for (uint64_t i = 0;; i++) {
        size_t length = length_of(i, sizeof bytes);
        fill(bytes, length, i);
        if (isthmus_send(s, bytes, length, PATIENCE) != ISTHMUS_OK) _exit(1);
      }
    }
    uint64_t expected = 0, most = (uint64_t)(round * 37 % 400);
    size_t length;
    for (; expected <= most; expected++) {
      OK(isthmus_receive(r, bytes, sizeof bytes, &length, PATIENCE));
      CHECK(is_message(bytes, length, expected) && length == length_of(expected, sizeof bytes));
      if (failures > 0) break;
    }
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    /* A message of our own ends what it sent, and comes although the dead may have left a gap. */
    isthmus_sender *s = sender();
    isthmus_error sent = ISTHMUS_TIMEOUT;
    for (;;) {
      if (sent == ISTHMUS_TIMEOUT) sent = isthmus_send(s, "end", 3, 0);
      CHECK(sent == ISTHMUS_OK || sent == ISTHMUS_TIMEOUT);
      isthmus_error got = isthmus_receive(r, bytes, sizeof bytes, &length, sent == ISTHMUS_OK ? PATIENCE : 1);
      if (got == ISTHMUS_TIMEOUT && sent != ISTHMUS_OK) continue;
      CHECK(got == ISTHMUS_OK);
      if (got != ISTHMUS_OK || (length == 3 && memcmp(bytes, "end", 3) == 0)) break;
      CHECK(is_message(bytes, length, expected++));
    }
    isthmus_sender_close(s);
  }
  isthmus_receiver_close(r);
}

/* Receivers are killed at any moment: the next one goes on, and nothing comes twice. */
static void killed_receivers(void) {
  isthmus_sender *s = sender();
  int ends[2];
  unsigned char bytes[512];
  CHECK(pipe(ends) == 0);
  uint64_t next = 0, expected = 0;
  for (int round = 0; round < 40 && failures == 0; round++) {
    pid_t child = fork();
    if (child == 0) {
      isthmus_receiver *r = receiver(0);
      for (;;) {
        size_t length;
        if (isthmus_receive(r, bytes, sizeof bytes, &length, PATIENCE) != ISTHMUS_OK) _exit(1);
        if (write(ends[1], bytes, 8) != 8) _exit(1);
      }
    }
    for (int i = 0; i < round * 13 % 200 + 1; i++, next++) {
      size_t length = length_of(next, sizeof bytes);
      fill(bytes, length, next);
      OK(isthmus_send(s, bytes, length, PATIENCE));
    }
    uint64_t i;
    CHECK(read(ends[0], &i, 8) == 8);
    CHECK(i == expected || i == expected + 1); /* it may have died between receiving and telling */
    expected = i + 1;
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    struct pollfd told = {ends[0], POLLIN, 0};
    while (poll(&told, 1, 0) == 1) {
      CHECK(read(ends[0], &i, 8) == 8);
      CHECK(i == expected);
      expected = i + 1;
    }
  }
  isthmus_receiver *r = receiver(0);
  size_t length;
  while (isthmus_receive(r, bytes, sizeof bytes, &length, 0) == ISTHMUS_OK) {
    uint64_t i;
    memcpy(&i, bytes, 8);
    CHECK(is_message(bytes, length, i) && (i == expected || i == expected + 1));
    expected = i + 1;
  }
  CHECK(expected == next || expected + 1 == next);
  close(ends[0]);
  close(ends[1]);
  isthmus_sender_close(s);
  isthmus_receiver_close(r);
}

static void damaged_rings(void) {
  isthmus_receiver *r = receiver(65536);
  isthmus_sender *s = sender();
  unsigned char buffer[64];
  size_t length;
  uint32_t *words = r->ring.words, *commits = r->ring.commits;
  for (int i = 0; i < 3; i++) OK(isthmus_send(s, "x", 1, 0));
  uint32_t head = r->head;
  isth__store(commits + head, 0x7FFFFFFF); /* longer than what was claimed */
  IS(ISTHMUS_CORRUPT, isthmus_receive(r, buffer, sizeof buffer, &length, 0));
  OK(isthmus_receive(r, buffer, sizeof buffer, &length, 0));
  isth__store(commits + head + 2, (uint32_t)0 - 2 * 8); /* an extended record without room for its header */
  IS(ISTHMUS_CORRUPT, isthmus_receive(r, buffer, sizeof buffer, &length, 0));
  uint32_t tail = isth__load(words + ISTH__W_TAIL);
  isth__store(words + ISTH__W_TAIL, tail + 5000);
  IS(ISTHMUS_CORRUPT, isthmus_receive(r, buffer, sizeof buffer, &length, 0));
  isth__store(words + ISTH__W_TAIL, tail - 1);
  IS(ISTHMUS_CORRUPT, isthmus_receive(r, buffer, sizeof buffer, &length, 0));
  isth__store(words + ISTH__W_TAIL, tail);
  OK(isthmus_send(s, "y", 1, 0));
  OK(isthmus_receive(r, buffer, sizeof buffer, &length, 0));
  s->limit = isth__load(words + ISTH__W_TAIL);
  uint32_t at = isth__load(words + ISTH__W_HEAD);
  isth__store(words + ISTH__W_HEAD, at - 70000);
  IS(ISTHMUS_CORRUPT, isthmus_send(s, "y", 1, 0));
  isth__store(words + ISTH__W_HEAD, at);
  isthmus_sender_close(s);
  isthmus_receiver_close(r);
}

static void most_bytes(void) {
  isthmus_options options;
  isthmus_receiver *r;
  char buffer[64];
  size_t length;
  memset(&options, 0, sizeof options);
  options.most_bytes = 10;
  OK(isthmus_receiver_open(path, &options, &r));
  isthmus_sender *s = sender();
  OK(isthmus_send(s, "eleven bytes", 11, 0));
  OK(isthmus_send(s, "ten  bytes", 10, 0));
  IS(ISTHMUS_TOO_LARGE, isthmus_receive(r, buffer, sizeof buffer, &length, 0));
  OK(isthmus_receive(r, buffer, sizeof buffer, &length, 0));
  CHECK(length == 10);
  isthmus_sender_close(s);
  isthmus_receiver_close(r);
}

static void event_loops(void) {
  isthmus_receiver *r = receiver(0);
  isthmus_sender *s = sender();
  int fd, timeout;
  IS(ISTHMUS_TIMEOUT, isthmus_arm(r, &fd, &timeout));
  OK(isthmus_send(s, "x", 1, 0));
  struct pollfd one = {fd, POLLIN, 0};
  CHECK(poll(&one, 1, PATIENCE) == 1);
  isthmus_disarm(r);
  OK(isthmus_arm(r, &fd, &timeout));
  isthmus_borrowed message;
  OK(isthmus_borrow(r, &message, 0));
  isthmus_give_back(r, &message);
  isthmus_sender_close(s);
  isthmus_receiver_close(r);
}

static void nobody_listens(void) {
  isthmus_sender *s;
  isthmus_receiver *r;
  IS(ISTHMUS_NOT_FOUND, isthmus_connect("@isthmus-nobody", NULL, &s, &r));
  IS(ISTHMUS_NOT_FOUND, isthmus_connect("/tmp/isthmus-nobody", NULL, &s, &r));
  IS(ISTHMUS_INVALID, isthmus_connect("", NULL, &s, &r));
  IS(ISTHMUS_INCOMPATIBLE, isthmus_connect("@isthmus-one-shot-1", NULL, &s, &r));
  unsetenv("ISTHMUS_PARENT");
  IS(ISTHMUS_NOT_FOUND, isthmus_parent(&s, &r));
  setenv("ISTHMUS_PARENT", "@x:12", 1);
  IS(ISTHMUS_NOT_FOUND, isthmus_parent(&s, &r));
  unsetenv("ISTHMUS_PARENT");
}

/* --- Cells ------------------------------------------------------------------------------------------------------- */

struct pair {
  uint64_t n, copy;
};
static const isthmus_cell_options pairs = {"{\"n\":u64,\"copy\":u64}", 0, 0, 0, NULL, 0};

static void cells_have_values(void) {
  isthmus_cell *c, *other;
  char buffer[64];
  size_t length;
  IS(ISTHMUS_NOT_FOUND, isthmus_cell_load(name, NULL, &c));
  OK(isthmus_cell_create(name, NULL, "first", 5, &c));
  IS(ISTHMUS_ALREADY_EXISTS, isthmus_cell_create(name, NULL, "other", 5, &other));
  IS(ISTHMUS_INCOMPATIBLE, isthmus_cell_load(name, &pairs, &other));
  OK(isthmus_cell_open(name, NULL, "other", 5, &other));
  CHECK(isthmus_cell_holders(c) == 2);
  OK(isthmus_cell_read(other, buffer, sizeof buffer, &length));
  CHECK(length == 5 && memcmp(buffer, "first", 5) == 0);
  IS(ISTHMUS_NOT_LOCKED, isthmus_cell_write(c, "x", 1));
  IS(ISTHMUS_NOT_LOCKED, isthmus_cell_unlock(c));
  int died = 1;
  OK(isthmus_cell_lock(c, &died, 0));
  CHECK(died == 0);
  IS(ISTHMUS_DEADLOCK, isthmus_cell_lock(other, NULL, 0));
  OK(isthmus_cell_write(c, "second one", 10));
  OK(isthmus_cell_read(other, buffer, sizeof buffer, &length));
  CHECK(length == 10 && memcmp(buffer, "second one", 10) == 0);
  OK(isthmus_cell_unlock(c));
  IS(ISTHMUS_TOO_SMALL, isthmus_cell_read(other, buffer, 5, &length));
  uint64_t before;
  IS(ISTHMUS_INCOMPATIBLE, isthmus_cell_atomic(c, ISTHMUS_ADD, 1, &before));
  isthmus_cell_close(c);
  isthmus_cell_close(other);
  IS(ISTHMUS_NOT_FOUND, isthmus_cell_load(name, NULL, &c));
  IS(ISTHMUS_INVALID, isthmus_cell_load("a/b", NULL, &c));
}

static void layouts(void) {
  static const struct {
    const char *text;
    size_t size; /* 0: none */
  } all[] = {{"u8", 1}, {"bool", 1}, {"f64", 8}, {"[3]u16", 6}, {"{\"a\":u8,\"b\":u64}", 16}, {"{\"a\":u64,\"b\":u8}", 16},
             {"{\"a\":[3]{\"x\":u8,\"y\":u16},\"b\":u8}", 14}, {"{\"a\\\"b\":i32}", 4}, {"u9", 0}, {"[0]u8", 0},
             {"{}", 0}, {"u8u8", 0}, {"{\"a\":u8", 0}, {"{\"a\"", 0}, {"[999999999999999]u8", 0}, {"", 0}, {"{\"", 0}};
  for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
    isth__layout layout;
    isthmus_error error = isth__layout_of(all[i].text, &layout);
    CHECK(all[i].size == 0 ? error == ISTHMUS_INVALID : error == ISTHMUS_OK && layout.size == all[i].size);
  }
}

static void hammer_pairs(uint64_t count) {
  isthmus_cell *c;
  OK(isthmus_cell_load(name, &pairs, &c));
  for (uint64_t i = 0; i < count; i++) {
    struct pair value;
    OK(isthmus_cell_lock(c, NULL, PATIENCE));
    OK(isthmus_cell_read(c, &value, sizeof value, NULL));
    CHECK(value.n == value.copy);
    value.n++;
    value.copy++;
    OK(isthmus_cell_write(c, &value, sizeof value));
    OK(isthmus_cell_unlock(c));
  }
  isthmus_cell_close(c);
}

static void contended_cells(void) {
  isthmus_cell *c;
  struct pair value = {0, 0};
  pid_t children[3];
  OK(isthmus_cell_create(name, &pairs, &value, sizeof value, &c));
  for (int i = 0; i < 3; i++)
    if ((children[i] = fork()) == 0) {
      hammer_pairs(3000);
      leave();
    }
  for (int i = 0; i < 3; i++) join(children[i]);
  OK(isthmus_cell_read(c, &value, sizeof value, NULL));
  CHECK(value.n == 9000 && value.copy == 9000);
  isthmus_cell_close(c);
}

static void killed_owners(void) {
  isthmus_cell *c;
  struct pair value = {0, 0};
  OK(isthmus_cell_create(name, &pairs, &value, sizeof value, &c));
  int deaths = 0;
  for (int round = 0; round < 60 && failures == 0; round++) {
    pid_t child = fork();
    if (child == 0) {
      hammer_pairs(UINT64_MAX);
      leave();
    }
    uint64_t begin = value.n;
    do {
      OK(isthmus_cell_read(c, &value, sizeof value, NULL));
      CHECK(value.n == value.copy);
    } while (value.n < begin + (uint64_t)(round * 7 % 50) + 1 && failures == 0);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    int died;
    OK(isthmus_cell_lock(c, &died, PATIENCE));
    deaths += died;
    OK(isthmus_cell_read(c, &value, sizeof value, NULL));
    CHECK(value.n == value.copy);
    OK(isthmus_cell_unlock(c));
  }
  printf("  (%d of 60 died with the lock)\n", deaths);
  isthmus_cell_close(c);
}

static void atomics(void) {
  static const isthmus_cell_options numbers = {"u32", 0, 0, 0, NULL, 0}, wide = {"i64", 0, 0, 0, NULL, 0};
  isthmus_cell *c;
  uint32_t zero = 0;
  uint64_t before, zeros = 0;
  OK(isthmus_cell_create(name, &numbers, &zero, 4, &c));
  OK(isthmus_cell_atomic(c, ISTHMUS_SUB, 1, &before));
  CHECK(before == 0);
  OK(isthmus_cell_atomic(c, ISTHMUS_AND, 0xFF00FF, &before));
  CHECK(before == 0xFFFFFFFF);
  OK(isthmus_cell_compare_exchange(c, 1, 2, &before));
  CHECK(before == 0xFF00FF);
  OK(isthmus_cell_compare_exchange(c, 0xFF00FF, 2, &before));
  OK(isthmus_cell_atomic(c, ISTHMUS_XOR, 3, NULL));
  OK(isthmus_cell_atomic(c, ISTHMUS_OR, 8, NULL));
  OK(isthmus_cell_atomic(c, ISTHMUS_EXCHANGE, 5, &before));
  CHECK(before == 9);
  OK(isthmus_cell_lock(c, NULL, 0));
  OK(isthmus_cell_write(c, "\7\0\0", 4));
  OK(isthmus_cell_unlock(c));
  OK(isthmus_cell_atomic(c, ISTHMUS_LOAD, 0, &before));
  CHECK(before == 7);
  isthmus_cell_close(c);
  OK(isthmus_cell_create(name, &wide, &zeros, 8, &c));
  OK(isthmus_cell_atomic(c, ISTHMUS_SUB, 2, NULL));
  OK(isthmus_cell_atomic(c, ISTHMUS_LOAD, 0, &before));
  CHECK((int64_t)before == -2);
  isthmus_cell_close(c);
}

static void watching(void) {
  isthmus_cell *c;
  isthmus_watch *w;
  struct pair value = {0, 0}, seen = {0, 0};
  OK(isthmus_cell_create(name, &pairs, &value, sizeof value, &c));
  OK(isthmus_watch_open(c, &w));
  IS(ISTHMUS_TIMEOUT, isthmus_watch_next(w, &value, sizeof value, NULL, 2));
  pid_t child = fork();
  if (child == 0) {
    hammer_pairs(300);
    leave();
  }
  while (seen.n < 300 && failures == 0) {
    OK(isthmus_watch_next(w, &value, sizeof value, NULL, PATIENCE));
    CHECK(value.n == value.copy && value.n > seen.n);
    seen = value;
  }
  join(child);
  isthmus_watch_close(w);
  isthmus_cell_close(c);
}

static void damaged_cells(void) {
  isthmus_cell *c, *other;
  struct pair value = {1, 1};
  OK(isthmus_cell_create(name, &pairs, &value, sizeof value, &c));
  static const size_t numbers[] = {ISTH__C_SIZE, ISTH__C_CAPACITY, ISTH__C_OFFSET, ISTH__C_STRIDE, ISTH__C_KIND};
  for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
    uint32_t right = isth__load(isth__word(c, numbers[i]));
    isth__store(isth__word(c, numbers[i]), 0x7FFFFFF7);
    IS(ISTHMUS_CORRUPT, isthmus_cell_load(name, NULL, &other));
    isth__store(isth__word(c, numbers[i]), right);
  }
  uint32_t right = isth__load(isth__word(c, 8));
  isth__store(isth__word(c, 8), right + 1);
  IS(ISTHMUS_INCOMPATIBLE, isthmus_cell_load(name, NULL, &other));
  isth__store(isth__word(c, 8), right);
  isth__store(isth__word(c, ISTH__C_MARK), 0);
  IS(ISTHMUS_INCOMPATIBLE, isthmus_cell_load(name, NULL, &other));
  isth__store(isth__word(c, ISTH__C_MARK), isth__mark());
  isth__store(isth__word(c, ISTH__C_LENGTHS), 1u << 20);
  IS(ISTHMUS_CORRUPT, isthmus_cell_read(c, &value, sizeof value, NULL));
  isthmus_cell_close(c);
}

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
