#include "train/parts.h"

#include <string.h>

#include "core/arena.h"
#include "train/optim.h"

enum { PIECE = 1 << 20, MAX_LEVELS = 24 }; /* floats of a message at most */

/* A whole subtree: parts [first, first + 2^level). */
typedef struct node {
  size_t first, level, rank;
} node;

/* Neighbouring floats whose gradient is whole after the same layer. */
typedef struct bucket {
  size_t from, to;
  ptrdiff_t layer; /* -1: after the embedding */
  size_t piece;    /* number of its first piece among those of the own shard */
} bucket;

struct sgi_parts {
  sg_ranks *ranks;
  size_t floats, parts, first, end; /* own parts */
  size_t *bounds;                   /* (count + 1) */
  node *nodes;                      /* of all ranks, by first part */
  size_t n_nodes;
  float **held; /* (n_nodes) of own nodes: the arena, once it is being computed */
  bucket *buckets;
  size_t n_buckets;
  float **arenas; /* (n_arenas), the first is borrowed; free ones are zero */
  bool *used;
  size_t n_arenas;
  float *received; /* (foreign nodes, own shard) */
  size_t pieces;   /* of one node's own shard */
  /* of the batch under way */
  size_t part, at;            /* current part; its node */
  float *pending[MAX_LEVELS]; /* sums of this node that wait for their other half, by size */
  size_t n_pending, merges;   /* how many of them the current part completes */
  bool completes;             /* the node */
  float *now;
  bool hot;             /* the last backward pass of the part is running */
  size_t next, reduced; /* buckets: next to become whole, next to be added from all ranks */
  size_t slot, receives;
};

static size_t me(const sgi_parts *p) { return sgi_ranks_me(p->ranks); }
static size_t count_of(const sgi_parts *p) { return sgi_ranks_count(p->ranks); }
static size_t shard_floats(const sgi_parts *p) { return p->bounds[me(p) + 1] - p->bounds[me(p)]; }

void sgi_parts_bounds(size_t floats, size_t count, size_t *bounds) {
  size_t width = sgi_norm_block(floats);
  for (size_t r = 0; r <= count; r++) {
    size_t at = SGI_NORM_BLOCKS * r / count * width;
    bounds[r] = at < floats ? at : floats;
  }
}

void sgi_parts_of(size_t parts, size_t count, size_t rank, size_t *first, size_t *end) {
  *first = parts * rank / count;
  *end = parts * (rank + 1) / count;
}

/* The largest whole subtree that begins at `first` and ends by `end`. */
static size_t level_at(size_t first, size_t end) {
  size_t level = 0;
  while (first % ((size_t)2 << level) == 0 && first + ((size_t)2 << level) <= end) level++;
  return level;
}

static size_t nodes_of(size_t first, size_t end) {
  size_t n = 0;
  for (; first < end; first += (size_t)1 << level_at(first, end)) n++;
  return n;
}

/* Arenas that are in use at a time: nodes that wait to be sent, halves that wait for their others,
 * and the current one. */
static size_t arenas_of(size_t first, size_t end) {
  size_t most = 1, nodes = 0;
  for (; first < end; nodes++) {
    size_t level = level_at(first, end), live = nodes + level + 1;
    if (live > most) most = live;
    first += (size_t)1 << level;
  }
  return most;
}

static size_t all_nodes(size_t parts, size_t count) {
  size_t n = 0, first, end;
  for (size_t r = 0; r < count; r++) {
    sgi_parts_of(parts, count, r, &first, &end);
    n += nodes_of(first, end);
  }
  return n;
}

size_t sgi_parts_floats(size_t floats, size_t parts, size_t count, size_t rank) {
  size_t first, end, width = sgi_norm_block(floats);
  sgi_parts_of(parts, count, rank, &first, &end);
  size_t shard = (SGI_NORM_BLOCKS + count - 1) / count * width;
  if (shard > floats) shard = floats;
  return (arenas_of(first, end) - 1) * floats +
         (count > 1 ? (all_nodes(parts, count) - nodes_of(first, end)) * shard : 0);
}

/* ---- what becomes whole when ----------------------------------------------------------------- */

/* The layer after whose backward pass a row's gradient is whole: the lowest that uses it. The final
 * norm is done before all layers, the embedding after them. */
static ptrdiff_t layer_of(const sg_model *m, size_t row) {
  if (row == SGI_ROW_EMBED) return -1;
  for (size_t i = 0; i < m->plan.n_steps; i++) {
    const sgi_sublayer *s = m->plan.steps[i].sub;
    for (size_t t = 0; t < s->n_tensors; t++)
      if (s->row[t] == row) return (ptrdiff_t)m->plan.steps[i].layer;
  }
  return m->config.num_layers ? (ptrdiff_t)m->config.num_layers - 1 : -1;
}

