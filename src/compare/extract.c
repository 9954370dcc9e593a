#include "compare/extract.h"

#include <math.h>
#include <string.h>

#include "core/arena.h"
#include "core/rng.h"

const char *const sgi_extract_names[SGI_EXTRACT_SETS] = {"subject", "last", "non_subject", "all_but_subject"};

/* ---- one prompt ------------------------------------------------------------------------------ */

typedef struct watching {
  size_t D, L, T, last;
  size_t first;   /* number of the first trial of the run at hand */
  float *out;     /* (KINDS,L,D) of trial 0 at the last position */
  float *streams; /* (L,T,D) what each layer reads in trial 0 */
  const size_t *layer;
  float *changed; /* (trials,D) attention's output of each other trial's own layer */
} watching;

static void see(void *user, size_t trial, const sgi_site *s, size_t position, const float *x) {
  watching *w = user;
  size_t D = w->D, layer = s->layer < 0 ? 0 : (size_t)s->layer;
  if (w->first + trial) {
    if (s->id == SGI_SITE_ATTN_OUT && position == w->last && layer == w->layer[w->first + trial])
      memcpy(w->changed + (w->first + trial) * D, x, D * sizeof *x);
    return;
  }
  if (s->id == SGI_SITE_ATTN_OUT && position == w->last) memcpy(w->out + layer * D, x, D * sizeof *x);
  if (s->id == SGI_SITE_MLP_OUT && position == w->last) memcpy(w->out + (w->L + layer) * D, x, D * sizeof *x);
  size_t reads = s->id == SGI_SITE_EMBED ? 0 : layer + 1;
  if ((s->id == SGI_SITE_EMBED || s->id == SGI_SITE_RESID_POST) && reads < w->L)
    memcpy(w->streams + (reads * w->T + position) * D, x, D * sizeof *x);
}

static int32_t rank_of(const float *scores, size_t V, int32_t token) {
  int32_t above = 0;
  for (size_t v = 0; v < V; v++)
    above += scores[v] > scores[token] || (scores[v] == scores[token] && (int32_t)v < token);
  return above;
}

static size_t positions_of(const sgi_subject *p, sgi_extract_set set, bool *at) {
  static const sgi_knock_set same[] = {SGI_KNOCK_SUBJECT, SGI_KNOCK_LAST, SGI_KNOCK_NON_SUBJECT, SGI_KNOCK_SUBJECT};
  size_t n = sgi_knock_positions(p, same[set], at);
  if (set != SGI_EXTRACT_ALL_BUT_SUBJECT) return n;
  for (size_t t = 0; t < p->count; t++) at[t] = !at[t];
  return p->count - n;
}

/* All trials but the first, in the order of their entries: blocked (SETS,L), then patched
 * (PATCHED,L,L). entry: where the rank goes; -1 stays where there is none. */
typedef struct plan {
  sgi_trial *trials;
  size_t *layer;
  int32_t **entry;
  bool *at; /* (SETS,T) */
  const sg_model *m;
  size_t n;
} plan;

static void add_trial(plan *x, sgi_trial trial, size_t layer, int32_t *entry) {
  x->trials[x->n] = trial;
  x->layer[x->n] = layer;
  x->entry[x->n++] = entry;
}

static void add_patched(plan *x, const sgi_extracted *out, size_t set, const bool *at, size_t L, size_t T, size_t D,
                        const float *streams) {
  for (size_t e = 0; e < L; e++)
    for (size_t l = 0; l < L; l++) {
      int32_t *entry = out->patched + (set * L + e) * L + l;
      *entry = -1;
      if (e < l && at && sgi_attention_of(x->m, l))
        add_trial(x, (sgi_trial){.patched = {l, l + 1, at, streams + e * T * D}}, l, entry);
    }
}

static sg_status make_plan(plan *x, const sg_model *m, const sgi_subject *p, const sgi_extracted *out,
                           const float *streams, sg_error *err) {
  size_t L = m->config.num_layers, D = m->config.hidden_size, T = p->count,
         most = 1 + SGI_EXTRACT_SETS * L + SGI_EXTRACT_PATCHED * L * L;
  *x = (plan){sgi_alloc(most * sizeof *x->trials),
              sgi_alloc(most * sizeof *x->layer),
              sgi_alloc(most * sizeof *x->entry),
              sgi_alloc(SGI_EXTRACT_SETS * T),
              m,
              0};
  if (!x->trials || !x->layer || !x->entry || !x->at) return sgi_fail_memory(err, most * sizeof *x->trials, "trials");
  add_trial(x, (sgi_trial){0}, 0, NULL);
  for (size_t set = 0; set < SGI_EXTRACT_SETS; set++) {
    bool *at = x->at + set * T;
    size_t n = positions_of(p, (sgi_extract_set)set, at);
    for (size_t l = 0; l < L && out->blocked; l++) {
      out->blocked[set * L + l] = -1;
      if (n && sgi_attention_of(m, l))
        add_trial(x, (sgi_trial){.blocked = {l, l + 1, at}}, l, &out->blocked[set * L + l]);
    }
    if (out->patched && set < SGI_EXTRACT_PATCHED) add_patched(x, out, set, n ? at : NULL, L, T, D, streams);
  }
  return SG_OK;
}

