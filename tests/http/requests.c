#include "http/requests.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "http/schema.h"

typedef struct maker {
  const json_t *document;
  const char *path;
  json_t *body;      /* right, but for the object at hand */
  const char *outer; /* key of the list that the object is in; NULL: the object is the body */
  requests_send send;
  size_t sent;
} maker;

/* The body with object[key] = value (stolen), sent; object is in the body. */
static void try_value(maker *m, json_t *object, const char *key, json_t *value) {
  json_t *before = json_incref(json_object_get(object, key));
  json_object_set_new(object, key, value);
  m->send(m->path, m->body, key, m->outer);
  m->sent++;
  if (before)
    json_object_set_new(object, key, before);
  else
    json_object_del(object, key);
}

static void wrong_types(maker *m, json_t *object, const char *key, const json_t *schema) {
  json_t *all = json_pack("[n b i f s [] {}]", 1, 5, 1.5, "x"), *v;
  char why[512];
  size_t i;
  json_t *loose = json_pack("{sO?}", "type", json_object_get(schema, "type")); /* the type alone */
  json_array_foreach(all, i, v) {
    if (!schema_fits(m->document, loose, v, why, sizeof why)) try_value(m, object, key, json_incref(v));
  }
  json_decref(loose);
  json_decref(all);
}

static json_t *long_text(size_t n) {
  char *text = malloc(n + 1);
  memset(text, 'a', n);
  text[n] = 0;
  json_t *o = json_string(text);
  free(text);
  return o;
}

static json_t *list_of(const json_t *item, size_t n) {
  json_t *list = json_array();
  for (size_t i = 0; i < n; i++) json_array_append_new(list, item ? json_deep_copy(item) : json_integer(0));
  return list;
}

static void out_of_range(maker *m, json_t *object, const char *key, const json_t *schema, const json_t *item) {
  const json_t *min = json_object_get(schema, "minimum"), *max = json_object_get(schema, "maximum");
  if (min) try_value(m, object, key, json_integer((json_int_t)json_number_value(min) - 1));
  if (min) try_value(m, object, key, json_integer(INT64_MIN));
  if (max) try_value(m, object, key, json_integer((json_int_t)json_number_value(max) + 1));
  if (max) try_value(m, object, key, json_integer(INT64_MAX));
  if (max && json_is_real(max)) try_value(m, object, key, json_real(1e300));
  if (json_object_get(schema, "enum")) try_value(m, object, key, json_string("zz"));
  const json_t *longest = json_object_get(schema, "maxLength"), *most = json_object_get(schema, "maxItems");
  if (longest) try_value(m, object, key, long_text((size_t)json_integer_value(longest) + 1));
  if (json_integer_value(json_object_get(schema, "minLength")) > 0) try_value(m, object, key, json_string(""));
  if (most) try_value(m, object, key, list_of(item, (size_t)json_integer_value(most) + 1));
  if (json_integer_value(json_object_get(schema, "minItems")) > 0) try_value(m, object, key, json_array());
}

static void wrong_object(maker *m, json_t *object, const json_t *schema);

/* What stands in a list: wrong types, and objects' own fields. */
static void wrong_items(maker *m, json_t *object, const char *key, const json_t *items) {
  json_t *list = json_object_get(object, key), *all = json_pack("[n b f {} []]", 1, 1.5), *v;
  char why[512];
  size_t i;
  json_t *loose = json_pack("{sO?}", "type", json_object_get(items, "type"));
  json_array_foreach(all, i, v) {
    if (!schema_fits(m->document, loose, v, why, sizeof why)) try_value(m, object, key, json_pack("[O]", v));
  }
  json_decref(loose);
  json_decref(all);
  if (!json_object_get(items, "properties") || !json_array_size(list)) return;
  m->outer = key;
  wrong_object(m, json_array_get(list, 0), items);
  m->outer = NULL;
}

static void wrong_object(maker *m, json_t *object, const json_t *schema) {
  const char *key;
  json_t *value;
  json_object_foreach(json_object_get(schema, "properties"), key, value) {
    const json_t *s = schema_resolve(m->document, value),
                 *items = schema_resolve(m->document, json_object_get(s, "items"));
    wrong_types(m, object, key, s);
    out_of_range(m, object, key, s, json_array_get(json_object_get(object, key), 0));
    if (items) wrong_items(m, object, key, items);
  }
  try_value(m, object, "zz", json_integer(1));
}

size_t requests_wrong(const json_t *document, const char *path, const json_t *good, requests_send send) {
  maker m = {.document = document, .path = path, .body = json_deep_copy(good), .send = send};
  wrong_object(&m, m.body, schema_resolve(document, schema_of_request(document, path, "post")));
  json_decref(m.body);
  return m.sent;
}
