/* One sparse MLP: forward, gradient, step.
 *
 * Idea. Of a batch's n x M pre-activations a few per cent act. Only the encoder is a matrix product
 * of all of it; what comes behind costs what acts:
 *
 *   block of rows        a = x W_e, scanned while it is in cache          lists by row
 *   row                  y = b_d + sum h_j W_d[j]; e = y - target
 *                        dh_j = e . W_d[j]                                one gather a row
 *   lists by feature     (counting sort of the lists by row)
 *   feature              dW_d[j] = sum over its rows of h e, dW_e[j] = sum of da x
 *
 * A dense trainer makes five products of n x D x M where this makes one. Where much acts (the first
 * steps of an L1 run) gathers lose against products: then blocks of rows are whole matrices. Which
 * of the two is taken depends on counts alone, never on time or threads.
 *
 * JUMPRELU keeps entries from theta - w/2 on: those in the window move thresholds and only those
 * above it act. */
#include "compare/sparse_mlp.h"

#include <math.h>
#include <omp.h>
#include <stdatomic.h>
#include <string.h>

#include "math/gemm.h"
#include "math/rows.h"
#include "math/topk.h"

enum { BLOCK_FLOATS = 1 << 18, DENSE_BLOCK = 512, DENSE_PART = 8, FEATURE_BLOCK = 16 };

struct sgi_sparse_work {
  size_t rows, block, capacity; /* capacity: entries of a block of rows */
  size_t blocks;
  bool training;
  int threads;
  void *memory;
  float *packed;         /* (in, stride(M)): W_e as the product likes it */
  float *theta;          /* (M) */
  float *norms;          /* (M) of decoder rows, WEIGHTED */
  float *low;            /* (M) an entry is what lies above: 0, the threshold, or the lower end of its window */
  float *scores;         /* (threads, block, M) */
  uint32_t *names;       /* (threads, M) TOPK beyond the kernel's K */
  uint32_t *feature;     /* (blocks * capacity) entries by row */
  float *a, *h;          /* the same: pre-activation, and what acts (0 in the window's lower half) */
  size_t *start, *count; /* (rows) */
  /* Training. */
  float *da, *dh;          /* entries by row */
  float *e;                /* (rows,out) */
  double *row_mse, *row_s; /* (rows) */
  float *scale;            /* (rows) 1, or 1 / |target| */
  size_t *first;           /* (M + 1) entries by feature */
  int32_t *row;            /* the same entries by feature */
  float *by_h, *by_da, *by_dh;
  float *by_a;
  double *sum_h;                      /* (M) */
  float *dense_a, *dense_h, *dense_d; /* (DENSE_BLOCK,M) each */
};

/* ---- memory ---------------------------------------------------------------------------------- */

size_t sgi_sparse_count(const sgi_sparse_form *f, sgi_sparse_part part) {
  switch (part) {
    case SGI_SPARSE_W_E: return f->features * f->in;
    case SGI_SPARSE_W_D: return f->features * f->out;
    case SGI_SPARSE_B_D: return f->out;
    case SGI_SPARSE_B_E: return f->features;
    case SGI_SPARSE_LOG_THETA: return f->activation == SGI_SPARSE_JUMPRELU ? f->features : 0;
    case SGI_SPARSE_PARTS: break;
  }
  return 0;
}

void sgi_sparse_take(const sgi_sparse_form *f, sgi_arena *a, sgi_sparse_arrays *out) {
  for (int i = 0; i < SGI_SPARSE_PARTS; i++) {
    size_t n = sgi_sparse_count(f, (sgi_sparse_part)i);
    out->at[i] = n ? SGI_TAKE(a, n, float) : NULL;
  }
}

static size_t least(size_t a, size_t b) { return a < b ? a : b; }
static size_t most(size_t a, size_t b) { return a > b ? a : b; }

/* Rows of a block: their pre-activations stay in a core's cache. */
static size_t block_rows(size_t features, size_t rows) {
  size_t n = BLOCK_FLOATS / features;
  n = most(64, least(n / 16 * 16, 512));
  return least(n, rows);
}

