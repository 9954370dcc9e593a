#include "compare/cut.h"

#include <string.h>

struct sgi_cut {
  const sg_model *m;
  sgi_pass *pass;
  size_t T;
  int32_t *inputs; /* (T) */
  const sgi_cut_wish *wish;
};

size_t sgi_cut_sublayers(const sg_model *m) { return 2 * sg_model_config(m)->num_layers; }

static sg_status create(const sg_model *m, size_t T, sgi_cut **out, sg_error *err) {
  *out = NULL;
  sgi_cut *c = sgi_alloc(sizeof *c);
  if (!c) return sgi_fail_memory(err, sizeof *c, "a model with sublayers cut");
  *c = (sgi_cut){.m = m, .T = T};
  c->inputs = sgi_alloc(T * sizeof *c->inputs);
  sg_status st = c->inputs ? SG_OK : sgi_fail_memory(err, T * sizeof *c->inputs, "a row of tokens");
  /* With backward, so that each layer keeps its own block: features are read from it. */
  if (!st) st = sgi_pass_create(m, 1, T, true, &c->pass, err);
  if (st)
    sgi_cut_free(c);
  else
    *out = c;
  return st;
}

bool sgi_cut_there(const sg_model *m, size_t sublayer) {
  return sgi_config_has(&m->config, sublayer / 2, sublayer % 2 ? SG_FEEDFORWARD : SG_ATTENTION);
}

size_t sgi_cut_count(const sg_model *m) {
  size_t n = 0;
  for (size_t s = 0; s < sgi_cut_sublayers(m); s++) n += sgi_cut_there(m, s);
  return n;
}

sg_status sgi_cut_check(const sg_model *m, sg_error *err) {
  if (sgi_form_of(&m->config)->chain) return SG_OK;
  return sgi_fail(err, SG_ERR_UNSUPPORTED, "cutting sublayers needs a model of plain sequential layers");
}

bool sgi_cut_stays(const sg_model *m, size_t sublayer) {
  bool used = !sgi_cut_there(m, sublayer);
  for (size_t l = 0; l < m->config.num_layers && sublayer % 2; l++) {
    const sgi_sublayer *s = sgi_feedforward_of(m, l);
    used |= s && l != sublayer / 2 && sgi_config_router(s->config, l) == sublayer / 2;
  }
  return used;
}

sg_status sgi_cut_create(const sg_model *m, size_t T, sgi_cut **out, sg_error *err) {
  *out = NULL;
  sg_status st = sgi_cut_check(m, err);
  return st ? st : create(m, T, out, err);
}

void sgi_cut_free(sgi_cut *c) {
  if (!c) return;
  sgi_pass_free(c->pass);
  sgi_free(c->inputs);
  sgi_free(c);
}

sgi_pass *sgi_cut_pass(sgi_cut *c) { return c->pass; }

/* Cuts where a sublayer's output is made; keeps the streams behind it. */
static sg_status visit(void *user, const sgi_site *site, sg_error *err) {
  (void)err;
  const sgi_cut *c = user;
  const sgi_cut_wish *w = c->wish;
  size_t width = sgi_site_width(site), sublayer = 0;
  if (site->layer < 0) return SG_OK;
  sublayer = 2 * (size_t)site->layer;
  float *data = site->data;
  switch (site->id) {
    case SGI_SITE_ATTN_OUT:
    case SGI_SITE_MLP_OUT:
      if (site->id == SGI_SITE_MLP_OUT) sublayer++;
      if (w->off && w->off[sublayer]) memset(data, 0, site->n * width * sizeof *data);
      break;
    case SGI_SITE_RESID_MID:
    case SGI_SITE_RESID_POST:
      /* What a layer leaves is its last sublayer's stream. */
      if (site->id == SGI_SITE_RESID_POST && sgi_cut_there(c->m, sublayer + 1)) sublayer++;
      if (w->stream && w->stream[sublayer])
        memcpy(w->stream[sublayer] + site->first * width, data, site->n * width * sizeof *data);
      break;
    case SGI_SITE_ATTN_Z:
      if (w->heads >= 0 && (size_t)w->heads == sublayer)
        memcpy(w->z + site->first * width, data, site->n * width * sizeof *data);
      break;
    default: break;
  }
  return SG_OK;
}

sg_status sgi_cut_run(sgi_cut *c, const sgi_cut_rows *rows, size_t row, const sgi_cut_wish *wish, sg_error *err) {
  size_t T = rows->T;
  const int32_t *targets = rows->targets + row * T;
  c->inputs[0] = sg_model_config(c->m)->bos_id;
  memcpy(c->inputs + 1, targets, (T - 1) * sizeof *targets);
  c->wish = wish;
  sgi_batch batch = {.B = 1, .T = T, .inputs = c->inputs, .targets = targets};
  return sgi_pass_forward(c->pass, &batch, &(sgi_tap){.visit = visit, .user = c, .err = err}, err);
}

sg_status sgi_cut_loss(sgi_cut *c, const sgi_cut_rows *rows, const bool *off, double *loss, sg_error *err) {
  sgi_metrics sum = {0};
  sgi_cut_wish wish = {.off = off, .heads = -1};
  sg_status st = SG_OK;
  for (size_t i = 0; i < rows->n && !st; i++) {
    st = sgi_cut_run(c, rows, i, &wish, err);
    if (!st) st = sgi_pass_loss(c->pass, &sum, NULL, 0, err);
  }
  if (!st && !sum.targets) st = sgi_fail(err, SG_ERR_ARG, "the rows hold no token that counts: all is padding");
  *loss = sum.targets ? sum.nll / (double)sum.targets : 0;
  return st;
}

sg_status sgi_cut_whole_loss(const sg_model *m, const sgi_cut_rows *rows, double *loss, sg_error *err) {
  sgi_cut *c = NULL;
  sg_status st = create(m, rows->T, &c, err);
  if (!st) st = sgi_cut_loss(c, rows, NULL, loss, err);
  sgi_cut_free(c);
  return st;
}

sg_status sgi_cut_view(const sg_model *m, const bool *off, sg_model **out, sg_error *err) {
  sg_config c = m->config;
  for (size_t s = 0; s < 2 * c.num_layers; s++)
    if (off[s] && sgi_cut_there(m, s)) c.layers[s / 2].pruned |= s % 2 ? SG_FEEDFORWARD : SG_ATTENTION;
  sg_status st = sgi_model_shell(&c, out, err);
  if (st) return st;
  for (size_t i = 0; i < (*out)->table.count && !st; i++) {
    ptrdiff_t row = sgi_table_find(&m->table, (*out)->table.rows[i].name);
    if (row < 0)
      st = sgi_fail(err, SG_ERR_INTERNAL, "a pruned model asks for %s", (*out)->table.rows[i].name);
    else
      (*out)->weights[i] = m->weights[row];
  }
  if (!st) {
    sgi_model_point(*out);
  } else {
    sg_model_free(*out);
    *out = NULL;
  }
  return st;
}
