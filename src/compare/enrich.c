#include "compare/enrich.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "compare/knockout.h"
#include "core/arena.h"
#include "core/rng.h"

const char *const sgi_enrich_names[SGI_ENRICH_PLACES] = {"subject_last", "subject_first", "after", "last", "random"};

/* ---- one vector ------------------------------------------------------------------------------ */

sg_status sgi_enrich_list(const sg_model *m, const sgi_enrich_request *r, const float *x, float *room, float *scores,
                          int32_t *ids, size_t *n, sg_error *err) {
  size_t V = m->config.vocab_size, found = 0;
  int32_t best[SGI_ENRICH_BEST];
  *n = 0;
  sg_status st = sgi_trials_lens(m, r->raw, x, room, scores, err);
  if (st) return st;
  for (size_t v = 0; v < V; v++) { /* the best of all, largest first; ties to the lower id */
    if (found == SGI_ENRICH_BEST && !(scores[v] > scores[best[found - 1]])) continue;
    size_t at = found < SGI_ENRICH_BEST ? found++ : found - 1;
    for (; at && scores[v] > scores[best[at - 1]]; at--) best[at] = best[at - 1];
    best[at] = (int32_t)v;
  }
  for (size_t i = 0; i < found && *n < r->top; i++)
    if (!r->stop[best[i]]) ids[(*n)++] = best[i];
  return SG_OK;
}

double sgi_enrich_rate(const int32_t *ids, size_t n, const int32_t *attributes, size_t n_attributes) {
  size_t both = 0;
  for (size_t i = 0; i < n; i++)
    for (size_t k = 0; k < n_attributes; k++) both += ids[i] == attributes[k];
  return n ? 100 * (double)both / (double)n : 0;
}

/* ---- one prompt ------------------------------------------------------------------------------ */

typedef struct streams {
  size_t D, L, level;
  size_t place[SGI_ENRICH_PLACES]; /* position; SIZE_MAX: none */
  float *clean;                    /* (PLACES,L+1,D) */
  float *cut;                      /* (2 L,D) */
} streams;

static void see(void *user, size_t trial, const sgi_site *s, size_t position, const float *x) {
  streams *k = user;
  size_t level = s->id == SGI_SITE_EMBED ? 0 : (size_t)s->layer + 1, D = k->D;
  if (s->id != SGI_SITE_EMBED && s->id != SGI_SITE_RESID_POST) return;
  if (trial) {
    if (level == k->level && position == k->place[0]) memcpy(k->cut + (trial - 1) * D, x, D * sizeof *x);
    return;
  }
  for (size_t i = 0; i < SGI_ENRICH_PLACES; i++)
    if (k->place[i] == position) memcpy(k->clean + (i * (k->L + 1) + level) * D, x, D * sizeof *x);
}

static void choose_places(const sgi_subject *p, const sgi_enrich_request *r, uint64_t sub, size_t *place) {
  size_t N = p->count - 1, others = 0;
  place[SGI_ENRICH_SUBJECT_LAST] = p->end - 1;
  place[SGI_ENRICH_SUBJECT_FIRST] = p->first;
  place[SGI_ENRICH_AFTER] = p->end;
  place[SGI_ENRICH_LAST] = N;
  place[SGI_ENRICH_RANDOM] = SIZE_MAX;
  sgi_rng rng = sgi_rng_make(r->seed, SGI_STREAM_SAMPLE, 2000 + sub);
  for (size_t t = 1; t < N; t++) /* each of them as likely */
    if ((t < p->first || t > p->end) && !sgi_rng_below(&rng, ++others)) place[SGI_ENRICH_RANDOM] = t;
}

