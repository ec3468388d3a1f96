/* The messages of the matrix, as bytes and as CBOR: written, and read with every byte checked. */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static uint64_t length_of(uint64_t i, uint64_t size) { return size - (i * 37) % (size / 2); }

/* --- CBOR: as much of it as messages have ---------------------------------------------------------------------------- */

static unsigned char *put_head(unsigned char *at, int major, uint64_t number) {
  int bytes = number < 24 ? 0 : number < 256 ? 1 : number < 65536 ? 2 : number <= UINT32_MAX ? 4 : 8;
  *at++ = (unsigned char)(major << 5 | (bytes == 0 ? (int)number : bytes == 1 ? 24 : bytes == 2 ? 25 : bytes == 4 ? 26 : 27));
  for (int i = bytes - 1; i >= 0; i--) *at++ = (unsigned char)(number >> (8 * i));
  return at;
}

static unsigned char *put_text(unsigned char *at, const char *text) {
  at = put_head(at, 3, strlen(text));
  memcpy(at, text, strlen(text));
  return at + strlen(text);
}

typedef struct {
  const unsigned char *at, *end;
  int bad;
} reader;

/* The head of an item: its major type, and its number; the bits of a float. *bytes: how many the number takes. */
static int get_head(reader *r, uint64_t *number, int *bytes) {
  *number = 0, *bytes = 0;
  if (r->at >= r->end) return r->bad = 1, 0;
  int first = *r->at++, low = first & 31;
  if (low < 24) {
    *number = (uint64_t)low;
  } else if (low > 27) {
    r->bad = 1;
  } else {
    *bytes = 1 << (low - 24);
    if (r->end - r->at < *bytes) return r->bad = 1, 0;
    for (int i = 0; i < *bytes; i++) *number = *number << 8 | *r->at++;
  }
  return first >> 5;
}

static int64_t get_integer(reader *r) {
  uint64_t number;
  int bytes, major = get_head(r, &number, &bytes);
  if (major > 1 || number > INT64_MAX) r->bad = 1;
  return major == 1 ? -1 - (int64_t)number : (int64_t)number;
}

static double get_float(reader *r) {
  uint64_t number;
  int bytes, major = get_head(r, &number, &bytes);
  if (major != 7 || bytes < 2) return r->bad = 1, 0;
  if (bytes == 8) {
    double value;
    memcpy(&value, &number, 8);
    return value;
  }
  if (bytes == 4) {
    uint32_t bits = (uint32_t)number;
    float value;
    memcpy(&value, &bits, 4);
    return value;
  }
  int exponent = (int)(number >> 10) & 31;
  double value = exponent == 0 ? (double)(number & 1023) / 1024 : 1 + (double)(number & 1023) / 1024;
  for (int i = exponent == 0 ? 1 : exponent; i < 15; i++) value /= 2;
  for (int i = 15; i < exponent; i++) value *= 2;
  return number >> 15 & 1 ? -value : value;
}

/* A text or a byte string. */
static const unsigned char *get_string(reader *r, int wanted, uint64_t *length) {
  int bytes, major = get_head(r, length, &bytes);
  if (major != wanted || *length > (uint64_t)(r->end - r->at)) return r->bad = 1, *length = 0, r->at;
  r->at += *length;
  return r->at - *length;
}

static int is(const unsigned char *text, uint64_t length, const char *wanted) {
  return length == strlen(wanted) && memcmp(text, wanted, length) == 0;
}

/* --- Messages ---------------------------------------------------------------------------------------------------------- */

static size_t write_bytes(unsigned char *to, uint64_t i, uint64_t size) {
  uint64_t length = length_of(i, size);
  for (uint64_t k = 8; k < length; k++) to[k] = (unsigned char)(i + k);
  memcpy(to, &i, 8);
  return (size_t)length;
}

static size_t write_values(unsigned char *to, uint64_t i, uint64_t size) {
  uint64_t length = length_of(i, size), bits;
  char text[40];
  double half = (double)i + 0.5;
  unsigned char *at = put_head(to, 5, 6);
  at = put_head(put_text(at, "i"), 0, i);
  snprintf(text, sizeof text, "message %" PRIu64, i);
  at = put_text(put_text(at, "text"), text);
  at = put_head(put_head(put_text(at, "list"), 4, 3), 0, i);
  at = i == 0 ? put_head(at, 0, 0) : put_head(at, 1, i - 1);
  memcpy(&bits, &half, 8);
  *at++ = 0xfb;
  for (int k = 7; k >= 0; k--) *at++ = (unsigned char)(bits >> (8 * k));
  at = put_text(at, "yes");
  *at++ = i % 2 == 0 ? 0xf5 : 0xf4;
  at = put_text(at, "none");
  *at++ = 0xf6;
  at = put_head(put_text(at, "bytes"), 2, length);
  for (uint64_t k = 0; k < length; k++) at[k] = (unsigned char)(i + k);
  return (size_t)(at + length - to);
}

/* Checks a message by the index that it says itself; 0 if it is wrong. */
static int read_bytes(const unsigned char *from, size_t got, uint64_t size, uint64_t *i) {
  if (got < 8) return 0;
  memcpy(i, from, 8);
  if (*i >> 53 || got != length_of(*i, size)) return 0;
  for (uint64_t k = 8; k < got; k++)
    if (from[k] != (unsigned char)(*i + k)) return 0;
  return 1;
}

static int read_values(const unsigned char *from, size_t got, uint64_t size, uint64_t *i) {
  reader r = {from, from + got, 0};
  uint64_t fields, number, length, has = 0, text_length = 0, bytes_length = 0;
  const unsigned char *text = NULL, *bytes = NULL;
  int64_t index = -1, list[2] = {0, 0};
  double half = 0;
  int width, yes = -1, none = 0;
  if (get_head(&r, &fields, &width) != 5 || fields != 6) return 0;
  for (; has < fields && !r.bad; has++) {
    const unsigned char *key = get_string(&r, 3, &length);
    if (is(key, length, "i")) {
      index = get_integer(&r);
    } else if (is(key, length, "text")) {
      text = get_string(&r, 3, &text_length);
    } else if (is(key, length, "list")) {
      if (get_head(&r, &number, &width) != 4 || number != 3) r.bad = 1;
      list[0] = get_integer(&r);
      list[1] = get_integer(&r);
      half = get_float(&r);
    } else if (is(key, length, "yes")) {
      if (get_head(&r, &number, &width) != 7 || width != 0) r.bad = 1;
      yes = number == 21 ? 1 : number == 20 ? 0 : -1;
    } else if (is(key, length, "none")) {
      none = get_head(&r, &number, &width) == 7 && number == 22 && width == 0;
    } else if (is(key, length, "bytes")) {
      bytes = get_string(&r, 2, &bytes_length);
    } else {
      r.bad = 1;
    }
  }
  char wanted[40];
  snprintf(wanted, sizeof wanted, "message %" PRId64, index);
  if (r.bad || r.at != r.end || index < 0 || text == NULL || bytes == NULL || !is(text, text_length, wanted)) return 0;
  if (list[0] != index || list[1] != -index || half != (double)index + 0.5 || yes != (index % 2 == 0) || !none) return 0;
  *i = (uint64_t)index;
  if (bytes_length != length_of(*i, size)) return 0;
  for (uint64_t k = 0; k < bytes_length; k++)
    if (bytes[k] != (unsigned char)(*i + k)) return 0;
  return 1;
}
