#include "svd.h"

#include <stdio.h>
#include <string.h>

#include "compare/svd.h"
#include "read/label.h"

static const char *const sides[] = {"read", "written", "neurons", "tokens"};

typedef struct job {
  const sgi_directions_request *r;
  sgi_svd *svd;
  sgi_svd_words words;
  bool *skip;     /* (V) tokens that say nothing */
  double *scores; /* (V) */
} job;

static sg_status which_of(const sgi_directions_request *r, sgi_svd_which *out, sg_error *err) {
  *out = (sgi_svd_which){.layer = r->layer, .head = r->head, .distance = r->distance, .channel = r->channel};
  for (size_t i = 0; i < SGI_SVD_MATRICES; i++) {
    out->matrix = (sgi_svd_matrix)i;
    if (!strcmp(sgi_svd_matrix_names[i], r->matrix)) return SG_OK;
  }
  return sgi_fail(err, SG_ERR_ARG, "\"%.40s\" is no matrix: there are qk, ov, mlp_in, mlp_out and the embedding",
                  r->matrix);
}

static sg_status make(job *v, sg_error *err) {
  const sgi_prompt *p = v->r->p;
  size_t V = sg_model_config(p->model)->vocab_size;
  sgi_svd_which which;
  sg_status st = which_of(v->r, &which, err);
  if (!st) st = sgi_svd_make(p->model, &which, &v->svd, err);
  if (!st) st = sgi_svd_words_make(p->model, &v->words, err);
  if (st) return st;
  v->skip = sgi_label_silent(p->model, p->tokenizer);
  v->scores = sgi_alloc(V * sizeof *v->scores);
  return v->skip && v->scores ? SG_OK : sgi_fail_memory(err, V * sizeof *v->scores, "scores of tokens");
}

static const double *direction_of(const job *v, size_t i, bool right) {
  const sgi_svd *s = v->svd;
  return right ? s->right + i * s->columns : s->left + i * s->rows;
}

static sgi_svd_side side_of(const job *v, bool right) { return right ? v->svd->on_right : v->svd->on_left; }

static size_t shown(const job *v) { return v->r->tokens < SGI_DIRECTIONS_SHOWN ? v->r->tokens : SGI_DIRECTIONS_SHOWN; }

static double mean_at(job *v, size_t i, bool right, bool smallest) {
  int32_t ids[SGI_DIRECTIONS_SHOWN];
  double sum = 0;
  sgi_svd_scores(&v->words, side_of(v, right), v->r->cosine, direction_of(v, i, right), v->scores);
  size_t n = sgi_svd_nearest(v->scores, v->skip, v->words.V, smallest, shown(v), ids);
  for (size_t k = 0; k < n; k++) sum += v->scores[ids[k]];
  return n ? sum / (double)n : 0;
}

/* Both ends of direction i are exchanged where the smaller one says more. */
static bool turned(job *v, size_t i) {
  bool right = v->svd->on_left > SGI_SVD_WRITTEN;
  if (v->svd->on_right > SGI_SVD_WRITTEN && right) return false;
  return -mean_at(v, i, right, true) > mean_at(v, i, right, false);
}

/* Tokens as rows, or neurons: by their own part of the direction. */
static size_t largest_parts(const double *x, size_t count, bool smallest, size_t n, int32_t *ids) {
  return sgi_svd_nearest(x, NULL, count, smallest, n, ids);
}

/* The tokens of one side's end of direction i; v->scores then holds all scores. Returns how
 * many. */
static size_t end_of(job *v, size_t i, bool right, bool second, int32_t *ids) {
  const double *x = direction_of(v, i, right);
  size_t n = shown(v);
  bool smallest = second != turned(v, i);
  switch (side_of(v, right)) {
    case SGI_SVD_NEURONS: return largest_parts(x, right ? v->svd->columns : v->svd->rows, smallest, n, ids);
    case SGI_SVD_TOKENS:
      for (size_t t = 0; t < v->words.V; t++) v->scores[t] = x[t];
      break;
    default: sgi_svd_scores(&v->words, side_of(v, right), v->r->cosine, x, v->scores);
  }
  return sgi_svd_nearest(v->scores, v->skip, v->words.V, smallest, n, ids);
}

