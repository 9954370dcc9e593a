#include "compare/sparse_match.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/median.h"
#include "core/rng.h"
#include "math/gemm.h"

const double sgi_match_levels[SGI_MATCH_SHARES] = {0.5, 0.8, 0.95};

static void unit_rows(float *to, const float *from, size_t n, size_t D) {
  const sgi_kernels *k = sgi_kernel_table();
  if (to != from) memcpy(to, from, n * D * sizeof *to);
  for (size_t i = 0; i < n; i++) {
    double norm = sqrt(k->sum_squares(to + i * D, D));
    if (norm > 0) k->scale(to + i * D, (float)(1 / norm), D);
  }
}

void sgi_match_cosines(const float *features, size_t M, const float *neurons, size_t N, size_t D, float *out) {
  const sgi_kernels *k = sgi_kernel_table();
#pragma omp parallel for schedule(static)
  for (size_t i = 0; i < M; i++)
    for (size_t j = 0; j < N; j++) {
      double a = k->sum_squares(features + i * D, D), b = k->sum_squares(neurons + j * D, D), s = 0;
      for (size_t d = 0; d < D; d++) s += (double)features[i * D + d] * (double)neurons[j * D + d];
      out[i * N + j] = a > 0 && b > 0 ? (float)(s / sqrt(a * b)) : 0;
    }
}

typedef struct rows {
  float *in, *out; /* (n,D) of length 1 */
  float *raw_in, *raw_out;
  size_t n, units;
} rows;

static sg_status neurons_of(const sg_model *m, size_t layer, rows *r, sg_error *err) {
  const sgi_sublayer *s;
  sg_status st = sgi_feedforward_find(m, layer, &s, err);
  if (st) return st;
  const sg_config *c = s->config;
  size_t D = c->hidden_size, channels = c->num_channels ? c->num_channels : 1, N = channels * c->num_neurons;
  r->units = c->num_neurons;
  r->raw_in = sgi_alloc(4 * N * D * sizeof *r->raw_in);
  if (!r->raw_in) return sgi_fail_memory(err, 4 * N * D * sizeof *r->raw_in, "the rows of a layer's neurons");
  r->raw_out = r->raw_in + N * D;
  r->in = r->raw_out + N * D;
  r->out = r->in + N * D;
  for (size_t i = 0; i < N; i++) {
    sgi_unit u;
    if (!s->ffn->unit_at(c, s->weight + SGI_T_OWN, i / c->num_neurons, i % c->num_neurons, &u)) break;
    r->n = i + 1;
    sgi_unit_in(&u, r->raw_in + i * D, D);
    sgi_unit_out(&u, r->raw_out + i * D, D);
  }
  if (!r->n) return sgi_fail(err, SG_ERR_UNSUPPORTED, "layer %zu has no neurons to hold features against", layer);
  unit_rows(r->in, r->raw_in, r->n, D);
  unit_rows(r->out, r->raw_out, r->n, D);
  return SG_OK;
}

/* Best matches of rows of length 1, in blocks of features. */
enum { BLOCK = 64 };
static sg_status best(const float *enc, const float *dec, size_t M, const rows *r, size_t D, sgi_match_one *out,
                      sg_error *err) {
  size_t N = r->n;
  float *cos = sgi_alloc(2 * BLOCK * N * sizeof *cos);
  if (!cos) return sgi_fail_memory(err, 2 * BLOCK * N * sizeof *cos, "cosines");
  sg_status st = SG_OK;
  for (size_t i = 0; i < M && !st; i += BLOCK) {
    size_t n = M - i < BLOCK ? M - i : BLOCK;
    float *d = cos + BLOCK * N;
    st = sgi_gemm(false, true, n, N, D, enc + i * D, D, r->in, D, 0, cos, N);
    if (!st) st = sgi_gemm(false, true, n, N, D, dec + i * D, D, r->out, D, 0, d, N);
    for (size_t a = 0; a < n && !st; a++) {
      sgi_match_one *o = &out[i + a];
      *o = (sgi_match_one){.encoder = -2, .product = -2};
      for (size_t b = 0; b < N; b++) {
        double e = (double)cos[a * N + b], x = (double)d[a * N + b];
        if (e > o->encoder) {
          o->encoder = e;
          o->decoder = x;
          o->neuron = (uint32_t)b;
        }
        if (e * x > o->product && e > 0) {
          o->product = e * x;
          o->best = (uint32_t)b;
        }
      }
    }
  }
  sgi_free(cos);
  return st ? sgi_fail(err, st, "cosines: %s", sg_status_text(st)) : SG_OK;
}

sg_status sgi_match_of(const sg_model *m, const sgi_sparse_set *set, size_t k, size_t feature, sgi_match_one *out,
                       size_t *units, sg_error *err) {
  const sgi_sparse_layer *l = &set->at[k];
  size_t D = l->form.in;
  rows r = {0};
  float *row = sgi_alloc(2 * D * sizeof *row);
  sg_status st = row ? neurons_of(m, l->layer, &r, err) : sgi_fail_memory(err, 2 * D * sizeof *row, "a feature's rows");
  if (!st) {
    unit_rows(row, l->p.at[SGI_SPARSE_W_E] + feature * D, 1, D);
    unit_rows(row + D, l->p.at[SGI_SPARSE_W_D] + feature * D, 1, D);
    st = best(row, row + D, 1, &r, D, out, err);
    *units = r.units;
  }
  sgi_free(r.raw_in);
  sgi_free(row);
  return st;
}

