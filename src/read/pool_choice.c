#include "read/pool_choice.h"

#include <string.h>

#include "core/arena.h"
#include "ffn/meta.h"
#include "model/config.h"

struct sgi_pool_counter {
  const sg_model *m;
  size_t T, documents, room; /* documents that fit */
  sgi_pass *pass;
  int32_t *inputs; /* (T) */
  sgi_gate_counts *gates;
  size_t n_gates;
};

static bool has_meta(const sg_model *m, size_t layer) {
  const sgi_sublayer *s = sgi_feedforward_of(m, layer);
  return s && sgi_meta_on(s->config);
}

static size_t users_of(const sg_model *m, size_t gate) {
  size_t n = 0;
  for (size_t l = gate; l < m->config.num_layers; l++)
    n += has_meta(m, l) && sgi_config_router(sgi_feedforward_of(m, l)->config, l) == gate;
  return n;
}

sg_status sgi_pool_counter_create(const sg_model *m, size_t T, sgi_pool_counter **out, sg_error *err) {
  *out = NULL;
  sgi_pool_counter *c = sgi_alloc(sizeof *c);
  if (!c) return sgi_fail_memory(err, sizeof *c, "counts of pools");
  *c = (sgi_pool_counter){.m = m, .T = T};
  c->inputs = sgi_alloc(T * sizeof *c->inputs);
  c->gates = sgi_alloc(m->config.num_layers * sizeof *c->gates);
  sg_status st = c->inputs && c->gates ? SG_OK : sgi_fail_memory(err, T * sizeof *c->inputs, "counts of pools");
  for (size_t l = 0; l < m->config.num_layers && !st; l++) {
    if (!has_meta(m, l) || !sgi_meta_gated(sgi_feedforward_of(m, l)->config)) continue;
    const sg_options *o = &sgi_feedforward_of(m, l)->config->options;
    c->gates[c->n_gates++] =
        (sgi_gate_counts){.layer = l, .layers = users_of(m, l), .pools = o->meta_experts, .choice = o->meta_choice};
  }
  if (!st && !c->n_gates)
    st = sgi_fail(err, SG_ERR_UNSUPPORTED,
                  "no layer of this model has a metarouter (feedforward.meta.experts): it chooses no pools");
  if (!st) st = sgi_pass_create(m, 1, T, false, &c->pass, err);
  if (st)
    sgi_pool_counter_free(c);
  else
    *out = c;
  return st;
}

void sgi_pool_counter_free(sgi_pool_counter *c) {
  if (!c) return;
  for (size_t g = 0; g < c->n_gates; g++) sgi_free(c->gates[g].count);
  sgi_pass_free(c->pass);
  sgi_free(c->gates);
  sgi_free(c->inputs);
  sgi_free(c);
}

static sg_status visit(void *user, const sgi_site *s, sg_error *err) {
  sgi_pool_counter *c = user;
  (void)err;
  for (size_t g = 0; g < c->n_gates && s->id == SGI_SITE_META_CHOICE; g++) {
    if ((ptrdiff_t)c->gates[g].layer != s->layer) continue;
    uint64_t *count = c->gates[g].count + c->documents * c->gates[g].pools;
    for (size_t i = 0; i < s->n; i++) count[((const int32_t *)s->data)[i * s->dims[0]]]++;
  }
  return SG_OK;
}

/* Room for one document more in every gate's counts. */
static sg_status make_room(sgi_pool_counter *c, sg_error *err) {
  if (c->documents < c->room) return SG_OK;
  size_t more = c->room ? 2 * c->room : 64;
  for (size_t g = 0; g < c->n_gates; g++) {
    size_t each = c->gates[g].pools * sizeof *c->gates[g].count;
    uint64_t *p = sgi_realloc(c->gates[g].count, c->room * each, more * each);
    if (!p) return sgi_fail_memory(err, more * each, "counts of pools");
    c->gates[g].count = p;
  }
  c->room = more;
  return SG_OK;
}

sg_status sgi_pool_counter_add(sgi_pool_counter *c, const int32_t *tokens, size_t n, sg_error *err) {
  size_t T = n + 1 < c->T ? n + 1 : c->T;
  sg_status st = make_room(c, err);
  if (st) return st;
  for (size_t t = 0; t < T; t++) c->inputs[t] = t ? tokens[t - 1] : c->m->config.bos_id;
  sgi_batch b = {.B = 1, .T = T, .inputs = c->inputs};
  st = sgi_pass_forward(c->pass, &b, &(sgi_tap){.visit = visit, .user = c, .err = err}, err);
  if (!st) c->documents++;
  return st;
}

const sgi_gate_counts *sgi_pool_counter_gates(const sgi_pool_counter *c, size_t *n) {
  *n = c->n_gates;
  return c->gates;
}

size_t sgi_pool_counter_documents(const sgi_pool_counter *c) { return c->documents; }
