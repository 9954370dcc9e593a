#include "read/neuron_record.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "read/kept.h"
#include "read/record_beside.h"

typedef struct reader {
  const sgi_recording *rec;
  const sgi_recording_info *info;
  size_t slot, channel, index;
  bool special;    /* the begin token's positions count */
  int32_t *chosen; /* (C,K) */
  float *value;    /* (C,K) */
} reader;

static int by_side_and_size(const void *a, const void *b) {
  const sgi_neuron_firing *x = a, *y = b;
  if ((x->value < 0) != (y->value < 0)) return x->value < 0 ? 1 : -1;
  double u = fabs(x->value), v = fabs(y->value);
  if (u != v) return u < v ? 1 : -1;
  return x->position < y->position ? -1 : x->position > y->position;
}

static double value_at(reader *r, size_t position, float score) {
  size_t K = r->info->slots[r->slot].top_k;
  if (!sgi_recording_values(r->rec, r->slot, position, r->value)) return (double)score;
  sgi_recording_circuit(r->rec, r->slot, position, r->chosen, NULL);
  for (size_t k = r->channel * K; k < (r->channel + 1) * K; k++)
    if ((size_t)r->chosen[k] == r->index) return (double)r->value[k];
  return 0;
}

static double number_of(const sgi_neuron_firing *f, size_t offset) {
  double x;
  memcpy(&x, (const char *)f + offset, sizeof x);
  return x;
}

/* Of the field at offset of all firings; all zeros where there are none. */
static void make_histogram(const sgi_neuron_record *n, size_t offset, sgi_neuron_histogram *h) {
  if (!n->n_firings) return;
  h->low = INFINITY;
  h->high = -INFINITY;
  for (size_t i = 0; i < n->n_firings; i++) {
    h->low = fmin(h->low, number_of(&n->firings[i], offset));
    h->high = fmax(h->high, number_of(&n->firings[i], offset));
  }
  for (size_t i = 0; i < n->n_firings; i++) {
    double part = h->high > h->low ? (number_of(&n->firings[i], offset) - h->low) / (h->high - h->low) : 0;
    size_t bin = part >= 0 ? (size_t)(part * SGI_NEURON_BINS) : 0;
    h->count[bin < SGI_NEURON_BINS ? bin : SGI_NEURON_BINS - 1]++;
  }
}

static sg_status read_firings(reader *r, sgi_neuron_record *n, sg_error *err) {
  sgi_postings p = sgi_recording_postings(r->rec, r->slot, r->channel, r->index);
  n->count = p.count;
  n->density = r->info->n_positions ? (double)p.count / (double)r->info->n_positions : 0;
  n->firings = sgi_alloc((p.count + 1) * sizeof *n->firings);
  if (!n->firings) return sgi_fail_memory(err, p.count * sizeof *n->firings, "a neuron's positions");
  for (size_t i = 0; i < p.count; i++)
    if (r->special || sgi_recording_at(r->rec, p.position[i]).input != r->info->bos)
      n->firings[n->n_firings++] =
          (sgi_neuron_firing){p.position[i], value_at(r, p.position[i], p.score[i]), (double)p.score[i]};
  make_histogram(n, offsetof(sgi_neuron_firing, score), &n->gates);
  make_histogram(n, offsetof(sgi_neuron_firing, value), &n->values);
  qsort(n->firings, n->n_firings, sizeof *n->firings, by_side_and_size);
  while (n->n_for < n->n_firings && !(n->firings[n->n_for].value < 0)) n->n_for++;
  return SG_OK;
}

/* ---- partners -------------------------------------------------------------------------------- */

static int by_lift(const void *a, const void *b) {
  const sgi_neuron_partner *x = a, *y = b;
  if (x->lift != y->lift) return x->lift < y->lift ? 1 : -1;
  return x->channel != y->channel ? x->channel - y->channel : x->index - y->index;
}