static json_t *entry_json(const job *v, size_t i, bool right, int32_t id) {
  const sgi_svd *s = v->svd;
  if (side_of(v, right) == SGI_SVD_NEURONS)
    return json_pack("{sI sI so}", "channel", (json_int_t)(s->unit[id] / s->per_channel), "index",
                     (json_int_t)(s->unit[id] % s->per_channel), "weight",
                     sgi_report_real(direction_of(v, i, right)[id]));
  json_t *o = sgi_token_json(v->r->p, id);
  if (o) json_object_set_new(o, "score", sgi_report_real(v->scores[id]));
  return o;
}

static json_t *side_json(job *v, size_t i, bool right) {
  json_t *ends = json_array();
  for (int second = 0; second < 2; second++) {
    int32_t ids[SGI_DIRECTIONS_SHOWN];
    json_t *list = json_array();
    size_t n = end_of(v, i, right, second, ids);
    for (size_t k = 0; k < n; k++) json_array_append_new(list, entry_json(v, i, right, ids[k]));
    json_array_append_new(ends, list);
  }
  return json_pack("{ss so}", "side", sides[side_of(v, right)], "ends", ends);
}

static json_t *document(job *v) {
  const sgi_svd *s = v->svd;
  const sgi_svd_which *w = &s->which;
  json_t *values = json_array(), *directions = json_array();
  bool head = w->matrix <= SGI_SVD_OV, layer = w->matrix <= SGI_SVD_MLP_OUT;
  for (size_t i = 0; i < s->n; i++) json_array_append_new(values, sgi_report_real(s->values[i]));
  for (size_t i = 0; i < s->n && i < v->r->directions; i++)
    json_array_append_new(
        directions,
        json_pack("{sI so so sI so so}", "index", (json_int_t)i, "value", sgi_report_real(s->values[i]), "share",
                  sgi_report_real(s->values[i] * s->values[i] / s->frobenius2), "subspace", (json_int_t)s->subspace[i],
                  "left", side_json(v, i, false), "right", side_json(v, i, true)));
  return json_pack("{ss so so so so so so so}", "matrix", sgi_svd_matrix_names[w->matrix], "layer",
                   layer ? json_integer((json_int_t)w->layer) : json_null(), "head",
                   head ? json_integer((json_int_t)w->head) : json_null(), "distance",
                   w->matrix == SGI_SVD_QK ? json_integer((json_int_t)w->distance) : json_null(), "channel",
                   layer && !head && w->channel >= 0 ? json_integer((json_int_t)w->channel) : json_null(), "frobenius2",
                   sgi_report_real(s->frobenius2), "values", values, "directions", directions);
}

static void tell(const job *v, sgi_directions_about *about) {
  const sgi_svd *s = v->svd;
  size_t told = v->r->directions < s->n ? v->r->directions : s->n;
  char name[SGI_SVD_NAME];
  sgi_svd_name(&s->which, name);
  *about = (sgi_directions_about){.rows = s->rows,
                                  .columns = s->columns,
                                  .more_of_last = told && told < s->n && s->subspace[told] == s->subspace[told - 1]};
  snprintf(about->name, sizeof about->name, "%s", name);
}

sg_status sgi_directions_report(const sgi_directions_request *r, sgi_directions_about *about, json_t **out,
                                sg_error *err) {
  job v = {.r = r};
  *out = NULL;
  sg_status st = make(&v, err);
  if (!st) *out = document(&v);
  if (!st && about) tell(&v, about);
  sgi_svd_free(v.svd);
  sgi_svd_words_deinit(&v.words);
  sgi_free(v.skip);
  sgi_free(v.scores);
  return st ? st : sgi_report_whole(out, "singular directions", err);
}
