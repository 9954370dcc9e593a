/* The explorer on a model whose layers differ (support/small.h), as it is and stored in fewer
 * bytes: every call that makes sense is answered in the document's form, and what a layer does not
 * have is refused in a sentence. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../server/api.h"
#include "core/file.h"
#include "http/client.h"
#include "http/command.h"
#include "http/schema.h"
#include "support/small.h"

#define EVAL "tests/golden/eval/model"
#define TEXT "\"text\":\"The old dog sat\""

static http_server *server;
static explorer e;
static sgi_record_reader reading;
static char *scratch, recorded[256]; /* in scratch */
static const char *stored_as;        /* a type of 'quantize'; NULL: as it is */
static json_t *document;

static void record(void) {
  char path[256], line[700];
  snprintf(path, sizeof path, "%s/valid.txt", scratch);
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  for (int i = 0; i < 20; i++) fprintf(f, "%sThe old dog sat near a tall tree number %d.", i ? "\n\n" : "", i);
  fclose(f);
  snprintf(line, sizeof line, "record %s/%s --data %s --split blank-lines -o %s/rec", scratch,
           stored_as ? stored_as : "model", path, scratch);
  command_run(line);
  snprintf(recorded, sizeof recorded, "%s/rec", scratch);
  assert_sg_ok(sgi_record_reader_open(recorded, &reading, err));
}

static int start(void **state) {
  (void)state;
  char path[256];
  sg_config like, c;
  document = golden_json("server/openapi.json");
  scratch = golden_temporary();
  assert_sg_ok(sg_config_load(EVAL, &like, err));
  c = mixed_like(0, &like);
  assert_sg_ok(sg_model_create(&c, 3, &e.model, err));
  snprintf(path, sizeof path, "%s/model", scratch);
  assert_sg_ok(sg_model_save(e.model, path, err));
  snprintf(path, sizeof path, "%s/model/tokenizer.json", scratch);
  assert_sg_ok(sgi_copy_file(EVAL "/tokenizer.json", path, 1 << 24, err));
  assert_sg_ok(sg_tokenizer_load(path, &e.tokenizer, err));
  sg_model_free(e.model); /* the one that was recorded is the one on disk */
  if (stored_as) {
    char line[700];
    snprintf(line, sizeof line, "quantize %s/model --to %s -o %s/%s -q", scratch, stored_as, scratch, stored_as);
    command_run(line);
  }
  snprintf(path, sizeof path, "%s/%s", scratch, stored_as ? stored_as : "model");
  assert_sg_ok(sg_model_load(path, &e.model, err));
  record();
  e.name = "layers that differ";
  e.recording = &reading;
  http_settings s = {.handler = api_handle, .user = &e};
  assert_sg_ok(http_start(&s, &server, err));
  return 0;
}

static int stop(void **state) {
  (void)state;
  http_stop(server);
  sg_model_free(e.model);
  sg_tokenizer_free(e.tokenizer);
  json_decref(document);
  sgi_record_reader_close(&reading);
  api_forget(&e);
  golden_remove(scratch);
  return 0;
}

/* Layers: 0 sgatlin, 1 peer, 2 as 0, 3 moe without attention, 4 attention alone, 5 glu, 6 nothing,
 * 7 and 8 mlp. */
