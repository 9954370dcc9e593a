/* Pairs are counted in one table by open addressing, keyed (lower id, higher id). */
#include "compare/npmi.h"

#include <math.h>

#include "core/arena.h"

static const double ADD = 0.1;

typedef struct cell {
  uint64_t key; /* lower << 32 | higher, plus 1: 0 is free */
  uint64_t count;
} cell;

struct sgi_npmi {
  size_t V;
  uint64_t pairs;
  uint64_t *ends; /* (V) */
  cell *cells;
  size_t size, used, max_bytes; /* size: a power of 2, at most half of it used */
};

static uint64_t key_of(int32_t a, int32_t b) {
  uint64_t low = (uint32_t)(a < b ? a : b), high = (uint32_t)(a < b ? b : a);
  return (low << 32 | high) + 1;
}

static size_t place(const cell *cells, size_t size, uint64_t key) {
  uint64_t h = (key ^ key >> 29) * 0x9E3779B97F4A7C15u;
  size_t i = (h ^ h >> 32) & (size - 1);
  while (cells[i].key && cells[i].key != key) i = (i + 1) & (size - 1);
  return i;
}

static sg_status grow(sgi_npmi *t, sg_error *err) {
  size_t size = t->size ? 2 * t->size : 1 << 12;
  if (size > t->max_bytes / sizeof *t->cells)
    return sgi_fail(err, SG_ERR_MEMORY, "a table of %zu pairs of tokens is above --max-memory: read less text",
                    size / 2);
  cell *cells = sgi_alloc(size * sizeof *cells);
  if (!cells) return sgi_fail_memory(err, size * sizeof *cells, "pairs of tokens");
  for (size_t i = 0; i < t->size; i++)
    if (t->cells[i].key) cells[place(cells, size, t->cells[i].key)] = t->cells[i];
  sgi_free(t->cells);
  t->cells = cells;
  t->size = size;
  return SG_OK;
}

static sg_status count(sgi_npmi *t, int32_t a, int32_t b, sg_error *err) {
  if (2 * (t->used + 1) > t->size) {
    sg_status st = grow(t, err);
    if (st) return st;
  }
  cell *c = &t->cells[place(t->cells, t->size, key_of(a, b))];
  if (!c->key) {
    c->key = key_of(a, b);
    t->used++;
  }
  c->count++;
  t->ends[a]++;
  t->ends[b]++;
  t->pairs++;
  return SG_OK;
}

static sg_status add_document(sgi_npmi *t, const int32_t *ids, size_t n, size_t window, sg_error *err) {
  sg_status st = SG_OK;
  for (size_t i = 0; i < n; i++)
    if (ids[i] < 0 || (size_t)ids[i] >= t->V)
      return sgi_fail(err, SG_ERR_ARG, "the text has a token %d, the model a vocabulary of %zu", ids[i], t->V);
  for (size_t i = 0; i < n && !st; i++)
    for (size_t j = i + 1; j < n && j <= i + window && !st; j++) st = count(t, ids[i], ids[j], err);
  return st;
}

sg_status sgi_npmi_make(const sgi_npmi_request *r, sgi_npmi **out, sg_error *err) {
  *out = NULL;
  sgi_npmi *t = sgi_alloc(sizeof *t);
  if (!t) return sgi_fail_memory(err, sizeof *t, "pairs of tokens");
  *t = (sgi_npmi){.V = r->vocab, .max_bytes = r->max_bytes, .ends = sgi_alloc(r->vocab * sizeof *t->ends)};
  sg_status st = t->ends ? grow(t, err) : sgi_fail_memory(err, r->vocab * sizeof *t->ends, "counts of tokens");
  uint64_t tokens = 0;
  for (size_t i = 0, n; i < r->documents && !st && (!r->max_tokens || tokens < r->max_tokens); i++) {
    const int32_t *ids = r->document(r->source, i, &n);
    st = add_document(t, ids, n, r->window, err);
    tokens += n;
    if (!st && r->go_on && !r->go_on(r->user)) st = sgi_fail(err, SG_ERR_CANCELLED, "stopped");
  }
  if (!st && !t->pairs) st = sgi_fail(err, SG_ERR_ARG, "the text holds no two tokens behind each other");
  if (st)
    sgi_npmi_free(t);
  else
    *out = t;
  return st;
}

void sgi_npmi_free(sgi_npmi *t) {
  if (!t) return;
  sgi_free(t->ends);
  sgi_free(t->cells);
  sgi_free(t);
}

uint64_t sgi_npmi_pairs(const sgi_npmi *t) { return t->pairs; }
uint64_t sgi_npmi_ends(const sgi_npmi *t, int32_t token) { return t->ends[token]; }
uint64_t sgi_npmi_count(const sgi_npmi *t, int32_t a, int32_t b) {
  return t->cells[place(t->cells, t->size, key_of(a, b))].count;
}

double sgi_npmi_of(const sgi_npmi *t, int32_t a, int32_t b) {
  double N = (double)t->pairs, c = (double)sgi_npmi_count(t, a, b) + ADD;
  double e = (double)t->ends[a] * (double)t->ends[b] / (2 * N) + ADD;
  return log(c / e) / -log(c / (N + ADD));
}