static void layout(sgi_sparse_work *w, const sgi_sparse_form *f, sgi_arena *a) {
  size_t M = f->features, entries;
  w->block = block_rows(M, w->rows);
  w->blocks = (w->rows + w->block - 1) / w->block;
  size_t each = w->training ? least(M, most(M / DENSE_PART, 64)) : M;
  if (f->activation == SGI_SPARSE_TOPK) each = least(f->top_k, M);
  w->capacity = w->block * each + SGI_LANES;
  if (!sgi_size_mul(w->blocks, w->capacity, &entries)) entries = SIZE_MAX;
  w->packed = SGI_TAKE(a, f->in * sgi_stride(M), float);
  w->theta = SGI_TAKE(a, M, float);
  w->norms = SGI_TAKE(a, M, float);
  w->low = SGI_TAKE(a, M, float);
  w->scores = SGI_TAKE(a, (size_t)w->threads * w->block * M, float);
  w->names = SGI_TAKE(a, (size_t)w->threads * M, uint32_t);
  w->feature = SGI_TAKE(a, entries, uint32_t);
  w->a = SGI_TAKE(a, entries, float);
  w->h = SGI_TAKE(a, entries, float);
  w->start = SGI_TAKE(a, w->rows, size_t);
  w->count = SGI_TAKE(a, w->rows, size_t);
  if (!w->training) return;
  size_t dense = least(DENSE_BLOCK, w->rows) * M;
  w->da = SGI_TAKE(a, entries, float);
  w->dh = SGI_TAKE(a, entries, float);
  w->e = SGI_TAKE(a, w->rows * f->out, float);
  w->row_mse = SGI_TAKE(a, w->rows, double);
  w->row_s = SGI_TAKE(a, w->rows, double);
  w->scale = SGI_TAKE(a, w->rows, float);
  w->first = SGI_TAKE(a, M + 1, size_t);
  w->row = SGI_TAKE(a, entries, int32_t);
  w->by_h = SGI_TAKE(a, entries, float);
  w->by_da = SGI_TAKE(a, entries, float);
  w->by_dh = SGI_TAKE(a, entries, float);
  w->by_a = SGI_TAKE(a, entries, float);
  w->sum_h = SGI_TAKE(a, M, double);
  w->dense_a = SGI_TAKE(a, dense, float);
  w->dense_h = SGI_TAKE(a, dense, float);
  w->dense_d = SGI_TAKE(a, dense, float);
}

size_t sgi_sparse_work_bytes(const sgi_sparse_form *f, size_t rows, bool training) {
  sgi_sparse_work w = {.rows = rows, .training = training, .threads = omp_get_max_threads()};
  sgi_arena a = {0};
  layout(&w, f, &a);
  return a.used;
}

sg_status sgi_sparse_work_create(const sgi_sparse_form *f, size_t rows, bool training, sgi_sparse_work **out,
                                 sg_error *err) {
  *out = NULL;
  sg_status st = sgi_gemm_ready(err);
  if (!st) st = sgi_kernels_check(err);
  if (st) return st;
  sgi_sparse_work *w = sgi_alloc(sizeof *w);
  if (!w) return sgi_fail_memory(err, sizeof *w, "a sparse MLP");
  *w = (sgi_sparse_work){.rows = rows, .training = training, .threads = omp_get_max_threads()};
  size_t bytes = sgi_sparse_work_bytes(f, rows, training);
  void *memory = sgi_alloc(bytes);
  if (!memory) {
    sgi_free(w);
    return sgi_fail_memory(err, bytes, "the activations of a sparse MLP");
  }
  sgi_arena a = {.base = memory, .size = bytes};
  layout(w, f, &a);
  w->memory = memory;
  *out = w;
  return SG_OK;
}

void sgi_sparse_work_free(sgi_sparse_work *w) {
  if (!w) return;
  sgi_free(w->memory);
  sgi_free(w);
}

const float *sgi_sparse_errors(const sgi_sparse_work *w) { return w->e; }

bool sgi_sparse_is_dense(const sgi_sparse_form *f, size_t rows, size_t active) {
  return f->activation != SGI_SPARSE_TOPK && active > rows * (most(f->features / DENSE_PART, 64) * 3 / 4);
}

/* ---- forward --------------------------------------------------------------------------------- */

