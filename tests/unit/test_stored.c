/* Weights in fewer bytes: kernels of every instruction set against plain loops, rounding, products
 * against double, the same bits for one thread and two, and every file that is refused. */
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/half.h"
#include "math/gemm.h"
#include "math/kernels.h"
#include "math/quantise.h"
#include "math/stored.h"
#include "model/model.h"
#include "model/quantize.h"
#include "model/weights.h"
#include "support/golden.h"

static const sgi_dtype types[] = {SGI_BF16, SGI_F16, SGI_I8, SGI_U8};
enum { TYPES = SGI_COUNT(types) };

static float *numbers(size_t n, uint32_t seed, float size) {
  float *x = malloc((n + 1) * sizeof *x);
  for (size_t i = 0; i < n; i++) {
    seed = seed * 1664525u + 1013904223u;
    x[i] = size * ((float)(seed >> 8) / (float)(1 << 23) - 1);
  }
  return x;
}

typedef struct packed {
  sgi_weight w;
  void *data;
  float *scale, *plain; /* (rows, width) what an element stands for, by its definition */
} packed;

static float element(const sgi_weight *w, size_t r, size_t d) {
  const char *row = (const char *)w->data + r * sgi_weight_traits(w->dtype)->bytes(w->width);
  if (w->dtype == SGI_BF16 || w->dtype == SGI_F16) {
    uint16_t half;
    memcpy(&half, row + d * sizeof half, sizeof half);
    uint32_t bits = (uint32_t)half << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return w->dtype == SGI_BF16 ? x : sgi_from_half(half);
  }
  int q = w->dtype == SGI_I8 ? ((const int8_t *)row)[d] : sgi_int4_at(row, d);
  return (float)q * w->scale[r * sgi_weight_groups(w) + (w->group ? d / w->group : 0)];
}

static packed make(sgi_dtype t, size_t rows, size_t width, size_t group, const float *x) {
  packed p = {.w = {.dtype = t, .rows = rows, .width = width, .group = group}};
  size_t bytes = sgi_weight_traits(t)->bytes(width), groups = sgi_weight_groups(&p.w), bad;
  p.data = malloc(rows * bytes + 1);
  p.scale = malloc(rows * groups * sizeof *p.scale);
  p.plain = malloc((rows * width + 1) * sizeof *p.plain);
  for (size_t r = 0; r < rows; r++)
    assert_true(sgi_quantise_row(&(sgi_quantise){.to = t, .group = group}, (char *)p.data + r * bytes,
                                 p.scale + r * groups, x + r * width, width, &bad));
  p.w.data = p.data;
  if (sgi_weight_traits(t)->levels) p.w.scale = p.scale;
  for (size_t i = 0; i < rows * width; i++) p.plain[i] = element(&p.w, i / width, i % width);
  return p;
}

static void drop(packed *p) { free(p->data), free(p->scale), free(p->plain); }

/* ---- kernels --------------------------------------------------------------------------------- */

static void one_kernel(const sgi_stored_kernels *k, const packed *p, const float *x, size_t n) {
  float y[200], z[200];
  double sum = 0, size = 1e-30;
  float unit = p->w.scale ? 1 / p->w.scale[0] : 1; /* kernels know no scale */
  for (size_t d = 0; d < n; d++) {
    sum += (double)(p->plain[d] * unit) * (double)x[d];
    size += fabs((double)(p->plain[d] * unit) * (double)x[d]);
    z[d] = y[d] = x[n - 1 - d];
  }
  assert_true(fabs((double)k->dot(p->data, x, n) - sum) <= 1e-5 * size);
  k->axpy(y, p->data, 0.75f, n);
  for (size_t d = 0; d < n; d++)
    assert_true(fabs((double)y[d] - ((double)z[d] + 0.75 * (double)(p->plain[d] * unit))) <=
                1e-5 * (1 + fabs((double)(p->plain[d] * unit))));
  k->decode(y, p->data, p->w.scale ? p->w.scale[0] : 1, n);
  for (size_t d = 0; d < n; d++) assert_true(y[d] == p->plain[d]);
}

