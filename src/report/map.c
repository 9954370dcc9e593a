#include "map.h"

#include "read/circuit.h"
#include "read/neighbors.h"
#include "read/map.h"

sg_status sgi_map_find(const sgi_record_reader *r, size_t top, size_t documents, bool by_target, sgi_map_points *out,
                       sg_error *err) {
  *out = (sgi_map_points){.tokens = sgi_alloc(top * sizeof *out->tokens)};
  if (!out->tokens) return sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  sg_status st = sg_top_tokens(r->rec, top, documents, r->info.pad, by_target, out->tokens, &out->n_tokens, err);
  if (!st)
    st = sgi_map_positions(r->rec, out->tokens, out->n_tokens, documents, by_target, &out->positions, &out->label,
                           &out->n, err);
  return st;
}

void sgi_map_points_free(sgi_map_points *p) {
  sgi_free(p->tokens);
  sgi_free(p->positions);
  sgi_free(p->label);
  *p = (sgi_map_points){0};
}

static bool searching(void *user, size_t done, size_t wanted) {
  const sgi_map_form *f = user;
  return !f->progress || f->progress(f->user, "neighbours", done, wanted);
}

static bool laying(void *user, size_t done, size_t wanted) {
  const sgi_map_form *f = user;
  return !f->progress || f->progress(f->user, "layout", done, wanted);
}

sg_status sgi_map_lay_out(const sgi_record_reader *r, size_t slot, size_t channel, const sgi_map_points *at,
                          const sgi_map_form *form, float *xy, sg_error *err) {
  sgi_umap_settings s = SGI_UMAP_DEFAULTS;
  sgi_vectors v = {0};
  s.search = searching;
  s.neighbors = form->neighbors;
  s.epochs = form->epochs;
  s.min_dist = form->min_dist;
  s.seed = form->seed;
  sg_status st = sgi_map_circuits(r->rec, slot, channel, at->positions, at->n, &v, err);
  if (!st) st = sgi_umap(&v, &s, xy, laying, (void *)(uintptr_t)form, err);
  sgi_vectors_free(&v);
  return st;
}

/* index, score (count,C,K) of the prompt. */
static sg_status nearest(const sgi_prompt *p, sgi_search *s, size_t m, const int32_t *index, const float *score,
                         bool (*progress)(void *user, size_t done, size_t wanted), void *user, sg_neighbor *near,
                         sg_error *err) {
  sg_status st = SG_OK;
  for (size_t t = 0; t < p->count && !st; t++) {
    size_t found;
    if (progress && !progress(user, t, p->count)) return sgi_fail(err, SG_ERR_CANCELLED, "stopped");
    st = sgi_search_nearest_to(s, index + t * m, score + t * m, 1, &near[t], &found, err);
    if (!st && !found) near[t].position = SIZE_MAX;
  }
  return st;
}

sg_status sgi_map_locate(const sgi_prompt *p, const sgi_record_reader *r, size_t slot, size_t channel,
                         const sgi_map_points *at, bool (*progress)(void *user, size_t done, size_t wanted), void *user,
                         sg_neighbor *near, sg_error *err) {
  size_t m = r->slots[slot].channels * r->slots[slot].top_k, cells = p->count * m;
  int32_t *index = sgi_alloc(cells * sizeof *index);
  float *score = sgi_alloc(cells * sizeof *score);
  sgi_search *s = NULL;
  sg_status st = index && score ? SG_OK : sgi_fail_memory(err, cells * sizeof *index, "a prompt's circuits");
  if (!st) st = sgi_prompt_circuits(p->model, r->rec, p->tokens, p->count, r->info.layers[slot], index, score, err);
  if (!st) st = sgi_search_create(r->rec, slot, channel, -1, &s, err);
  if (!st) st = sgi_search_among(s, at->positions, at->n, err);
  if (!st) st = nearest(p, s, m, index, score, progress, user, near, err);
  sgi_search_free(s);
  sgi_free(index);
  sgi_free(score);
  return st;
}
