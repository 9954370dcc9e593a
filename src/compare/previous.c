#include "compare/previous.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compare/svd.h"
#include "core/arena.h"
#include "math/gemm.h"
#include "model/pass.h"
#include "model/sub_attention.h"

enum { ROWS = 8, PATTERN_ROWS = 64 }; /* rows of a pass; rows whose patterns are looked at */

typedef struct job {
  const sg_model *m;
  const sgi_previous_request *r;
  sgi_previous *out;
  sgi_pass *pass;
  size_t S, D, half;       /* sites of the stream; rows that fit */
  int32_t *inputs;         /* (rows,T) */
  int32_t *number;         /* (V) of a token among those of the result, -1 */
  uint32_t *place;         /* (rows,T) number of a position within its half, UINT32_MAX: does not count */
  double *sum;             /* (S,tokens + 1,D) sums of the fitting half; the last: of all positions */
  float *direction;        /* (S,tokens,D) p_v */
  float *stream;           /* (S,tested,D) */
  int32_t *previous, *own; /* (tested) number of the token before, the own id */
  double *looks;           /* (L,H) */
  size_t looked;
  bool *seen;          /* (S) */
  size_t first, count; /* rows of the pass at hand */
  size_t done, wanted;
} job;

static bool counts(const job *j, size_t row, size_t t) {
  return t && j->r->targets[row * j->r->T + t] != j->m->config.pad_id;
}

static sg_status go_on(job *j, size_t more, sg_error *err) {
  j->done += more;
  return !j->r->progress || j->r->progress(j->r->user, j->done, j->wanted) ? SG_OK
                                                                           : sgi_fail(err, SG_ERR_CANCELLED, "stopped");
}

/* ---- which tokens ---------------------------------------------------------------------------- */

typedef struct frequent {
  size_t count;
  int32_t id;
} frequent;

static int by_count(const void *a, const void *b) {
  const frequent *x = a, *y = b;
  if (x->count != y->count) return x->count > y->count ? -1 : 1;
  return x->id < y->id ? -1 : x->id > y->id;
}

/* The most common token behind v in the fitting half; ties to the lower id. behind (V): 0 before
 * and after. */
static int32_t most_common_after(const job *j, int32_t v, size_t *behind) {
  size_t T = j->r->T, best = 0;
  int32_t id = -1;
  for (size_t pass = 0; pass < 2; pass++)
    for (size_t row = 0; row < j->half; row++)
      for (size_t t = 1; t < T; t++) {
        int32_t own = j->inputs[row * T + t];
        if (!counts(j, row, t) || j->inputs[row * T + t - 1] != v) continue;
        size_t n = pass ? behind[own] : ++behind[own];
        if (pass && (n > best || (n == best && n && own < id))) {
          best = n;
          id = own;
        }
      }
  for (size_t row = 0; row < j->half; row++)
    for (size_t t = 0; t < T; t++) behind[j->inputs[row * T + t]] = 0;
  return id;
}

static sg_status choose_tokens(job *j, sg_error *err) {
  size_t V = j->m->config.vocab_size, T = j->r->T, n = 0;
  frequent *f = sgi_alloc(V * sizeof *f);
  size_t *behind = sgi_alloc(V * sizeof *behind);
  sg_status st = f && behind ? SG_OK : sgi_fail_memory(err, V * (sizeof *f + sizeof *behind), "counts of tokens");
  for (size_t v = 0; v < V && !st; v++) f[v].id = (int32_t)v;
  for (size_t row = 0; row < j->half && !st; row++)
    for (size_t t = 1; t < T; t++) f[j->inputs[row * T + t - 1]].count += counts(j, row, t);
  if (!st) {
    f[j->m->config.bos_id].count = 0;
    for (size_t v = 0; v < V; v++)
      if (j->r->skip && j->r->skip[v]) f[v].count = 0;
    qsort(f, V, sizeof *f, by_count);
    while (n < V && n < j->r->most && f[n].count >= j->r->min_count && f[n].count) n++;
    if (!n)
      st = sgi_fail(err, SG_ERR_ARG,
                    "no token stands before another %zu times in %zu rows: give more text or a lower --min-count",
                    j->r->min_count, j->half);
  }
  if (!st && !(j->out->tokens = sgi_alloc(n * sizeof *j->out->tokens))) st = sgi_fail_memory(err, n * 64, "tokens");
  for (size_t v = 0; v < V && !st; v++) j->number[v] = -1;
  for (size_t i = 0; i < n && !st; i++) {
    j->out->tokens[i] =
        (sgi_previous_token){.id = f[i].id, .fitted = f[i].count, .after = most_common_after(j, f[i].id, behind)};
    j->number[f[i].id] = (int32_t)i;
  }
  j->out->n_tokens = n;
  sgi_free(f);
  sgi_free(behind);
  return st;
}