static void kernels(void **state) {
  (void)state;
  enum { LONGEST = 199 };
  float *x = numbers(LONGEST, 1, 3), *v = numbers(LONGEST, 2, 1);
  for (size_t t = 0; sgi_kernel_table_at(t); t++)
    for (size_t i = 0; i < TYPES; i++)
      for (size_t n = 1; n <= LONGEST; n += n < 70 ? 1 : 43) {
        packed p = make(types[i], 1, n, 0, x);
        one_kernel(&sgi_kernel_table_at(t)->stored[i], &p, v, n);
        drop(&p);
      }
  free(x), free(v);
}

/* Gathers of bf16 rows against their definition: widths of whole vectors and not, any number of
 * rows, one row twice. */
static void gathers(void **state) {
  (void)state;
  enum { ROWS = 9, MOST = 11 };
  static const size_t widths[] = {1, 7, 16, 31, 32, 64, 65, 100};
  static const int32_t index[MOST] = {3, 0, 8, 3, 5, 1, 2, 7, 6, 4, 8};
  for (size_t t = 0; sgi_kernel_table_at(t); t++)
    for (size_t i = 0; i < SGI_COUNT(widths); i++) {
      size_t D = widths[i];
      float *rows = numbers(ROWS * D, 11, 1), *x = numbers(D, 12, 1), *coef = numbers(MOST, 13, 1);
      packed p = make(SGI_BF16, ROWS, D, 0, rows);
      for (size_t k = 0; k <= MOST; k++) {
        float out[MOST + 1], *y = numbers(D, 14, 1), *old = numbers(D, 14, 1);
        out[k] = 5;
        sgi_kernel_table_at(t)->gather_dot_bf16(out, p.data, index, k, x, D);
        sgi_kernel_table_at(t)->gather_axpy_bf16(y, p.data, index, coef, k, D);
        assert_true(out[k] == 5);
        for (size_t j = 0; j < k; j++) {
          double sum = 0, size = 1e-30;
          for (size_t d = 0; d < D; d++) {
            double term = (double)x[d] * (double)p.plain[(size_t)index[j] * D + d];
            sum += term, size += fabs(term);
          }
          assert_true(fabs((double)out[j] - sum) <= 1e-5 * size);
        }
        for (size_t d = 0; d < D; d++) {
          double sum = (double)old[d], size = fabs(sum) + 1e-30;
          for (size_t j = 0; j < k; j++) {
            double term = (double)coef[j] * (double)p.plain[(size_t)index[j] * D + d];
            sum += term, size += fabs(term);
          }
          assert_true(fabs((double)y[d] - sum) <= 1e-5 * size);
        }
        free(y), free(old);
      }
      drop(&p);
      free(rows), free(x), free(coef);
    }
}

/* Every bf16 and every f16, every pair of int4: decoded the same on every path. */
static void all_values(void **state) {
  (void)state;
  enum { N = 1 << 16 };
  uint16_t *all = malloc(N * sizeof *all);
  float *y = malloc(N * sizeof *y);
  for (size_t i = 0; i < N; i++) all[i] = (uint16_t)i;
  for (size_t t = 0; sgi_kernel_table_at(t); t++) {
    const sgi_kernels *k = sgi_kernel_table_at(t);
    for (size_t i = 0; i < 2; i++) {
      sgi_weight w = {.dtype = types[i], .rows = 1, .width = N, .data = all};
      k->stored[i].decode(y, all, 1, N);
      for (size_t d = 0; d < N; d++) {
        float want = element(&w, 0, d);
        assert_true(isnan(want) ? isnan(y[d]) : y[d] == want && !!signbit(y[d]) == !!signbit(want));
      }
    }
    k->stored[SGI_STORED_INT8].decode(y, all, 1, 256);
    for (size_t d = 0; d < 256; d++) assert_true(y[d] == ((const int8_t *)(const void *)all)[d]);
    k->stored[SGI_STORED_INT4].decode(y, all, 1, 1024);
    for (size_t d = 0; d < 1024; d++) assert_true(y[d] == (float)sgi_int4_at(all, d));
  }
  free(all), free(y);
}

/* ---- rounding -------------------------------------------------------------------------------- */

/* float32 -> type -> float32 within the bound of the type; type -> float32 -> type the same
 * bytes. */
