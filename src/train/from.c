/* from.c: a run that starts from a trained model's weights (train.from). They become float32
 * masters, however they are stored; moments, schedule and data begin anew. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "model/config.h"
#include "train/checkpoint.h"
#include "train/run_state.h"

sg_status sgi_run_place_from(sgi_run *run, const char *given, char **tokenizer, sg_error *err) {
  char *from = run->settings.from, *directory = NULL;
  *tokenizer = NULL;
  if (!from[0] || run->resume) return SG_OK;
  char *real = realpath(from, NULL);
  if (real && strlen(real) < sizeof run->settings.from) snprintf(from, sizeof run->settings.from, "%s", real);
  free(real);
  sg_status st = sgi_model_locate(from, NULL, NULL, &directory, err);
  if (st) return sgi_error_prefix(err, st, "train.from");
  if (!given) *tokenizer = sgi_path_join(directory, "tokenizer.json");
  if (*tokenizer && !sgi_is_file(*tokenizer)) {
    sgi_free(*tokenizer);
    *tokenizer = NULL;
    st = sgi_fail(err, SG_ERR_ARG, "train.from=%s has no tokenizer.json: name the one it was made with (--tokenizer)",
                  from);
  }
  sgi_free(directory);
  return st;
}

/* Kind, sizes and all else that the numbers stand for; the longest row may be another. */
static sg_status check_alike(const sgi_run *run, const sg_model *m, sg_error *err) {
  sg_config there = m->config;
  there.max_position = run->settings.model.max_position;
  json_t *a = sgi_config_to_json(&there), *b = sgi_config_to_json(&run->trainer->model->config);
  const char *key, *inner, *differs = NULL;
  json_t *x, *y;
  json_object_foreach(a, key, x) {
    const json_t *other = json_object_get(b, key);
    if (differs || json_equal(x, other)) continue;
    differs = key;
    json_object_foreach(x, inner, y) if (!json_equal(y, json_object_get(other, inner))) differs = inner;
  }
  bool same = a && b && json_equal(a, b);
  sg_status st = same ? SG_OK
                      : sgi_fail(err, SG_ERR_ARG,
                                 "train.from=%s is another model than the run's settings describe (%s of its "
                                 "config.json): kind and sizes have to be the same",
                                 run->settings.from, differs ? differs : "layers");
  json_decref(a);
  json_decref(b);
  return st;
}

sg_status sgi_run_start_from(sgi_run *run, sg_error *err) {
  const char *from = run->settings.from;
  char *directory = NULL;
  sg_model *m = NULL, *to = run->trainer->model;
  if (!from[0] || run->state.step) return SG_OK;
  if (run->who.split)
    return sgi_fail(err, SG_ERR_UNSUPPORTED, "train.from and layers that are split over ranks do not go together");
  sg_status st = sgi_model_locate(from, NULL, NULL, &directory, err);
  if (!st) st = sg_model_load(directory, &m, err);
  if (!st) st = check_alike(run, m, err);
  for (size_t i = 0; i < to->table.count && !st; i++)
    if (to->table.rows[i].aside)
      st = sgi_pools_take(to->pools, i, to, &m->weights[i], err);
    else
      sgi_weight_to_float(to->arena + to->table.rows[i].offset, &m->weights[i]);
  if (!st && run->trainer->int4) sgi_int4_recount(run->trainer->int4);
  if (!st) sgi_run_note(run, "starting from the weights of %s", directory);
  sg_model_free(m);
  sgi_free(directory);
  return st;
}
