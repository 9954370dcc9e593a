/* Both ways read a mapped file: input rows, output rows, and each function packed into as few bytes
 * as say it, with what it writes to where that goes through a basis. Neurons are drawn evenly,
 * other ones in every round, so that a pool beyond the caches is met there. */
#include "functions/bench.h"

#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <string.h>

#include "core/arena.h"
#include "core/file.h"
#include "core/rng.h"
#include "ffn/activation.h"
#include "ffn/sparse.h"
#include "functions/packed.h"
#include "math/gemm.h"

enum { DRAWS = 16, LEAST_ROUNDS = 8, BLOCK = 1 << 20 };

typedef struct bench {
  const sgi_function_bench_request *r;
  const sgi_function_layer *l;
  size_t F, units, m; /* neurons of a pool, of all; entries of a token */
  uint32_t *which;    /* units of the layer that have a function */
  size_t n_which;
  sgi_map map;
  sgi_packed_pool pool;
  size_t at_out, at_packed; /* places in the file; input rows are the first */
  int32_t *index;           /* (DRAWS,rows,C,K) */
  float *x, *z, *value, *y, *zeta;
  bool silus;              /* a function has one */
  sgi_packed_basis *basis; /* (rows,R) */
  sgi_packed_entry *entry; /* (rows,C,K) */
  uint32_t *row;           /* (rows,C,K,SGI_FUNCTION_PARTS) of the basis of outputs */
  float *amount;           /* likewise */
} bench;

/* ---- the file -------------------------------------------------------------------------------- */

static sg_status write_rows(const bench *b, sgi_writer *w, uint64_t sub, sg_error *err) {
  size_t D = b->l->D, block = BLOCK / D + 1;
  float *rows = sgi_alloc(block * D * sizeof *rows);
  sgi_rng rng = sgi_rng_make(b->r->seed, SGI_STREAM_FUNCTIONS, sub);
  sg_status st = rows ? SG_OK : sgi_fail_memory(err, block * D * sizeof *rows, "rows of a pool");
  for (size_t i = 0; i < block * D && !st; i++) rows[i] = (float)((sgi_rng_uniform(&rng) - 0.5) / sqrt((double)D));
  for (size_t first = 0; first < b->units && !st; first += block) {
    size_t n = b->units - first < block ? b->units - first : block;
    st = sgi_writer_write(w, rows, n * D * sizeof *rows, err);
    if (!st && b->r->progress && !b->r->progress(b->r->user, first + n, b->units))
      st = sgi_fail(err, SG_ERR_CANCELLED, "stopped");
  }
  sgi_free(rows);
  return st;
}

static sg_status write_functions(const bench *b, sgi_writer *w, sg_error *err) {
  uint8_t part[SGI_PACKED_MOST + SGI_ALIGN] = {0};
  sg_status st = SG_OK;
  for (size_t u = 0; u < b->units && !st; u++) {
    sgi_pack_expert(b->l, b->which[u % b->n_which], part);
    st = sgi_writer_write(w, part, b->pool.step, err);
  }
  return st;
}

static sg_status write_file(bench *b, sg_error *err) {
  sgi_writer *w = NULL;
  size_t rows, all;
  if (!sgi_size_mul(b->units, b->l->D * sizeof(float), &rows) || !sgi_size_mul(rows, 3, &all))
    return sgi_fail(err, SG_ERR_ARG, "a pool of %zu neurons is more than can be counted", b->units);
  b->at_out = rows;
  b->at_packed = (2 * rows + SGI_ALIGN - 1) / SGI_ALIGN * SGI_ALIGN;
  sg_status st = sgi_writer_open(b->r->file, &w, err);
  if (!st) st = write_rows(b, w, 1, err);
  if (!st) st = write_rows(b, w, 2, err);
  if (!st) st = sgi_writer_write(w, (const uint8_t[SGI_ALIGN]){0}, b->at_packed - 2 * rows, err);
  if (!st) st = write_functions(b, w, err);
  if (st)
    sgi_writer_drop(w);
  else
    st = sgi_writer_close(w, err);
  if (!st) st = sgi_map_file(b->r->file, &b->map, err);
  if (!st) b->pool.first = b->map.data + b->at_packed;
  sgi_remove_tree(b->r->file, NULL); /* the mapping stays */
  return st;
}

/* ---- rounds ---------------------------------------------------------------------------------- */

static sgi_sparse shape_of(const bench *b) {
  return (sgi_sparse){.n = b->r->rows,
                      .channels = b->l->C,
                      .top_k = b->l->K,
                      .pool = b->F,
                      .D = b->l->D,
                      .pool_per_channel = b->l->pools > 1};
}

static void matrix_round(bench *b, const int32_t *index) {
  sgi_sparse s = shape_of(b);
  sgi_weight in = sgi_weight_floats((const float *)b->map.data, b->units, b->l->D),
             out = sgi_weight_floats((const float *)(b->map.data + b->at_out), b->units, b->l->D);
  sgi_sparse_dot(&s, NULL, b->value, &in, index, b->x);
  sgi_activate(SGI_GELU, b->value, b->value, b->r->rows * b->m);
  sgi_sparse_sum(&s, NULL, b->y, &out, index, b->value);
}

