#include "compare/prune_score.h"

#include <math.h>
#include <string.h>

sg_status sgi_prune_work_init(sgi_prune_work *w, const sg_model *dense, sg_model *standing, const sgi_prune_request *r,
                              sg_error *err) {
  const sg_config *c = sg_model_config(dense);
  *w = (sgi_prune_work){.r = r, .standing = standing, .S = sgi_cut_sublayers(dense), .D = c->hidden_size};
  w->T = r->calibration.T > r->validation.T ? r->calibration.T : r->validation.T;
  size_t streams = r->target == SGI_TARGET_DENSE ? 1 : 2;
  w->off = sgi_alloc(2 * w->S);
  w->stream = sgi_alloc(3 * w->S * sizeof *w->stream);
  w->seen_at = sgi_alloc((1 + streams * w->S) * w->T * w->D * sizeof *w->seen_at);
  w->z = sgi_alloc(w->T * c->num_heads * c->head_dim * sizeof *w->z);
  if (!w->off || !w->stream || !w->seen_at || !w->z)
    return sgi_fail_memory(err, (1 + streams * w->S) * w->T * w->D * sizeof *w->seen_at, "streams of a row");
  w->without = w->off + w->S;
  w->aim = w->stream + w->S;
  w->seen = w->aim + w->S;
  for (size_t s = 0; s < w->S; s++) {
    w->stream[s] = w->seen_at + (1 + s) * w->T * w->D;
    w->aim[s] = streams > 1 ? w->stream[s] + w->S * w->T * w->D : w->stream[s];
  }
  for (size_t s = 0; s < w->S; s++) {
    w->off[s] = !sgi_cut_there(dense, s);
    if (!w->off[s]) w->last = s;
  }
  sg_status st = sgi_cut_create(dense, w->T, &w->dense, err);
  return st ? st : sgi_cut_create(standing, w->T, &w->now, err);
}

void sgi_prune_work_deinit(sgi_prune_work *w) {
  sgi_cut_free(w->dense);
  sgi_cut_free(w->now);
  sgi_free(w->off);
  sgi_free(w->stream);
  sgi_free(w->seen_at);
  sgi_free(w->z);
}

size_t sgi_prune_tuner(const sgi_prune_work *w, size_t s) {
  for (size_t t = s + 1; t < w->S; t++)
    if (!w->off[t] && (w->r->tune_any || t % 2 == 1)) return t;
  return w->S;
}

/* ---- distances ------------------------------------------------------------------------------- */

typedef struct distance {
  double above, below, cross, one, other; /* sums of a sequence or a position */
  double sum;
  size_t n;
} distance;

static void add_position(distance *x, sgi_prune_distance kind, const float *y, const double *o, size_t D) {
  for (size_t d = 0; d < D; d++) {
    double a = (double)y[d], b = o[d];
    if (kind == SGI_DISTANCE_L1) {
      x->above += fabs(a - b);
      x->below += fabs(a);
    } else {
      x->above += (a - b) * (a - b);
      x->below += a * a;
      x->cross += a * b;
      x->other += b * b;
    }
  }
}

static void close_sum(distance *x, sgi_prune_distance kind) {
  double v = 0;
  if (kind == SGI_DISTANCE_L1)
    v = x->above / x->below;
  else if (kind == SGI_DISTANCE_L2)
    v = sqrt(x->above) / sqrt(x->below);
  else
    v = 1 - x->cross / sqrt(x->below * x->other);
  x->sum += v;
  x->n++;
  x->above = x->below = x->cross = x->other = 0;
}

/* ---- one sublayer over the calibration rows -------------------------------------------------- */

typedef struct scored {
  size_t s, tuner, look; /* look: the stream that is compared, behind the tuner or the last */
  sgi_features features;
  sgi_tune *tune;
  const double *change; /* of the map; NULL: as it is */
  distance sum;
  uint32_t *index;
  float *value;
  double *out;    /* (D) */
  float *missing; /* (D) */
} scored;

/* Where the stream should lie, into w->aim or already in w->stream. */
static sg_status run_aim(sgi_prune_work *w, const scored *x, size_t row, float ***aim, sg_error *err) {
  *aim = w->stream;
  if (w->r->target == SGI_TARGET_DENSE) return SG_OK;
  memcpy(w->without, w->off, w->S);
  w->without[x->s] = false;
  for (size_t s = x->s; s <= x->look && w->r->target == SGI_TARGET_RESTORED; s++) w->without[s] = false;
  *aim = w->aim;
  sgi_cut_wish wish = {.off = w->without, .stream = w->aim, .heads = -1};
  return sgi_cut_run(w->now, &w->r->calibration, row, &wish, err);
}

/* Positions of a row after a run without x->s: adds to the tuning, or to the distance. */
static sg_status read_row(sgi_prune_work *w, scored *x, size_t row, float **aim, bool fit, sg_error *err) {
  size_t D = w->D, T = w->r->calibration.T, counted = 0;
  int32_t pad = sg_model_config(w->standing)->pad_id;
  const int32_t *targets = w->r->calibration.targets + row * T;
  sgi_held held = {0};
  bool features = (fit || x->change) && x->tuner < w->S;
  bool holds = features && x->tuner % 2 == 1;
  sg_status st = holds ? sgi_pass_hold(sgi_cut_pass(w->now), x->features.step, &held, err) : SG_OK;
  for (size_t t = 0; t < T && !st; t++) {
    if (targets[t] == pad) continue;
    counted++;
    const float *y = aim[x->look] + t * D, *o = w->seen_at + t * D;
    size_t count = features ? sgi_features_at(&x->features, holds ? &held : NULL, w->z, t, x->index, x->value) : 0;
    if (fit) {
      for (size_t d = 0; d < D; d++) x->missing[d] = y[d] - o[d];
      st = sgi_tune_add(x->tune, x->index, x->value, count, x->missing, err);
      continue;
    }
    for (size_t d = 0; d < D; d++) x->out[d] = (double)o[d];
    for (size_t k = 0; k < count; k++)
      for (size_t d = 0; d < D; d++) x->out[d] += (double)x->value[k] * x->change[x->index[k] * D + d];
    add_position(&x->sum, w->r->distance, y, x->out, D);
    if (w->r->per_token) close_sum(&x->sum, w->r->distance);
  }
  if (!fit && counted && !w->r->per_token) close_sum(&x->sum, w->r->distance);
  if (holds) sgi_held_deinit(&held);
  return st;
}