/* Messages that the floats [from, to) are cut into, of shard r. */
static size_t pieces_of(const sgi_parts *p, const bucket *b, size_t r, size_t *from, size_t *to) {
  *from = b->from > p->bounds[r] ? b->from : p->bounds[r];
  *to = b->to < p->bounds[r + 1] ? b->to : p->bounds[r + 1];
  return *from < *to ? (*to - *from + PIECE - 1) / PIECE : 0;
}

static sg_status make_buckets(sgi_parts *p, const sg_model *m, sg_error *err) {
  const sgi_table *t = &m->table;
  p->buckets = sgi_alloc(t->count * sizeof *p->buckets);
  if (!p->buckets) return sgi_fail_memory(err, t->count * sizeof *p->buckets, "sums of gradients");
  size_t from, to, L = m->config.num_layers;
  for (size_t k = 0; k <= L; k++)
    for (size_t i = 0; i < t->count; i++) {
      ptrdiff_t layer = (ptrdiff_t)(L - k) - 1;
      if (layer_of(m, i) != layer) continue;
      size_t begin = t->rows[i].offset, end = i + 1 < t->count ? t->rows[i + 1].offset : t->floats;
      bucket *last = p->n_buckets ? &p->buckets[p->n_buckets - 1] : NULL;
      if (last && last->layer == layer && last->to == begin)
        last->to = end;
      else
        p->buckets[p->n_buckets++] = (bucket){begin, end, layer, 0};
    }
  for (size_t i = 0; i < p->n_buckets; i++) {
    p->buckets[i].piece = p->pieces;
    p->pieces += pieces_of(p, &p->buckets[i], me(p), &from, &to);
  }
  return SG_OK;
}

/* ---- making ---------------------------------------------------------------------------------- */

static void make_nodes(sgi_parts *p) {
  for (size_t r = 0; r < count_of(p); r++) {
    size_t first, end;
    sgi_parts_of(p->parts, count_of(p), r, &first, &end);
    while (first < end) {
      size_t level = level_at(first, end);
      p->nodes[p->n_nodes++] = (node){first, level, r};
      first += (size_t)1 << level;
    }
  }
}

/* Messages of a step: to each other rank what it owns of this rank's nodes, from each what it has
 * for this shard. */
static size_t slots(const sgi_parts *p) {
  size_t own = 0, sends = 0, from, to;
  for (size_t i = 0; i < p->n_nodes; i++) own += p->nodes[i].rank == me(p);
  for (size_t b = 0; b < p->n_buckets; b++)
    for (size_t r = 0; r < count_of(p); r++)
      if (r != me(p)) sends += pieces_of(p, &p->buckets[b], r, &from, &to);
  return sends * own + (p->n_nodes - own) * p->pieces + 1;
}

static sg_status make_room(sgi_parts *p, float *grad, sg_error *err) {
  size_t own = nodes_of(p->first, p->end), foreign = p->n_nodes - own;
  p->n_arenas = arenas_of(p->first, p->end);
  p->arenas = sgi_alloc(p->n_arenas * sizeof *p->arenas);
  p->used = sgi_alloc(p->n_arenas * sizeof *p->used);
  bool all = p->arenas && p->used;
  if (all) p->arenas[0] = grad;
  for (size_t i = 1; i < p->n_arenas && all; i++) all = (p->arenas[i] = sgi_alloc(p->floats * sizeof(float))) != NULL;
  if (foreign && all) all = (p->received = sgi_alloc((foreign * shard_floats(p) + 1) * sizeof(float))) != NULL;
  if (!all)
    return sgi_fail_memory(err, (p->n_arenas * p->floats + foreign * shard_floats(p)) * sizeof(float),
                           "sums of gradients");
  if (count_of(p) > 1 && !p->ranks->transport->reserve(p->ranks->self, slots(p)))
    return sgi_fail_memory(err, slots(p) * sizeof(void *), "messages between ranks");
  return SG_OK;
}

