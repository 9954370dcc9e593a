#include "compare/knockout.h"

#include <math.h>
#include <string.h>

#include "core/arena.h"
#include "core/rng.h"

const char *const sgi_knock_names[SGI_KNOCK_SETS] = {"subject", "relation", "non_subject", "last", "bos", "random"};

size_t sgi_knock_window(size_t layers) {
  size_t k = (size_t)lround(9.0 * (double)layers / 48);
  return k ? k : 1;
}

size_t sgi_knock_positions(const sgi_subject *p, sgi_knock_set set, bool *at) {
  size_t N = p->count - 1, n = 0;
  for (size_t t = 0; t <= N; t++) {
    bool subject = t >= p->first && t < p->end;
    switch (set) {
      case SGI_KNOCK_SUBJECT: at[t] = subject; break;
      case SGI_KNOCK_RELATION: at[t] = p->relation[t]; break;
      case SGI_KNOCK_LAST: at[t] = t == N; break;
      case SGI_KNOCK_BOS: at[t] = t == 0; break;
      default: at[t] = t && t != N && !subject;
    }
    n += at[t];
  }
  return n;
}

/* Some of the other positions, as many as the subject has. */
static size_t draw(const sgi_subject *p, const sgi_knock_request *r, uint64_t sub, size_t number, bool *at) {
  size_t n = sgi_knock_positions(p, SGI_KNOCK_NON_SUBJECT, at), wanted = p->end - p->first, seen = 0, left = 0;
  for (size_t t = 0; t < p->count; t++) {
    if (!at[t]) continue;
    at[t] = sgi_rng_permute(r->seed, SGI_STREAM_SAMPLE, 1000 * sub + number, n, seen++) < wanted;
    left += at[t];
  }
  return left;
}

/* All trials of a prompt, and which entry of the answer each is a part of. */
typedef struct plan {
  sgi_trial *trials;
  size_t *entry; /* set * L + layer */
  bool *at;      /* sets of positions */
  size_t n;
} plan;

static void add_set(plan *x, size_t set, const bool *at, size_t L, size_t k) {
  for (size_t l = 0; l < L; l++) {
    size_t from = l > k / 2 ? l - k / 2 : 0, to = l + (k + 1) / 2 < L ? l + (k + 1) / 2 : L;
    x->trials[x->n] = (sgi_trial){.blocked = {from, to, at}};
    x->entry[x->n++] = set * L + l;
  }
}

static sg_status make_plan(plan *x, const sgi_subject *p, const sgi_knock_request *r, uint64_t sub, size_t L,
                           double *probability, sg_error *err) {
  size_t sets = SGI_KNOCK_RANDOM + r->draws, T = p->count, k = r->window ? r->window : sgi_knock_window(L);
  *x = (plan){sgi_alloc(sets * L * sizeof *x->trials), sgi_alloc(sets * L * sizeof *x->entry), sgi_alloc(sets * T), 0};
  if (!x->trials || !x->entry || !x->at) return sgi_fail_memory(err, sets * L * sizeof *x->trials, "trials");
  for (size_t i = 0; i < sets; i++) {
    size_t set = i < SGI_KNOCK_RANDOM ? i : SGI_KNOCK_RANDOM;
    bool *at = x->at + i * T;
    size_t n =
        i < SGI_KNOCK_RANDOM ? sgi_knock_positions(p, (sgi_knock_set)i, at) : draw(p, r, sub, i - SGI_KNOCK_RANDOM, at);
    for (size_t l = 0; l < L; l++) probability[set * L + l] = n ? 0 : NAN;
    if (n) add_set(x, set, at, L, k);
  }
  for (size_t l = 0; l < L && !r->draws; l++) probability[SGI_KNOCK_RANDOM * L + l] = NAN;
  return SG_OK;
}

static double probability_of(const float *logits, size_t V, int32_t token) {
  double most = (double)logits[0], sum = 0;
  for (size_t v = 1; v < V; v++) most = fmax(most, (double)logits[v]);
  for (size_t v = 0; v < V; v++) sum += exp((double)logits[v] - most);
  return exp((double)logits[token] - most) / sum;
}

