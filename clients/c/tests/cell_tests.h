/* Part of isthmus_test.c: tests of cells. */
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

