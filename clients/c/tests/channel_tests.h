/* Part of isthmus_test.c: tests of channels. */
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

/* A peer writes anything anywhere, all the time: what is said is a message or an error, soon, and nothing is touched that
 * is not the ring's, which the sanitizers see. */
static void scribbled_rings(void) {
  isthmus_receiver *r = receiver(65536);
  isthmus_sender *s = sender();
  uint32_t *words = r->ring.words;
  pid_t child = fork();
  if (child == 0) {
    static const uint32_t odd[] = {0, 1, 2, 64, 0x7FFFFFFF, 0x80000000, 0x80000001, 0xFFFFFFFF, 0xFFFFFFFE, 1u << 20};
    uint64_t seed = 1;
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* also when a sanitizer ends the test */
    for (;;) {
      seed = seed * 6364136223846793005u + 1442695040888963407u;
      uint32_t a = (uint32_t)(seed >> 33), where = a % 8, at, word = odd[(a >> 8) % 10];
      if (where == 0) at = ISTH__W_TAIL;
      else if (where == 1) at = ISTH__W_HEAD;
      else if (where == 2) at = ISTH__W_NAMESPACE + (a >> 12) % 400;
      else if (where == 3) at = ISTH__W_SLOTS + (a >> 12) % (ISTH__SLOTS * ISTH__SLOT_WORDS);
      else at = ISTH__W_COMMIT + (a >> 12) % r->ring.blocks;
      if (where < 2) word = isth__load(words + at) + (a >> 20) % 64 - 8;
      isth__store(words + at, word);
    }
  }
  unsigned char bytes[100000];
  int errors = 0, messages = 0;
  int64_t until = isth__now() + (int64_t)20 * 1000000000; /* or less, where both get to run at once */
  for (int i = 0; (errors < 2000 || messages < 500) && isth__now() < until; i++) {
    size_t length = 0;
    isthmus_borrowed message;
    int64_t began = isth__now();
    isthmus_error sent = isthmus_send(s, bytes, (size_t)(i * 37 % 3000), 1);
    isthmus_error got = i % 2 ? isthmus_receive(r, bytes, sizeof bytes, &length, 1) : isthmus_borrow(r, &message, 1);
    if (got == ISTHMUS_OK && i % 2 == 0) {
      for (size_t k = 0; k < message.length; k += 64) bytes[k % sizeof bytes] = ((const unsigned char *)message.data)[k];
      isthmus_give_back(r, &message);
    }
    CHECK(sent == ISTHMUS_OK || sent == ISTHMUS_TIMEOUT || sent == ISTHMUS_CORRUPT || sent == ISTHMUS_DISCONNECTED);
    CHECK(got == ISTHMUS_OK || got == ISTHMUS_TIMEOUT || got == ISTHMUS_CORRUPT);
    CHECK(isth__now() - began < (int64_t)PATIENCE * 1000000);
    if (got == ISTHMUS_OK) messages++;
    else if (got == ISTHMUS_CORRUPT) errors++;
    if (failures > 0) break;
    if (i % 4 != 0) continue;
    /* Mended, so that what follows gets further than to the first check. */
    isth__store(words + ISTH__W_BELL, 0);
    isth__store(words + ISTH__W_HEAD, r->published);
    isth__store(words + ISTH__W_TAIL, s->limit = r->head);
    s->gone = 0;
  }
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
  printf("  (%d messages, %d errors)\n", messages, errors);
  CHECK(errors > 0);
  isthmus_sender_close(s);
  isthmus_receiver_close(r);
  for (int i = 0; i < 3; i++) { /* a damaged ring is not empty, so it stays */
    char name_of[160];
    snprintf(name_of, sizeof name_of, "%s%s", path, i == 0 ? "" : i == 1 ? ".bell" : ".room");
    unlink(name_of);
  }
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

