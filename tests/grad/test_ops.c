/* The operations that layers are made of, against plain loops in double: products, norms, rotary
 * embedding, attention, loss. Sizes are odd and cross the blocks that the library works in. Kernels
 * and top-K: test_kernels.c. */
#include <math.h>
#include <omp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/near.h"
#include "core/arena.h"
#include "math/gemm.h"
#include "math/rows.h"
#include "model/attention.h"
#include "model/loss.h"
#include "ref/ref.h"

static const double FORWARD_BOUND = 1e-5, GRADIENT_BOUND = 1e-4, LEAST_SCALE = 1e-3;

static float *floats(size_t count) {
  float *p = sgi_alloc(count * sizeof *p);
  assert_non_null(p);
  memset(p, 0xff, count * sizeof *p); /* NaN: what is read before it is written shows */
  return p;
}

static float *normals(uint64_t seed, size_t count) {
  float *p = floats(count);
  ref_random r = {.state = seed};
  ref_fill(&r, p, count, 0, 1);
  return p;
}

static sgi_arena block(size_t bytes) {
  return (sgi_arena){.base = (char *)floats(bytes / sizeof(float)), .size = bytes};
}

static void array_near(const char *what, const float *a, const double *b, size_t n) {
  double d = ref_difference(a, b, n);
  if (getenv("SGATLIN_TEST_VERBOSE")) print_message("%-60s %.2e\n", what, d);
  if (!(d <= FORWARD_BOUND)) fail_msg("%s differs by %.3g", what, d);
}

static void gradients_hold(const char *what, const ref_report *r) {
  if (getenv("SGATLIN_TEST_VERBOSE")) print_message("%-60s %.2e %.2e\n", what, r->entry, r->direction);
  if (!(r->entry < GRADIENT_BOUND)) fail_msg("%s: gradient of %s: %.3g", what, r->worst, r->entry);
  if (!(r->direction < GRADIENT_BOUND)) fail_msg("%s: along all of %s: %.3g", what, r->worst_direction, r->direction);
  assert_true(r->checked > 0 && r->skipped == 0);
}

/* ---- matrix products ------------------------------------------------------------------------- */

typedef struct product {
  bool ta, tb;
  size_t m, n, k, lda, ldb, ldc;
  float beta;
} product;

static double element(const float *a, size_t ld, bool transposed, size_t i, size_t j) {
  return (double)(transposed ? a[j * ld + i] : a[i * ld + j]);
}

/* C as it was, and what the product makes of it, in double; entries between the rows keep their
 * NaN. */
static void check_product(const product *p) {
  size_t a_count = (p->ta ? p->k : p->m) * p->lda, b_count = (p->tb ? p->n : p->k) * p->ldb, c_count = p->m * p->ldc;
  float *a = normals(1, a_count), *b = normals(2, b_count), *c = normals(3, c_count), *got = floats(c_count);
  memcpy(got, c, c_count * sizeof *got);
  for (size_t i = 0; i < p->m && p->beta == 0; i++) /* what is assigned may hold anything */
    for (size_t j = 0; j < p->n; j++) got[i * p->ldc + j] = NAN;
  assert_int_equal(sgi_gemm(p->ta, p->tb, p->m, p->n, p->k, a, p->lda, b, p->ldb, p->beta, got, p->ldc), SG_OK);
  double *want = ref_doubles(c, c_count);
  for (size_t i = 0; i < p->m; i++)
    for (size_t j = 0; j < p->n; j++) {
      double sum = p->beta == 0 ? 0 : want[i * p->ldc + j];
      for (size_t l = 0; l < p->k; l++) sum += element(a, p->lda, p->ta, i, l) * element(b, p->ldb, p->tb, l, j);
      want[i * p->ldc + j] = sum;
    }
  for (size_t i = 0; i < p->m; i++)
    for (size_t j = p->n; j < p->ldc; j++) assert_true(got[i * p->ldc + j] == c[i * p->ldc + j]);
  char what[96];
  snprintf(what, sizeof what, "gemm %d%d m=%zu n=%zu k=%zu beta=%g", p->ta, p->tb, p->m, p->n, p->k, (double)p->beta);
  array_near(what, got, want, c_count);
  sgi_free(a);
  sgi_free(b);
  sgi_free(c);
  sgi_free(got);
  free(want);
}