/* What is asked of every batch before its first row. */
static void prepare(sgi_sparse_work *w, const sgi_sparse_form *f, const sgi_sparse_arrays *p, bool window) {
  const sgi_kernels *k = sgi_kernel_table();
  size_t M = f->features;
  float half = window ? (float)(f->bandwidth / 2) : 0;
  sgi_linear_pack(w->packed, p->at[SGI_SPARSE_W_E], f->in, M);
  for (size_t j = 0; j < M; j++) {
    w->theta[j] = f->activation == SGI_SPARSE_JUMPRELU ? expf(p->at[SGI_SPARSE_LOG_THETA][j]) : 0;
    w->low[j] = f->activation == SGI_SPARSE_JUMPRELU ? w->theta[j] - half : 0;
    w->norms[j] = 1;
    if (f->decoder == SGI_DECODER_WEIGHTED && f->activation == SGI_SPARSE_RELU)
      w->norms[j] = (float)sqrt(k->sum_squares(p->at[SGI_SPARSE_W_D] + j * f->out, f->out));
  }
}

/* Of equal ones the lower feature comes first. */
static bool before(float a, uint32_t i, float b, uint32_t j) { return a > b || (a == b && i < j); }

static void swap_entries(uint32_t *f, float *a, size_t i, size_t j) {
  uint32_t x = f[i];
  float y = a[i];
  f[i] = f[j];
  a[i] = a[j];
  f[j] = x;
  a[j] = y;
}

static void sort_entries(uint32_t *f, float *a, size_t n) {
  for (size_t gap = n / 2; gap; gap /= 2)
    for (size_t i = gap; i < n; i++)
      for (size_t j = i; j >= gap && before(a[j], f[j], a[j - gap], f[j - gap]); j -= gap)
        swap_entries(f, a, j, j - gap);
}

/* The K largest of n entries, largest first: quickselect, then a sort of what is left. */
static size_t keep_largest(uint32_t *f, float *a, size_t n, size_t K) {
  size_t from = 0, to = n;
  while (n > K && to - from > 1) {
    size_t at = from;
    swap_entries(f, a, from, from + (to - from) / 2);
    for (size_t i = from + 1; i < to; i++)
      if (before(a[i], f[i], a[from], f[from])) swap_entries(f, a, ++at, i);
    swap_entries(f, a, from, at);
    if (at == K || at + 1 == K) break;
    if (at < K)
      from = at + 1;
    else
      to = at;
  }
  n = least(n, K);
  sort_entries(f, a, n);
  return n;
}

/* Entries of one row of scores; without a jump, since nothing foretells which of them act. False
 * where they do not fit `room`. */
static bool scan(const sgi_sparse_work *w, size_t M, const float *s, const float *bias, uint32_t *feature, float *value,
                 size_t room, size_t *count) {
  size_t c = 0;
  for (size_t j = 0; j < M; j += SGI_LANES) {
    size_t end = least(j + SGI_LANES, M);
    if (c + SGI_LANES > room) return false;
    for (size_t i = j; i < end; i++) {
      float a = s[i] + bias[i];
      feature[c] = (uint32_t)i;
      value[c] = a;
      c += a > w->low[i];
    }
  }
  *count = c;
  return true;
}

static size_t choose(const sgi_sparse_form *f, float *s, const float *bias, uint32_t *feature, float *value,
                     uint32_t *names) {
  size_t M = f->features, c = 0;
  if (f->top_k <= SGI_MAX_TOP_K && f->top_k < M) {
    int32_t index[SGI_MAX_TOP_K];
    for (size_t j = 0; j < M; j++) s[j] += bias[j];
    sgi_topk(value, index, s, M, f->top_k);
    for (; c < f->top_k && value[c] > 0; c++) feature[c] = (uint32_t)index[c];
    return c;
  }
  for (size_t j = 0; j < M; j++) { /* c <= j: the row of scores takes its own positive ones */
    float a = s[j] + bias[j];
    names[c] = (uint32_t)j;
    if (a > 0) s[c++] = a;
  }
  c = keep_largest(names, s, c, f->top_k);
  memcpy(value, s, c * sizeof *value);
  memcpy(feature, names, c * sizeof *feature);
  return c;
}

