#include "functions.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/plot.h"
#include "functions/bench.h"
#include "functions/fit.h"
#include "functions/formula.h"
#include "functions/packed.h"
#include "functions/score.h"
#include "functions/set.h"
#include "report.h"

struct sgi_functions {
  sgi_function_set *set;
};

static json_t *size_json(size_t n) { return json_integer((json_int_t)n); }

/* ---- fit ------------------------------------------------------------------------------------- */

typedef struct fit {
  const sgi_functions_request *req;
  sgi_function_settings settings;
  sgi_function_documents d;
  size_t *layers, n;
  sgi_function_layer *at; /* (n) */
  const sgi_function_layer **list;
  sgi_function_report *report; /* (n) */
  sgi_function_score *splines; /* (n) of each alone, with splines where names stand now */
  json_t *skipped;
} fit;

static sg_status choose_layers(fit *f, sg_error *err) {
  const sgi_recording_info *info = sgi_recording_info_of(f->req->recording);
  size_t all = f->req->n_layers ? f->req->n_layers : info->n_layers, slot;
  f->layers = sgi_alloc((all + 1) * sizeof *f->layers);
  f->skipped = json_array();
  if (!f->layers || !f->skipped) return sgi_fail_memory(err, all * sizeof *f->layers, "a list of layers");
  for (size_t i = 0; i < all; i++) {
    sgi_function_place p;
    sg_error why = {0};
    size_t layer = f->req->n_layers ? f->req->layers[i] : info->layers[i];
    sg_status st = f->req->n_layers ? sgi_recording_slot(f->req->recording, layer, &slot, err) : SG_OK;
    if (st) return st;
    st = sgi_function_place_of(f->req->model, layer, &p, &why);
    if (!st) {
      f->layers[f->n++] = layer;
      continue;
    }
    if (f->req->n_layers || st != SG_ERR_UNSUPPORTED) return sgi_fail(err, st, "%s", why.text);
    json_array_append_new(f->skipped, json_pack("{s:I, s:s}", "layer", (json_int_t)layer, "why", why.text));
  }
  return f->n ? SG_OK
              : sgi_fail(err, SG_ERR_UNSUPPORTED,
                         "no recorded layer chooses single neurons by their number, so no function can stand for one");
}

static sg_status fit_layer(fit *f, size_t i, sg_error *err) {
  sgi_function_layer splines = {0};
  const sgi_function_layer *alone = &splines;
  const sgi_functions_request *q = f->req;
  sg_status st = sgi_function_fit(q->model, &f->d, f->layers[i], &f->settings, &f->at[i], &splines, &f->report[i], err);
  if (!st) st = sgi_function_score_run(q->model, &alone, 1, &f->d, q->progress, q->user, &f->splines[i], err);
  sgi_function_layer_deinit(&splines);
  f->list[i] = &f->at[i];
  return st;
}

static json_t *kept_json(const sgi_function_kept *k) {
  return json_pack("{s:o, s:o, s:o, s:o}", "loss", sgi_report_real(k->loss), "loss_zero", sgi_report_real(k->loss_zero),
                   "recovered", sgi_report_real(k->recovered), "variance_explained", sgi_report_real(k->variance));
}

static json_t *share(double part, double whole) { return sgi_report_real(whole > 0 ? part / whole : NAN); }