sg_status sgi_parts_create(const sg_model *m, sg_ranks *ranks, size_t parts, float *grad, sgi_parts **out,
                           sg_error *err) {
  *out = NULL;
  if (!parts || parts & (parts - 1) || parts >> (MAX_LEVELS - 1))
    return sgi_fail(err, SG_ERR_ARG, "train.parts is %zu: expected a power of two", parts);
  sgi_parts *p = sgi_alloc(sizeof *p);
  if (!p) return sgi_fail_memory(err, sizeof *p, "sums of gradients");
  *p = (sgi_parts){.ranks = ranks, .floats = m->table.floats, .parts = parts};
  size_t count = count_of(p), most = all_nodes(parts, count);
  sgi_parts_of(parts, count, me(p), &p->first, &p->end);
  p->bounds = sgi_alloc((count + 1) * sizeof *p->bounds);
  p->nodes = sgi_alloc(most * sizeof *p->nodes);
  p->held = sgi_alloc(most * sizeof *p->held);
  sg_status st = p->bounds && p->nodes && p->held ? SG_OK : sgi_fail_memory(err, most * sizeof *p->nodes, "sums");
  if (!st) {
    sgi_parts_bounds(p->floats, count, p->bounds);
    make_nodes(p);
    st = make_buckets(p, m, err);
  }
  if (!st) st = make_room(p, grad, err);
  if (st)
    sgi_parts_free(p);
  else
    *out = p;
  return st;
}

void sgi_parts_free(sgi_parts *p) {
  if (!p) return;
  for (size_t i = 1; i < p->n_arenas && p->arenas; i++) sgi_free(p->arenas[i]);
  sgi_free(p->arenas);
  sgi_free(p->used);
  sgi_free(p->received);
  sgi_free(p->buckets);
  sgi_free(p->bounds);
  sgi_free(p->nodes);
  sgi_free(p->held);
  sgi_free(p);
}

/* ---- adding ---------------------------------------------------------------------------------- */

static void add(float *to, const float *from, size_t n) {
#pragma omp parallel for simd schedule(static) if (n > 65536)
  for (size_t i = 0; i < n; i++) to[i] += from[i];
}

static void add_and_clear(float *to, float *from, size_t n) {
#pragma omp parallel for simd schedule(static) if (n > 65536)
  for (size_t i = 0; i < n; i++) {
    to[i] += from[i];
    from[i] = 0;
  }
}

static float *take(sgi_parts *p) {
  size_t i = 0;
  while (p->used[i]) i++; /* arenas_of counted them */
  p->used[i] = true;
  return p->arenas[i];
}

static void give_back(sgi_parts *p, const float *arena) {
  for (size_t i = 0; i < p->n_arenas; i++)
    if (p->arenas[i] == arena) p->used[i] = false;
}

/* Where the node's floats from `from` on stand; NULL: they are not here yet. */
static float *source(const sgi_parts *p, size_t n, size_t foreign, const bucket *b, size_t from) {
  if (p->nodes[n].rank == me(p)) return p->held[n] ? p->held[n] + from : NULL;
  for (size_t i = 0, pieces = pieces_of(p, b, me(p), &(size_t){0}, &(size_t){0}); i < pieces; i++)
    if (!p->ranks->transport->done(p->ranks->self, foreign * p->pieces + b->piece + i)) return NULL;
  return p->received + foreign * shard_floats(p) + (from - p->bounds[me(p)]);
}

/* Adds the nodes of all ranks in the tree's order, where they are all here: left += right, from the
 * left, whenever two halves of the same size stand side by side. */
static bool reduce(sgi_parts *p, const bucket *b) {
  struct {
    float *x;
    size_t first, level;
  } stack[2 * MAX_LEVELS];
  size_t from, to, top = 0, foreign = 0;
  if (!pieces_of(p, b, me(p), &from, &to)) return true;
  for (size_t n = 0; n < p->n_nodes; n++) {
    if (!source(p, n, foreign, b, from)) return false;
    foreign += p->nodes[n].rank != me(p);
  }
  foreign = 0;
  for (size_t n = 0; n < p->n_nodes; n++) {
    stack[top].x = source(p, n, foreign, b, from);
    stack[top].first = p->nodes[n].first;
    stack[top++].level = p->nodes[n].level;
    foreign += p->nodes[n].rank != me(p);
    for (; top > 1 && stack[top - 1].level == stack[top - 2].level && stack[top - 1].first >> stack[top - 1].level & 1;
         top--) {
      add(stack[top - 2].x, stack[top - 1].x, to - from);
      stack[top - 2].level++;
    }
  }
  if (stack[0].x != p->arenas[0] + from) memcpy(p->arenas[0] + from, stack[0].x, (to - from) * sizeof(float));
  return true;
}

void sgi_parts_poll(sgi_parts *p) {
  if (count_of(p) == 1) return;
  size_t own = p->part == p->end ? p->n_buckets : p->part + 1 == p->end && p->hot ? p->next : 0;
  while (p->reduced < own && reduce(p, &p->buckets[p->reduced])) p->reduced++;
  if (p->slot) p->ranks->transport->done(p->ranks->self, 0);
}

