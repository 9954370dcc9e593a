#include "report/distill.h"

#include <math.h>
#include <string.h>

#include "core/file.h"
#include "core/plot.h"
#include "model/quantize.h"
#include "report/recovered.h"
#include "train/distill.h"

enum { MOST_STEPS = 1 << 30 };

typedef struct job {
  const sgi_distillation *r;
  sgi_recovered losses;
  json_t *curve;
  char *only; /* names of what the student stores in fewer bytes, with commas; NULL: nothing */
  sgi_quantise how;
  sgi_distill_request request;
} job;

sg_status sgi_training_flops(const char *directory, double *flops, sg_error *err) {
  char *path = sgi_path_join(directory, "train_state.json");
  json_t *o = NULL;
  *flops = 0;
  if (!path) return sgi_fail_memory(err, strlen(directory), "a path");
  sg_status st = sgi_is_file(path) ? sgi_json_load(path, &o, err) : SG_OK;
  if (!st && o) st = sgi_json_real(o, path, "flops", 0, 1e300, flops, err);
  json_decref(o);
  sgi_free(path);
  return st;
}

/* ---- what is stored in fewer bytes ----------------------------------------------------------- */

static bool is_stored(const sg_model *m, size_t i) {
  sgi_dtype t = m->weights[i].dtype;
  return m->table.rows[i].stored && t != SGI_F32 && t != SGI_F64;
}

/* One type and one size of groups for all, since one rule has to store them again. */
static sg_status find_stored(job *j, sg_error *err) {
  const sg_model *m = j->r->student;
  size_t length = 1, used = 0, first = SIZE_MAX;
  for (size_t i = 0; i < m->table.count; i++) {
    if (!is_stored(m, i)) continue;
    const sgi_weight *w = &m->weights[i];
    if (first == SIZE_MAX) j->how = (sgi_quantise){.to = w->dtype, .group = w->group};
    if (first == SIZE_MAX) first = i;
    if (w->dtype != j->how.to || w->group != j->how.group)
      return sgi_fail(err, SG_ERR_UNSUPPORTED,
                      "the student stores %s as %s and %s otherwise: distillation needs one type for all that is "
                      "stored in fewer bytes",
                      m->table.rows[first].name, sgi_weight_traits(j->how.to)->name, m->table.rows[i].name);
    length += strlen(m->table.rows[i].name) + 1;
  }
  if (first == SIZE_MAX) return SG_OK;
  if (!(j->only = sgi_alloc(length))) return sgi_fail_memory(err, length, "names of tensors");
  for (size_t i = 0; i < m->table.count; i++)
    if (is_stored(m, i))
      used += (size_t)snprintf(j->only + used, length - used, "%s%s", used ? "," : "", m->table.rows[i].name);
  return SG_OK;
}

/* Of tensors that the teacher has, too, in more bytes, the teacher's numbers are the masters. */
static bool same_layers(const sg_model *a, const sg_model *b) {
  if (a->table.count != b->table.count) return false;
  for (size_t i = 0; i < a->table.count; i++)
    if (strcmp(a->table.rows[i].name, b->table.rows[i].name) || a->table.rows[i].count != b->table.rows[i].count)
      return false;
  return true;
}

/* ---- cost ------------------------------------------------------------------------------------ */

static json_t *share_of(const job *j, double flops) {
  return j->r->teacher_flops > 0 ? sgi_report_real(flops / j->r->teacher_flops) : json_null();
}

