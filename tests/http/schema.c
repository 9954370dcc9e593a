#include "http/schema.h"

#include <stdio.h>
#include <string.h>

typedef struct place {
  const json_t *document;
  char path[256];
  char *why;
  size_t size;
} place;

static bool wrong(const place *p, const char *what) {
  snprintf(p->why, p->size, "%s: %s", *p->path ? p->path : "(answer)", what);
  return false;
}

static bool is_type(const json_t *v, const char *type) {
  if (!strcmp(type, "object")) return json_is_object(v);
  if (!strcmp(type, "array")) return json_is_array(v);
  if (!strcmp(type, "string")) return json_is_string(v);
  if (!strcmp(type, "boolean")) return json_is_boolean(v);
  if (!strcmp(type, "integer")) return json_is_integer(v);
  if (!strcmp(type, "number")) return json_is_number(v);
  return !strcmp(type, "null") && json_is_null(v);
}

static bool fits(place *p, const json_t *schema, const json_t *v);

static bool fits_below(const place *p, const char *key, size_t index, const json_t *schema, const json_t *v) {
  place q = *p;
  size_t n = strlen(q.path);
  if (key)
    snprintf(q.path + n, sizeof q.path - n, ".%.60s", key);
  else
    snprintf(q.path + n, sizeof q.path - n, "[%zu]", index);
  return fits(&q, schema, v);
}

static bool object_fits(const place *p, const json_t *schema, json_t *v) {
  const json_t *properties = json_object_get(schema, "properties"),
               *others = json_object_get(schema, "additionalProperties"), *r;
  const char *key;
  json_t *value;
  size_t i;
  json_array_foreach(json_object_get(schema, "required"), i, r) if (!json_object_get(v, json_string_value(r))) {
    char text[120];
    snprintf(text, sizeof text, "lacks \"%s\"", json_string_value(r));
    return wrong(p, text);
  }
  json_object_foreach(v, key, value) {
    const json_t *s = json_object_get(properties, key);
    if (!s && json_is_false(others)) {
      char text[120];
      snprintf(text, sizeof text, "\"%.80s\" is not in the schema", key);
      return wrong(p, text);
    }
    if (!s && json_is_object(others)) s = others;
    if (s && !fits_below(p, key, 0, s, value)) return false;
  }
  return true;
}

static bool array_fits(const place *p, const json_t *schema, const json_t *v) {
  const json_t *items = json_object_get(schema, "items"), *min = json_object_get(schema, "minItems"),
               *max = json_object_get(schema, "maxItems");
  json_int_t n = (json_int_t)json_array_size(v);
  if ((min && n < json_integer_value(min)) || (max && n > json_integer_value(max))) return wrong(p, "wrong length");
  for (size_t i = 0; items && i < json_array_size(v); i++)
    if (!fits_below(p, NULL, i, items, json_array_get(v, i))) return false;
  return true;
}

const json_t *schema_resolve(const json_t *document, const json_t *schema) {
  const char *ref;
  while ((ref = json_string_value(json_object_get(schema, "$ref")))) {
    schema = document;
    for (const char *at = ref + 1; *at == '/';) {
      size_t n = strcspn(++at, "/");
      char part[64];
      snprintf(part, sizeof part, "%.*s", (int)n, at);
      schema = json_object_get(schema, part);
      at += n;
    }
  }
  return schema;
}

static bool type_fits(const json_t *type, const json_t *v) {
  if (!type || (json_is_string(type) && is_type(v, json_string_value(type)))) return true;
  for (size_t i = 0; i < json_array_size(type); i++)
    if (is_type(v, json_string_value(json_array_get(type, i)))) return true;
  return false;
}

static bool fits(place *p, const json_t *schema, const json_t *v) {
  schema = schema_resolve(p->document, schema);
  if (!schema) return wrong(p, "the schema's reference leads nowhere");
  const json_t *one = json_object_get(schema, "oneOf"), *words = json_object_get(schema, "enum");
  if (one) {
    size_t n = 0;
    for (size_t i = 0; i < json_array_size(one); i++) n += fits(p, json_array_get(one, i), v);
    if (n > 1) return wrong(p, "fits more than one of the schema's forms");
    if (n == 1) *p->why = 0;
    return n == 1; /* else why speaks of the last form */
  }
  if (!type_fits(json_object_get(schema, "type"), v)) return wrong(p, "has another type");
  if (words) {
    bool found = false;
    for (size_t i = 0; i < json_array_size(words); i++) found |= json_equal(json_array_get(words, i), v);
    if (!found) return wrong(p, "is none of the schema's words");
  }
  if (json_is_object(v)) return object_fits(p, schema, (json_t *)v);
  return !json_is_array(v) || array_fits(p, schema, v);
}

bool schema_fits(const json_t *document, const json_t *schema, const json_t *value, char *why, size_t size) {
  place p = {.document = document, .why = why, .size = size};
  *why = 0;
  return fits(&p, schema, value);
}

static const json_t *json_content(const json_t *o) {
  return json_object_get(json_object_get(json_object_get(o, "content"), "application/json"), "schema");
}

static const json_t *method_of(const json_t *document, const char *path, const char *method) {
  return json_object_get(json_object_get(json_object_get(document, "paths"), path), method);
}

const json_t *schema_of_answer(const json_t *document, const char *path, const char *method, const char *status) {
  return json_content(json_object_get(json_object_get(method_of(document, path, method), "responses"), status));
}

const json_t *schema_of_request(const json_t *document, const char *path, const char *method) {
  return json_content(json_object_get(method_of(document, path, method), "requestBody"));
}
