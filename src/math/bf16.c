#include "math/bf16.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "math/gemm.h"
#include "math/kernels.h"
#include "math/rows.h"
#include "math/transpose.h"

enum { ROWS = SGI_BF16_ROWS, COLUMNS = SGI_BF16_COLUMNS, INNER = SGI_BF16_INNER, STRIP = 16 };

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* ---- which way ------------------------------------------------------------------------------- */

bool sgi_bf16_gains(void) {
  const char *own = sgi_gemm_bf16_instructions();
  if (!own) return false;
#if defined(__x86_64__)
  __builtin_cpu_init();
  return !strcmp(own, "amx") || __builtin_cpu_is("amd");
#else
  return false;
#endif
}

static const char *wanted(void) {
  const char *want = getenv("SGATLIN_BF16");
  return want && *want ? want : NULL;
}

static bool native(void) {
  static atomic_int known; /* 0: not asked yet; the same answer whoever asks */
  int k = atomic_load(&known);
  if (!k) {
    const char *want = wanted();
    bool yes = want ? !strcmp(want, "native") && sgi_gemm_bf16_instructions() : sgi_bf16_gains();
    atomic_store(&known, k = yes ? 1 : 2);
  }
  return k == 1;
}

const char *sgi_bf16_path(void) { return native() ? sgi_gemm_bf16_instructions() : "emulated"; }

sg_status sgi_bf16_check(sg_error *err) {
  const char *want = wanted();
  if (want && strcmp(want, "native") && strcmp(want, "emulated"))
    return sgi_fail(err, SG_ERR_ARG, "SGATLIN_BF16: unknown value '%.40s': expected native or emulated", want);
  if (want && !strcmp(want, "native") && !sgi_gemm_bf16_instructions())
    return sgi_fail(err, SG_ERR_ARG,
                    "SGATLIN_BF16=native: this processor has neither AMX nor AVX512-BF16; emulated runs everywhere");
  return SG_OK;
}

sg_status sgi_bf16_ready(sg_error *err) {
  sg_status st = sgi_bf16_check(err);
  return !st && native() ? sgi_gemm_bf16_ready(err) : st;
}

/* ---- one tile -------------------------------------------------------------------------------- */

/* What one product is, and the part of it that a thread makes: rows [i, i + m), columns [j, j +
 * n). */
typedef struct product {
  bool ta, tb;
  size_t k;
  const float *a;
  size_t lda;
  sgi_bf16_operand b;
  float beta;
  float *c;
  size_t ldc;
} product;

typedef struct part {
  size_t i, m, j, n;
} part;

/* Rows r, columns c of a matrix from (row, column) on. */
typedef struct corner {
  size_t row, column, rows, columns;
} corner;

/* Turned operands lie the other way round: their rows are the product's columns. */
static corner turned(bool t, size_t row, size_t column, size_t rows, size_t columns) {
  return t ? (corner){column, row, columns, rows} : (corner){row, column, rows, columns};
}

/* The block as float32 numbers that are bf16, rows of its own columns. */
static void pack_floats(float *out, const sgi_bf16_operand *x, corner b) {
  const sgi_kernels *kern = sgi_kernel_table();
  for (size_t r = 0; r < b.rows; r++, out += b.columns) {
    size_t at = (b.row + r) * x->ld + b.column;
    if (x->halves)
      kern->stored[SGI_STORED_BF16].decode(out, x->halves + at, 1, b.columns);
    else
      kern->round_bf16(out, x->floats + at, b.columns);
  }
}

/* The block's transpose likewise, strip by strip: products like B best as it is
 * (docs/architecture.md, products). */
static void pack_transposed(float *out, const sgi_bf16_operand *x, corner b) {
  float strip[STRIP * INNER];
  for (size_t r = 0; r < b.rows; r += STRIP) {
    corner some = {b.row + r, b.column, least(STRIP, b.rows - r), b.columns};
    pack_floats(strip, x, some);
    sgi_transpose(out + r, b.rows, strip, b.columns, some.rows, b.columns);
  }
}

/* The block as bf16 in rows of `width`, of a block of `height` rows: what is past it is 0. */
static void pack_halves(uint16_t *out, size_t height, size_t width, const sgi_bf16_operand *x, corner b) {
  const sgi_kernels *kern = sgi_kernel_table();
  for (size_t r = 0; r < height; r++, out += width) {
    size_t at = (b.row + r) * x->ld + b.column, some = r < b.rows ? b.columns : 0;
    if (some && x->halves) memcpy(out, x->halves + at, some * sizeof *out);
    if (some && x->floats) kern->to_bf16(out, x->floats + at, some);
    if (some < width) memset(out + some, 0, (width - some) * sizeof *out);
  }
}