static sg_status encode_block(sgi_sparse_work *w, const sgi_sparse_form *f, const sgi_sparse_arrays *p, const float *x,
                              size_t b, size_t n, bool *full) {
  size_t M = f->features, first = b * w->block, rows = least(w->block, n - first), at = b * w->capacity,
         end = at + w->capacity, thread = (size_t)omp_get_thread_num();
  float *scores = w->scores + thread * w->block * M;
  const float *bias = p->at[SGI_SPARSE_B_E];
  sg_status st =
      sgi_gemm1(false, false, rows, M, f->in, 1, x + first * f->in, f->in, w->packed, sgi_stride(M), 0, scores, M);
  for (size_t i = 0; i < rows && !st; i++) {
    size_t r = first + i;
    float *s = scores + i * M;
    w->start[r] = at;
    if (f->activation == SGI_SPARSE_TOPK) {
      w->count[r] = choose(f, s, bias, w->feature + at, w->a + at, w->names + thread * M);
    } else if (!scan(w, M, s, bias, w->feature + at, w->a + at, end - at, &w->count[r])) {
      *full = true;
      return SG_OK;
    }
    for (size_t k = at; k < at + w->count[r]; k++) w->h[k] = w->a[k] > w->theta[w->feature[k]] ? w->a[k] : 0;
    at += w->count[r];
  }
  return st;
}

/* full: some block's entries had no room. */
static sg_status encode(sgi_sparse_work *w, const sgi_sparse_form *f, const sgi_sparse_arrays *p, const float *x,
                        size_t n, bool window, bool *full) {
  size_t blocks = (n + w->block - 1) / w->block;
  atomic_int worst = SG_OK, over = 0;
  prepare(w, f, p, window);
#pragma omp parallel for schedule(dynamic, 1) num_threads(w->threads) if (blocks > 1)
  for (size_t b = 0; b < blocks; b++) {
    bool mine = false;
    sg_status st = encode_block(w, f, p, x, b, n, &mine);
    if (st) atomic_store(&worst, st);
    if (mine) atomic_store(&over, 1);
  }
  *full = atomic_load(&over);
  return (sg_status)atomic_load(&worst);
}

static void decode_row(const sgi_sparse_form *f, const sgi_sparse_arrays *p, const uint32_t *feature, const float *h,
                       size_t count, bool bias, float *y) {
  if (bias)
    memcpy(y, p->at[SGI_SPARSE_B_D], f->out * sizeof *y);
  else
    memset(y, 0, f->out * sizeof *y);
  sgi_kernel_table()->gather_axpy(y, p->at[SGI_SPARSE_W_D], (const int32_t *)feature, h, count, f->out);
}

void sgi_sparse_decode(const sgi_sparse_form *f, const sgi_sparse_arrays *p, const sgi_sparse_active *active, size_t n,
                       bool bias, float *y) {
#pragma omp parallel for schedule(static) if (n > SGI_ROW_BLOCK)
  for (size_t r = 0; r < n; r++)
    decode_row(f, p, active->feature + active->start[r], active->h + active->start[r], active->count[r], bias,
               y + r * f->out);
}

sg_status sgi_sparse_forward(sgi_sparse_work *w, const sgi_sparse_form *f, const sgi_sparse_arrays *p, const float *x,
                             size_t n, float *y, sgi_sparse_active *active, sg_error *err) {
  bool full;
  if (n > w->rows || w->training)
    return sgi_fail(err, SG_ERR_ARG, "%zu rows for a sparse MLP with room for %zu", n, w->rows);
  sg_status st = encode(w, f, p, x, n, false, &full);
  if (!st && full) st = SG_ERR_INTERNAL;
  if (st) return sgi_fail(err, st, "the encoder of a sparse MLP: %s", sg_status_text(st));
  *active = (sgi_sparse_active){w->feature, w->h, w->start, w->count};
  if (y) sgi_sparse_decode(f, p, active, n, true, y);
  return SG_OK;
}

void sgi_sparse_pre(const sgi_sparse_form *f, const sgi_sparse_arrays *p, const float *x, double *a) {
  for (size_t j = 0; j < f->features; j++) {
    const float *w = p->at[SGI_SPARSE_W_E] + j * f->in;
    a[j] = (double)p->at[SGI_SPARSE_B_E][j];
    for (size_t d = 0; d < f->in; d++) a[j] += (double)w[d] * (double)x[d];
  }
}

double sgi_sparse_open(const sgi_sparse_form *f, const sgi_sparse_arrays *p, size_t feature, double a) {
  double theta = f->activation == SGI_SPARSE_JUMPRELU ? (double)expf(p->at[SGI_SPARSE_LOG_THETA][feature]) : 0;
  return a > theta ? a : 0;
}

