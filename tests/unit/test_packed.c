/* Packed functions, evaluated many together, against sgi_expert_value, one by one in double: every
 * operation, any counts of splines, silus, named functions, bits and gates, any number of cells,
 * inputs beyond the grid; and that the same entries have the same bits whatever stands beside
 * them. */
#include "support/golden.h"

#include <math.h>
#include <string.h>

#include "core/arena.h"
#include "core/rng.h"
#include "functions/packed.h"

enum { FEATURES = 70, UNITS = 60, TOKENS = 20, FAR = 4 };

static double between(sgi_rng *r, double lo, double hi) { return lo + (hi - lo) * sgi_rng_uniform(r); }

static void random_expert(sgi_rng *r, const sgi_grid *g, sgi_expert *e) {
  e->edges = sgi_rng_below(r, SGI_MOST_EDGES + 1);
  e->bits = sgi_rng_below(r, SGI_MOST_BITS + 1);
  e->gates = e->bits ? sgi_rng_below(r, SGI_MOST_GATES + 1) : 0;
  e->outputs = sgi_rng_below(r, e->gates + 1);
  e->bias = between(r, -1, 1);
  bool silus = sgi_rng_below(r, 2);
  for (size_t k = 0; k < e->edges; k++) {
    sgi_edge *d = &e->edge[k];
    *d = (sgi_edge){.feature = sgi_rng_below(r, FEATURES), .form = SGI_SYMBOL_NONE};
    if (d->feature >= FAR && sgi_rng_below(r, 2)) d->form = (sgi_symbol_form)sgi_rng_below(r, SGI_SYMBOL_NONE);
    d->base = silus && d->form == SGI_SYMBOL_NONE ? between(r, -1, 1) : 0;
    for (size_t c = 0; c < sgi_grid_coefs(g) && d->form == SGI_SYMBOL_NONE; c++) d->coef[c] = between(r, -1, 1);
    d->a = between(r, -1, 1);
    d->b = between(r, -1, 1);
    d->c = between(r, -1, 1);
  }
  for (size_t b = 0; b < e->bits; b++) {
    e->bit_feature[b] = sgi_rng_below(r, FEATURES);
    e->threshold[b] = (double)(float)between(r, -1, 1);
  }
  for (size_t i = 0; i < e->gates; i++) {
    for (size_t s = 0; s < 2; s++) e->input[i][s] = sgi_rng_below(r, e->bits + i);
    for (size_t s = 0; s < 4; s++) e->table[i][s] = (double)sgi_rng_below(r, 2);
    e->gamma[i] = i + e->outputs < e->gates ? 0 : between(r, -1, 1);
  }
}

typedef struct pool {
  sgi_function_layer l;
  sgi_expert expert[UNITS];
  int32_t part[UNITS * SGI_FUNCTION_PARTS];
  float amount[UNITS * SGI_FUNCTION_PARTS], z[TOKENS * FEATURES];
  uint8_t bytes[UNITS * SGI_PACKED_MOST];
  size_t at[UNITS + 1];
  sgi_packed_basis basis[TOKENS * FEATURES];
  sgi_packed_entry entry[UNITS * TOKENS];
  float value[UNITS * TOKENS], again[UNITS * TOKENS];
  sgi_packed_work work;
} pool;

static pool *make(size_t cells, size_t basis_rows) {
  pool *p = sgi_alloc(sizeof *p);
  sgi_rng r = sgi_rng_make(cells, 1, basis_rows);
  p->l = (sgi_function_layer){.R = FEATURES,
                              .units = UNITS,
                              .grid = {-3, 3, cells},
                              .expert = p->expert,
                              .basis_rows = basis_rows,
                              .part = p->part,
                              .amount = p->amount};
  for (size_t u = 0; u < UNITS; u++) random_expert(&r, &p->l.grid, &p->expert[u]);
  for (size_t i = 0; i < UNITS * SGI_FUNCTION_PARTS; i++) {
    p->part[i] = (int32_t)sgi_rng_below(&r, basis_rows + 1);
    p->amount[i] = (float)between(&r, -1, 1);
  }
  for (size_t i = 0; i < TOKENS * FEATURES; i++) p->z[i] = (float)(2 * sgi_rng_normal(&r));
  static const float ends[FAR] = {-3, 3, 1e9f, -1e9f}; /* of splines and bits */
  memcpy(p->z, ends, sizeof ends);
  for (size_t u = 0; u < UNITS; u++) {
    size_t n = sgi_pack_expert(&p->l, u, p->bytes + p->at[u]);
    assert_int_equal(n, sgi_packed_bytes(&p->l, u) + sgi_packed_parts_bytes(&p->l));
    assert_true(n <= SGI_PACKED_MOST && n % 4 == 0);
    p->at[u + 1] = p->at[u] + n;
  }
  for (size_t t = 0; t < TOKENS; t++)
    sgi_packed_bases(&p->l.grid, true, p->z + t * FEATURES, FEATURES, p->basis + t * FEATURES);
  for (size_t i = 0; i < UNITS * TOKENS; i++) {
    size_t u = i * 7 % UNITS, t = i / UNITS;
    p->entry[i] = (sgi_packed_entry){p->bytes + p->at[u], p->basis + t * FEATURES};
  }
  return p;
}

