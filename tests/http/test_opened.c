/* A graph's file in place of a model: what is read of it, what is refused and how, and the calls
 * beside it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../server/api.h"
#include "http/client.h"
#include "http/schema.h"

static char *scratch;

static int start(void **state) {
  (void)state;
  scratch = golden_temporary();
  return 0;
}
static int stop(void **state) {
  (void)state;
  golden_remove(scratch);
  return 0;
}

static const char *file(const char *text, size_t n) {
  static char path[256];
  snprintf(path, sizeof path, "%s/g.json", scratch);
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  assert_int_equal(fwrite(text, 1, n, f), n);
  fclose(f);
  return path;
}

#define NODE(id) "{\"node_id\":\"" id "\",\"layer\":\"0\",\"ctx_idx\":0,\"feature_type\":\"x\"}"
#define LINKED "{\"nodes\":[" NODE("a") "," NODE("b") "],\"links\":[{\"source\":\"a\",\"target\":\"b\",\"weight\":1}]}"
#define ANSWER \
  "{\"tokens\":[{\"id\":1,\"text\":\"a\"}],\"nodes\":[{\"kind\":\"token\",\"layer\":-1,\"position\":0},{\"kind\":" \
  "\"logit\",\"layer\":1," \
  "\"position\":0}],\"edges\":[[0,1,0.5]]}"

static void right_files(void **state) {
  (void)state;
  static const char *const all[] = {
      LINKED, ANSWER, "{\"calls\":[{\"call\":\"predict\"},{\"call\":\"graph\",\"answer\":" ANSWER "}]}",
      "{\"calls\":[{\"call\":\"opened\",\"answer\":" ANSWER "}],\"view\":{\"groups\":\"x~a\"}}"};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    opened o;
    assert_sg_ok(opened_load(&o, file(all[i], strlen(all[i])), err));
    assert_string_equal(o.name, "g.json");
    opened_deinit(&o);
  }
}

/* Each is refused by a sentence that names the file and holds the words. */
static void wrong_files(void **state) {
  (void)state;
  static const struct {
    const char *text, *words;
  } all[] = {
      {"", "expected a graph"},
      {"{", "expected a graph"},
      {"[]", "expected a graph"},
      {"null", "expected a graph"},
      {"5", "expected a graph"},
      {"{\"nodes\":[],\"links\":[]}", "a graph of 0 nodes"},
      {"{\"nodes\":5,\"links\":[]}", "expected a graph"},
      {"{\"nodes\":[1],\"links\":[]}", "node 0"},
      {"{\"nodes\":[" NODE("a") ",{}],\"links\":[]}", "node 1"},
      {"{\"nodes\":[" NODE("a") "],\"links\":[{\"source\":\"a\",\"target\":\"b\",\"weight\":1}]}", "link 0"},
      {"{\"nodes\":[" NODE("a") "],\"links\":[{\"source\":\"a\",\"target\":\"a\",\"weight\":\"x\"}]}", "link 0"},
      {"{\"nodes\":[" NODE("a") "],\"links\":[null]}", "link 0"},
      {"{\"metadata\":{\"prompt_tokens\":[5]},\"nodes\":[" NODE("a") "],\"links\":[]}", "prompt_tokens 0"},
      {"{\"nodes\":[{\"node_id\":\"a\",\"layer\":\"0\",\"ctx_idx\":-1,\"feature_type\":\"x\"}],\"links\":[]}",
       "node 0"},
      {"{\"nodes\":[{\"node_id\":\"a\",\"layer\":1e9,\"ctx_idx\":0,\"feature_type\":\"x\"}],\"links\":[]}", "node 0"},
      {"{\"tokens\":[],\"nodes\":[{\"kind\":\"script\",\"layer\":0,\"position\":0}],\"edges\":[]}", "node 0"},
      {"{\"tokens\":[5],\"nodes\":[{\"kind\":\"bias\",\"layer\":0,\"position\":0}],\"edges\":[]}", "token 0"},
      {"{\"tokens\":[],\"nodes\":[{\"kind\":\"bias\",\"layer\":0,\"position\":0}],\"edges\":[[0,1,1]]}", "edge 0"},
      {"{\"tokens\":[],\"nodes\":[{\"kind\":\"bias\",\"layer\":0,\"position\":0}],\"edges\":[[0,-1,1]]}", "edge 0"},
      {"{\"tokens\":[],\"nodes\":[{\"kind\":\"bias\",\"layer\":0,\"position\":0}],\"edges\":[[0,0]]}", "edge 0"},
      {"{\"calls\":[{\"call\":\"predict\",\"answer\":{}}]}", "without a graph"},
      {"{\"calls\":[5,{}]}", "without a graph"},
      {"{\"a\":1,\"a\":2}", "expected a graph"},
      {"{\"a\":\"\xff\"}", "expected a graph"},
  };
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    opened o;
    sg_error e = {0};
    sg_status st = opened_load(&o, file(all[i].text, strlen(all[i].text)), &e);
    if (st != SG_ERR_FORMAT) fail_msg("%s: %d", all[i].text, (int)st);
    if (!strstr(e.text, "g.json") || !strstr(e.text, all[i].words)) fail_msg("%s: %s", all[i].text, e.text);
    opened_deinit(&o);
  }
}

