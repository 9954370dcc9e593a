/* Files of a study's results: results.json as it is, runs.csv for a table, isoflop.svg: held-out
 * loss over parameters, a colour a kind, a curve a budget, its minimum marked; isoflop-train.svg:
 * the same of the training loss; and costs.svg (figure_costs.c). */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/file.h"
#include "core/plot.h"
#include "study/study_state.h"

enum { STEPS = 40 };

static double number(const json_t *o, const char *key) { return json_number_value(json_object_get(o, key)); }
static const char *word(const json_t *o, const char *key) { return json_string_value(json_object_get(o, key)); }

/* Whose loss is drawn: keys of runs and of the report. */
typedef struct drawing {
  const char *file, *title, *loss, *optima;
} drawing;
static const drawing drawings[] = {
    {"isoflop.svg", "held-out loss (nats)", "valid_loss", "optima"},
    {"isoflop-train.svg", "training loss, mean of the last 1 % of the steps (nats)", "train_loss", "train_optima"}};

static bool shown(const json_t *run, const drawing *d) {
  return !json_is_true(json_object_get(run, "sweep")) && json_is_number(json_object_get(run, d->loss));
}

/* The plane of parameters and losses; false: nothing has ended yet. */
static bool bounds(sgi_plot_frame *f, const json_t *runs, const drawing *d) {
  size_t i;
  json_t *r;
  *f = (sgi_plot_frame){.x = {"parameters without the embedding", INFINITY, 0, .log = true},
                        .y = {.title = d->title, .least = INFINITY, .most = -INFINITY},
                        .legend = true};
  json_array_foreach(runs, i, r) {
    if (!shown(r, d)) continue;
    double x = number(r, "non_embedding_parameters"), y = number(r, d->loss);
    f->x.least = fmin(f->x.least, x), f->x.most = fmax(f->x.most, x);
    f->y.least = fmin(f->y.least, y), f->y.most = fmax(f->y.most, y);
  }
  return f->x.most > 0;
}

static size_t place(const json_t *list, const json_t *what) {
  size_t i;
  json_t *x;
  json_array_foreach(list, i, x) if (json_equal(x, what) ||
                                     (json_is_number(x) && json_number_value(x) == json_number_value(what))) return i;
  return 0;
}

const char *sgi_study_colour_of(const json_t *report, const json_t *o) {
  const json_t *kinds = json_object_get(json_object_get(report, "asked"), "kinds");
  return sgi_plot_colour(place(kinds, json_object_get(o, "kind")));
}

static const char *dash_of(const json_t *report, const json_t *o) {
  const json_t *budgets = json_object_get(json_object_get(report, "asked"), "budgets");
  return sgi_plot_dash(place(budgets, json_object_get(o, "budget")));
}

/* The parabola of one kind at one budget where it lies in the frame, and its lowest point. */
static void curve(sgi_plot *p, const sgi_plot_frame *f, const json_t *report, const json_t *o) {
  const json_t *q = json_object_get(o, "parabola");
  const char *colour = sgi_study_colour_of(report, o);
  double x[STEPS + 1], y[STEPS + 1], low = log(f->x.least), high = log(f->x.most);
  if (json_array_size(q) == 3) {
    double a = json_number_value(json_array_get(q, 0)), b = json_number_value(json_array_get(q, 1)),
           c = json_number_value(json_array_get(q, 2));
    for (int i = 0; i <= STEPS; i++) {
      double t = low + (high - low) * i / STEPS;
      x[i] = exp(t), y[i] = a + b * t + c * t * t;
    }
    sgi_plot_line(p, colour, dash_of(report, o), x, y, STEPS + 1);
  }
  bool inside = json_is_true(json_object_get(o, "inside"));
  double n = number(o, "non_embedding_parameters"), loss = number(o, "loss");
  sgi_plot_point(p, colour, inside ? SGI_DIAMOND : SGI_DIAMOND_RING, 5, n, loss,
                 "%s at %g FLOPs: best at %.3g parameters, loss %.4f%s", word(o, "kind"), number(o, "budget"), n, loss,
                 inside ? "" : " (the lowest measured: the minimum is not between the sizes tried)");
}

