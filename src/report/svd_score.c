#include "svd_score.h"

#include <string.h>

#include "compare/svd_score.h"
#include "data/data.h"
#include "read/label.h"

enum { WORD = 64, MOST_CATEGORIES = 64 };
_Static_assert((int)SGI_SVD_CURVES == (int)SGI_SVD_FAMILIES && (int)SGI_SVD_TENTHS == (int)SGI_SVD_BINS, "curves");
_Static_assert((int)SGI_SVD_SCORE_NEAREST == (int)SGI_SVD_NEAREST, "tokens of an end");

typedef struct scoring {
  const sgi_svd_scoring *q;
  sgi_npmi *npmi;
  json_t *labels;
  uint64_t *categories; /* (V) */
  bool *skip;           /* (V) */
  size_t used;          /* tokens that the text has */
  sgi_svd_scores_all *scores;
} scoring;

/* ---- the text and the labels ----------------------------------------------------------------- */

static const int32_t *document(const void *source, size_t i, size_t *n) { return sgi_corpus_document(source, i, n); }

static sg_status count_pairs(scoring *w, sg_error *err) {
  const sgi_svd_scoring *q = w->q;
  const sgi_npmi_request r = {.documents = sgi_corpus_documents(q->corpus),
                              .document = document,
                              .source = q->corpus,
                              .vocab = sg_model_config(q->p->model)->vocab_size,
                              .window = q->window,
                              .max_tokens = q->max_tokens,
                              .max_bytes = q->max_bytes,
                              .go_on = q->go_on,
                              .user = q->user};
  return sgi_npmi_make(&r, &w->npmi, err);
}

/* The categories of a token's word as it stands, or with a small first letter. */
static const json_t *categories_of(const scoring *w, size_t token) {
  char word[WORD];
  size_t n = 0, from = 0;
  const char *bytes = sg_tokenizer_token_bytes(w->q->p->tokenizer, (int32_t)token, &n);
  while (bytes && from < n && bytes[from] == ' ') from++;
  if (!bytes || n - from >= sizeof word || n == from) return NULL;
  memcpy(word, bytes + from, n - from);
  word[n - from] = 0;
  const json_t *list = json_object_get(w->labels, word);
  if (!list && word[0] >= 'A' && word[0] <= 'Z') {
    word[0] = (char)(word[0] - 'A' + 'a');
    list = json_object_get(w->labels, word);
  }
  return list;
}

static sg_status read_labels(scoring *w, sg_error *err) {
  const char *path = w->q->labels;
  size_t V = sg_model_config(w->q->p->model)->vocab_size, known = 0, i;
  json_t *names = json_object(), *name;
  if (!path || !names) {
    json_decref(names);
    return path ? sgi_fail(err, SG_ERR_MEMORY, "out of memory") : SG_OK;
  }
  sg_status st = sgi_json_load(path, &w->labels, err);
  if (!st && !json_is_object(w->labels))
    st = sgi_fail(err, SG_ERR_FORMAT,
                  "%s: expected an object of words and their categories, as 'data worlds' writes it", path);
  if (!st && !(w->categories = sgi_alloc(V * sizeof *w->categories))) st = sgi_fail_memory(err, V * 8, "categories");
  for (size_t t = 0; t < V && !st; t++) {
    const json_t *list = categories_of(w, t);
    json_array_foreach((json_t *)list, i, name) {
      if (!json_is_string(name))
        st = sgi_fail(err, SG_ERR_FORMAT, "%s: expected lists of names of categories", path);
      else if (!json_object_get(names, json_string_value(name)))
        json_object_set_new(names, json_string_value(name), json_integer((json_int_t)json_object_size(names)));
      if (!st && json_object_size(names) > MOST_CATEGORIES)
        st = sgi_fail(err, SG_ERR_UNSUPPORTED, "%s: more than %d categories", path, MOST_CATEGORIES);
      if (st) break;
      w->categories[t] |= (uint64_t)1 << json_integer_value(json_object_get(names, json_string_value(name)));
    }
    known += w->categories[t] != 0;
  }
  if (!st && !known)
    st = sgi_fail(err, SG_ERR_ARG, "%s: no token of the model is a word of this list: is it of another corpus?", path);
  json_decref(names);
  return st;
}

static sg_status choose_tokens(scoring *w, sg_error *err) {
  size_t V = sg_model_config(w->q->p->model)->vocab_size;
  if (!(w->skip = sgi_label_silent(w->q->p->model, w->q->p->tokenizer))) return sgi_fail_memory(err, V, "tokens");
  for (size_t t = 0; t < V; t++) {
    w->skip[t] |= !sgi_npmi_ends(w->npmi, (int32_t)t);
    w->used += !w->skip[t];
  }
  return w->used >= 2 * w->q->nearest
             ? SG_OK
             : sgi_fail(err, SG_ERR_ARG, "the text has %zu different tokens: too few for lists of %zu", w->used,
                        w->q->nearest);
}