static json_t *layer_json(const fit *f, size_t i, const sgi_function_score *s) {
  const sgi_function_report *r = &f->report[i];
  const sgi_function_layer *l = &f->at[i];
  size_t few = r->units - r->functions;
  json_t *logic =
      json_pack("{s:o, s:o, s:o, s:o, s:o}", "tried", size_json(r->tried_logic), "kept", size_json(r->with_logic),
                "error_soft", share(r->error_soft, (double)r->tried_logic), "error_hard",
                share(r->error_hard, (double)r->tried_logic), "hard_over_soft", share(r->error_hard, r->error_soft));
  json_t *errors = json_pack("{s:o, s:o, s:o, s:o}", "alone", sgi_report_real(r->error_before), "together",
                             sgi_report_real(r->error_joint), "named", sgi_report_real(r->error_symbols), "final",
                             sgi_report_real(r->error));
  json_t *o =
      json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "layer", size_json(l->layer), "neurons",
                size_json(r->units), "functions", size_json(r->functions), "rows_kept", size_json(few), "never",
                size_json(r->never), "edges", size_json(r->edges), "named", size_json(r->symbolic), "named_share",
                share((double)r->symbolic, (double)r->edges), "bits", size_json(r->bits), "gates", size_json(r->gates));
  if (!o) return NULL;
  json_object_set_new(o, "logic", logic);
  json_object_set_new(o, "r2_fit", sgi_report_real(r->r2_fit));
  json_object_set_new(o, "r2", sgi_report_real(r->r2));
  json_object_set_new(o, "error", errors);
  json_object_set_new(o, "outputs_kept", sgi_report_real(r->outputs_kept));
  json_object_set_new(o, "read_back", sgi_report_real(r->read_back));
  json_object_set_new(o, "bytes", size_json(r->bytes));
  json_object_set_new(o, "bytes_matrix", size_json(2 * r->units * l->D * sizeof(float)));
  json_object_set_new(o, "flops", sgi_report_real(r->flops));
  json_object_set_new(o, "flops_matrix", sgi_report_real(r->flops_matrix));
  json_object_set_new(o, "splines", kept_json(&f->splines[i].at[0]));
  json_object_set_new(o, "held_out", kept_json(&s->at[i]));
  return o;
}

static json_t *about(const fit *f, const sgi_function_score *s) {
  const sgi_functions_request *q = f->req;
  json_t *layers = json_array();
  for (size_t i = 0; i < f->n; i++) json_array_append_new(layers, layer_json(f, i, s));
  json_t *settings =
      json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:b, s:b, s:I}", "features", size_json(q->features), "edges",
                size_json(q->edges), "cells", size_json(q->cells), "samples", size_json(q->samples), "least",
                size_json(q->least), "steps", size_json(q->steps), "outputs", size_json(q->outputs), "base", q->base,
                "logic", q->logic, "symbols", q->symbols, "seed", (json_int_t)q->seed);
  json_t *positions = json_pack("{s:o, s:o, s:o}", "fitted", size_json(f->d.fit_positions), "held_out",
                                size_json(s->positions), "documents_held_out", size_json(f->d.n_held));
  return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "model",
                   sgi_report_text(q->model_path, strlen(q->model_path)), "recording",
                   sgi_report_text(q->recording_path, strlen(q->recording_path)), "settings", settings, "positions",
                   positions, "loss", sgi_report_real(s->loss), "layers", layers, "all", kept_json(&s->all), "skipped",
                   json_incref(f->skipped));
}

static sg_status fit_all(fit *f, json_t **out, sg_error *err) {
  const sgi_functions_request *q = f->req;
  sgi_function_score score = {0};
  sg_status st = choose_layers(f, err);
  if (st) return st;
  f->at = sgi_alloc(f->n * sizeof *f->at);
  f->list = sgi_alloc(f->n * sizeof *f->list);
  f->report = sgi_alloc(f->n * sizeof *f->report);
  f->splines = sgi_alloc(f->n * sizeof *f->splines);
  if (!f->at || !f->list || !f->report || !f->splines) return sgi_fail_memory(err, f->n * sizeof *f->at, "layers");
  st = sgi_function_documents_choose(q->recording, q->positions, &f->d, err);
  for (size_t i = 0; i < f->n && !st; i++) st = fit_layer(f, i, err);
  if (!st) st = sgi_function_score_run(q->model, f->list, f->n, &f->d, q->progress, q->user, &score, err);
  if (!st && !isfinite(score.loss)) st = sgi_fail(err, SG_ERR_NUMERIC, "the model's loss is NaN or infinite");
  if (!st) {
    *out = about(f, &score);
    if (!*out || !sgi_binding_write(q->model, *out)) st = sgi_json_incomplete("what became of functions", err);
  }
  if (!st) st = sgi_function_set_save(q->out, f->at, f->n, *out, err);
  sgi_function_score_deinit(&score);
  return st;
}