static void round_trips(void **state) {
  (void)state;
  enum { ROWS = 7, WIDTH = 301 };
  float *x = numbers(ROWS * WIDTH, 3, 2);
  x[5] = 0;
  for (size_t d = 0; d < WIDTH; d++) x[2 * WIDTH + d] = 0; /* a row of zeros */
  for (size_t i = 0; i < TYPES; i++)
    for (size_t group = 0; group <= 40; group += 40) {
      if (group && types[i] != SGI_I8 && types[i] != SGI_U8) continue;
      packed p = make(types[i], ROWS, WIDTH, group, x), again = make(types[i], ROWS, WIDTH, group, p.plain);
      for (size_t k = 0; k < ROWS * WIDTH; k++) {
        float scale = p.w.scale ? p.scale[k / WIDTH * sgi_weight_groups(&p.w) + (group ? k % WIDTH / group : 0)] : 0;
        double bound = types[i] == SGI_BF16  ? 0x1p-8 * fabs((double)x[k])
                       : types[i] == SGI_F16 ? fmax(0x1p-11 * fabs((double)x[k]), 0x1p-25)
                                             : 0.5 * (double)scale * (1 + 1e-5);
        assert_true(fabs((double)p.plain[k] - (double)x[k]) <= bound);
      }
      assert_memory_equal(p.data, again.data, ROWS * sgi_weight_traits(types[i])->bytes(WIDTH));
      if (p.w.scale)
        for (size_t g = 0; g < ROWS * sgi_weight_groups(&p.w); g++)
          assert_true(fabsf(p.scale[g] - again.scale[g]) <= 2e-7f * p.scale[g]);
      drop(&p), drop(&again);
    }
  /* Ties go to even; a carry moves the exponent; NaN stays one; what has no number is told. */
  static const struct {
    uint32_t in;
    uint16_t out;
  } ties[] = {{0x3F808000, 0x3F80}, {0x3F818000, 0x3F82}, {0x3F808001, 0x3F81}, {0x3FFFFFFF, 0x4000},
              {0x7F800001, 0x7FC0}, {0xFF800000, 0xFF80}, {0x80000000, 0x8000}, {0x00008000, 0x0000}};
  size_t bad;
  uint16_t out;
  for (size_t i = 0; i < SGI_COUNT(ties); i++) {
    float v;
    memcpy(&v, &ties[i].in, sizeof v);
    assert_true(sgi_quantise_row(&(sgi_quantise){.to = SGI_BF16}, &out, NULL, &v, 1, &bad));
    assert_int_equal(out, ties[i].out);
  }
  float pair[2] = {1, 65520}, scale;
  assert_false(sgi_quantise_row(&(sgi_quantise){.to = SGI_F16}, (uint16_t[2]){0}, NULL, pair, 2, &bad));
  assert_int_equal(bad, 1);
  pair[1] = NAN;
  assert_true(sgi_quantise_row(&(sgi_quantise){.to = SGI_F16}, (uint16_t[2]){0}, NULL, pair, 2, &bad));
  assert_false(sgi_quantise_row(&(sgi_quantise){.to = SGI_I8}, (uint8_t[2]){0}, &scale, pair, 2, &bad));
  assert_int_equal(bad, 1);
  free(x);
}

/* Any stretch of a row, also one that begins within a byte or ends in another group. */
static void stretches(void **state) {
  (void)state;
  enum { ROWS = 3, WIDTH = 53 };
  float *x = numbers(ROWS * WIDTH, 4, 1), y[ROWS * WIDTH];
  for (size_t i = 0; i < TYPES; i++)
    for (size_t group = 0; group <= 10; group += 10) {
      if (group && types[i] != SGI_I8 && types[i] != SGI_U8) continue;
      packed p = make(types[i], ROWS, WIDTH, group, x);
      for (size_t first = 0; first < ROWS * WIDTH; first++)
        for (size_t n = 1; first + n <= ROWS * WIDTH; n += 7) {
          sgi_weight_read(y, &p.w, first, n);
          assert_memory_equal(y, p.plain + first, n * sizeof *y);
        }
      drop(&p);
    }
  free(x);
}

/* ---- products -------------------------------------------------------------------------------- */

