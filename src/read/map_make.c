/* map_make.c: a map of circuits, or of the embeddings of the same tokens, as one call. */
#include <math.h>
#include <string.h>

#include "core/arena.h"
#include "model/model.h"
#include "read/map.h"
#include "read/neighbors.h"

enum { TOKENS = 100, NEIGHBORS = 15, TRUST_POINTS = 20000 };

typedef struct job {
  const sg_recording *rec;
  const sg_map_request *q;
  sgi_vectors v;
  sg_map *map;
} job;

static bool searching(void *user, size_t done, size_t wanted) {
  const sg_map_request *q = ((const job *)user)->q;
  return !q->progress || q->progress(q->user, "neighbours", done, wanted);
}

static bool laying_out(void *user, size_t done, size_t wanted) {
  const sg_map_request *q = ((const job *)user)->q;
  return !q->progress || q->progress(q->user, "layout", done, wanted);
}

static sg_status choose_tokens(job *j, sg_error *err) {
  size_t most = j->q->top ? j->q->top : TOKENS;
  if (most > sgi_recording_info_of(j->rec)->vocab_size) most = sgi_recording_info_of(j->rec)->vocab_size;
  j->map->tokens = sgi_alloc(most * sizeof *j->map->tokens);
  if (!j->map->tokens) return sgi_fail_memory(err, most * sizeof *j->map->tokens, "tokens");
  return sg_top_tokens(j->rec, most, j->q->documents, sgi_recording_info_of(j->rec)->pad, j->q->by_target,
                       j->map->tokens, &j->map->n_tokens, err);
}

static sg_status take_circuits(job *j, sg_error *err) {
  size_t slot;
  sg_map *m = j->map;
  sg_status st = sgi_recording_slot(j->rec, j->q->layer, &slot, err);
  if (st) return st;
  size_t C = sgi_recording_info_of(j->rec)->slots[slot].channels;
  if (j->q->channel != SG_ALL_CHANNELS && j->q->channel >= C)
    return sgi_fail(err, SG_ERR_ARG, "channel %zu: the layer has channels 0 to %zu", j->q->channel, C - 1);
  st = sgi_map_positions(j->rec, m->tokens, m->n_tokens, j->q->documents, j->q->by_target, &m->position, &m->label,
                         &m->n, err);
  return st ? st : sgi_map_circuits(j->rec, slot, j->q->channel, m->position, m->n, &j->v, err);
}

/* Rows of the model's embedding, one point a token. */
static sg_status take_embeddings(job *j, sg_error *err) {
  const sg_config *c = &j->q->embedding_of->config;
  const sgi_weight *E = &j->q->embedding_of->weights[SGI_ROW_EMBED];
  sg_map *m = j->map;
  size_t D = c->hidden_size;
  float *x = sgi_alloc(m->n_tokens * D * sizeof *x);
  m->label = sgi_alloc(m->n_tokens * sizeof *m->label);
  m->n = m->n_tokens;
  sg_status st = x && m->label ? SG_OK : sgi_fail_memory(err, m->n_tokens * D * sizeof *x, "embeddings");
  for (size_t i = 0; i < m->n_tokens && !st; i++) {
    if ((size_t)m->tokens[i].id >= c->vocab_size)
      st = sgi_fail(err, SG_ERR_ARG, "token %d was recorded, but the model has only %zu", m->tokens[i].id,
                    c->vocab_size);
    else
      sgi_weight_read(x + i * D, E, (size_t)m->tokens[i].id * D, D);
    m->label[i] = (int32_t)i;
  }
  if (!st) st = sgi_vectors_dense(x, m->n_tokens, D, &j->v, err);
  sgi_free(x);
  return st;
}

static sg_status lay_out(job *j, sg_error *err) {
  sgi_umap_settings s = SGI_UMAP_DEFAULTS;
  sg_map *m = j->map;
  s.neighbors = j->q->neighbors ? j->q->neighbors : NEIGHBORS;
  s.min_dist = j->q->min_dist;
  s.epochs = j->q->epochs;
  s.seed = j->q->seed;
  s.search = searching;
  if (m->n <= s.neighbors)
    return sgi_fail(err, SG_ERR_ARG,
                    "%zu points are too few for a map with %zu neighbours: record more, or lower --neighbors", m->n,
                    s.neighbors);
  m->xy = sgi_alloc(2 * m->n * sizeof *m->xy);
  if (!m->xy) return sgi_fail_memory(err, 2 * m->n * sizeof *m->xy, "a map");
  double started = sgi_now();
  sg_status st = sgi_umap(&j->v, &s, m->xy, laying_out, j, err);
  m->seconds = sgi_now() - started;
  if (!st && j->q->trust && m->n <= TRUST_POINTS && 2 * s.neighbors < m->n)
    st = sgi_trustworthiness(&j->v, m->xy, s.neighbors, &m->trust_min, &m->trust_max, err);
  return st;
}

static sg_status check(const sg_recording *rec, const sg_map_request *q, sg_error *err) {
  sg_status st = sgi_need(rec, "the recording", err);
  if (!st) st = sgi_need(q, "the request", err);
  if (!st && q->neighbors == 1)
    st = sgi_fail(err, SG_ERR_ARG, "a neighbourhood has 2 points at least, itself among them");
  if (!st && !(q->min_dist >= 0 && q->min_dist <= 3))
    st = sgi_fail(err, SG_ERR_ARG, "min_dist %g: expected 0 to 3", q->min_dist);
  return st;
}

sg_status sg_map_create(const sg_recording *rec, const sg_map_request *q, sg_map **out, sg_error *err) {
  sg_status st = sgi_need(out, "the place for the map", err);
  if (st) return st;
  *out = NULL;
  if ((st = check(rec, q, err))) return st;
  job j = {.rec = rec, .q = q, .map = sgi_alloc(sizeof *j.map)};
  if (!j.map) return sgi_fail_memory(err, sizeof *j.map, "a map");
  j.map->trust_min = j.map->trust_max = NAN;
  st = choose_tokens(&j, err);
  if (!st) st = q->embedding_of ? take_embeddings(&j, err) : take_circuits(&j, err);
  if (!st) st = lay_out(&j, err);
  if (!st) st = sgi_recording_check(rec, err);
  sgi_vectors_free(&j.v);
  if (st)
    sg_map_free(j.map);
  else
    *out = j.map;
  return st;
}

void sg_map_free(sg_map *m) {
  if (!m) return;
  sgi_free(m->xy);
  sgi_free(m->label);
  sgi_free(m->position);
  sgi_free(m->tokens);
  sgi_free(m);
}

sg_status sg_map_save_svg(const sg_map *m, const char *const *names, const char *title, const char *path,
                          sg_error *err) {
  sg_status st = sgi_need(m, "the map", err);
  if (!st) st = sgi_need(names, "names", err);
  if (!st) st = sgi_need(title, "title", err);
  if (!st) st = sgi_need(path, "path", err);
  for (size_t i = 0; !st && i < m->n_tokens; i++) st = sgi_need(names[i], "a name", err);
  if (st) return st;
  return sgi_map_svg(&(sgi_map_picture){m->xy, m->label, m->n, m->n_tokens, names, title}, path, err);
}
