#include "compare/prune.h"

#include <math.h>
#include <string.h>

#include "compare/prune_score.h"
#include "core/rng.h"

double sgi_prune_speedup(const sgi_prune_request *r, const bool *off, size_t sublayers) {
  double all = r->other, rest = r->other;
  for (size_t s = 0; s < sublayers; s++) {
    all += r->latency[s];
    rest += off[s] ? 0 : r->latency[s];
  }
  return all / rest;
}

static double importance(const sgi_prune_work *w, const double *score, size_t s) {
  return w->r->no_latency ? score[s] : score[s] / w->r->latency[s];
}

/* Sublayers that may go: uncut, not bound to stay, and with one behind them that can make up for
 * them, unless the last may go, too. Naive ways ask for no tuner. */
static size_t open_ones(const sgi_prune_work *w, bool naive, size_t *list) {
  size_t n = 0;
  for (size_t s = 0; s < w->S; s++)
    if (!w->off[s] && w->r->latency[s] > 0 && (naive || w->r->last || sgi_prune_tuner(w, s) < w->S)) list[n++] = s;
  return n;
}

/* The least first; ties keep their order. */
static void order(const sgi_prune_work *w, const double *score, size_t *list, size_t n) {
  for (size_t i = 1; i < n; i++)
    for (size_t k = i; k > 0 && importance(w, score, list[k]) < importance(w, score, list[k - 1]); k--) {
      size_t x = list[k];
      list[k] = list[k - 1];
      list[k - 1] = x;
    }
}

static bool finished(const sgi_prune_work *w, const sgi_prune *p) {
  const sgi_prune_request *r = w->r;
  if (r->remove && p->n_rounds >= r->remove) return true;
  return r->speedup > 0 && sgi_prune_speedup(r, w->off, w->S) >= r->speedup;
}

/* Room for the next round, its numbers infinite. */
static sg_status begin_round(sgi_prune_work *w, sgi_prune *p, sgi_prune_round **out, sg_error *err) {
  sgi_prune_round *x = &p->rounds[p->n_rounds];
  *x = (sgi_prune_round){.tuned = -1};
  x->candidates = sgi_alloc(w->S * sizeof *x->candidates);
  x->untuned = sgi_alloc(2 * w->S * sizeof *x->untuned);
  if (!x->candidates || !x->untuned) {
    sgi_free(x->candidates);
    sgi_free(x->untuned);
    return sgi_fail_memory(err, 2 * w->S * sizeof *x->untuned, "a round of pruning");
  }
  x->scores = x->untuned + w->S;
  for (size_t s = 0; s < 2 * w->S; s++) x->untuned[s] = INFINITY;
  p->n_rounds++;
  *out = x;
  return SG_OK;
}

static sg_status losses(sgi_prune_work *w, const bool *off, double *calibration, double *validation, sg_error *err) {
  sg_status st = sgi_cut_loss(w->now, &w->r->calibration, off, calibration, err);
  *validation = NAN;
  if (!st && w->r->validation.n) st = sgi_cut_loss(w->now, &w->r->validation, off, validation, err);
  return st;
}

/* The round's sublayer is cut; its figures, and whoever watches. */
static sg_status end_round(sgi_prune_work *w, sgi_prune *p, sgi_prune_round *x, sg_error *err) {
  memcpy(p->off, w->off, w->S);
  x->speedup = sgi_prune_speedup(w->r, w->off, w->S);
  sg_status st = losses(w, w->off, &x->calibration_loss, &x->validation_loss, err);
  if (!st && w->r->progress && !w->r->progress(w->r->user, x)) st = sgi_fail(err, SG_ERR_CANCELLED, "stopped");
  return st;
}

static void free_changes(double **changes, size_t n) {
  for (size_t i = 0; i < n; i++) sgi_free(changes[i]);
}

/* Scores the first of the list tuned, each on its own; the least of them goes and keeps its
 * tuning. */
static sg_status tuned_round(sgi_prune_work *w, sgi_prune *p, size_t *list, size_t n, sg_error *err) {
  sgi_prune_round *x;
  sg_status st = begin_round(w, p, &x, err);
  double **changes = sgi_alloc(w->S * sizeof *changes);
  if (!st && !changes) st = sgi_fail_memory(err, w->S * sizeof *changes, "tunings");
  if (!st) st = sgi_prune_score(w, list, n, x->untuned, NULL, err);
  if (!st) {
    order(w, x->untuned, list, n);
    x->n_candidates = n < w->r->candidates ? n : w->r->candidates;
    memcpy(x->candidates, list, x->n_candidates * sizeof *list);
    st = sgi_prune_score(w, list, x->n_candidates, x->scores, changes, err);
  }
  if (!st) {
    size_t best = 0;
    for (size_t i = 1; i < x->n_candidates; i++) {
      double a = importance(w, x->scores, list[i]), b = importance(w, x->scores, list[best]);
      if (a < b || (a == b && list[i] < list[best])) best = i;
    }
    x->sublayer = list[best];
    size_t tuner = sgi_prune_tuner(w, x->sublayer);
    if (changes[best]) {
      x->tuned = (ptrdiff_t)tuner;
      st = sgi_prune_keep(w, x->sublayer, changes[best], err);
    }
    w->off[x->sublayer] = true;
  }
  if (changes) free_changes(changes, x ? x->n_candidates : 0);
  sgi_free(changes);
  return st ? st : end_round(w, p, x, err);
}