/* Directions with the neurons' covariance: sums of their rows with normal weights. s: (D). */
static void draw(float *to, const float *from, size_t M, size_t N, size_t D, double *s, sgi_rng *rng) {
  for (size_t i = 0; i < M; i++) {
    memset(s, 0, D * sizeof *s);
    for (size_t j = 0; j < N; j++) {
      double z = sgi_rng_normal(rng);
      for (size_t d = 0; d < D; d++) s[d] += z * (double)from[j * D + d];
    }
    for (size_t d = 0; d < D; d++) to[i * D + d] = (float)s[d];
  }
}

static void shares(const sgi_match_one *at, size_t M, const bool *live, double *encoder, double *both) {
  size_t n = 0;
  for (size_t i = 0; i < M; i++) {
    if (live && !live[i]) continue;
    n++;
    for (size_t k = 0; k < SGI_MATCH_SHARES; k++) {
      encoder[k] += at[i].encoder > sgi_match_levels[k];
      both[k] += at[i].encoder > sgi_match_levels[k] && at[i].decoder > sgi_match_levels[k];
    }
  }
  for (size_t k = 0; k < SGI_MATCH_SHARES && n; k++) {
    encoder[k] /= (double)n;
    both[k] /= (double)n;
  }
}

static sg_status medians(sgi_sparse_match *x, const bool *live, sg_error *err) {
  double *v = sgi_alloc((2 * x->features + 2) * sizeof *v), *w = v ? v + x->features + 1 : NULL;
  if (!v) return sgi_fail_memory(err, 2 * x->features * sizeof *v, "cosines");
  for (size_t i = 0; i < x->features; i++)
    if (!live || live[i]) {
      v[x->live] = x->at[i].encoder;
      w[x->live++] = x->at[i].decoder;
    }
  qsort(v, x->live, sizeof *v, sgi_ascending);
  qsort(w, x->live, sizeof *w, sgi_ascending);
  x->median_encoder = x->live ? (v[(x->live - 1) / 2] + v[x->live / 2]) / 2 : NAN;
  x->median_decoder = x->live ? (w[(x->live - 1) / 2] + w[x->live / 2]) / 2 : NAN;
  sgi_free(v);
  return SG_OK;
}

sg_status sgi_match_make(const sg_model *m, const sgi_sparse_set *set, size_t k, const bool *live, uint64_t seed,
                         sgi_sparse_match *x, sg_error *err) {
  const sgi_sparse_layer *l = &set->at[k];
  size_t M = l->form.features, D = m->config.hidden_size;
  rows r = {0};
  *x = (sgi_sparse_match){.layer = l->layer, .features = M};
  if (set->site != SGI_PLACE_MLP)
    return sgi_fail(err, SG_ERR_UNSUPPORTED, "%s holds SAEs of %s: only a transcoder stands for a layer's neurons",
                    set->directory, sgi_sparse_site_name(set->site));
  sg_status st = neurons_of(m, l->layer, &r, err);
  x->at = sgi_alloc(M * sizeof *x->at);
  float *room = sgi_alloc(2 * M * D * sizeof *room);
  sgi_match_one *control = sgi_alloc(M * sizeof *control);
  double *sums = sgi_alloc(D * sizeof *sums);
  if (!st && (!x->at || !room || !control || !sums)) st = sgi_fail_memory(err, 2 * M * D * sizeof *room, "cosines");
  if (!st) {
    unit_rows(room, l->p.at[SGI_SPARSE_W_E], M, D);
    unit_rows(room + M * D, l->p.at[SGI_SPARSE_W_D], M, D);
    st = best(room, room + M * D, M, &r, D, x->at, err);
  }
  if (!st) st = medians(x, live, err);
  if (!st) {
    sgi_rng rng = sgi_rng_make(seed, SGI_STREAM_SPARSE, (l->layer << 8) + 5);
    size_t n = M < SGI_MATCH_CONTROL ? M : SGI_MATCH_CONTROL;
    draw(room, r.raw_in, n, r.n, D, sums, &rng);
    draw(room + n * D, r.raw_out, n, r.n, D, sums, &rng);
    unit_rows(room, room, 2 * n, D);
    st = best(room, room + n * D, n, &r, D, control, err);
    if (!st) shares(control, n, NULL, x->chance_encoder, x->chance_both);
  }
  if (!st) {
    x->neurons = r.n;
    x->units = r.units;
    shares(x->at, M, live, x->share_encoder, x->share_both);
  }
  sgi_free(r.raw_in);
  sgi_free(room);
  sgi_free(control);
  sgi_free(sums);
  return st;
}

void sgi_match_deinit(sgi_sparse_match *x) {
  sgi_free(x->at);
  *x = (sgi_sparse_match){0};
}
