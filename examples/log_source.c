/* A program in C whose log goes to a collector in Deno, examples/log_collector.ts: through shared memory, without waiting
 * for it, and whether it runs or not.
 *
 *   cc -O2 -I clients/c -o log_source examples/log_source.c -pthread
 *   ./log_source /dev/shm/app.log 1000
 */
#define ISTHMUS_IMPLEMENTATION
#include "isthmus.h"

#include <inttypes.h>

enum level { DEBUG, INFO, WARNING, ERROR };
enum { HEAD = 24, LONGEST = 1000 };

static isthmus_sender *sender;
static uint32_t dropped; /* lines since the last one that went out, as there was no room */

/* One line is one message: 0 time in µs (8) · 8 process (4) · 12 level (4) · 16 dropped before it (4) · 20 0 (4) · text.
 * It is written in place, into memory that the collector reads. */
__attribute__((format(printf, 2, 3))) static void log_line(enum level level, const char *format, ...) {
  isthmus_loan line;
  if (isthmus_reserve(sender, HEAD + LONGEST, &line, 0) != ISTHMUS_OK) { /* full: the program goes on */
    dropped++;
    return;
  }
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  uint64_t time = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
  uint32_t numbers[4] = {(uint32_t)getpid(), (uint32_t)level, dropped, 0};
  memcpy(line.data, &time, sizeof time);
  memcpy((char *)line.data + sizeof time, numbers, sizeof numbers);
  va_list list;
  va_start(list, format);
  int length = vsnprintf((char *)line.data + HEAD, LONGEST, format, list);
  va_end(list);
  if (length >= LONGEST) length = LONGEST - 1;
  if (isthmus_commit(sender, &line, HEAD + (size_t)(length < 0 ? 0 : length)) == ISTHMUS_OK) dropped = 0;
}

int main(int argc, char **argv) {
  if (argc < 2) return fprintf(stderr, "log_source PATH [LINES]\n"), 2;
  isthmus_options options = {0};
  options.capacity = 16 << 20; /* what is logged while the collector is away */
  if (isthmus_sender_open(argv[1], &options, &sender) != ISTHMUS_OK) {
    fprintf(stderr, "%s\n", isthmus_message());
    return 1;
  }
  long lines = argc > 2 ? strtol(argv[2], NULL, 10) : 10;
  log_line(INFO, "begins, with %ld steps", lines);
  for (long i = 0; i < lines; i++) log_line(i % 100 == 99 ? WARNING : DEBUG, "step %ld", i);
  log_line(INFO, "has ended");
  isthmus_sender_close(sender);
  return 0;
}