static size_t unit_of(const bench *b, const int32_t *index, size_t entry) {
  return sgi_function_unit(b->l->pools, b->F, b->l->K, entry % b->m, index[entry]);
}

static void enter(bench *b, const int32_t *index, size_t first, size_t end) {
  for (size_t i = first; i < end; i++)
    b->entry[i] =
        (sgi_packed_entry){b->pool.first + unit_of(b, index, i) * b->pool.step, b->basis + i / b->m * b->l->R};
}

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* Entries [first, end), by batches: while one is computed the functions of the next are fetched. */
static void range_values(bench *b, const int32_t *index, size_t first, size_t end) {
  enum { N = SGI_PACKED_BATCH };
  sgi_packed_work work;
  enter(b, index, first, end);
  for (size_t i = first; i < end; i += N) {
    size_t next = least(i + N, end), behind = least(next + N, end);
    sgi_packed_values(b->l, b->entry + i, next - i, behind - next, b->pool.usual, &work, b->value + i);
    for (size_t e = i; e < next && b->l->basis_rows; e++)
      sgi_packed_parts(b->entry[e].at, b->row + e * SGI_FUNCTION_PARTS, b->amount + e * SGI_FUNCTION_PARTS);
  }
}

static void values(bench *b, const int32_t *index) {
  size_t R = b->l->R, batches = (b->r->rows * b->m + SGI_PACKED_BATCH - 1) / SGI_PACKED_BATCH;
#pragma omp parallel for schedule(static)
  for (size_t i = 0; i < b->r->rows; i++) sgi_packed_bases(&b->l->grid, b->silus, b->z + i * R, R, b->basis + i * R);
#pragma omp parallel
  {
    size_t threads = (size_t)omp_get_num_threads(), t = (size_t)omp_get_thread_num();
    range_values(b, index, batches * t / threads * SGI_PACKED_BATCH,
                 least(batches * (t + 1) / threads * SGI_PACKED_BATCH, b->r->rows * b->m));
  }
}

static sg_status outputs(bench *b, const int32_t *index, sg_error *err) {
  const sgi_function_layer *l = b->l;
  if (!l->basis_rows) {
    sgi_sparse s = shape_of(b);
    sgi_weight out = sgi_weight_floats((const float *)(b->map.data + b->at_out), b->units, l->D);
    sgi_sparse_sum(&s, NULL, b->y, &out, index, b->value);
    return SG_OK;
  }
  size_t R = l->basis_rows, n = b->r->rows;
  memset(b->zeta, 0, n * R * sizeof *b->zeta);
  for (size_t e = 0; e < n * b->m; e++)
    for (size_t q = e * SGI_FUNCTION_PARTS; q < (e + 1) * SGI_FUNCTION_PARTS; q++)
      b->zeta[e / b->m * R + b->row[q]] += b->value[e] * b->amount[q];
  sg_status st = sgi_gemm(false, false, n, l->D, R, b->zeta, R, l->basis, l->D, 0, b->y, l->D);
  return st ? sgi_fail(err, st, "outputs: %s", sg_status_text(st)) : SG_OK;
}

static sg_status functions_round(bench *b, const int32_t *index, sgi_function_bench *sum, sg_error *err) {
  double t0 = sgi_cpu_now();
  sg_status st = sgi_function_layer_features(b->l, b->x, b->r->rows, b->z, err);
  double t1 = sgi_cpu_now();
  if (!st) values(b, index);
  double t2 = sgi_cpu_now();
  if (!st) st = outputs(b, index, err);
  double t3 = sgi_cpu_now();
  sum->features += t1 - t0;
  sum->values += t2 - t1;
  sum->outputs += t3 - t2;
  sum->functions += t3 - t0;
  return st;
}

static sg_status rounds(bench *b, sgi_function_bench *out, sg_error *err) {
  sg_status st = SG_OK;
  size_t draw = b->r->rows * b->m;
  sgi_function_bench warm = {0};
  matrix_round(b, b->index);
  st = functions_round(b, b->index, &warm, err);
  while (!st && (out->rounds < LEAST_ROUNDS || out->matrix + out->functions < b->r->seconds)) {
    const int32_t *index = b->index + out->rounds % DRAWS * draw;
    double t = sgi_cpu_now();
    matrix_round(b, index);
    out->matrix += sgi_cpu_now() - t;
    /* Other neurons than the matrix has just fetched: the output rows would be warm. */
    st = functions_round(b, b->index + (out->rounds + DRAWS / 2) % DRAWS * draw, out, err);
    out->rounds++;
    if (!st && b->r->progress && !b->r->progress(b->r->user, out->rounds, 0))
      st = sgi_fail(err, SG_ERR_CANCELLED, "stopped");
  }
  return st;
}

