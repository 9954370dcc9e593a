#include "functions/packed.h"

#include <math.h>
#include <string.h>

#include "math/kernels.h"

enum { HAS_PARTS = 1, HAS_SILUS = 2 };
/* A shape: splines, named functions, whether there is more. */
enum { LINE = 64, SHAPE_SPLINES = 15, SHAPE_REST = 4, SHAPE_MORE = 256, SHAPES = 512 };

typedef float four __attribute__((vector_size(16)));
typedef int32_t whole __attribute__((vector_size(16)));

/* ---- writing --------------------------------------------------------------------------------- */

typedef struct counts {
  size_t splines, named, bits, gates, outputs;
  unsigned flags;
} counts;

static counts counts_of(const sgi_function_layer *l, const sgi_expert *e) {
  counts n = {.bits = e->bits, .gates = e->gates, .outputs = e->outputs, .flags = l->basis_rows ? HAS_PARTS : 0};
  for (size_t k = 0; k < e->edges; k++) {
    bool spline = e->edge[k].form == SGI_SYMBOL_NONE;
    n.splines += spline;
    n.named += !spline;
    if (spline && e->edge[k].base != 0) n.flags |= HAS_SILUS;
  }
  return n;
}

size_t sgi_packed_bytes(const sgi_function_layer *l, size_t unit) {
  counts n = counts_of(l, &l->expert[unit]);
  size_t spline = sgi_grid_coefs(&l->grid) + (n.flags & HAS_SILUS ? 1 : 0);
  return 8 + (n.splines + 1) / 2 * 4 + n.splines * spline * 4 + n.named * 16 + n.bits * 8 + n.gates * 4 + n.outputs * 4;
}

typedef struct pen {
  uint8_t *to;
  size_t at;
} pen;

static void put(pen *p, const void *from, size_t n) {
  memcpy(p->to + p->at, from, n);
  p->at += n;
}

static void put_float(pen *p, double x) {
  float f = (float)x;
  put(p, &f, sizeof f);
}

static void put_pair(pen *p, size_t a, size_t b) {
  uint16_t two[2] = {(uint16_t)a, (uint16_t)b};
  put(p, two, sizeof two);
}

static void put_splines(pen *p, const sgi_function_layer *l, const sgi_expert *e, const counts *n) {
  const sgi_edge *spline[SGI_MOST_EDGES];
  size_t m = 0;
  for (size_t k = 0; k < e->edges; k++)
    if (e->edge[k].form == SGI_SYMBOL_NONE) spline[m++] = &e->edge[k];
  for (size_t k = 0; k < m; k += 2) put_pair(p, spline[k]->feature, k + 1 < m ? spline[k + 1]->feature : 0);
  for (size_t k = 0; k < m; k++)
    for (size_t c = 0; c < sgi_grid_coefs(&l->grid); c++) put_float(p, spline[k]->coef[c]);
  for (size_t k = 0; k < m && n->flags & HAS_SILUS; k++) put_float(p, spline[k]->base);
}

static void put_logic(pen *p, const sgi_expert *e) {
  for (size_t b = 0; b < e->bits; b++) {
    put_pair(p, e->bit_feature[b], 0);
    put_float(p, e->threshold[b]);
  }
  for (size_t i = 0; i < e->gates; i++) {
    unsigned table = 0;
    for (size_t s = 0; s < 4; s++) table |= (unsigned)(e->table[i][s] > 0.5) << s;
    uint8_t gate[4] = {(uint8_t)e->input[i][0], (uint8_t)e->input[i][1], (uint8_t)table, 0};
    put(p, gate, sizeof gate);
  }
  for (size_t i = e->gates - e->outputs; i < e->gates; i++) put_float(p, e->gamma[i]);
}

