/* coactivation_groups.c: sets of neurons that fire together far above chance. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "read/coactivation.h"

typedef struct pair {
  uint32_t a, b; /* units, a < b: channel * F + neuron */
  uint32_t count;
  float lift, z;
} pair;

typedef struct search {
  const sgi_recording *rec;
  const sgi_recording_info *info;
  const sgi_group_request *q;
  size_t units, first; /* channel range as units */
  pair *pairs;
  size_t n, capacity;
  uint32_t *start;   /* (units + 1) into by_unit */
  uint32_t *by_unit; /* pairs of each unit */
  bool *used;
} search;

static size_t firings(const search *s, size_t unit) {
  return sgi_recording_firings(s->rec, s->q->slot, unit / s->info->slots[s->q->slot].pool,
                               unit % s->info->slots[s->q->slot].pool);
}

static sg_status keep(search *s, size_t a, size_t b, uint32_t count, sg_error *err) {
  double n = (double)s->info->n_positions, expected = (double)firings(s, a) * (double)firings(s, b) / n;
  double lift = (double)count / expected;
  if (lift < s->q->min_lift) return SG_OK;
  if (s->n >= UINT32_MAX / 8)
    return sgi_fail(err, SG_ERR_ARG, "more than %zu pairs fire together that often: ask for a larger lift or count",
                    s->n);
  if (!sgi_room(&s->pairs, &s->capacity, s->n, sizeof *s->pairs))
    return sgi_fail_memory(err, 2 * s->n * sizeof *s->pairs, "pairs of neurons");
  s->pairs[s->n++] =
      (pair){(uint32_t)a, (uint32_t)b, count, (float)lift, (float)(((double)count - expected) / sqrt(expected))};
  return SG_OK;
}

/* All pairs (a, b > a) of one unit. */
static sg_status pairs_of(search *s, size_t a, uint32_t *count, int32_t *index, sg_error *err) {
  size_t F = s->info->slots[s->q->slot].pool, end = s->first + s->units;
  sg_status st = SG_OK;
  for (size_t c = a / F; c * F < end && !st; c++) {
    sgi_coactivation_row(s->rec, s->q->slot, a / F, a % F, c, count, index);
    for (size_t j = 0; j < F && !st; j++)
      if (c * F + j > a && count[j] >= s->q->min_count) st = keep(s, a, c * F + j, count[j], err);
  }
  return st;
}

static sg_status all_pairs(search *s, bool (*progress)(void *user, size_t done, size_t total), void *user,
                           sg_error *err) {
  uint32_t *count = sgi_alloc(s->info->slots[s->q->slot].pool * sizeof *count);
  int32_t *index = sgi_alloc(s->info->slots[s->q->slot].channels * s->info->slots[s->q->slot].top_k * sizeof *index);
  sg_status st =
      count && index ? SG_OK : sgi_fail_memory(err, s->info->slots[s->q->slot].pool * sizeof *count, "counts");
  for (size_t i = 0; i < s->units && !st; i++) {
    if (firings(s, s->first + i) >= s->q->min_count) st = pairs_of(s, s->first + i, count, index, err);
    if (!st && progress && !progress(user, i + 1, s->units)) st = sgi_fail(err, SG_ERR_CANCELLED, "stopped");
  }
  if (!st) st = sgi_recording_check(s->rec, err);
  sgi_free(count);
  sgi_free(index);
  return st;
}

static int by_z(const void *x, const void *y) {
  const pair *a = x, *b = y;
  if (a->z != b->z) return a->z < b->z ? 1 : -1;
  return a->a != b->a ? (a->a > b->a ? 1 : -1) : (a->b > b->b) - (a->b < b->b);
}

static sg_status link_pairs(search *s, sg_error *err) {
  size_t end = s->first + s->units;
  s->start = sgi_alloc((end + 2) * sizeof *s->start);
  s->by_unit = sgi_alloc((2 * s->n + 1) * sizeof *s->by_unit);
  s->used = sgi_alloc(end + 1);
  if (!s->start || !s->by_unit || !s->used) return sgi_fail_memory(err, s->n * sizeof *s->by_unit, "pairs of neurons");
  for (size_t i = 0; i < s->n; i++) s->start[s->pairs[i].a + 2]++, s->start[s->pairs[i].b + 2]++;
  for (size_t i = 2; i < end + 2; i++) s->start[i] += s->start[i - 1];
  for (size_t i = 0; i < s->n; i++) {
    s->by_unit[s->start[s->pairs[i].a + 1]++] = (uint32_t)i;
    s->by_unit[s->start[s->pairs[i].b + 1]++] = (uint32_t)i;
  }
  return SG_OK;
}

/* The pair of two units, or NULL. */
static const pair *between(const search *s, size_t a, size_t b) {
  for (uint32_t i = s->start[a]; i < s->start[a + 1]; i++) {
    const pair *p = &s->pairs[s->by_unit[i]];
    if (p->a == b || p->b == b) return p;
  }
  return NULL;
}