static sg_status pay(job *j, sg_error *err) {
  const sgi_distillation *r = j->r;
  sgi_distill_request *q = &j->request;
  sgi_distill_costs cost;
  q->layers = (sgi_distill_part){r->layer_steps, r->layer_rate};
  q->whole = (sgi_distill_part){r->steps, r->rate};
  if (!(r->share > 0)) return SG_OK;
  if (!(r->teacher_flops > 0))
    return sgi_fail(err, SG_ERR_ARG,
                    "the teacher is no checkpoint of a run, so what its training took is not known: give the FLOPs "
                    "(teacher-flops) or steps");
  sg_status st = sgi_distill_count(r->teacher, r->student, r->batch_size, r->seq_len, &cost, err);
  if (st) return st;
  double layers = r->share * r->layers_share * r->teacher_flops / cost.layers,
         whole = r->share * (1 - r->layers_share) * r->teacher_flops / cost.whole;
  if (!(layers < MOST_STEPS) || !(whole < MOST_STEPS))
    return sgi_fail(err, SG_ERR_ARG, "%.3g of the teacher's %.3g FLOPs pay for more than %d steps: a larger batch?",
                    r->share, r->teacher_flops, MOST_STEPS);
  q->layers.steps = (size_t)layers;
  q->whole.steps = (size_t)whole;
  if (q->layers.steps + q->whole.steps) return SG_OK;
  return sgi_fail(err, SG_ERR_ARG,
                  "%.3g of the teacher's %.3g FLOPs pay for no step of %zu rows of %zu tokens (%.3g FLOPs layer by "
                  "layer, %.3g whole)",
                  r->share, r->teacher_flops, r->batch_size, r->seq_len, cost.layers, cost.whole);
}

/* ---- the curve ------------------------------------------------------------------------------- */

static bool goes_on(void *user) {
  const job *j = user;
  return !j->r->progress || j->r->progress(j->r->user, "evaluating", 0, 1);
}

static sg_status point(void *user, const sg_model *student, const sgi_distill_point *at, sg_error *err) {
  job *j = user;
  double loss;
  sg_status st = sgi_recovered_loss(student, &j->r->held_out, goes_on, j, &loss, err);
  if (st) return st;
  json_t *o = json_pack("{s:s, s:I, s:I, s:f, s:o, s:f, s:o, s:o}", "part", at->whole ? "whole" : "layers", "step",
                        (json_int_t)at->step, "tokens", (json_int_t)at->tokens, "flops", at->flops, "share",
                        share_of(j, at->flops), "seconds", at->seconds, "loss", sgi_report_real(loss), "recovered",
                        sgi_report_real(sgi_recovered_share(&j->losses, loss)));
  return json_array_append_new(j->curve, o) ? sgi_fail_memory(err, 256, "a curve") : SG_OK;
}

static bool learning(void *user, double done, double wanted) {
  const job *j = user;
  return !j->r->progress || j->r->progress(j->r->user, "learning", (size_t)done, (size_t)wanted);
}

static void ask(job *j) {
  const sgi_distillation *r = j->r;
  sgi_distill_request *q = &j->request;
  bool masters = j->only && same_layers(r->teacher, r->student);
  q->student = masters ? NULL : r->student;
  q->stored = j->only != NULL;
  q->how = j->how;
  q->only = j->only;
  q->data = r->data;
  q->tokenizer = r->tokenizer;
  q->form = r->form;
  q->batch_size = r->batch_size;
  q->seq_len = r->seq_len;
  q->cosine = true;
  q->loss = (sgi_distill_loss){.alpha = r->alpha, .tau = r->tau};
  q->free_all = r->free_all;
  q->beyond_context = r->beyond_context;
  q->seed = r->seed;
  q->keep = true;
  q->progress = learning;
  q->points = r->points;
  q->point = point;
  q->user = j;
}

static json_t *document(const job *j, const sgi_distilled *d) {
  const sgi_distillation *r = j->r;
  const sgi_distill_request *q = &j->request;
  json_t *o = json_pack("{s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:b, s:I, s:I, s:f, s:o, s:f}", "teacher_loss",
                        sgi_report_real(j->losses.teacher), "loss_zero", sgi_report_real(j->losses.zero),
                        "teacher_flops", r->teacher_flops > 0 ? sgi_report_real(r->teacher_flops) : json_null(),
                        "batch_size", (json_int_t)r->batch_size, "seq_len", (json_int_t)r->seq_len, "layer_steps",
                        (json_int_t)q->layers.steps, "steps", (json_int_t)q->whole.steps, "stopped", (int)d->stopped,
                        "tokens", (json_int_t)d->tokens, "tensors", (json_int_t)d->tensors, "flops", d->flops, "share",
                        share_of(j, d->flops), "seconds", d->seconds);
  json_t *more = json_pack("{s:f, s:f, s:f, s:f, s:O}", "layers_first", d->layers_first, "layers_last", d->layers_last,
                           "loss_first", d->first, "loss_last", d->last, "curve", j->curve);
  if (!o || !more || json_object_update(o, more)) {
    json_decref(o);
    o = NULL;
  }
  json_decref(more);
  return o;
}