static double worst_of(const float *y, size_t ldy, const float *a, size_t lda, const float *w, bool tb, size_t m,
                       size_t rows, size_t width, float beta, const float *old) {
  size_t columns = tb ? rows : width, inner = tb ? width : rows;
  double worst = 0;
  for (size_t i = 0; i < m; i++)
    for (size_t j = 0; j < columns; j++) {
      double sum = (double)beta * (double)old[i * ldy + j], size = fabs(sum) + 1e-30;
      for (size_t k = 0; k < inner; k++) {
        double term = (double)a[i * lda + k] * (double)(tb ? w[j * width + k] : w[k * width + j]);
        sum += term, size += fabs(term);
      }
      worst = fmax(worst, fabs((double)y[i * ldy + j] - sum) / size);
    }
  return worst;
}

static void product(const packed *p, size_t n, char *block, size_t bytes) {
  size_t rows = p->w.rows, width = p->w.width, ldy = rows + 3, ldx = width + 5;
  float *x = numbers(n * ldx, 5, 1), *y = numbers(2 * n * ldy, 6, 1), *dx = numbers(2 * n * ldx, 7, 1),
        *old = malloc(n * ldx * sizeof *old);
  memcpy(old, dx, n * ldx * sizeof *old);
  memcpy(dx + n * ldx, dx, n * ldx * sizeof *dx);
  sgi_arena scratch = {.base = block, .size = bytes};
  int before = omp_get_max_threads();
  for (int threads = 1; threads <= 2; threads++) {
    omp_set_num_threads(threads);
    size_t t = (size_t)threads - 1;
    assert_int_equal(sgi_stored_linear(y + t * n * ldy, ldy, x, ldx, &p->w, n, scratch), SG_OK);
    assert_int_equal(sgi_stored_linear_dx(dx + t * n * ldx, ldx, y, ldy, &p->w, n, 1, (sgi_arena){0}), SG_OK);
  }
  omp_set_num_threads(before);
  for (size_t i = 0; i < n; i++) {
    assert_memory_equal(y + i * ldy, y + (n + i) * ldy, rows * sizeof *y);
    assert_memory_equal(dx + i * ldx, dx + (n + i) * ldx, width * sizeof *dx);
  }
  assert_true(worst_of(y, ldy, x, ldx, p->plain, true, n, rows, width, 0, y) < 1e-5);
  assert_true(worst_of(dx, ldx, y, ldy, p->plain, false, n, rows, width, 1, old) < 1e-5);
  memcpy(dx, old, n * ldx * sizeof *dx);
  assert_int_equal(sgi_stored_product1(true, n, x, ldx, &p->w, 0, y, ldy), SG_OK);
  assert_int_equal(sgi_stored_product1(false, n, y, ldy, &p->w, 1, dx, ldx), SG_OK);
  assert_true(worst_of(y, ldy, x, ldx, p->plain, true, n, rows, width, 0, y) < 1e-5);
  assert_true(worst_of(dx, ldx, y, ldy, p->plain, false, n, rows, width, 1, old) < 1e-5);
  free(x), free(y), free(dx), free(old);
}

static void products(void **state) {
  (void)state;
  enum { ROWS = 150, WIDTH = 291 };
  static const size_t counts[] = {1, 3, 9, 40, 530};
  float *x = numbers(ROWS * WIDTH, 8, 1);
  sgi_arena measure = {0};
  sgi_linear_scratch(530, WIDTH, ROWS, &measure);
  char *block = sgi_alloc(measure.used);
  for (size_t i = 0; i < TYPES; i++) {
    packed p = make(types[i], ROWS, WIDTH, types[i] == SGI_U8 ? 34 : 0, x);
    for (size_t k = 0; k < SGI_COUNT(counts); k++) product(&p, counts[k], block, measure.used);
    drop(&p);
  }
  /* Two stored tensors: A (ROWS, 20) B (20, WIDTH), and C += A^T B. */
  for (size_t i = 0; i < TYPES; i++) {
    packed a = make(types[i], ROWS, 20, 0, x), b = make(types[TYPES - 1 - i], 20, WIDTH, 0, x + 9);
    float *c = malloc(ROWS * WIDTH * sizeof *c), *d = numbers(20 * WIDTH, 9, 1),
          *old = malloc(20 * WIDTH * sizeof *old);
    float *turned = malloc(ROWS * 20 * sizeof *turned);
    assert_int_equal(sgi_stored_pair1(&a.w, &b.w, c, WIDTH), SG_OK);
    assert_true(worst_of(c, WIDTH, a.plain, 20, b.plain, false, ROWS, 20, WIDTH, 0, c) < 1e-5);
    memcpy(old, d, 20 * WIDTH * sizeof *old);
    for (size_t r = 0; r < ROWS; r++)
      for (size_t k = 0; k < 20; k++) turned[k * ROWS + r] = a.plain[r * 20 + k];
    assert_int_equal(sgi_stored_across1(&a.w, WIDTH, c, WIDTH, d, WIDTH), SG_OK);
    assert_true(worst_of(d, WIDTH, turned, ROWS, c, false, 20, ROWS, WIDTH, 1, old) < 1e-5);
    drop(&a), drop(&b);
    free(c), free(d), free(old), free(turned);
  }
  sgi_free(block);
  free(x);
}

