/* Pruning by latency and tunability against vectors of a second computation in double
 * (tests/golden/comparison): distances, choices, tuned weights and losses of every round, and the
 * naive ways. */
#include <math.h>
#include <string.h>

#include "compare/prune.h"
#include "core/safetensors.h"
#include "model/model.h"
#include "support/golden.h"
#include "support/near.h"

#define HERE "tests/golden/comparison/"

typedef struct game {
  sg_model *dense, *standing;
  sgi_safetensors *file;
  json_t *json;
  double *latency;
  sgi_prune_request request;
} game;

static const sgi_tensor *tensor(const game *g, const char *name) {
  const sgi_tensor *t = sgi_safetensors_find(g->file, name);
  if (!t) fail_msg("no tensor %s", name);
  return t;
}

static double bound(const char *what, const char *measure) {
  static json_t *all;
  if (!all) all = golden_json(HERE "tolerances.json");
  return json_number_value(json_object_get(json_object_get(json_object_get(all, "prune"), what), measure));
}

static sgi_cut_rows rows(const game *g, const char *name) {
  const sgi_tensor *t = sgi_safetensors_find(g->file, name);
  return t ? (sgi_cut_rows){t->data, t->dims[0], t->dims[1]} : (sgi_cut_rows){0};
}

static void begin(game *g, const char *kind) {
  char path[200];
  *g = (game){0};
  snprintf(path, sizeof path, HERE "model_%s", kind);
  assert_sg_ok(sg_model_load(path, &g->dense, err));
  assert_sg_ok(sg_model_load(path, &g->standing, err));
  assert_sg_ok(sgi_model_own(g->standing, err));
  snprintf(path, sizeof path, HERE "prune_%s/expected.safetensors", kind);
  assert_sg_ok(sgi_safetensors_open(path, &g->file, err));
  snprintf(path, sizeof path, HERE "prune_%s/case.json", kind);
  g->json = golden_json(path);
  g->request = (sgi_prune_request){.damping = json_number_value(json_object_get(g->json, "damping")),
                                   .candidates = (size_t)json_integer_value(json_object_get(g->json, "candidates")),
                                   .latency = tensor(g, "latency")->data,
                                   .other = *(const double *)tensor(g, "other")->data,
                                   .calibration = rows(g, "targets"),
                                   .validation = rows(g, "valid")};
}

static void end(game *g) {
  sgi_safetensors_close(g->file);
  json_decref(g->json);
  sg_model_free(g->dense);
  sg_model_free(g->standing);
}

static void numbers(const game *g, const char *name, const double *got) {
  const sgi_tensor *t = tensor(g, name);
  const double *want = t->data;
  char what[120];
  for (size_t s = 0; s < t->dims[0]; s++) {
    snprintf(what, sizeof what, "%s[%zu]", name, s);
    near(what, got[s], want[s], bound("distances, untuned, tuned", "abs"));
  }
}

/* The tensor as it stands, against the file's, of its largest. */
static void weights(const game *g, const char *name, const char *of) {
  const sgi_tensor *t = tensor(g, name);
  const float *want = t->data;
  ptrdiff_t row = sgi_table_find(&g->standing->table, of);
  assert_true(row >= 0);
  double most = 0, worst = 0;
  for (size_t i = 0; i < g->standing->table.rows[row].count; i++) {
    most = fmax(most, fabs((double)want[i]));
    worst = worse(worst, fabs((double)want[i] - (double)g->standing->w[row][i]));
  }
  near(name, worst / most, 0, bound("weights", "with the Gram matrix in double"));
}

typedef struct watching {
  const game *g;
  const char *run;
  size_t round;
} watching;

static bool each(void *user, const sgi_prune_round *x) {
  watching *w = user;
  const json_t *want = json_array_get(json_object_get(json_object_get(w->g->json, "runs"), w->run), w->round);
  char name[80];
  assert_non_null(want);
  assert_int_equal(x->sublayer, json_integer_value(json_object_get(want, "pruned")));
  near("speedup", x->speedup / json_number_value(json_object_get(want, "speedup")), 1, 1e-6);
  near("calibration loss", x->calibration_loss, json_number_value(json_object_get(want, "calibration_loss")),
       bound("losses", "abs"));
  if (json_object_get(want, "validation_loss"))
    near("validation loss", x->validation_loss, json_number_value(json_object_get(want, "validation_loss")),
         bound("losses", "abs"));
  const json_t *candidates = json_object_get(want, "candidates");
  if (candidates) {
    assert_int_equal(x->n_candidates, json_array_size(candidates));
    for (size_t i = 0; i < x->n_candidates; i++)
      assert_int_equal(x->candidates[i], json_integer_value(json_array_get(candidates, i)));
    assert_int_equal(x->tuned, json_integer_value(json_object_get(want, "tuned")));
    snprintf(name, sizeof name, "%s.%zu.untuned", w->run, w->round);
    numbers(w->g, name, x->untuned);
    snprintf(name, sizeof name, "%s.%zu.tuned", w->run, w->round);
    numbers(w->g, name, x->scores);
    snprintf(name, sizeof name, "%s.%zu.weight", w->run, w->round);
    weights(w->g, name, json_string_value(json_object_get(want, "tensor")));
  }
  w->round++;
  return true;
}