/* Numbers of positions within their half. */
static void number_positions(job *j) {
  size_t T = j->r->T, n[2] = {0};
  for (size_t row = 0; row < j->r->rows; row++)
    for (size_t t = 0; t < T; t++)
      j->place[row * T + t] = counts(j, row, t) ? (uint32_t)n[row >= j->half]++ : UINT32_MAX;
  j->out->fitted = n[0];
  j->out->tested = n[1];
}

/* ---- passes ---------------------------------------------------------------------------------- */

static size_t site_number(const sgi_site *s) {
  switch (s->id) {
    case SGI_SITE_EMBED: return 0;
    case SGI_SITE_RESID_MID: return 1 + 2 * (size_t)s->layer;
    case SGI_SITE_RESID_POST: return 2 + 2 * (size_t)s->layer;
    default: return SIZE_MAX;
  }
}

static void take_stream(job *j, const sgi_site *s, size_t site) {
  size_t T = j->r->T, D = j->D, n = j->out->n_tokens;
  j->seen[site] = true;
  for (size_t i = 0; i < s->n; i++) {
    size_t at = j->first * T + s->first + i;
    const float *x = (const float *)s->data + i * D;
    if (j->place[at] == UINT32_MAX) continue;
    if (j->first >= j->half) {
      memcpy(j->stream + (site * j->out->tested + j->place[at]) * D, x, D * sizeof *x);
      continue;
    }
    double *all = j->sum + (site * (n + 1) + n) * D;
    int32_t v = j->number[j->inputs[at - 1]];
    double *own = v < 0 ? NULL : j->sum + (site * (n + 1) + (size_t)v) * D;
    for (size_t d = 0; d < D; d++) {
      all[d] += (double)x[d];
      if (own) own[d] += (double)x[d];
    }
  }
}

static void take_pattern(job *j, const sgi_site *s) {
  size_t T = j->r->T, H = j->m->config.num_heads;
  for (size_t i = 0; i < s->n; i++) {
    size_t row = j->first + (s->first + i) / T, t = (s->first + i) % T;
    if (t < 2 || !counts(j, row, t)) continue;
    const float *p = (const float *)s->data + i * H * T;
    for (size_t h = 0; h < H; h++) j->looks[(size_t)s->layer * H + h] += (double)p[h * T + t - 1];
  }
}

static sg_status visit(void *user, const sgi_site *s, sg_error *err) {
  (void)err;
  job *j = user;
  size_t site = site_number(s);
  if (s->id == SGI_SITE_ATTN_PATTERN)
    take_pattern(j, s);
  else if (site < j->S)
    take_stream(j, s, site);
  return SG_OK;
}

static bool wants(void *user, const sgi_site *s) {
  const job *j = user;
  return s->id == SGI_SITE_ATTN_PATTERN && j->first >= j->half && j->first - j->half < PATTERN_ROWS;
}

/* Rows [first, end) of one half. */
static sg_status run_rows(job *j, size_t first, size_t end, sg_error *err) {
  size_t T = j->r->T;
  sg_status st = SG_OK;
  for (j->first = first; j->first < end && !st; j->first += j->count) {
    j->count = end - j->first < ROWS ? end - j->first : ROWS;
    sgi_batch batch = {.B = j->count, .T = T, .inputs = j->inputs + j->first * T};
    const sgi_tap tap = {.visit = visit, .user = j, .err = err, .wants = wants};
    if (wants(j, &(sgi_site){.id = SGI_SITE_ATTN_PATTERN}))
      for (size_t i = 0; i < j->count; i++)
        for (size_t t = 2; t < T; t++) j->looked += counts(j, j->first + i, t);
    st = sgi_pass_forward(j->pass, &batch, &tap, err);
    if (!st) st = go_on(j, j->count, err);
  }
  return st;
}

