/* Every call of the explorer: its answer fits server/openapi.json, its numbers are the command
 * line's bit for bit, wrong requests are refused, and whatever a client writes does no harm. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../server/api.h"
#include "compare/sparse_set.h"
#include "core/safetensors.h"
#include "http/client.h"
#include "http/requests.h"
#include "http/schema.h"
#include "read/recording.h"

#define MODEL "tests/golden/eval/model"
#define TEXT "The old dog sat"

static http_server *server;
static explorer e;
static char names_file[300];
static sgi_record_reader reading;
static char *scratch; /* holds a recording, and what worlds knows of it */
static sgi_known_world truth;
static json_t *document;
static char metrics[256]; /* in scratch */

static const char *program(void) {
  const char *given = getenv("SGATLIN");
  return given ? given : "build/sgatlin";
}

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
  e.facts = sgi_path_join(scratch, "facts.json");
}

static int start(void **state) {
  (void)state;
  document = golden_json("server/openapi.json");
  assert_sg_ok(sg_model_load(MODEL, &e.model, err));
  assert_sg_ok(sg_tokenizer_load(MODEL "/tokenizer.json", &e.tokenizer, err));
  e.name = "a model";
  e.metrics = metrics;
  char line[512], path[256], set[256];
  scratch = golden_temporary();
  write_file("metrics.jsonl",
             "{\"step\":1,\"train/loss\":5.5}\nbroken\n{\"step\":2,\"eval/loss\":null}\n{\"step\":3,\"tr");
  snprintf(metrics, sizeof metrics, "%s/metrics.jsonl", scratch);
  snprintf(path, sizeof path, "%s/valid.txt", scratch);
  FILE *f = fopen(path, "w");
  for (int i = 0; i < 40; i++) fprintf(f, "%sThe old dog sat near a tall tree number %d.", i ? "\n\n" : "", i);
  fclose(f);
  snprintf(line, sizeof line, "%s -q record " MODEL " --data %s --split blank-lines -o %s/rec", program(), path,
           scratch);
  assert_int_equal(system(line), 0);
  snprintf(path, sizeof path, "%s/rec", scratch);
  assert_sg_ok(sgi_record_reader_open(path, &reading, err));
  e.recording = &reading;
  snprintf(line, sizeof line,
           "%s -q sparse train " MODEL
           " --data %s/valid.txt --split blank-lines --top-k 4 --features 32 -b 64 --buffer 2 "
           "--seq-len 16 --steps 6 -o %s/tc > %s/out",
           program(), scratch, scratch, scratch);
  assert_int_equal(system(line), 0);
  snprintf(set, sizeof set, "%s/tc", scratch);
  assert_sg_ok(sgi_sparse_set_open(set, &e.own.sparse, err));
  assert_sg_ok(sgi_sparse_set_open(set, &e.beside.sparse, err));
  assert_sg_ok(sg_model_load(MODEL, &e.beside.model, err));
  e.own.sparse_name = e.beside.sparse_name = "tc";
  e.beside.name = "the same again";
  snprintf(line, sizeof line,
           "%s -q functions fit " MODEL
           " --recording %s/rec --layer 1 --features 8 --least 8 --steps 5 -o %s/F >%s/fit",
           program(), scratch, scratch, scratch);
  assert_int_equal(system(line), 0);
  char functions[256];
  snprintf(functions, sizeof functions, "%s/F", scratch);
  assert_sg_ok(sgi_functions_open(functions, &e.functions, err));
  write_truth();
  assert_sg_ok(sgi_known_world_load(&truth, scratch, &reading, err));
  e.worlds = &truth;
  snprintf(names_file, sizeof names_file, "%s/names.sqlite", scratch);
  e.names_path = names_file;
  e.author = "somebody";
  http_settings s = {.handler = api_handle, .user = &e};
  assert_sg_ok(http_start(&s, &server, err));
  return 0;
}

static int stop(void **state) {
  (void)state;
  http_stop(server);
  sgi_names_end(e.names);
  sgi_functions_close(e.functions);
  sg_model_free(e.model);
  sg_model_free(e.beside.model);
  sgi_sparse_set_free(e.own.sparse);
  sgi_sparse_set_free(e.beside.sparse);
  sg_tokenizer_free(e.tokenizer);
  json_decref(document);
  sgi_record_reader_close(&reading);
  sgi_known_world_deinit(&truth);
  api_forget(&e);
  sgi_free(e.facts);
  golden_remove(scratch);
  return 0;
}

static json_t *ask(const char *path, const char *body, int status) {
  reply r = client_call(server, path, body, "");
  if (r.status != status) fail_msg("%s %s: %d, expected %d: %s", path, body ? body : "", r.status, status, r.body);
  json_t *o = json_loadb(r.body, r.n, 0, NULL);
  assert_non_null(o);
  reply_free(&r);
  return o;
}

/* The answer fits the schema that the document names for path and status. */
static void assert_fits(const char *path, const char *method, const char *status, const json_t *answer) {
  char why[512];
  const json_t *o = schema_of_answer(document, path, method, status);
  assert_non_null(o);
  if (!schema_fits(document, o, answer, why, sizeof why)) fail_msg("%s: %s", path, why);
}

