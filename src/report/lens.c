#include "lens.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "predict.h"

/* Levels of the stream: 0 the embedding, l + 1 what layer l leaves. */
static void level_name(size_t level, char out[SG_SITE_NAME]) {
  snprintf(out, SG_SITE_NAME, level ? "layers.%zu.resid_post" : "embed", level - 1);
}

/* While the model runs nothing is done yet. */
static bool running(void *user, size_t done, size_t wanted) {
  const sgi_lens_request *q = user;
  return (void)done, !q->progress || q->progress(q->user, 0, wanted + 1);
}

static sg_status run(const sgi_lens_request *q, const sgi_prompt *p, sg_run **out, sg_error *err) {
  static const char *const sites[] = {"embed", "layers.*.resid_post"};
  const sg_run_request r = {.tokens = p->tokens,
                            .count = p->count,
                            .record = sites,
                            .n_record = SGI_COUNT(sites),
                            .progress = running,
                            .user = (void *)(uintptr_t)q};
  return sg_run_create(p->model, &r, out, err);
}

/* One place of a level: logits (V) and probabilities (V). */
static sg_status look(const sgi_prompt *p, const sg_run *r, size_t level, size_t position, sgi_prediction *q,
                      sg_error *err) {
  char name[SG_SITE_NAME];
  sg_site site;
  double max = -INFINITY, sum = 0;
  level_name(level, name);
  if (!sg_run_find(r, name, &site)) return sgi_fail(err, SG_ERR_INTERNAL, "%s was not recorded", name);
  sg_status st = sg_lens(p->model, &site, (ptrdiff_t)position, q->logits, err);
  for (size_t i = 0; i < q->V && !st; i++) max = fmax(max, q->logits[i]);
  for (size_t i = 0; i < q->V && !st; i++) sum += q->p[i] = exp(q->logits[i] - max);
  for (size_t i = 0; i < q->V && !st; i++) q->p[i] /= sum;
  return st;
}

/* ---- the likeliest tokens everywhere --------------------------------------------------------- */

static sg_status levels_json(const sgi_lens_request *q, const sg_run *r, sgi_prediction *at, size_t levels, json_t *out,
                             sg_error *err) {
  sg_status st = SG_OK;
  for (size_t l = 0; l < levels && !st; l++) {
    char name[SG_SITE_NAME];
    json_t *row = json_array();
    level_name(l, name);
    for (size_t t = 0; t < q->p->count && !st; t++) {
      if (q->progress && !q->progress(q->user, l, levels)) st = sgi_fail(err, SG_ERR_CANCELLED, "stopped");
      if (!st) st = look(q->p, r, l, t, at, err);
      if (!st) json_array_append_new(row, isfinite(at->p[0]) ? sgi_prediction_json(q->p, at, q->top) : json_array());
    }
    json_array_append_new(out, json_pack("{ss so}", "site", name, "predictions", row));
    if (!st && q->progress && !q->progress(q->user, l + 1, levels)) st = sgi_fail(err, SG_ERR_CANCELLED, "stopped");
  }
  return st;
}

/* ---- a word ---------------------------------------------------------------------------------- */

static size_t rank_of(const sgi_prediction *at, int32_t id) {
  size_t rank = 0;
  for (size_t i = 0; i < at->V; i++)
    rank += at->logits[i] > at->logits[id] || (at->logits[i] == at->logits[id] && i < (size_t)id);
  return rank;
}

/* p holds all of the word but its last token behind the position. */
static sg_status word_levels(const sgi_prompt *p, const sg_run *r, size_t position, const sgi_word *w, size_t levels,
                             sgi_prediction *at, json_t *list, double *last, sg_error *err) {
  sg_status st = SG_OK;
  for (size_t l = 0; l < levels && !st; l++) {
    char name[SG_SITE_NAME];
    double logit = 0;
    size_t rank = 0;
    *last = 0;
    level_name(l, name);
    for (size_t i = 0; i < w->n && !st; i++) {
      st = look(p, r, l, position + i, at, err);
      if (st) break;
      if (!i) rank = rank_of(at, w->ids[0]);
      logit += (double)at->logits[w->ids[i]];
      *last += log(at->p[w->ids[i]]);
    }
    json_array_append_new(
        list, json_pack("{ss so so so sI}", "site", name, "log_probability", sgi_report_real(*last), "probability",
                        sgi_report_real(exp(*last)), "logit", sgi_report_real(logit), "rank", (json_int_t)rank));
  }
  return st;
}

static sg_status target_json(const sgi_lens_request *q, size_t levels, sgi_prediction *at, json_t **out,
                             sg_error *err) {
  sgi_prompt p = *q->p; /* its own tokens, so that the caller's stay as they are */
  const sgi_word *w = q->target;
  sg_run *r = NULL;
  double last = 0;
  json_t *list = json_array();
  p.tokens = sgi_alloc(p.count * sizeof *p.tokens);
  sg_status st = p.tokens ? SG_OK : sgi_fail_memory(err, p.count * sizeof *p.tokens, "tokens");
  if (!st) memcpy(p.tokens, q->p->tokens, p.count * sizeof *p.tokens);
  if (!st) st = sgi_word_extend(&p, q->position, w, w->n - 1, err);
  if (!st) st = run(q, &p, &r, err);
  if (!st) st = word_levels(&p, r, q->position, w, levels, at, list, &last, err);
  if (!st)
    *out = json_pack("{so sI sO}", "word", sgi_word_json(q->p, w->ids, w->n, last), "position", (json_int_t)q->position,
                     "layers", list);
  json_decref(list);
  sg_run_free(r);
  sgi_free(p.tokens);
  return st;
}

sg_status sgi_lens_report(const sgi_lens_request *q, json_t **out, sg_error *err) {
  size_t levels = sg_model_config(q->p->model)->num_layers + 1, V = sg_model_config(q->p->model)->vocab_size;
  sgi_prediction at = {.logits = sgi_alloc(V * sizeof *at.logits), .p = sgi_alloc(V * sizeof *at.p), .V = V};
  sg_run *r = NULL;
  json_t *layers = json_array(), *target = NULL;
  sg_status st = at.logits && at.p ? SG_OK : sgi_fail_memory(err, V * sizeof *at.p, "a prediction");
  if (!st) st = run(q, q->p, &r, err);
  if (!st) st = levels_json(q, r, &at, levels, layers, err);
  if (!st && q->target) st = target_json(q, levels, &at, &target, err);
  if (!st) {
    *out = json_pack("{so sO}", "tokens", sgi_prompt_json(q->p), "layers", layers);
    if (target) json_object_set(*out, "target", target);
    st = sgi_report_whole(out, "the lens", err);
  }
  json_decref(layers);
  json_decref(target);
  sg_run_free(r);
  sgi_free(at.logits);
  sgi_free(at.p);
  return st;
}
