#include "report/sinks.h"

#include "read/sinks.h"

static json_t *head_json(const sgi_sinks *s, const sgi_sink_head *h) {
  json_t *o = json_pack("{s:I, s:I, s:o, s:o, s:o}", "layer", (json_int_t)h->layer, "head", (json_int_t)h->head,
                        "share", sgi_report_real(h->share), "excess", sgi_report_real(h->excess), "share_out",
                        sgi_report_real(h->share_out));
  if (s->logits) json_object_set_new(o, "logit", sgi_report_real(h->logit));
  return o;
}

static json_t *model_json(const sgi_sinks *s) {
  json_t *heads = json_array(), *ratio = json_array();
  for (size_t k = 0; k < s->n_heads; k++) json_array_append_new(heads, head_json(s, &s->heads[k]));
  for (size_t l = 0; l < s->n_layers; l++) json_array_append_new(ratio, sgi_report_real(s->norm_ratio[l]));
  return json_pack("{s:o, s:b, s:o, s:o}", "sink_heads", sgi_report_real(s->sink_heads), "attention_sink", s->logits,
                   "heads", heads, "norm_ratio", ratio);
}

/* Heads are compared one by one. */
static sg_status check_pair(const sg_model *m, const sg_model *after, sg_error *err) {
  const sg_config *a = sg_model_config(m), *b = sg_model_config(after);
  if (a->vocab_size != b->vocab_size || a->bos_id != b->bos_id)
    return sgi_fail(err, SG_ERR_ARG,
                    "the second model has %zu tokens and begins with %d, the first has %zu and begins with %d: compare "
                    "models that read the same tokens",
                    b->vocab_size, b->bos_id, a->vocab_size, a->bos_id);
  if (a->num_layers != b->num_layers || a->num_heads != b->num_heads)
    return sgi_fail(err, SG_ERR_ARG,
                    "the second model has %zu layers of %zu heads, the first has %zu of %zu: compare models with the "
                    "same heads",
                    b->num_layers, b->num_heads, a->num_layers, a->num_heads);
  return SG_OK;
}

static sg_status read_one(const sgi_sinks_request *r, const sg_model *m, sgi_sinks *s, sg_error *err) {
  return sgi_sinks_run(m, r->text, r->rows, r->seq_len, r->progress, r->user, s, err);
}

sg_status sgi_sinks_json(const sgi_sinks_request *r, json_t **out, sg_error *err) {
  sgi_sinks s = {0}, t = {0};
  *out = NULL;
  sg_status st = r->after ? check_pair(r->model, r->after, err) : SG_OK;
  if (!st) st = read_one(r, r->model, &s, err);
  if (!st && r->after) st = read_one(r, r->after, &t, err);
  if (!st && r->after && s.n_heads != t.n_heads)
    st = sgi_fail(err, SG_ERR_ARG, "the second model has %zu heads in all, the first has %zu", t.n_heads, s.n_heads);
  if (!st) {
    json_t *o = model_json(&s);
    int bad = !o;
    bad |= json_object_set_new(o, "rows", json_integer((json_int_t)s.rows));
    bad |= json_object_set_new(o, "positions", json_integer((json_int_t)s.positions));
    bad |= json_object_set_new(o, "even", sgi_report_real(s.even));
    if (r->after) bad |= json_object_set_new(o, "after", model_json(&t));
    if (bad) {
      json_decref(o);
      st = sgi_fail_memory(err, 4096, "attention sinks");
    } else {
      *out = o;
    }
  }
  sgi_sinks_deinit(&s);
  sgi_sinks_deinit(&t);
  return st;
}
