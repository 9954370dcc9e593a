#include "read/neighbors.h"

#include <math.h>
#include <omp.h>
#include <string.h>

#include "core/arena.h"

struct sg_search {
  const sgi_recording *rec;
  const sgi_recording_info *info;
  size_t slot, channel, first, entries; /* of a circuit: those compared */
  int32_t skip;
  size_t norm_of;      /* channel whose norms count; C: all */
  double *dot;         /* (n_positions) of the query with each */
  unsigned char *left; /* (n_positions) 1: no neighbour; NULL where all are */
  int32_t *index;      /* (C,K) of the query */
  float *score;
};

sg_status sgi_search_create(const sgi_recording *rec, size_t slot, size_t channel, int32_t skip, sgi_search **out,
                            sg_error *err) {
  const sgi_recording_info *info = sgi_recording_info_of(rec);
  size_t n = info->n_positions, m = info->slots[slot].channels * info->slots[slot].top_k;
  *out = NULL;
  if (!sgi_recording_indexed(rec))
    return sgi_fail(err, SG_ERR_ARG, "the recording has no inverted index: record it anew without --no-index");
  if (channel != SGI_ALL_CHANNELS && channel >= info->slots[slot].channels)
    return sgi_fail(err, SG_ERR_ARG, "channel %zu: the recording has channels 0 to %zu", channel,
                    info->slots[slot].channels - 1);
  sgi_search *s = sgi_alloc(sizeof *s);
  if (!s) return sgi_fail_memory(err, sizeof *s, "a search");
  bool all = channel == SGI_ALL_CHANNELS;
  *s = (sgi_search){.rec = rec,
                    .info = info,
                    .slot = slot,
                    .channel = channel,
                    .first = all ? 0 : channel * info->slots[slot].top_k,
                    .entries = all ? m : info->slots[slot].top_k,
                    .skip = skip,
                    .norm_of = all ? info->slots[slot].channels : channel,
                    .dot = sgi_alloc(n * sizeof *s->dot),
                    .left = skip < 0 ? NULL : sgi_alloc(n),
                    .index = sgi_alloc(m * sizeof *s->index),
                    .score = sgi_alloc(m * sizeof *s->score)};
  if (!s->dot || (skip >= 0 && !s->left) || !s->index || !s->score) {
    sgi_search_free(s);
    return sgi_fail_memory(err, n * sizeof *s->dot, "a search");
  }
  for (size_t p = 0; s->left && p < n; p++) s->left[p] = sgi_recording_at(rec, p).input == skip;
  *out = s;
  return SG_OK;
}

void sgi_search_free(sgi_search *s) {
  if (!s) return;
  sgi_free(s->dot);
  sgi_free(s->left);
  sgi_free(s->index);
  sgi_free(s->score);
  sgi_free(s);
}

/* First entry of an ascending list that is not below at. */
static size_t lower_bound(const uint32_t *list, size_t n, size_t at) {
  size_t low = 0;
  while (n) {
    size_t half = n / 2;
    if (list[low + half] < at) {
      low += half + 1;
      n -= half + 1;
    } else {
      n = half;
    }
  }
  return low;
}

/* dot of positions [from, to) with the query: one list after the other, so that each sum has the
 * order of the entries. */
static void accumulate(const sgi_search *s, size_t from, size_t to) {
  double *dot = s->dot;
  memset(dot + from, 0, (to - from) * sizeof *dot);
  for (size_t i = s->first; i < s->first + s->entries; i++) {
    sgi_postings list = sgi_recording_postings(s->rec, s->slot, i / s->info->slots[s->slot].top_k, (size_t)s->index[i]);
    double q = (double)s->score[i];
    for (size_t k = lower_bound(list.position, list.count, from); k < list.count && list.position[k] < to; k++)
      dot[list.position[k]] += q * (double)list.score[k];
  }
}

static double norm_at(const sgi_search *s, size_t p) { return sgi_recording_norm(s->rec, s->slot, s->norm_of, p); }

