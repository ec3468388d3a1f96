/* Started by spawn(): sends what its parent sends back to it, until the parent is gone. Ends with 0 then. */
#define ISTHMUS_IMPLEMENTATION
#include "isthmus.h"

int main(void) {
  isthmus_sender *sender, *again;
  isthmus_receiver *receiver, *other;
  if (isthmus_parent(&sender, &receiver) != ISTHMUS_OK) {
    fprintf(stderr, "%s\n", isthmus_message());
    return 1;
  }
  if (isthmus_parent(&again, &other) != ISTHMUS_NOT_FOUND) return 2; /* once only */
  isthmus_error error;
  for (;;) {
    size_t length;
    error = isthmus_wait(receiver, &length, 60000);
    if (error != ISTHMUS_OK) break;
    char *bytes = (char *)malloc(length + 1);
    if (bytes == NULL) return 3;
    error = isthmus_receive(receiver, bytes, length, &length, 0);
    if (error == ISTHMUS_OK) error = isthmus_send(sender, bytes, length, 60000);
    free(bytes);
    if (error != ISTHMUS_OK) break;
  }
  isthmus_sender_close(sender);
  isthmus_receiver_close(receiver);
  return error == ISTHMUS_DISCONNECTED ? 0 : 4;
}
