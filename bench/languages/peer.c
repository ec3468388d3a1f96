/* C by isthmus.h: `peer send|receive PATH SIZE COUNT HOW`, as peer.ts says; HOW is copy or place. */
#define _GNU_SOURCE
#define ISTHMUS_IMPLEMENTATION
#include "isthmus.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { WAIT = 60000 };

static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void check(isthmus_error error) {
  if (error == ISTHMUS_OK) return;
  fprintf(stderr, "%s: %s\n", isthmus_error_name(error), isthmus_message());
  exit(1);
}

int main(int argc, char **argv) {
  if (argc != 6) return fprintf(stderr, "usage: peer send|receive PATH SIZE COUNT copy|place\n"), 2;
  size_t size = strtoull(argv[3], NULL, 10), count = strtoull(argv[4], NULL, 10), length, warm = count / 4;
  int in_place = strcmp(argv[5], "place") == 0;
  unsigned char *payload = (unsigned char *)calloc(1, size);
  uint64_t sum = 0, begin = 0;
  isthmus_options options;
  memset(&options, 0, sizeof options);
  options.capacity = size >= 1 << 20 ? 1 << 24 : 1 << 22;
  if (payload == NULL) return 1;
  if (strcmp(argv[1], "send") == 0) {
    isthmus_sender *sender;
    check(isthmus_sender_open(argv[2], NULL, &sender));
    for (size_t i = 0; i < count; i++) {
      payload[0] = (unsigned char)i;
      check(isthmus_send(sender, payload, size, WAIT));
    }
    isthmus_sender_close(sender);
    return 0;
  }
  isthmus_receiver *receiver;
  check(isthmus_receiver_open(argv[2], &options, &receiver));
  puts("ready");
  fflush(stdout);
  for (size_t i = 0; i < count; i++) {
    if (in_place) {
      isthmus_borrowed message;
      check(isthmus_borrow(receiver, &message, WAIT));
      const unsigned char *bytes = (const unsigned char *)message.data;
      sum += bytes[0] + bytes[message.length - 1];
      isthmus_give_back(receiver, &message);
    } else {
      check(isthmus_receive(receiver, payload, size, &length, WAIT));
      sum += payload[0] + payload[length - 1];
    }
    if (i == warm) begin = now();
  }
  uint64_t ns = now() - begin;
  isthmus_receiver_close(receiver);
  printf("{\"ops\":%zu,\"ns\":%" PRIu64 ",\"sum\":%" PRIu64 "}\n", count - warm - 1, ns, sum);
  return 0;
}