static sg_status find_partners(reader *r, sgi_neuron_record *n, size_t max, sg_error *err) {
  size_t C = r->info->slots[r->slot].channels, K = r->info->slots[r->slot].top_k, F = r->info->slots[r->slot].pool,
         found = 0;
  size_t *together = sgi_alloc(C * F * sizeof *together);
  n->partners = sgi_alloc(C * F * sizeof *n->partners);
  if (!together || !n->partners) {
    sgi_free(together);
    return sgi_fail_memory(err, C * F * sizeof *together, "a neuron's partners");
  }
  sgi_postings p = sgi_recording_postings(r->rec, r->slot, r->channel, r->index);
  for (size_t i = 0; i < p.count; i++) {
    sgi_recording_acting(r->rec, r->slot, p.position[i], r->chosen);
    for (size_t e = 0; e < C * K; e++)
      if (r->chosen[e] >= 0) together[e / K * F + (size_t)r->chosen[e]]++;
  }
  for (size_t f = 0; f < C * F; f++) {
    if (!together[f] || 10 * together[f] < n->count || f == r->channel * F + r->index) continue;
    double all = (double)sgi_recording_firings(r->rec, r->slot, f / F, f % F);
    n->partners[found++] =
        (sgi_neuron_partner){.channel = (int32_t)(f / F),
                             .index = (int32_t)(f % F),
                             .together = together[f],
                             .lift = (double)together[f] * (double)r->info->n_positions / ((double)n->count * all)};
  }
  sgi_free(together);
  qsort(n->partners, found, sizeof *n->partners, by_lift);
  n->n_partners = found < max ? found : max;
  return SG_OK;
}

/* ---- agreement ------------------------------------------------------------------------------- */

typedef struct ranked {
  double value;
  size_t at;
} ranked;

static int ascending(const void *a, const void *b) {
  const ranked *x = a, *y = b;
  return x->value < y->value ? -1 : x->value > y->value ? 1 : x->at < y->at ? -1 : x->at > y->at;
}

/* rank (n) of value (n), equal ones share the mean of their ranks. */
static void rank_values(ranked *work, const double *value, double *rank, size_t n) {
  for (size_t i = 0; i < n; i++) work[i] = (ranked){value[i], i};
  qsort(work, n, sizeof *work, ascending);
  for (size_t i = 0, j; i < n; i = j) {
    for (j = i; j < n && work[j].value == work[i].value; j++) continue;
    for (size_t k = i; k < j; k++) rank[work[k].at] = (double)(i + j - 1) / 2;
  }
}

static double spearman(const double *x, const double *y, size_t n, void *scratch) {
  ranked *work = scratch;
  double *rx = (double *)(work + n), *ry = rx + n, mean = (double)(n - 1) / 2, xy = 0, xx = 0, yy = 0;
  rank_values(work, x, rx, n);
  rank_values(work, y, ry, n);
  for (size_t i = 0; i < n; i++) {
    xy += (rx[i] - mean) * (ry[i] - mean);
    xx += (rx[i] - mean) * (rx[i] - mean);
    yy += (ry[i] - mean) * (ry[i] - mean);
  }
  return xx > 0 && yy > 0 ? xy / sqrt(xx * yy) : NAN;
}

/* rho of x[token] with sum[token] / times[token] over tokens that fired. sum, times (V); fired (V)
 * NULL: those with times. */
static double agree(const float *foretold, const double *sum, const double *times, const bool *fired, size_t V,
                    double *work, void *scratch, size_t *tokens) {
  double *x = work, *y = work + V;
  *tokens = 0;
  for (size_t v = 0; v < V; v++) {
    if (!(times[v] > 0) || (fired && !fired[v])) continue;
    x[*tokens] = (double)foretold[v];
    y[(*tokens)++] = sum[v] / times[v];
  }
  return *tokens >= 3 ? spearman(x, y, *tokens, scratch) : NAN;
}

/* Sums of values by token read, or by token to come; there every position counts, also where the
 * neuron did not fire. */