static void in_batches(pool *p, size_t most, float *value) {
  for (size_t i = 0; i < UNITS * TOKENS; i += most) {
    size_t n = UNITS * TOKENS - i < most ? UNITS * TOKENS - i : most;
    size_t behind = UNITS * TOKENS - i - n;
    sgi_packed_values(&p->l, p->entry + i, n, behind < most ? behind : most, 200, &p->work, value + i);
  }
}

static void against_doubles(void **state) {
  (void)state;
  for (size_t cells = 1; cells <= SGI_MOST_CELLS; cells++) {
    pool *p = make(cells, cells % 2 ? 9 : 0);
    in_batches(p, SGI_PACKED_BATCH, p->value);
    for (size_t i = 0; i < UNITS * TOKENS; i++) {
      const sgi_expert *e = &p->expert[i * 7 % UNITS];
      const float *z = p->z + i / UNITS * FEATURES;
      double sum = fabs(e->bias) + 1, own = sgi_expert_value(e, &p->l.grid, z); /* what rounding is measured by */
      for (size_t k = 0; k < e->edges; k++)
        sum += fabs(sgi_edge_value(&e->edge[k], &p->l.grid, (double)z[e->edge[k].feature]));
      if (sum > 1e6) continue; /* a silu of 1e9 */
      if (!(fabs((double)p->value[i] - own) <= 2e-6 * sum))
        fail_msg("%zu cells, entry %zu: %.9g, in double %.9g of %g", cells, i, (double)p->value[i], own, sum);
    }
    sgi_free(p);
  }
}

static void whatever_stands_beside(void **state) {
  (void)state;
  pool *p = make(8, 5);
  in_batches(p, SGI_PACKED_BATCH, p->value);
  for (size_t most = 1; most < 100; most += 13) {
    in_batches(p, most, p->again);
    assert_memory_equal(p->value, p->again, sizeof p->value);
  }
  for (size_t u = 0; u < UNITS; u++) {
    uint32_t row[SGI_FUNCTION_PARTS];
    float amount[SGI_FUNCTION_PARTS];
    sgi_packed_parts(p->bytes + p->at[u], row, amount);
    assert_memory_equal(row, p->part + u * SGI_FUNCTION_PARTS, sizeof row);
    assert_memory_equal(amount, p->amount + u * SGI_FUNCTION_PARTS, sizeof amount);
  }
  sgi_free(p);
}

/* Every operation over a grid of arguments, near and far. */
static void operations(void **state) {
  (void)state;
  enum { N = 4001 };
  float *u = sgi_alloc(3 * N * sizeof *u), *t = u + N, *aside = t + N;
  for (int f = 0; f <= SGI_SYMBOL_NONE; f++)
    for (int scale = -3; scale <= 1; scale++) {
      for (size_t i = 0; i < N; i++) t[i] = u[i] = (float)(((double)i / 2000 - 1) * 6 * pow(10, scale));
      sgi_packed_apply((sgi_symbol_form)f, u, aside, N);
      for (size_t i = 0; i < N; i++) {
        double own = f == SGI_SYMBOL_NONE ? 0 : sgi_symbol_value((sgi_symbol_form)f, (double)t[i]);
        double arg = (double)t[i], off = fabs((double)u[i] - own), size = fabs(own);
        if (f == SGI_SYMBOL_LOG) size = fmax(size, 1);        /* near its zero the argument's own rounding */
        if (f == SGI_SYMBOL_GAUSS) size *= 1 + arg * arg / 4; /* that of its square */
        if (!(off <= 4e-7 * size + 1e-37))
          fail_msg("%s of %g: %.9g, not %.9g", sgi_symbol_name((sgi_symbol_form)f), arg, (double)u[i], own);
      }
    }
  sgi_free(u);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(against_doubles), cmocka_unit_test(whatever_stands_beside),
                                     cmocka_unit_test(operations)};
  return cmocka_run_group_tests_name("packed", tests, NULL, NULL);
}
