/* True effects of every neuron that fired, and the smallest sets that keep or lose a fact
 * (docs/reading-facts.md, is it true), for models that are compared. */
#include <math.h>
#include <string.h>

#include "core/arena.h"
#include "core/median.h"
#include "read/score.h"
#include "sgatlin.h"

enum { MEAN_ROWS = 48, MEAN_TOKENS = 128 };

/* The first stories, each from its beginning. */
static sg_status mean_rows(const sg_model *m, const sg_tokenizer *tok, const sgi_truth *truth, int32_t *rows, size_t T,
                           size_t *n, sg_error *err) {
  sg_status st = SG_OK;
  for (*n = 0; *n < truth->n_stories && *n < MEAN_ROWS && !st; ++*n) {
    const sgi_truth_story *s = &truth->stories[*n];
    int32_t *ids = NULL, *row = rows + *n * T;
    size_t count = 0;
    st = sg_tokenizer_encode(tok, s->text, s->n, &ids, &count, err);
    for (size_t t = 0; t < T && !st; t++)
      row[t] = !t                                                        ? m->config.bos_id
               : t <= count && (size_t)ids[t - 1] < m->config.vocab_size ? ids[t - 1]
                                                                         : m->config.pad_id;
    sg_buffer_free(ids);
  }
  return st;
}

sg_status sgi_score_sets_begin(sgi_score_sets *x, const sg_model *m, const sg_tokenizer *tok, const sgi_truth *truth,
                               size_t most, sg_error *err) {
  size_t T = m->config.max_position < MEAN_TOKENS ? m->config.max_position : MEAN_TOKENS, n = 0;
  *x = (sgi_score_sets){.m = m};
  if (!most) return SG_OK;
  int32_t *rows = sgi_alloc(MEAN_ROWS * T * sizeof *rows);
  x->sizes[0] = sgi_alloc(4 * most * sizeof *x->sizes[0]);
  if (!rows || !x->sizes[0]) {
    sgi_free(rows);
    return sgi_fail_memory(err, MEAN_ROWS * T * sizeof *rows, "rows of stories");
  }
  for (int i = 1; i < 4; i++) x->sizes[i] = x->sizes[i - 1] + most;
  sg_status st = mean_rows(m, tok, truth, rows, T, &n, err);
  sg_error why = {0};
  sg_means_request q = {.tokens = rows, .rows = n, .T = T};
  if (!st) st = sg_means_create(m, &q, &x->means, &why);
  if (st == SG_ERR_UNSUPPORTED)
    st = SG_OK;
  else if (st && why.code)
    *err = why;
  sgi_free(rows);
  return st;
}

static sg_status sets(sgi_score_sets *x, const sg_attribute_request *r, bool mean, sg_error *err) {
  sg_minimal_request q = {.prompt = *r, .means = mean ? x->means : NULL};
  sg_minimal *m;
  sg_status st = sg_minimal_create(x->m, &q, &m, err);
  if (st) return st;
  const sg_minimal_set *of[] = {&m->keep, &m->lose};
  for (int i = 0; i < 2; i++) {
    size_t at = (size_t)(mean ? 2 : 0) + (size_t)i;
    if (of[i]->found) x->sizes[at][x->count[at]++] = (double)of[i]->count;
  }
  sg_minimal_free(m);
  return SG_OK;
}

sg_status sgi_score_sets_add(sgi_score_sets *x, const int32_t *tokens, size_t n, int32_t target, int32_t against,
                             sg_error *err) {
  sg_attribute_request r = {.tokens = tokens, .count = n, .position = -1, .target = target, .against = against};
  sg_exact_request q = {.prompt = r, .no_heads = true};
  sg_exact *e;
  sg_status st = sg_exact_create(x->m, &q, &e, err);
  if (st) return st;
  x->rank += e->neurons.rank;
  x->missed += e->neurons.rerouting;
  x->n++;
  sg_exact_free(e);
  st = sets(x, &r, false, err);
  return st || !x->means ? st : sets(x, &r, true, err);
}

void sgi_score_sets_end(sgi_score_sets *x, sgi_score *out) {
  double *to[] = {out ? &out->keep : NULL, out ? &out->lose : NULL, out ? &out->keep_mean : NULL,
                  out ? &out->lose_mean : NULL};
  for (int i = 0; i < 4 && out; i++) *to[i] = x->count[i] ? sgi_median(x->sizes[i], x->count[i]) : NAN;
  if (out) {
    out->sets = x->n;
    out->exact_rank = x->n ? x->rank / (double)x->n : NAN;
    out->exact_missed = x->n ? x->missed / (double)x->n : NAN;
  }
  sg_means_free(x->means);
  sgi_free(x->sizes[0]);
  *x = (sgi_score_sets){0};
}