/* One sweep over the rows: the dense run once, then each of the list. */
static sg_status sweep(sgi_prune_work *w, scored *list, size_t n, bool fit, sg_error *err) {
  sg_status st = SG_OK;
  for (size_t row = 0; row < w->r->calibration.n && !st; row++) {
    sgi_cut_wish all = {.stream = w->stream, .heads = -1};
    if (w->r->target == SGI_TARGET_DENSE) st = sgi_cut_run(w->dense, &w->r->calibration, row, &all, err);
    for (size_t i = 0; i < n && !st; i++) {
      scored *x = &list[i];
      float **aim;
      if (fit && !x->tune) { /* nothing makes up for it: its distance is taken as it is */
        w->done++;
        continue;
      }
      st = run_aim(w, x, row, &aim, err);
      memcpy(w->without, w->off, w->S);
      w->without[x->s] = true;
      memset(w->seen, 0, w->S * sizeof *w->seen);
      w->seen[x->look] = w->seen_at;
      bool heads = x->tuner < w->S && x->tuner % 2 == 0;
      sgi_cut_wish wish = {.off = w->without, .stream = w->seen, .heads = heads ? (ptrdiff_t)x->tuner : -1, .z = w->z};
      if (!st) st = sgi_cut_run(w->now, &w->r->calibration, row, &wish, err);
      if (!st) st = read_row(w, x, row, aim, fit, err);
      if (!st && w->r->watch && !w->r->watch(w->r->user, ++w->done, w->wanted))
        st = sgi_fail(err, SG_ERR_CANCELLED, "stopped");
    }
  }
  return st;
}

static sg_status begin(sgi_prune_work *w, scored *x, size_t s, bool fit, sg_error *err) {
  *x = (scored){.s = s, .tuner = sgi_prune_tuner(w, s)};
  x->look = x->tuner < w->S ? x->tuner : w->last;
  x->out = sgi_alloc(w->D * sizeof *x->out);
  x->missing = sgi_alloc(w->D * sizeof *x->missing);
  if (!x->out || !x->missing) return sgi_fail_memory(err, w->D * sizeof *x->out, "a position of a stream");
  if (!fit || x->tuner == w->S) return SG_OK;
  sg_status st = sgi_features_of(w->standing, x->tuner, &x->features, err);
  if (st) return st;
  x->index = sgi_alloc(x->features.most * sizeof *x->index);
  x->value = sgi_alloc(x->features.most * sizeof *x->value);
  if (!x->index || !x->value)
    return sgi_fail_memory(err, x->features.most * sizeof *x->index, "features of a position");
  return sgi_tune_create(x->features.n, w->D, &x->tune, err);
}

static void end(scored *x) {
  sgi_tune_free(x->tune);
  sgi_free(x->index);
  sgi_free(x->value);
  sgi_free(x->out);
  sgi_free(x->missing);
}

sg_status sgi_prune_score(sgi_prune_work *w, const size_t *list, size_t n, double *score, double **changes,
                          sg_error *err) {
  scored *x = sgi_alloc(n * sizeof *x);
  if (!x) return sgi_fail_memory(err, n * sizeof *x, "sublayers to score");
  sg_status st = SG_OK;
  w->done = 0;
  w->wanted = n * w->r->calibration.n * (changes ? 2 : 1);
  for (size_t i = 0; i < n && !st; i++) {
    if (changes) changes[i] = NULL;
    st = begin(w, &x[i], list[i], changes != NULL, err);
  }
  if (!st && changes) st = sweep(w, x, n, true, err);
  for (size_t i = 0; i < n && !st && changes; i++) {
    if (!x[i].tune) continue;
    size_t count = x[i].features.n * w->D;
    changes[i] = sgi_alloc(count * sizeof **changes);
    st = changes[i] ? sgi_tune_solve(x[i].tune, w->r->damping, changes[i], err)
                    : sgi_fail_memory(err, count * sizeof **changes, "a tuned output map");
    x[i].change = changes[i];
  }
  if (!st) st = sweep(w, x, n, false, err);
  for (size_t i = 0; i < n; i++) {
    if (!st) score[list[i]] = x[i].sum.n ? x[i].sum.sum / (double)x[i].sum.n : 0;
    end(&x[i]);
  }
  sgi_free(x);
  return st;
}

sg_status sgi_prune_keep(sgi_prune_work *w, size_t s, const double *change, sg_error *err) {
  sgi_features f;
  sg_status st = sgi_features_of(w->standing, sgi_prune_tuner(w, s), &f, err);
  for (size_t i = 0; i < f.n && !st; i++)
    for (size_t d = 0; d < f.D; d++) {
      float *at = sgi_features_element(&f, i, d);
      *at = (float)((double)*at + change[i * f.D + d]);
    }
  return st;
}
