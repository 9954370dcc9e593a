/* Causal attention in blocks (docs/method.md, attention).
 *
 * Idea. The T x T pattern of a head is never stored. Forward keeps one number a query, the log of
 * its row's sum of exponentials; backward makes each block's pattern again from it. A block of
 * queries meets the keys it can see on register tiles (kernels.h, block_product), whose operands
 * are packed:
 *
 *   forward room of a thread                      backward room of a thread
 *     kt  panels of keys, each (d, width)           kt, vt  panels of keys and values
 *     v   (keys, dp)                                k, dk, dv (T, dp)
 *     q,o (ROWS, dp)                                q, d_o, dq (BACK_ROWS, dp)
 *     p   (ROWS, ld) scores, then exponentials      p, ds  (BACK_ROWS, KEYS + SKEW)
 *
 *          keys ->                     width: columns of a register tile; dp: d rounded up to it
 *   q   [####\        ]                only tiles left of the diagonal (#) are computed; the strip
 *   u   [#######\     ]                that the diagonal cuts is masked row by row
 *   e   [##########\  ]                with documents packed in a row, tiles left of the row's own
 *   r   [   ##########\]               document (starts) are left out, too
 *
 * Rows of p must not all begin at the same place of a page (SKEW), or they share few places of a
 * cache.
 *
 * Forward: exponentials are taken unscaled, the sum divides the output row at the end. Backward,
 * per block: P = exp(s - lse), dP = dO V^T, dS = P (dP - delta) with delta = dO . O, then dV +=
 * P^T dO, dK += dS^T Q, dQ += dS K. Q is scaled by 1/sqrt(d) when packed, dQ when it is written.
 *
 * Sinks: a head's learned logit s_h stands in the sum of every row and has no value, so it changes
 * lse and nothing else of both directions: P = exp(s - lse), and delta is still the sum of P dP.
 * Its own gradient is -sum over rows of exp(s_h - lse) delta.
 *
 * Invariants. Work is cut by the sizes alone. A task is one head of one sequence (forward, with
 * fewer than HEADS of them: of PART of its queries), so every sum has one owner: a thread adds a
 * head's blocks of queries in order, and no two threads add to the same dk, dv. Both block
 * heights are multiples of every tile_rows, KEYS of every tile_rows and tile_columns. A query
 * sees itself, so no row of the pattern is empty.
 *
 * Tried (SPEED.md). oneDNN per block of 64 queries: 62 % of the product's rate forward, 65 %
 * backward, where tiles gave 63 and 70, and packing a head's keys once 82 forward. Strips of 24
 * rows: noise. A few queries (decoding) read keys and values once, so nothing is packed for them:
 * forward_few. */
#include "model/attention.h"

#include <math.h>
#include <omp.h>
#include <string.h>

#include "math/rows.h"
#include "math/transpose.h"

enum { HEADS = 8, PART = 512, ROWS = 48, BACK_ROWS = 96, KEYS = 192, FEW = 8, SKEW = 16 };

static size_t least(size_t a, size_t b) { return a < b ? a : b; }
static size_t up(size_t x, size_t step) { return (x + step - 1) / step * step; }
static size_t panel_width(void) { return sgi_kernel_table()->tile_columns; }

static float scale_of(const sgi_attention *s) { return (float)(1.0 / sqrt((double)s->d_head)); }

/* Row t of head h: of queries, outputs; of keys, values. */
static size_t query_at(const sgi_attention *s, size_t b, size_t h, size_t t) {
  return ((b * s->T + t) * s->H + h) * s->d_head;
}
static size_t key_at(const sgi_attention *s, size_t b, size_t h, size_t t) {
  return ((b * s->capacity + t) * s->H + h) * s->d_head;
}
/* Keys that query t sees: [first_key, end_key). starts do not fall within a row. */
static size_t first_key(const sgi_attention *s, size_t b, size_t t) {
  return s->starts ? (size_t)s->starts[b * s->T + t] : 0;
}
static size_t end_key(const sgi_attention *s, size_t t) { return s->past + t + 1; }

static const float *sink_of(const sgi_attention *s, size_t h) { return s->sinks ? s->sinks + h : NULL; }

/* Whichever is larger, the row's largest score or the sink, is what exponentials are relative
 * to. */
float sgi_attention_part(float sum, float max, const float *sink, float *lse) {
  if (!sink) {
    *lse = max + logf(sum);
    return 1 / sum;
  }
  float row = *sink > max ? expf(max - *sink) : 1, own = *sink > max ? 1 : expf(*sink - max);
  float whole = row * sum + own;
  *lse = (*sink > max ? *sink : max) + logf(whole);
  return row / whole;
}