static sg_status untuned_round(sgi_prune_work *w, sgi_prune *p, size_t *list, size_t n, sg_error *err) {
  sgi_prune_round *x;
  sg_status st = begin_round(w, p, &x, err);
  if (!st) st = sgi_prune_score(w, list, n, x->untuned, NULL, err);
  if (st) return st;
  order(w, x->untuned, list, n);
  x->sublayer = list[0];
  w->off[list[0]] = true;
  return end_round(w, p, x, err);
}

/* Calibration loss without each of the list, beside what is cut. */
static sg_status loss_without(sgi_prune_work *w, const size_t *list, size_t n, double *score, sg_error *err) {
  sg_status st = SG_OK;
  for (size_t i = 0; i < n && !st; i++) {
    memcpy(w->without, w->off, w->S);
    w->without[list[i]] = true;
    st = sgi_cut_loss(w->now, &w->r->calibration, w->without, &score[list[i]], err);
    if (!st && w->r->watch && !w->r->watch(w->r->user, i + 1, n)) st = sgi_fail(err, SG_ERR_CANCELLED, "stopped");
  }
  return st;
}

static sg_status loss_round(sgi_prune_work *w, sgi_prune *p, size_t *list, size_t n, sg_error *err) {
  sgi_prune_round *x;
  sg_status st = begin_round(w, p, &x, err);
  if (!st) st = loss_without(w, list, n, x->untuned, err);
  if (st) return st;
  x->sublayer = list[0];
  for (size_t i = 1; i < n; i++)
    if (x->untuned[list[i]] < x->untuned[x->sublayer]) x->sublayer = list[i];
  w->off[x->sublayer] = true;
  return end_round(w, p, x, err);
}

/* ---- orders that are made once --------------------------------------------------------------- */

/* Every sublayer that may go, in the order of going. */
static sg_status one_order(sgi_prune_work *w, size_t *list, size_t n, double *score, sg_error *err) {
  sg_status st = SG_OK;
  if (w->r->method == SGI_PRUNE_LOSS_ONCE) {
    st = loss_without(w, list, n, score, err);
    for (size_t i = 1; i < n && !st; i++)
      for (size_t k = i; k > 0 && score[list[k]] < score[list[k - 1]]; k--) {
        size_t x = list[k];
        list[k] = list[k - 1];
        list[k - 1] = x;
      }
  } else if (w->r->method == SGI_PRUNE_ONE_SHOT) {
    double **changes = sgi_alloc(n * sizeof *changes);
    st = changes ? sgi_prune_score(w, list, n, score, changes, err)
                 : sgi_fail_memory(err, n * sizeof *changes, "tunings");
    if (changes) free_changes(changes, n);
    sgi_free(changes);
    if (!st) order(w, score, list, n);
  } else if (w->r->method == SGI_PRUNE_DEPTH) {
    for (size_t i = 0; i < n / 2; i++) {
      size_t x = list[i];
      list[i] = list[n - 1 - i];
      list[n - 1 - i] = x;
    }
  } else {
    sgi_rng rng = sgi_rng_make(w->r->seed, SGI_STREAM_PRUNE, 0);
    for (size_t i = n; i > 1; i--) {
      size_t k = (size_t)sgi_rng_below(&rng, i), x = list[k];
      list[k] = list[i - 1];
      list[i - 1] = x;
    }
  }
  return st;
}

/* Every tuner once from below, for its lowest cut sublayer. */
static sg_status tune_all(sgi_prune_work *w, sgi_prune_round *x, sg_error *err) {
  sg_status st = SG_OK;
  size_t done = w->S;
  for (size_t s = 0; s < w->S && !st; s++) {
    size_t tuner = sgi_prune_tuner(w, s);
    if (!w->off[s] || tuner == w->S || tuner == done) continue;
    double *change = NULL;
    st = sgi_prune_score(w, &s, 1, x->scores, &change, err);
    if (!st && change) st = sgi_prune_keep(w, s, change, err);
    sgi_free(change);
    x->tuned = (ptrdiff_t)tuner;
    done = tuner;
  }
  return st;
}