/* ---- directions and their test --------------------------------------------------------------- */

static void make_directions(job *j) {
  size_t n = j->out->n_tokens, D = j->D;
  for (size_t s = 0; s < j->S; s++) {
    const double *all = j->sum + (s * (n + 1) + n) * D;
    for (size_t v = 0; v < n; v++)
      for (size_t d = 0; d < D; d++)
        j->direction[(s * n + v) * D + d] =
            (float)(j->sum[(s * (n + 1) + v) * D + d] / (double)j->out->tokens[v].fitted -
                    all[d] / (double)j->out->fitted);
  }
}

double sgi_previous_auc(const float *scores, const uint32_t *order, const bool *positive, const bool *member,
                        size_t n) {
  double below = 0, won = 0, positives = 0;
  for (size_t i = 0; i < n;) {
    double more[2] = {0};
    size_t k = i;
    for (; k < n && scores[order[k]] == scores[order[i]]; k++)
      if (member[order[k]]) more[positive[order[k]]]++;
    won += more[1] * (below + 0.5 * more[0]);
    below += more[0];
    positives += more[1];
    i = k;
  }
  return positives >= SGI_PREVIOUS_LEAST && below >= SGI_PREVIOUS_LEAST ? won / positives / below : NAN;
}

typedef struct scored {
  float score;
  uint32_t at;
} scored;

static int ascending(const void *a, const void *b) {
  const scored *x = a, *y = b;
  if (x->score != y->score) return x->score < y->score ? -1 : 1;
  return x->at < y->at ? -1 : x->at > y->at;
}

/* Which positions take part in each test of token v. */
static void members(const job *j, size_t v, bool *positive, bool *member) {
  size_t n = j->out->tested;
  for (size_t i = 0; i < n; i++) {
    bool has = j->previous[i] == (int32_t)v, own = j->own[i] == j->out->tokens[v].after;
    positive[i] = has;
    member[SGI_PREVIOUS_ALL * n + i] = true;
    member[SGI_PREVIOUS_AFTER * n + i] = has || own;
    member[SGI_PREVIOUS_MATCHED * n + i] = own;
  }
}

typedef struct tester {
  scored *sorted;          /* (tested) */
  uint32_t *order;         /* (tested) */
  bool *positive, *member; /* (tested), (AUCS,tested) */
} tester;

static bool tester_make(tester *t, size_t n) {
  *t = (tester){sgi_alloc(n * sizeof *t->sorted), sgi_alloc(n * sizeof *t->order), sgi_alloc(n),
                sgi_alloc(SGI_PREVIOUS_AUCS * n)};
  return t->sorted && t->order && t->positive && t->member;
}

static void tester_free(tester *t) {
  sgi_free(t->sorted);
  sgi_free(t->order);
  sgi_free(t->positive);
  sgi_free(t->member);
}

static void test_token(const job *j, tester *t, size_t site, size_t v, const float *scores) {
  size_t n = j->out->tested;
  for (size_t i = 0; i < n; i++) t->sorted[i] = (scored){scores[i], (uint32_t)i};
  qsort(t->sorted, n, sizeof *t->sorted, ascending);
  for (size_t i = 0; i < n; i++) t->order[i] = t->sorted[i].at;
  members(j, v, t->positive, t->member);
  double *auc = j->out->auc + (site * j->out->n_tokens + v) * SGI_PREVIOUS_AUCS;
  for (size_t k = 0; k < SGI_PREVIOUS_AUCS; k++)
    auc[k] = sgi_previous_auc(scores, t->order, t->positive, t->member + k * n, n);
}