/* ---- packing --------------------------------------------------------------------------------- */

/* out (rows, dp) = factor x, columns past d zero; with round the nearest bf16. */
static void pack_rows(float *out, size_t dp, const float *x, size_t step, size_t rows, size_t d, float factor,
                      bool round) {
  const sgi_kernels *kern = sgi_kernel_table();
  for (size_t r = 0; r < rows; r++) {
    memcpy(out + r * dp, x + r * step, d * sizeof *out);
    if (factor != 1) kern->scale(out + r * dp, factor, d);
    if (round) kern->round_bf16(out + r * dp, out + r * dp, d);
    if (dp > d) memset(out + r * dp + d, 0, (dp - d) * sizeof *out);
  }
}

/* Panels of `width` rows of x, each (d, width); rows past the last are zero. */
static void pack_panels(float *out, size_t width, const float *x, size_t step, size_t rows, size_t d) {
  for (size_t r = 0; r < rows; r += width, out += width * d) {
    size_t have = least(width, rows - r);
    if (have < width) memset(out, 0, width * d * sizeof *out);
    sgi_transpose(out, width, x + r * step, step, have, d);
  }
}

/* ---- forward --------------------------------------------------------------------------------- */

typedef struct forward_room {
  float *kt;    /* panels of keys, each (d, width) */
  float *v;     /* (keys, dp) */
  float *q, *o; /* (ROWS, dp) */
  float *p;     /* (ROWS, ld) scores, then exponentials */
  size_t dp, ld;
} forward_room;

static void layout_forward(size_t keys, size_t d, sgi_arena *a, forward_room *r) {
  r->dp = up(d, panel_width());
  r->ld = up(keys, panel_width()) + SKEW; /* rows must not all begin at the same place of a page */
  r->kt = SGI_TAKE(a, up(keys, panel_width()) * d, float);
  r->v = SGI_TAKE(a, keys * r->dp, float);
  r->q = SGI_TAKE(a, ROWS * r->dp, float);
  r->o = SGI_TAKE(a, ROWS * r->dp, float);
  r->p = SGI_TAKE(a, ROWS * r->ld, float);
}

/* Queries [i, i + rows) of a head, keys from base on are packed. Tiles right of the diagonal are
 * left out. */
static void forward_block(const sgi_attention *s, const forward_room *m, size_t base, float *o, float *lse, size_t b,
                          size_t h, size_t i, size_t rows, const float *q) {
  const sgi_kernels *kern = sgi_kernel_table();
  size_t width = panel_width(), d = s->d_head, step = s->H * d;
  size_t lo = (first_key(s, b, i) - base) / width * width; /* relative to base, as all keys here */
  pack_rows(m->q, m->dp, q + query_at(s, b, h, i), step, rows, d, scale_of(s), s->bf16);
  for (size_t r0 = 0; r0 < rows; r0 += kern->tile_rows) {
    size_t some = least(kern->tile_rows, rows - r0), keys = end_key(s, i + r0 + some - 1) - base - lo;
    float *p = m->p + r0 * m->ld, part[ROWS];
    kern->block_product(false, some, up(keys, width), d, m->q + r0 * m->dp, m->dp, m->kt + lo * d, width, width * d, p,
                        m->ld, false);
    for (size_t r = 0; r < some; r++) {
      size_t t = i + r0 + r, from = first_key(s, b, t) - base - lo, to = end_key(s, t) - base - lo;
      float *row = p + r * m->ld, max;
      float sum = kern->softmax_exp(row + from, to - from, 1, &max);
      if (s->bf16) kern->round_bf16(row + from, row + from, to - from);
      if (from) memset(row, 0, from * sizeof *row);
      for (size_t j = to; j < keys; j++) row[j] = 0; /* fewer than a strip's rows */
      part[r] = sgi_attention_part(sum, max, sink_of(s, h), &lse[(b * s->T + t) * s->H + h]);
    }
    kern->block_product(false, some, m->dp, keys, p, m->ld, m->v + lo * m->dp, m->dp, width, m->o, m->dp, false);
    for (size_t r = 0; r < some; r++) {
      float *out = o + query_at(s, b, h, i + r0 + r);
      for (size_t j = 0; j < d; j++) out[j] = part[r] * m->o[r * m->dp + j];
    }
  }
}