static const struct {
  const char *path, *body;
} good[] = {
    {"/api/predict", "{\"text\":\"" TEXT "\"}"},
    {"/api/predict", "{\"text\":\"" TEXT "\",\"bos\":false,\"top\":3}"},
    {"/api/predict", "{\"ids\":[5,6,7]}"},
    {"/api/predict", "{\"ids\":[]}"},
    {"/api/predict", "{\"text\":\"\xf0\x9f\x98\x80\\n\\u0007\"}"},
    {"/api/margins", "{\"text\":\"" TEXT "\"}"},
    {"/api/lens", "{\"text\":\"" TEXT "\",\"top\":2}"},
    {"/api/attention", "{\"text\":\"" TEXT "\",\"layer\":2}"},
    {"/api/recall", "{\"text\":\"" TEXT "\"}"},
    {"/api/recall", "{\"text\":\"" TEXT "\",\"position\":3,\"first\":1,\"end\":3,\"window\":2,\"draws\":0}"},
    {"/api/directions", "{}"},
    {"/api/directions", "{\"matrix\":\"qk\",\"layer\":1,\"head\":1,\"distance\":3,\"directions\":2,\"cosine\":true}"},
    {"/api/directions", "{\"matrix\":\"mlp_in\",\"layer\":2,\"channel\":1,\"top\":4}"},
    {"/api/attribute", "{\"text\":\"" TEXT "\"}"},
    {"/api/attribute", "{\"text\":\"" TEXT "\",\"position\":2,\"target\":\"id:5\",\"against\":\"id:6\",\"verify\":3}"},
    {"/api/attribute", "{\"text\":\"" TEXT "\",\"target\":\"on the tree\",\"against\":\"happy\",\"verify\":2}"},
    {"/api/attribute", "{\"text\":\"" TEXT "\",\"target\":\"id:5,6,7\",\"part\":2}"},
    {"/api/continue", "{\"text\":\"" TEXT "\",\"position\":2,\"top\":4}"},
    {"/api/continue", "{\"ids\":[5,6]}"},
    {"/api/generate", "{\"text\":\"" TEXT "\",\"max_tokens\":5}"},
    {"/api/generate",
     "{\"text\":\"" TEXT "\",\"max_tokens\":5,\"seed\":3,\"temperature\":1,\"top_k\":9,\"top_p\":0.5,\"min_p\":0.1,"
     "\"edits\":[{\"layer\":1,\"channel\":0,\"neuron\":3,\"pos\":2,\"scale\":0.5}],\"steer\":{\"layer\":1,"
     "\"toward\":\"happy\",\"away\":\"blue\",\"strength\":9}}"},
    {"/api/ablate", "{\"text\":\"" TEXT "\",\"steer\":{\"toward\":\"happy\"}}"},
    {"/api/ablate", "{\"text\":\"" TEXT "\",\"edits\":[{\"layer\":0}],\"target\":\"happy dog\"}"},
    {"/api/joint", "{\"text\":\"" TEXT "\",\"edits\":[{\"layer\":0,\"pos\":2}],\"target\":\"happy dog\"}"},
    {"/api/graph", "{\"text\":\"" TEXT "\",\"targets\":[\"happy dog\",\"blue\"]}"},
    {"/api/attribute", "{\"text\":\"" TEXT "\",\"true\":true,\"most\":20,\"top\":30}"},
    {"/api/minimal", "{\"text\":\"" TEXT "\"}"},
    {"/api/minimal", "{\"text\":\"" TEXT "\",\"position\":2,\"heads\":true}"},
    {"/api/ablate",
     "{\"text\":\"" TEXT "\",\"edits\":[{\"layer\":1,\"channel\":0,\"neuron\":3,\"pos\":2,\"scale\":0.5}]}"},
    {"/api/ablate", "{\"text\":\"" TEXT "\",\"edits\":[{\"layer\":0},{\"layer\":1,\"scale\":2}],\"target\":\"id:7\"}"},
    {"/api/joint",
     "{\"text\":\"" TEXT
     "\",\"edits\":[{\"layer\":0,\"channel\":0},{\"layer\":1,\"pos\":2,\"scale\":2}],\"target\":\"id:7\"}"},
    {"/api/neuron", "{\"layer\":1,\"channel\":2,\"index\":5}"},
    {"/api/neuron", "{}"},
    {"/api/neuron", "{\"layer\":2,\"index\":9,\"excerpts\":7,\"special\":true}"},
    {"/api/activation", "{\"text\":\"" TEXT "\",\"layer\":1,\"channel\":2,\"index\":5}"},
    {"/api/labels", "{\"neurons\":[{\"layer\":1,\"channel\":2,\"index\":5},{\"layer\":0,\"channel\":0,\"index\":0}]}"},
    {"/api/neurons", "{}"},
    {"/api/neurons", "{\"raises\":\"id:40\",\"layer\":1,\"channel\":2,\"count\":7,\"from\":3}"},
    {"/api/neurons", "{\"near\":\"1.2.5\",\"find\":\"e\",\"reversed\":true}"},
    {"/api/neurons", "{\"fires_on\":\"dog\",\"sort\":\"frequency\"}"},
    {"/api/name", "{\"layer\":1,\"channel\":2,\"index\":5,\"name\":\"a name\",\"author\":\"ann\"}"},
    {"/api/neurons", "{\"named\":true,\"sort\":\"random\",\"seed\":3}"},
    {"/api/labels", "{\"neurons\":[{\"layer\":1,\"channel\":2,\"index\":5}]}"},
    {"/api/name", "{\"layer\":1,\"channel\":2,\"index\":5,\"name\":\"\"}"},
    {"/api/fires", "{\"neurons\":[{\"channel\":1,\"neuron\":3}],\"layer\":0,\"documents\":7}"},
    {"/api/graph", "{\"text\":\"" TEXT "\"}"},
    {"/api/graph", "{\"text\":\"" TEXT "\",\"position\":1,\"targets\":[\"id:3\",\"id:4\"],\"node_threshold\":0.5}"},
    {"/api/graph", "{\"text\":\"" TEXT "\",\"heads\":true}"},
    {"/api/graph", "{\"text\":\"" TEXT "\",\"features\":true,\"heads\":true}"},
    {"/api/graph", "{\"text\":\"" TEXT "\",\"beside\":true,\"targets\":[\"id:3\"]}"},
    {"/api/predict", "{\"text\":\"" TEXT "\",\"beside\":true}"},
    {"/api/feature", "{}"},
    {"/api/feature", "{\"layer\":1,\"index\":9,\"top\":3,\"recorded\":true}"},
    {"/api/feature", "{\"layer\":2,\"index\":31,\"beside\":true}"},
    {"/api/scale", "{\"text\":\"" TEXT "\",\"edits\":[{\"layer\":1,\"feature\":9}]}"},
    {"/api/scale",
     "{\"text\":\"" TEXT "\",\"position\":2,\"target\":\"id:5\",\"edits\":[{\"feature\":3,\"position\":1,\"scale\":2},"
     "{\"layer\":2}],\"top\":3,\"beside\":true}"},
    {"/api/metrics", "{}"},
    {"/api/neighbors", "{\"find\":\" dog\"}"},
    {"/api/neighbors", "{\"position\":20,\"layer\":1,\"channel\":2,\"count\":100}"},
    {"/api/neighbors", "{\"text\":\"" TEXT "\",\"pos\":1,\"channel\":0}"},
    {"/api/neighbors", "{\"ids\":[5,6]}"},
    {"/api/together", "{\"neurons\":[{\"channel\":0,\"neuron\":3}],\"layer\":0}"},
    {"/api/map", "{\"epochs\":20}"},
    {"/api/map",
     "{\"layer\":1,\"channel\":2,\"by\":\"target\",\"top\":4,\"documents\":12,\"neighbors\":5,\"min_dist\":0.5,"
     "\"epochs\":10,\"seed\":3}"},
    {"/api/place", "{\"position\":20}"},
    {"/api/locate", "{\"text\":\"" TEXT "\",\"layer\":1}"},
    {"/api/locate", "{\"ids\":[5,6],\"channel\":1,\"by\":\"target\",\"top\":4,\"documents\":12}"},
    {"/api/facts", "{}"},
    {"/api/patch", "{}"},
    {"/api/patch", "{\"words\":true}"},
    {"/api/patch", "{\"clean\":\"dog\",\"counterfactual\":\"tree\",\"layers\":[[0,2],[1]],\"at\":\"last\"}"},
};

static void answers_fit(void **state) {
  (void)state;
  json_t *info = ask("/api/info", NULL, 200);
  assert_fits("/api/info", "get", "200", info);
  json_decref(info);
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
    json_t *o = ask(good[i].path, good[i].body, 200);
    assert_fits(good[i].path, "post", "200", o);
    json_decref(o);
  }
  /* Each path of the document is asked for above, and the check itself can fail. */
  const char *path;
  json_t *value;
  json_object_foreach(json_object_get(document, "paths"), path, value) {
    bool asked = !strcmp(path, "/api/info") || !strcmp(path, "/api/file") || !strcmp(path, "/api/study") ||
                 !strncmp(path, "/api/document", 13); /* test_opened.c, test_study.c, test_documents.c */
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) asked |= !strcmp(path, good[i].path);
    if (!asked) fail_msg("%s of openapi.json is not asked for", path);
  }
  char why[512];
  json_t *schema = json_pack("{ss}", "$ref", "#/components/schemas/Token"),
         *bad = json_pack("{ss ss}", "id", "5", "text", "x");
  assert_false(schema_fits(document, schema, bad, why, sizeof why));
  assert_non_null(strstr(why, ".id: has another type"));
  json_object_del(bad, "id");
  assert_false(schema_fits(document, schema, bad, why, sizeof why));
  json_object_set_new(bad, "id", json_integer(1));
  assert_true(schema_fits(document, schema, bad, why, sizeof why));
  json_object_set_new(bad, "more", json_integer(1));
  assert_false(schema_fits(document, schema, bad, why, sizeof why));
  json_decref(bad);
  json_decref(schema);
}

