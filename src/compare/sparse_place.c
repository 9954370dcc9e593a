#include "compare/sparse_place.h"

#include <string.h>

static const struct {
  const char *name;
  sgi_site_id in, out;
} sites[SGI_PLACES] = {[SGI_PLACE_MLP] = {"mlp", SGI_SITE_MLP_NORM, SGI_SITE_MLP_OUT},
                       [SGI_PLACE_RESID_PRE] = {"resid_pre", SGI_SITE_RESID_POST, SGI_SITE_RESID_POST},
                       [SGI_PLACE_RESID_MID] = {"resid_mid", SGI_SITE_RESID_MID, SGI_SITE_RESID_MID},
                       [SGI_PLACE_RESID_POST] = {"resid_post", SGI_SITE_RESID_POST, SGI_SITE_RESID_POST},
                       [SGI_PLACE_ATTN_OUT] = {"attn.out", SGI_SITE_ATTN_OUT, SGI_SITE_ATTN_OUT},
                       [SGI_PLACE_MLP_NORM] = {"mlp.norm", SGI_SITE_MLP_NORM, SGI_SITE_MLP_NORM},
                       [SGI_PLACE_MLP_OUT] = {"mlp.out", SGI_SITE_MLP_OUT, SGI_SITE_MLP_OUT}};

const char *sgi_sparse_site_name(sgi_sparse_site s) { return sites[s].name; }

sgi_sparse_site sgi_sparse_site_find(const char *name) {
  int i = 0;
  while (i < SGI_PLACES && strcmp(sites[i].name, name)) i++;
  return (sgi_sparse_site)i;
}

sg_status sgi_sparse_place_of(const sg_model *m, sgi_sparse_site site, size_t layer, sgi_sparse_place *out,
                              sg_error *err) {
  size_t L = m->config.num_layers;
  *out = (sgi_sparse_place){sites[site].in, sites[site].out, (ptrdiff_t)layer};
  if (layer >= L) return sgi_fail(err, SG_ERR_ARG, "layer %zu: the model has layers 0 to %zu", layer, L - 1);
  if (sgi_form_evaluations(&m->config) > 1)
    return sgi_fail(err, SG_ERR_UNSUPPORTED,
                    "a sparse MLP stands for something that is computed once: the model's layers are evaluated in "
                    "several stages");
  bool ffn = sites[site].in == SGI_SITE_MLP_NORM || sites[site].out == SGI_SITE_MLP_OUT;
  if (ffn && !sgi_feedforward_of(m, layer))
    return sgi_fail(err, SG_ERR_UNSUPPORTED, "layer %zu has no feedforward layer to read at %s", layer,
                    sites[site].name);
  if (sites[site].out == SGI_SITE_ATTN_OUT && !sgi_attention_of(m, layer))
    return sgi_fail(err, SG_ERR_UNSUPPORTED, "layer %zu has no attention to read at %s", layer, sites[site].name);
  if (site == SGI_PLACE_RESID_PRE) out->layer--;
  if (out->layer < 0) out->in = out->out = SGI_SITE_EMBED;
  return SG_OK;
}

static sg_status visit(void *user, const sgi_site *site, sg_error *err) {
  sgi_sparse_watch *w = user;
  size_t width = sgi_site_width(site);
  sg_status st = w->other ? w->other(w->user, site, err) : SG_OK;
  for (size_t k = 0; k < w->n && !st; k++) {
    const sgi_sparse_place *p = &w->places[k];
    if (site->layer != p->layer) continue;
    if (site->id == p->in && w->input) st = w->input(w->user, k, site->data, site->first, site->n, err);
    if (st || site->id != p->out) continue;
    if (w->output) st = w->output(w->user, k, site->data, site->first, site->n, err);
    w->seen += site->n;
  }
  (void)width;
  if (!st && w->stop && w->seen == w->wanted) return sgi_fail(err, SG_ERR_CANCELLED, "seen all");
  return st;
}

sg_status sgi_sparse_watch_pass(sgi_sparse_watch *w, sgi_pass *p, const sgi_batch *batch, sg_error *err) {
  sg_error why = {0};
  w->seen = 0;
  w->wanted = w->n * batch->B * batch->T;
  sg_status st = sgi_pass_forward(p, batch, &(sgi_tap){.visit = visit, .user = w, .err = &why}, &why);
  if (st == SG_ERR_CANCELLED && w->stop && w->seen == w->wanted) return SG_OK;
  if (st && err) *err = why;
  return st;
}