sg_status sgi_functions_fit_json(const sgi_functions_request *req, json_t **out, sg_error *err) {
  fit f = {.req = req, .settings = sgi_function_usual()};
  sgi_function_settings *s = &f.settings;
  s->features = req->features;
  s->edges = req->edges;
  s->cells = req->cells;
  s->samples = req->samples;
  s->least = req->least;
  s->steps = req->steps;
  s->outputs = req->outputs;
  s->base = req->base;
  s->logic = req->logic;
  s->symbols = req->symbols;
  s->seed = req->seed;
  s->progress = req->progress;
  s->user = req->user;
  *out = NULL;
  sg_status st = fit_all(&f, out, err);
  for (size_t i = 0; i < f.n; i++) {
    if (f.at) sgi_function_layer_deinit(&f.at[i]);
    if (f.splines) sgi_function_score_deinit(&f.splines[i]);
  }
  sgi_function_documents_deinit(&f.d);
  json_decref(f.skipped);
  sgi_free(f.layers);
  sgi_free(f.at);
  sgi_free(f.list);
  sgi_free(f.report);
  sgi_free(f.splines);
  if (st) {
    json_decref(*out);
    *out = NULL;
  }
  return st;
}

/* ---- a file ---------------------------------------------------------------------------------- */

sg_status sgi_functions_open(const char *path, sgi_functions **out, sg_error *err) {
  *out = NULL;
  sgi_functions *f = sgi_alloc(sizeof *f);
  sg_status st = f ? sgi_function_set_open(path, &f->set, err) : sgi_fail_memory(err, sizeof *f, "functions");
  if (st)
    sgi_functions_close(f);
  else
    *out = f;
  return st;
}

void sgi_functions_close(sgi_functions *f) {
  if (!f) return;
  sgi_function_set_free(f->set);
  sgi_free(f);
}

sg_status sgi_functions_bind(const sgi_functions *f, const sg_model *m, bool *of_another, sg_error *err) {
  sgi_bound bound = SGI_BOUND;
  sg_status st = sgi_function_set_fits(f->set, m, err);
  if (!st) st = sgi_binding_compare(&f->set->of, m, f->set->path, f->set->model, &bound, err);
  *of_another = bound == SGI_OF_ANOTHER;
  return st;
}

json_t *sgi_functions_json(const sgi_functions *f) { return json_incref(f->set->about); }

static json_t *edges_json(const sgi_expert *e) {
  json_t *list = json_array();
  for (size_t k = 0; k < e->edges; k++)
    json_array_append_new(list, json_pack("{s:I, s:s}", "feature", (json_int_t)e->edge[k].feature, "form",
                                          sgi_symbol_name(e->edge[k].form)));
  return list;
}

static json_t *points_json(const sgi_function_layer *l, size_t unit) {
  json_t *list = json_array();
  for (size_t i = 0; i < (size_t)l->points[unit]; i++) {
    const float *p = l->point + (unit * SGI_FUNCTION_POINTS + i) * 3;
    json_array_append_new(list, json_pack("[o, o, o]", sgi_report_real((double)p[0]), sgi_report_real((double)p[1]),
                                          sgi_report_real((double)p[2])));
  }
  return list;
}

