/* Gate margins: docs/method-reading.md, margins. Scores are linear in the normed stream x r g, so
 * the least change that makes unit b overtake unit a is their gap over the norm of the difference
 * of their rows times r g. Every pair of a chosen and a not chosen unit counts: the set changes
 * where the first of them meet. Few pairs need a look: |row_a - row_b| is at most the sum of their
 * parts' lengths, so a pair whose gap over that is larger than a distance already found can not be
 * the least. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "math/gemm.h"
#include "math/kernels.h"
#include "model/pass.h"
#include "read/run.h"

typedef struct margins {
  const sg_model *m;
  sgi_pass *pass;
  size_t C;          /* most channels of a layer */
  sgi_routes routes; /* of the layer at hand; F its units */
  size_t T, D, F;
  float *rows;    /* (parts*units,D) of one channel, gain applied; all arrays have room for the largest layer */
  float *gram;    /* (parts*units, parts*units) where there are parts: rows . rows */
  float *part;    /* (T, parts*units) scores of parts */
  float *score;   /* (F) */
  double *length; /* (F) at least |row of the unit|, as computed by apart */
  double longest;
  bool *chosen;                 /* (F) */
  int32_t local[SGI_MAX_TOP_K]; /* chosen units as numbers of their pool */
} margins;

/* |row_a - row_b|^2 of two units made of parts, from the Gram matrix. */
static double apart(const margins *x, size_t a, size_t b) {
  size_t S = x->routes.units, n = x->routes.parts * S;
  if (x->routes.parts == 1) {
    const float *u = x->rows + a * x->D, *v = x->rows + b * x->D;
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (size_t d = 0; d < x->D; d++) sum += ((double)u[d] - v[d]) * ((double)u[d] - v[d]);
    return sum;
  }
  size_t i[4] = {a / S, S + a % S, b / S, S + b % S};
  double sum = 0;
  for (int p = 0; p < 4; p++)
    for (int q = 0; q < 4; q++) {
      if ((i[0] == i[2] && (p % 2 == 0 || q % 2 == 0)) || (i[1] == i[3] && (p % 2 == 1 || q % 2 == 1))) continue;
      sum += ((p < 2) == (q < 2) ? 1 : -1) * (double)x->gram[i[p] * n + i[q]];
    }
  return sum > 0 ? sum : 0;
}

static void unit_scores(const margins *x, size_t t) {
  size_t S = x->routes.units;
  const float *part = x->part + t * x->routes.parts * S;
  if (x->routes.parts == 1) {
    memcpy(x->score, part, S * sizeof *part);
    return;
  }
  for (size_t i = 0; i < S; i++)
    for (size_t j = 0; j < S; j++) x->score[i * S + j] = part[i] + part[S + j];
}

/* Lengths of the units' rows from above: those of their parts added up, with room for the rounding
 * of float32 products of D terms in the Gram matrix. Then the root of any computed apart(a, b) is
 * at most length[a] + length[b]. */
static void unit_lengths(margins *x) {
  size_t S = x->routes.units;
  double room = 1 + 4 * (double)x->D * (double)FLT_EPSILON;
  x->longest = 0;
  for (size_t f = 0; f < x->F; f++) {
    double sum = 0;
    for (size_t p = 0, row = x->routes.parts == 1 ? f : f / S; p < x->routes.parts; p++, row = S + f % S)
      sum += sqrt(sgi_kernel_table()->sum_squares(x->rows + row * x->D, x->D));
    x->length[f] = sum * room;
    x->longest = fmax(x->longest, x->length[f]);
  }
}

/* Distance of a pair; NaN or infinite where no change makes b overtake a. */
static double distance(const margins *x, size_t a, size_t b, double r, double *gap) {
  double norm = sqrt(apart(x, a, b)) * r;
  *gap = (double)x->score[a] - x->score[b];
  if (*gap < 0) *gap = 0; /* equal but for rounding */
  return norm > 0 ? *gap / norm : INFINITY;
}

/* A distance that the least one does not exceed: of each chosen unit and the best of those not
 * chosen. */
static double reach(const margins *x, const int32_t *index, double r) {
  size_t best = x->F;
  double least = INFINITY, gap;
  for (size_t b = 0; b < x->F; b++)
    if (!x->chosen[b] && (best == x->F || x->score[b] > x->score[best])) best = b;
  for (size_t k = 0; k < x->routes.top_k && best < x->F; k++) {
    double d = distance(x, (size_t)index[k], best, r, &gap);
    if (d < least) least = d;
  }
  return least;
}

