#include "functions/place.h"

#include <string.h>

#include "core/arena.h"

sg_status sgi_function_place_of(const sg_model *m, size_t layer, sgi_function_place *out, sg_error *err) {
  sgi_gates g;
  sgi_unit u = {0};
  const sgi_sublayer *sub;
  *out = (sgi_function_place){0};
  sg_status st = sgi_form_readable(&m->config, "functions", err);
  if (!st) st = sgi_feedforward_find(m, layer, &sub, err);
  if (st) return st;
  if (!sgi_layer_gates(m, layer, &g) || !sgi_ffn_leaves(sub->ffn, SGI_SITE_CHOSEN_NEURONS) || !sub->ffn->unit_at ||
      !sub->ffn->unit_at(sub->config, sub->weight + SGI_T_OWN, 0, 0, &u))
    return sgi_fail(err, SG_ERR_UNSUPPORTED,
                    "layer %zu: feedforward kind \"%s\" chooses no single neurons by their number, so no function can "
                    "stand for one",
                    layer, sub->ffn->name);
  if (sub->config->options.meta_experts)
    return sgi_fail(err, SG_ERR_UNSUPPORTED,
                    "layer %zu chooses pools (feedforward.meta.experts): their probability stands beside what a neuron "
                    "makes of its input, so no function can stand for one",
                    layer);
  *out = (sgi_function_place){.sub = sub,
                              .layer = layer,
                              .D = m->config.hidden_size,
                              .C = g.channels,
                              .K = g.top_k,
                              .F = g.pool,
                              .pools = g.pool_per_channel ? g.channels : 1,
                              .w_in = u.in.weight,
                              .w_out = u.out.weight,
                              .factored = sub->ffn->factor != NULL};
  out->units = out->pools * out->F;
  return SG_OK;
}

sg_status sgi_function_seen_make(const sgi_function_place *p, size_t T, sgi_function_seen *out, sg_error *err) {
  size_t m = T * p->C * p->K;
  *out = (sgi_function_seen){.place = p};
  out->x = sgi_alloc(T * p->D * sizeof *out->x);
  out->index = sgi_alloc(2 * m * sizeof *out->index);
  out->score = sgi_alloc(3 * m * sizeof *out->score);
  if (!out->x || !out->index || !out->score)
    return sgi_fail_memory(err, 5 * m * sizeof *out->score, "a layer's values");
  out->acts = out->index + m;
  out->own = out->score + m;
  out->factor = out->score + 2 * m;
  return SG_OK;
}

void sgi_function_seen_deinit(sgi_function_seen *s) {
  sgi_free(s->x);
  sgi_free(s->index);
  sgi_free(s->score);
  *s = (sgi_function_seen){0};
}

/* own = value / factor: of a factor that is 0 nothing is seen. */
static void take_values(sgi_function_seen *s, const float *value, size_t n) {
  const sgi_function_place *p = s->place;
  size_t m = n * p->C * p->K;
  if (p->factored) p->sub->ffn->factor(p->sub->config, n, s->score, s->factor);
  for (size_t i = 0; i < m; i++) {
    if (!p->factored) s->factor[i] = 1;
    if (s->gated && !s->acts[i]) s->factor[i] = 0;
    s->own[i] = s->factor[i] != 0 ? value[i] / s->factor[i] : 0;
  }
}

bool sgi_function_seen_visit(sgi_function_seen *s, const sgi_site *site) {
  size_t width = sgi_site_width(site), at = site->first * width, bytes = site->n * width * sizeof(float);
  if (site->layer != (ptrdiff_t)s->place->layer) return false;
  switch (site->id) {
    case SGI_SITE_MLP_NORM: memcpy(s->x + at, site->data, bytes); return false;
    case SGI_SITE_ROUTER_SCORES: memcpy(s->score + at, site->data, bytes); return false;
    case SGI_SITE_ROUTER_INDICES:
      memcpy(s->index + at, site->data, bytes);
      s->gated = false;
      return false;
    case SGI_SITE_ROUTER_ACTIVE:
      memcpy(s->acts + at, site->data, bytes);
      s->gated = true;
      return false;
    case SGI_SITE_CHOSEN_NEURONS: take_values(s, site->data, site->n); return true;
    default: return false;
  }
}