static void add_up(const reader *r, const sgi_neuron_record *n, bool by_target, size_t V, double *sum, double *times,
                   bool *fired) {
  for (size_t i = 0; i < n->n_firings; i++) {
    sgi_recorded at = sgi_recording_at(r->rec, n->firings[i].position);
    int32_t token = by_target ? at.target : at.input;
    if (token < 0 || (size_t)token >= V) continue;
    sum[token] += n->firings[i].value;
    times[token] += !by_target;
    fired[token] = true;
  }
  for (size_t p = 0; by_target && p < r->info->n_positions; p++) {
    sgi_recorded at = sgi_recording_at(r->rec, p);
    if (at.target >= 0 && (size_t)at.target < V && (r->special || at.input != r->info->bos)) times[at.target]++;
  }
}

static sg_status find_agreement(const reader *r, sgi_neuron_record *n, const float *foretold, const float *written,
                                sg_error *err) {
  size_t V = r->info->vocab_size;
  double *sum = sgi_alloc(4 * V * sizeof *sum);
  bool *fired = sgi_alloc(V * sizeof *fired);
  void *scratch = sgi_alloc(V * (sizeof(ranked) + 2 * sizeof(double)));
  sg_status st = sum && fired && scratch ? SG_OK : sgi_fail_memory(err, 4 * V * sizeof *sum, "a neuron's tokens");
  if (!st && foretold) {
    add_up(r, n, false, V, sum, sum + V, fired);
    n->agreement = agree(foretold, sum, sum + V, NULL, V, sum + 2 * V, scratch, &n->agreement_tokens);
  }
  if (!st && written) {
    memset(sum, 0, 2 * V * sizeof *sum);
    memset(fired, 0, V * sizeof *fired);
    add_up(r, n, true, V, sum, sum + V, fired);
    n->written_agreement = agree(written, sum, sum + V, fired, V, sum + 2 * V, scratch, &n->written_tokens);
  }
  sgi_free(sum);
  sgi_free(fired);
  sgi_free(scratch);
  return st;
}

/* ---- neurons kept one by one ----------------------------------------------------------------- */

static sg_status read_kept(const sgi_recording *rec, const sgi_kept *k, size_t channel, size_t index,
                           sgi_neuron_record *n, sg_error *err) {
  if (channel >= k->channels || index >= k->neurons)
    return sgi_fail(err, SG_ERR_ARG, "no neuron %zu in channel %zu: the recording has %zu in each of %zu channels",
                    index, channel, k->neurons, k->channels);
  size_t u = channel * k->neurons + index, positions = sgi_recording_info_of(rec)->n_positions;
  n->kept = true;
  n->count = k->count[u];
  n->density = (double)n->count / (double)positions;
  n->firings = sgi_alloc(2 * SGI_KEPT_EACH * sizeof *n->firings);
  n->partners = sgi_alloc(sizeof *n->partners);
  if (!n->firings || !n->partners) return sgi_fail_memory(err, 2 * SGI_KEPT_EACH * sizeof *n->firings, "a neuron");
  for (int side = 0; side < 2; side++) {
    uint32_t position;
    float value;
    for (size_t i = 0; sgi_kept_at(rec, k, u, side, i, &position, &value); i++)
      n->firings[n->n_firings++] = (sgi_neuron_firing){position, (double)value, NAN};
    if (!side) n->n_for = n->n_firings;
  }
  n->values.low = (double)k->low[u];
  n->values.high = (double)k->high[u];
  for (size_t b = 0; b < SGI_NEURON_BINS; b++) n->values.count[b] = k->histogram[u * SGI_KEPT_BINS + b];
  return sgi_recording_check(rec, err);
}

/* NaN where none was kept. */
static void kept_values(const sgi_recording *rec, const sgi_kept *k, size_t u, size_t first, size_t n, double *value) {
  uint32_t position;
  float x;
  for (size_t i = 0; i < n; i++) value[i] = NAN;
  for (int side = 0; side < 2; side++)
    for (size_t i = 0; sgi_kept_at(rec, k, u, side, i, &position, &x); i++)
      if (position >= first && position - first < n) value[position - first] = (double)x;
}

/* ---- always-on neurons ----------------------------------------------------------------------- */

/* Of the layer's own kind; SIZE_MAX: it was not recorded. */
static size_t channels_of(const sgi_recording *rec, size_t layer) {
  const sgi_kept *k = sgi_recording_kept(rec, layer);
  size_t slot;
  if (k) return k->channels;
  return sgi_recording_slot(rec, layer, &slot, NULL) ? SIZE_MAX : sgi_recording_info_of(rec)->slots[slot].channels;
}