/* The packed functions against the experts. */
static void check(const bench *b, sgi_function_bench *out) {
  const sgi_function_layer *l = b->l;
  double off = 0, largest = 0;
  for (size_t i = 0; i < b->r->rows; i++)
    for (size_t e = 0; e < b->m; e++) {
      size_t unit = sgi_function_unit(l->pools, b->F, l->K, e, b->index[i * b->m + e]);
      double own = sgi_expert_value(&l->expert[b->which[unit % b->n_which]], &l->grid, b->z + i * l->R);
      largest = fmax(largest, fabs(own));
      off = fmax(off, fabs(own - (double)b->value[i * b->m + e]));
    }
  out->difference = largest > 0 ? off / largest : 0;
}

static sg_status prepare(bench *b, sg_error *err) {
  const sgi_function_layer *l = b->l;
  size_t n = b->r->rows, floats = n * (l->D * 2 + l->R + b->m + l->basis_rows);
  b->which = sgi_alloc(l->units * sizeof *b->which);
  b->index = sgi_alloc(DRAWS * n * b->m * sizeof *b->index);
  size_t sum = 0, parts = l->basis_rows ? n * b->m * SGI_FUNCTION_PARTS : 0;
  b->x = sgi_alloc(floats * sizeof *b->x);
  b->basis = sgi_alloc(n * l->R * sizeof *b->basis);
  b->entry = sgi_alloc(n * b->m * sizeof *b->entry);
  b->row = sgi_alloc(parts * sizeof *b->row);
  b->amount = sgi_alloc(parts * sizeof *b->amount);
  if (!b->which || !b->index || !b->x || !b->basis || !b->entry || !b->row || !b->amount)
    return sgi_fail_memory(err, floats * sizeof *b->x, "a bench");
  b->y = b->x + n * l->D;
  b->z = b->y + n * l->D;
  b->value = b->z + n * l->R;
  b->zeta = b->value + n * b->m;
  for (size_t u = 0; u < l->units; u++)
    if (l->stands[u]) {
      b->which[b->n_which++] = (uint32_t)u;
      for (size_t k = 0; k < l->expert[u].edges; k++) b->silus = b->silus || l->expert[u].edge[k].base != 0;
    }
  if (!b->n_which) return sgi_fail(err, SG_ERR_ARG, "layer %zu has no function: all neurons stayed rows", l->layer);
  for (size_t k = 0; k < b->n_which; k++) {
    size_t bytes = sgi_packed_bytes(l, b->which[k]) + sgi_packed_parts_bytes(l);
    if (bytes > b->pool.step) b->pool.step = (bytes + SGI_ALIGN - 1) / SGI_ALIGN * SGI_ALIGN;
    sum += bytes;
  }
  b->pool.usual = (sum + b->n_which - 1) / b->n_which;
  sgi_rng rng = sgi_rng_make(b->r->seed, SGI_STREAM_FUNCTIONS, 3);
  for (size_t i = 0; i < DRAWS * n * b->m; i++) b->index[i] = (int32_t)sgi_rng_below(&rng, b->F);
  for (size_t i = 0; i < n * l->D; i++) b->x[i] = (float)sgi_rng_normal(&rng);
  return SG_OK;
}

static void summarise(const bench *b, sgi_function_bench *out) {
  const sgi_function_layer *l = b->l;
  size_t row = l->D * sizeof(float), outs = l->basis_rows ? 0 : row, once = (l->R + l->basis_rows) * row;
  double tokens = (double)(out->rounds * b->r->rows);
  out->units = b->units;
  out->tokens = out->rounds * b->r->rows;
  out->matrix /= tokens;
  out->functions /= tokens;
  out->features /= tokens;
  out->values /= tokens;
  out->outputs /= tokens;
  out->bytes_matrix = 2 * b->units * row;
  out->bytes_functions = b->units * (b->pool.step + outs) + once;
  out->read_matrix = 2 * b->m * row;
  out->read_functions = b->m * (b->pool.usual + outs) + once;
}

sg_status sgi_function_bench_run(const sgi_function_bench_request *r, sgi_function_bench *out, sg_error *err) {
  const sgi_function_layer *l = r->layer;
  bench b = {.r = r, .l = l, .F = r->units ? r->units : l->F, .m = l->C * l->K};
  *out = (sgi_function_bench){0};
  if (!sgi_size_mul(b.F, l->pools, &b.units) || b.F > INT32_MAX || b.F < 1)
    return sgi_fail(err, SG_ERR_ARG, "a pool of %zu neurons: expected 1 to %d", b.F, INT32_MAX);
  sg_status st = sgi_gemm_ready(err);
  if (!st) st = prepare(&b, err);
  if (!st) st = write_file(&b, err);
  if (!st) st = rounds(&b, out, err);
  if (!st) {
    sgi_function_bench again = {0};
    st = functions_round(&b, b.index, &again, err);
    check(&b, out);
    summarise(&b, out);
  }
  sgi_unmap_file(&b.map);
  sgi_free(b.which);
  sgi_free(b.index);
  sgi_free(b.x);
  sgi_free(b.basis);
  sgi_free(b.entry);
  sgi_free(b.row);
  sgi_free(b.amount);
  return st;
}