static sg_status save(const job *j, const sg_model *m, const char *directory, const json_t *o, sg_error *err) {
  sgi_quantize_request how = {.how = j->how, .only = j->only};
  sgi_quantized done;
  char *path = sgi_path_join(directory, "distill.json");
  sg_status st = path ? SG_OK : sgi_fail_memory(err, strlen(directory), "a path");
  if (!st) st = j->only ? sgi_model_quantize(m, &how, directory, &done, err) : sg_model_save(m, directory, err);
  if (!st) st = sgi_json_save(path, o, err);
  sgi_free(path);
  return st;
}

sg_status sgi_distillation_make(const sgi_distillation *r, const char *directory, json_t **out, sg_error *err) {
  job j = {.r = r, .curve = json_array()};
  sg_model *learned = NULL;
  sgi_distilled d;
  *out = NULL;
  sg_status st = j.curve ? find_stored(&j, err) : sgi_fail_memory(err, 64, "a curve");
  if (!st) st = pay(&j, err);
  if (!st) st = sgi_recovered_begin(r->teacher, &r->held_out, goes_on, &j, &j.losses, err);
  if (!st) ask(&j);
  if (!st) st = sgi_distill(r->teacher, &j.request, &learned, &d, err);
  if (!st && !(*out = document(&j, &d))) st = sgi_json_incomplete("distill.json", err);
  if (!st) st = save(&j, learned, directory, *out, err);
  sg_model_free(learned);
  json_decref(j.curve);
  sgi_free(j.only);
  if (st) {
    json_decref(*out);
    *out = NULL;
  }
  return st;
}

/* ---- figure ---------------------------------------------------------------------------------- */

sg_status sgi_distillation_figure(const json_t *document, const char *path, sg_error *err) {
  const json_t *curve = json_object_get(document, "curve");
  size_t n = json_array_size(curve);
  bool share = !json_is_null(json_object_get(document, "share"));
  double *x = sgi_alloc(2 * (n + 1) * sizeof *x), *y = x ? x + n + 1 : NULL, least = 0, most = 1, end = 0;
  if (!x) return sgi_fail_memory(err, 2 * n * sizeof *x, "a figure");
  for (size_t i = 0; i < n; i++) {
    const json_t *p = json_array_get(curve, i);
    x[i] = share ? 100 * sgi_field_real(p, "share") : sgi_field_real(p, "flops");
    y[i] = sgi_field_real(p, "recovered");
    least = fmin(least, y[i]), most = fmax(most, y[i]), end = fmax(end, x[i]);
  }
  sgi_plot_frame f = {.title = "Recovered share of the feedforward layers",
                      .x = {.title = share ? "% of the teacher's training FLOPs" : "FLOPs", .least = 0, .most = end},
                      .y = {.title = "recovered share", .least = least, .most = most, .zero = true}};
  sgi_plot *p = NULL;
  sg_status st = sgi_plot_open(path, &f, &p, err);
  if (!st) {
    sgi_plot_level(p, "#888888", 1, "teacher");
    sgi_plot_line(p, sgi_plot_colour(0), sgi_plot_dash(0), x, y, n);
    for (size_t i = 0; i < n; i++)
      sgi_plot_point(p, sgi_plot_colour(0), SGI_DISC, 3, x[i], y[i], "%s, step %lld: recovered %.4f, loss %.4f",
                     json_string_value(json_object_get(json_array_get(curve, i), "part")),
                     (long long)json_integer_value(json_object_get(json_array_get(curve, i), "step")), y[i],
                     sgi_field_real(json_array_get(curve, i), "loss"));
    st = sgi_plot_close(p, err);
  }
  sgi_free(x);
  return st;
}
