#include "merge.h"

#include <string.h>

#include "core/file.h"
#include "model/model.h"
#include "open.h"
#include "read/merge.h"

sg_status sgi_merge_possible(const sgi_merge_request *q, sg_error *err) {
  sg_status st = sgi_merge_check(q->model, q->recording, q->slot, err);
  if (!st && (sgi_is_file(q->out) || sgi_is_directory(q->out)))
    st = sgi_fail(err, SG_ERR_ARG, "%s is there already: name a new directory, nothing is overwritten", q->out);
  return st;
}

static json_t *merged_json(const sgi_merges *x) {
  json_t *list = json_array();
  for (size_t k = 0; k < x->n; k++) {
    const sgi_merged *p = &x->list[k];
    json_array_append_new(list, json_pack("{s:[{s:i, s:i}, {s:i, s:i}], s:I, s:I, s:o, s:o, s:o}", "neurons", "channel",
                                          p->unit[0].channel, "neuron", p->unit[0].index, "channel", p->unit[1].channel,
                                          "neuron", p->unit[1].index, "together", (json_int_t)p->together, "fitted",
                                          (json_int_t)p->fitted, "share", sgi_report_real(p->share), "explained",
                                          sgi_report_real(p->form.explained), "kept", sgi_report_real(p->form.kept)));
  }
  return list;
}

static json_t *counts_json(const sgi_merge_request *q, const sgi_merges *x) {
  return json_pack("{s:I, s:I, s:f, s:I, s:I, s:I, s:I, s:I, s:o}", "most", (json_int_t)q->most, "min_together",
                   (json_int_t)q->min_together, "min_share", q->min_share, "found", (json_int_t)x->found,
                   "passed_over_channels", (json_int_t)x->across, "passed_over_taken", (json_int_t)x->taken,
                   "passed_over_silent", (json_int_t)x->silent, "left", (json_int_t)x->left, "model",
                   x->n ? sgi_report_text(q->out, strlen(q->out)) : json_null());
}

static sg_status loss_of(const sgi_merge_request *q, sg_model *m, json_t *losses, const char *name, sg_error *err) {
  sgi_eval_request e = *q->eval;
  json_t *o = NULL;
  e.model = m;
  sg_status st = sgi_eval_report(&e, &o, err);
  if (!st) {
    json_object_set_new(losses, name, sgi_report_real(sgi_field_real(o, "loss")));
    json_object_set_new(losses, "tokens", json_integer((json_int_t)sgi_field_size(o, "tokens")));
  }
  json_decref(o);
  return st;
}

/* One copy is each of the three in its turn. The new model is written once all is measured, so that
 * nothing stands where this ends before. */
static sg_status make(const sgi_merge_request *q, size_t layer, const sgi_merges *x, json_t *losses, sg_error *err) {
  sg_model *m = NULL;
  sg_status st = sgi_model_load(q->directory, q->allow_nonfinite, &m, err);
  if (!st) st = sgi_model_own(m, err);
  if (!st && q->eval) st = loss_of(q, m, losses, "before", err);
  if (!st) sgi_merge_silence(m, layer, x);
  if (!st && q->eval) st = loss_of(q, m, losses, "silenced", err);
  if (!st) sgi_merge_apply(m, layer, x);
  if (!st && q->eval) st = loss_of(q, m, losses, "merged", err);
  if (!st) {
    st = sg_model_save(m, q->out, err);
    if (!st) st = sgi_copy_tokenizer(q->directory, q->out, err);
    sgi_whole_directory(q->out, false, st);
  }
  sg_model_free(m);
  return st;
}

sg_status sgi_merge_report(const sgi_merge_request *q, json_t **document, sg_error *err) {
  const sgi_merge_settings s = {q->most, q->min_together, q->min_share, q->goes_on, q->user};
  size_t layer = sgi_recording_info_of(q->recording)->layers[q->slot];
  sgi_merges x = {0};
  json_t *losses = json_object();
  sg_status st = sgi_merge_find(q->model, q->recording, q->slot, &s, &x, err);
  if (!st && x.n) st = make(q, layer, &x, losses, err);
  if (!st) {
    json_object_set_new(*document, "merged", merged_json(&x));
    json_object_set_new(*document, "merge", counts_json(q, &x));
    if (q->eval && x.n) json_object_set(*document, "loss", losses);
    st = sgi_report_whole(document, "the merges", err);
  }
  json_decref(losses);
  sgi_merges_deinit(&x);
  return st;
}
