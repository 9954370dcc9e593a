#include "http/explored.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compare/sparse_set.h"
#include "http/command.h"
#include "http/schema.h"

http_server *server;
explorer shown;
sgi_record_reader reading;
char *scratch;
json_t *document;
static char names_file[300], metrics[256], recorded[256]; /* in scratch */
static sgi_known_world truth;

static void write_file(const char *name, const char *text) {
  char path[256];
  snprintf(path, sizeof path, "%s/%s", scratch, name);
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  fputs(text, f);
  fclose(f);
}

/* What a directory of worlds holds, small: categories, topics, facts. */
static void write_truth(void) {
  write_file("labels.json", "{\"dog\":[\"animal\"],\"sat\":[\"verb\",\"day\"],\"zebra\":[\"animal\"]}");
  write_file("topics.jsonl",
             "{\"split\":\"train\",\"story\":1,\"topic\":\"sea\"}\n"
             "{\"split\":\"valid\",\"story\":0,\"topic\":\"farm\"}\n");
  write_file("facts.json",
             "{\"before\":\"The \",\"after\":\" was\",\"facts\":{\"dog\":{\"old\":3},\"tree\":{\"tall\":2}}}");
  shown.facts = sgi_path_join(scratch, "facts.json");
}

static void write_metrics(void) {
  write_file("metrics.jsonl",
             "{\"step\":1,\"train/loss\":5.5}\nbroken\n{\"step\":2,\"eval/loss\":null}\n{\"step\":3,\"tr");
  snprintf(metrics, sizeof metrics, "%s/metrics.jsonl", scratch);
  shown.metrics = metrics;
}

static void write_text(void) {
  char path[256];
  snprintf(path, sizeof path, "%s/valid.txt", scratch);
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  for (int i = 0; i < 40; i++) fprintf(f, "%sThe old dog sat near a tall tree number %d.", i ? "\n\n" : "", i);
  fclose(f);
}

static void open_recording(void) {
  char line[700];
  snprintf(line, sizeof line, "record " MODEL " --data %s/valid.txt --split blank-lines -o %s/rec", scratch, scratch);
  command_run(line);
  snprintf(recorded, sizeof recorded, "%s/rec", scratch);
  assert_sg_ok(sgi_record_reader_open(recorded, &reading, err));
  shown.recording = &reading;
}

static void open_transcoders(void) {
  char line[700];
  snprintf(line, sizeof line,
           "sparse train " MODEL
           " --data %s/valid.txt --split blank-lines --top-k 4 --features 32 -b 64 --buffer 2 "
           "--seq-len 16 --steps 6 -o %s/tc > %s/out",
           scratch, scratch, scratch);
  command_run(line);
  snprintf(line, sizeof line, "%s/tc", scratch);
  assert_sg_ok(sgi_sparse_set_open(line, &shown.sparse.set, err));
  assert_sg_ok(sgi_sparse_set_open(line, &shown.beside.sparse.set, err));
  shown.sparse.name = shown.beside.sparse.name = "tc";
}

static void open_functions(void) {
  char line[700];
  snprintf(line, sizeof line,
           "functions fit " MODEL " --recording %s/rec --layer 1 --features 8 --least 8 --steps 5 -o %s/F >%s/fit",
           scratch, scratch, scratch);
  command_run(line);
  snprintf(line, sizeof line, "%s/F", scratch);
  assert_sg_ok(sgi_functions_open(line, &shown.functions, err));
}

int explored_start(void **state) {
  (void)state;
  document = golden_json("server/openapi.json");
  scratch = golden_temporary();
  assert_sg_ok(sg_model_load(MODEL, &shown.model, err));
  assert_sg_ok(sg_tokenizer_load(MODEL "/tokenizer.json", &shown.tokenizer, err));
  shown.name = "a model";
  assert_sg_ok(sg_model_load(MODEL, &shown.beside.model, err));
  shown.beside.name = "the same again";
  write_metrics();
  write_text();
  open_recording();
  open_transcoders();
  open_functions();
  write_truth();
  assert_sg_ok(sgi_known_world_load(&truth, scratch, &reading, err));
  shown.worlds = &truth;
  snprintf(names_file, sizeof names_file, "%s/names.sqlite", scratch);
  shown.names_path = names_file;
  shown.author = "somebody";
  http_settings s = {.handler = api_handle, .user = &shown};
  assert_sg_ok(http_start(&s, &server, err));
  return 0;
}

int explored_stop(void **state) {
  (void)state;
  http_stop(server);
  sg_names_close(shown.names);
  sgi_functions_close(shown.functions);
  sg_model_free(shown.model);
  sg_model_free(shown.beside.model);
  sgi_sparse_set_free(shown.sparse.set);
  sgi_sparse_set_free(shown.beside.sparse.set);
  sg_tokenizer_free(shown.tokenizer);
  json_decref(document);
  sgi_record_reader_close(&reading);
  sgi_known_world_deinit(&truth);
  api_forget(&shown);
  sgi_free(shown.facts);
  golden_remove(scratch);
  return 0;
}

json_t *ask(const char *path, const char *body, int status) {
  reply r = client_call(server, path, body, "");
  if (r.status != status) fail_msg("%s %s: %d, expected %d: %s", path, body ? body : "", r.status, status, r.body);
  json_t *o = json_loadb(r.body, r.n, 0, NULL);
  assert_non_null(o);
  reply_free(&r);
  return o;
}

void assert_fits(const char *path, const char *method, const char *status, const json_t *answer) {
  char why[512];
  const json_t *o = schema_of_answer(document, path, method, status);
  assert_non_null(o);
  if (!schema_fits(document, o, answer, why, sizeof why)) fail_msg("%s: %s", path, why);
}

void assert_same(const char *what, const json_t *a, const json_t *b) {
  if (json_equal(a, b)) return;
  char *x = json_dumps(a, JSON_ENCODE_ANY), *y = json_dumps(b, JSON_ENCODE_ANY);
  fail_msg("%s: %.300s\nis not\n%.300s", what, x ? x : "nothing", y ? y : "nothing");
}