static double distance_of(const sgi_search *s, size_t p, double norm) {
  double both = sqrt(norm * norm_at(s, p));
  double d = both > 0 ? 1 - s->dot[p] / both : 1;
  return d > 0 ? d : 0;
}

/* ---- the n smallest -------------------------------------------------------------------------- */

static bool farther(const sgi_neighbor *a, const sgi_neighbor *b) {
  return a->distance > b->distance || (a->distance == b->distance && a->position > b->position);
}

/* Heap with the farthest on top. */
static void sift(sgi_neighbor *heap, size_t n, size_t i) {
  for (;;) {
    size_t child = 2 * i + 1;
    if (child >= n) return;
    if (child + 1 < n && farther(&heap[child + 1], &heap[child])) child++;
    if (!farther(&heap[child], &heap[i])) return;
    sgi_neighbor t = heap[i];
    heap[i] = heap[child];
    heap[child] = t;
    i = child;
  }
}

static void offer(sgi_neighbor *heap, size_t *n, size_t room, sgi_neighbor x) {
  if (*n < room) {
    size_t i = (*n)++;
    heap[i] = x;
    for (; i && farther(&heap[i], &heap[(i - 1) / 2]); i = (i - 1) / 2) {
      sgi_neighbor t = heap[i];
      heap[i] = heap[(i - 1) / 2];
      heap[(i - 1) / 2] = t;
    }
  } else if (farther(&heap[0], &x)) {
    heap[0] = x;
    sift(heap, room, 0);
  }
}

static void sort(sgi_neighbor *heap, size_t n) {
  for (size_t left = n; left > 1; left--) {
    sgi_neighbor t = heap[0];
    heap[0] = heap[left - 1];
    heap[left - 1] = t;
    sift(heap, left - 1, 0);
  }
}

static void scan(const sgi_search *s, size_t query, double norm, size_t from, size_t to, sgi_neighbor *heap, size_t *n,
                 size_t room) {
  accumulate(s, from, to);
  for (size_t p = from; p < to; p++) {
    if (p == query || (s->left && s->left[p])) continue;
    double d = s->dot[p] == 0 ? 1 : distance_of(s, p, norm);
    if (*n == room && d > heap[0].distance) continue;
    offer(heap, n, room, (sgi_neighbor){p, d});
  }
}

static double read_query(sgi_search *s, size_t position) {
  sgi_recording_circuit(s->rec, s->slot, position, s->index, s->score);
  return norm_at(s, position);
}

/* To the circuit in s->index, s->score; position SIZE_MAX: none is left out. */
static sg_status nearest(sgi_search *s, size_t position, double norm, size_t n, sgi_neighbor *out, size_t *found,
                         sg_error *err) {
  size_t N = s->info->n_positions;
  if (!n || n > N) return sgi_fail(err, SG_ERR_ARG, "%zu neighbours: expected 1 to %zu", n, N);
  size_t parts = (size_t)omp_get_max_threads();
  if (parts > N / 4096 + 1) parts = N / 4096 + 1;
  sgi_neighbor *heaps = sgi_alloc(parts * n * sizeof *heaps);
  size_t *counts = sgi_alloc(parts * sizeof *counts);
  if (!heaps || !counts) {
    sgi_free(heaps);
    sgi_free(counts);
    return sgi_fail_memory(err, parts * n * sizeof *heaps, "a search");
  }
#pragma omp parallel for schedule(static) num_threads((int)parts)
  for (size_t i = 0; i < parts; i++)
    scan(s, position, norm, N * i / parts, N * (i + 1) / parts, heaps + i * n, &counts[i], n);
  for (size_t i = 0; i < parts; i++)
    for (size_t k = 0; k < counts[i]; k++) offer(out, found, n, heaps[i * n + k]);
  sort(out, *found);
  sgi_free(heaps);
  sgi_free(counts);
  return sgi_recording_check(s->rec, err);
}

sg_status sgi_search_nearest(sgi_search *s, size_t position, size_t n, sgi_neighbor *out, size_t *found,
                             sg_error *err) {
  size_t N = s->info->n_positions;
  *found = 0;
  if (position >= N) return sgi_fail(err, SG_ERR_ARG, "position %zu: the recording ends at %zu", position, N - 1);
  return nearest(s, position, read_query(s, position), n, out, found, err);
}