static void legend(sgi_plot *p, const json_t *report) {
  const json_t *asked = json_object_get(report, "asked"), *kinds = json_object_get(asked, "kinds"),
               *budgets = json_object_get(asked, "budgets");
  size_t i;
  json_t *x;
  char name[40];
  json_array_foreach(kinds, i, x) sgi_plot_entry(p, sgi_plot_colour(i), NULL, json_string_value(x));
  json_array_foreach(budgets, i, x) {
    snprintf(name, sizeof name, "%g FLOPs", json_number_value(x));
    sgi_plot_entry(p, "#59626d", sgi_plot_dash(i), name);
  }
}

static sg_status draw(const json_t *report, const drawing *d, const char *path, sg_error *err) {
  const json_t *runs = json_object_get(report, "runs"), *optima = json_object_get(report, d->optima);
  sgi_plot_frame f;
  sgi_plot *p;
  size_t i;
  json_t *o;
  if (!bounds(&f, runs, d)) return SG_OK;
  sg_status st = sgi_plot_open(path, &f, &p, err);
  if (st) return st;
  json_array_foreach(runs, i, o) if (shown(o, d))
      sgi_plot_point(p, sgi_study_colour_of(report, o), SGI_DISC, 3, number(o, "non_embedding_parameters"),
                     number(o, d->loss), "%s: loss %.4f", word(o, "name"), number(o, d->loss));
  json_array_foreach(optima, i, o) curve(p, &f, report, o);
  legend(p, report);
  return sgi_plot_close(p, err);
}

#define PUT(...) sgi_writer_print(w, &st, err, __VA_ARGS__)

static sg_status table(const json_t *report, const char *path, sg_error *err) {
  static const char *const keys[] = {"budget",      "seed",       "parameters",     "non_embedding_parameters",
                                     "steps",       "flops",      "seconds",        "memory_bytes",
                                     "train_loss",  "valid_loss", "standard_error", "perplexity",
                                     "run_seconds", "cpu_seconds"};
  const char *by = word(json_object_get(report, "timing"), "by");
  sgi_writer *w;
  size_t i;
  json_t *r;
  sg_status st = sgi_writer_open(path, &w, err);
  if (st) return st;
  PUT("name,kind,scale,state");
  for (size_t k = 0; k < SGI_COUNT(keys); k++) PUT(",%s", keys[k]);
  PUT(",seconds_by\n");
  json_array_foreach(json_object_get(report, "runs"), i, r) {
    PUT("%s,%s,%s,%s", word(r, "name"), word(r, "kind"), word(r, "scale"), word(r, "state"));
    for (size_t k = 0; k < SGI_COUNT(keys); k++) {
      const json_t *x = json_object_get(r, keys[k]);
      json_is_number(x) ? PUT(",%.9g", json_number_value(x)) : PUT(",");
    }
    PUT(",%s\n", json_is_number(json_object_get(r, "seconds")) ? by : "");
  }
  if (st) {
    sgi_writer_drop(w);
    return st;
  }
  return sgi_writer_close(w, err);
}

static sg_status draw_in(const sgi_study *s, const json_t *report, const drawing *d, sg_error *err) {
  char *path = sgi_path_join(s->directory, d->file);
  sg_status st = path ? draw(report, d, path, err) : sgi_fail_memory(err, SGI_STUDY_TEXT, "a path");
  sgi_free(path);
  return st;
}

sg_status sgi_study_write(const sgi_study *s, const json_t *report, sg_error *err) {
  char *json = sgi_path_join(s->directory, "results.json"), *csv = sgi_path_join(s->directory, "runs.csv"),
       *costs = sgi_path_join(s->directory, "costs.svg");
  sg_status st =
      json && csv && costs ? sgi_json_save(json, report, err) : sgi_fail_memory(err, SGI_STUDY_TEXT, "a path");
  if (!st) st = table(report, csv, err);
  for (size_t i = 0; i < SGI_COUNT(drawings) && !st; i++) st = draw_in(s, report, &drawings[i], err);
  if (!st) st = sgi_study_draw_costs(report, costs, err);
  sgi_free(json);
  sgi_free(csv);
  sgi_free(costs);
  return st;
}