static void products(void **state) {
  (void)state;
  static const size_t sizes[][3] = {{1, 1, 1},    {1, 37, 5},    {7, 1, 20},    {5, 17, 300},
                                    {300, 20, 3}, {33, 130, 64}, {270, 280, 31}};
  for (size_t s = 0; s < SGI_COUNT(sizes); s++)
    for (int flags = 0; flags < 16; flags++) {
      product p = {.ta = flags & 1, .tb = flags & 2, .beta = flags & 4 ? 1.0f : 0.0f};
      p.m = sizes[s][0], p.n = sizes[s][1], p.k = sizes[s][2];
      size_t wider = flags & 8 ? 3 : 0;
      p.lda = (p.ta ? p.m : p.k) + wider, p.ldb = (p.tb ? p.k : p.n) + 2 * wider, p.ldc = p.n + wider;
      check_product(&p);
    }
}

/* Also where one product is long and narrow, so that a library might cut its sum into pieces. */
static void products_do_not_depend_on_threads(void **state) {
  (void)state;
  static const size_t sizes[][3] = {{20, 49, 5000},  {1, 64, 4096}, {64, 64, 20000},
                                    {300, 300, 300}, {1, 9000, 64}, {512, 24, 70}};
  int before = omp_get_max_threads();
  for (size_t s = 0; s < SGI_COUNT(sizes); s++)
    for (int flags = 0; flags < 4; flags++) {
      bool ta = flags & 1, tb = flags & 2;
      size_t m = sizes[s][0], n = sizes[s][1], k = sizes[s][2];
      float *a = normals(4, m * k), *b = normals(5, n * k), *one = floats(m * n), *more = floats(m * n);
      for (int threads = 1; threads <= 4; threads++) {
        omp_set_num_threads(threads);
        float *c = threads == 1 ? one : more;
        assert_int_equal(sgi_gemm(ta, tb, m, n, k, a, ta ? m : k, b, tb ? k : n, 0, c, n), SG_OK);
        if (threads > 1 && memcmp(one, more, m * n * sizeof *one))
          fail_msg("gemm %d%d m=%zu n=%zu k=%zu: %d threads give other bits than one", ta, tb, m, n, k, threads);
      }
      sgi_free(a);
      sgi_free(b);
      sgi_free(one);
      sgi_free(more);
    }
  omp_set_num_threads(before);
}

/* ---- rows ------------------------------------------------------------------------------------ */

static void sums_of_rows(void **state) {
  (void)state;
  static const size_t sizes[][2] = {{1, 1}, {7, 20}, {3, 63}, {200, 65}, {5000, 3}, {70, 130}};
  for (size_t s = 0; s < SGI_COUNT(sizes); s++) {
    size_t n = sizes[s][0], width = sizes[s][1];
    float *x = normals(6, n * width), *bias = normals(7, width), *db = normals(8, width), *y = normals(9, n * width);
    size_t ld = width + 2;
    float *apart = normals(10, n * ld), *dc = floats(width);
    memcpy(dc, db, width * sizeof *dc);
    for (size_t i = 0; i < n; i++) memcpy(apart + i * ld, x + i * width, width * sizeof *x);
    double *sums = ref_doubles(db, width), *biased = ref_doubles(x, n * width), *added = ref_doubles(x, n * width);
    for (size_t i = 0; i < n; i++)
      for (size_t j = 0; j < width; j++) {
        sums[j] += (double)x[i * width + j];
        biased[i * width + j] += (double)bias[j];
        added[i * width + j] += (double)y[i * width + j];
      }
    sgi_column_sums(db, x, width, n, width);
    array_near("column sums", db, sums, width);
    sgi_column_sums(dc, apart, ld, n, width);
    array_near("column sums of rows apart", dc, sums, width);
    sgi_sum(y, y, x, n * width);
    array_near("sum", y, added, n * width);
    sgi_add_bias(x, bias, n, width);
    array_near("bias", x, biased, n * width);
    float *all[] = {x, bias, db, y, apart, dc};
    for (size_t i = 0; i < SGI_COUNT(all); i++) sgi_free(all[i]);
    free(sums);
    free(biased);
    free(added);
  }
}

typedef struct norm {
  size_t n, D;
  double *x, *g, *dy, *y;
} norm;

