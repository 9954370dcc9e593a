#include "core/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "core/file.h"
#include "core/stand_in.h"

static const size_t MAX_BYTES = (size_t)256 << 20;

/* Ten times the text, and what any small file may take. */
static sg_status check_size(const char *text, size_t n, const char *where, sg_error *err) {
  enum { TIMES = 10, ALWAYS = 64 << 20, DEPTH = 64 };
  size_t depth, bytes = sgi_json_estimate(text, n, &depth), most;
  if (depth > DEPTH)
    return sgi_fail(err, SG_ERR_FORMAT,
                    "%s: not valid JSON for sgatlin: %zu lists and objects inside each other, expected at most %d",
                    where, depth, DEPTH);
  if (!sgi_size_mul(n, TIMES, &most) || !sgi_size_add(most, ALWAYS, &most)) most = SIZE_MAX;
  if (bytes <= most) return SG_OK;
  return sgi_fail(err, SG_ERR_FORMAT,
                  "%s: %zu bytes of JSON hold so many values that they would take %zu MB of memory, "
                  "more than %d times the file: expected fewer, or several files",
                  where, n, bytes >> 20, TIMES);
}

sg_status sgi_json_parse(const char *text, size_t n, const char *where, json_t **out, sg_error *err) {
  json_error_t e;
  *out = NULL;
  /* jansson passes over a NUL behind a number, and others would read another text. */
  const char *nul = n ? memchr(text, 0, n) : NULL;
  if (nul) {
    sg_status st = sgi_stand_in(where, text, n, err);
    return st ? st : sgi_fail(err, SG_ERR_FORMAT, "%s: byte %zu: not valid JSON: a NUL", where, (size_t)(nul - text));
  }
  sg_status size = check_size(text, n, where, err);
  if (size) return size;
  *out = json_loadb(text, n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &e);
  if (*out) return SG_OK;
  if (json_error_code(&e) == json_error_out_of_memory) return sgi_fail_memory(err, n, where);
  sg_status st = sgi_stand_in(where, text, n, err);
  if (st) return st;
  return sgi_fail(err, SG_ERR_FORMAT, "%s: line %d, column %d: not valid JSON: %s", where, e.line, e.column, e.text);
}

sg_status sgi_json_load(const char *path, json_t **out, sg_error *err) {
  char *text;
  size_t n;
  *out = NULL;
  sg_status st = sgi_read_file(path, MAX_BYTES, &text, &n, err);
  if (!st) st = sgi_json_parse(text, n, path, out, err);
  sgi_free(text);
  return st;
}

sg_status sgi_json_save(const char *path, const json_t *value, sg_error *err) {
  char *text = json_dumps(value, JSON_INDENT(2) | JSON_ENCODE_ANY | JSON_REAL_PRECISION(17));
  if (!text) return sgi_json_incomplete(path, err);
  size_t n = strlen(text);
  text[n] = '\n'; /* in the place of the NUL */
  sg_status st = sgi_write_file(path, text, n + 1, err);
  free(text);
  return st;
}

char *sgi_json_text(const json_t *value) {
  char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(9));
  char *copy = text ? sgi_strdup(text) : NULL;
  free(text);
  return copy;
}

/* "an integer 5", "a string \"x\"": what was found, for errors. */
static void describe(const json_t *v, char *out, size_t size) {
  if (!v)
    snprintf(out, size, "missing");
  else if (json_is_integer(v))
    snprintf(out, size, "%lld", (long long)json_integer_value(v));
  else if (json_is_real(v))
    snprintf(out, size, "%.17g", json_real_value(v));
  else if (json_is_string(v))
    snprintf(out, size, "the string \"%.40s\"", json_string_value(v));
  else
    snprintf(out, size, "%s",
             json_is_object(v)  ? "an object"
             : json_is_array(v) ? "a list"
             : json_is_null(v)  ? "null"
             : json_is_true(v)  ? "true"
                                : "false");
}

static sg_status wrong(const json_t *object, const char *where, const char *key, const char *expected, sg_error *err) {
  char found[96];
  describe(json_object_get(object, key), found, sizeof found);
  return sgi_fail(err, SG_ERR_FORMAT, "%s: %s is %s: expected %s", where, key, found, expected);
}