static void forward_part(const sgi_attention *s, const forward_room *m, float *o, float *lse, size_t b, size_t h,
                         size_t first, size_t last, const float *q, const float *k, const float *v) {
  size_t width = panel_width(), step = s->H * s->d_head;
  size_t base = first_key(s, b, first) / width * width, keys = end_key(s, last - 1) - base;
  pack_panels(m->kt, width, k + key_at(s, b, h, base), step, keys, s->d_head);
  pack_rows(m->v, m->dp, v + key_at(s, b, h, base), step, keys, s->d_head, 1, false);
  for (size_t i = first; i < last; i += ROWS) forward_block(s, m, base, o, lse, b, h, i, least(ROWS, last - i), q);
}

/* A few queries (decoding): keys and values are read once, so nothing is packed. pattern (past +
 * T). */
static void forward_few(const sgi_attention *s, float *pattern, float *o, float *lse, size_t b, size_t h,
                        const float *q, const float *k, const float *v) {
  const sgi_kernels *kern = sgi_kernel_table();
  size_t d = s->d_head, step = s->H * d;
  for (size_t t = 0; t < s->T; t++) {
    size_t from = first_key(s, b, t), to = end_key(s, t);
    const float *query = q + query_at(s, b, h, t), *keys = k + key_at(s, b, h, 0), *values = v + key_at(s, b, h, 0);
    float *out = o + query_at(s, b, h, t), max;
    for (size_t j = from; j < to; j++) pattern[j] = kern->dot(query, keys + j * step, d);
    float sum = kern->softmax_exp(pattern + from, to - from, scale_of(s), &max);
    if (s->bf16) kern->round_bf16(pattern + from, pattern + from, to - from);
    size_t whole = d / panel_width() * panel_width(); /* columns that tiles cover */
    kern->block_product(false, 1, whole, to - from, pattern + from, 0, values + from * step, step, panel_width(), out,
                        0, false);
    memset(out + whole, 0, (d - whole) * sizeof *out);
    for (size_t j = from; j < to; j++)
      for (size_t c = whole; c < d; c++) out[c] += pattern[j] * values[j * step + c];
    kern->scale(out, sgi_attention_part(sum, max, sink_of(s, h), &lse[(b * s->T + t) * s->H + h]), d);
  }
}

sg_status sgi_attention_forward(const sgi_attention *s, sgi_arena scratch, float *o, float *lse, const float *q,
                                const float *k, const float *v) {
  sgi_arena room = {0};
  layout_forward(s->past + s->T, s->d_head, &room, &(forward_room){0});
  size_t heads = s->B * s->H, part = heads < HEADS ? PART : s->T, parts = (s->T + part - 1) / part;
  size_t tasks = heads * parts;
  int threads = sgi_room_threads(&scratch, room.used);
  char *rooms = sgi_take(&scratch, (size_t)threads, room.used);
  /* Late parts see most keys: they come first, so that the threads end together. */
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads) if (tasks > 1)
  for (size_t task = 0; task < tasks; task++) {
    size_t b = task % heads / s->H, h = task % s->H, first = (parts - 1 - task / heads) * part;
    sgi_arena mine = {.base = rooms + (size_t)omp_get_thread_num() * room.used, .size = room.used};
    forward_room m;
    layout_forward(s->past + s->T, s->d_head, &mine, &m);
    if (s->T <= FEW)
      forward_few(s, m.p, o, lse, b, h, q, k, v);
    else
      forward_part(s, &m, o, lse, b, h, first, least(first + part, s->T), q, k, v);
  }
  return SG_OK;
}

/* ---- backward -------------------------------------------------------------------------------- */

typedef struct backward_room {
  float *kt, *vt;      /* panels of all keys and values, each (d, width) */
  float *k, *dk, *dv;  /* (T, dp) */
  float *q, *d_o, *dq; /* (BACK_ROWS, dp); q scaled */
  float *p, *ds;       /* (BACK_ROWS, KEYS + SKEW) */
  size_t dp;
} backward_room;

enum { LD = KEYS + SKEW };

static void layout_backward(size_t keys, size_t d, sgi_arena *a, backward_room *r) {
  size_t padded = up(keys, panel_width());
  r->dp = up(d, panel_width());
  r->kt = SGI_TAKE(a, padded * d, float);
  r->vt = SGI_TAKE(a, padded * d, float);
  r->k = SGI_TAKE(a, keys * r->dp, float);
  r->dk = SGI_TAKE(a, keys * r->dp, float);
  r->dv = SGI_TAKE(a, keys * r->dp, float);
  r->q = SGI_TAKE(a, BACK_ROWS * r->dp, float);
  r->d_o = SGI_TAKE(a, BACK_ROWS * r->dp, float);
  r->dq = SGI_TAKE(a, BACK_ROWS * r->dp, float);
  r->p = SGI_TAKE(a, BACK_ROWS * LD, float);
  r->ds = SGI_TAKE(a, BACK_ROWS * LD, float);
}

