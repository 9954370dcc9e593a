#include "usage.h"

#include "read/active.h"

static json_t *active_json(const sgi_active *a) {
  json_t *counts = json_array();
  for (size_t i = 0; i <= a->candidates; i++) json_array_append_new(counts, json_integer((json_int_t)a->histogram[i]));
  json_t *o =
      json_pack("{s:I, s:I, s:I, s:o, s:o, s:I, s:I, s:o, s:o, s:o}", "layer", (json_int_t)a->layer, "candidates",
                (json_int_t)a->candidates, "tokens", (json_int_t)a->tokens, "mean_active", sgi_report_real(a->mean),
                "sd", sgi_report_real(a->sd), "least", (json_int_t)a->least, "most", (json_int_t)a->most, "flops",
                sgi_report_real(a->flops), "flops_of_all", sgi_report_real(a->all_flops), "histogram", counts);
  if (a->has_loss) json_object_set_new(o, "correlation_with_loss", sgi_report_real(a->correlation));
  return o;
}

static sg_status layers(const sgi_record_reader *r, const double *nll, size_t D, json_t *out, sg_error *err) {
  sg_status st = SG_OK;
  for (size_t s = 0; s < r->info.n_layers && !st; s++) {
    sgi_active a = {0};
    if (!r->slots[s].thresholds) continue;
    st = sgi_recording_active(r->rec, s, nll, D, &a, err);
    if (!st) json_array_append_new(out, active_json(&a));
    sgi_free(a.histogram);
  }
  if (!st && !json_array_size(out))
    st = sgi_fail(err, SG_ERR_ARG, "no recorded layer of %s has gates: all that is chosen acts", r->directory);
  return st;
}

sg_status sgi_active_report(const sgi_record_reader *r, const sg_model *m,
                            bool (*progress)(void *user, size_t done, size_t total), void *user, json_t **out,
                            sg_error *err) {
  size_t n = r->info.n_positions;
  double *nll = sgi_alloc(n * sizeof *nll);
  *out = json_array();
  sg_status st = nll ? SG_OK : sgi_fail_memory(err, n * sizeof *nll, "losses");
  if (!st) st = sgi_recording_losses(r->rec, m, progress, user, nll, err);
  if (!st) st = layers(r, nll, sg_model_config(m)->hidden_size, *out, err);
  if (!st) st = sgi_report_whole(out, "the counts", err);
  sgi_free(nll);
  if (!st) return SG_OK;
  json_decref(*out);
  *out = NULL;
  return st;
}