static void wrong_requests(void **state) {
  (void)state;
  static const struct {
    const char *path, *body;
  } bad[] = {
      {"/api/predict", "{}"},
      {"/api/predict", "{\"text\":5}"},
      {"/api/predict", "{\"text\":\"a\",\"ids\":[1]}"},
      {"/api/predict", "{\"text\":\"a\",\"tpo\":3}"},
      {"/api/predict", "{\"text\":\"a\",\"top\":0}"},
      {"/api/predict", "{\"text\":\"a\",\"top\":1e3}"},
      {"/api/predict", "{\"text\":\"a\",\"top\":9223372036854775807}"},
      {"/api/predict", "{\"text\":\"a\\u0000b\"}"},
      {"/api/predict", "{\"text\":\"\xff\"}"},
      {"/api/predict", "{\"ids\":[-1]}"},
      {"/api/predict", "{\"ids\":[150]}"},
      {"/api/predict", "{\"ids\":[1.5]}"},
      {"/api/predict", "{\"ids\":5}"},
      {"/api/predict", "{\"ids\":[],\"bos\":false}"},
      {"/api/predict", "{\"text\":\"a\",\"bos\":1}"},
      {"/api/attention", "{\"text\":\"a\",\"layer\":3}"},
      {"/api/attention", "{\"text\":\"a\",\"layer\":-1}"},
      {"/api/attribute", "{\"text\":\"a\",\"position\":99}"},
      {"/api/attribute", "{\"text\":\"a\",\"position\":-9223372036854775808}"},
      {"/api/attribute", "{\"text\":\"a\",\"target\":\"id:150\"}"},
      {"/api/attribute", "{\"text\":\"a\",\"target\":\"\"}"},
      {"/api/attribute", "{\"text\":\"a\",\"against\":\"\"}"},
      {"/api/ablate", "{\"text\":\"a\",\"edits\":[{\"layer\":0}],\"target\":\"\"}"},
      {"/api/graph", "{\"text\":\"a\",\"targets\":[\"\"]}"},
      {"/api/predict", "{\"ids\":[],\"bos\":false}"},
      {"/api/attribute", "{\"text\":\"a\",\"target\":\"id:5,\"}"},
      {"/api/attribute", "{\"text\":\"a\",\"target\":\"id:5,150\"}"},
      {"/api/attribute",
       "{\"text\":\"a\",\"target\":\"a phrase of more tokens than the model was made for, all in all\"}"},
      {"/api/attribute", "{\"text\":\"a\",\"target\":\"id:5,6\",\"part\":3}"},
      {"/api/attribute", "{\"text\":\"a\",\"part\":1}"},
      {"/api/graph", "{\"text\":\"a\",\"targets\":[\"happy dog\",\"old cat\"]}"},
      {"/api/ablate", "{\"text\":\"a\",\"steer\":{}}"},
      {"/api/ablate", "{\"text\":\"a\",\"steer\":5}"},
      {"/api/ablate", "{\"text\":\"a\",\"steer\":{\"toward\":\"happy dog\"}}"},
      {"/api/ablate", "{\"text\":\"a\",\"steer\":{\"toward\":\"happy\",\"layer\":3}}"},
      {"/api/ablate", "{\"text\":\"a\",\"steer\":{\"toward\":\"happy\",\"strength\":1e300}}"},
      {"/api/generate", "{\"text\":\"a\",\"steer\":{\"toward\":\"happy\",\"away\":\"happy\"}}"},
      {"/api/attribute", "{\"text\":\"a\",\"verify\":101}"},
      {"/api/attribute", "{\"text\":\"a\",\"true\":1}"},
      {"/api/minimal", "{\"text\":\"a\",\"heads\":1}"},
      {"/api/minimal", "{\"text\":\"a\",\"target\":\"id:150\"}"},
      {"/api/attribute", "{\"text\":\"a\",\"true\":true,\"most\":0}"},
      {"/api/ablate", "{\"text\":\"a\"}"},
      {"/api/ablate", "{\"text\":\"a\",\"edits\":[]}"},
      {"/api/joint", "{\"text\":\"a\",\"edits\":[]}"},
      {"/api/joint", "{\"text\":\"a\",\"edits\":[{\"layer\":0}],\"top\":3}"},
      {"/api/ablate", "{\"text\":\"a\",\"edits\":[5]}"},
      {"/api/ablate", "{\"text\":\"a\",\"edits\":[{\"layer\":3}]}"},
      {"/api/ablate", "{\"text\":\"a\",\"edits\":[{\"layer\":0,\"site\":\"embed\"}]}"},
      {"/api/ablate", "{\"text\":\"a\",\"edits\":[{\"layer\":0,\"scale\":1e300}]}"},
      {"/api/ablate", "{\"text\":\"a\",\"edits\":[{\"layer\":0,\"neuron\":64}]}"},
      {"/api/neuron", "{\"layer\":0,\"channel\":3}"},
      {"/api/neuron", "{\"index\":64}"},
      {"/api/neuron", "{\"excerpts\":41}"},
      {"/api/neuron", "{\"special\":1}"},
      {"/api/activation", "{}"},
      {"/api/activation", "{\"text\":\"a\",\"index\":64}"},
      {"/api/activation", "{\"text\":\"a\",\"channel\":3}"},
      {"/api/activation", "{\"text\":\"a\",\"layer\":3}"},
      {"/api/name", "{}"},
      {"/api/name", "{\"name\":\"a\\nb\"}"},
      {"/api/name", "{\"name\":\"a\",\"index\":64}"},
      {"/api/neurons", "{\"raises\":\"a\",\"near\":\"0.0.1\"}"},
      {"/api/neurons", "{\"near\":\"0.0.64\"}"},
      {"/api/neurons", "{\"near\":\"0-1\"}"},
      {"/api/neurons", "{\"sort\":\"size\"}"},
      {"/api/neurons", "{\"count\":501}"},
      {"/api/fires", "{\"neurons\":[]}"},
      {"/api/fires", "{\"neurons\":[{\"neuron\":64}]}"},
      {"/api/fires", "{\"neurons\":[{\"neuron\":1}],\"documents\":-1}"},
      {"/api/graph", "{\"text\":\"a\",\"targets\":[5]}"},
      {"/api/graph", "{\"text\":\"a\",\"targets\":{}}"},
      {"/api/graph", "{\"text\":\"a\",\"node_threshold\":2}"},
      {"/api/graph", "{\"text\":\"a\",\"heads\":1}"},
      {"/api/metrics", "{\"from\":-1}"},
      {"/api/metrics", "{\"path\":\"/etc/passwd\"}"},
      {"/api/neighbors", "{}"},
      {"/api/neighbors", "{\"find\":\"zebra\"}"},
      {"/api/neighbors", "{\"find\":\" dog\",\"position\":1}"},
      {"/api/neighbors", "{\"find\":\"\"}"},
      {"/api/neighbors", "{\"text\":\"a\",\"find\":\" dog\"}"},
      {"/api/neighbors", "{\"text\":\"a\",\"position\":1}"},
      {"/api/neighbors", "{\"text\":\"a\",\"pos\":9}"},
      {"/api/neighbors", "{\"position\":1000000}"},
      {"/api/neighbors", "{\"position\":1,\"channel\":3}"},
      {"/api/neighbors", "{\"position\":1,\"layer\":3}"},
      {"/api/together", "{\"neurons\":[]}"},
      {"/api/together", "{\"neurons\":[1]}"},
      {"/api/together", "{\"neurons\":[{\"channel\":0,\"neuron\":64}]}"},
      {"/api/map", "{\"layer\":3}"},
      {"/api/map", "{\"channel\":3}"},
      {"/api/map", "{\"by\":\"both\"}"},
      {"/api/map", "{\"documents\":-1}"},
      {"/api/map", "{\"documents\":1,\"top\":1}"}, /* too few circuits */
      {"/api/map", "{\"epochs\":5001}"},
      {"/api/place", "{\"position\":1000000}"},
      {"/api/locate", "{}"},
      {"/api/locate", "{\"text\":\"a\",\"by\":\"both\"}"},
      {"/api/locate", "{\"text\":\"a\",\"channel\":3}"},
      {"/api/locate", "{\"text\":\"a\",\"epochs\":3}"},
      {"/api/facts", "{\"type\":5}"},
      {"/api/patch", "{\"clean\":\"dog\"}"},
      {"/api/patch", "{\"clean\":\"dog\",\"counterfactual\":\"dog\"}"},
      {"/api/patch", "{\"clean\":\"dog\",\"counterfactual\":\"zebra\"}"},
      {"/api/patch", "{\"layers\":[[3]]}"},
      {"/api/patch", "{\"layers\":[[]]}"},
      {"/api/patch", "{\"layers\":[5]}"},
      {"/api/patch", "{\"layers\":5}"},
      {"/api/patch", "{\"at\":\"verb\"}"},
      {"/api/patch", "{\"answers\":17}"},
      {"/api/info", "{}"},
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    json_t *o = ask(bad[i].path, bad[i].body, 400);
    assert_int_equal(json_integer_value(json_object_get(o, "status")), 400);
    const char *text = json_string_value(json_object_get(o, "error"));
    assert_non_null(text);
    if (strstr(text, "golden") || strstr(text, "/tmp")) fail_msg("the error tells a path: %s", text);
    json_decref(o);
  }
  json_decref(ask("/api/predict", NULL, 400)); /* GET of a call with effects on the queue */
  json_decref(ask("/api/none", "{}", 404));
}