/* Where a block of queries meets one of keys: queries [i, i + rows), keys [key, key + keys). */
typedef struct crossing {
  size_t b, h, i, rows, key, keys;
} crossing;

/* With P the pattern, dP = dO V^T and delta = sum_d dO O per row: dS = P (dP - delta). Rows [r0, r0
 * + some); what a row does not see is 0. */
static void cross_rows(const sgi_attention *s, const backward_room *m, const crossing *x, size_t r0, size_t some,
                       const float *lse, const float *delta) {
  const sgi_kernels *kern = sgi_kernel_table();
  size_t width = panel_width(), d = s->d_head, to_last = end_key(s, x->i + r0 + some - 1);
  size_t n = least(x->keys, to_last - x->key);
  float *p = m->p + r0 * LD, *ds = m->ds + r0 * LD;
  kern->block_product(false, some, up(n, width), d, m->q + r0 * m->dp, m->dp, m->kt + x->key * d, width, width * d, p,
                      LD, false);
  kern->block_product(false, some, up(n, width), d, m->d_o + r0 * m->dp, m->dp, m->vt + x->key * d, width, width * d,
                      ds, LD, false);
  for (size_t r = 0; r < some; r++) {
    size_t t = x->i + r0 + r, first = first_key(s, x->b, t), end = end_key(s, t);
    size_t from = first > x->key ? least(first - x->key, x->keys) : 0;
    size_t to = end > x->key ? least(end - x->key, x->keys) : 0;
    float *pr = p + r * LD, *dr = ds + r * LD, mean = delta[r0 + r];
    if (to < from) to = from;
    kern->exp_shift(pr + from, to - from, 1, lse[(x->b * s->T + t) * s->H + x->h]);
#pragma omp simd
    for (size_t j = from; j < to; j++) dr[j] = pr[j] * (dr[j] - mean);
    if (s->bf16) {
      kern->round_bf16(pr + from, pr + from, to - from);
      kern->round_bf16(dr + from, dr + from, to - from);
    }
    memset(pr, 0, from * sizeof *pr);
    memset(dr, 0, from * sizeof *dr);
    memset(pr + to, 0, (x->keys - to) * sizeof *pr);
    memset(dr + to, 0, (x->keys - to) * sizeof *dr);
  }
}

/* dV += P^T dO; dK += dS^T Q; dQ += dS K. Q is scaled already, dQ is scaled by the caller. */
static void cross(const sgi_attention *s, const backward_room *m, const crossing *x, const float *lse,
                  const float *delta) {
  const sgi_kernels *kern = sgi_kernel_table();
  size_t strip = kern->tile_rows, width = panel_width();
  size_t before =
      x->key > s->past + x->i ? (x->key - s->past - x->i) / strip * strip : 0; /* rows that see none of it */
  for (size_t r0 = before; r0 < x->rows; r0 += strip) {
    size_t some = least(strip, x->rows - r0), n = least(x->keys, end_key(s, x->i + r0 + some - 1) - x->key);
    cross_rows(s, m, x, r0, some, lse, delta);
    kern->block_product(false, some, m->dp, n, m->ds + r0 * LD, LD, m->k + x->key * m->dp, m->dp, width,
                        m->dq + r0 * m->dp, m->dp, true);
  }
  kern->block_product(true, x->keys, m->dp, x->rows - before, m->p + before * LD, LD, m->d_o + before * m->dp, m->dp,
                      width, m->dv + x->key * m->dp, m->dp, true);
  kern->block_product(true, x->keys, m->dp, x->rows - before, m->ds + before * LD, LD, m->q + before * m->dp, m->dp,
                      width, m->dk + x->key * m->dp, m->dp, true);
}

