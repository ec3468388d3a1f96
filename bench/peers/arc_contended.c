/* The yardstick for a contended lock: the same loop over pthread_mutex_t (process-shared, robust, error-checking) in C.
 * arc_contended FILE MS SIDE: makes the file if need be, says "ready", waits for a line, and for so many milliseconds
 * adds 1 under the lock whenever it is its side's turn (the number is even, or odd); prints how often. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

struct shared {
  pthread_mutex_t mutex;
  volatile uint32_t n;
};

int main(int argc, char **argv) {
  if (argc < 4) return 2;
  int fd = open(argv[1], O_RDWR | O_CREAT | O_EXCL, 0600);
  int creates = fd >= 0;
  if (!creates) fd = open(argv[1], O_RDWR);
  if (ftruncate(fd, 4096) < 0) return 1;
  struct shared *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (creates) {
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ERRORCHECK);
    pthread_mutex_init(&shared->mutex, &attributes);
  }
  puts("ready");
  fflush(stdout);
  getchar();
  uint32_t side = atoi(argv[3]);
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  long long end = now.tv_sec * 1000LL + now.tv_nsec / 1000000 + atoi(argv[2]), n = 0;
  do {
    for (int i = 0; i < 100; i++) {
      pthread_mutex_lock(&shared->mutex);
      if (shared->n % 2 == side) shared->n++, n++;
      pthread_mutex_unlock(&shared->mutex);
    }
    clock_gettime(CLOCK_MONOTONIC, &now);
  } while (now.tv_sec * 1000LL + now.tv_nsec / 1000000 < end);
  printf("%lld\n", n);
  return 0;
}