void sgi_sparse_acting(const sgi_sparse_form *f, const sgi_sparse_arrays *p, const float *x, double *a, double *h) {
  size_t M = f->features;
  sgi_sparse_pre(f, p, x, a);
  for (size_t i = 0; i < M; i++) {
    h[i] = sgi_sparse_open(f, p, i, a[i]);
    if (h[i] == 0 || f->activation != SGI_SPARSE_TOPK) continue;
    size_t above = 0;
    for (size_t j = 0; j < M; j++) above += a[j] > a[i] || (a[j] == a[i] && j < i);
    if (above >= f->top_k) h[i] = 0;
  }
}

/* ---- gradient, by what acts ------------------------------------------------------------------ */

typedef struct batch {
  sgi_sparse_work *w;
  const sgi_sparse_form *f;
  const sgi_sparse_arrays *p;
  const float *x, *target;
  size_t n;
  double lambda; /* with the ramp */
  sgi_sparse_arrays *g;
  uint64_t *fired, now;
} batch;

static bool has_l1(const batch *b) { return b->f->activation == SGI_SPARSE_RELU; }
static bool has_window(const batch *b) { return b->f->activation == SGI_SPARSE_JUMPRELU; }

/* e (out) becomes e - target; the row's squared error over D and the weight of its errors in the
 * gradient. */
static void row_errors(const batch *b, size_t r) {
  size_t D = b->f->out;
  float *e = b->w->e + r * D;
  const float *t = b->target + r * D;
  double sum = 0, length = 1;
  for (size_t d = 0; d < D; d++) e[d] -= t[d];
  sum = sgi_kernel_table()->sum_squares(e, D);
  if (b->f->mse_norm) length = fmax(sqrt(sgi_kernel_table()->sum_squares(t, D)), 1e-12);
  b->w->row_mse[r] = sum / length / (double)D;
  b->w->scale[r] = (float)(2 / (length * (double)D * (double)b->n));
}

static void row_gradient(const batch *b, size_t r) {
  sgi_sparse_work *w = b->w;
  const sgi_sparse_form *f = b->f;
  size_t at = w->start[r], count = w->count[r];
  const uint32_t *feature = w->feature + at;
  decode_row(f, b->p, feature, w->h + at, count, true, w->e + r * f->out);
  row_errors(b, r);
  sgi_kernel_table()->gather_dot(w->dh + at, b->p->at[SGI_SPARSE_W_D], (const int32_t *)feature, count,
                                 w->e + r * f->out, f->out);
  float each = has_l1(b) ? (float)(b->lambda / (double)b->n) : 0;
  double s = 0;
  for (size_t i = 0; i < count; i++) {
    bool open = w->h[at + i] > 0;
    float norm = w->norms[feature[i]];
    w->dh[at + i] *= w->scale[r];
    w->da[at + i] = open ? w->dh[at + i] + each * norm : 0;
    if (has_l1(b))
      s += (double)w->h[at + i] * (double)norm;
    else
      s += open;
  }
  w->row_s[r] = s;
}

/* Entries by feature, rows ascending: every thread looks at all entries and takes those of its own
 * features. */
static void sort_by_feature(const batch *b) {
  sgi_sparse_work *w = b->w;
  size_t M = b->f->features, n = b->n;
  memset(w->first, 0, (M + 1) * sizeof *w->first);
  for (size_t r = 0; r < n; r++)
    for (size_t i = w->start[r]; i < w->start[r] + w->count[r]; i++) w->first[w->feature[i] + 1]++;
  for (size_t j = 0; j < M; j++) w->first[j + 1] += w->first[j];
#pragma omp parallel
  {
    size_t T = (size_t)omp_get_num_threads(), t = (size_t)omp_get_thread_num(), from = M * t / T, to = M * (t + 1) / T;
    for (size_t r = 0; r < n; r++)
      for (size_t i = w->start[r]; i < w->start[r] + w->count[r]; i++) {
        size_t j = w->feature[i];
        if (j < from || j >= to) continue;
        size_t k = w->first[j]++;
        w->row[k] = (int32_t)r;
        w->by_h[k] = w->h[i];
        w->by_da[k] = w->da[i];
        if (has_window(b)) {
          w->by_dh[k] = w->dh[i];
          w->by_a[k] = w->a[i];
        }
      }
  }
  for (size_t j = M; j > 0; j--) w->first[j] = w->first[j - 1]; /* each moved to its end */
  w->first[0] = 0;
}