static sg_status measure(const search *s, const sgi_neuron *units, size_t n, sgi_together *out, sg_error *err) {
  sg_status st = sgi_fire_together(s->rec, s->q->slot, units, n, out, err);
  sgi_free(out->position);
  out->position = NULL;
  return st;
}

/* The unit that may join: a neighbour of the first member that has a strong pair with all others
 * and leaves the largest joint count. Returns false where none does. */
static sg_status best_joiner(const search *s, const sgi_group *g, size_t *unit, double *weakest, sgi_together *joint,
                             bool *any, sg_error *err) {
  size_t F = s->info->slots[s->q->slot].pool, a = g->units[0].channel * F + g->units[0].neuron;
  *any = false;
  for (uint32_t i = s->start[a]; i < s->start[a + 1]; i++) {
    const pair *first = &s->pairs[s->by_unit[i]];
    size_t u = first->a == a ? first->b : first->a;
    double least = (double)first->lift;
    bool fits = !s->used[u];
    for (size_t k = 1; k < g->size && fits; k++) {
      const pair *p = between(s, g->units[k].channel * F + g->units[k].neuron, u);
      fits = p != NULL;
      if (p && (double)p->lift < least) least = (double)p->lift;
    }
    if (!fits || first->count < s->q->min_count || (*any && first->count <= joint->count)) continue;
    sgi_neuron all[SGI_GROUP_MAX];
    sgi_together t;
    memcpy(all, g->units, g->size * sizeof *all);
    all[g->size] = (sgi_neuron){u / F, u % F};
    sg_status st = measure(s, all, g->size + 1, &t, err);
    if (st) return st;
    if (t.count < s->q->min_count || (*any && t.count <= joint->count)) continue;
    *any = true;
    *unit = u;
    *weakest = least;
    *joint = t;
  }
  return SG_OK;
}

static sg_status grow(search *s, const pair *seed, sgi_group *g, sg_error *err) {
  size_t F = s->info->slots[s->q->slot].pool;
  sgi_together joint;
  *g = (sgi_group){.size = 2, .units = {{seed->a / F, seed->a % F}, {seed->b / F, seed->b % F}}};
  s->used[seed->a] = s->used[seed->b] = true;
  g->weakest_pair = (double)seed->lift;
  sg_status st = measure(s, g->units, 2, &joint, err);
  for (bool any = true; !st && any && g->size < s->q->max_size;) {
    size_t u = 0;
    double weakest = 0;
    sgi_together t = {0};
    st = best_joiner(s, g, &u, &weakest, &t, &any, err);
    if (st || !any) break;
    g->units[g->size++] = (sgi_neuron){u / F, u % F};
    s->used[u] = true;
    joint = t;
    if (weakest < g->weakest_pair) g->weakest_pair = weakest;
  }
  g->count = joint.count;
  g->expected = joint.expected;
  g->lift = joint.lift;
  return st;
}

sg_status sgi_coactivation_groups(const sgi_recording *rec, const sgi_group_request *q,
                                  bool (*progress)(void *user, size_t done, size_t total), void *user, sgi_group *out,
                                  size_t *found, sg_error *err) {
  const sgi_recording_info *info = sgi_recording_info_of(rec);
  *found = 0;
  if (!sgi_recording_indexed(rec))
    return sgi_fail(err, SG_ERR_ARG, "the recording has no inverted index: record it anew without --no-index");
  if (!q->min_count || q->max_size < 2 || q->max_size > SGI_GROUP_MAX)
    return sgi_fail(err, SG_ERR_ARG, "sets need a least count of 1 and a size of 2 to %d", SGI_GROUP_MAX);
  bool all = q->channel == SGI_ALL_CHANNELS;
  search s = {.rec = rec,
              .info = info,
              .q = q,
              .units = (all ? info->slots[q->slot].channels : 1) * info->slots[q->slot].pool,
              .first = all ? 0 : q->channel * info->slots[q->slot].pool};
  if (s.first + s.units > UINT32_MAX - 2)
    return sgi_fail(err, SG_ERR_ARG, "the pools are too large to pair their neurons");
  sg_status st = all_pairs(&s, progress, user, err);
  if (!st && s.n) qsort(s.pairs, s.n, sizeof *s.pairs, by_z);
  if (!st) st = link_pairs(&s, err);
  for (size_t i = 0; i < s.n && *found < q->max_groups && !st; i++)
    if (!s.used[s.pairs[i].a] && !s.used[s.pairs[i].b]) st = grow(&s, &s.pairs[i], &out[(*found)++], err);
  sgi_free(s.pairs);
  sgi_free(s.start);
  sgi_free(s.by_unit);
  sgi_free(s.used);
  return st;
}