static char complaints[8192];

/* Refused with a sentence that names the key, or the list that holds the object it is a key of. */
static void refused(const char *path, const json_t *body, const char *key, const char *outer) {
  char *text = json_dumps(body, JSON_COMPACT), one[80], list[80];
  reply r = client_call(server, path, text, "");
  snprintf(one, sizeof one, "\\\"%s\\\"", key);
  snprintf(list, sizeof list, "\\\"%s\\\"", outer ? outer : key);
  size_t n = strlen(complaints);
  if (r.status != 400 || (!strstr(r.body, one) && !strstr(r.body, list)))
    snprintf(complaints + n, sizeof complaints - n, "%s, \"%s\": %d %.150s: %.150s\n", path, key, r.status,
             r.body ? r.body : "", text);
  reply_free(&r);
  free(text);
}

/* Wrong requests made from openapi.json: a call that is new there is covered without a word
 * here. */
static void wrong_by_schema(void **state) {
  (void)state;
  const char *path;
  json_t *value;
  size_t sent = 0;
  json_object_foreach(json_object_get(document, "paths"), path, value) {
    if (!json_object_get(value, "post")) continue;
    const char *body = "{}";
    size_t longest = 0; /* the good body with the most in it */
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
      if (!strcmp(good[i].path, path) && strlen(good[i].body) > longest) longest = strlen(body = good[i].body);
    json_t *right = json_loads(body, 0, NULL);
    sent += requests_wrong(document, path, right, refused);
    json_decref(right);
  }
  print_message("%zu wrong requests\n", sent);
  assert_true(sent > 400);
  if (*complaints) fail_msg("%s", complaints);
}

/* As many tokens as the model was made for are read; one more, and 513, are refused before any
 * work. */
static void long_prompts(void **state) {
  (void)state;
  char body[4096];
  enum { MADE_FOR = 24 };
  const size_t counts[] = {MADE_FOR - 1, MADE_FOR, API_TOKENS}; /* bos comes in front */
  for (size_t c = 0; c < SGI_COUNT(counts); c++) {
    size_t n = counts[c];
    size_t k = (size_t)sprintf(body, "{\"top\":1,\"ids\":[5");
    for (size_t i = 1; i < n; i++) k += (size_t)sprintf(body + k, ",%zu", i % 100);
    strcpy(body + k, "]}");
    json_decref(ask("/api/predict", body, n < MADE_FOR ? 200 : 400));
  }
}

/* Every call that reads a prompt: refused beyond the context with the way to ask, answered with a
 * warning where it was asked for, and without one up to the context. */
static void beyond_the_context(void **state) {
  (void)state;
  static const char *const more[][2] = {{"/api/predict", ""},
                                        {"/api/margins", ""},
                                        {"/api/lens", ""},
                                        {"/api/attention", ""},
                                        {"/api/recall", ""},
                                        {"/api/attribute", ""},
                                        {"/api/ablate", ",\"edits\":[{\"layer\":0,\"scale\":0}]"},
                                        {"/api/joint", ",\"edits\":[{\"layer\":0,\"pos\":2}]"},
                                        {"/api/activation", ",\"layer\":0,\"channel\":0,\"index\":1"},
                                        {"/api/graph", ""},
                                        {"/api/neighbors", ""},
                                        {"/api/locate", ""}};
  static const char inside[] = "5,6,7",
                    outside[] = "5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29";
  for (size_t i = 0; i < SGI_COUNT(more); i++)
    for (int asked = 0; asked < 2; asked++)
      for (int longer = 0; longer < 2; longer++) {
        char body[512];
        snprintf(body, sizeof body, "{\"ids\":[%s]%s}", longer ? outside : inside, more[i][1]);
        e.beyond = asked;
        json_t *o = ask(more[i][0], body, longer && !asked ? 400 : 200);
        if (longer && !asked) {
          assert_non_null(strstr(json_string_value(json_object_get(o, "error")), "--beyond-context"));
        } else {
          assert_fits(more[i][0], "post", "200", o);
          const char *warning = json_string_value(json_object_get(o, "warning"));
          if (longer) assert_non_null(warning);
          if (longer) assert_non_null(strstr(warning, "26 tokens are read at a time, but the model was made for 24"));
          if (!longer) assert_null(warning);
        }
        json_decref(o);
      }
  e.beyond = false;
}

static void curves(void **state) {
  (void)state;
  json_t *o = ask("/api/metrics", "{\"from\":0}", 200);
  assert_int_equal(json_array_size(json_object_get(o, "lines")),
                   2); /* the broken one is left out, the unfinished one waits */
  json_int_t next = json_integer_value(json_object_get(o, "next"));
  json_decref(o);
  FILE *f = fopen(metrics, "a");
  fputs("ain/loss\":4.5}\n", f);
  fclose(f);
  char body[64];
  snprintf(body, sizeof body, "{\"from\":%lld}", (long long)next);
  o = ask("/api/metrics", body, 200);
  assert_int_equal(json_array_size(json_object_get(o, "lines")), 1);
  assert_true(json_real_value(json_object_get(json_array_get(json_object_get(o, "lines"), 0), "train/loss")) == 4.5);
  json_decref(o);
}

/* ---- the command line's numbers -------------------------------------------------------------- */

static json_t *command(const char *arguments) {
  char line[512];
  snprintf(line, sizeof line, "%s -q %s", program(), arguments);
  FILE *f = popen(line, "r");
  assert_non_null(f);
  json_t *o = json_loadf(f, JSON_DISABLE_EOF_CHECK, NULL);
  if (pclose(f) || !o) fail_msg("%s failed", line);
  return o;
}

static void assert_same(const char *what, const json_t *a, const json_t *b) {
  if (json_equal(a, b)) return;
  char *x = json_dumps(a, JSON_ENCODE_ANY), *y = json_dumps(b, JSON_ENCODE_ANY);
  fail_msg("%s: %.300s\nis not\n%.300s", what, x ? x : "nothing", y ? y : "nothing");
}

static void forget_words(json_t *predictions) {
  json_t *one;
  size_t i;
  json_array_foreach(predictions, i, one) {
    assert_int_equal(json_object_del(one, "continuation"), 0);
    json_object_del(one, "continuation_ids");
  }
}