/* d log theta: the rectangle's part of the error, and of the count. */
static double threshold_gradient(const batch *b, double theta, const float *a, const float *dh, size_t count) {
  double g = 0, in_window = 0, w = b->f->bandwidth;
  for (size_t i = 0; i < count; i++)
    if (fabs((double)a[i] - theta) < w / 2) {
      g -= theta / w * (double)dh[i];
      in_window += 1;
    }
  return theta * (g - b->lambda * in_window / (w * (double)b->n));
}

static void feature_gradient(const batch *b, size_t j) {
  const sgi_kernels *k = sgi_kernel_table();
  sgi_sparse_work *w = b->w;
  const sgi_sparse_form *f = b->f;
  size_t at = w->first[j], count = w->first[j + 1] - at;
  float *g_d = b->g->at[SGI_SPARSE_W_D] + j * f->out, *g_e = b->g->at[SGI_SPARSE_W_E] + j * f->in;
  const int32_t *row = w->row + at;
  double h = 0, bias = 0;
  bool open = false;
  memset(g_d, 0, f->out * sizeof *g_d);
  memset(g_e, 0, f->in * sizeof *g_e);
  if (has_window(b))
    b->g->at[SGI_SPARSE_LOG_THETA][j] =
        (float)threshold_gradient(b, (double)w->theta[j], w->by_a + at, w->by_dh + at, count);
  for (size_t i = at; i < at + count; i++) {
    h += (double)w->by_h[i];
    open = open || w->by_h[i] > 0;
    bias += (double)w->by_da[i];
    w->by_h[i] *= w->scale[row[i - at]];
  }
  if (!f->frozen) k->gather_axpy(g_e, b->x, row, w->by_da + at, count, f->in);
  k->gather_axpy(g_d, w->e, row, w->by_h + at, count, f->out);
  b->g->at[SGI_SPARSE_B_E][j] = (float)bias;
  w->sum_h[j] = h;
  if (open && b->fired) b->fired[j] = b->now;
}

static sg_status sparse_gradient(const batch *b) {
  sgi_sparse_work *w = b->w;
#pragma omp parallel for schedule(dynamic, SGI_ROW_BLOCK) if (b->n > SGI_ROW_BLOCK)
  for (size_t r = 0; r < b->n; r++) row_gradient(b, r);
  sort_by_feature(b);
#pragma omp parallel for schedule(dynamic, FEATURE_BLOCK) if (b->f->features > FEATURE_BLOCK)
  for (size_t j = 0; j < b->f->features; j++) feature_gradient(b, j);
  (void)w;
  return SG_OK;
}

/* ---- gradient, by whole matrices ------------------------------------------------------------- */

/* Scores of a row become pre-activations; h and S of it. */
static void dense_row(const batch *b, size_t r, size_t i) {
  sgi_sparse_work *w = b->w;
  size_t M = b->f->features;
  float *a = w->dense_a + i * M, *h = w->dense_h + i * M;
  const float *bias = b->p->at[SGI_SPARSE_B_E];
  double s = 0;
  size_t count = 0;
  for (size_t j = 0; j < M; j++) {
    a[j] += bias[j];
    h[j] = a[j] > w->theta[j] ? a[j] : 0;
    count += a[j] > w->theta[j];
  }
  if (has_l1(b))
    for (size_t j = 0; j < M; j++) s += (double)(h[j] * w->norms[j]);
  w->row_s[r] = has_l1(b) ? s : (double)count;
  w->count[r] = count;
}

/* Of block `first` with `rows` rows, features [from, to): da in place of a, h times the errors'
 * weight, sums over rows. */
static void dense_columns(const batch *b, size_t first, size_t rows, size_t from, size_t to) {
  sgi_sparse_work *w = b->w;
  size_t M = b->f->features;
  float each = has_l1(b) ? (float)(b->lambda / (double)b->n) : 0;
  double width = b->f->bandwidth;
  for (size_t i = 0; i < rows; i++) {
    float *a = w->dense_a + i * M, *h = w->dense_h + i * M, *dh = w->dense_d + i * M, scale = w->scale[first + i];
    for (size_t j = from; j < to; j++) {
      float d = dh[j] * scale;
      if (has_window(b) && fabs((double)a[j] - (double)w->theta[j]) < width / 2)
        b->g->at[SGI_SPARSE_LOG_THETA][j] += (float)((double)w->theta[j] * (-(double)w->theta[j] / width * (double)d -
                                                                            b->lambda / (width * (double)b->n)));
      if (h[j] > 0 && b->fired) b->fired[j] = b->now;
      w->sum_h[j] += (double)h[j];
      a[j] = h[j] > 0 ? d + each * w->norms[j] : 0;
      b->g->at[SGI_SPARSE_B_E][j] += a[j];
      h[j] *= scale;
    }
  }
}