sg_status sgi_functions_neuron_json(const sgi_functions *f, size_t layer, size_t channel, size_t index, json_t **out,
                                    sg_error *err) {
  const sgi_function_layer *l;
  *out = NULL;
  sg_status st = sgi_function_set_find(f->set, layer, &l, err);
  if (st) return st;
  if (channel >= l->C || index >= l->F)
    return sgi_fail(err, SG_ERR_ARG, "neuron %zu:%zu:%zu: layer %zu has channels 0 to %zu with neurons 0 to %zu", layer,
                    channel, index, layer, l->C - 1, l->F - 1);
  size_t unit = (l->pools > 1 ? channel * l->F : 0) + index;
  const sgi_expert *e = &l->expert[unit];
  bool stands = l->stands[unit];
  char *text = stands ? sgi_formula_text(e, &l->grid) : NULL;
  if (stands && !text) return sgi_fail_memory(err, 1000, "a formula");
  size_t row = l->D * sizeof(float), own = stands ? sgi_packed_bytes(l, unit) : row;
  *out = json_pack("{s:I, s:I, s:I, s:b, s:o, s:I, s:o, s:o, s:o, s:o, s:I, s:I}", "layer", (json_int_t)layer,
                   "channel", (json_int_t)(l->pools > 1 ? channel : 0), "index", (json_int_t)index, "stands", stands,
                   "formula", text ? json_string(text) : json_null(), "samples", (json_int_t)l->samples[unit], "r2_fit",
                   stands ? sgi_report_real((double)l->quality[2 * unit]) : json_null(), "r2",
                   stands ? sgi_report_real((double)l->quality[2 * unit + 1]) : json_null(), "edges", edges_json(e),
                   "points", points_json(l, unit), "bytes", (json_int_t)own, "bytes_matrix", (json_int_t)row);
  sgi_free(text);
  return *out ? SG_OK : sgi_json_incomplete("a neuron's function", err);
}

sg_status sgi_functions_busiest_json(const sgi_functions *f, json_t **out, sg_error *err) {
  size_t layer = 0, channel = 0, index = 0, most = 0;
  *out = NULL;
  for (size_t k = 0; k < f->set->n; k++) {
    const sgi_function_layer *l = &f->set->at[k];
    for (size_t unit = 0; unit < l->pools * l->F; unit++) {
      if (!l->stands[unit] || (size_t)l->samples[unit] <= most) continue;
      most = (size_t)l->samples[unit];
      layer = l->layer, channel = unit / l->F, index = unit % l->F;
    }
  }
  if (!most)
    return sgi_fail(err, SG_ERR_ARG, "%s: no neuron has a function: all stayed rows of the matrix", f->set->path);
  return sgi_functions_neuron_json(f, layer, channel, index, out, err);
}

sg_status sgi_functions_figure(const json_t *neuron, const char *path, sg_error *err) {
  const json_t *points = json_object_get(neuron, "points"), *edge = json_array_get(json_object_get(neuron, "edges"), 0);
  const char *formula = json_string_value(json_object_get(neuron, "formula"));
  size_t n = json_array_size(points);
  double least[2] = {INFINITY, INFINITY}, most[2] = {-INFINITY, -INFINITY};
  char x[64], title[120];
  if (!formula) return sgi_fail(err, SG_ERR_ARG, "the neuron has no function: it stayed a row of the matrix");
  for (size_t i = 0; i < n; i++)
    for (size_t k = 0; k < 3; k++) {
      double v = json_number_value(json_array_get(json_array_get(points, i), k));
      size_t axis = k > 0;
      least[axis] = fmin(least[axis], v);
      most[axis] = fmax(most[axis], v);
    }
  snprintf(x, sizeof x, "feature z%lld", (long long)json_integer_value(json_object_get(edge, "feature")));
  snprintf(title, sizeof title, "%.100s%s", formula, strlen(formula) > 100 ? " ..." : "");
  sgi_plot_frame frame = {.title = title,
                          .x = {.title = edge ? x : "no feature", .least = least[0], .most = most[0]},
                          .y = {.title = "what the neuron gives", .least = least[1], .most = most[1]},
                          .legend = true};
  sgi_plot *p;
  sg_status st = sgi_plot_open(path, &frame, &p, err);
  if (st) return st;
  for (size_t i = 0; i < n; i++) {
    const json_t *point = json_array_get(points, i);
    double z = json_number_value(json_array_get(point, 0));
    sgi_plot_point(p, sgi_plot_colour(0), SGI_RING, 3, z, json_number_value(json_array_get(point, 1)), "sampled");
    sgi_plot_point(p, sgi_plot_colour(1), SGI_DISC, 3, z, json_number_value(json_array_get(point, 2)), "the function");
  }
  sgi_plot_entry(p, sgi_plot_colour(0), NULL, "sampled");
  sgi_plot_entry(p, sgi_plot_colour(1), NULL, "the function");
  return sgi_plot_close(p, err);
}

