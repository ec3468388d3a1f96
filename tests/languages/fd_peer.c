// A program that passes descriptors as any C program does. Arguments: "connect" or "listen", an abstract name, and
// "stream" or "seqpacket". It obeys one message at a time, by its first byte; fd_peer.py is its twin.
//
//   E  sends the message back, with its descriptors
//   W  writes to the first descriptor, and says "done"
//   S  sends as many descriptors as the second byte says
//   T  the same, in two control messages
//   N  says how many descriptors it has open
#define _GNU_SOURCE
#include <dirent.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { MAX_FDS = 253 };

static ssize_t receive(int s, char *data, size_t size, int *fds, int *count) {
  union { char bytes[CMSG_SPACE(MAX_FDS * sizeof(int))]; struct cmsghdr align; } control;
  struct iovec iov = { data, size };
  struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control };
  ssize_t n = recvmsg(s, &m, MSG_CMSG_CLOEXEC);
  *count = 0;
  if (m.msg_flags & (MSG_CTRUNC | MSG_TRUNC)) return -1;
  for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); n >= 0 && c; c = CMSG_NXTHDR(&m, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    int k = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    memcpy(fds + *count, CMSG_DATA(c), k * sizeof(int));
    *count += k;
  }
  return n;
}

static int reply(int s, const char *data, size_t size, const int *fds, int count, int parts) {
  union { char bytes[CMSG_SPACE(MAX_FDS * sizeof(int)) + CMSG_SPACE(0)]; struct cmsghdr align; } control;
  memset(&control, 0, sizeof control);
  struct iovec iov = { (void *)data, size };
  struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
  if (count > 0) m.msg_control = control.bytes, m.msg_controllen = sizeof control;
  size_t used = 0;
  struct cmsghdr *c = count > 0 ? CMSG_FIRSTHDR(&m) : NULL;
  for (int part = 0, from = 0; c && part < parts; part++, c = CMSG_NXTHDR(&m, c)) {
    int k = part < parts - 1 ? count / parts : count - from;
    c->cmsg_level = SOL_SOCKET, c->cmsg_type = SCM_RIGHTS, c->cmsg_len = CMSG_LEN(k * sizeof(int));
    memcpy(CMSG_DATA(c), fds + from, k * sizeof(int));
    from += k, used += CMSG_SPACE(k * sizeof(int));
  }
  m.msg_controllen = used;
  return sendmsg(s, &m, MSG_NOSIGNAL) == (ssize_t)size ? 0 : -1;
}

static int open_descriptors(void) {
  DIR *d = opendir("/proc/self/fd");
  int n = -1; // the folder's own
  for (struct dirent *e; (e = readdir(d));) n += e->d_name[0] != '.';
  closedir(d);
  return n;
}

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  int s = socket(AF_UNIX, (strcmp(argv[3], "stream") ? SOCK_SEQPACKET : SOCK_STREAM) | SOCK_CLOEXEC, 0);
  struct sockaddr_un a = { .sun_family = AF_UNIX };
  size_t length = strlen(argv[2]);
  memcpy(a.sun_path + 1, argv[2], length);
  socklen_t size = offsetof(struct sockaddr_un, sun_path) + 1 + length;
  if (strcmp(argv[1], "listen") == 0) {
    if (bind(s, (struct sockaddr *)&a, size) || listen(s, 1)) return 3;
    int peer = accept(s, NULL, NULL);
    close(s);
    s = peer;
  } else if (connect(s, (struct sockaddr *)&a, size)) {
    return 3;
  }
  static char data[65536];
  int fds[MAX_FDS], count;
  for (;;) {
    ssize_t n = receive(s, data, sizeof data, fds, &count);
    if (n < 0) return 4;
    if (n == 0) return 0;
    int failed = 0, own[MAX_FDS];
    for (int i = 0; i < MAX_FDS; i++) own[i] = 0;
    if (data[0] == 'E') failed = reply(s, data, n, fds, count, 1);
    if (data[0] == 'W') failed = write(fds[0], "from C", 6) != 6 || reply(s, "done", 4, NULL, 0, 0);
    if (data[0] == 'S') failed = reply(s, "take", 4, own, (unsigned char)data[1], 1);
    if (data[0] == 'T') failed = reply(s, "take", 4, own, (unsigned char)data[1], 2);
    if (data[0] == 'N') failed = reply(s, data, sprintf(data, "%d", open_descriptors()), NULL, 0, 0);
    if (failed) return 5;
    for (int i = 0; i < count; i++) close(fds[i]);
  }
}