static sg_status rates(const sg_model *m, const sgi_enrich_request *r, const streams *k, const int32_t *attributes,
                       size_t n, const int32_t *others, size_t n_others, sgi_enriched *out, sg_error *err) {
  size_t L = k->L, found;
  float *room = sgi_alloc((m->config.hidden_size + m->config.vocab_size) * sizeof *room);
  int32_t *ids = sgi_alloc((r->top + 1) * sizeof *ids);
  sg_status st = room && ids ? SG_OK : sgi_fail_memory(err, m->config.vocab_size * 4, "lists of tokens");
  float *scores = room ? room + m->config.hidden_size : NULL;
  for (size_t e = 0; e < SGI_ENRICH_PLACES * (L + 1) && !st; e++) {
    out->rate[e] = out->other[e] = NAN;
    if (k->place[e / (L + 1)] == SIZE_MAX) continue;
    st = sgi_enrich_list(m, r, k->clean + e * k->D, room, scores, ids, &found, err);
    if (st) break;
    out->rate[e] = sgi_enrich_rate(ids, found, attributes, n);
    if (others) out->other[e] = sgi_enrich_rate(ids, found, others, n_others);
    for (size_t i = 0; out->lists && e <= L && i < r->top; i++) out->lists[e * r->top + i] = i < found ? ids[i] : -1;
  }
  for (size_t e = 0; e < 2 * L && !st; e++) {
    st = sgi_enrich_list(m, r, k->cut + e * k->D, room, scores, ids, &found, err);
    if (!st) out->cut[e] = sgi_enrich_rate(ids, found, attributes, n);
  }
  sgi_free(room);
  sgi_free(ids);
  return st;
}

sg_status sgi_enrich_prompt(sgi_trials *t, const sg_model *m, const sgi_subject *p, const sgi_enrich_request *r,
                            uint64_t sub, const int32_t *attributes, size_t n, const int32_t *others, size_t n_others,
                            sgi_enriched *out, sg_error *err) {
  size_t L = m->config.num_layers, D = m->config.hidden_size, window = r->window ? r->window : sgi_knock_window(L);
  streams k = {.D = D, .L = L, .level = r->level ? r->level : L};
  sgi_trial *trials = sgi_alloc((1 + 2 * L) * sizeof *trials);
  k.clean = sgi_alloc((SGI_ENRICH_PLACES * (L + 1) + 2 * L) * D * sizeof *k.clean);
  sg_status st = trials && k.clean ? SG_OK : sgi_fail_memory(err, L * D * 8 * sizeof *k.clean, "streams");
  if (!st) {
    k.cut = k.clean + SGI_ENRICH_PLACES * (L + 1) * D;
    choose_places(p, r, sub, k.place);
    for (size_t e = 0; e < 2 * L; e++) {
      size_t from = e % L, to = from + window < L ? from + window : L;
      trials[1 + e].cut.from = from;
      trials[1 + e].cut.to = to;
      trials[1 + e].cut.attention = e < L;
      trials[1 + e].cut.feedforward = e >= L;
    }
    if (1 + 2 * L > SGI_TRIALS_MOST)
      st = sgi_fail(err, SG_ERR_UNSUPPORTED, "%zu layers are more than are cut one by one here", L);
  }
  if (!st) st = sgi_trials_run(t, p->tokens, p->count, trials, 1 + 2 * L, see, &k, err);
  if (!st) st = rates(m, r, &k, attributes, n, others, n_others, out, err);
  sgi_free(trials);
  sgi_free(k.clean);
  return st;
}

/* ---- all prompts ----------------------------------------------------------------------------- */

/* Another subject with attributes of which a prompt of the same type is there; SIZE_MAX: none. */
static size_t another(const sgi_subjects *s, size_t i, uint64_t seed) {
  size_t found = SIZE_MAX, n = 0;
  sgi_rng rng = sgi_rng_make(seed, SGI_STREAM_SAMPLE, 3000 + i);
  for (size_t k = 0; k < s->n; k++)
    if (s->at[k].type == s->at[i].type && s->at[k].who != s->at[i].who && s->n_attributes[s->at[k].who] &&
        !sgi_rng_below(&rng, ++n))
      found = s->at[k].who;
  return found;
}