static sg_status emulated_tile(const product *p, part t) {
  _Alignas(64) float a[ROWS * INNER], b[INNER * COLUMNS];
  sgi_bf16_operand left = {.floats = p->a, .ld = p->lda};
  sg_status st = SG_OK;
  for (size_t k = 0; k < p->k; k += INNER)
    for (size_t j = t.j; j < t.j + t.n; j += COLUMNS) {
      size_t inner = least(INNER, p->k - k), columns = least(COLUMNS, t.j + t.n - j);
      if (p->tb)
        pack_transposed(b, &p->b, turned(true, k, j, inner, columns));
      else
        pack_floats(b, &p->b, (corner){k, j, inner, columns});
      for (size_t i = t.i; i < t.i + t.m && !st; i += ROWS) {
        size_t rows = least(ROWS, t.i + t.m - i);
        pack_floats(a, &left, turned(p->ta, i, k, rows, inner));
        st = sgi_gemm1(p->ta, false, rows, columns, inner, 1, a, p->ta ? rows : inner, b, columns, k ? 1 : p->beta,
                       p->c + i * p->ldc + j, p->ldc);
      }
    }
  return st;
}

/* C (rows, columns) = or += a block's sums. */
static void take(float *c, size_t ldc, const float *sums, size_t rows, size_t columns, bool add) {
  for (size_t r = 0; r < rows; r++)
    if (add)
      sgi_kernel_table()->add(c + r * ldc, sums + r * COLUMNS, columns);
    else
      memcpy(c + r * ldc, sums + r * COLUMNS, columns * sizeof *c);
}

static sg_status native_tile(const product *p, part t) {
  _Alignas(64) uint16_t a[ROWS * INNER], b[INNER * COLUMNS];
  _Alignas(64) float sums[ROWS * COLUMNS];
  sgi_bf16_operand left = {.floats = p->a, .ld = p->lda};
  sg_status st = SG_OK;
  for (size_t k = 0; k < p->k; k += INNER)
    for (size_t j = t.j; j < t.j + t.n; j += COLUMNS) {
      size_t inner = least(INNER, p->k - k), columns = least(COLUMNS, t.j + t.n - j);
      pack_halves(b, p->tb ? COLUMNS : INNER, p->tb ? INNER : COLUMNS, &p->b, turned(p->tb, k, j, inner, columns));
      for (size_t i = t.i; i < t.i + t.m && !st; i += ROWS) {
        size_t rows = least(ROWS, t.i + t.m - i);
        pack_halves(a, p->ta ? INNER : ROWS, p->ta ? ROWS : INNER, &left, turned(p->ta, i, k, rows, inner));
        st = sgi_gemm_bf16_block(p->ta, p->tb, a, b, sums);
        take(p->c + i * p->ldc + j, p->ldc, sums, rows, columns, k || p->beta != 0);
      }
    }
  return st;
}

static sg_status one_tile(const product *p, part t) { return native() ? native_tile(p, t) : emulated_tile(p, t); }

/* ---- products -------------------------------------------------------------------------------- */

/* An empty sum leaves beta C. */
static bool empty(size_t m, size_t n, size_t k, float beta, float *c, size_t ldc) {
  for (size_t i = 0; i < m && !k && beta == 0; i++) memset(c + i * ldc, 0, n * sizeof *c);
  return !m || !n || !k;
}

sg_status sgi_bf16_gemm(bool ta, bool tb, size_t m, size_t n, size_t k, const float *a, size_t lda, sgi_bf16_operand b,
                        float beta, float *c, size_t ldc) {
  if (empty(m, n, k, beta, c, ldc)) return SG_OK;
  product p = {ta, tb, k, a, lda, b, beta, c, ldc};
  size_t tm, tn;
  sgi_gemm_tile(m, n, &tm, &tn);
  size_t columns = (n + tn - 1) / tn, tiles = (m + tm - 1) / tm * columns;
  if (tiles == 1) return one_tile(&p, (part){0, m, 0, n});
  atomic_int worst = SG_OK;
#pragma omp parallel for schedule(dynamic, 1)
  for (size_t t = 0; t < tiles; t++) {
    size_t i = t / columns * tm, j = t % columns * tn;
    sg_status st = one_tile(&p, (part){i, least(tm, m - i), j, least(tn, n - j)});
    if (st) atomic_store(&worst, st);
  }
  return (sg_status)atomic_load(&worst);
}

sg_status sgi_bf16_gemm1(bool ta, bool tb, size_t m, size_t n, size_t k, const float *a, size_t lda, sgi_bf16_operand b,
                         float beta, float *c, size_t ldc) {
  if (empty(m, n, k, beta, c, ldc)) return SG_OK;
  product p = {ta, tb, k, a, lda, b, beta, c, ldc};
  return one_tile(&p, (part){0, m, 0, n});
}

void sgi_bf16_round(float *x, size_t count) { sgi_apply(sgi_kernel_table()->round_bf16, x, x, count); }
