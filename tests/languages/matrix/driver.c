/* The driver of C in the matrix of languages: does what the suite says on standard input, one line a command, and answers
 * each with one line, "ok …" or "error CODE text". Every step waits 60 s at most. */
#define ISTHMUS_IMPLEMENTATION
#include "isthmus.h"
#include "driver_messages.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WAIT = 60000, WORDS = 12, THINGS = 64 };

/* What a handle of the suite means here. */
typedef struct {
  char name[64];
  isthmus_sender *sender;
  isthmus_receiver *receiver;
  isthmus_cell *cell;
  int values; /* messages are CBOR */
  char layout[16];
  uint64_t died;
} thing;

static thing things[THINGS];
static unsigned char *buffer; /* of `room` bytes, for a message of the size that a command names */
static size_t room;

static void answer(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void answer(const char *format, ...) {
  va_list list;
  va_start(list, format);
  vprintf(format, list);
  va_end(list);
  putchar('\n');
  fflush(stdout);
}

static int say_error(isthmus_error error) {
  answer("error %s %s", isthmus_error_name(error), isthmus_message());
  return 0;
}

static thing *find(const char *name) {
  for (int i = 0; i < THINGS; i++)
    if (things[i].name[0] != 0 && strcmp(things[i].name, name) == 0) return &things[i];
  return NULL;
}

static thing *make(const char *name) {
  for (int i = 0; i < THINGS; i++) {
    if (things[i].name[0] != 0) continue;
    memset(&things[i], 0, sizeof things[i]);
    snprintf(things[i].name, sizeof things[i].name, "%s", name);
    return &things[i];
  }
  return NULL;
}

static void end(thing *it) {
  isthmus_sender_close(it->sender);
  isthmus_receiver_close(it->receiver);
  isthmus_cell_close(it->cell);
  memset(it, 0, sizeof *it);
}

/* Room for a message of so many bytes and the CBOR around them. */
static void have(uint64_t size) {
  if (room >= size + 256) return;
  room = size + 256;
  buffer = (unsigned char *)realloc(buffer, room);
  if (buffer == NULL) abort();
}

/* --- Messages ---------------------------------------------------------------------------------------------------------- */

static isthmus_error send_one(thing *it, uint64_t i, uint64_t size, int loan) {
  if (loan) {
    isthmus_loan memory;
    isthmus_error error = isthmus_reserve(it->sender, (size_t)size, &memory, WAIT);
    if (error != ISTHMUS_OK) return error;
    return isthmus_commit(it->sender, &memory, write_bytes((unsigned char *)memory.data, i, size));
  }
  have(size);
  return isthmus_send(it->sender, buffer, it->values ? write_values(buffer, i, size) : write_bytes(buffer, i, size), WAIT);
}

/* Receives and checks one message. *right is 0 if its content is wrong. */
static isthmus_error receive_one(thing *it, uint64_t size, int borrow, uint64_t *i, int *right) {
  isthmus_borrowed message;
  size_t length;
  isthmus_error error;
  have(size);
  if (borrow) error = isthmus_borrow(it->receiver, &message, WAIT);
  else error = isthmus_receive(it->receiver, buffer, room, &length, WAIT);
  if (error != ISTHMUS_OK) return error;
  const unsigned char *from = borrow ? (const unsigned char *)message.data : buffer;
  if (borrow) length = message.length;
  *right = (it->values ? read_values : read_bytes)(from, length, size, i);
  if (borrow) isthmus_give_back(it->receiver, &message);
  return ISTHMUS_OK;
}

static int wrong(uint64_t expected) { return answer("error Failed wrong content where %" PRIu64 " is due", expected), 0; }

static void flood(thing *it, uint64_t i, uint64_t size, int loan, uint64_t every, const char *stop) {
  for (uint64_t count = 1;; count++) {
    isthmus_error error = send_one(it, i, size, loan);
    if (error == ISTHMUS_DISCONNECTED) return answer("ok %" PRIu64 " gone", i);
    if (error != ISTHMUS_OK) return (void)say_error(error);
    i++;
    if (count % every != 0) continue;
    answer("at %" PRIu64, i);
    if (access(stop, F_OK) == 0) return answer("ok %" PRIu64, i);
  }
}

static void drain(thing *it, uint64_t last, uint64_t size, int borrow, uint64_t every) {
  uint64_t i = 0, first = 0, before = 0, count = 0;
  char *runs = NULL;
  size_t used = 0;
  FILE *text = open_memstream(&runs, &used);
  isthmus_error error = ISTHMUS_OK;
  int right = 1;
  while (text != NULL && (error = receive_one(it, size, borrow, &i, &right)) == ISTHMUS_OK && right) {
    if (count > 0 && i != before + 1) fprintf(text, " %" PRIu64 ":%" PRIu64, first, before);
    if (count == 0 || i != before + 1) first = i;
    before = i;
    if (++count % every == 0) answer("at %" PRIu64, i);
    if (i == last) break;
  }
  if (count > 0) fprintf(text, " %" PRIu64 ":%" PRIu64, first, before);
  if (error == ISTHMUS_DISCONNECTED) fputs(" gone", text);
  fclose(text);
  if (error != ISTHMUS_OK && error != ISTHMUS_DISCONNECTED) say_error(error);
  else if (!right) wrong(before + 1);
  else answer("ok%s", runs);
  free(runs);
}

/* --- Cells ------------------------------------------------------------------------------------------------------------- */

struct pair {
  uint64_t n, copy;
};

static int is_layout(const thing *it, const char *layout) { return strcmp(it->layout, layout) == 0; }

static size_t write_value(const thing *it, const struct pair *value, unsigned char to[64]) {
  if (!is_layout(it, "cbor")) {
    memcpy(to, value, sizeof *value);
    return is_layout(it, "u64") ? 8 : 16;
  }
  unsigned char *at = put_head(to, 5, 2);
  at = put_head(put_text(at, "n"), 0, value->n);
  return (size_t)(put_head(put_text(at, "copy"), 0, value->copy) - to);
}

static int read_value(const thing *it, const unsigned char *from, size_t got, struct pair *value) {
  if (is_layout(it, "u64")) {
    memcpy(&value->n, from, 8);
    value->copy = value->n;
    return got == 8;
  }
  if (is_layout(it, "struct")) {
    memcpy(value, from, sizeof *value);
    return got == 16;
  }
  reader r = {from, from + got, 0};
  uint64_t fields, length;
  int width;
  if (get_head(&r, &fields, &width) != 5 || fields != 2) return 0;
  for (int i = 0; i < 2; i++) {
    const unsigned char *key = get_string(&r, 3, &length);
    int n = is(key, length, "n");
    if (!n && !is(key, length, "copy")) return 0;
    *(n ? &value->n : &value->copy) = (uint64_t)get_integer(&r);
  }
  return !r.bad && r.at == r.end;
}

static isthmus_error look(thing *it, struct pair *value, int *right) {
  unsigned char bytes[256];
  size_t length;
  isthmus_error error = isthmus_cell_read(it->cell, bytes, sizeof bytes, &length);
  if (error == ISTHMUS_OK) *right = read_value(it, bytes, length, value);
  return error;
}

static isthmus_error add_one(thing *it, int atomic, int *right) {
  struct pair value;
  unsigned char bytes[64];
  int died;
  *right = 1;
  if (atomic) return isthmus_cell_atomic(it->cell, ISTHMUS_ADD, 1, NULL);
  isthmus_error error = isthmus_cell_lock(it->cell, &died, WAIT);
  if (error != ISTHMUS_OK) return error;
  it->died += (uint64_t)died;
  error = look(it, &value, right);
  *right = *right && value.n == value.copy;
  value.n++;
  value.copy++;
  if (error == ISTHMUS_OK && *right) error = isthmus_cell_write(it->cell, bytes, write_value(it, &value, bytes));
  isthmus_error unlocked = isthmus_cell_unlock(it->cell);
  return error != ISTHMUS_OK ? error : unlocked;
}

static int make_cell(thing *it, const char *name, int create) {
  isthmus_cell_options options;
  struct pair zero = {0, 0};
  unsigned char bytes[64];
  memset(&options, 0, sizeof options);
  if (is_layout(it, "struct")) options.layout = "{\"n\":u64,\"copy\":u64}";
  if (is_layout(it, "u64")) options.layout = "u64";
  isthmus_error error = create ? isthmus_cell_create(name, &options, bytes, write_value(it, &zero, bytes), &it->cell)
                               : isthmus_cell_load(name, &options, &it->cell);
  return error == ISTHMUS_OK ? 1 : say_error(error);
}

static void watch(thing *it, uint64_t until) {
  isthmus_watch *watch;
  struct pair value, before;
  unsigned char bytes[256];
  size_t length;
  uint64_t seen = 0;
  int right = 1;
  isthmus_error error = isthmus_watch_open(it->cell, &watch);
  if (error == ISTHMUS_OK) error = look(it, &before, &right);
  if (error != ISTHMUS_OK) return (void)say_error(error);
  answer("at %" PRIu64, before.n);
  for (int first = 1; before.n < until && right; first = 0) {
    error = isthmus_watch_next(watch, bytes, sizeof bytes, &length, WAIT);
    if (error != ISTHMUS_OK) break;
    right = read_value(it, bytes, length, &value) && value.n == value.copy;
    /* The first one may be what was looked at, which came after the watch began. */
    right = right && (value.n > before.n || (first && value.n <= before.n));
    if (first && value.n <= before.n) continue;
    before = value;
    seen++;
  }
  isthmus_watch_close(watch);
  if (error != ISTHMUS_OK) say_error(error);
  else if (!right) answer("error Failed a value that is damaged, or older than the one before");
  else answer("ok %" PRIu64, seen);
}

/* --- Commands ---------------------------------------------------------------------------------------------------------- */

static uint64_t number(const char *word) { return strtoull(word, NULL, 10); }

static void serve_echo(thing *it) {
  for (uint64_t count = 0;; count++) {
    size_t length;
    isthmus_error error = isthmus_wait(it->receiver, &length, WAIT);
    if (error == ISTHMUS_OK) {
      have(length);
      error = isthmus_receive(it->receiver, buffer, room, &length, WAIT);
    }
    if (error == ISTHMUS_OK) error = isthmus_send(it->sender, buffer, length, WAIT);
    if (error == ISTHMUS_DISCONNECTED) return answer("ok %" PRIu64, count);
    if (error != ISTHMUS_OK) return (void)say_error(error);
  }
}

static int is_command(char **words, int count, const char *name, int most) {
  return strcmp(words[0], name) == 0 && count > most;
}

/* Commands that make a handle. 0 if it is another one. */
static int make_one(char **words, int count) {
  int creates = is_command(words, count, "create", 4), opens = is_command(words, count, "open", 3);
  int connects = is_command(words, count, "connect", 2), cell = is_command(words, count, "cell", 4);
  if (!creates && !opens && !connects && !cell) return 0;
  isthmus_options options;
  memset(&options, 0, sizeof options);
  thing *it = find(words[1]) == NULL ? make(words[1]) : NULL;
  if (it == NULL) return answer("error Failed there is a \"%s\" already, or too many", words[1]), 1;
  isthmus_error error = ISTHMUS_OK;
  it->values = connects || (!cell && strcmp(words[3], "values") == 0);
  if (creates) {
    options.capacity = (size_t)number(words[4]);
    error = isthmus_receiver_open(words[2], &options, &it->receiver);
  } else if (opens) {
    error = isthmus_sender_open(words[2], &options, &it->sender);
  } else if (connects) {
    error = isthmus_connect(words[2], NULL, &it->sender, &it->receiver);
  } else {
    snprintf(it->layout, sizeof it->layout, "%s", words[4]);
    if (!make_cell(it, words[2], strcmp(words[3], "create") == 0)) return end(it), 1;
  }
  if (error == ISTHMUS_OK) answer("ok");
  else say_error(error), end(it);
  return 1;
}

/* Commands with messages. */
static int exchange(thing *it, char **words, int count) {
  isthmus_error error = ISTHMUS_OK;
  uint64_t i, found;
  int right = 1;
  if (is_command(words, count, "send", 5) && it->sender != NULL) {
    for (i = number(words[2]); error == ISTHMUS_OK && i < number(words[2]) + number(words[3]); i++)
      error = send_one(it, i, number(words[4]), strcmp(words[5], "loan") == 0);
  } else if (is_command(words, count, "receive", 5) && it->receiver != NULL) {
    for (i = number(words[2]); i < number(words[2]) + number(words[3]); i++) {
      error = receive_one(it, number(words[4]), strcmp(words[5], "borrow") == 0, &found, &right);
      if (error != ISTHMUS_OK) break;
      if (!right) return wrong(i), 1;
      if (found != i) return answer("error Failed expected %" PRIu64 ", got %" PRIu64, i, found), 1;
    }
  } else if (is_command(words, count, "ask", 4) && it->receiver != NULL && it->sender != NULL) {
    for (i = number(words[2]); i < number(words[2]) + number(words[3]); i++) {
      error = send_one(it, i, number(words[4]), 0);
      if (error == ISTHMUS_OK) error = receive_one(it, number(words[4]), 0, &found, &right);
      if (error != ISTHMUS_OK) break;
      if (!right || found != i) return wrong(i), 1;
    }
  } else if (is_command(words, count, "flood", 6) && it->sender != NULL) {
    return flood(it, number(words[2]), number(words[3]), strcmp(words[4], "loan") == 0, number(words[5]), words[6]), 1;
  } else if (is_command(words, count, "drain", 5) && it->receiver != NULL) {
    return drain(it, number(words[2]), number(words[3]), strcmp(words[4], "borrow") == 0, number(words[5])), 1;
  } else if (is_command(words, count, "serve-echo", 1) && it->receiver != NULL && it->sender != NULL) {
    return serve_echo(it), 1;
  } else if (is_command(words, count, "poll", 1) && it->receiver != NULL) {
    isthmus_borrowed message;
    error = isthmus_borrow(it->receiver, &message, 0);
    if (error == ISTHMUS_TIMEOUT) return answer("ok empty"), 1;
    if (error == ISTHMUS_DISCONNECTED) return answer("ok gone"), 1;
    if (error != ISTHMUS_OK) return say_error(error), 1;
    found = 0;
    if (!it->values) {
      if (message.length >= 8) memcpy(&found, message.data, 8);
    } else {
      /* The index is the first field of what our drivers send, and all are checked elsewhere. */
      reader r = {(const unsigned char *)message.data, (const unsigned char *)message.data + message.length, 0};
      uint64_t fields, length;
      int width;
      get_head(&r, &fields, &width);
      get_string(&r, 3, &length);
      found = (uint64_t)get_integer(&r);
    }
    isthmus_give_back(it->receiver, &message);
    return answer("ok message %" PRIu64, found), 1;
  } else {
    return 0;
  }
  if (error != ISTHMUS_OK) say_error(error);
  else answer("ok");
  return 1;
}

/* Commands with cells. */
static int share(thing *it, char **words, int count) {
  isthmus_error error = ISTHMUS_OK;
  struct pair value;
  int right = 1;
  if (it->cell == NULL) return 0;
  if (is_command(words, count, "add", 3)) {
    for (uint64_t i = 0; error == ISTHMUS_OK && right && i < number(words[2]); i++)
      error = add_one(it, strcmp(words[3], "atomic") == 0, &right);
    if (error == ISTHMUS_OK && right) return answer("ok"), 1;
  } else if (is_command(words, count, "hammer", 4)) {
    for (uint64_t done = 1; error == ISTHMUS_OK && right; done++) {
      error = add_one(it, strcmp(words[2], "atomic") == 0, &right);
      if (error != ISTHMUS_OK || !right || done % number(words[3]) != 0) continue;
      answer("at %" PRIu64, done);
      if (access(words[4], F_OK) == 0) return answer("ok %" PRIu64, done), 1;
    }
  } else if (is_command(words, count, "read", 1)) {
    error = look(it, &value, &right);
    if (error == ISTHMUS_OK && right)
      return answer("ok %" PRIu64 " %" PRIu64 " %" PRIu64, value.n, value.copy, it->died), 1;
  } else if (is_command(words, count, "watch", 2)) {
    return watch(it, number(words[2])), 1;
  } else {
    return 0;
  }
  if (error != ISTHMUS_OK) say_error(error);
  else answer("error Failed the value of the cell is damaged");
  return 1;
}

int main(void) {
  char line[4096];
  while (fgets(line, sizeof line, stdin) != NULL) {
    char *words[WORDS], *rest = line;
    int count = 0;
    line[strcspn(line, "\n")] = 0;
    for (char *word; count < WORDS && (word = strsep(&rest, " ")) != NULL;) words[count++] = word;
    thing *it = count > 1 ? find(words[1]) : NULL;
    if (strcmp(words[0], "quit") == 0) break;
    if (strcmp(words[0], "hello") == 0) {
      answer("ok c C11 bytes values borrow loan cbor-cell struct-cell atomic watch client");
    } else if (make_one(words, count)) {
      continue;
    } else if (it != NULL && strcmp(words[0], "close") == 0) {
      end(it);
      answer("ok");
    } else if (it == NULL || (!exchange(it, words, count) && !share(it, words, count))) {
      answer("error Unsupported \"%s\", or of no such handle", words[0]);
    }
  }
  for (int i = 0; i < THINGS; i++)
    if (things[i].name[0] != 0) end(&things[i]);
  free(buffer);
  return 0;
}