static sg_status judge(const sg_model *m, const sgi_subject *p, const sgi_extract_request *r, int32_t other,
                       const watching *w, const plan *x, sgi_extracted *out, sg_error *err) {
  size_t L = w->L, D = w->D, V = m->config.vocab_size;
  float *room = sgi_alloc((D + V) * sizeof *room);
  if (!room) return sgi_fail_memory(err, V * sizeof *room, "scores of tokens");
  sg_status st = SG_OK;
  for (size_t e = 0; e < SGI_EXTRACT_KINDS * L && !st; e++) {
    st = sgi_trials_lens(m, r->raw, w->out + e * D, room, room + D, err);
    if (st) break;
    bool there = e / L == SGI_EXTRACT_ATTENTION ? sgi_attention_of(m, e) != NULL : sgi_feedforward_of(m, e - L) != NULL;
    out->rank[e] = there ? rank_of(room + D, V, p->answer) : -1;
    if (out->other) out->other[e] = other < 0 || !there ? -1 : rank_of(room + D, V, other);
    if (out->scores) memcpy(out->scores + e * V, room + D, V * sizeof *room);
  }
  for (size_t i = 1; i < x->n && !st; i++) {
    st = sgi_trials_lens(m, r->raw, w->changed + i * D, room, room + D, err);
    if (!st) *x->entry[i] = rank_of(room + D, V, p->answer);
  }
  sgi_free(room);
  return st;
}

sg_status sgi_extract_prompt(sgi_trials *t, const sg_model *m, const sgi_subject *p, const sgi_extract_request *r,
                             int32_t other, sgi_extracted *out, sg_error *err) {
  size_t L = m->config.num_layers, D = m->config.hidden_size, T = p->count;
  watching w = {.D = D, .L = L, .T = T, .last = T - 1};
  plan x = {0};
  w.out = sgi_alloc((SGI_EXTRACT_KINDS * L + L * T) * D * sizeof *w.out);
  sg_status st = w.out ? SG_OK : sgi_fail_memory(err, L * T * D * sizeof *w.out, "streams");
  if (!st) {
    w.streams = w.out + SGI_EXTRACT_KINDS * L * D;
    st = make_plan(&x, m, p, out, w.streams, err);
  }
  if (!st && !(w.changed = sgi_alloc(x.n * D * sizeof *w.changed))) st = sgi_fail_memory(err, x.n * D * 4, "outputs");
  w.layer = x.layer;
  /* The clean run first: the others read its streams. */
  for (size_t n = 1; w.first < x.n && !st; w.first += n, n = SGI_TRIALS_MOST) {
    if (n > x.n - w.first) n = x.n - w.first;
    st = sgi_trials_run(t, p->tokens, T, x.trials + w.first, n, see, &w, err);
  }
  if (!st) st = judge(m, p, r, other, &w, &x, out, err);
  sgi_free(w.out);
  sgi_free(w.changed);
  sgi_free(x.trials);
  sgi_free(x.layer);
  sgi_free(x.entry);
  sgi_free(x.at);
  return st;
}

/* ---- all prompts ----------------------------------------------------------------------------- */

typedef struct sums {
  sgi_extracted one;
  size_t *blocked, *patched; /* prompts that have the set */
  size_t controls, found, attention_first;
} sums;

/* A truth of another subject of the same type that is none of this one's; -1: none. */
static int32_t another(const sgi_subjects *s, size_t i, uint64_t seed) {
  int32_t found = -1;
  size_t n = 0;
  const sgi_subject *p = &s->at[i];
  sgi_rng rng = sgi_rng_make(seed, SGI_STREAM_SAMPLE, 4000 + i);
  for (size_t k = 0; k < s->n; k++) {
    bool own = s->at[k].type != p->type || s->at[k].who == p->who;
    for (size_t a = 0; a < p->n_truths && !own; a++) own = s->at[k].truths[0] == p->truths[a];
    if (!own && !sgi_rng_below(&rng, ++n)) found = s->at[k].truths[0];
  }
  return found;
}

