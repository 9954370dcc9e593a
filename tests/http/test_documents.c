/* Documents of --data: by number, forwards and backwards, with a text in them; long ones cut to
 * what is read; against the file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../server/api.h"
#include "http/client.h"
#include "http/schema.h"

#define MODEL "tests/golden/eval/model"
enum { MANY = 200000 };

static char *scratch;
static json_t *openapi;
static explorer e;
static sgi_doc_file data;
static http_server *server;

static const char *path_of(const char *name) {
  static char path[256];
  snprintf(path, sizeof path, "%s/%s", scratch, name);
  return path;
}

static FILE *create(const char *name) {
  FILE *f = fopen(path_of(name), "w");
  assert_non_null(f);
  return f;
}

static int start(void **state) {
  (void)state;
  scratch = golden_temporary();
  openapi = golden_json("server/openapi.json");
  assert_sg_ok(sg_model_load(MODEL, &e.model, err));
  assert_sg_ok(sg_tokenizer_load(MODEL "/tokenizer.json", &e.tokenizer, err));
  FILE *f = create("many.txt");
  for (int i = 0; i < MANY; i++)
    fprintf(f, "Dog %d%s%s\n<|endoftext|>\n", i, i % 1000 == 7 ? " found a bone" : "", i % 2 ? "" : " \n\n ");
  fclose(f);
  e.name = "a model";
  assert_sg_ok(sgi_documents_open(&data, path_of("many.txt"), &(sg_text_form){0}, err));
  e.data = &data;
  http_settings s = {.handler = api_handle, .user = &e};
  assert_sg_ok(http_start(&s, &server, err));
  return 0;
}

static int stop(void **state) {
  (void)state;
  http_stop(server);
  sgi_documents_close(&data);
  sg_model_free(e.model);
  sg_tokenizer_free(e.tokenizer);
  json_decref(openapi);
  golden_remove(scratch);
  return 0;
}

static json_t *ask(const char *path, const char *body, int status) {
  char why[512];
  reply r = client_call(server, path, body, "");
  if (r.status != status) fail_msg("%s %s: %d, expected %d: %s", path, body, r.status, status, r.body);
  json_t *o = json_loadb(r.body, r.n, 0, NULL);
  if (!schema_fits(openapi, schema_of_answer(openapi, path, "post", status == 200 ? "200" : "default"), o, why,
                   sizeof why))
    fail_msg("%s: %s", path, why);
  reply_free(&r);
  return o;
}

/* The numbers of the list, as text. */
static void assert_numbers(const char *body, const char *wanted) {
  json_t *o = ask("/api/documents", body, 200), *row;
  char text[512] = "";
  size_t i, n = 0;
  json_array_foreach(json_object_get(o, "documents"), i, row) {
    n += (size_t)snprintf(text + n, sizeof text - n, "%lld ",
                          (long long)json_integer_value(json_object_get(row, "number")));
  }
  if (strcmp(text, wanted)) fail_msg("%s: %s, expected %s", body, text, wanted);
  json_decref(o);
}

static void assert_text(int number, const char *wanted) {
  char body[64];
  snprintf(body, sizeof body, "{\"number\":%d}", number);
  json_t *o = ask("/api/document", body, 200);
  assert_string_equal(json_string_value(json_object_get(o, "text")), wanted);
  assert_int_equal(json_integer_value(json_object_get(o, "number")), number);
  json_decref(o);
}

static void walking(void **state) {
  (void)state;
  assert_text(0, "Dog 0");
  assert_text(3, "Dog 3");
  assert_text(2, "Dog 2");
  json_t *o = ask("/api/documents", "{\"from\":5,\"count\":2}", 200);
  assert_true(json_is_null(json_object_get(o, "total"))); /* nobody has been at the end */
  json_decref(o);
  assert_numbers("{\"from\":5,\"count\":3}", "5 6 7 ");
  assert_numbers("{\"from\":5,\"count\":3,\"back\":true}", "5 4 3 ");
  assert_numbers("{\"from\":1,\"count\":5,\"back\":true}", "1 0 ");
  assert_text(MANY - 1, "Dog 199999");
  assert_numbers("{\"from\":199998,\"count\":5}", "199998 199999 ");
  assert_numbers("{\"from\":1000000000,\"count\":2,\"back\":true}", "199999 199998 ");
  assert_numbers("{\"from\":200000}", "");
  o = ask("/api/documents", "{\"from\":5}", 200);
  assert_int_equal(json_integer_value(json_object_get(o, "total")), MANY);
  json_decref(o);
  assert_true(data.stride > 1 && data.n_places <= 65536); /* more documents than places */
  unsigned seed = 3;
  for (int i = 0; i < 300; i++) {
    char want[40];
    seed = seed * 1103515245u + 12345u;
    int number = (int)((seed >> 8) % MANY);
    snprintf(want, sizeof want, "Dog %d%s", number, number % 1000 == 7 ? " found a bone" : "");
    assert_text(number, want);
  }
  json_decref(ask("/api/document", "{\"number\":200000}", 400));
}