/* ---- a batch --------------------------------------------------------------------------------- */

void sgi_parts_begin(sgi_parts *p) {
  p->part = p->first;
  p->at = p->slot = p->reduced = p->n_pending = 0;
  while (p->at < p->n_nodes && p->nodes[p->at].rank != me(p)) p->at++;
  memset(p->held, 0, p->n_nodes * sizeof *p->held);
  size_t from, to, foreign = 0;
  if (count_of(p) == 1) return;
  for (size_t n = 0; n < p->n_nodes; n++) {
    if (p->nodes[n].rank == me(p)) continue;
    float *room = p->received + foreign++ * shard_floats(p);
    for (size_t b = 0; b < p->n_buckets; b++)
      for (pieces_of(p, &p->buckets[b], me(p), &from, &to); from < to; from += PIECE)
        p->ranks->transport->receive(p->ranks->self, p->slot++, p->nodes[n].rank, room + (from - p->bounds[me(p)]),
                                     (to - from < PIECE ? to - from : PIECE) * sizeof(float));
  }
  p->receives = p->slot;
}

float *sgi_parts_take(sgi_parts *p) {
  const node *n = &p->nodes[p->at];
  size_t done = p->part - n->first + 1, whole = (size_t)1 << n->level;
  p->now = take(p);
  p->next = 0;
  p->hot = false;
  p->completes = done == whole;
  p->merges = 0;
  while (!(done >> p->merges & 1)) p->merges++;
  return p->now;
}

static void send(sgi_parts *p, const bucket *b) {
  for (size_t r = 0; r < count_of(p); r++) {
    size_t from, to;
    if (r == me(p)) continue;
    for (pieces_of(p, b, r, &from, &to); from < to; from += PIECE) {
      size_t bytes = (to - from < PIECE ? to - from : PIECE) * sizeof(float);
      p->ranks->transport->send(p->ranks->self, p->slot++, r, p->now + from, bytes);
      p->ranks->sent += bytes;
    }
  }
}

/* The buckets that are whole after this layer: halves that waited are added, the node is sent. */
static void whole(sgi_parts *p, ptrdiff_t layer) {
  for (; p->next < p->n_buckets && p->buckets[p->next].layer >= layer; p->next++) {
    const bucket *b = &p->buckets[p->next];
    for (size_t k = 0; k < p->merges; k++)
      add_and_clear(p->now + b->from, p->pending[p->n_pending - 1 - k] + b->from, b->to - b->from);
    if (p->completes && count_of(p) > 1) send(p, b);
  }
}

void sgi_parts_last(sgi_parts *p) {
  p->hot = true;
  if (p->completes) p->held[p->at] = p->now;
}

void sgi_parts_layer(sgi_parts *p, size_t layer) {
  if (!p->hot) return;
  whole(p, (ptrdiff_t)layer);
  sgi_parts_poll(p);
}

void sgi_parts_end(sgi_parts *p) {
  whole(p, -1);
  for (; p->merges; p->merges--) give_back(p, p->pending[--p->n_pending]);
  if (p->completes)
    p->at++;
  else
    p->pending[p->n_pending++] = p->now;
  p->part++;
  p->hot = false;
  sgi_parts_poll(p);
}

static void clear(float *x, size_t from, size_t to) {
  if (from < to) memset(x + from, 0, (to - from) * sizeof *x);
}

void sgi_parts_finish(sgi_parts *p) {
  if (count_of(p) > 1) {
    for (size_t i = 0; i < p->slot; i++) {
      if (i == p->receives) sgi_parts_poll(p);
      p->ranks->transport->wait(p->ranks->self, i);
      if (i < p->receives && i + 1 < p->receives) sgi_parts_poll(p);
    }
    sgi_parts_poll(p); /* all is here: what is left is added */
    clear(p->arenas[0], 0, p->bounds[me(p)]);
    clear(p->arenas[0], p->bounds[me(p) + 1], p->floats);
  } else if (p->held[0] != p->arenas[0]) {
    memcpy(p->arenas[0], p->held[0], p->floats * sizeof(float));
  }
  for (size_t i = 1; i < p->n_arenas; i++)
    if (p->used[i]) clear(p->arenas[i], 0, p->floats);
  memset(p->used, 0, p->n_arenas * sizeof *p->used);
}

void sgi_parts_drop(sgi_parts *p) {
  for (size_t i = 0; i < p->n_arenas; i++) clear(p->arenas[i], 0, p->floats);
  memset(p->used, 0, p->n_arenas * sizeof *p->used);
}
