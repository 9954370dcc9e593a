/* What a request may hold: the document inside the program is the one that is tested, every schema
 * in it is obeyed to its last word, and what is wrong is named. */
#include <string.h>

#include "../server/schema.h"
#include "core/arena.h"
#include "http/schema.h"
#include "support/golden.h"

static json_t *document;

static int start(void **state) {
  (void)state;
  document = golden_json("server/openapi.json");
  return 0;
}

static int stop(void **state) {
  (void)state;
  json_decref(document);
  return 0;
}

/* A value that is right, with everything in it that there may be. */
static json_t *example(const json_t *schema) {
  const char *type = json_string_value(json_object_get(schema, "type")), *key;
  json_t *value, *least = json_object_get(schema, "minimum"), *o;
  if (json_object_get(schema, "enum")) return json_incref(json_array_get(json_object_get(schema, "enum"), 0));
  if (!strcmp(type, "array")) return json_pack("[o]", example(json_object_get(schema, "items")));
  if (!strcmp(type, "boolean")) return json_true();
  if (!strcmp(type, "string")) return json_string("x");
  if (strcmp(type, "object")) return least ? json_incref(least) : json_integer(0);
  o = json_object();
  json_object_foreach(json_object_get(schema, "properties"), key, value) json_object_set_new(o, key, example(value));
  return o;
}

static sg_status take(const char *path, json_t *body, json_t **out, sg_error *err) {
  bool post;
  *out = NULL;
  const json_t *call = schema_call(path, &post, err);
  sg_status st = call ? schema_take(call, body, out, err) : err->code;
  json_decref(body);
  return st;
}

static void every_call(void **state) {
  (void)state;
  const char *path;
  json_t *methods, *out;
  size_t n = 0;
  json_object_foreach(json_object_get(document, "paths"), path, methods) {
    const json_t *schema = schema_of_request(document, path, "post");
    json_t *body = schema ? example(schema) : json_object(), *before = json_deep_copy(body);
    sg_error err = {0};
    bool post;
    if (take(path, body, &out, &err)) fail_msg("%s: %s", path, err.text);
    assert_true(json_equal(out, before)); /* nothing is lacking, nothing is changed */
    assert_non_null(schema_call(path, &post, &err));
    assert_int_equal(post, schema != NULL);
    json_decref(before);
    json_decref(out);
    n++;
  }
  assert_true(n > 25);
}

/* At every depth; the request that was sent stays as it is. */
static void defaults(void **state) {
  (void)state;
  json_t *body = json_loads("{\"text\":\"a\",\"edits\":[{},{\"scale\":2}],\"steer\":{\"toward\":\"b\"}}", 0, NULL);
  json_t *sent = json_deep_copy(body), *out;
  json_t *want = json_loads(
      "{\"text\":\"a\",\"edits\":[{\"layer\":0,\"scale\":0},{\"scale\":2,\"layer\":0}],\"steer\":{\"toward\":\"b\","
      "\"layer\":0,\"strength\":4},\"bos\":true,\"position\":-1,\"top\":8}",
      0, NULL);
  sg_error err = {0};
  json_incref(body);
  assert_int_equal(take("/api/ablate", body, &out, &err), SG_OK);
  if (!json_equal(out, want)) fail_msg("%s", json_dumps(out, 0));
  assert_true(json_equal(body, sent));
  json_decref(body);
  json_decref(sent);
  json_decref(want);
  json_decref(out);
}

static void wrong(const char *path, const char *body, const char *why) {
  sg_error err = {0};
  json_t *out;
  assert_int_equal(take(path, json_loads(body, 0, NULL), &out, &err), SG_ERR_ARG);
  assert_null(out);
  if (strcmp(err.text, why)) fail_msg("%s %s: %s\nexpected %s", path, body, err.text, why);
}

static void refusals(void **state) {
  (void)state;
  wrong("/api/predict", "{\"top\":51}", "request: \"top\" must be a whole number from 1 to 50");
  wrong("/api/predict", "{\"top\":1.5}", "request: \"top\" must be a whole number from 1 to 50");
  wrong("/api/predict", "{\"ids\":[1,-1]}", "request: \"ids\": each must be a whole number from 0 on");
  wrong("/api/predict", "{\"ids\":3}", "request: \"ids\" must be a list");
  wrong("/api/predict", "{\"bos\":1}", "request: \"bos\" must be true or false");
  wrong("/api/generate", "{\"top_p\":1.01}", "request: \"top_p\" must be a number from 0 to 1");
  wrong("/api/generate", "{\"steer\":{}}", "request: \"steer\": \"toward\" is needed");
  wrong("/api/generate", "{\"edits\":[{\"scale\":200}]}",
        "request: \"edits\": \"scale\" must be a number from -100 to 100");
  wrong("/api/map", "{\"by\":\"x\"}", "request: \"by\" must be \"input\" or \"target\"");
  wrong("/api/documents", "{\"find\":\"\"}", "request: \"find\" must be a text of 1 to 256 bytes");
  wrong("/api/labels", "{}", "request: \"neurons\" is needed");
  wrong("/api/no", "{}", "/api/no is no call");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_call),
      cmocka_unit_test(defaults),
      cmocka_unit_test(refusals),
  };
  return cmocka_run_group_tests(tests, start, stop);
}