static sg_status dense_block(const batch *b, size_t first, size_t rows) {
  sgi_sparse_work *w = b->w;
  const sgi_sparse_form *f = b->f;
  size_t M = f->features;
  float *e = w->e + first * f->out;
  const float *x = b->x + first * f->in, *W_d = b->p->at[SGI_SPARSE_W_D], *b_d = b->p->at[SGI_SPARSE_B_D];
  sg_status st = sgi_gemm(false, false, rows, M, f->in, x, f->in, w->packed, sgi_stride(M), 0, w->dense_a, M);
  if (st) return st;
#pragma omp parallel for schedule(static)
  for (size_t i = 0; i < rows; i++) dense_row(b, first + i, i);
  st = sgi_gemm(false, false, rows, f->out, M, w->dense_h, M, W_d, f->out, 0, e, f->out);
  if (st) return st;
#pragma omp parallel for schedule(static)
  for (size_t i = 0; i < rows; i++) {
    for (size_t d = 0; d < f->out; d++) e[i * f->out + d] += b_d[d];
    row_errors(b, first + i);
  }
  st = sgi_gemm(false, true, rows, M, f->out, e, f->out, W_d, f->out, 0, w->dense_d, M);
  if (st) return st;
#pragma omp parallel for schedule(static)
  for (size_t j = 0; j < M; j += 256) dense_columns(b, first, rows, j, least(j + 256, M));
  if (!f->frozen)
    st = sgi_gemm(true, false, M, f->in, rows, w->dense_a, M, x, f->in, 1, b->g->at[SGI_SPARSE_W_E], f->in);
  if (!st) st = sgi_gemm(true, false, M, f->out, rows, w->dense_h, M, e, f->out, 1, b->g->at[SGI_SPARSE_W_D], f->out);
  return st;
}

static sg_status dense_gradient(const batch *b) {
  sg_status st = SG_OK;
  for (int i = 0; i < SGI_SPARSE_PARTS; i++)
    if (b->g->at[i]) memset(b->g->at[i], 0, sgi_sparse_count(b->f, (sgi_sparse_part)i) * sizeof(float));
  memset(b->w->sum_h, 0, b->f->features * sizeof *b->w->sum_h);
  for (size_t r = 0; r < b->n && !st; r += DENSE_BLOCK) st = dense_block(b, r, least(DENSE_BLOCK, b->n - r));
  return st;
}

/* ---- both ------------------------------------------------------------------------------------ */

/* What is the same of both: b_d, and what S says to the length of decoder rows. */
static void finish(const batch *b, sgi_sparse_loss *loss) {
  sgi_sparse_work *w = b->w;
  const sgi_sparse_form *f = b->f;
  size_t M = f->features, D = f->out;
  float *g = b->g->at[SGI_SPARSE_B_D];
  memset(g, 0, D * sizeof *g);
  double mse = 0, s = 0, l0 = 0;
  size_t active = 0;
  for (size_t r = 0; r < b->n; r++) {
    for (size_t d = 0; d < D; d++) g[d] += w->scale[r] * w->e[r * D + d];
    mse += w->row_mse[r];
    s += w->row_s[r];
    active += w->count[r];
  }
  if (f->decoder == SGI_DECODER_WEIGHTED && has_l1(b))
    for (size_t j = 0; j < M; j++)
      if (w->norms[j] > 0)
        for (size_t d = 0; d < D; d++)
          b->g->at[SGI_SPARSE_W_D][j * D + d] += (float)(b->lambda / (double)b->n * w->sum_h[j] / (double)w->norms[j] *
                                                         (double)b->p->at[SGI_SPARSE_W_D][j * D + d]);
  l0 = has_l1(b) ? (double)active : s;
  *loss = (sgi_sparse_loss){.mse = mse / (double)b->n,
                            .penalty = f->activation == SGI_SPARSE_TOPK ? 0 : s / (double)b->n,
                            .l0 = l0 / (double)b->n,
                            .active = active};
  loss->total = loss->mse + b->lambda * loss->penalty;
}