/* ---- files ----------------------------------------------------------------------------------- */

#define MODEL "tests/golden/models/sgatlin_product_dense_identity_odd"
#define POOL "model.layers.0.mlp.experts.w_in"

typedef struct files {
  char *directory, *path;
  sgi_tensor *t;
  size_t count;
  sgi_safetensors *file;
  const char *metadata[4];
  size_t n_metadata;
} files;

static files quantised_model(const sg_model *m, sgi_dtype to, size_t group) {
  files f = {.directory = golden_temporary()};
  sgi_quantized done;
  assert_sg_ok(
      sgi_model_quantize(m, &(sgi_quantize_request){.how = {.to = to, .group = group}}, f.directory, &done, err));
  f.path = sgi_path_join(f.directory, "model.safetensors");
  assert_sg_ok(sgi_safetensors_open(f.path, &f.file, err));
  f.count = sgi_safetensors_count(f.file);
  f.t = calloc(f.count + 1, sizeof *f.t);
  for (size_t i = 0; i < f.count; i++) {
    f.t[i] = *sgi_safetensors_at(f.file, i);
    void *copy = malloc(f.t[i].bytes + 4);
    memcpy(copy, f.t[i].data, f.t[i].bytes);
    f.t[i].data = copy;
  }
  return f;
}

static files quantised(sgi_dtype to, size_t group) {
  sg_model *m;
  assert_sg_ok(sg_model_load(MODEL, &m, err));
  files f = quantised_model(m, to, group);
  sg_model_free(m);
  return f;
}

static sgi_tensor *named(files *f, const char *name) {
  for (size_t i = 0; i < f->count; i++)
    if (!strcmp(f->t[i].name, name)) return &f->t[i];
  fail_msg("no tensor %s", name);
  return NULL;
}

/* Writes the files as they are now; they are refused, and the message says so. */
static void refused(files *f, const char *part) {
  sg_model *m = NULL;
  sg_error e = {0};
  assert_sg_ok(sgi_safetensors_save(f->path, f->t, f->count, f->metadata, f->n_metadata, err));
  sg_status st = sg_model_load(f->directory, &m, &e);
  if (!st || !strstr(e.text, part) || !strstr(e.text, f->path))
    fail_msg("status %d, \"%s\": expected \"%s\" and %s", st, e.text, part, f->path);
  assert_null(m);
}

static void taken(files *f) {
  sg_model *m;
  assert_sg_ok(sgi_safetensors_save(f->path, f->t, f->count, f->metadata, f->n_metadata, err));
  assert_sg_ok(sg_model_load(f->directory, &m, err));
  sg_model_free(m);
}

static void close_files(files *f) {
  for (size_t i = 0; i < f->count; i++) free((void *)(uintptr_t)f->t[i].data);
  free(f->t);
  sgi_safetensors_close(f->file);
  sgi_free(f->path);
  golden_remove(f->directory);
}