size_t sgi_pack_expert(const sgi_function_layer *l, size_t unit, uint8_t *to) {
  const sgi_expert *e = &l->expert[unit];
  counts n = counts_of(l, e);
  pen p = {to, 0};
  uint8_t head[4] = {(uint8_t)(n.splines | n.named << 4), (uint8_t)(n.bits | n.gates << 4), (uint8_t)n.outputs,
                     (uint8_t)n.flags};
  put(&p, head, sizeof head);
  put_float(&p, e->bias);
  for (size_t q = 0; q < SGI_FUNCTION_PARTS && n.flags & HAS_PARTS; q++) {
    uint32_t row = (uint32_t)l->part[unit * SGI_FUNCTION_PARTS + q];
    put(&p, &row, sizeof row);
    put_float(&p, (double)l->amount[unit * SGI_FUNCTION_PARTS + q]);
  }
  put_splines(&p, l, e, &n);
  for (size_t k = 0; k < e->edges; k++) {
    const sgi_edge *d = &e->edge[k];
    if (d->form == SGI_SYMBOL_NONE) continue;
    put_pair(&p, d->feature, d->form);
    put_float(&p, d->a);
    put_float(&p, d->b);
    put_float(&p, d->c);
  }
  put_logic(&p, e);
  return p.at;
}

/* ---- what a token's functions share ---------------------------------------------------------- */

static four all(float x) { return (four){x, x, x, x}; }
static whole choose(whole yes, whole a, whole b) { return (a & yes) | (b & ~yes); }
/* NaN counts as below. */
static four within(four x, float lo, float hi) {
  whole below = choose(x < hi, (whole)x, (whole)all(hi));
  return (four)choose(x > lo, below, (whole)all(lo));
}

/* Rows of four by four numbers become columns. */
static void turn(four r[4]) {
  four a = __builtin_shufflevector(r[0], r[1], 0, 4, 1, 5), b = __builtin_shufflevector(r[2], r[3], 0, 4, 1, 5);
  four c = __builtin_shufflevector(r[0], r[1], 2, 6, 3, 7), d = __builtin_shufflevector(r[2], r[3], 2, 6, 3, 7);
  r[0] = __builtin_shufflevector(a, b, 0, 1, 4, 5);
  r[1] = __builtin_shufflevector(a, b, 2, 3, 6, 7);
  r[2] = __builtin_shufflevector(c, d, 0, 1, 4, 5);
  r[3] = __builtin_shufflevector(c, d, 2, 3, 6, 7);
}

/* Four features side by side. */
static void bases(const sgi_grid *g, const float *z, const float *silu, sgi_packed_basis *out) {
  float lo = (float)g->lo, hi = (float)g->hi, per = (float)((double)g->cells / (g->hi - g->lo));
  int last = (int)g->cells - 1;
  four x, w[4], sixth = all(1.0f / 6);
  memcpy(&x, z, sizeof x);
  four at = (within(x, lo, hi) - lo) * per;
  whole j = __builtin_convertvector(at, whole);
  j = choose(j < last, j, (whole){last, last, last, last});
  four u = at - __builtin_convertvector(j, four), v = 1 - u, uu = u * u;
  w[0] = v * v * v * sixth;
  w[1] = (3 * uu * u - 6 * uu + 4) * sixth;
  w[2] = (-3 * uu * u + 3 * uu + 3 * u + 1) * sixth;
  w[3] = uu * u * sixth;
  four far[4] = {(four)j, {0}, x, {0}};
  memcpy(&far[1], silu, sizeof far[1]);
  turn(w);
  turn(far);
  for (size_t k = 0; k < 4; k++) {
    memcpy(out[k].weight, &w[k], sizeof w[k]);
    memcpy(&out[k].cell, &far[k], sizeof far[k]);
  }
}