/* Words: along them, together, one of their tokens, taken away; text as it is written. */
static const struct {
  const char *path, *body, *arguments;
} twins[] = {
    {"/api/attribute", "\"target\":\"on the tree\",\"against\":\"zebra\",\"top\":50,\"verify\":3",
     "attribute " MODEL " --target 'on the tree' --against zebra --top 50 --verify 3"},
    {"/api/attribute", "\"target\":\"happy dog\",\"part\":2", "attribute " MODEL " --target 'happy dog' --part 2"},
    {"/api/attribute", "\"against\":\"happy dog\",\"position\":2",
     "attribute " MODEL " --against 'happy dog' --position 2"},
    {"/api/ablate", "\"target\":\"happy dog\",\"edits\":[{\"layer\":0,\"channel\":0,\"pos\":2}]",
     "ablate " MODEL " --target 'happy dog' --edit 'layers.0.neurons[pos=2,channel=0]*=0'"},
};

static void same_words(void **state) {
  (void)state;
  char body[600], line[600];
  for (size_t i = 0; i < sizeof twins / sizeof *twins; i++) {
    snprintf(body, sizeof body, "{\"text\":\"" TEXT "\",%s}", twins[i].body);
    snprintf(line, sizeof line, "%s --prompt '" TEXT "' --json", twins[i].arguments);
    json_t *a = ask(twins[i].path, body, 200), *b = command(line);
    assert_same(twins[i].arguments, a, b);
    json_decref(a);
    json_decref(b);
  }
}

/* The page's sliders: the exact sum of a word is the command's linear change. */
static void same_joint(void **state) {
  (void)state;
  json_t *j =
      ask("/api/joint", "{\"text\":\"" TEXT "\",\"target\":\"happy dog\",\"edits\":[{\"layer\":2,\"pos\":3}]}", 200);
  json_t *b =
      command("ablate " MODEL " --prompt '" TEXT "' --target 'happy dog' --edit 'layers.2.neurons[pos=3]*=0' --json");
  json_t *n;
  size_t i;
  double sum = 0;
  json_array_foreach(json_object_get(j, "neurons"), i, n) sum -=
      json_number_value(json_object_get(n, "value")) * json_number_value(json_object_get(n, "effect"));
  assert_true(fabs(sum - json_number_value(json_object_get(b, "linear_change"))) < 1e-6);
  json_decref(j);
  json_decref(b);
}

/* Text: the pieces of the stream are the answer, and the answer is the command's. */
static void same_text(void **state) {
  (void)state;
  static const struct {
    const char *body, *arguments;
  } all[] = {
      {"\"seed\":5", "--seed 5"},
      {"\"seed\":9007199254740991,\"temperature\":1.5,\"top_k\":7",
       "--seed 9007199254740991 --temperature 1.5 --top-k 7"},
      {"\"temperature\":0", "--greedy"},
      {"\"seed\":5,\"edits\":[{\"layer\":0,\"channel\":0,\"scale\":3}]",
       "--seed 5 --edit 'layers.0.neurons[channel=0]*=3'"},
      {"\"seed\":6,\"steer\":{\"layer\":1,\"toward\":\"happy\",\"away\":\"blue\",\"strength\":60}",
       "--seed 6 --layer 1 --toward happy --away blue --strength 60"},
  };
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    char body[400], line[400];
    snprintf(body, sizeof body, "{\"text\":\"" TEXT "\",\"max_tokens\":12,%s}", all[i].body);
    snprintf(line, sizeof line, "generate " MODEL " --prompt '" TEXT "' -n 12 --json %s", all[i].arguments);
    json_t *a = ask("/api/generate", body, 200), *b = command(line);
    const char *const keys[] = {"text", "ids", "reason", "prompt_tokens"};
    for (size_t k = 0; k < SGI_COUNT(keys); k++)
      assert_same(line, json_object_get(a, keys[k]), json_object_get(b, keys[k]));
    reply r = client_call(server, "/api/generate", body, "Accept: text/event-stream\r\n");
    char text[2000] = "";
    for (const char *at = r.body; (at = strstr(at, "event: piece\ndata: ")); at++) {
      json_t *piece = json_loads(at + 19, JSON_DISABLE_EOF_CHECK, NULL);
      strncat(text, json_string_value(json_object_get(piece, "text")), sizeof text - strlen(text) - 1);
      json_decref(piece);
    }
    assert_string_equal(text, json_string_value(json_object_get(a, "text")));
    assert_non_null(strstr(r.body, "event: done"));
    reply_free(&r);
    json_decref(a);
    json_decref(b);
  }
}

static void same_numbers(void **state) {
  (void)state;
  json_t *a = ask("/api/attribute", "{\"text\":\"" TEXT "\",\"against\":\"id:6\",\"top\":50,\"verify\":4}", 200);
  json_t *b = command("attribute " MODEL " --prompt '" TEXT "' --against id:6 --top 50 --verify 4 --json");
  assert_same("attribute", a, b);
  json_decref(a);
  json_decref(b);
  a = ask("/api/attribute", "{\"text\":\"" TEXT "\",\"true\":true,\"top\":20}", 200);
  b = command("attribute " MODEL " --prompt '" TEXT "' --true --top 20 --json");
  assert_same("true effects", a, b);
  json_decref(a);
  json_decref(b);
  a = ask("/api/directions", "{\"matrix\":\"ov\",\"layer\":1,\"head\":1,\"top\":5}", 200);
  b = command("svd " MODEL " --matrix ov --layer 1 --head 1 -n 5 --json");
  assert_same("directions", a, b);
  json_decref(a);
  json_decref(b);
  char line[500];
  snprintf(line, sizeof line, "sparse feature " MODEL " %s/tc -l 1 -i 9 --recording %s/rec --json", scratch, scratch);
  a = ask("/api/feature", "{\"layer\":1,\"index\":9,\"recorded\":true}", 200);
  b = command(line);
  assert_same("a feature", a, b);
  json_decref(a);
  json_decref(b);
  a = ask("/api/minimal", "{\"text\":\"" TEXT "\",\"heads\":true}", 200);
  b = command("minimal " MODEL " --prompt '" TEXT "' --heads --json");
  assert_same("minimal sets", a, b);
  json_decref(a);
  json_decref(b);
  a = ask("/api/ablate", "{\"text\":\"" TEXT "\",\"edits\":[{\"layer\":1,\"channel\":0,\"neuron\":3,\"scale\":0.5}]}",
          200);
  b = command("ablate " MODEL " --prompt '" TEXT "' --edit 'layers.1.neurons[channel=0,neuron=3]*=0.5' --json");
  assert_same("ablate", a, b);
  forget_words(json_object_get(b, "before")); /* predict tells every position, and no words */
  json_t *p = ask("/api/predict", "{\"text\":\"" TEXT "\"}", 200), *list = json_object_get(p, "predictions");
  assert_same("predict", json_array_get(list, json_array_size(list) - 1), json_object_get(b, "before"));
  json_t *l = ask("/api/lens", "{\"text\":\"" TEXT "\",\"top\":8}", 200), *layers = json_object_get(l, "layers");
  json_t *last = json_array_get(layers, json_array_size(layers) - 1);
  assert_same("lens of the last layer", json_object_get(last, "predictions"), list);
  json_decref(a);
  json_decref(b);
  json_decref(p);
  json_decref(l);
}

/* The graph of features against the file of `circuit -o`, a feature taken away against `circuit
 * --verify`, the second model against the first, as here they are the same. */