/* Of neurons beside the layer's kind, whose channels follow on its own (ffn/beside.h), those that
 * are always on are recorded at every position: their width; 0 where the channel is none of theirs.
 * Of a sink MLP only what it adds is recorded. */
static size_t always_on(const sgi_recording *rec, size_t layer, size_t channel) {
  const sgi_recorded_beside *b = sgi_recording_beside(rec, layer);
  return b && channel == channels_of(rec, layer) ? b->width[SGI_RECORDED_ALWAYS] : 0;
}

/* value (n) at positions from first on. */
static sg_status always_values(const sgi_recording *rec, size_t layer, size_t width, size_t index, size_t first,
                               size_t n, double *value, sg_error *err) {
  float *row = sgi_alloc(width * sizeof *row);
  if (!row) return sgi_fail_memory(err, width * sizeof *row, "a position's neurons");
  for (size_t i = 0; i < n; i++) {
    sgi_recording_beside_values(rec, layer, SGI_RECORDED_ALWAYS, first + i, row);
    value[i] = (double)row[index];
  }
  sgi_free(row);
  return sgi_recording_check(rec, err);
}

/* As of neurons that are kept one by one: their strongest positions of both signs, and all values
 * as a histogram. */
static sg_status read_always(const sgi_recording *rec, size_t layer, size_t width, size_t channel, size_t index,
                             sgi_neuron_record *n, sg_error *err) {
  if (index >= width)
    return sgi_fail(err, SG_ERR_ARG, "no neuron %zu in channel %zu: the layer has %zu that are always on", index,
                    channel, width);
  size_t N = sgi_recording_info_of(rec)->n_positions, positive = 0;
  double *value = sgi_alloc((N + 1) * sizeof *value);
  n->firings = sgi_alloc((N + 1) * sizeof *n->firings);
  n->partners = sgi_alloc(sizeof *n->partners);
  sg_status st = value && n->firings && n->partners ? always_values(rec, layer, width, index, 0, N, value, err)
                                                    : sgi_fail_memory(err, N * sizeof *n->firings, "a neuron");
  for (size_t i = 0; i < N && !st; i++) {
    n->firings[n->n_firings++] = (sgi_neuron_firing){i, value[i], NAN};
    positive += value[i] > 0;
  }
  if (!st) {
    n->kept = true;
    n->count = positive;
    n->density = N ? (double)positive / (double)N : 0;
    make_histogram(n, offsetof(sgi_neuron_firing, value), &n->values);
    qsort(n->firings, N, sizeof *n->firings, by_side_and_size);
    size_t up = 0;
    while (up < N && n->firings[up].value > 0) up++;
    size_t down = up;
    while (down < N && !(n->firings[down].value < 0)) down++; /* zeros are on no side */
    n->n_for = up < SGI_KEPT_EACH ? up : SGI_KEPT_EACH;
    size_t against = N - down < SGI_KEPT_EACH ? N - down : SGI_KEPT_EACH;
    memmove(n->firings + n->n_for, n->firings + down, against * sizeof *n->firings);
    n->n_firings = n->n_for + against;
  }
  sgi_free(value);
  return st;
}

/* ---- chosen neurons -------------------------------------------------------------------------- */

static sg_status reader_make(reader *r, const sgi_recording *rec, size_t layer, size_t channel, size_t index,
                             sg_error *err) {
  *r = (reader){.rec = rec, .info = sgi_recording_info_of(rec), .channel = channel, .index = index};
  if (!sgi_recording_indexed(rec))
    return sgi_fail(err, SG_ERR_ARG, "the recording has no inverted index: record it with one");
  sg_status st = sgi_recording_slot(rec, layer, &r->slot, err);
  if (st) return st;
  if (channel >= r->info->slots[r->slot].channels || index >= r->info->slots[r->slot].pool)
    return sgi_fail(err, SG_ERR_ARG, "no neuron %zu in channel %zu: the recording has %zu in each of %zu channels",
                    index, channel, r->info->slots[r->slot].pool, r->info->slots[r->slot].channels);
  size_t m = r->info->slots[r->slot].channels * r->info->slots[r->slot].top_k;
  r->chosen = sgi_alloc(m * sizeof *r->chosen);
  r->value = sgi_alloc(m * sizeof *r->value);
  return r->chosen && r->value ? SG_OK : sgi_fail_memory(err, m * sizeof *r->chosen, "a circuit");
}