void sgi_packed_bases(const sgi_grid *g, bool silus, const float *z, size_t R, sgi_packed_basis *out) {
  enum { BLOCK = 64 };
  float silu[BLOCK] = {0}, rest[4] = {0};
  sgi_packed_basis last[4];
  for (size_t i = 0; i < R; i += BLOCK) {
    size_t n = R - i < BLOCK ? R - i : BLOCK, k = 0;
    if (silus) sgi_kernel_table()->swish(silu, z + i, n);
    for (; k + 4 <= n; k += 4) bases(g, z + i + k, silu + k, out + i + k);
    if (k == n) continue;
    memcpy(rest, z + i + k, (n - k) * sizeof *rest);
    bases(g, rest, silu + k, last);
    memcpy(out + i + k, last, (n - k) * sizeof *out);
  }
}

/* ---- one function ---------------------------------------------------------------------------- */

static float take_float(const uint8_t **p) {
  float f;
  memcpy(&f, *p, sizeof f);
  *p += sizeof f;
  return f;
}

static four take_four(const uint8_t *p) {
  four v;
  memcpy(&v, p, sizeof v);
  return v;
}

static uint16_t feature_at(const uint8_t *list, size_t k) {
  uint16_t f;
  memcpy(&f, list + 2 * k, sizeof f);
  return f;
}

/* The bias, and n splines, a constant where this is inlined. */
static inline __attribute__((always_inline)) float smooth(const size_t n, const sgi_packed_entry *e, size_t skip,
                                                          size_t coefs) {
  const uint8_t *list = e->at + 8 + skip, *coef = list + (n + 1) / 2 * 4;
  float bias;
  four sum[2] = {{0}, {0}};
  memcpy(&bias, e->at + 4, sizeof bias);
#pragma GCC unroll 8
  for (size_t k = 0; k < n; k++, coef += 4 * coefs) {
    const sgi_packed_basis *x = &e->basis[feature_at(list, k)];
    sum[k % 2] += take_four(coef + 4 * (size_t)x->cell) * take_four((const uint8_t *)x->weight);
  }
  sum[0] += sum[1];
  return bias + ((sum[0][0] + sum[0][1]) + (sum[0][2] + sum[0][3]));
}

static void fetch(const uint8_t *p, size_t bytes) {
  for (size_t at = 0; at < bytes; at += LINE) __builtin_prefetch(p + at, 0, 2);
}

/* Entries order[from] to order[to - 1], all of n splines. */
static void run(size_t n, const sgi_packed_entry *entry, const uint16_t *order, size_t from, size_t to, size_t more,
                size_t usual, size_t skip, size_t coefs, const sgi_packed_entry *next, float *value) {
#define EACH(N) \
  case N: \
    for (size_t i = from; i < to; i++) { \
      value[order[i]] = smooth(N, &entry[order[i]], skip, coefs); \
      if (i < more) fetch(next[i].at, usual); \
    } \
    break;
  switch (n) { EACH(0) EACH(1) EACH(2) EACH(3) EACH(4) EACH(5) EACH(6) EACH(7) EACH(8) }
#undef EACH
}

static void add_silus(const uint8_t *list, const uint8_t *base, size_t n, const sgi_packed_basis *basis, float *value) {
  for (size_t k = 0; k < n; k++) *value += take_float(&base) * basis[feature_at(list, k)].silu;
}

static void put_aside(const uint8_t *p, size_t n, size_t entry, const sgi_packed_basis *basis, sgi_packed_work *w) {
  for (size_t k = 0; k < n; k++) {
    float z = basis[feature_at(p, 0)].z;
    w->form[w->n] = (uint8_t)feature_at(p, 1);
    p += 4;
    w->a[w->n] = take_float(&p);
    float b = take_float(&p);
    w->u[w->n] = b * z + take_float(&p);
    w->entry[w->n++] = (uint16_t)entry;
  }
}