static void bad_scales(files *f) {
  sgi_tensor *scale = named(f, POOL ".scale");
  float *s = (float *)(uintptr_t)scale->data, right = s[3];
  s[3] = NAN;
  refused(f, POOL ", stored as int8: row 3 of");
  refused(f, "has a scale that is NaN");
  s[3] = -right;
  refused(f, "has a scale below 0");
  s[3] = INFINITY;
  refused(f, "has a scale that is infinite");
  s[3] = 0;
  refused(f, "has scale 0, and numbers that are not");
  int8_t *q = (int8_t *)(uintptr_t)named(f, POOL ".q8")->data;
  size_t width = named(f, POOL ".q8")->dims[2];
  int8_t *row = malloc(width);
  memcpy(row, q + 3 * width, width);
  memset(q + 3 * width, 0, width);
  taken(f); /* a row of zeros */
  memcpy(q + 3 * width, row, width);
  s[3] = right;
  taken(f);
  q[3 * width] = -128;
  refused(f, "holds -128");
  q[3 * width] = row[0];
  free(row);
}

static void int8_files(void **state) {
  (void)state;
  files f = quantised(SGI_I8, 0);
  taken(&f);
  bad_scales(&f);
  sgi_tensor *q = named(&f, POOL ".q8"), *scale = named(&f, POOL ".scale"), old = *q;
  q->dtype = SGI_U8;
  refused(&f, POOL ".q8 has type U8: expected I8");
  *q = old;
  q->name = POOL;
  refused(&f, POOL " has type I8: expected F32, BF16, F16 or F64");
  *q = old;
  q->name = POOL ".q2";
  refused(&f, "tensor " POOL " is missing");
  *q = old;
  q->dims[2]--;
  refused(&f, "config.json asks for");
  *q = old;
  old = *scale;
  scale->name = "other";
  refused(&f, "tensor " POOL ".scale is missing: " POOL ".q8 has no meaning without its scales");
  *scale = old;
  scale->dtype = SGI_I32;
  refused(&f, POOL ".scale has type I32: expected F32");
  *scale = old;
  scale->dims[1]--;
  refused(&f, POOL ".scale has shape");
  *scale = old;
  /* Both types of one tensor. */
  f.t[f.count] = *q;
  f.t[f.count].name = POOL ".q4";
  void *copy = malloc(q->bytes);
  memcpy(copy, q->data, q->bytes);
  f.t[f.count++].data = copy;
  refused(&f, "more than one type");
  free(copy), f.count--;
  /* A gain. */
  sgi_tensor *gain = named(&f, "model.norm.weight");
  old = *gain;
  gain->dtype = SGI_I8;
  gain->name = "model.norm.weight.q8";
  refused(&f, "gains and biases have no int8 or int4: expected model.norm.weight");
  *gain = old;
  taken(&f);
  close_files(&f);
}

static void int4_files(void **state) {
  (void)state;
  files f = quantised(SGI_U8, 0);
  taken(&f);
  sgi_tensor *q = named(&f, POOL ".q4"), old = *q;
  size_t bytes = q->dims[2];
  uint8_t *row = (uint8_t *)(uintptr_t)q->data + 2 * bytes, kept = row[0];
  row[0] = (uint8_t)((kept & 0xF0) | 8);
  refused(&f, POOL ", stored as int4: row 2 of");
  refused(&f, "holds -8");
  row[0] = kept;
  q->dims[2] = 2 * bytes - 1; /* unpacked */
  q->dims[1] = (q->dims[1] + 1) / 2;
  refused(&f, POOL ".q4 has shape");
  *q = old;
  taken(&f);
  close_files(&f);
}

/* An odd width: half a byte behind the last column, which must be empty. */
static void odd_files(void **state) {
  (void)state;
  sg_config c;
  sg_model *m;
  assert_sg_ok(sg_config_load("tests/golden/models/mlp", &c, err));
  c.num_neurons = 7;
  assert_sg_ok(sg_model_create(&c, 1, &m, err));
  files f = quantised_model(m, SGI_U8, 0);
  sg_model_free(m);
  taken(&f);
  sgi_tensor *q = named(&f, "model.layers.0.mlp.down_proj.weight.q4");
  assert_int_equal(q->dims[1], 4);
  uint8_t *last = (uint8_t *)(uintptr_t)q->data + 3;
  *last = (uint8_t)(*last | 0x30);
  refused(&f, "has something behind its last column");
  *last = (uint8_t)(*last & 0x0F);
  taken(&f);
  q->dims[1] = 3;
  refused(&f, "down_proj.weight.q4 has shape");
  close_files(&f);
}