static void run(const char *kind, const char *name, sgi_prune_method method, sgi_prune_target target, bool any) {
  game g;
  begin(&g, kind);
  const json_t *want = json_object_get(json_object_get(g.json, "runs"), name);
  watching w = {&g, name, 0};
  g.request.method = method;
  g.request.target = target;
  g.request.tune_any = any;
  g.request.no_latency = method == SGI_PRUNE_UNTUNED; /* so were these vectors made */
  g.request.remove = json_array_size(want);
  g.request.progress = each;
  g.request.user = &w;
  sgi_prune *p;
  assert_sg_ok(sgi_prune_run(g.dense, g.standing, &g.request, &p, err));
  assert_int_equal(p->n_rounds, json_array_size(want));
  const json_t *dense = json_object_get(g.json, "dense");
  near("dense", p->dense_calibration, json_number_value(json_object_get(dense, "calibration_loss")),
       bound("losses", "abs"));
  sgi_prune_free(p);
  end(&g);
}

static void rounds(void **state) {
  (void)state;
  run("mlp", "sprint", SGI_PRUNE_SPRINT, SGI_TARGET_DENSE, false);
  run("mlp", "sprint_restored", SGI_PRUNE_SPRINT, SGI_TARGET_RESTORED, false);
  run("mlp", "sprint_standing", SGI_PRUNE_SPRINT, SGI_TARGET_STANDING, false);
  run("mlp", "sprint_any", SGI_PRUNE_SPRINT, SGI_TARGET_DENSE, true);
  run("sgatlin", "sprint", SGI_PRUNE_SPRINT, SGI_TARGET_DENSE, false);
  run("sgatlin", "sprint_restored", SGI_PRUNE_SPRINT, SGI_TARGET_RESTORED, false);
}

static void naive(void **state) {
  (void)state;
  run("mlp", "untuned", SGI_PRUNE_UNTUNED, SGI_TARGET_DENSE, false);
  run("mlp", "loss_iterative", SGI_PRUNE_LOSS, SGI_TARGET_DENSE, false);
  run("mlp", "loss_one_shot", SGI_PRUNE_LOSS_ONCE, SGI_TARGET_DENSE, false);
}

static void distances(void **state) {
  (void)state;
  static const char *const kinds[] = {"l1", "l2", "cos"};
  for (int k = 0; k < 3; k++)
    for (int token = 0; token < 2; token++) {
      game g;
      char name[60];
      double got[64];
      begin(&g, "mlp");
      g.request.distance = (sgi_prune_distance)k;
      g.request.per_token = token;
      assert_sg_ok(sgi_prune_sensitivity(g.dense, g.standing, &g.request, got, err));
      snprintf(name, sizeof name, "distance.%s.%s", kinds[k], token ? "token" : "sequence");
      numbers(&g, name, got);
      end(&g);
    }
}

static void one_shot(void **state) {
  (void)state;
  game g;
  begin(&g, "mlp");
  const json_t *want = json_object_get(json_object_get(g.json, "runs"), "sprint_one_shot");
  const json_t *pruned = json_object_get(want, "pruned");
  g.request.method = SGI_PRUNE_ONE_SHOT;
  g.request.remove = json_array_size(pruned);
  sgi_prune *p;
  assert_sg_ok(sgi_prune_run(g.dense, g.standing, &g.request, &p, err));
  for (size_t i = 0; i < p->n_rounds; i++)
    assert_int_equal(p->rounds[i].sublayer, json_integer_value(json_array_get(pruned, i)));
  const sgi_prune_round *last = &p->rounds[p->n_rounds - 1];
  near("calibration loss", last->calibration_loss, json_number_value(json_object_get(want, "calibration_loss")),
       bound("losses", "abs"));
  near("validation loss", last->validation_loss, json_number_value(json_object_get(want, "validation_loss")),
       bound("losses", "abs"));
  weights(&g, "one_shot.weight.5", "model.layers.2.mlp.down_proj.weight");
  sgi_prune_free(p);
  end(&g);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(distances), cmocka_unit_test(rounds), cmocka_unit_test(naive),
                                     cmocka_unit_test(one_shot)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