static sg_status score(scoring *w, sg_error *err) {
  const sgi_svd_scoring *q = w->q;
  sg_status st = count_pairs(w, err);
  if (!st) st = read_labels(w, err);
  if (!st) st = choose_tokens(w, err);
  if (st) return st;
  const sgi_svd_score_request r = {.npmi = w->npmi,
                                   .categories = w->categories,
                                   .skip = w->skip,
                                   .nearest = q->nearest,
                                   .rotations = q->rotations,
                                   .draws = q->draws,
                                   .distance = q->distance,
                                   .seed = q->seed,
                                   .progress = q->progress,
                                   .user = q->user};
  if (q->begun) q->begun(q->user);
  return sgi_svd_score(q->p->model, &r, &w->scores, err);
}

/* ---- the document ---------------------------------------------------------------------------- */

static const char *const measures[] = {"npmi", "label"};

static json_t *measure_json(double score, double control, double z, double spread, double falls, double above) {
  return json_pack("{so so so so so so}", "score", sgi_report_real(score), "control", sgi_report_real(control), "z",
                   sgi_report_real(z), "spread", sgi_report_real(spread), "rank_correlation", sgi_report_real(falls),
                   "above", sgi_report_real(above));
}

static json_t *family_json(const sgi_svd_scores_all *s, size_t i) {
  const sgi_svd_family *f = &s->families[i];
  json_t *o = json_pack("{ss sI}", "family", f->name, "sides", (json_int_t)f->sides), *curve = json_array();
  for (size_t k = 0; k < SGI_SVD_MEASURES && f->sides; k++)
    if (k == SGI_SVD_NPMI || s->labels)
      json_object_set_new(
          o, measures[k],
          measure_json(f->of[k].score, f->of[k].control, f->of[k].z, f->of[k].spread, f->of[k].falls, f->of[k].above));
  for (size_t b = 0; b < SGI_SVD_BINS && f->sides; b++) json_array_append_new(curve, sgi_report_real(s->curve[i][b]));
  json_object_set_new(o, "z_by_tenth", curve);
  return o;
}

static json_t *side_json(const sgi_svd_scores_all *s, const sgi_svd_scored *x) {
  json_t *ends = json_array();
  for (size_t i = 0; i < x->n; i++)
    json_array_append_new(ends, json_pack("[o,o]", sgi_report_real(x->score[SGI_SVD_NPMI][2 * i]),
                                          sgi_report_real(x->score[SGI_SVD_NPMI][2 * i + 1])));
  bool layer = x->which.matrix <= SGI_SVD_MLP_OUT;
  json_t *o = json_pack("{ss ss so so so}", "family", s->families[x->family].name, "side",
                        x->side == SGI_SVD_WRITTEN ? "written" : "read", "layer",
                        layer ? json_integer((json_int_t)x->which.layer) : json_null(), "head",
                        x->which.matrix <= SGI_SVD_OV ? json_integer((json_int_t)x->which.head) : json_null(),
                        "npmi_of_ends", ends);
  for (size_t k = 0; k < SGI_SVD_MEASURES; k++) {
    double sum = 0;
    for (size_t e = 0; e < 2 * x->n; e++) sum += x->score[k][e];
    if (k == SGI_SVD_NPMI || s->labels)
      json_object_set_new(
          o, measures[k],
          measure_json(sum / (double)(2 * x->n), x->control[k], x->z[k], x->spread[k], x->falls[k], x->above[k]));
  }
  return o;
}

static json_t *result_json(const scoring *w) {
  const sgi_svd_scores_all *s = w->scores;
  json_t *families = json_array(), *sides = json_array();
  for (size_t i = 0; i < s->n_families; i++) json_array_append_new(families, family_json(s, i));
  for (size_t i = 0; i < s->n; i++) json_array_append_new(sides, side_json(s, &s->sides[i]));
  return json_pack("{sI sI sI sI so so}", "seed", (json_int_t)w->q->seed, "pairs", (json_int_t)sgi_npmi_pairs(w->npmi),
                   "tokens", (json_int_t)w->used, "rotations", (json_int_t)w->q->rotations, "families", families,
                   "sides", sides);
}

static void take_curves(const sgi_svd_scores_all *s, sgi_svd_curve curves[SGI_SVD_CURVES], size_t *n) {
  *n = 0;
  for (size_t i = 0; i < s->n_families; i++) {
    if (!s->families[i].sides) continue;
    sgi_svd_curve *k = &curves[(*n)++];
    k->name = s->families[i].name;
    k->control = s->families[i].cut;
    memcpy(k->z, s->curve[i], sizeof k->z);
    memcpy(k->error, s->error[i], sizeof k->error);
  }
}

sg_status sgi_svd_score_report(const sgi_svd_scoring *q, json_t **out, sgi_svd_curve curves[SGI_SVD_CURVES], size_t *n,
                               sg_error *err) {
  scoring w = {.q = q};
  sg_status st = score(&w, err);
  if (!st) {
    *out = result_json(&w);
    take_curves(w.scores, curves, n);
    st = sgi_report_whole(out, "the scores", err);
  }
  sgi_svd_scores_free(w.scores);
  sgi_npmi_free(w.npmi);
  json_decref(w.labels);
  sgi_free(w.categories);
  sgi_free(w.skip);
  return st;
}