static void backward_head(const sgi_attention *s, const backward_room *m, size_t b, size_t h, float *dq, float *dk,
                          float *dv, const float *o, const float *lse, const float *d_o, const float *q, const float *k,
                          const float *v) {
  const sgi_kernels *kern = sgi_kernel_table();
  size_t width = panel_width(), d = s->d_head, step = s->H * d, T = s->T, head = query_at(s, b, h, 0);
  pack_panels(m->kt, width, k + head, step, T, d);
  pack_panels(m->vt, width, v + head, step, T, d);
  pack_rows(m->k, m->dp, k + head, step, T, d, 1, false);
  memset(m->dk, 0, T * m->dp * sizeof *m->dk);
  memset(m->dv, 0, T * m->dp * sizeof *m->dv);
  for (size_t i = 0; i < T; i += BACK_ROWS) {
    crossing x = {.b = b, .h = h, .i = i, .rows = least(BACK_ROWS, T - i)};
    size_t at = head + i * step, end = end_key(s, i + x.rows - 1);
    float delta[BACK_ROWS];
    pack_rows(m->q, m->dp, q + at, step, x.rows, d, scale_of(s), s->bf16);
    pack_rows(m->d_o, m->dp, d_o + at, step, x.rows, d, 1, s->bf16);
    memset(m->dq, 0, x.rows * m->dp * sizeof *m->dq);
    for (size_t r = 0; r < x.rows; r++) delta[r] = kern->dot(d_o + at + r * step, o + at + r * step, d);
    for (x.key = first_key(s, b, i) / KEYS * KEYS; x.key < end; x.key += KEYS) {
      x.keys = least(KEYS, end - x.key);
      cross(s, m, &x, lse, delta);
    }
    for (size_t r = 0; r < x.rows; r++)
      for (size_t j = 0; j < d; j++) dq[at + r * step + j] = scale_of(s) * m->dq[r * m->dp + j];
  }
  for (size_t t = 0; t < T; t++) {
    memcpy(dk + head + t * step, m->dk + t * m->dp, d * sizeof *dk);
    memcpy(dv + head + t * step, m->dv + t * m->dp, d * sizeof *dv);
  }
}

sg_status sgi_attention_backward(const sgi_attention *s, sgi_arena scratch, float *dq, float *dk, float *dv,
                                 const float *o, const float *lse, const float *d_o, const float *q, const float *k,
                                 const float *v) {
  sgi_arena room = {0};
  layout_backward(s->T, s->d_head, &room, &(backward_room){0});
  size_t tasks = s->B * s->H;
  int threads = sgi_room_threads(&scratch, room.used);
  char *rooms = sgi_take(&scratch, (size_t)threads, room.used);
  /* One thread owns a sequence's head and adds its blocks in order. */
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads) if (tasks > 1)
  for (size_t task = 0; task < tasks; task++) {
    sgi_arena mine = {.base = rooms + (size_t)omp_get_thread_num() * room.used, .size = room.used};
    backward_room m;
    layout_backward(s->T, s->d_head, &mine, &m);
    backward_head(s, &m, task / s->H, task % s->H, dq, dk, dv, o, lse, d_o, q, k, v);
  }
  return SG_OK;
}

/* ds_h = -sum over rows of exp(s_h - lse) dO . O. */
void sgi_attention_sinks_backward(const sgi_attention *s, float *d_sinks, float *room, const float *o, const float *lse,
                                  const float *d_o) {
  const sgi_kernels *kern = sgi_kernel_table();
  size_t n = s->B * s->T, H = s->H, d = s->d_head;
#pragma omp parallel for schedule(static) if (n * H * d > 4096)
  for (size_t i = 0; i < n * H; i++) room[i] = -expf(s->sinks[i % H] - lse[i]) * kern->dot(d_o + i * d, o + i * d, d);
  sgi_column_sums(d_sinks, room, H, n, H);
}

void sgi_attention_scratch(size_t keys, size_t d_head, bool backward, sgi_arena *a) {
  sgi_arena forward_size = {0}, backward_size = {0};
  layout_forward(keys, d_head, &forward_size, &(forward_room){0});
  if (backward) layout_backward(keys, d_head, &backward_size, &(backward_room){0});
  sgi_room_take(a, forward_size.used > backward_size.used ? forward_size.used : backward_size.used);
}

sg_status sgi_attention_pattern(const sgi_attention *s, size_t b, size_t h, size_t i, float *pattern, const float *q,
                                const float *k) {
  const sgi_kernels *kern = sgi_kernel_table();
  size_t width = s->H * s->d_head, keys = s->past + i + 1, from = s->starts ? (size_t)s->starts[b * s->T + i] : 0;
  float max, lse;
  memset(pattern, 0, keys * sizeof *pattern);
  for (size_t j = from; j < keys; j++)
    pattern[j] = kern->dot(q + (b * s->T + i) * width + h * s->d_head,
                           k + (b * s->capacity + j) * width + h * s->d_head, s->d_head);
  float sum = kern->softmax_exp(pattern + from, keys - from, (float)(1.0 / sqrt((double)s->d_head)), &max);
  kern->scale(pattern + from, sgi_attention_part(sum, max, sink_of(s, h), &lse), keys - from);
  return SG_OK;
}