/* The first pair, in the order of chosen units and then of the others, that has the least distance
 * of all. */
static sg_margin smallest(const margins *x, const int32_t *index, double r) {
  sg_margin best = {.distance = INFINITY, .loses = -1, .wins = -1};
  memset(x->chosen, 0, x->F);
  for (size_t k = 0; k < x->routes.top_k; k++) x->chosen[index[k]] = true;
  double limit = reach(x, index, r);
  for (size_t k = 0; k < x->routes.top_k; k++) {
    size_t a = (size_t)index[k];
    /* Below this score the gap over the longest possible norm is more than the limit. */
    double far = (double)x->score[a] - limit * ((x->length[a] + x->longest) * r) * (1 + 1e-9);
    for (size_t b = 0; b < x->F; b++) {
      double gap;
      if ((double)x->score[b] < far || x->chosen[b]) continue;
      double d = distance(x, a, b, r, &gap);
      if (d >= best.distance || isnan(d)) continue;
      best = (sg_margin){.distance = d, .gap = gap, .loses = (int32_t)a, .wins = (int32_t)b};
    }
  }
  return best;
}

/* Several pools: of a row's choice in one channel, (k, K) units of k pools, where those of this one
 * begin; NULL where it was not chosen. */
static const int32_t *of_pool(const margins *x, const int32_t *index, size_t picks, size_t pool) {
  for (size_t q = 0; q < picks; q++)
    if ((size_t)index[q * x->routes.top_k] / x->F == pool) return index + q * x->routes.top_k;
  return NULL;
}

/* Margins within one pool; the least of a row's pools stays. The choice of pools is held.
 * stream, r: what the layer's feedforward read, and the scales of its norm. */
static sg_status channel(margins *x, size_t layer, size_t c, size_t pool, const float *xn, const float *stream,
                         const float *r, const int32_t *index, sg_margin *out) {
  const sgi_sublayer *s = sgi_feedforward_of(x->m, layer);
  size_t n = x->routes.parts * x->routes.units, C = x->routes.channels, K = x->routes.top_k,
         picks = s->config->top_k / K;
  const float *gain = s->w[SGI_T_NORM];
  sg_status st = s->ffn->route_rows(s->config, s->weight + SGI_T_OWN, c + pool * C, x->rows);
  if (!st) st = sgi_linear(x->part, n, xn, x->D, x->rows, x->T, x->D, n, (sgi_arena){0});
  for (size_t i = 0; i < n && !st; i++)
    for (size_t d = 0; d < x->D; d++) x->rows[i * x->D + d] *= gain[d];
  if (!st && x->routes.parts > 1) st = sgi_linear(x->gram, n, x->rows, x->D, x->rows, n, x->D, n, (sgi_arena){0});
  if (!st) unit_lengths(x);
  for (size_t t = 0; t < x->T && !st; t++) {
    const int32_t *chosen = of_pool(x, index + (t * C + c) * picks * K, picks, pool);
    sg_margin *o = &out[(layer * x->T + t) * x->C + c], own;
    if (!pool) *o = (sg_margin){.distance = INFINITY, .loses = -1, .wins = -1};
    if (!chosen) continue;
    unit_scores(x, t);
    for (size_t k = 0; k < K; k++) x->local[k] = chosen[k] % (int32_t)x->F;
    own = smallest(x, x->local, r[t]);
    if (own.loses >= 0) {
      own.loses += (int32_t)(pool * x->F);
      own.wins += (int32_t)(pool * x->F);
    }
    if (own.distance < o->distance) *o = own;
    o->stream = sqrt(sgi_kernel_table()->sum_squares(stream + t * x->D, x->D));
  }
  return st;
}

/* Of a layer, and how many units a channel chooses from; false where it has no router or another
 * layer's. */
static bool routes_of(const sg_model *m, size_t layer, sgi_routes *out, size_t *F) {
  const sgi_sublayer *s = sgi_feedforward_of(m, layer);
  *out = (sgi_routes){0};
  if (!s || !s->ffn->routes || !sgi_ffn_routes(s->config)) return false;
  s->ffn->routes(s->config, out);
  *F = 1;
  for (size_t p = 0; p < out->parts; p++) *F *= out->units;
  return true;
}

/* The units that the pass chose, and its normed inputs, by a tap. */
typedef struct seen {
  margins *x;
  float *xn; /* (T,D) of the layer at hand */
  sg_margin *out;
  bool (*progress)(void *user, size_t done, size_t wanted);
  void *user;
} seen;