static void add_ranks(sgi_extract *x, sums *k, int32_t other) {
  size_t L = x->L, first[SGI_EXTRACT_KINDS] = {SIZE_MAX, SIZE_MAX};
  x->prompts++;
  k->controls += other >= 0;
  for (size_t kind = 0; kind < SGI_EXTRACT_KINDS; kind++) {
    for (size_t l = 0; l < L; l++) {
      size_t e = kind * L + l;
      bool has = k->one.rank[e] == 0, there = k->one.rank[e] >= 0;
      x->rate[e] += there ? has : NAN;
      x->rank[e] += there ? log1p(k->one.rank[e]) : NAN;
      x->control[e] += there ? other >= 0 && k->one.other[e] == 0 : NAN;
      x->layers[kind] += has;
      if (has && first[kind] == SIZE_MAX) first[kind] = l;
    }
    x->any[kind] += first[kind] != SIZE_MAX;
  }
  if (first[0] == SIZE_MAX && first[1] == SIZE_MAX) return;
  k->found++;
  k->attention_first += first[0] <= first[1]; /* attention stands in front of the feedforward of its layer */
}

static void add_changed(const int32_t *rank, size_t n, double *rate, size_t *count) {
  for (size_t e = 0; e < n; e++) {
    if (rank[e] < 0) continue;
    rate[e] += rank[e] == 0;
    count[e]++;
  }
}

static void finish(sgi_extract *x, const sums *k) {
  size_t L = x->L;
  double n = (double)x->prompts;
  for (size_t e = 0; e < SGI_EXTRACT_KINDS * L; e++) {
    x->rate[e] *= 100 / n;
    x->rank[e] = exp(x->rank[e] / n) - 1;
    x->control[e] *= 100 / (double)k->controls;
  }
  for (size_t kind = 0; kind < SGI_EXTRACT_KINDS; kind++) {
    x->any[kind] *= 100 / n;
    x->layers[kind] /= n;
  }
  x->attention_first = 100 * (double)k->attention_first / (double)k->found;
  for (size_t e = 0; e < SGI_EXTRACT_SETS * L; e++) x->blocked[e] *= 100 / (double)k->blocked[e];
  for (size_t e = 0; e < SGI_EXTRACT_PATCHED * L * L; e++) x->patched[e] *= 100 / (double)k->patched[e];
}

static sg_status run(const sg_model *m, const sgi_subjects *s, const sgi_extract_request *r, sgi_extract *x, sums *k,
                     sg_error *err) {
  size_t L = x->L, done = 0;
  sgi_trials *t = NULL;
  sg_status st = sgi_trials_create(m, s->longest, &t, err);
  for (size_t i = 0; i < s->n && !st; i++) {
    if (!s->at[i].known) continue;
    int32_t other = another(s, i, r->seed);
    st = sgi_extract_prompt(t, m, &s->at[i], r, other, &k->one, err);
    if (st) break;
    add_ranks(x, k, other);
    add_changed(k->one.blocked, SGI_EXTRACT_SETS * L, x->blocked, k->blocked);
    add_changed(k->one.patched, SGI_EXTRACT_PATCHED * L * L, x->patched, k->patched);
    if (r->progress && !r->progress(r->user, ++done, s->n_known)) st = sgi_fail(err, SG_ERR_CANCELLED, "stopped");
  }
  sgi_trials_free(t);
  if (!st) finish(x, k);
  return st;
}

sg_status sgi_extract_run(const sg_model *m, const sgi_subjects *s, const sgi_extract_request *r, sgi_extract **out,
                          sg_error *err) {
  *out = NULL;
  size_t L = m->config.num_layers, ranks = SGI_EXTRACT_KINDS * L, blocked = SGI_EXTRACT_SETS * L,
         patched = SGI_EXTRACT_PATCHED * L * L;
  sums k = {0};
  sgi_extract *x = sgi_alloc(sizeof *x);
  int32_t *own = sgi_alloc((2 * ranks + blocked + patched) * sizeof *own);
  k.blocked = sgi_alloc((blocked + patched) * sizeof *k.blocked);
  if (x) *x = (sgi_extract){.L = L, .rate = sgi_alloc((3 * ranks + blocked + patched) * sizeof *x->rate)};
  sg_status st = x && x->rate && own && k.blocked ? SG_OK : sgi_fail_memory(err, patched * 8, "rates of extraction");
  if (!st) {
    k.one = (sgi_extracted){own, own + 2 * ranks, own + 2 * ranks + blocked, own + ranks, NULL};
    k.patched = k.blocked + blocked;
    x->rank = x->rate + ranks;
    x->control = x->rank + ranks;
    x->blocked = x->control + ranks;
    x->patched = x->blocked + blocked;
    st = run(m, s, r, x, &k, err);
  }
  sgi_free(own);
  sgi_free(k.blocked);
  if (st)
    sgi_extract_free(x);
  else
    *out = x;
  return st;
}

void sgi_extract_free(sgi_extract *x) {
  if (!x) return;
  sgi_free(x->rate);
  sgi_free(x);
}
