#include "flops.h"

#include <stdio.h>
#include <string.h>

#include "ffn/ffn.h"
#include "model/flops.h"
#include "model/presets.h"

const char *sgi_cost_preset(size_t i) { return sgi_preset_name(i); }

static sg_status fill(sgi_cost *e, sg_error *err) {
  sg_status st = sg_config_flops(&e->config, e->seq_len, &e->forward, err);
  if (!st) st = sgi_config_head_flops(&e->config, e->seq_len, &e->head, err);
  return st ? st : sgi_config_parameters(&e->config, &e->parameters, err);
}

/* "slimpajama;3" of kind mlp is named slimpajama;mlp;3, as in the paper's code. */
static void name_of(sgi_cost *e, const char *preset, const char *kind) {
  const char *scale = strpbrk(preset, ";:");
  snprintf(e->name, sizeof e->name, "%.*s;%s%s%s", scale ? (int)(scale - preset) : (int)strlen(preset), preset, kind,
           scale ? ";" : "", scale ? scale + 1 : "");
}

sg_status sgi_cost_of_preset(const char *preset, const char *kind, sgi_cost *out, sg_error *err) {
  sgi_preset_t p;
  *out = (sgi_cost){0};
  sg_status st = sgi_preset(preset, kind, &p, err);
  if (st) return st;
  name_of(out, preset, kind);
  out->config = p.config;
  out->batch = p.batch_size;
  out->seq_len = p.seq_len;
  return fill(out, err);
}

static bool is_sparse(const char *kind) { return (sgi_ffn_find(kind, NULL)->uses & SGI_USES_ROUTER) != 0; }

static sg_status of_isoflop(const sgi_isoflop *f, int scale, const char *kind, sgi_cost *out, bool *belongs,
                            sg_error *err) {
  char preset[32];
  sgi_preset_t p;
  snprintf(preset, sizeof preset, "slimpajama;%d", scale);
  *out = (sgi_cost){.batch = f->batch_size, .seq_len = f->seq_len, .budget = f->budget};
  sg_status st = sgi_preset(preset, kind, &p, err);
  if (st) return st;
  *belongs = scale >= f->first_scale_dense || is_sparse(kind);
  if (!*belongs) return SG_OK;
  out->config = p.config;
  snprintf(out->name, sizeof out->name, "isoflop;%s;%d", kind, scale);
  return fill(out, err);
}

sg_status sgi_cost_isoflop(const char *const *kinds, size_t n, void (*each)(void *user, const sgi_cost *cost),
                           void *user, sg_error *err) {
  const sgi_isoflop *f;
  sg_status st = SG_OK;
  for (size_t i = 0; !st && (f = sgi_isoflop_at(i)); i++)
    for (int scale = f->first_scale; !st && scale <= f->last_scale; scale++)
      for (size_t k = 0; !st && (n ? k < n : sg_feedforward_name(k) != NULL); k++) {
        sgi_cost cost;
        bool belongs;
        st = of_isoflop(f, scale, n ? kinds[k] : sg_feedforward_name(k), &cost, &belongs, err);
        if (!st && belongs) each(user, &cost);
      }
  return st;
}

bool sgi_cost_steps(const sgi_cost *cost, double budget, uint64_t *steps) {
  return !sgi_budget_steps(budget, cost->forward, cost->batch, steps, NULL);
}