static sg_status visit(void *user, const sgi_site *s, sg_error *err) {
  seen *u = user;
  margins *x = u->x;
  if (s->id == SGI_SITE_MLP_NORM) memcpy(u->xn + s->first * x->D, s->data, s->n * x->D * sizeof *u->xn);
  if (sgi_site_row_of(s->id)->role != SGI_SITE_CHOICE) return SG_OK;
  const float *stream, *r;
  size_t L = x->m->config.num_layers;
  if (!routes_of(x->m, (size_t)s->layer, &x->routes, &x->F)) return SG_OK;
  sgi_pass_step(x->pass, sgi_plan_find(&x->m->plan, (size_t)s->layer, &sgi_sublayer_feedforward), &stream, &r);
  for (size_t c = 0; c < x->routes.channels; c++) {
    if (u->progress && !u->progress(u->user, (size_t)s->layer * x->C + c, L * x->C))
      return sgi_fail(err, SG_ERR_CANCELLED, "stopped");
    sg_status st = SG_OK;
    for (size_t pool = 0; pool < x->routes.pools && !st; pool++)
      st = channel(x, (size_t)s->layer, c, pool, u->xn, stream, r, s->data, u->out);
    if (st) return sgi_fail(err, st, "gate margins: a matrix product failed");
  }
  return SG_OK;
}

size_t sg_margin_channels(const sg_model *m) {
  size_t most = 0, F;
  sgi_routes r;
  for (size_t l = 0; l < m->config.num_layers; l++)
    if (routes_of(m, l, &r, &F) && r.channels > most) most = r.channels;
  return most;
}

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

static sg_status allocate(margins *x, seen *u, sg_error *err) {
  size_t n = 0, split = 0, most = 0;
  for (size_t l = 0; l < x->m->config.num_layers; l++) {
    if (!routes_of(x->m, l, &x->routes, &x->F)) continue;
    n = larger(n, x->routes.parts * x->routes.units);
    if (x->routes.parts > 1) split = larger(split, x->routes.parts * x->routes.units);
    most = larger(most, x->F);
  }
  x->rows = sgi_alloc(n * x->D * sizeof *x->rows);
  x->gram = split ? sgi_alloc(split * split * sizeof *x->gram) : NULL;
  x->part = sgi_alloc(x->T * n * sizeof *x->part);
  x->score = sgi_alloc(most * sizeof *x->score);
  x->length = sgi_alloc(most * sizeof *x->length);
  x->chosen = sgi_alloc(most);
  u->xn = sgi_alloc(x->T * x->D * sizeof *u->xn);
  if (!x->rows || (split && !x->gram) || !x->part || !x->score || !x->length || !x->chosen || !u->xn)
    return sgi_fail_memory(err, n * x->D * sizeof *x->rows, "gate margins");
  return sgi_pass_create(x->m, 1, x->T, true, &x->pass, err);
}

sg_status sg_margins(const sg_model *m, const int32_t *tokens, size_t count, sg_margin *out, sg_error *err) {
  return sg_margins_watched(m, tokens, count, out, NULL, NULL, err);
}

sg_status sg_margins_watched(const sg_model *m, const int32_t *tokens, size_t count, sg_margin *out,
                             bool (*progress)(void *user, size_t done, size_t wanted), void *user, sg_error *err) {
  margins x = {.m = m, .T = count, .D = m->config.hidden_size, .F = 1};
  seen u = {.x = &x, .out = out, .progress = progress, .user = user};
  sg_status st = sgi_prompt_check(m, tokens, count, err);
  if (st) return st;
  if (!(x.C = sg_margin_channels(m))) /* before out: there is no place for none */
    return sgi_fail(err, SG_ERR_UNSUPPORTED, "feedforward kind \"%s\" has no gates", m->config.feedforward);
  st = sgi_need(out, "the place for margins", err);
  if (st) return st;
  for (size_t i = 0; i < m->config.num_layers * count * x.C; i++)
    out[i] = (sg_margin){.distance = INFINITY, .loses = -1, .wins = -1};
  st = allocate(&x, &u, err);
  sgi_batch batch = {.B = 1, .T = count, .inputs = tokens};
  if (!st) st = sgi_pass_forward(x.pass, &batch, &(sgi_tap){.visit = visit, .user = &u, .err = err}, err);
  sgi_pass_free(x.pass);
  void *owned[] = {x.rows, x.gram, x.part, x.score, x.length, x.chosen, u.xn};
  for (size_t i = 0; i < SGI_COUNT(owned); i++) sgi_free(owned[i]);
  return st;
}
