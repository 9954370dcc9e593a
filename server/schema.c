#include "schema.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- the document ---------------------------------------------------------------------------- */

/* Read once; one job runs at a time (jobs.h). */
static const json_t *document(sg_error *err) {
  static json_t *whole;
  if (!whole) sgi_json_parse(schema_text, schema_bytes, "openapi.json", &whole, err);
  return whole;
}

const json_t *schema_call(const char *path, bool *post, sg_error *err) {
  const json_t *all = document(err);
  if (!all) return NULL;
  const json_t *methods = json_object_get(json_object_get(all, "paths"), path),
               *call = json_object_get(methods, "post");
  *post = call != NULL;
  if (!call) call = json_object_get(methods, "get");
  if (!call) sgi_fail(err, SG_ERR_ARG, "%s is no call", path);
  return call;
}

/* ---- one value ------------------------------------------------------------------------------- */

typedef struct phrase {
  char s[160];
} phrase;

static phrase words_of(const json_t *words) {
  phrase p = {""};
  size_t n = 0, count = json_array_size(words);
  for (size_t i = 0; i < count && n < sizeof p.s; i++)
    n += (size_t)snprintf(p.s + n, sizeof p.s - n, "%s\"%s\"",
                          !i              ? ""
                          : i + 1 < count ? ", "
                                          : " or ",
                          json_string_value(json_array_get(words, i)));
  return p;
}

static void bound(char *out, size_t size, const json_t *x) {
  if (json_is_integer(x))
    snprintf(out, size, "%lld", (long long)json_integer_value(x));
  else
    snprintf(out, size, "%g", json_number_value(x));
}

static phrase range_of(const char *what, const json_t *low, const json_t *high) {
  phrase p;
  char a[32], b[32];
  bound(a, sizeof a, low);
  bound(b, sizeof b, high);
  if (low && high)
    snprintf(p.s, sizeof p.s, "%s from %s to %s", what, a, b);
  else if (low)
    snprintf(p.s, sizeof p.s, "%s from %s on", what, a);
  else if (high)
    snprintf(p.s, sizeof p.s, "%s of at most %s", what, b);
  else
    snprintf(p.s, sizeof p.s, "%s", what);
  return p;
}

/* What the schema wants, for "must be ...". */
static phrase wanted(const json_t *schema) {
  const char *type = json_string_value(json_object_get(schema, "type"));
  const json_t *words = json_object_get(schema, "enum"), *least = json_object_get(schema, "minLength");
  phrase p = {""};
  if (words) return words_of(words);
  if (!strcmp(type, "integer"))
    return range_of("a whole number", json_object_get(schema, "minimum"), json_object_get(schema, "maximum"));
  if (!strcmp(type, "number"))
    return range_of("a number", json_object_get(schema, "minimum"), json_object_get(schema, "maximum"));
  if (!strcmp(type, "array"))
    return range_of("a list", json_object_get(schema, "minItems"), json_object_get(schema, "maxItems"));
  if (!strcmp(type, "string") && json_object_get(schema, "maxLength"))
    snprintf(p.s, sizeof p.s, "a text of %s %lld bytes", json_integer_value(least) ? "1 to" : "at most",
             (long long)json_integer_value(json_object_get(schema, "maxLength")));
  else
    snprintf(p.s, sizeof p.s, "%s",
             !strcmp(type, "boolean")  ? "true or false"
             : !strcmp(type, "object") ? "an object"
                                       : "a text");
  return p;
}

static bool within(const json_t *schema, const char *low, const char *high, double x) {
  const json_t *a = json_object_get(schema, low), *b = json_object_get(schema, high);
  return (!a || x >= json_number_value(a)) && (!b || x <= json_number_value(b));
}

static bool whole_within(const json_t *schema, json_int_t x) {
  const json_t *a = json_object_get(schema, "minimum"), *b = json_object_get(schema, "maximum");
  return (!a || x >= json_integer_value(a)) && (!b || x <= json_integer_value(b));
}

static bool among(const json_t *words, const json_t *v) {
  for (size_t i = 0; i < json_array_size(words); i++)
    if (json_equal(json_array_get(words, i), v)) return true;
  return !words;
}