sg_status sgi_search_nearest_to(sgi_search *s, const int32_t *index, const float *score, size_t n, sgi_neighbor *out,
                                size_t *found, sg_error *err) {
  size_t m = s->info->slots[s->slot].channels * s->info->slots[s->slot].top_k;
  double norm = 0;
  *found = 0;
  for (size_t i = 0; i < m; i++)
    if (index[i] < 0 || (size_t)index[i] >= s->info->slots[s->slot].pool)
      return sgi_fail(err, SG_ERR_ARG, "a circuit with unit %d: the recording has %zu", index[i],
                      s->info->slots[s->slot].pool);
  memcpy(s->index, index, m * sizeof *index);
  memcpy(s->score, score, m * sizeof *score);
  /* In the order of the entries, as the recording's norms: equal circuits are at 0. */
  for (size_t i = s->first; i < s->first + s->entries; i++) norm += (double)score[i] * (double)score[i];
  return nearest(s, SIZE_MAX, norm, n, out, found, err);
}

sg_status sgi_search_among(sgi_search *s, const uint32_t *positions, size_t n, sg_error *err) {
  size_t N = s->info->n_positions;
  if (!s->left && !(s->left = sgi_alloc(N))) return sgi_fail_memory(err, N, "a search");
  memset(s->left, 1, N);
  for (size_t i = 0; i < n; i++)
    if (positions[i] < N) s->left[positions[i]] = 0;
  return SG_OK;
}

void sgi_search_distances(sgi_search *s, size_t position, double *distance) {
  double norm = read_query(s, position);
  accumulate(s, 0, s->info->n_positions);
  for (size_t p = 0; p < s->info->n_positions; p++) distance[p] = distance_of(s, p, norm);
}

/* ---- neurons that fire together -------------------------------------------------------------- */

sg_status sgi_fire_together(const sgi_recording *rec, size_t slot, const sgi_neuron *units, size_t n_units,
                            sgi_together *out, sg_error *err) {
  const sgi_recording_info *info = sgi_recording_info_of(rec);
  *out = (sgi_together){0};
  if (!sgi_recording_indexed(rec))
    return sgi_fail(err, SG_ERR_ARG, "the recording has no inverted index: record it anew without --no-index");
  if (!n_units) return sgi_fail(err, SG_ERR_ARG, "no neuron was named");
  double expected = (double)info->n_positions;
  size_t shortest = 0, least = SIZE_MAX;
  for (size_t i = 0; i < n_units; i++) {
    if (units[i].channel >= info->slots[slot].channels || units[i].neuron >= info->slots[slot].pool)
      return sgi_fail(err, SG_ERR_ARG, "neuron %zu:%zu: expected channel 0 to %zu and neuron 0 to %zu",
                      units[i].channel, units[i].neuron, info->slots[slot].channels - 1, info->slots[slot].pool - 1);
    size_t count = sgi_recording_firings(rec, slot, units[i].channel, units[i].neuron);
    expected *= (double)count / (double)info->n_positions;
    if (count < least) least = count, shortest = i;
  }
  out->expected = expected;
  out->position = sgi_alloc((least + 1) * sizeof *out->position);
  if (!out->position) return sgi_fail_memory(err, least * sizeof *out->position, "positions");
  sgi_postings base = sgi_recording_postings(rec, slot, units[shortest].channel, units[shortest].neuron);
  for (size_t k = 0; k < base.count; k++) {
    bool all = true;
    for (size_t i = 0; i < n_units && all; i++) {
      sgi_postings list = sgi_recording_postings(rec, slot, units[i].channel, units[i].neuron);
      size_t at = lower_bound(list.position, list.count, base.position[k]);
      all = at < list.count && list.position[at] == base.position[k];
    }
    if (all) out->position[out->count++] = base.position[k];
  }
  out->lift = expected > 0 ? (double)out->count / expected : 0;
  return sgi_recording_check(rec, err);
}
