/* lens.c: logit lens: what the output head would say of the residual stream before the last
 * layer. */
#include "math/rows.h"
#include "math/stored.h"
#include "model/finite.h"
#include "read/run.h"
#include "core/arena.h"

sg_status sg_lens(const sg_model *m, const sg_site *site, ptrdiff_t position, float *logits, sg_error *err) {
  sg_status st = sgi_need(m, "the model", err);
  if (!st) st = sgi_need(site, "the site", err);
  if (!st) st = sgi_need(logits, "logits", err);
  if (st) return st;
  const sg_config *c = &m->config;
  size_t D = c->hidden_size;
  if (site->n_dims != 2 || site->dims[1] != D || !site->data)
    return sgi_fail(err, SG_ERR_ARG, "%s: the lens reads sites of the residual stream, %zu wide",
                    site->name ? site->name : "the site", D);
  size_t pos = 0;
  if ((st = sgi_prompt_position(position, site->dims[0], &pos, err))) return st;
  float *x = sgi_alloc(D * sizeof *x), scale;
  if (!x) return sgi_fail_memory(err, D * sizeof *x, "a normalised row");
  sgi_rmsnorm(x, &scale, site->data + pos * D, m->w[sgi_final_norm_row(m)], 1, D, sgi_norm_eps(c));
  st = sgi_stored_linear(logits, c->vocab_size, x, D, &m->weights[SGI_ROW_EMBED], 1, (sgi_arena){0});
  sgi_free(x);
  if (st) return sgi_fail(err, st, "output head: a matrix product failed");
  return sgi_model_watch(m, logits, c->vocab_size, "the logits of the lens", err);
}