static void same_features(void **state) {
  (void)state;
  char line[600], path[300];
  snprintf(path, sizeof path, "%s/graph.json", scratch);
  snprintf(line, sizeof line, "circuit " MODEL " %s/tc --prompt '" TEXT "' --target id:5 --verify 1 -o %s --json",
           scratch, path);
  json_t *c = command(line), *file = golden_json(path);
  json_t *a = ask("/api/graph", "{\"text\":\"" TEXT "\",\"targets\":[\"id:5\"],\"features\":true}", 200);
  json_t *b =
      ask("/api/graph", "{\"text\":\"" TEXT "\",\"targets\":[\"id:5\"],\"features\":true,\"beside\":true}", 200);
  assert_true(json_equal(a, b));
  assert_same("error share", json_object_get(a, "error_share"),
              json_object_get(json_object_get(c, "graph"), "error_share"));
  assert_int_equal(json_array_size(json_object_get(a, "nodes")), json_array_size(json_object_get(file, "nodes")));
  assert_int_equal(json_array_size(json_object_get(a, "edges")), json_array_size(json_object_get(file, "links")));
  for (size_t i = 0; i < json_array_size(json_object_get(file, "links")); i++) {
    const json_t *edge = json_array_get(json_object_get(a, "edges"), i);
    char x[32], y[32];
    snprintf(x, sizeof x, "%.8e",
             json_number_value(json_object_get(json_array_get(json_object_get(file, "links"), i), "weight")));
    snprintf(y, sizeof y, "%.8e", json_number_value(json_array_get(edge, 2)));
    assert_string_equal(x, y);
  }
  json_decref(b);
  json_t *terms = json_object_get(c, "terms"), *first = NULL;
  for (size_t i = 0; i < json_array_size(terms) && !first; i++)
    if (json_is_number(json_object_get(json_array_get(terms, i), "true"))) first = json_array_get(terms, i);
  assert_non_null(first);
  snprintf(line, sizeof line,
           "{\"text\":\"" TEXT
           "\",\"target\":\"id:5\",\"edits\":[{\"layer\":%lld,\"feature\":%lld,\"position\":%lld}]}",
           (long long)json_integer_value(json_object_get(first, "layer")),
           (long long)json_integer_value(json_object_get(first, "feature")),
           (long long)json_integer_value(json_object_get(first, "position")));
  b = ask("/api/scale", line, 200);
  double took = json_number_value(json_object_get(b, "logit_change")),
         said = json_number_value(json_object_get(first, "true"));
  if (fabs(took + said) > 1e-5) fail_msg("a feature taken away: %g, circuit --verify says %g", took, said);
  json_decref(a);
  json_decref(b);
  json_decref(c);
  json_decref(file);
  a = ask("/api/scale", "{\"text\":\"" TEXT "\",\"edits\":[{\"layer\":9}]}", 400);
  json_decref(a);
  a = ask("/api/feature", "{\"layer\":1,\"index\":32}", 400);
  assert_non_null(strstr(json_string_value(json_object_get(a, "error")), "features 0 to 31"));
  json_decref(a);
}

/* The card with its recording, for a neuron that fires; then along the prompt, against the command
 * and against a trace. */
static void same_neuron(void **state) {
  (void)state;
  char line[700];
  int32_t index[64];
  float score[64];
  sgi_recording_circuit(reading.rec, 1, 3, index, score); /* TEXT begins as the recorded text does */
  size_t K = reading.slots[0].top_k, neuron = (size_t)index[2 * K];
  snprintf(line, sizeof line, "{\"layer\":1,\"channel\":2,\"index\":%zu,\"top\":7,\"excerpts\":6}", neuron);
  json_t *a = ask("/api/neuron", line, 200);
  snprintf(line, sizeof line,
           "neuron " MODEL
           " --layer 1 --channel 2 --index %zu --top 7 --links 7 --excerpts 6 --recording %.200s/rec --json",
           neuron, scratch);
  json_t *b = command(line), *recorded = json_object_get(a, "recorded");
  json_t *function = json_incref(json_object_get(a, "function"));
  json_object_del(a, "function");
  assert_same("neuron", a, b);
  json_decref(b);
  snprintf(line, sizeof line, "functions show %.200s/F --neuron 1:2:%zu --json", scratch, neuron);
  b = command(line);
  assert_same("function", function, b);
  json_decref(function);
  assert_true(json_integer_value(json_object_get(recorded, "count")) > 0);
  assert_true(json_array_size(json_object_get(recorded, "excerpts")) > 6);
  json_decref(a);
  json_decref(b);
  snprintf(line, sizeof line, "{\"text\":\"" TEXT "\",\"layer\":1,\"channel\":2,\"index\":%zu}", neuron);
  a = ask("/api/activation", line, 200);
  snprintf(line, sizeof line, "neuron " MODEL " -l 1 -c 2 -i %zu --prompt '" TEXT "' --json", neuron);
  b = command(line);
  assert_same("activation", a, json_object_get(b, "prompt"));
  json_decref(b);
  /* trace puts the begin token in front of its targets and reads all but the last of them. */
  const json_t *tokens = json_object_get(a, "tokens");
  size_t n = json_array_size(tokens), k = 0, fires = 0;
  char ids[200] = "", path[200];
  for (size_t i = 1; i < n; i++)
    k += (size_t)sprintf(ids + k, "%lld,",
                         (long long)json_integer_value(json_object_get(json_array_get(tokens, i), "id")));
  snprintf(path, sizeof path, "%.150s/trace.safetensors", scratch);
  snprintf(line, sizeof line, "echo '[[%s5]]' | %.100s -q trace " MODEL " --ids - --only 'layers.1.*' -o %s", ids,
           program(), path);
  assert_int_equal(system(line), 0);
  sgi_safetensors *f;
  assert_sg_ok(sgi_safetensors_open(path, &f, err));
  const int32_t *chosen = sgi_safetensors_find(f, "layers.1.router.indices")->data;
  const float *gates = sgi_safetensors_find(f, "layers.1.router.scores")->data,
              *values = sgi_safetensors_find(f, "layers.1.neurons")->data;
  size_t C = reading.slots[0].channels;
  for (size_t t = 0; t < n; t++) {
    double gate = 0, value = 0;
    for (size_t s = 0; s < K; s++) {
      size_t at = (t * C + 2) * K + s;
      if ((size_t)chosen[at] == neuron) gate = (double)gates[at], value = (double)values[at], fires++;
    }
    char x[64], y[64];
    snprintf(x, sizeof x, "%.8e %.8e", gate, value);
    snprintf(y, sizeof y, "%.8e %.8e", json_number_value(json_array_get(json_object_get(a, "gate"), t)),
             json_number_value(json_array_get(json_object_get(a, "value"), t)));
    assert_string_equal(x, y);
  }
  assert_true(fires > 0);
  sgi_safetensors_close(f);
  json_decref(a);
}