/* Too deep, too many values, too long, too many nodes: refused before anything is built of them, or
 * soon after. */
static void too_large(void **state) {
  (void)state;
  enum { BIG = 5 << 20 };
  char *text = malloc(BIG + 64);
  opened o;
  sg_error e = {0};
  memset(text, '[', BIG);
  assert_int_equal(opened_load(&o, file(text, BIG), &e), SG_ERR_FORMAT);
  assert_non_null(strstr(e.text, "nested deeper than 32"));
  opened_deinit(&o);
  for (size_t i = 1; i + 1 < BIG; i += 2) memcpy(text + i, "0,", 2);
  assert_int_equal(opened_load(&o, file(text, BIG), &e), SG_ERR_FORMAT);
  assert_non_null(strstr(e.text, "2000000 values"));
  opened_deinit(&o);
  size_t n = (size_t)sprintf(text, "{\"links\":[],\"nodes\":[0");
  for (size_t i = 0; i < 20000; i++) n += (size_t)sprintf(text + n, ",0");
  n += (size_t)sprintf(text + n, "]}");
  assert_int_equal(opened_load(&o, file(text, n), &e), SG_ERR_FORMAT);
  assert_non_null(strstr(e.text, "20001 nodes"));
  opened_deinit(&o);
  FILE *f = fopen(file("x", 1), "r+"); /* a hole: no disk is used */
  assert_int_equal(fseek(f, (65 << 20), SEEK_SET), 0);
  fputc('x', f);
  fclose(f);
  char path[256];
  snprintf(path, sizeof path, "%s/g.json", scratch);
  assert_int_equal(opened_load(&o, path, &e), SG_ERR_FORMAT);
  assert_non_null(strstr(e.text, "expected at most 67108864"));
  opened_deinit(&o);
  remove(path);
  assert_int_equal(mkfifo(path, 0600), 0); /* not waited for */
  assert_true(opened_load(&o, path, &e));
  opened_deinit(&o);
  remove(path);
  free(text);
}

/* Files with bytes changed at random: read or refused. */
static void changed_files(void **state) {
  (void)state;
  unsigned seed = 5;
  for (int i = 0; i < 3000; i++) {
    char text[512];
    snprintf(text, sizeof text, "%s", i % 2 ? LINKED : ANSWER);
    for (int k = 0; k < 1 + i % 4; k++) {
      seed = seed * 1103515245u + 12345u;
      text[(seed >> 16) % strlen(text)] = "{}[]\",:0-e\\a"[(seed >> 8) % 12];
    }
    opened o;
    sg_error e = {0};
    sg_status st = opened_load(&o, file(text, strlen(text)), &e);
    assert_true(st == SG_OK || st == SG_ERR_FORMAT);
    opened_deinit(&o);
  }
}

/* Without a model: its file and what is known are told, every other call says what it needs. */
static void calls(void **state) {
  (void)state;
  json_t *document = golden_json("server/openapi.json"), *value;
  opened graph;
  assert_sg_ok(opened_load(&graph, file(LINKED, strlen(LINKED)), err));
  explorer e = {.graph = &graph};
  http_settings s = {.handler = api_handle, .user = &e};
  http_server *server;
  assert_sg_ok(http_start(&s, &server, err));
  const char *path;
  size_t refused = 0;
  json_object_foreach(json_object_get(document, "paths"), path, value) {
    bool get = json_object_get(value, "get") != NULL, served = get || !strcmp(path, "/api/file");
    reply r = client_call(server, path, get ? NULL : "{}", "");
    if (r.status != (served ? 200 : 400)) fail_msg("%s: %d %s", path, r.status, r.body);
    bool study = !strcmp(path, "/api/study") || !strcmp(path, "/api/factors");
    if (!served && !strstr(r.body, study ? "needs a study" : "needs a model")) fail_msg("%s: %s", path, r.body);
    json_t *o = json_loadb(r.body, r.n, 0, NULL);
    char why[512];
    if (!schema_fits(document, schema_of_answer(document, path, get ? "get" : "post", served ? "200" : "default"), o,
                     why, sizeof why))
      fail_msg("%s: %s", path, why);
    if (!get && served) {
      json_t *wanted = json_loads(LINKED, 0, NULL);
      assert_true(json_equal(json_object_get(o, "file"), wanted));
      json_decref(wanted);
    }
    refused += !served;
    json_decref(o);
    reply_free(&r);
  }
  assert_true(refused >= 10);
  http_stop(server);
  opened_deinit(&graph);
  json_decref(document);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(right_files), cmocka_unit_test(wrong_files),
                                     cmocka_unit_test(too_large), cmocka_unit_test(changed_files),
                                     cmocka_unit_test(calls)};
  return cmocka_run_group_tests(tests, start, stop);
}