static sg_status test_site(job *j, size_t site, float *scores, sg_error *err) {
  size_t n = j->out->tested, tokens = j->out->n_tokens, D = j->D;
  bool short_of_memory = false;
  sg_status st = sgi_gemm(false, true, tokens, n, D, j->direction + site * tokens * D, D, j->stream + site * n * D, D,
                          0, scores, n);
  if (st) return sgi_fail(err, st, "scores of previous tokens: a matrix product failed");
#pragma omp parallel
  {
    tester t;
    bool has = tester_make(&t, n);
#pragma omp for schedule(dynamic, 1)
    for (size_t v = 0; v < tokens; v++) {
      if (has)
        test_token(j, &t, site, v, scores + v * n);
      else
#pragma omp atomic write
        short_of_memory = true;
    }
    tester_free(&t);
  }
  return short_of_memory ? sgi_fail_memory(err, n * 24, "ranks of positions") : SG_OK;
}

static void count_tested(job *j) {
  size_t T = j->r->T;
  for (size_t row = j->half; row < j->r->rows; row++)
    for (size_t t = 1; t < T; t++) {
      uint32_t at = j->place[row * T + t];
      if (at == UINT32_MAX) continue;
      int32_t v = j->number[j->inputs[row * T + t - 1]];
      j->previous[at] = v;
      j->own[at] = j->inputs[row * T + t];
      if (v < 0) continue;
      j->out->tokens[v].tested++;
      j->out->tokens[v].after_both += j->own[at] == j->out->tokens[v].after;
    }
}

static sg_status test_all(job *j, sg_error *err) {
  sgi_previous *o = j->out;
  size_t n = o->n_tokens;
  float *scores = sgi_alloc(n * o->tested * sizeof *scores);
  o->sites = sgi_alloc(j->S * sizeof *o->sites);
  o->auc = sgi_alloc(j->S * n * SGI_PREVIOUS_AUCS * sizeof *o->auc);
  sg_status st = scores && o->sites && o->auc ? SG_OK : sgi_fail_memory(err, n * o->tested * 4, "scores");
  for (size_t s = 0; s < j->S && !st; s++) {
    if (!j->seen[s]) continue;
    /* Sites that a form does not have leave no gap. */
    size_t at = o->n_sites++;
    st = test_site(j, s, scores, err);
    if (at != s)
      memmove(o->auc + at * n * SGI_PREVIOUS_AUCS, o->auc + s * n * SGI_PREVIOUS_AUCS,
              n * SGI_PREVIOUS_AUCS * sizeof *o->auc);
    sgi_previous_site *site = &o->sites[at];
    sgi_site_full_name(site->name, s ? (ptrdiff_t)(s - 1) / 2 : -1,
                       !s      ? SGI_SITE_EMBED
                       : s % 2 ? SGI_SITE_RESID_MID
                               : SGI_SITE_RESID_POST);
    for (size_t k = 0; k < SGI_PREVIOUS_AUCS && !st; k++) {
      for (size_t v = 0; v < n; v++) {
        double a = o->auc[(at * n + v) * SGI_PREVIOUS_AUCS + k];
        if (isnan(a)) continue;
        site->auc[k] += a;
        site->count[k]++;
      }
      site->auc[k] = site->count[k] ? site->auc[k] / (double)site->count[k] : NAN;
    }
    if (!st) st = go_on(j, ROWS, err);
  }
  sgi_free(scores);
  return st;
}

/* ---- heads ----------------------------------------------------------------------------------- */

/* out (D) += E_v M_lh: through values and output map of one head. */
static void copied(const sg_model *m, const sgi_sublayer *a, size_t head, int32_t v, double *out) {
  size_t D = m->config.hidden_size, d = a->config->head_dim;
  sgi_slice e = sgi_embedding_of(m, (size_t)v);
  for (size_t k = 0; k < d; k++) {
    sgi_slice value = sgi_weight_row(a->weight[SGI_T_V], head * d + k);
    double z = 0;
    for (size_t i = 0; i < D; i++)
      z += (double)sgi_slice_at(&e, i) * (double)a->w[SGI_T_NORM][i] * (double)sgi_slice_at(&value, i);
    for (size_t i = 0; i < D; i++) {
      sgi_slice row = sgi_weight_row(a->weight[SGI_T_O], i);
      out[i] += z * (double)sgi_slice_at(&row, head * d + k);
    }
  }
}