static const struct {
  const char *path, *body;
  int status;
} calls[] = {
    {"/api/predict", "{" TEXT "}", 200},
    {"/api/margins", "{" TEXT "}", 200},
    {"/api/lens", "{" TEXT ",\"top\":2}", 200},
    {"/api/attention", "{" TEXT ",\"layer\":2}", 200},
    {"/api/attention", "{" TEXT ",\"layer\":4}", 200},
    {"/api/attention", "{" TEXT ",\"layer\":3}", 400},
    {"/api/attention", "{" TEXT ",\"layer\":6}", 400},
    {"/api/recall", "{" TEXT "}", 200},
    {"/api/directions", "{\"matrix\":\"qk\",\"layer\":4}", 200},
    {"/api/directions", "{\"layer\":3}", 400},
    {"/api/directions", "{\"matrix\":\"mlp_out\",\"layer\":4}", 400},
    {"/api/directions", "{\"matrix\":\"mlp_in\",\"layer\":3,\"channel\":4}", 200},
    {"/api/directions", "{\"matrix\":\"mlp_in\",\"layer\":1,\"channel\":1}", 400}, /* its channels share a pool */
    {"/api/attribute", "{" TEXT ",\"verify\":9}", 200},
    {"/api/ablate", "{" TEXT ",\"edits\":[{\"layer\":1,\"channel\":1,\"neuron\":3,\"scale\":0.5}]}", 200},
    {"/api/ablate", "{" TEXT ",\"edits\":[{\"layer\":0},{\"layer\":5,\"scale\":2},{\"layer\":7}]}", 200},
    {"/api/ablate", "{" TEXT ",\"edits\":[{\"layer\":4}]}", 400},
    {"/api/ablate", "{" TEXT ",\"edits\":[{\"layer\":7,\"neuron\":11}]}", 400},
    {"/api/ablate", "{" TEXT ",\"edits\":[{\"layer\":1,\"channel\":2}]}", 400},
    {"/api/ablate", "{" TEXT ",\"edits\":[{\"layer\":3,\"channel\":4,\"neuron\":6}]}", 200},
    {"/api/joint", "{" TEXT ",\"edits\":[{\"layer\":0,\"channel\":0},{\"layer\":8,\"scale\":2}]}", 200},
    {"/api/neuron", "{\"layer\":0,\"channel\":2,\"index\":5}", 200},
    {"/api/neuron", "{\"layer\":1,\"channel\":1,\"index\":24}", 200},
    {"/api/neuron", "{\"layer\":1,\"channel\":1,\"index\":25}", 400},
    {"/api/neuron", "{\"layer\":1,\"channel\":2,\"index\":5}", 400},
    {"/api/neuron", "{\"layer\":3,\"channel\":4,\"index\":6}", 200},
    {"/api/neuron", "{\"layer\":4}", 400},
    {"/api/neuron", "{\"layer\":5,\"index\":8}", 200},
    {"/api/neuron", "{\"layer\":8,\"index\":10}", 200},
    {"/api/activation", "{" TEXT ",\"layer\":1,\"channel\":1,\"index\":5}", 200},
    {"/api/activation", "{" TEXT ",\"layer\":7,\"index\":10}", 200},
    {"/api/activation", "{" TEXT ",\"layer\":6}", 400},
    {"/api/neurons", "{}", 200},
    {"/api/neurons", "{\"raises\":\"id:40\"}", 200},
    {"/api/neurons", "{\"lowers\":\"id:40\",\"layer\":5}", 200},
    {"/api/neurons", "{\"fires_on\":\"id:40\"}", 200},
    {"/api/neurons", "{\"near\":\"1.1.5\"}", 200},
    {"/api/neurons", "{\"sort\":\"strength\"}", 200},
    {"/api/minimal", "{" TEXT "}", 200},
    {"/api/generate", "{" TEXT ",\"max_tokens\":3}", 200},
    {"/api/continue", "{" TEXT "}", 200},
    {"/api/fires", "{\"neurons\":[{\"channel\":1,\"neuron\":3}],\"layer\":1}", 200},
    {"/api/fires", "{\"neurons\":[{\"channel\":2,\"neuron\":3}],\"layer\":1}", 400},
    {"/api/fires", "{\"neurons\":[{\"channel\":0,\"neuron\":3}],\"layer\":4}", 400},
    {"/api/graph", "{" TEXT "}", 200},
    {"/api/graph", "{" TEXT ",\"heads\":true}", 200},
    {"/api/neighbors", "{\"find\":\" dog\",\"layer\":1,\"channel\":1}", 200},
    {"/api/neighbors", "{\"find\":\" dog\",\"layer\":3}", 200},
    {"/api/neighbors", "{\"find\":\" dog\",\"layer\":7}", 400},
    {"/api/neighbors", "{" TEXT ",\"pos\":1,\"layer\":2}", 200},
    {"/api/together", "{\"neurons\":[{\"channel\":0,\"neuron\":3}],\"layer\":1}", 200},
    {"/api/map", "{\"layer\":1,\"epochs\":20}", 200},
    {"/api/map", "{\"layer\":5,\"epochs\":20}", 400},
    {"/api/superposition", "{\"layer\":1,\"min_together\":3,\"min_lift\":1.5,\"pairs\":9,\"places\":3}", 200},
    {"/api/superposition", "{\"layer\":2,\"min_together\":3,\"min_lift\":1.5,\"pairs\":9,\"places\":3}", 200},
    {"/api/superposition", "{\"layer\":3}", 400}, /* chooses experts */
    {"/api/superposition", "{\"layer\":5}", 400}, /* chooses nothing */
    {"/api/place", "{\"position\":20}", 200},
    {"/api/locate", "{" TEXT ",\"layer\":2}", 200},
};

static void every_call(void **state) {
  (void)state;
  char why[512];
  reply r = client_call(server, "/api/info", NULL, "");
  json_t *o = json_loadb(r.body, r.n, 0, NULL);
  assert_int_equal(r.status, 200);
  if (!schema_fits(document, schema_of_answer(document, "/api/info", "get", "200"), o, why, sizeof why))
    fail_msg("/api/info: %s", why);
  json_decref(o);
  reply_free(&r);
  for (size_t i = 0; i < SGI_COUNT(calls); i++) {
    r = client_call(server, calls[i].path, calls[i].body, "");
    o = json_loadb(r.body, r.n, 0, NULL);
    if (r.status != calls[i].status || !o)
      fail_msg("%s %s: %d, expected %d: %.300s", calls[i].path, calls[i].body, r.status, calls[i].status, r.body);
    if (r.status == 400) assert_non_null(json_string_value(json_object_get(o, "error")));
    if (r.status == 200 &&
        !schema_fits(document, schema_of_answer(document, calls[i].path, "post", "200"), o, why, sizeof why))
      fail_msg("%s %s: %s", calls[i].path, calls[i].body, why);
    json_decref(o);
    reply_free(&r);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_call)};
  int failed = cmocka_run_group_tests_name("explorer on layers that differ", tests, start, stop);
  stored_as = "int8";
  return failed + cmocka_run_group_tests_name("explorer on layers that differ, in int8", tests, start, stop);
}