sg_status sgi_knock_prompt(sgi_trials *t, const sg_model *m, const sgi_subject *p, const sgi_knock_request *r,
                           uint64_t sub, double *probability, float *logits, sg_error *err) {
  size_t L = m->config.num_layers, V = m->config.vocab_size;
  plan x;
  sg_status st = make_plan(&x, p, r, sub, L, probability, err);
  float *room = st ? NULL : sgi_alloc(SGI_TRIALS_MOST * V * sizeof *room);
  if (!st && !room) st = sgi_fail_memory(err, SGI_TRIALS_MOST * V * sizeof *room, "logits");
  for (size_t i = 0; i < x.n && !st; i += SGI_TRIALS_MOST) {
    size_t n = x.n - i < SGI_TRIALS_MOST ? x.n - i : SGI_TRIALS_MOST;
    st = sgi_trials_run(t, p->tokens, p->count, x.trials + i, n, NULL, NULL, err);
    if (!st) st = sgi_trials_logits(t, room, err);
    for (size_t k = 0; k < n && !st; k++) {
      size_t entry = x.entry[i + k];
      bool random = entry / L == SGI_KNOCK_RANDOM;
      probability[entry] += probability_of(room + k * V, V, p->answer) / (random ? (double)r->draws : 1);
      if (logits && !random) memcpy(logits + entry * V, room + k * V, V * sizeof *room);
    }
  }
  sgi_free(room);
  sgi_free(x.trials);
  sgi_free(x.entry);
  sgi_free(x.at);
  return st;
}

/* ---- all prompts ----------------------------------------------------------------------------- */

static void add_prompt(sgi_knockout *k, const sgi_subject *p, const double *probability) {
  size_t L = k->L;
  k->prompts++;
  k->clean += p->probability;
  for (size_t set = 0; set < SGI_KNOCK_SETS; set++) {
    if (isnan(probability[set * L])) continue;
    k->count[set]++;
    for (size_t l = 0; l < L; l++) {
      size_t e = set * L + l;
      double change = 100 * (probability[e] - p->probability) / p->probability;
      k->change[e] += change;
      k->error[e] += change * change;
      k->probability[e] += probability[e];
    }
  }
}

static void finish(sgi_knockout *k) {
  k->clean /= (double)k->prompts;
  for (size_t e = 0; e < SGI_KNOCK_SETS * k->L; e++) {
    double n = (double)k->count[e / k->L], mean = k->change[e] / n, var = k->error[e] / n - mean * mean;
    k->change[e] = mean;
    k->error[e] = n > 1 && var > 0 ? sqrt(var / (n - 1)) : 0;
    k->probability[e] /= n;
  }
}

sg_status sgi_knockout_run(const sg_model *m, const sgi_subjects *s, const sgi_knock_request *r, sgi_knockout **out,
                           sg_error *err) {
  *out = NULL;
  size_t L = m->config.num_layers, cells = SGI_KNOCK_SETS * L, done = 0;
  if (r->window > L)
    return sgi_fail(err, SG_ERR_ARG, "a window of %zu layers is wider than the model, which has %zu", r->window, L);
  sgi_trials *t = NULL;
  sgi_knockout *k = sgi_alloc(sizeof *k);
  double *probability = sgi_alloc(cells * sizeof *probability);
  if (k) {
    *k = (sgi_knockout){.L = L, .window = r->window ? r->window : sgi_knock_window(L)};
    k->change = sgi_alloc(3 * cells * sizeof *k->change);
  }
  sg_status st = k && k->change && probability ? SG_OK : sgi_fail_memory(err, 4 * cells * 8, "curves");
  if (!st) {
    k->error = k->change + cells;
    k->probability = k->error + cells;
    st = sgi_trials_create(m, s->longest, &t, err);
  }
  for (size_t i = 0; i < s->n && !st; i++) {
    if (!s->at[i].known) continue;
    st = sgi_knock_prompt(t, m, &s->at[i], r, i, probability, NULL, err);
    if (!st) add_prompt(k, &s->at[i], probability);
    if (!st && r->progress && !r->progress(r->user, ++done, s->n_known))
      st = sgi_fail(err, SG_ERR_CANCELLED, "stopped");
  }
  if (!st) finish(k);
  sgi_free(probability);
  sgi_trials_free(t);
  if (st)
    sgi_knockout_free(k);
  else
    *out = k;
  return st;
}

void sgi_knockout_free(sgi_knockout *k) {
  if (!k) return;
  sgi_free(k->change);
  sgi_free(k);
}