/* Nodes are digits of a word. */
static float logic(const uint8_t *p, size_t bits, size_t gates, size_t outputs, const sgi_packed_basis *basis) {
  unsigned node = 0;
  float sum = 0;
  for (size_t b = 0; b < bits; b++) {
    float z = basis[feature_at(p, 0)].z;
    p += 4;
    node |= (unsigned)(z > take_float(&p)) << b;
  }
  const uint8_t *gamma = p + gates * 4;
  for (size_t i = 0; i < gates; i++, p += 4) {
    unsigned in = (node >> p[0] & 1) * 2 + (node >> p[1] & 1);
    node |= (p[2] >> in & 1u) << (bits + i);
  }
  for (size_t i = gates - outputs; i < gates; i++) sum += take_float(&gamma) * (float)(node >> (bits + i) & 1);
  return sum;
}

/* What stands behind the splines: silus, named functions, which go to w, and gates. */
static void rest_of(const sgi_function_layer *l, const sgi_packed_entry *e, size_t entry, sgi_packed_work *w,
                    float *value) {
  uint8_t head[4];
  memcpy(head, e->at, sizeof head);
  size_t splines = head[0] & 15, named = head[0] >> 4;
  const uint8_t *list = e->at + 8 + sgi_packed_parts_bytes(l), *p = list + (splines + 1) / 2 * 4;
  p += splines * 4 * sgi_grid_coefs(&l->grid);
  if (head[3] & HAS_SILUS) {
    add_silus(list, p, splines, e->basis, value);
    p += 4 * splines;
  }
  put_aside(p, named, entry, e->basis, w);
  if (head[1]) *value += logic(p + 16 * named, head[1] & 15, head[1] >> 4, head[2], e->basis);
}

void sgi_packed_parts(const uint8_t *p, uint32_t row[SGI_FUNCTION_PARTS], float amount[SGI_FUNCTION_PARTS]) {
  p += 8;
  for (size_t q = 0; q < SGI_FUNCTION_PARTS; q++) {
    memcpy(&row[q], p, sizeof row[q]);
    p += 4;
    amount[q] = take_float(&p);
  }
}

/* ---- named functions, operation by operation ------------------------------------------------- */

/* Of small u a series: 1 - t would lose what is left. */
static void hyperbolic(float *u, float *t, size_t n) {
  for (size_t i = 0; i < n; i++) t[i] = fabsf(u[i]);
  sgi_kernel_table()->exp_shift(t, n, -2, 0);
#pragma omp simd
  for (size_t i = 0; i < n; i++) {
    float x = u[i], s = x * x;
    float small = x * (1 + s * (-1.0f / 3 + s * (2.0f / 15 + s * (-17.0f / 315 + s * (62.0f / 2835)))));
    float large = (1 - t[i]) / (1 + t[i]);
    u[i] = s < 0.0625f ? small : x < 0 ? -large : large;
  }
}

static void exponential(float *u, size_t n) { sgi_kernel_table()->exp_shift(u, n, 1, 0); }

void sgi_packed_apply(sgi_symbol_form f, float *u, float *aside, size_t n) {
  size_t i;
  switch (f) {
    case SGI_SYMBOL_LINE: return;
    case SGI_SYMBOL_SQUARE:
      for (i = 0; i < n; i++) u[i] *= u[i];
      return;
    case SGI_SYMBOL_ABS:
      for (i = 0; i < n; i++) u[i] = fabsf(u[i]);
      return;
    case SGI_SYMBOL_RELU:
      for (i = 0; i < n; i++) u[i] = u[i] > 0 ? u[i] : 0;
      return;
    case SGI_SYMBOL_STEP:
      for (i = 0; i < n; i++) u[i] = u[i] > 0 ? 1.0f : 0.0f;
      return;
    case SGI_SYMBOL_CUBE:
      for (i = 0; i < n; i++) u[i] *= u[i] * u[i];
      return;
    case SGI_SYMBOL_SQRT:
      for (i = 0; i < n; i++) u[i] = sqrtf(u[i] > 0 ? u[i] : 0);
      return;
    case SGI_SYMBOL_EXP:
      for (i = 0; i < n; i++) u[i] = u[i] < 20 ? u[i] : 20;
      exponential(u, n);
      return;
    case SGI_SYMBOL_GAUSS:
      for (i = 0; i < n; i++) u[i] *= -u[i];
      exponential(u, n);
      return;
    case SGI_SYMBOL_TANH: hyperbolic(u, aside, n); return;
    case SGI_SYMBOL_LOG:
      for (i = 0; i < n; i++) u[i] = logf(u[i] > 1e-4f ? u[i] : 1e-4f);
      return;
    case SGI_SYMBOL_SIN:
      for (i = 0; i < n; i++) u[i] = sinf(u[i]);
      return;
    case SGI_SYMBOL_ZERO:
    case SGI_SYMBOL_NONE: memset(u, 0, n * sizeof *u);
  }
}