static double cosine(const float *a, const double *b, size_t n) {
  double ab = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < n; i++) {
    ab += (double)a[i] * b[i];
    aa += (double)a[i] * (double)a[i];
    bb += b[i] * b[i];
  }
  return aa > 0 && bb > 0 ? ab / sqrt(aa * bb) : 0;
}

static void head_cosines(job *j, size_t layer, double *work) {
  sgi_previous *o = j->out;
  const sgi_sublayer *a = sgi_attention_of(j->m, layer);
  size_t D = j->D, H = j->m->config.num_heads, n = o->n_tokens, site = 1 + 2 * layer;
  double *sum = work + D;
  sgi_previous_head *head = o->heads + o->n_heads;
  for (size_t h = 0; h < H; h++)
    head[h] = (sgi_previous_head){
        .layer = layer, .head = h, .looks = j->looked ? j->looks[layer * H + h] / (double)j->looked : NAN};
  o->summed[layer] = 0;
  for (size_t v = 0; v < n; v++) {
    const float *p = j->direction + (site * n + v) * D;
    memset(sum, 0, D * sizeof *sum);
    for (size_t h = 0; h < H; h++) {
      memset(work, 0, D * sizeof *work);
      copied(j->m, a, h, o->tokens[v].id, work);
      head[h].cosine += cosine(p, work, D) / (double)n;
      for (size_t d = 0; d < D; d++) sum[d] += work[d];
    }
    o->summed[layer] += cosine(p, sum, D) / (double)n;
  }
  o->n_heads += H;
}

static sg_status make_heads(job *j, sg_error *err) {
  size_t L = j->m->config.num_layers, H = j->m->config.num_heads;
  double *work = sgi_alloc(2 * j->D * sizeof *work);
  j->out->heads = sgi_alloc(L * H * sizeof *j->out->heads);
  j->out->summed = sgi_alloc(L * sizeof *j->out->summed);
  sg_status st = work && j->out->heads && j->out->summed ? SG_OK : sgi_fail_memory(err, L * H * 64, "heads");
  for (size_t l = 0; l < L && !st; l++) {
    if (sgi_attention_of(j->m, l) && j->seen[1 + 2 * l])
      head_cosines(j, l, work);
    else
      j->out->summed[l] = NAN;
    st = go_on(j, ROWS, err);
  }
  sgi_free(work);
  return st;
}

/* ---- compositions ---------------------------------------------------------------------------- */

/* |S V^T U S'|_F over |S| |S'|: v and u (n,D) directions, s and t their values. */
static double composed(const double *v, const double *s, size_t n, const double *u, const double *t, size_t k,
                       size_t D) {
  double sum = 0, ss = 0, tt = 0;
  for (size_t i = 0; i < n; i++) ss += s[i] * s[i];
  for (size_t i = 0; i < k; i++) tt += t[i] * t[i];
  for (size_t i = 0; i < n; i++)
    for (size_t c = 0; c < k; c++) {
      double x = 0;
      for (size_t d = 0; d < D; d++) x += v[i * D + d] * u[c * D + d];
      sum += x * x * s[i] * s[i] * t[c] * t[c];
    }
  return ss > 0 && tt > 0 ? sqrt(sum / ss / tt) : 0;
}

/* The same with a corner of each random rotation (D,D) in the place of V^T U. */
static double turned(const double *q, size_t R, size_t D, const sgi_svd *a, const sgi_svd *b) {
  double sum = 0;
  for (size_t r = 0; r < R; r++) {
    double x = 0, ss = 0, tt = 0;
    for (size_t i = 0; i < a->n; i++) ss += a->values[i] * a->values[i];
    for (size_t k = 0; k < b->n; k++) tt += b->values[k] * b->values[k];
    for (size_t i = 0; i < a->n; i++)
      for (size_t k = 0; k < b->n; k++) {
        double y = q[(r * D + i) * D + k] * a->values[i] * b->values[k];
        x += y * y;
      }
    sum += ss > 0 && tt > 0 ? sqrt(x / ss / tt) : 0;
  }
  return R ? sum / (double)R : NAN;
}

