#include "read/run.h"

#include <string.h>

#include "math/stored.h"
#include "model/finite.h"
#include "read/parts.h"
#include "read/sites_kept.h"

enum { DEFAULT_BYTES = 1 << 30 };

struct sg_run {
  const sg_model *model;
  size_t T;
  int32_t *tokens; /* (T) */
  float *xn;       /* (T,D) final norm */
  sgi_kept_sites sites;
  sgi_editor editor;
  const sg_run_request *request; /* during the pass */
  bool *recorded_any;            /* (n_record) */
};

sg_status sgi_prompt_check(const sg_model *m, const int32_t *tokens, size_t count, sg_error *err) {
  if (!count) return sgi_fail(err, SG_ERR_ARG, "the prompt has no token");
  for (size_t i = 0; i < count; i++)
    if (tokens[i] < 0 || (size_t)tokens[i] >= m->config.vocab_size)
      return sgi_fail(err, SG_ERR_ARG, "prompt, position %zu: token id %d is outside the vocabulary of %zu", i,
                      tokens[i], m->config.vocab_size);
  return SG_OK;
}

sg_status sgi_prompt_position(ptrdiff_t position, size_t count, size_t *out, sg_error *err) {
  ptrdiff_t p = position < 0 ? position + (ptrdiff_t)count : position;
  if (p < 0 || (size_t)p >= count)
    return sgi_fail(err, SG_ERR_ARG, "position %td is outside the prompt: 0 to %zu, or -1 to -%zu from its end",
                    position, count - 1, count);
  *out = (size_t)p;
  return SG_OK;
}

static bool recording(sg_run *r, const char *full) {
  bool hit = false;
  for (size_t i = 0; i < r->request->n_record; i++)
    if (sgi_match(r->request->record[i], full)) hit = r->recorded_any[i] = true;
  return hit;
}

static sg_status visit(void *user, const sgi_site *s, sg_error *err) {
  sg_run *r = user;
  char full[SG_SITE_NAME];
  sgi_site_name(full, s);
  sg_status st = sgi_editor_visit(&r->editor, s, err);
  return st || !recording(r, full) ? st : sgi_kept_visit(&r->sites, s, err);
}

static bool wants(void *user, const sgi_site *s) {
  sg_run *r = user;
  char full[SG_SITE_NAME];
  sgi_site_name(full, s);
  return sgi_editor_wants(&r->editor, full) || recording(r, full);
}

static sg_status run(sg_run *r, sg_error *err) {
  const sg_config *c = &r->model->config;
  sgi_pass *p = NULL;
  sg_status st = sgi_pass_create(r->model, 1, r->T, false, &p, err);
  if (!st) sgi_pass_watch(p, r->request->progress, r->request->user);
  sgi_batch batch = {.B = 1, .T = r->T, .inputs = r->tokens};
  if (!st) st = sgi_pass_forward(p, &batch, &(sgi_tap){visit, r, err, wants, true}, err);
  if (!st) memcpy(r->xn, sgi_pass_final_norm(p), r->T * c->hidden_size * sizeof *r->xn);
  sgi_pass_free(p);
  for (size_t i = 0; i < r->request->n_record && !st; i++)
    if (!r->recorded_any[i])
      st = sgi_fail(err, SG_ERR_ARG, "nothing to record matches \"%s\": this model has no such site",
                    r->request->record[i]);
  return st ? st : sgi_editor_end(&r->editor, err);
}

sg_status sg_run_create(const sg_model *m, const sg_run_request *request, sg_run **out, sg_error *err) {
  *out = NULL;
  size_t T = request->count, D = m->config.hidden_size, floats;
  sg_status st = sgi_prompt_check(m, request->tokens, T, err);
  if (st) return st;
  if (!sgi_size_mul(T, D, &floats) || floats > SIZE_MAX / 8)
    return sgi_fail(err, SG_ERR_ARG, "a prompt of %zu tokens is too long", T);
  sg_run *r = sgi_alloc(sizeof *r);
  if (!r) return sgi_fail_memory(err, sizeof *r, "a run");
  r->model = m;
  r->T = T;
  r->request = request;
  r->sites = (sgi_kept_sites){.T = T, .max_bytes = request->max_bytes ? request->max_bytes : DEFAULT_BYTES};
  r->tokens = sgi_alloc(T * sizeof *r->tokens);
  r->xn = sgi_alloc(floats * sizeof *r->xn);
  r->recorded_any = sgi_alloc(request->n_record + 1);
  if (!r->tokens || !r->xn || !r->recorded_any) {
    st = sgi_fail_memory(err, floats * sizeof *r->xn, "a run");
  } else {
    memcpy(r->tokens, request->tokens, T * sizeof *r->tokens);
    st = sgi_editor_begin(&r->editor, &m->config, T, request->edits, request->n_edits, err);
  }
  if (!st) st = run(r, err);
  r->request = NULL;
  if (st)
    sg_run_free(r);
  else
    *out = r;
  return st;
}

void sg_run_free(sg_run *r) {
  if (!r) return;
  sgi_kept_deinit(&r->sites);
  sgi_free(r->tokens);
  sgi_free(r->xn);
  sgi_free(r->recorded_any);
  sgi_free(r);
}

size_t sg_run_length(const sg_run *r) { return r->T; }
const int32_t *sg_run_tokens(const sg_run *r) { return r->tokens; }
size_t sg_run_site_count(const sg_run *r) { return r->sites.count; }
size_t sg_run_edit_hits(const sg_run *r, size_t i) { return i < r->editor.n_edits ? r->editor.hits[i] : 0; }

sg_site sg_run_site(const sg_run *r, size_t i) {
  if (i >= r->sites.count) return (sg_site){0};
  sg_site site = r->sites.at[i].site;
  site.name = r->sites.at[i].name;
  return site;
}

bool sg_run_find(const sg_run *r, const char *name, sg_site *out) {
  for (size_t i = 0; i < r->sites.count; i++)
    if (!strcmp(r->sites.at[i].name, name)) {
      *out = sg_run_site(r, i);
      return true;
    }
  return false;
}

static sg_status head(const sg_run *r, size_t first, size_t n, float *logits, sg_error *err) {
  size_t D = r->model->config.hidden_size, V = r->model->config.vocab_size;
  sg_status st =
      sgi_stored_linear(logits, V, r->xn + first * D, D, &r->model->weights[SGI_ROW_EMBED], n, (sgi_arena){0});
  return st ? sgi_fail(err, st, "output head: a matrix product failed")
            : sgi_model_watch(r->model, logits, n * V, "the logits", err);
}

sg_status sg_run_logits(const sg_run *r, ptrdiff_t position, float *logits, sg_error *err) {
  size_t pos = 0;
  sg_status st = sgi_prompt_position(position, r->T, &pos, err);
  return st ? st : head(r, pos, 1, logits, err);
}

sg_status sg_run_logits_all(const sg_run *r, float *logits, sg_error *err) {
  sg_status st = sgi_need(r, "the run", err);
  if (!st) st = sgi_need(logits, "logits", err);
  for (size_t i = 0; !st && i < r->T; i += SGI_LOGIT_ROWS)
    st = head(r, i, r->T - i < SGI_LOGIT_ROWS ? r->T - i : SGI_LOGIT_ROWS, logits + i * r->model->config.vocab_size,
              err);
  return st;
}
