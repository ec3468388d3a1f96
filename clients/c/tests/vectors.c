/* What isthmus.h says of a test vector (tests/vectors/): one line for each look. The memory lies at a path, or under the
 * name of a cell, already.
 *
 *   vectors ring PATH LOOKS…     LOOKS: "empty", where nothing is to come, and anything else for a message
 *   vectors sender PATH
 *   vectors cell NAME [LAYOUT]
 */
#define ISTHMUS_IMPLEMENTATION
#include "isthmus.h"

#include <stdio.h>
#include <string.h>

enum { LONG = 60000, SHORT = 100 };

static int say_error(isthmus_error error) {
  printf("error %s\n", isthmus_error_name(error));
  return 0;
}

static void say_bytes(const char *what, const void *from, size_t length) {
  const unsigned char *bytes = (const unsigned char *)from;
  printf(length > 0 ? "%s " : "%s", what);
  if (length > 1000) printf("of %zu", length);
  else
    for (size_t i = 0; i < length; i++) printf("%02x", bytes[i]);
  putchar('\n');
}

static int ring(const char *path, char **looks, int count) {
  isthmus_receiver *receiver;
  isthmus_error error = isthmus_receiver_open(path, NULL, &receiver);
  if (error != ISTHMUS_OK) return say_error(error);
  puts("ok");
  for (int i = 0; i < count && error == ISTHMUS_OK; i++) {
    isthmus_borrowed message;
    error = isthmus_borrow(receiver, &message, strcmp(looks[i], "empty") == 0 ? SHORT : LONG);
    if (error == ISTHMUS_OK) {
      say_bytes("message", message.data, message.length);
      isthmus_give_back(receiver, &message);
    } else if (error == ISTHMUS_TIMEOUT) {
      puts("empty");
      error = ISTHMUS_OK;
    }
  }
  isthmus_receiver_close(receiver);
  return error == ISTHMUS_OK ? 0 : say_error(error);
}

static int sender(const char *path) {
  isthmus_sender *sender;
  isthmus_error error = isthmus_sender_open(path, NULL, &sender);
  if (error != ISTHMUS_OK) return say_error(error);
  puts("ok");
  error = isthmus_send(sender, "", 1, 0);
  isthmus_sender_close(sender);
  if (error != ISTHMUS_OK && error != ISTHMUS_TIMEOUT) return say_error(error);
  return puts(error == ISTHMUS_OK ? "sent" : "full"), 0;
}

static int cell(const char *name, const char *layout) {
  isthmus_cell_options options;
  isthmus_cell *cell;
  unsigned char value[256];
  size_t length;
  int died;
  memset(&options, 0, sizeof options);
  options.layout = layout;
  isthmus_error error = isthmus_cell_load(name, &options, &cell);
  if (error != ISTHMUS_OK) return say_error(error);
  puts("ok");
  error = isthmus_cell_read(cell, value, sizeof value, &length);
  if (error == ISTHMUS_OK) {
    say_bytes("value", value, length);
    error = isthmus_cell_lock(cell, &died, LONG);
  }
  if (error == ISTHMUS_OK) {
    puts(died ? "lock ownerDied" : "lock");
    error = isthmus_cell_read(cell, value, sizeof value, &length);
    if (error == ISTHMUS_OK) say_bytes("value", value, length);
    isthmus_cell_unlock(cell);
  }
  isthmus_cell_close(cell);
  return error == ISTHMUS_OK ? 0 : say_error(error);
}

int main(int argc, char **argv) {
  if (argc >= 3 && strcmp(argv[1], "ring") == 0) return ring(argv[2], argv + 3, argc - 3);
  if (argc == 3 && strcmp(argv[1], "sender") == 0) return sender(argv[2]);
  if (argc >= 3 && strcmp(argv[1], "cell") == 0) return cell(argv[2], argc > 3 ? argv[3] : NULL);
  return fputs("vectors ring|sender|cell PATH …\n", stderr), 2;
}
