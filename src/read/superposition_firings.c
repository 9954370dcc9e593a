/* Who fires where, out of a recording, as it is or moved (superposition.h). */
#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "core/rng.h"
#include "read/superposition.h"

void sgi_firings_deinit(sgi_firings *f) {
  sgi_free(f->counts);
  sgi_free(f->start);
  sgi_free(f->at);
  sgi_free(f->list);
  sgi_free(f->place);
  *f = (sgi_firings){0};
}

/* One more firing than sorting needs: where it lies. */
typedef struct placed {
  uint32_t position, unit;
  float value;
} placed;

static int by_position(const void *a, const void *b) {
  const placed *x = a, *y = b;
  if (x->position != y->position) return x->position < y->position ? -1 : 1;
  return (x->unit > y->unit) - (x->unit < y->unit);
}

/* Counted positions of each input token, in order: those of token v from start[v] on. */
typedef struct places {
  size_t *start;    /* (V + 1) */
  uint32_t *list;   /* (counted) */
  uint32_t *within; /* (n_positions) a position's place in its token's list */
} places;

static void places_free(places *p) {
  sgi_free(p->start);
  sgi_free(p->list);
  sgi_free(p->within);
}

static sg_status make_places(const sgi_recording *r, const sgi_firings *f, places *p, sg_error *err) {
  size_t V = sgi_recording_info_of(r)->vocab_size, n = f->n_positions;
  p->start = sgi_alloc((V + 2) * sizeof *p->start);
  p->list = sgi_alloc((n + 1) * sizeof *p->list);
  p->within = sgi_alloc((n + 1) * sizeof *p->within);
  if (!p->start || !p->list || !p->within) return sgi_fail_memory(err, n * sizeof *p->list, "places of tokens");
  for (size_t i = 0; i < n; i++)
    if (f->counts[i]) p->start[(size_t)sgi_recording_at(r, i).input + 1]++;
  for (size_t v = 0; v < V; v++) p->start[v + 1] += p->start[v];
  for (size_t i = 0; i < n; i++) {
    if (!f->counts[i]) continue;
    size_t v = (size_t)sgi_recording_at(r, i).input, at = p->start[v]++;
    p->list[at] = (uint32_t)i;
  }
  for (size_t v = V; v > 0; v--) p->start[v] = p->start[v - 1];
  p->start[0] = 0;
  for (size_t v = 0; v < V; v++)
    for (size_t k = p->start[v]; k < p->start[v + 1]; k++) p->within[p->list[k]] = (uint32_t)(k - p->start[v]);
  return SG_OK;
}

/* A neuron's values go to other places of the same input token, by a permutation of its own. */
static uint32_t moved(const sgi_recording *r, const places *p, const sgi_super_settings *s, const placed *x) {
  size_t v = (size_t)sgi_recording_at(r, x->position).input, n = p->start[v + 1] - p->start[v];
  uint64_t sub = ((uint64_t)x->unit << 24) ^ v;
  return p->list[p->start[v] + sgi_rng_permute(s->seed, SGI_STREAM_SUPERPOSITION, sub, n, p->within[x->position])];
}

/* A position's entries; where channels share a pool, what several choose is one firing. */
static size_t read_position(const sgi_recording *r, size_t slot, size_t position, const sgi_slot *z, int32_t *index,
                            float *value, placed *out) {
  size_t n = 0;
  sgi_recording_acting(r, slot, position, index);
  sgi_recording_values(r, slot, position, value);
  for (size_t i = 0; i < z->channels * z->top_k; i++) {
    if (index[i] < 0) continue;
    uint32_t unit = (uint32_t)((z->pool_per_channel ? i / z->top_k * z->pool : 0) + (size_t)index[i]);
    size_t k = 0;
    while (k < n && out[k].unit != unit) k++;
    if (k == n) out[n++] = (placed){(uint32_t)position, unit, 0};
    out[k].value += value[i];
  }
  return n;
}

static sg_status index_units(sgi_firings *f, sg_error *err) {
  f->list = sgi_alloc((f->n_units + 2) * sizeof *f->list);
  f->place = sgi_alloc((f->start[f->n_positions] + 1) * sizeof *f->place);
  if (!f->list || !f->place) return sgi_fail_memory(err, f->n_units * sizeof *f->list, "lists of firings");
  size_t *next = f->list + 1;
  for (size_t i = 0; i < f->start[f->n_positions]; i++) next[f->at[i].unit + 1]++;
  for (size_t u = 0; u < f->n_units; u++) next[u + 1] += next[u];
  for (size_t p = 0; p < f->n_positions; p++)
    for (size_t i = f->start[p]; i < f->start[p + 1]; i++) f->place[next[f->at[i].unit]++] = (uint32_t)p;
  return SG_OK;
}

sg_status sgi_firings_make(const sgi_recording *r, size_t slot, const sgi_super_settings *s, sgi_firings *f,
                           sg_error *err) {
  const sgi_recording_info *info = sgi_recording_info_of(r);
  const sgi_slot *z = &info->slots[slot];
  size_t m = z->channels * z->top_k, n = info->n_positions, used = 0;
  *f = (sgi_firings){.n_positions = n, .n_units = z->pool * (z->pool_per_channel ? z->channels : 1), .F = z->pool};
  f->counts = sgi_alloc(n * sizeof *f->counts);
  f->start = sgi_alloc((n + 1) * sizeof *f->start);
  f->at = sgi_alloc(n * m * sizeof *f->at);
  placed *all = sgi_alloc(n * m * sizeof *all);
  int32_t *index = sgi_alloc(m * sizeof *index);
  float *value = sgi_alloc(m * sizeof *value);
  places p = {0};
  sg_status st = f->counts && f->start && f->at && all && index && value
                     ? SG_OK
                     : sgi_fail_memory(err, n * m * sizeof *all, "what fires where");
  for (size_t i = 0; i < n && !st; i++) f->counted += f->counts[i] = sgi_recording_at(r, i).target != info->pad;
  if (!st && s->shuffled) st = make_places(r, f, &p, err);
  for (size_t i = 0; i < n && !st; i++) {
    if (!f->counts[i]) continue;
    size_t k = read_position(r, slot, i, z, index, value, all + used);
    for (size_t j = used; j < used + k && s->shuffled; j++) all[j].position = moved(r, &p, s, &all[j]);
    used += k;
  }
  if (!st) st = sgi_recording_check(r, err);
  if (!st) qsort(all, used, sizeof *all, by_position);
  for (size_t i = 0, at = 0; i < n && !st; i++) {
    f->start[i] = at;
    for (; at < used && all[at].position == i; at++) f->at[at] = (sgi_firing){all[at].unit, all[at].value};
    f->start[i + 1] = at;
  }
  if (!st) st = index_units(f, err);
  places_free(&p);
  sgi_free(all);
  sgi_free(index);
  sgi_free(value);
  return st;
}

void sgi_firings_beside(const sgi_firings *f, size_t unit, uint32_t *count) {
  memset(count, 0, f->n_units * sizeof *count);
  for (size_t k = f->list[unit]; k < f->list[unit + 1]; k++)
    for (size_t i = f->start[f->place[k]]; i < f->start[f->place[k] + 1]; i++) count[f->at[i].unit]++;
}