static double norm_scalar(void *user, uint64_t *decisions) {
  norm *s = user;
  *decisions = 0;
  ref_rmsnorm(s->y, s->x, s->g, s->n, s->D, 1e-6);
  return ref_dot(s->y, s->dy, s->n * s->D);
}

static void one_norm(size_t n, size_t D, double size) {
  size_t count = n * D;
  float *x = normals(10, count), *g = normals(11, D), *dy = normals(12, count), *y = floats(count), *r = floats(n);
  float *dx = floats(count), *dg = floats(D), *dg2 = normals(13, D), *partial = floats(SGI_NORM_PARTIALS * D);
  for (size_t i = 0; i < count; i++) x[i] *= (float)size;
  norm s = {n, D, ref_doubles(x, count), ref_doubles(g, D), ref_doubles(dy, count), ref_alloc(count, sizeof(double))};
  sgi_rmsnorm(y, r, x, g, n, D, 1e-6);
  norm_scalar(&s, &(uint64_t){0});
  array_near("rmsnorm", y, s.y, count);

  memset(dg, 0, D * sizeof *dg);
  sgi_rmsnorm_backward(dx, dg, dy, x, r, g, n, D, false, partial);
  ref_report report = {0};
  /* Where D = 1 all but eps cancels in dx: rounding is measured against 1. */
  ref_check_gradient(&report, "x", norm_scalar, &s, s.x, dx, count, 30, D == 1 ? 1 : LEAST_SCALE);
  ref_check_gradient(&report, "gain", norm_scalar, &s, s.g, dg, D, 30, LEAST_SCALE);
  gradients_hold("rmsnorm", &report);

  /* Added where asked, in place where dx is dy, y where it is x. */
  double *sum = ref_doubles(dx, count), *twice = ref_doubles(dg, D);
  for (size_t i = 0; i < count; i++) sum[i] += (double)y[i];
  for (size_t d = 0; d < D; d++) twice[d] += (double)dg2[d];
  float *added = floats(count);
  memcpy(added, y, count * sizeof *y);
  sgi_rmsnorm_backward(added, dg2, dy, x, r, g, n, D, true, partial);
  array_near("rmsnorm: dx added", added, sum, count);
  array_near("rmsnorm: gain added", dg2, twice, D);
  sgi_rmsnorm_backward(dy, dg2, dy, x, r, g, n, D, false, partial);
  assert_memory_equal(dy, dx, count * sizeof *dx);
  sgi_rmsnorm(x, r, x, g, n, D, 1e-6);
  assert_memory_equal(x, y, count * sizeof *x);
  float *all[] = {x, g, dy, y, r, dx, dg, dg2, partial, added};
  for (size_t i = 0; i < SGI_COUNT(all); i++) sgi_free(all[i]);
  double *wide[] = {s.x, s.g, s.dy, s.y, sum, twice};
  for (size_t i = 0; i < SGI_COUNT(wide); i++) free(wide[i]);
}

static void norms(void **state) {
  (void)state;
  one_norm(1, 1, 1);
  one_norm(7, 20, 1);
  one_norm(65, 33, 1);
  one_norm(300, 17, 1);
  one_norm(9, 20, 1e-3); /* eps counts */
}

/* ---- rotary embedding ------------------------------------------------------------------------ */

static void rotary(void **state) {
  (void)state;
  enum { N = 13, H = 3, T = 2048 };
  static const size_t heads[] = {2, 6, 64};
  for (size_t k = 0; k < SGI_COUNT(heads); k++) {
    size_t d = heads[k], count = N * H * d;
    float *cos_table = floats(T * d / 2), *sin_table = floats(T * d / 2), *x = normals(14, count);
    sgi_rotary_tables(cos_table, sin_table, T, d, 1e4);
    int32_t position[N];
    for (size_t i = 0; i < N; i++) position[i] = (int32_t)(i < 3 ? i : (i * 977) % T);
    double *start = ref_doubles(x, count), *want = ref_doubles(x, count);
    ref_rotary(want, position, N, H, d, 1e4);
    sgi_rotary(x, position, cos_table, sin_table, N, H, d, false);
    array_near("rotary", x, want, count);
    sgi_rotary(x, position, cos_table, sin_table, N, H, d, true);
    array_near("rotary and back", x, start, count);
    sgi_free(cos_table);
    sgi_free(sin_table);
    sgi_free(x);
    free(start);
    free(want);
  }
}

/* ---- attention ------------------------------------------------------------------------------- */