static void same_places(void **state) {
  (void)state;
  char line[300];
  json_t *a = ask("/api/neighbors", "{\"find\":\" dog\",\"nth\":3,\"layer\":1,\"count\":25}", 200);
  snprintf(line, sizeof line, "neighbors %.200s/rec --find ' dog' --nth 3 --layer 1 -n 25 --json", scratch);
  json_t *b = command(line);
  json_object_del(a, "seconds");
  json_object_del(b, "seconds");
  assert_true(json_array_size(json_object_get(a, "neighbors")) == 25);
  assert_same("neighbors", a, b);
  json_decref(a);
  json_decref(b);
  /* A typed prompt: as the command, and equal texts are equal circuits. */
  a = ask("/api/neighbors", "{\"text\":\"The old dog\",\"pos\":-2,\"layer\":1,\"count\":12}", 200);
  snprintf(line, sizeof line, "neighbors " MODEL " %.200s/rec --prompt 'The old dog' --pos -2 --layer 1 -n 12 --json",
           scratch);
  b = command(line);
  json_object_del(a, "seconds");
  json_object_del(b, "seconds");
  assert_same("neighbours of a prompt", a, b);
  assert_true(json_number_value(json_object_get(json_array_get(json_object_get(a, "neighbors"), 11), "distance")) <
              1e-6);
  assert_string_equal(
      json_string_value(json_object_get(json_array_get(json_object_get(a, "neighbors"), 0), "token")),
      json_string_value(json_object_get(
          json_array_get(json_object_get(json_object_get(a, "query"), "tokens"),
                         (size_t)json_integer_value(json_object_get(json_object_get(a, "query"), "position"))),
          "text")));
  json_decref(a);
  json_decref(b);
  /* Positions of the first documents are those of all that lie in them. */
  int32_t index[64];
  sgi_recording_circuit(reading.rec, 0, 20, index, NULL);
  snprintf(line, sizeof line, "{\"neurons\":[{\"channel\":0,\"neuron\":%d}],\"layer\":0,\"documents\":9}", index[0]);
  a = ask("/api/fires", line, 200);
  snprintf(line, sizeof line, "{\"neurons\":[{\"channel\":0,\"neuron\":%d}],\"layer\":0}", index[0]);
  b = ask("/api/fires", line, 200);
  size_t end, rest, inside = 0;
  sgi_recording_document(reading.rec, 9, &end, &rest);
  sgi_postings list = sgi_recording_postings(reading.rec, 0, 0, (size_t)index[0]);
  assert_int_equal(list.count, json_array_size(json_object_get(b, "positions")));
  for (size_t i = 0; i < list.count; i++) {
    assert_int_equal(list.position[i], json_integer_value(json_array_get(json_object_get(b, "positions"), i)));
    inside += list.position[i] < end;
  }
  assert_int_equal(inside, json_array_size(json_object_get(a, "positions")));
  assert_true(inside > 0 && inside < list.count);
  json_decref(a);
  json_decref(b);
  a = ask("/api/together", "{\"neurons\":[{\"channel\":0,\"neuron\":3},{\"channel\":1,\"neuron\":4}],\"layer\":0}",
          200);
  snprintf(line, sizeof line, "neighbors %.200s/rec --neurons 0:3,1:4 --layer 0 --json", scratch);
  b = command(line);
  assert_same("together", a, b);
  json_decref(a);
  json_decref(b);
}

/* Parts by head add up to their edges, up to the parts under 1 % that are left out. */
static void split_graph(void **state) {
  (void)state;
  json_t *a = ask("/api/graph", "{\"text\":\"" TEXT "\",\"heads\":true}", 200);
  const json_t *edges = json_object_get(a, "edges"), *heads = json_object_get(a, "heads");
  assert_int_equal(json_array_size(edges), json_array_size(heads));
  bool split = false;
  for (size_t i = 0; i < json_array_size(edges); i++) {
    const json_t *parts = json_array_get(heads, i);
    double weight = json_number_value(json_array_get(json_array_get(edges, i), 2)), sum = 0;
    for (size_t k = 0; k < json_array_size(parts); k++)
      sum += json_number_value(json_array_get(json_array_get(parts, k), 2));
    if (fabs(sum - weight) > 0.12 * fabs(weight) + 1e-6) fail_msg("edge %zu: %g, parts %g", i, weight, sum);
    split |= json_array_size(parts) > 1;
  }
  assert_true(split);
  json_decref(a);
}

/* Points of the map are the command's, and a map that was made is not made again. */
static void same_map(void **state) {
  (void)state;
  static const char *const columns[] = {"x", "y", "label", "position", "document", "place", "input", "target"};
  char line[512];
  json_t *a = ask("/api/map", "{\"layer\":1,\"by\":\"target\",\"documents\":30,\"epochs\":40,\"seed\":5}", 200);
  snprintf(line, sizeof line, "map %.200s/rec --layer 1 --by target --documents 30 --epochs 40 --seed 5 --json",
           scratch);
  json_t *b = command(line), *points = json_object_get(b, "points");
  assert_true(json_array_size(points) > 100);
  for (size_t k = 0; k < sizeof columns / sizeof *columns; k++) {
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(points); i++)
      json_array_append(list, json_object_get(json_array_get(points, i), columns[k]));
    assert_same(columns[k], json_object_get(a, columns[k]), list);
    json_decref(list);
  }
  json_t *again = ask("/api/map", "{\"seed\":5,\"epochs\":40,\"documents\":30,\"by\":\"target\",\"layer\":1}", 200);
  assert_same("the same map", json_object_get(a, "seconds"), json_object_get(again, "seconds"));
  /* A prompt's positions on that map: nearest of the command's neighbours that are points of it. */
  json_t *near = ask("/api/locate", "{\"text\":\"" TEXT "\",\"layer\":1,\"by\":\"target\",\"documents\":30}", 200),
         *spots = json_object_get(near, "position");
  assert_int_equal(json_array_size(spots), json_array_size(json_object_get(near, "tokens")));
  for (size_t t = 0; t < json_array_size(spots); t += 2) {
    snprintf(line, sizeof line,
             "neighbors " MODEL " %.200s/rec --prompt '" TEXT "' --pos %zu --layer 1 -n 100000 --json", scratch, t);
    json_t *all = command(line), *row, *found = NULL;
    size_t k;
    json_array_foreach(json_object_get(all, "neighbors"), k, row) {
      for (size_t p = 0; p < json_array_size(points) && !found; p++)
        if (json_equal(json_object_get(json_array_get(points, p), "position"), json_object_get(row, "position")))
          found = row;
      if (found) break;
    }
    assert_non_null(found);
    assert_same("place on the map", json_array_get(spots, t), json_object_get(found, "position"));
    assert_same("distance on the map", json_array_get(json_object_get(near, "distance"), t),
                json_object_get(found, "distance"));
    json_decref(all);
  }
  json_decref(near);
  /* Story 0 is of topic farm, the others have none in the file; "dog" has a category, "sat" has
   * two. */
  assert_string_equal(json_string_value(json_array_get(json_object_get(a, "topics"), 0)), "farm");
  json_t *token;
  size_t i, animals = 0;
  json_array_foreach(json_object_get(a, "tokens"), i, token) {
    const char *text = json_string_value(json_object_get(token, "token")),
               *category = json_string_value(json_object_get(token, "category"));
    animals += category && !strcmp(category, "animal") && !strcmp(text, " dog");
    assert_true(!category || !strcmp(text, " dog"));
  }
  assert_int_equal(animals, 1);
  for (i = 0; i < json_array_size(points); i++) {
    json_int_t at = json_integer_value(json_array_get(json_object_get(a, "document"), i));
    assert_int_equal(json_integer_value(json_array_get(json_object_get(a, "topic"), i)), at ? -1 : 0);
  }
  json_decref(a);
  json_decref(b);
  json_decref(again);
}

/* Topics are those of the split that the recorded text is called; where its name is none, the page
 * is told why. */
static void other_splits(void **state) {
  (void)state;
  char line[512], path[300];
  snprintf(line, sizeof line, "cd %.200s && cp valid.txt train.txt && cp valid.txt other.txt", scratch);
  assert_int_equal(system(line), 0);
  static const char *const names[] = {"train", "other"};
  for (size_t i = 0; i < 2; i++) {
    snprintf(line, sizeof line, "%s -q record " MODEL " --data %.100s/%s.txt --split blank-lines -o %.100s/rec-%s",
             program(), scratch, names[i], scratch, names[i]);
    assert_int_equal(system(line), 0);
    sgi_record_reader r;
    sgi_known_world w;
    snprintf(path, sizeof path, "%.200s/rec-%s", scratch, names[i]);
    assert_sg_ok(sgi_record_reader_open(path, &r, err));
    assert_sg_ok(sgi_known_world_load(&w, scratch, &r, err));
    assert_string_equal(w.split, names[i]);
    if (i) {
      assert_null(w.topic_of);
    } else {
      assert_int_equal(w.topic_of[0], -1);
      assert_int_equal(w.topic_of[1], 0); /* the split train tells of story 1 alone */
      assert_non_null(json_object_get(w.topics, "sea"));
      assert_int_equal(json_object_size(w.topics), 1);
    }
    sgi_known_world_deinit(&w);
    sgi_record_reader_close(&r);
  }
}