static void reader_free(reader *r) {
  sgi_free(r->chosen);
  sgi_free(r->value);
}

sg_status sgi_neuron_record_init(sgi_neuron_record *n, const sgi_recording *rec, size_t layer, size_t channel,
                                 size_t index, const float *foretold, const float *written, size_t max_partners,
                                 bool special, sg_error *err) {
  reader r;
  *n = (sgi_neuron_record){.agreement = NAN, .written_agreement = NAN};
  const sgi_kept *k = sgi_recording_kept(rec, layer);
  size_t width = always_on(rec, layer, channel);
  const sgi_recorded_beside *b = sgi_recording_beside(rec, layer);
  if (b && b->width[SGI_RECORDED_SINK] && channel == channels_of(rec, layer) + 1)
    return sgi_fail(err, SG_ERR_ARG,
                    "layer %zu, channel %zu is the sink MLP: what it adds is recorded, and not its neurons one by one",
                    layer, channel);
  if (width) return read_always(rec, layer, width, channel, index, n, err);
  if (k) return read_kept(rec, k, channel, index, n, err);
  sg_status st = reader_make(&r, rec, layer, channel, index, err);
  r.special = special;
  if (!st) st = read_firings(&r, n, err);
  if (!st) st = find_partners(&r, n, max_partners, err);
  if (!st) st = find_agreement(&r, n, foretold, written, err);
  if (!st) st = sgi_recording_check(rec, err);
  reader_free(&r);
  return st;
}

sg_status sgi_neuron_recorded_values(const sgi_recording *rec, size_t layer, size_t channel, size_t index, size_t first,
                                     size_t n, double *value, sg_error *err) {
  reader r;
  const sgi_kept *kept = sgi_recording_kept(rec, layer);
  size_t all = sgi_recording_info_of(rec)->n_positions, width = always_on(rec, layer, channel);
  if (index < width && first <= all && n <= all - first)
    return always_values(rec, layer, width, index, first, n, value, err);
  if (kept && channel < kept->channels && index < kept->neurons && first <= all && n <= all - first) {
    kept_values(rec, kept, channel * kept->neurons + index, first, n, value);
    return sgi_recording_check(rec, err);
  }
  sg_status st = reader_make(&r, rec, layer, channel, index, err);
  if (!st && (first > r.info->n_positions || n > r.info->n_positions - first))
    st = sgi_fail(err, SG_ERR_ARG, "position %zu: the recording ends at %zu", first + n - 1, r.info->n_positions - 1);
  size_t K = st ? 0 : r.info->slots[r.slot].top_k, m = st ? 0 : r.info->slots[r.slot].channels * K;
  float *score = st ? NULL : sgi_alloc(m * sizeof *score);
  if (!st && !score) st = sgi_fail_memory(err, m * sizeof *score, "a circuit");
  for (size_t i = 0; i < n && !st; i++) {
    value[i] = NAN;
    sgi_recording_circuit(rec, r.slot, first + i, NULL, score);
    sgi_recording_acting(rec, r.slot, first + i, r.chosen);
    bool values = sgi_recording_values(rec, r.slot, first + i, r.value);
    for (size_t k = channel * K; k < (channel + 1) * K; k++)
      if (r.chosen[k] >= 0 && (size_t)r.chosen[k] == index) value[i] = (double)(values ? r.value[k] : score[k]);
  }
  if (!st) st = sgi_recording_check(rec, err);
  sgi_free(score);
  reader_free(&r);
  return st;
}

void sgi_neuron_record_deinit(sgi_neuron_record *n) {
  sgi_free(n->firings);
  sgi_free(n->partners);
  *n = (sgi_neuron_record){0};
}