typedef struct heads {
  sgi_attention s;
  double *q, *k, *v, *d_o, *o, *sinks;
} heads;

static double attention_scalar(void *user, uint64_t *decisions) {
  heads *h = user;
  const sgi_attention *s = &h->s;
  *decisions = 0;
  ref_attention(h->o, h->q, h->k, h->v, h->sinks, s->starts, s->B, s->T, s->past, s->capacity, s->H, s->d_head);
  return ref_dot(h->o, h->d_o, s->B * s->T * s->H * s->d_head);
}

static int32_t *make_starts(const sgi_attention *s) {
  int32_t *starts = ref_alloc(s->B * s->T, sizeof *starts);
  ref_random r = {.state = 15};
  for (size_t b = 0; b < s->B; b++)
    for (size_t t = 0; t < s->T; t++) {
      int32_t before = t ? starts[b * s->T + t - 1] : (int32_t)ref_below(&r, s->past + 1);
      starts[b * s->T + t] = ref_below(&r, 9) ? before : (int32_t)(s->past + t);
    }
  return starts;
}

/* Log of the sum of exponentials and the pattern of every query. */
static void check_pattern(const heads *h, const float *lse, const float *q, const float *k) {
  const sgi_attention *s = &h->s;
  size_t keys = s->past + s->T, width = s->H * s->d_head;
  float *pattern = floats(keys);
  for (size_t row = 0; row < s->B * s->T; row += 1 + s->T / 7)
    for (size_t head = 0; head < s->H; head++) {
      size_t b = row / s->T, t = row % s->T, from = s->starts ? (size_t)s->starts[row] : 0, to = s->past + t + 1;
      double *want = ref_alloc(keys, sizeof *want), sum = 0;
      for (size_t j = from; j < to; j++) {
        const double *key = h->k + (b * s->capacity + j) * width + head * s->d_head;
        want[j] = exp(ref_dot(h->q + row * width + head * s->d_head, key, s->d_head) / sqrt((double)s->d_head));
        sum += want[j];
      }
      if (h->sinks) sum += exp(h->sinks[head]);
      for (size_t j = from; j < to; j++) want[j] /= sum;
      assert_int_equal(sgi_attention_pattern(s, b, head, t, pattern, q, k), SG_OK);
      array_near("attention pattern", pattern, want, to);
      near("lse[row * s->H + head]", (double)lse[row * s->H + head], log(sum), 1e-5);
      free(want);
    }
  sgi_free(pattern);
}

static void check_backward(heads *h, const float *o, const float *lse, const float *d_o, const float *q, const float *k,
                           const float *v) {
  const sgi_attention *s = &h->s;
  size_t count = s->B * s->T * s->H * s->d_head;
  float *dq = floats(count), *dk = floats(count), *dv = floats(count);
  sgi_arena measure = {0};
  sgi_attention_scratch(s->T, s->d_head, true, &measure);
  sgi_arena scratch = block(measure.used);
  assert_int_equal(sgi_attention_backward(s, scratch, dq, dk, dv, o, lse, d_o, q, k, v), SG_OK);
  ref_report report = {0};
  ref_check_gradient(&report, "q", attention_scalar, h, h->q, dq, count, 20, LEAST_SCALE);
  ref_check_gradient(&report, "k", attention_scalar, h, h->k, dk, count, 20, LEAST_SCALE);
  ref_check_gradient(&report, "v", attention_scalar, h, h->v, dv, count, 20, LEAST_SCALE);
  float *d_sinks = floats(s->H), *room = floats(s->B * s->T * s->H);
  for (size_t i = 0; i < s->H; i++) d_sinks[i] = 0.25F; /* is added to */
  if (s->sinks) {
    sgi_attention_sinks_backward(s, d_sinks, room, o, lse, d_o);
    for (size_t i = 0; i < s->H; i++) d_sinks[i] -= 0.25F;
    ref_check_gradient(&report, "sinks", attention_scalar, h, h->sinks, d_sinks, s->H, 20, LEAST_SCALE);
  }
  gradients_hold("attention", &report);
  float *all[] = {dq, dk, dv, d_sinks, room, (float *)scratch.base};
  for (size_t i = 0; i < SGI_COUNT(all); i++) sgi_free(all[i]);
}

