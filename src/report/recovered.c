#include "report/recovered.h"

#include <string.h>

#include "compare/cut.h"

sg_status sgi_recovered_loss(const sg_model *m, const sgi_text_rows *rows, sgi_recovered_goes_on goes_on, void *user,
                             double *loss, sg_error *err) {
  size_t T = rows->T;
  sgi_pass *p = NULL;
  sgi_metrics sum = {0};
  int32_t *inputs = sgi_alloc(T * sizeof *inputs);
  sg_status st = inputs ? sgi_pass_create(m, 1, T, false, &p, err) : sgi_fail_memory(err, T * sizeof *inputs, "a row");
  for (size_t i = 0; i < rows->B && !st; i++) {
    const int32_t *targets = rows->targets + i * T;
    inputs[0] = m->config.bos_id;
    memcpy(inputs + 1, targets, (T - 1) * sizeof *inputs);
    st = sgi_pass_forward(p, &(sgi_batch){.B = 1, .T = T, .inputs = inputs, .targets = targets}, NULL, err);
    if (!st) st = sgi_pass_loss(p, &sum, NULL, 0, err);
    if (!st && goes_on && !goes_on(user)) st = sgi_fail(err, SG_ERR_CANCELLED, "stopped");
  }
  if (!st && !sum.targets) st = sgi_fail(err, SG_ERR_FORMAT, "the text that losses are taken of has no token");
  if (!st) *loss = sum.nll / (double)sum.targets;
  sgi_pass_free(p);
  sgi_free(inputs);
  return st;
}

sg_status sgi_recovered_begin(const sg_model *teacher, const sgi_text_rows *rows, sgi_recovered_goes_on goes_on,
                              void *user, sgi_recovered *out, sg_error *err) {
  size_t S = sgi_cut_sublayers(teacher);
  bool *off = sgi_alloc(S);
  sg_model *bare = NULL;
  if (!off) return sgi_fail_memory(err, S, "a model without feedforward layers");
  for (size_t s = 1; s < S; s += 2) off[s] = sgi_config_has(&teacher->config, s / 2, SG_FEEDFORWARD);
  sg_status st = sgi_recovered_loss(teacher, rows, goes_on, user, &out->teacher, err);
  if (!st) st = sgi_cut_view(teacher, off, &bare, err);
  if (!st) st = sgi_recovered_loss(bare, rows, goes_on, user, &out->zero, err);
  sg_model_free(bare);
  sgi_free(off);
  return st;
}