static void same_facts(void **state) {
  (void)state;
  char line[512];
  json_t *a = ask("/api/patch", "{\"layers\":[[0],[1,2]]}", 200);
  snprintf(line, sizeof line, "facts patch " MODEL " --facts %.200s/facts.json --layers 0 --layers 1-2 --json",
           scratch);
  json_t *b = command(line);
  assert_same("patched runs", a, b);
  json_decref(a);
  json_decref(b);
  a = ask("/api/patch", "{\"clean\":\"tree\",\"counterfactual\":\"dog\",\"at\":\"last\"}", 200);
  snprintf(line, sizeof line,
           "facts patch " MODEL " --facts %.200s/facts.json --noun dog --noun tree --at last --pairs --json", scratch);
  b = command(line);
  assert_same("a pair", a, b);
  assert_int_equal(json_integer_value(json_object_get(a, "n_pairs")), 2);
  json_decref(a);
  json_decref(b);
}

static void same_graph(void **state) {
  (void)state;
  char *dir = golden_temporary(), line[512], path[200];
  snprintf(path, sizeof path, "%s/g.json", dir);
  snprintf(line, sizeof line, "graph " MODEL " --prompt '" TEXT "' -o %s --json", path);
  json_t *b = command(line), *file = golden_json(path), *a = ask("/api/graph", "{\"text\":\"" TEXT "\"}", 200);
  static const char *const shares[] = {"all_nodes",  "explored",    "node_share",
                                       "edge_share", "input_share", "worst_residue"};
  for (size_t i = 0; i < sizeof shares / sizeof *shares; i++)
    assert_same(shares[i], json_object_get(a, shares[i]), json_object_get(b, shares[i]));
  const json_t *links = json_object_get(file, "links"), *edges = json_object_get(a, "edges");
  assert_int_equal(json_array_size(links), json_array_size(edges));
  for (size_t i = 0; i < json_array_size(edges); i++) {
    char x[40], y[40]; /* the file holds all digits, an answer 9 of them */
    snprintf(x, sizeof x, "%.8e", json_number_value(json_object_get(json_array_get(links, i), "weight")));
    snprintf(y, sizeof y, "%.8e", json_number_value(json_array_get(json_array_get(edges, i), 2)));
    assert_string_equal(x, y);
  }
  json_decref(a);
  json_decref(b);
  json_decref(file);
  golden_remove(dir);
}

/* A model without a tokenizer reads ids, and says so when it is given text. */
static void no_tokenizer(void **state) {
  (void)state;
  explorer bare = {.name = "bare"};
  http_server *s;
  assert_sg_ok(sg_model_load("tests/golden/models/mlp", &bare.model, err));
  http_settings settings = {.handler = api_handle, .user = &bare};
  assert_sg_ok(http_start(&settings, &s, err));
  static const struct {
    const char *path, *body;
    int status;
  } all[] = {{"/api/predict", "{\"text\":\"a\"}", 400},
             {"/api/predict", "{\"ids\":[3,4,5]}", 200},
             {"/api/attribute", "{\"ids\":[3,4,5],\"target\":\"dog\"}", 400},
             {"/api/attribute", "{\"ids\":[3,4,5],\"target\":\"id:3\"}", 200},
             {"/api/ablate", "{\"ids\":[3,4,5],\"edits\":[{\"layer\":0,\"channel\":0,\"neuron\":1}]}", 200},
             {"/api/neuron", "{\"index\":1}", 200},
             {"/api/graph", "{\"ids\":[3,4,5]}", 200},
             {"/api/graph", "{\"ids\":[3,4,5],\"features\":true}", 400},
             {"/api/graph", "{\"ids\":[3,4,5],\"beside\":true}", 400},
             {"/api/predict", "{\"ids\":[3,4,5],\"beside\":true}", 400},
             {"/api/feature", "{}", 400},
             {"/api/scale", "{\"ids\":[3,4,5],\"edits\":[{}]}", 400},
             {"/api/lens", "{\"ids\":[3,4,5]}", 200},
             {"/api/recall", "{\"ids\":[3,4,5]}", 200},
             {"/api/directions", "{}", 200},
             {"/api/margins", "{\"ids\":[3,4,5]}", 200},
             {"/api/activation", "{\"ids\":[3,4,5],\"layer\":1,\"index\":3}", 200},
             {"/api/fires", "{\"neurons\":[{\"neuron\":1}]}", 400},
             {"/api/neighbors", "{\"position\":1}", 400},
             {"/api/together", "{\"neurons\":[{\"neuron\":1}]}", 400},
             {"/api/map", "{}", 400},
             {"/api/place", "{}", 400},
             {"/api/locate", "{\"ids\":[3,4,5]}", 400},
             {"/api/facts", "{}", 400},
             {"/api/patch", "{}", 400},
             {"/api/file", "{}", 400},
             {"/api/study", "{}", 400},
             {"/api/documents", "{}", 400},
             {"/api/document", "{}", 400},
             {"/api/metrics", "{}", 400}};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    reply r = client_call(s, all[i].path, all[i].body, "");
    if (r.status != all[i].status) fail_msg("%s %s: %d: %s", all[i].path, all[i].body, r.status, r.body);
    json_t *o = json_loadb(r.body, r.n, 0, NULL);
    assert_fits(all[i].path, "post", r.status == 200 ? "200" : "default", o);
    if (r.status != 200) assert_null(strstr(r.body, "golden"));
    json_decref(o);
    reply_free(&r);
  }
  http_stop(s);
  sg_model_free(bare.model);
}

/* Bodies with bytes changed at random: an answer of some kind each time, and the server lives. */
static void changed_bodies(void **state) {
  (void)state;
  unsigned seed = 7;
  for (int i = 0; i < 400; i++) {
    char body[300];
    snprintf(body, sizeof body, "%s", good[(size_t)i % (sizeof good / sizeof *good)].body);
    for (int k = 0; k < 1 + i % 3; k++) {
      seed = seed * 1103515245u + 12345u;
      body[(seed >> 16) % strlen(body)] = (char)(1 + (seed >> 8) % 255);
    }
    reply r = client_call(server, good[(size_t)i % (sizeof good / sizeof *good)].path, body, "");
    assert_true(r.status == 200 || r.status == 400);
    assert_true(r.complete);
    reply_free(&r);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(answers_fit),  cmocka_unit_test(wrong_requests),     cmocka_unit_test(wrong_by_schema),
      cmocka_unit_test(long_prompts), cmocka_unit_test(beyond_the_context), cmocka_unit_test(curves),
      cmocka_unit_test(same_numbers), cmocka_unit_test(same_features),      cmocka_unit_test(same_words),
      cmocka_unit_test(same_joint),   cmocka_unit_test(same_text),          cmocka_unit_test(same_places),
      cmocka_unit_test(same_neuron),  cmocka_unit_test(same_graph),         cmocka_unit_test(split_graph),
      cmocka_unit_test(same_map),     cmocka_unit_test(other_splits),       cmocka_unit_test(same_facts),
      cmocka_unit_test(no_tokenizer), cmocka_unit_test(changed_bodies)};
  return cmocka_run_group_tests(tests, start, stop);
}
