/* json_size.c: what jansson will build of a text, before it does: "[]," is three bytes there and
 * 130 here, "{}," 240, so that 20 MB of such a file would take a gigabyte. */
#include "core/json.h"

/* Of jansson 2.14 and glibc on 64 bits, list slots and hash buckets with the spare half that growth
 * leaves and the old half that it still holds. */
enum { NUMBER = 32, TEXT = 64, SLOT = 24, LIST = 128, OBJECT = 240, KEY = 112 };

static size_t string_length(const char *text, size_t n, size_t at) {
  size_t i = at;
  while (i < n && text[i] != '"') i += text[i] == '\\' ? 2 : 1;
  return (i < n ? i : n) - at;
}

/* Looks at no grammar: the parser does. Strings before a ':' are keys. */
size_t sgi_json_estimate(const char *text, size_t n, size_t *depth) {
  size_t bytes = 0, open = 0;
  bool in_scalar = false;
  *depth = 0;
  for (size_t i = 0; i < n; i++) {
    char c = text[i];
    bool scalar =
        (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.' || (c >= 'A' && c <= 'z' && c != '[' && c != ']');
    if (scalar && !in_scalar) bytes += NUMBER + SLOT;
    in_scalar = scalar;
    if (c == '"') {
      size_t length = string_length(text, n, i + 1);
      bytes += TEXT + SLOT + length;
      i += length + 1;
    } else if (c == ':') {
      bytes += KEY - TEXT;
    } else if (c == '[' || c == '{') {
      bytes += (c == '[' ? LIST : OBJECT) + SLOT;
      if (++open > *depth) *depth = open;
    } else if ((c == ']' || c == '}') && open) {
      open--;
    }
  }
  return bytes;
}