static int by_key(const void *a, const void *b) {
  const sgi_composition *x = a, *y = b;
  double p = x->key * y->control, q = y->key * x->control;
  return p > q ? -1 : p < q;
}

static sg_status decompose(job *j, sgi_svd **ov, sgi_svd **qk, sg_error *err) {
  sg_status st = SG_OK;
  for (size_t i = 0; i < j->out->n_heads && !st; i++) {
    sgi_svd_which w = {.matrix = SGI_SVD_OV, .layer = j->out->heads[i].layer, .head = j->out->heads[i].head};
    st = sgi_svd_make(j->m, &w, &ov[i], err);
    w.matrix = SGI_SVD_QK;
    if (!st) st = sgi_svd_make(j->m, &w, &qk[i], err);
    if (!st) st = go_on(j, 1, err);
  }
  return st;
}

static void compose_all(job *j, sgi_svd *const *ov, sgi_svd *const *qk, const double *q) {
  sgi_previous *o = j->out;
  size_t D = j->D, n = 0;
  for (size_t a = 0; a < o->n_heads; a++)
    for (size_t b = a + 1; b < o->n_heads; b++)
      if (o->heads[b].layer > o->heads[a].layer) o->compositions[n++] = (sgi_composition){a, 0, b, 0, 0, 0, 0};
  o->n_compositions = n;
#pragma omp parallel for schedule(dynamic, 1)
  for (size_t i = 0; i < n; i++) {
    sgi_composition *c = &o->compositions[i];
    size_t a = c->layer, b = c->to_layer;
    const sgi_previous_head *from = &o->heads[a], *to = &o->heads[b];
    *c = (sgi_composition){from->layer,
                           from->head,
                           to->layer,
                           to->head,
                           composed(ov[a]->right, ov[a]->values, ov[a]->n, qk[b]->left, qk[b]->values, qk[b]->n, D),
                           composed(ov[a]->right, ov[a]->values, ov[a]->n, qk[b]->right, qk[b]->values, qk[b]->n, D),
                           turned(q, j->r->rotations, D, ov[a], qk[b])};
  }
  qsort(o->compositions, n, sizeof *o->compositions, by_key);
}

static sg_status compositions(job *j, sg_error *err) {
  size_t n = j->out->n_heads, D = j->D, R = j->r->rotations;
  if (n < 2) return SG_OK;
  sgi_svd **all = sgi_alloc(2 * n * sizeof *all);
  double *q = sgi_alloc(R * D * D * sizeof *q);
  j->out->compositions = sgi_alloc(n * n * sizeof *j->out->compositions);
  sg_status st = all && q && j->out->compositions ? SG_OK : sgi_fail_memory(err, n * n * 64, "compositions of heads");
  for (size_t r = 0; r < R && !st; r++) {
    st = sgi_svd_rotation(j->r->seed, r, D, q + r * D * D, err);
    if (!st) st = go_on(j, 1, err);
  }
  if (!st) st = decompose(j, all, all + n, err);
  if (!st) compose_all(j, all, all + n, q);
  for (size_t i = 0; all && i < 2 * n; i++) sgi_svd_free(all[i]);
  sgi_free(all);
  sgi_free(q);
  return st;
}

/* ---- all ------------------------------------------------------------------------------------- */

static sg_status room_for(job *j, sg_error *err) {
  size_t V = j->m->config.vocab_size, cells = j->r->rows * j->r->T;
  j->inputs = sgi_alloc(cells * sizeof *j->inputs);
  j->place = sgi_alloc(cells * sizeof *j->place);
  j->number = sgi_alloc(V * sizeof *j->number);
  j->seen = sgi_alloc(j->S);
  j->looks = sgi_alloc(j->m->config.num_layers * j->m->config.num_heads * sizeof *j->looks);
  if (!j->inputs || !j->place || !j->number || !j->seen || !j->looks)
    return sgi_fail_memory(err, cells * 8 + V * 4, "rows of tokens");
  for (size_t row = 0; row < j->r->rows; row++) {
    j->inputs[row * j->r->T] = j->m->config.bos_id;
    memcpy(j->inputs + row * j->r->T + 1, j->r->targets + row * j->r->T, (j->r->T - 1) * sizeof *j->inputs);
  }
  return SG_OK;
}