sg_status sgi_json_size(const json_t *object, const char *where, const char *key, size_t min, size_t max, size_t *out,
                        sg_error *err) {
  const json_t *v = json_object_get(object, key);
  char expected[96];
  snprintf(expected, sizeof expected, "a whole number from %zu to %zu", min, max);
  if (!json_is_integer(v) || json_integer_value(v) < 0 || (uint64_t)json_integer_value(v) < min ||
      (uint64_t)json_integer_value(v) > max)
    return wrong(object, where, key, expected, err);
  *out = (size_t)json_integer_value(v);
  return SG_OK;
}

sg_status sgi_json_i32(const json_t *object, const char *where, const char *key, int32_t min, int32_t max, int32_t *out,
                       sg_error *err) {
  const json_t *v = json_object_get(object, key);
  char expected[96];
  snprintf(expected, sizeof expected, "a whole number from %d to %d", min, max);
  if (!json_is_integer(v) || json_integer_value(v) < min || json_integer_value(v) > max)
    return wrong(object, where, key, expected, err);
  *out = (int32_t)json_integer_value(v);
  return SG_OK;
}

sg_status sgi_json_u64(const json_t *object, const char *where, const char *key, uint64_t *out, sg_error *err) {
  static const char expected[] = "a whole number, or a string of decimal digits";
  const json_t *v = json_object_get(object, key);
  if (json_is_integer(v) && json_integer_value(v) >= 0) {
    *out = (uint64_t)json_integer_value(v);
    return SG_OK;
  }
  const char *s = json_string_value(v);
  if (!s || !*s) return wrong(object, where, key, expected, err);
  uint64_t value = 0;
  for (; *s; s++)
    if (*s < '0' || *s > '9' || __builtin_mul_overflow(value, 10, &value) ||
        __builtin_add_overflow(value, (uint64_t)(*s - '0'), &value))
      return wrong(object, where, key, expected, err);
  *out = value;
  return SG_OK;
}

sg_status sgi_json_real(const json_t *object, const char *where, const char *key, double min, double max, double *out,
                        sg_error *err) {
  const json_t *v = json_object_get(object, key);
  char expected[96];
  snprintf(expected, sizeof expected, "a number from %g to %g", min, max);
  double x = json_number_value(v);
  if (!json_is_number(v) || !(x >= min && x <= max)) return wrong(object, where, key, expected, err);
  *out = x;
  return SG_OK;
}

sg_status sgi_json_bool(const json_t *object, const char *where, const char *key, bool *out, sg_error *err) {
  const json_t *v = json_object_get(object, key);
  if (!json_is_boolean(v)) return wrong(object, where, key, "true or false", err);
  *out = json_is_true(v);
  return SG_OK;
}

sg_status sgi_json_string(const json_t *object, const char *where, const char *key, char *out, size_t size,
                          sg_error *err) {
  const json_t *v = json_object_get(object, key);
  char expected[96];
  snprintf(expected, sizeof expected, "a string of at most %zu bytes without NUL", size - 1);
  if (!json_is_string(v) || json_string_length(v) >= size || strlen(json_string_value(v)) != json_string_length(v))
    return wrong(object, where, key, expected, err);
  memcpy(out, json_string_value(v), json_string_length(v) + 1);
  return SG_OK;
}

sg_status sgi_json_object(const json_t *object, const char *where, const char *key, const json_t **out, sg_error *err) {
  *out = json_object_get(object, key);
  return json_is_object(*out) ? SG_OK : wrong(object, where, key, "an object", err);
}

sg_status sgi_json_only_keys(const json_t *object, const char *where, const char *const *keys, size_t count,
                             sg_error *err) {
  if (!json_is_object(object)) return sgi_fail(err, SG_ERR_FORMAT, "%s: expected an object", where);
  const char *key;
  const json_t *v;
  json_object_foreach((json_t *)(uintptr_t)object, key, v) {
    bool known = false;
    for (size_t i = 0; i < count && !known; i++) known = !strcmp(keys[i], key);
    if (known) continue;
    const char *near = sgi_nearest(key, keys, count);
    return sgi_fail(err, SG_ERR_FORMAT, "%s: unknown key \"%.60s\"%s%s%s", where, key, near ? "; did you mean \"" : "",
                    near ? near : "", near ? "\"?" : "");
  }
  return SG_OK;
}