/* The value itself; what it holds is looked at by take. */
static bool fits(const json_t *schema, const json_t *v) {
  const char *type = json_string_value(json_object_get(schema, "type"));
  switch (json_typeof(v)) {
    case JSON_INTEGER:
      if (!strcmp(type, "integer")) return whole_within(schema, json_integer_value(v));
      /* fall through */
    case JSON_REAL:
      return !strcmp(type, "number") && isfinite(json_number_value(v)) &&
             within(schema, "minimum", "maximum", json_number_value(v));
    case JSON_STRING:
      return !strcmp(type, "string") && within(schema, "minLength", "maxLength", (double)json_string_length(v)) &&
             among(json_object_get(schema, "enum"), v);
    case JSON_TRUE:
    case JSON_FALSE: return !strcmp(type, "boolean");
    case JSON_ARRAY:
      return !strcmp(type, "array") && within(schema, "minItems", "maxItems", (double)json_array_size(v));
    case JSON_OBJECT: return !strcmp(type, "object");
    default: return false;
  }
}

/* ---- all of a request ------------------------------------------------------------------------ */

enum { PLACE = 120, KEYS = 64 };

/* A schema that says what is not understood here would be obeyed in part. */
static sg_status understood(const json_t *schema, const char *where, sg_error *err) {
  static const char *const known[] = {
      "type",      "minimum", "maximum",  "default",  "description", "enum",     "minLength",
      "maxLength", "items",   "minItems", "maxItems", "properties",  "required", "additionalProperties"};
  const char *type = json_string_value(json_object_get(schema, "type"));
  sg_status st = type ? sgi_json_only_keys(schema, where, known, SGI_COUNT(known), err) : SG_ERR_INTERNAL;
  if (!st && !strcmp(type, "object") && !json_is_false(json_object_get(schema, "additionalProperties")))
    st = SG_ERR_INTERNAL;
  return st ? sgi_fail(err, SG_ERR_INTERNAL, "openapi.json: the schema of %s is not understood", where) : SG_OK;
}

static sg_status take(const json_t *schema, const char *where, json_t *v, sg_error *err);

static sg_status take_object(const json_t *schema, const char *where, json_t *o, sg_error *err) {
  const json_t *properties = json_object_get(schema, "properties"), *needed = json_object_get(schema, "required");
  const char *keys[KEYS], *key;
  size_t n = 0;
  json_t *s;
  char inside[PLACE];
  json_object_foreach((json_t *)(uintptr_t)properties, key, s) if (n < KEYS) keys[n++] = key;
  sg_status st = sgi_json_only_keys(o, where, keys, n, err) ? SG_ERR_ARG : SG_OK;
  if (st && err) err->code = st;
  for (size_t i = 0; i < json_array_size(needed) && !st; i++)
    if (!json_object_get(o, key = json_string_value(json_array_get(needed, i))))
      st = sgi_fail(err, SG_ERR_ARG, "%s: \"%s\" is needed", where, key);
  for (size_t i = 0; i < n && !st; i++) {
    json_t *v = json_object_get(o, keys[i]), *otherwise;
    s = json_object_get(properties, keys[i]);
    snprintf(inside, sizeof inside, "%s: \"%s\"", where, keys[i]);
    st = understood(s, inside, err);
    if (!st && !v && (otherwise = json_object_get(s, "default")) && json_object_set(o, keys[i], otherwise))
      st = sgi_fail(err, SG_ERR_MEMORY, "out of memory");
    if (!st && v && !fits(s, v)) st = sgi_fail(err, SG_ERR_ARG, "%s must be %s", inside, wanted(s).s);
    if (!st && v) st = take(s, inside, v, err);
  }
  return st;
}

static sg_status take(const json_t *schema, const char *where, json_t *v, sg_error *err) {
  const json_t *items = json_object_get(schema, "items");
  if (json_is_object(v)) return take_object(schema, where, v, err);
  sg_status st = items ? understood(items, where, err) : SG_OK;
  for (size_t i = 0; items && i < json_array_size(v) && !st; i++) {
    json_t *one = json_array_get(v, i);
    if (!fits(items, one)) st = sgi_fail(err, SG_ERR_ARG, "%s: each must be %s", where, wanted(items).s);
    if (!st) st = take(items, where, one, err);
  }
  return st;
}

sg_status schema_take(const json_t *call, const json_t *body, json_t **out, sg_error *err) {
  const json_t *content = json_object_get(json_object_get(call, "requestBody"), "content"),
               *schema = json_object_get(json_object_get(content, "application/json"), "schema");
  *out = body ? json_deep_copy(body) : json_object();
  sg_status st = *out ? SG_OK : sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  if (!st && schema) st = understood(schema, "request", err);
  if (!st && schema) st = take_object(schema, "request", *out, err);
  if (!st) return SG_OK;
  json_decref(*out);
  *out = NULL;
  return st;
}