static sg_status room_for_streams(job *j, sg_error *err) {
  sgi_previous *o = j->out;
  size_t n = o->n_tokens, stream, sums, scores;
  if (!sgi_size_mul(j->S * j->D * sizeof(float), o->tested, &stream) || !sgi_size_mul(j->S * j->D * 12, n + 1, &sums) ||
      !sgi_size_mul(n * sizeof(float), o->tested, &scores) || stream / 2 + sums / 2 + scores / 2 > j->r->max_bytes / 2)
    return sgi_fail(err, SG_ERR_MEMORY,
                    "streams of %zu positions at %zu sites and their scores for %zu tokens are above --max-memory: "
                    "read fewer --tokens",
                    o->tested, j->S, n);
  j->sum = sgi_alloc(j->S * j->D * (n + 1) * sizeof *j->sum);
  j->direction = sgi_alloc(j->S * j->D * n * sizeof *j->direction);
  j->stream = sgi_alloc(stream);
  j->previous = sgi_alloc(o->tested * sizeof *j->previous);
  j->own = sgi_alloc(o->tested * sizeof *j->own);
  return j->sum && j->direction && j->stream && j->previous && j->own ? SG_OK : sgi_fail_memory(err, stream, "streams");
}

static sg_status run(job *j, sg_error *err) {
  const sg_config *c = &j->m->config;
  sg_status st = room_for(j, err);
  if (!st) number_positions(j);
  if (!st) st = choose_tokens(j, err);
  if (!st && j->out->tested < 2 * SGI_PREVIOUS_LEAST)
    st = sgi_fail(err, SG_ERR_ARG, "%zu positions are left for the test: give more text", j->out->tested);
  if (!st) st = room_for_streams(j, err);
  if (!st) st = sgi_gemm_ready(err);
  if (!st) st = sgi_pass_create(j->m, ROWS, j->r->T, false, &j->pass, err);
  j->wanted = j->r->rows + (j->S + c->num_layers) * ROWS + j->r->rotations + c->num_layers * c->num_heads;
  if (!st) st = run_rows(j, 0, j->half, err);
  if (!st) make_directions(j);
  if (!st) st = run_rows(j, j->half, j->r->rows, err);
  if (!st) count_tested(j);
  if (!st) st = test_all(j, err);
  if (!st) st = make_heads(j, err);
  return st ? st : compositions(j, err);
}

sg_status sgi_previous_make(const sg_model *m, const sgi_previous_request *r, sgi_previous **out, sg_error *err) {
  *out = NULL;
  if (r->rows < 2 || r->T < 3)
    return sgi_fail(err, SG_ERR_ARG, "%zu rows of %zu tokens: two halves of documents are needed", r->rows, r->T);
  job j = {.m = m,
           .r = r,
           .out = sgi_alloc(sizeof *j.out),
           .S = 1 + 2 * m->config.num_layers,
           .D = m->config.hidden_size,
           .half = r->rows / 2};
  if (!j.out) return sgi_fail_memory(err, sizeof *j.out, "previous tokens");
  sg_status st = run(&j, err);
  void *all[] = {j.inputs, j.number, j.place, j.sum, j.direction, j.stream, j.previous, j.own, j.looks, j.seen};
  for (size_t i = 0; i < SGI_COUNT(all); i++) sgi_free(all[i]);
  sgi_pass_free(j.pass);
  if (st)
    sgi_previous_free(j.out);
  else
    *out = j.out;
  return st;
}

void sgi_previous_free(sgi_previous *p) {
  if (!p) return;
  sgi_free(p->tokens);
  sgi_free(p->sites);
  sgi_free(p->auc);
  sgi_free(p->heads);
  sgi_free(p->summed);
  sgi_free(p->compositions);
  sgi_free(p);
}
