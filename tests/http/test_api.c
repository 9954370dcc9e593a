/* Every call of the explorer: its answer fits server/openapi.json, wrong requests are refused, and
 * whatever a client writes does no harm. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/explored.h"
#include "http/requests.h"
#include "http/schema.h"

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
    {"/api/superposition", "{}"},
    {"/api/superposition",
     "{\"layer\":1,\"min_together\":4,\"min_lift\":2,\"pairs\":9,\"places\":3,\"shuffled\":true,\"seed\":3}"},
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
                 /* test_opened.c, test_study.c, test_documents.c */
                 !strcmp(path, "/api/factors") || !strncmp(path, "/api/document", 13);
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
      {"/api/feature", "{\"recorded\":true,\"beside\":true}"},
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
      {"/api/superposition", "{\"layer\":3}"},
      {"/api/superposition", "{\"min_lift\":0}"},
      {"/api/superposition", "{\"pairs\":2001}"},
      {"/api/superposition", "{\"shuffled\":1}"},
      {"/api/superposition", "{\"text\":\"a\"}"},
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
        shown.beyond = asked;
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
  shown.beyond = false;
}

static void curves(void **state) {
  (void)state;
  json_t *o = ask("/api/metrics", "{\"from\":0}", 200);
  assert_int_equal(json_array_size(json_object_get(o, "lines")),
                   2); /* the broken one is left out, the unfinished one waits */
  json_int_t next = json_integer_value(json_object_get(o, "next"));
  json_decref(o);
  FILE *f = fopen(shown.metrics, "a");
  fputs("ain/loss\":4.5}\n", f);
  fclose(f);
  char body[64];
  snprintf(body, sizeof body, "{\"from\":%lld}", (long long)next);
  o = ask("/api/metrics", body, 200);
  assert_int_equal(json_array_size(json_object_get(o, "lines")), 1);
  assert_true(json_real_value(json_object_get(json_array_get(json_object_get(o, "lines"), 0), "train/loss")) == 4.5);
  json_decref(o);
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
             {"/api/superposition", "{}", 400},
             {"/api/place", "{}", 400},
             {"/api/locate", "{\"ids\":[3,4,5]}", 400},
             {"/api/facts", "{}", 400},
             {"/api/patch", "{}", 400},
             {"/api/file", "{}", 400},
             {"/api/study", "{}", 400},
             {"/api/factors", "{}", 400},
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
  const struct CMUnitTest tests[] = {cmocka_unit_test(answers_fit),        cmocka_unit_test(wrong_requests),
                                     cmocka_unit_test(wrong_by_schema),    cmocka_unit_test(long_prompts),
                                     cmocka_unit_test(beyond_the_context), cmocka_unit_test(curves),
                                     cmocka_unit_test(no_tokenizer),       cmocka_unit_test(changed_bodies)};
  return cmocka_run_group_tests(tests, explored_start, explored_stop);
}
