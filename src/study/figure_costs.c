/* figure_costs.c: costs.svg, what a loss costs: the training loss over parameters, and the held-out
 * loss over each cost: FLOPs, seconds, memory. A dot a run, a diamond the best size of a kind at a
 * budget, a line a kind through its budgets: what its factors are read from. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/plot.h"
#include "study/study_state.h"

enum { PANELS = 5, MOST = 64 };

/* x and y: keys of runs, and of optima where they are drawn. */
typedef struct drawing {
  const char *title, *x_title, *x, *y_title, *y;
  bool best;
} drawing;

static double number(const json_t *o, const char *key) {
  const json_t *v = json_object_get(o, key);
  return json_is_number(v) ? json_number_value(v) : NAN;
}

static bool there(const json_t *run, const drawing *d, double *x, double *y) {
  *x = number(run, d->x), *y = number(run, d->y);
  return !json_is_true(json_object_get(run, "sweep")) && *x > 0 && isfinite(*y);
}

static sgi_plot_frame frame_of(const json_t *report, const drawing *d) {
  sgi_plot_frame f = {.title = d->title,
                      .x = {d->x_title, INFINITY, -INFINITY, .log = true},
                      .y = {.title = d->y_title, .least = INFINITY, .most = -INFINITY}};
  size_t i;
  json_t *r;
  double x, y;
  json_array_foreach(json_object_get(report, "runs"), i, r) {
    if (!there(r, d, &x, &y)) continue;
    f.x.least = fmin(f.x.least, x), f.x.most = fmax(f.x.most, x);
    f.y.least = fmin(f.y.least, y), f.y.most = fmax(f.y.most, y);
  }
  return f;
}

static void best_sizes(sgi_plot *p, const json_t *report, const drawing *d) {
  const json_t *optima = json_object_get(report, "optima");
  size_t k, i;
  json_t *o, *kind;
  json_array_foreach(json_object_get(json_object_get(report, "asked"), "kinds"), k, kind) {
    double x[MOST], y[MOST];
    size_t n = 0;
    json_array_foreach(optima, i, o) {
      if (!json_equal(json_object_get(o, "kind"), kind) || n == MOST || !(number(o, d->x) > 0)) continue;
      x[n] = number(o, d->x), y[n] = number(o, "loss");
      sgi_plot_point(p, sgi_plot_colour(k), SGI_DIAMOND, 5, x[n], y[n],
                     "%s, best size at %g FLOPs: loss %.4f for %.4g %s", json_string_value(kind), number(o, "budget"),
                     y[n], x[n], d->x_title);
      n++;
    }
    sgi_plot_line(p, sgi_plot_colour(k), "none", x, y, n);
  }
}

static void marks(sgi_plot *p, const json_t *report, const drawing *d) {
  size_t i;
  json_t *r;
  double x, y;
  json_array_foreach(json_object_get(report, "runs"), i, r) if (there(r, d, &x, &y))
      sgi_plot_point(p, sgi_study_colour_of(report, r), SGI_DISC, 3, x, y, "%s: loss %.4f",
                     json_string_value(json_object_get(r, "name")), y);
  if (d->best) best_sizes(p, report, d);
}

sg_status sgi_study_draw_costs(const json_t *report, const char *path, sg_error *err) {
  const json_t *timing = json_object_get(report, "timing"),
               *kinds = json_object_get(json_object_get(report, "asked"), "kinds");
  json_t *kind;
  const char *by = json_string_value(json_object_get(timing, "by"));
  bool anew = by && !strcmp(by, "timings");
  static const char held[] = "held-out loss (nats)";
  char seconds[80], cpu[80];
  int threads = (int)json_integer_value(json_object_get(timing, "threads"));
  snprintf(seconds, sizeof seconds, "seconds with %d thread%s", threads, threads == 1 ? "" : "s");
  snprintf(cpu, sizeof cpu, "processor seconds with %d thread%s", threads, threads == 1 ? "" : "s");
  const drawing all[PANELS] = {
      {"training", "parameters without the embedding", "non_embedding_parameters", "loss of the last 1 % (nats)",
       "train_loss", .best = false},
      {"FLOPs", "training FLOPs", "flops", held, "valid_loss", .best = true},
      {"memory", "bytes", "memory_bytes", held, "valid_loss", .best = true},
      {anew ? "time, steps timed anew" : "time, as the runs took", anew ? seconds : "seconds", "seconds", held,
       "valid_loss", .best = true},
      {"processor time, steps timed anew", cpu, "cpu_seconds", held, "valid_loss", .best = true}};
  sgi_plot_frame frames[PANELS];
  size_t n = anew ? PANELS : PANELS - 1, i;
  for (i = 0; i < n; i++) frames[i] = frame_of(report, &all[i]);
  if (!(frames[1].x.most > 0)) return SG_OK; /* nothing has ended yet */
  sgi_plot *p;
  sg_status st = sgi_plot_open_panels(path, frames, n, 2, json_array_size(kinds), &p, err);
  if (st) return st;
  for (i = 0; i < n; i++) {
    sgi_plot_panel(p, i);
    marks(p, report, &all[i]);
  }
  json_array_foreach(kinds, i, kind) sgi_plot_entry(p, sgi_plot_colour(i), NULL, json_string_value(kind));
  return sgi_plot_close(p, err);
}