/* form: 1, packed; 2, with sinks, of which the first takes most of its rows. */
static void one_attention(sgi_attention s, int form, double size) {
  bool packed = form & 1;
  int32_t *starts = packed ? make_starts(&s) : NULL;
  float *sinks = normals(20, s.H);
  sinks[0] = 6;
  s.starts = starts;
  s.sinks = form & 2 ? sinks : NULL;
  size_t width = s.H * s.d_head, queries = s.B * s.T * width, keys = s.B * s.capacity * width;
  float *q = normals(16, queries), *k = normals(17, keys), *v = normals(18, keys), *d_o = normals(19, queries);
  for (size_t i = 0; i < queries; i++) q[i] *= (float)size;
  heads h = {s,
             ref_doubles(q, queries),
             ref_doubles(k, keys),
             ref_doubles(v, keys),
             ref_doubles(d_o, queries),
             ref_alloc(queries, sizeof(double)),
             s.sinks ? ref_doubles(sinks, s.H) : NULL};
  for (size_t b = 0; b < s.B; b++) /* room not yet used holds anything */
    for (size_t i = (s.past + s.T) * width; i < s.capacity * width; i++)
      k[b * s.capacity * width + i] = v[b * s.capacity * width + i] = NAN;
  float *o = floats(queries), *lse = floats(s.B * s.T * s.H);
  sgi_arena measure = {0};
  sgi_attention_scratch(s.past + s.T, s.d_head, false, &measure);
  sgi_arena scratch = block(measure.used);
  assert_int_equal(sgi_attention_forward(&s, scratch, o, lse, q, k, v), SG_OK);
  attention_scalar(&h, &(uint64_t){0});
  char what[96];
  snprintf(what, sizeof what, "attention B=%zu T=%zu past=%zu H=%zu d=%zu%s", s.B, s.T, s.past, s.H, s.d_head,
           packed ? " packed" : "");
  if (s.sinks) strcat(what, " sinks");
  array_near(what, o, h.o, queries);
  check_pattern(&h, lse, q, k);
  if (!s.past && s.capacity == s.T) check_backward(&h, o, lse, d_o, q, k, v);
  float *all[] = {q, k, v, d_o, o, lse, sinks, (float *)scratch.base};
  for (size_t i = 0; i < SGI_COUNT(all); i++) sgi_free(all[i]);
  double *wide[] = {h.q, h.k, h.v, h.d_o, h.o, h.sinks};
  for (size_t i = 0; i < SGI_COUNT(wide); i++) free(wide[i]);
  free(starts);
}

static void attention(void **state) {
  (void)state;
  for (int form = 0; form < 4; form++) {
    one_attention((sgi_attention){.B = 1, .T = 1, .capacity = 1, .H = 1, .d_head = 2}, form, 1);
    one_attention((sgi_attention){.B = 3, .T = 11, .capacity = 11, .H = 3, .d_head = 6}, form, 1);
    one_attention((sgi_attention){.B = 2, .T = 64, .capacity = 64, .H = 1, .d_head = 10}, form, 1);
    one_attention((sgi_attention){.B = 2, .T = 133, .capacity = 133, .H = 2, .d_head = 6}, form, 1);
    one_attention((sgi_attention){.B = 2, .T = 70, .capacity = 70, .H = 1, .d_head = 4}, form, 6); /* nearly hard */
    one_attention((sgi_attention){.B = 2, .T = 1, .past = 9, .capacity = 20, .H = 3, .d_head = 6}, form, 1);
    one_attention((sgi_attention){.B = 3, .T = 5, .past = 70, .capacity = 80, .H = 2, .d_head = 6}, form, 1);
    one_attention((sgi_attention){.B = 1, .T = 530, .capacity = 530, .H = 1, .d_head = 34}, form, 1);
    one_attention((sgi_attention){.B = 2, .T = 60, .past = 300, .capacity = 400, .H = 2, .d_head = 8}, form, 1);
    one_attention((sgi_attention){.B = 1, .T = 100, .past = 0, .capacity = 128, .H = 2, .d_head = 6}, form, 1);
  }
}

/* ---- loss ------------------------------------------------------------------------------------ */

typedef struct head {
  size_t n, D, V;
  const int32_t *targets;
  int32_t pad;
  double *x, *E, *logits, *nll;
} head;