static void group_files(void **state) {
  (void)state;
  files f = quantised(SGI_U8, 4);
  refused(&f, "the metadata do not say group_size");
  f.metadata[0] = "group_size", f.metadata[1] = "4", f.n_metadata = 1;
  taken(&f);
  f.metadata[1] = "3";
  refused(&f, "group_size is \"3\": expected an even number");
  f.metadata[1] = "0";
  refused(&f, "expected an even number");
  f.metadata[1] = "-4";
  refused(&f, "expected an even number");
  f.metadata[1] = "2000000";
  refused(&f, ".scale has shape");
  close_files(&f);
}

/* ---- a model of each type and of what it decodes to ------------------------------------------ */

static void same_model(void **state) {
  (void)state;
  sg_model *m;
  assert_sg_ok(sg_model_load(MODEL, &m, err));
  for (size_t i = 0; i < TYPES; i++) {
    char *a = golden_temporary(), *b = golden_temporary(), *c = golden_temporary();
    sg_model *small, *plain, *copy;
    sgi_quantized done;
    assert_sg_ok(sgi_model_quantize(m, &(sgi_quantize_request){.how = {.to = types[i]}}, a, &done, err));
    assert_sg_ok(sg_model_load(a, &small, err));
    assert_sg_ok(sgi_model_quantize(small, &(sgi_quantize_request){.how = {.to = SGI_F32}}, b, &done, err));
    assert_sg_ok(sg_model_load(b, &plain, err));
    assert_sg_ok(sg_model_save(small, c, err)); /* as it is stored */
    assert_sg_ok(sg_model_load(c, &copy, err));
    for (size_t k = 0; k < sg_model_tensor_count(m); k++) {
      sg_tensor x = sg_model_tensor(small, k), y = sg_model_tensor(plain, k), z = sg_model_tensor(copy, k);
      assert_string_equal(x.type, x.decay ? sgi_weight_traits(types[i])->name : "float32");
      assert_string_equal(y.type, "float32");
      assert_string_equal(z.type, x.type);
      assert_true(!x.decay == (x.data != NULL) && x.bytes == z.bytes && (!x.decay || x.bytes < y.bytes));
      assert_memory_equal(
          small->weights[k].data, copy->weights[k].data,
          small->weights[k].rows * sgi_weight_traits(small->weights[k].dtype)->bytes(small->weights[k].width));
      float *read = malloc(x.count * sizeof *read);
      assert_sg_ok(sg_model_read(small, k, 0, x.count, read, err));
      assert_memory_equal(read, y.data, x.count * sizeof *read);
      free(read);
    }
    sg_error e = {0};
    assert_int_equal(sg_model_read(small, 0, 1, sg_model_tensor(m, 0).count, NULL, &e), SG_ERR_ARG);
    float some[2];
    assert_int_equal(sg_model_read(small, 0, sg_model_tensor(m, 0).count - 1, 2, some, &e), SG_ERR_ARG);
    assert_int_equal(sg_model_read(small, sg_model_tensor_count(m), 0, 1, some, &e), SG_ERR_ARG);
    assert_int_equal(sgi_model_quantize(small, &(sgi_quantize_request){.how = {.to = SGI_F32}}, a, &done, &e),
                     SG_ERR_ARG);
    assert_non_null(strstr(e.text, "is the model itself"));
    assert_int_equal(
        sgi_model_quantize(small, &(sgi_quantize_request){.how = {.to = SGI_I8}, .only = "no*"}, b, &done, &e),
        SG_ERR_ARG);
    assert_sg_ok(sgi_model_own(small, err)); /* masters of training */
    for (size_t k = 0; k < sg_model_tensor_count(m); k++)
      assert_memory_equal(sg_model_tensor(small, k).data, sg_model_tensor(plain, k).data,
                          sg_model_tensor(plain, k).count * sizeof(float));
    sg_model_free(small), sg_model_free(plain), sg_model_free(copy);
    golden_remove(a), golden_remove(b), golden_remove(c);
  }
  sg_model_free(m);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(kernels),     cmocka_unit_test(gathers),    cmocka_unit_test(all_values),
      cmocka_unit_test(round_trips), cmocka_unit_test(stretches),  cmocka_unit_test(products),
      cmocka_unit_test(int8_files),  cmocka_unit_test(int4_files), cmocka_unit_test(odd_files),
      cmocka_unit_test(group_files), cmocka_unit_test(same_model),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