static void searching(void **state) {
  (void)state;
  assert_numbers("{\"find\":\"bone\",\"count\":3}", "7 1007 2007 ");
  assert_numbers("{\"from\":7,\"find\":\"bone\"}", "7 ");
  assert_numbers("{\"from\":8,\"find\":\"bone\"}", "1007 ");
  assert_numbers("{\"from\":100007,\"find\":\"bone\",\"back\":true,\"count\":2}", "100007 99007 ");
  assert_numbers("{\"from\":100006,\"find\":\"bone\",\"back\":true}", "99007 ");
  assert_numbers("{\"from\":199008,\"find\":\"bone\"}", "");
  assert_numbers("{\"from\":6,\"find\":\"bone\",\"back\":true}", "");
  assert_numbers("{\"find\":\"Dog 123456\"}", "123456 ");
  json_decref(ask("/api/documents", "{\"find\":\"\"}", 400));
}

/* Long, broken and strange documents become prompts that the other calls take. */
static void long_documents(void **state) {
  (void)state;
  FILE *f = create("long.jsonl");
  fputs("{\"story\":\"short\"}\n{\"story\":\"", f);
  for (int i = 0; i < 20000; i++) fprintf(f, "%s ", i == 15000 ? "zebra" : i % 50 ? "dog" : "caf\\u00e9");
  fputs("\"}\n{\"story\":\"a\\u0000b\"}\n{\"story\":\"", f);
  for (int i = 0; i < 100000; i++) fputs(i % 2 ? "b" : "a", f);
  fputs("\"}\n", f);
  fclose(f);
  FILE *g = create("broken.txt");
  fputs("ab\xff\xc3", g);
  fclose(g);
  sgi_doc_file d, before = data;
  assert_sg_ok(sgi_documents_open(&d, path_of("long.jsonl"), &(sg_text_form){.field = "story"}, err));
  data = d;
  static const struct {
    const char *body, *starts;
    int cut, from;
  } all[] = {{"{\"number\":0}", "short", 0, 0},
             {"{\"number\":1}", "caf\xc3\xa9 dog", 1, 0},
             {"{\"number\":2}",
              "a\xef\xbf\xbd"
              "b",
              0, 0},
             {"{\"number\":3}", "ababab", 1, 0},
             {"{\"number\":1,\"find\":\"zebra\"}", "dog", 1, 1}};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    json_t *o = ask("/api/document", all[i].body, 200), *text = json_object_get(o, "text");
    if (strncmp(json_string_value(text), all[i].starts, strlen(all[i].starts)))
      fail_msg("%s: %.60s", all[i].body, json_string_value(text));
    assert_int_equal(json_is_true(json_object_get(o, "cut")), all[i].cut);
    assert_int_equal(json_integer_value(json_object_get(o, "from")) > 0, all[i].from);
    json_int_t tokens = json_integer_value(json_object_get(o, "tokens"));
    enum { MADE_FOR = 24 }; /* bos is one of them */
    if (tokens >= MADE_FOR || (all[i].cut && tokens < MADE_FOR - 10))
      fail_msg("%s: %lld tokens", all[i].body, (long long)tokens);
    if (i == 4) assert_non_null(strstr(json_string_value(text), "zebra"));
    json_t *prompt = json_pack("{sO si}", "text", text, "top", 1);
    char *body = json_dumps(prompt, 0);
    json_t *read = ask("/api/predict", body, 200);
    assert_int_equal(json_array_size(json_object_get(read, "tokens")), tokens + 1);
    json_decref(read);
    json_decref(prompt);
    free(body);
    json_decref(o);
  }
  sgi_documents_close(&data);
  assert_sg_ok(sgi_documents_open(&data, path_of("broken.txt"), &(sg_text_form){0}, err));
  assert_text(0, "ab\xef\xbf\xbd\xef\xbf\xbd");
  json_t *o = ask("/api/documents", "{}", 200);
  json_decref(o);
  /* The file changes under the explorer: an error without its path, and the server goes on. */
  sgi_documents_close(&data);
  assert_sg_ok(sgi_documents_open(&data, path_of("long.jsonl"), &(sg_text_form){.field = "story"}, err));
  f = create("long.jsonl");
  fputs("{\"story\":\"short\"}\nnothing\n", f);
  fclose(f);
  o = ask("/api/document", "{\"number\":3}", 200); /* of what was read at first */
  json_decref(o);
  o = ask("/api/document", "{\"number\":0}", 200);
  json_decref(o);
  o = ask("/api/document", "{\"number\":1}", 400);
  assert_null(strstr(json_string_value(json_object_get(o, "error")), scratch));
  assert_non_null(strstr(json_string_value(json_object_get(o, "error")), "long.jsonl"));
  json_decref(o);
  sgi_documents_close(&data);
  data = before;
}

static void refused(void **state) {
  (void)state;
  sgi_doc_file d;
  sg_error x = {0};
  fclose(create("empty.txt"));
  assert_int_equal(sgi_documents_open(&d, path_of("empty.txt"), &(sg_text_form){0}, &x), SG_ERR_FORMAT);
  assert_non_null(strstr(x.text, "empty.txt"));
  sgi_documents_close(&d);
  assert_int_equal(sgi_documents_open(&d, path_of("none.txt"), &(sg_text_form){0}, &x), SG_ERR_IO);
  sgi_documents_close(&d);
  assert_int_equal(sgi_documents_open(&d, "Makefile", &(sg_text_form){0}, &x), SG_ERR_ARG);
  sgi_documents_close(&d);
  e.data = NULL;
  json_decref(ask("/api/documents", "{}", 400));
  json_decref(ask("/api/document", "{}", 400));
  e.data = &data;
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(walking), cmocka_unit_test(searching),
                                     cmocka_unit_test(long_documents), cmocka_unit_test(refused)};
  return cmocka_run_group_tests(tests, start, stop);
}