/* Counting sort by form, in order within one. */
static void add_named(sgi_packed_work *w, float *value) {
  size_t start[SGI_SYMBOL_NONE + 2] = {0}, next[SGI_SYMBOL_NONE + 1];
  for (size_t i = 0; i < w->n; i++) start[w->form[i] + 1]++;
  for (size_t f = 0; f <= SGI_SYMBOL_NONE; f++) {
    next[f] = start[f];
    start[f + 1] += start[f];
  }
  for (size_t i = 0; i < w->n; i++) {
    size_t at = next[w->form[i]]++;
    w->sorted[at] = (uint16_t)i;
    w->result[at] = w->u[i];
  }
  for (size_t f = 0; f <= SGI_SYMBOL_NONE; f++)
    if (start[f + 1] > start[f])
      sgi_packed_apply((sgi_symbol_form)f, w->result + start[f], w->aside, start[f + 1] - start[f]);
  for (size_t at = 0; at < w->n; at++) value[w->entry[w->sorted[at]]] += w->a[w->sorted[at]] * w->result[at];
}

static void look(const sgi_packed_entry *entry, size_t n, uint16_t *shape) {
  for (size_t i = 0; i < n; i++) {
    uint8_t head[4];
    memcpy(head, entry[i].at, sizeof head);
    shape[i] = (uint16_t)(head[0] | (head[1] || head[3] & HAS_SILUS ? SHAPE_MORE : 0));
  }
}

/* Counting sort of entries by digits of their shapes, in order within one number; start (digits +
 * 1). */
static void by_digit(const uint16_t *shape, size_t n, unsigned shift, size_t digits, uint16_t *order, uint16_t *start) {
  uint16_t next[SHAPES];
  memset(start, 0, (digits + 1) * sizeof *start);
  for (size_t i = 0; i < n; i++) start[(shape[i] >> shift) % digits + 1]++;
  for (size_t k = 0; k < digits; k++) {
    next[k] = start[k];
    start[k + 1] = (uint16_t)(start[k + 1] + start[k]);
  }
  for (size_t i = 0; i < n; i++) order[next[(shape[i] >> shift) % digits]++] = (uint16_t)i;
}

void sgi_packed_values(const sgi_function_layer *l, const sgi_packed_entry *entry, size_t n, size_t more, size_t usual,
                       sgi_packed_work *work, float *value) {
  enum { SPLINES = SHAPE_SPLINES + 1, REST = SHAPES / SPLINES };
  uint16_t start[REST + 1];
  look(entry, n, work->shape);
  by_digit(work->shape, n, 0, SPLINES, work->order, start);
  for (size_t k = 0; k <= SGI_MOST_EDGES; k++)
    run(k, entry, work->order, start[k], start[k + 1], more, usual, sgi_packed_parts_bytes(l), sgi_grid_coefs(&l->grid),
        entry + n, value);
  work->n = 0;
  by_digit(work->shape, n, SHAPE_REST, REST, work->rest, start);
  for (size_t i = start[1]; i < n; i++) rest_of(l, &entry[work->rest[i]], work->rest[i], work, &value[work->rest[i]]);
  if (work->n) add_named(work, value);
}