/* ---- times and values ------------------------------------------------------------------------ */

static json_t *bench_json(const sgi_function_bench *b) {
  static const double US = 1e6;
  return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "neurons", size_json(b->units),
                   "tokens", size_json(b->tokens), "matrix_us", sgi_report_real(b->matrix * US), "functions_us",
                   sgi_report_real(b->functions * US), "features_us", sgi_report_real(b->features * US), "values_us",
                   sgi_report_real(b->values * US), "outputs_us", sgi_report_real(b->outputs * US), "times_faster",
                   share(b->matrix, b->functions), "bytes_matrix", size_json(b->bytes_matrix), "bytes_functions",
                   size_json(b->bytes_functions), "read_matrix", size_json(b->read_matrix), "read_functions",
                   size_json(b->read_functions), "difference", sgi_report_real(b->difference));
}

sg_status sgi_functions_bench_json(const sgi_functions *f, const sgi_functions_bench_request *req, json_t **out,
                                   sg_error *err) {
  enum { ROWS = 64 };
  const sgi_function_layer *l = &f->set->at[0];
  sgi_function_bench b;
  json_t *list = json_array();
  size_t pools[2] = {0, req->pool};
  *out = NULL;
  sg_status st = list ? SG_OK : sgi_fail_memory(err, 1, "times");
  if (!st && req->layer >= 0) st = sgi_function_set_find(f->set, (size_t)req->layer, &l, err);
  for (size_t i = 0; i < 1 + (req->pool > 0) && !st; i++) {
    sgi_function_bench_request r = {.layer = l,
                                    .units = i ? (pools[i] + l->pools - 1) / l->pools : 0,
                                    .rows = ROWS,
                                    .seconds = req->seconds,
                                    .file = req->file,
                                    .seed = req->seed,
                                    .progress = req->progress,
                                    .user = req->user};
    st = sgi_function_bench_run(&r, &b, err);
    if (!st) json_array_append_new(list, bench_json(&b));
  }
  if (!st) {
    *out = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "layer", size_json(l->layer), "hidden_size",
                     size_json(l->D), "features", size_json(l->R), "outputs", size_json(l->basis_rows), "chosen",
                     size_json(l->C * l->K), "rows", size_json(ROWS), "pools", json_incref(list));
    if (!*out) st = sgi_json_incomplete("times", err);
  }
  json_decref(list);
  return st;
}

sg_status sgi_functions_parse_json(const char *text, size_t length, const float *z, size_t n, json_t **out,
                                   sg_error *err) {
  sgi_formula *f;
  *out = NULL;
  sg_status st = sgi_formula_parse(text, length, &f, err);
  if (st) return st;
  if (z && n < sgi_formula_features(f))
    st = sgi_fail(err, SG_ERR_ARG, "the formula reads z0 to z%zu: %zu values were given", sgi_formula_features(f) - 1,
                  n);
  if (!st) {
    *out = json_pack("{s:o, s:o, s:o}", "terms", size_json(sgi_formula_terms(f)), "features",
                     size_json(sgi_formula_features(f)), "value",
                     z ? sgi_report_real(sgi_formula_value(f, z)) : json_null());
    if (!*out) st = sgi_json_incomplete("a formula", err);
  }
  sgi_formula_free(f);
  return st;
}