static sg_status at_once(sgi_prune_work *w, sgi_prune *p, size_t *list, size_t n, sg_error *err) {
  double *score = sgi_alloc(w->S * sizeof *score);
  if (!score) return sgi_fail_memory(err, w->S * sizeof *score, "sensitivities");
  sg_status st = one_order(w, list, n, score, err);
  for (size_t i = 0; i < n && !st && !finished(w, p); i++) {
    sgi_prune_round *x;
    st = begin_round(w, p, &x, err);
    if (st) break;
    memcpy(x->untuned, score, w->S * sizeof *score);
    x->sublayer = list[i];
    w->off[list[i]] = true;
    if (w->r->method == SGI_PRUNE_ONE_SHOT && (finished(w, p) || i + 1 == n)) st = tune_all(w, x, err);
    if (!st) st = end_round(w, p, x, err);
  }
  sgi_free(score);
  return st;
}

static sg_status rounds(sgi_prune_work *w, sgi_prune *p, sg_error *err) {
  size_t *list = sgi_alloc(w->S * sizeof *list);
  if (!list) return sgi_fail_memory(err, w->S * sizeof *list, "sublayers");
  sgi_prune_method m = w->r->method;
  sg_status st = SG_OK;
  if (m == SGI_PRUNE_SPRINT || m == SGI_PRUNE_UNTUNED || m == SGI_PRUNE_LOSS) {
    while (!st && !finished(w, p)) {
      size_t n = open_ones(w, m == SGI_PRUNE_LOSS, list);
      if (n == 0) break;
      st = m == SGI_PRUNE_SPRINT    ? tuned_round(w, p, list, n, err)
           : m == SGI_PRUNE_UNTUNED ? untuned_round(w, p, list, n, err)
                                    : loss_round(w, p, list, n, err);
    }
  } else {
    size_t n = open_ones(w, m != SGI_PRUNE_ONE_SHOT, list);
    st = at_once(w, p, list, n, err);
  }
  sgi_free(list);
  return st;
}

static sg_status check(const sgi_prune_request *r, size_t S, size_t there, sg_error *err) {
  if (!r->calibration.n || r->calibration.T < 2)
    return sgi_fail(err, SG_ERR_ARG, "pruning needs calibration rows of at least 2 tokens");
  if (r->remove >= there)
    return sgi_fail(err, SG_ERR_ARG, "%zu sublayers can not go: the model has %zu, and one must stay", r->remove,
                    there);
  if (r->candidates == 0 || !(r->damping > 0))
    return sgi_fail(err, SG_ERR_ARG, "pruning needs at least one candidate a round and a damping above 0");
  for (size_t s = 0; s < S; s++)
    if (!(r->latency[s] >= 0) || !isfinite(r->latency[s]))
      return sgi_fail(err, SG_ERR_ARG, "the latency of sublayer %zu must be above 0 (or 0: it stays), not %g", s,
                      r->latency[s]);
  return SG_OK;
}

sg_status sgi_prune_run(const sg_model *dense, sg_model *standing, const sgi_prune_request *r, sgi_prune **out,
                        sg_error *err) {
  *out = NULL;
  size_t S = sgi_cut_sublayers(dense);
  sgi_prune_work w;
  sg_status st = check(r, S, sgi_cut_count(dense), err);
  if (st) return st;
  sgi_prune *p = sgi_alloc(sizeof *p);
  if (!p) return sgi_fail_memory(err, sizeof *p, "a pruning");
  p->sublayers = S;
  p->off = sgi_alloc(S);
  p->rounds = sgi_alloc(S * sizeof *p->rounds);
  st = p->off && p->rounds ? SG_OK : sgi_fail_memory(err, S * sizeof *p->rounds, "rounds of pruning");
  if (st) {
    sgi_prune_free(p);
    return st;
  }
  st = sgi_prune_work_init(&w, dense, standing, r, err);
  if (!st) st = losses(&w, w.off, &p->dense_calibration, &p->dense_validation, err);
  if (!st) st = rounds(&w, p, err);
  sgi_prune_work_deinit(&w);
  if (st)
    sgi_prune_free(p);
  else
    *out = p;
  return st;
}

sg_status sgi_prune_sensitivity(const sg_model *dense, sg_model *standing, const sgi_prune_request *r, double *out,
                                sg_error *err) {
  sgi_prune_work w;
  sg_status st = sgi_prune_work_init(&w, dense, standing, r, err);
  size_t *list = st ? NULL : sgi_alloc(w.S * sizeof *list);
  if (!st && !list) st = sgi_fail_memory(err, w.S * sizeof *list, "sublayers");
  if (!st) {
    for (size_t s = 0; s < w.S; s++) out[s] = INFINITY;
    st = sgi_prune_score(&w, list, open_ones(&w, false, list), out, NULL, err);
  }
  sgi_free(list);
  sgi_prune_work_deinit(&w);
  return st;
}

void sgi_prune_free(sgi_prune *p) {
  if (!p) return;
  for (size_t i = 0; i < p->n_rounds && p->rounds; i++) {
    sgi_free(p->rounds[i].candidates);
    sgi_free(p->rounds[i].untuned);
  }
  sgi_free(p->rounds);
  sgi_free(p->off);
  sgi_free(p);
}