static double loss_scalar(void *user, uint64_t *decisions) {
  head *h = user;
  double sum = 0;
  *decisions = 0;
  ref_linear(h->logits, h->x, h->E, h->n, h->D, h->V);
  for (size_t i = 0; i < h->n; i++) {
    h->nll[i] = ref_nll(h->logits + i * h->V, h->targets[i], h->V);
    if (h->targets[i] != h->pad) sum += h->nll[i];
  }
  return 0.25 * sum;
}

static void one_loss(size_t n, size_t D, size_t V, double size, bool all_padding) {
  float *x = normals(20, n * D), *E = normals(21, V * D), *nll = floats(n), *dx = floats(n * D), *dE = floats(V * D);
  for (size_t i = 0; i < n * D; i++) x[i] *= (float)size;
  memcpy(E + (V - 1) * D, E, D * sizeof *E); /* first and last logit are equal: the first counts as the best */
  int32_t *targets = ref_alloc(n, sizeof *targets), *best = ref_alloc(n, sizeof *best), pad = 1;
  ref_random r = {.state = 22};
  for (size_t i = 0; i < n; i++) targets[i] = all_padding || !ref_below(&r, 4) ? pad : (int32_t)ref_below(&r, V);
  head h = {n,
            D,
            V,
            targets,
            pad,
            ref_doubles(x, n * D),
            ref_doubles(E, V * D),
            ref_alloc(n * V, sizeof(double)),
            ref_alloc(n, sizeof(double))};
  sgi_weight map = sgi_weight_floats(E, V, D);
  loss_scalar(&h, &(uint64_t){0});
  sgi_arena measure = {0};
  sgi_loss_scratch(n, D, V, &measure);
  sgi_arena scratch = block(measure.used);
  assert_int_equal(sgi_loss(nll, best, NULL, NULL, x, &map, targets, pad, 0.25f, n, D, V, scratch), SG_OK);
  array_near("nll without gradient", nll, h.nll, n);
  memset(dE, 0, V * D * sizeof *dE);
  assert_int_equal(sgi_loss(nll, best, dx, dE, x, &map, targets, pad, 0.25f, n, D, V, scratch), SG_OK);
  array_near("nll", nll, h.nll, n);
  for (size_t i = 0; i < n; i++) {
    int32_t first;
    ref_top_k(&first, h.logits + i * V, V, 1);
    if (first == (int32_t)V - 1) first = 0; /* equal in exact arithmetic */
    assert_int_equal(best[i], first);
    for (size_t d = 0; d < D && targets[i] == pad; d++) assert_true(dx[i * D + d] == 0);
  }
  ref_report report = {0};
  ref_check_gradient(&report, "x", loss_scalar, &h, h.x, dx, n * D, 30, LEAST_SCALE);
  ref_check_gradient(&report, "E", loss_scalar, &h, h.E, dE, V * D, 30, LEAST_SCALE);
  gradients_hold("loss", &report);
  double *twice = ref_doubles(dE, V * D);
  for (size_t i = 0; i < V * D; i++) twice[i] *= 2;
  assert_int_equal(sgi_loss(nll, best, dx, dE, x, &map, targets, pad, 0.25f, n, D, V, scratch), SG_OK);
  array_near("dE added", dE, twice, V * D);
  float *all[] = {x, E, nll, dx, dE, (float *)scratch.base};
  for (size_t i = 0; i < SGI_COUNT(all); i++) sgi_free(all[i]);
  double *wide[] = {h.x, h.E, h.logits, h.nll, twice};
  for (size_t i = 0; i < SGI_COUNT(wide); i++) free(wide[i]);
  free(targets);
  free(best);
}

static void losses(void **state) {
  (void)state;
  one_loss(1, 5, 3, 1, false);
  one_loss(7, 20, 37, 1, false);
  one_loss(300, 6, 11, 1, false);
  one_loss(9, 8, 300, 30, false); /* logits of about 100 */
  one_loss(520, 6, 40, 1, false); /* from a copy of E */
  one_loss(5, 6, 512, 1, false);  /* padded rows of logits */
  one_loss(5, 7, 13, 1, true);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(products),     cmocka_unit_test(products_do_not_depend_on_threads),
      cmocka_unit_test(sums_of_rows), cmocka_unit_test(norms),
      cmocka_unit_test(rotary),       cmocka_unit_test(attention),
      cmocka_unit_test(losses),
  };
  return cmocka_run_group_tests_name("ops", tests, NULL, NULL);
}