/* sum, squares and counts of x (n), where it is a number. */
static void add(const double *x, size_t n, double *sum, double *squares, size_t *count) {
  for (size_t i = 0; i < n; i++) {
    if (isnan(x[i])) continue;
    sum[i] += x[i];
    squares[i] += x[i] * x[i];
    count[i]++;
  }
}

static void means(double *sum, double *squares, const size_t *count, size_t n) {
  for (size_t i = 0; i < n; i++) {
    double c = (double)count[i], mean = sum[i] / c, var = squares[i] / c - mean * mean;
    sum[i] = mean;
    squares[i] = c > 1 && var > 0 ? sqrt(var / (c - 1)) : 0;
  }
}

static sg_status run(const sg_model *m, const sgi_subjects *s, const sgi_enrich_request *r, sgi_enrich *e, double *own,
                     size_t *count, sg_error *err) {
  size_t L = e->L, cells = SGI_ENRICH_PLACES * (L + 1), done = 0;
  sgi_enriched one = {own, own + cells, own + 2 * cells, NULL};
  sgi_trials *t = NULL;
  sg_status st = sgi_trials_create(m, s->longest, &t, err);
  for (size_t i = 0; i < s->n && !st; i++) {
    const sgi_subject *p = &s->at[i];
    if (!p->known || !s->n_attributes[p->who]) continue;
    size_t other = another(s, i, r->seed);
    st = sgi_enrich_prompt(t, m, p, r, i, s->attributes[p->who], s->n_attributes[p->who],
                           other == SIZE_MAX ? NULL : s->attributes[other],
                           other == SIZE_MAX ? 0 : s->n_attributes[other], &one, err);
    if (st) break;
    e->prompts++;
    add(one.rate, cells, e->rate, e->rate_error, count);
    add(one.other, cells, e->other, e->other_error, count + cells);
    add(one.cut, 2 * L, e->cut, e->cut_error, count + 2 * cells);
    if (r->progress && !r->progress(r->user, ++done, s->n_known)) st = sgi_fail(err, SG_ERR_CANCELLED, "stopped");
  }
  sgi_trials_free(t);
  means(e->rate, e->rate_error, count, cells);
  means(e->other, e->other_error, count + cells, cells);
  means(e->cut, e->cut_error, count + 2 * cells, 2 * L);
  e->uncut = e->rate[e->level];
  return st;
}

sg_status sgi_enrich_run(const sg_model *m, const sgi_subjects *s, const sgi_enrich_request *r, sgi_enrich **out,
                         sg_error *err) {
  *out = NULL;
  size_t L = m->config.num_layers, cells = SGI_ENRICH_PLACES * (L + 1), all = 2 * cells + 2 * L;
  if (r->window > L || r->level > L || !r->top || r->top > SGI_ENRICH_BEST)
    return sgi_fail(err, SG_ERR_ARG, "expected a window and a level of at most %zu layers, lists of 1 to %d tokens", L,
                    SGI_ENRICH_BEST);
  sgi_enrich *e = sgi_alloc(sizeof *e);
  double *own = sgi_alloc(all * sizeof *own);
  size_t *count = sgi_alloc(all * sizeof *count);
  if (e) {
    *e = (sgi_enrich){.L = L,
                      .window = r->window ? r->window : sgi_knock_window(L),
                      .level = r->level ? r->level : L,
                      .rate = sgi_alloc(2 * all * sizeof *e->rate)};
  }
  sg_status st = e && e->rate && own && count ? SG_OK : sgi_fail_memory(err, 4 * all * 8, "rates");
  if (!st) {
    e->rate_error = e->rate + cells;
    e->other = e->rate_error + cells;
    e->other_error = e->other + cells;
    e->cut = e->other_error + cells;
    e->cut_error = e->cut + 2 * L;
    st = run(m, s, r, e, own, count, err);
  }
  sgi_free(own);
  sgi_free(count);
  if (st)
    sgi_enrich_free(e);
  else
    *out = e;
  return st;
}

void sgi_enrich_free(sgi_enrich *e) {
  if (!e) return;
  sgi_free(e->rate);
  sgi_free(e);
}