sg_status sgi_sparse_gradient(sgi_sparse_work *w, const sgi_sparse_form *f, const sgi_sparse_arrays *p, const float *x,
                              const float *target, size_t n, double ramp, bool dense, sgi_sparse_arrays *g,
                              uint64_t *fired, uint64_t now, sgi_sparse_loss *loss, sg_error *err) {
  batch b = {w, f, p, x, target, n, f->activation == SGI_SPARSE_TOPK ? 0 : f->lambda * ramp, g, fired, now};
  bool full = dense && f->activation != SGI_SPARSE_TOPK;
  if (!n || n > w->rows || !w->training)
    return sgi_fail(err, SG_ERR_ARG, "%zu rows for a sparse MLP with room for %zu", n, w->rows);
  sg_status st = SG_OK;
  if (full)
    prepare(w, f, p, true);
  else
    st = encode(w, f, p, x, n, true, &full);
  if (!st) st = full ? dense_gradient(&b) : sparse_gradient(&b);
  if (st) return sgi_fail(err, st, "a step of a sparse MLP: %s", sg_status_text(st));
  finish(&b, loss);
  if (!isfinite(loss->total)) return sgi_fail(err, SG_ERR_NUMERIC, "the loss of a sparse MLP is NaN or infinite");
  return SG_OK;
}

/* ---- step ------------------------------------------------------------------------------------ */

static void to_length_1(float *w, size_t n) {
  double norm = sqrt(sgi_kernel_table()->sum_squares(w, n));
  if (norm > 0) sgi_kernel_table()->scale(w, (float)(1 / norm), n);
}

void sgi_sparse_normalise(const sgi_sparse_form *f, sgi_sparse_arrays *p) {
  if (f->decoder != SGI_DECODER_UNIT) return;
#pragma omp parallel for schedule(static)
  for (size_t j = 0; j < f->features; j++) to_length_1(p->at[SGI_SPARSE_W_D] + j * f->out, f->out);
}

/* The gradient's part along its row of length 1 is taken out. */
static void across(float *g, const float *w, size_t n) {
  double dot = 0;
  for (size_t d = 0; d < n; d++) dot += (double)g[d] * (double)w[d];
  for (size_t d = 0; d < n; d++) g[d] -= (float)(dot * (double)w[d]);
}

void sgi_sparse_update(const sgi_sparse_form *f, sgi_sparse_arrays *p, sgi_sparse_arrays *g, sgi_sparse_arrays *m,
                       sgi_sparse_arrays *v, const sgi_sparse_rates *r) {
  const sgi_kernels *k = sgi_kernel_table();
  double t = (double)r->done + 1;
  sgi_adamw_step plain = {.grad_scale = 1,
                          .lr = (float)r->lr,
                          .bias1 = (float)(1 / (1 - pow(r->beta1, t))),
                          .bias2 = (float)(1 / (1 - pow(r->beta2, t))),
                          .beta1 = (float)r->beta1,
                          .beta2 = (float)r->beta2,
                          .eps = (float)r->eps};
  sgi_adamw_step decayed = plain;
  decayed.decay = (float)r->decay;
#pragma omp parallel for schedule(static)
  for (size_t j = 0; j < f->features; j++) {
    size_t e = j * f->in, d = j * f->out;
    if (!f->frozen)
      k->adamw(p->at[SGI_SPARSE_W_E] + e, g->at[SGI_SPARSE_W_E] + e, m->at[SGI_SPARSE_W_E] + e,
               v->at[SGI_SPARSE_W_E] + e, f->in, &decayed);
    if (f->decoder == SGI_DECODER_UNIT) across(g->at[SGI_SPARSE_W_D] + d, p->at[SGI_SPARSE_W_D] + d, f->out);
    k->adamw(p->at[SGI_SPARSE_W_D] + d, g->at[SGI_SPARSE_W_D] + d, m->at[SGI_SPARSE_W_D] + d, v->at[SGI_SPARSE_W_D] + d,
             f->out, &decayed);
    if (f->decoder == SGI_DECODER_UNIT) to_length_1(p->at[SGI_SPARSE_W_D] + d, f->out);
  }
  static const sgi_sparse_part small[] = {SGI_SPARSE_B_E, SGI_SPARSE_B_D, SGI_SPARSE_LOG_THETA};
  for (size_t i = 0; i < SGI_COUNT(small); i++)
    if (p->at[small[i]])
      k->adamw(p->at[small[i]], g->at[small[i]], m->at[small[i]], v->at[small[i]], sgi_sparse_count(f, small[i]),
               &plain);
}
