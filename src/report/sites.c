#include "sites.h"

#include "ffn/sites.h"
#include "read/trace.h"
#include "train/settings.h"

/* ---- words ----------------------------------------------------------------------------------- */

#define PREFIX_LAYER "layers.L."
#define PREFIX_ONCE ""
#define ONLY_SHOWN_SHOWN(text) text
#define ONLY_SHOWN_NAMED(text)
#define ONLY_SHOWN_DEMAND(text)
#define ONLY_NAMED_SHOWN(text)
#define ONLY_NAMED_NAMED(text) text
#define ONLY_NAMED_DEMAND(text)
#define ONLY_DEMAND_SHOWN(text)
#define ONLY_DEMAND_NAMED(text)
#define ONLY_DEMAND_DEMAND(text) text
#define SITE_TEXT(name, where, text) PREFIX_##where name " (" text "), "
#define SHOWN(id, name, where, when, r, a, b, h, c, text) ONLY_SHOWN_##when(SITE_TEXT(name, where, text))
#define NAMED(id, name, where, when, r, a, b, h, c, text) ONLY_NAMED_##when(SITE_TEXT(name, where, text))
#define DEMAND(id, name, where, when, r, a, b, h, c, text) ONLY_DEMAND_##when(SITE_TEXT(name, where, text))

const char *sgi_sites_text(sgi_sites_told which) {
  static const char *const texts[] = {SGI_SITES(SHOWN), SGI_SITES(NAMED), SGI_SITES(DEMAND)};
  return texts[which];
}

/* ---- a trace --------------------------------------------------------------------------------- */

static sg_status weights(const sgi_tracing *q, sgi_aux_weights *out, sg_error *err) {
  sgi_assignments set = {0};
  sg_status st = q->n_set && !q->grad ? sgi_fail(err, SG_ERR_ARG, "--set is about gradients: add --grad") : SG_OK;
  for (size_t i = 0; i < q->n_set && !st; i++) st = sgi_assign_text(&set, q->set[i], NULL, err);
  if (!st) st = sgi_settings_aux(&set, out, err);
  sgi_assignments_free(&set);
  return st;
}

sg_status sgi_tracing_check(const sgi_tracing *request, sg_error *err) {
  sgi_aux_weights unused;
  return weights(request, &unused, err);
}

sg_status sgi_tracing_save(const sg_model *model, const sgi_tracing *q, const char *path, sg_error *err) {
  sgi_aux_weights aux;
  sg_status st = weights(q, &aux, err);
  const sgi_trace_request r = {.targets = q->targets,
                               .B = q->B,
                               .T = q->T,
                               .grad = q->grad,
                               .aux = q->n_set ? &aux : NULL,
                               .only = q->only,
                               .n_only = q->n_only,
                               .max_bytes = q->max_bytes};
  return st ? st : sgi_trace_write(model, &r, path, err);
}
