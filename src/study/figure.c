/* Files of a study's results: results.json as it is, runs.csv for a table, isoflop.svg: held-out
 * loss over parameters, a colour a kind, a curve a budget, its minimum marked. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/file.h"
#include "study/study_state.h"

enum { W = 760, H = 460, LEFT = 60, RIGHT = 150, TOP = 20, BOTTOM = 45, STEPS = 40 };
static const char *const colours[] = {"#1f5fa8", "#c2570c", "#2b8a57", "#8e44ad", "#b8322a", "#0c8791", "#8f7400"};
static const char *const dashes[] = {"none", "6 3", "2 3", "8 3 2 3"};

typedef struct figure {
  sgi_writer *w;
  sg_status st;
  sg_error *err;
  double x0, x1, y0, y1; /* log parameters; loss */
} figure;

#define PUT(f, ...) sgi_writer_print((f)->w, &(f)->st, (f)->err, __VA_ARGS__)

static double number(const json_t *o, const char *key) { return json_number_value(json_object_get(o, key)); }
static const char *word(const json_t *o, const char *key) { return json_string_value(json_object_get(o, key)); }

static bool shown(const json_t *run) {
  return !json_is_true(json_object_get(run, "sweep")) && json_is_number(json_object_get(run, "valid_loss"));
}

static double px(const figure *f, double x) { return LEFT + (x - f->x0) / (f->x1 - f->x0) * (W - LEFT - RIGHT); }
static double py(const figure *f, double y) { return H - BOTTOM - (y - f->y0) / (f->y1 - f->y0) * (H - TOP - BOTTOM); }

static bool bounds(figure *f, const json_t *runs) {
  size_t i, n = 0;
  json_t *r;
  f->x0 = f->y0 = INFINITY;
  f->x1 = f->y1 = -INFINITY;
  json_array_foreach(runs, i, r) {
    if (!shown(r)) continue;
    double x = log(number(r, "non_embedding_parameters")), y = number(r, "valid_loss");
    f->x0 = fmin(f->x0, x), f->x1 = fmax(f->x1, x);
    f->y0 = fmin(f->y0, y), f->y1 = fmax(f->y1, y);
    n++;
  }
  double dx = fmax(0.05 * (f->x1 - f->x0), 0.05), dy = fmax(0.05 * (f->y1 - f->y0), 0.01);
  f->x0 -= dx, f->x1 += dx, f->y0 -= dy, f->y1 += dy;
  return n > 0;
}

static void axes(figure *f) {
  PUT(f, "<g stroke=\"#d5d9de\" fill=\"#59626d\" font-size=\"11\">\n");
  for (int i = 0; i <= 5; i++) {
    double x = f->x0 + (f->x1 - f->x0) * i / 5, y = f->y0 + (f->y1 - f->y0) * i / 5;
    PUT(f, "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>\n", px(f, x), px(f, x), TOP, H - BOTTOM);
    PUT(f, "<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>\n", LEFT, W - RIGHT, py(f, y), py(f, y));
    PUT(f, "<text stroke=\"none\" x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%.3gM</text>\n", px(f, x), H - BOTTOM + 16,
        exp(x) / 1e6);
    PUT(f, "<text stroke=\"none\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.3f</text>\n", LEFT - 6, py(f, y) + 4, y);
  }
  PUT(f, "</g>\n<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">parameters without the embedding</text>\n",
      (LEFT + W - RIGHT) / 2, H - 8);
  PUT(f, "<text transform=\"translate(14 %d) rotate(-90)\" text-anchor=\"middle\">held-out loss (nats)</text>\n",
      H / 2);
}

static size_t place(const json_t *list, const json_t *what) {
  size_t i;
  json_t *x;
  json_array_foreach(list, i, x) if (json_equal(x, what) ||
                                     (json_is_number(x) && json_number_value(x) == json_number_value(what))) return i;
  return 0;
}

static const char *colour_of(const json_t *report, const json_t *o) {
  const json_t *kinds = json_object_get(json_object_get(report, "asked"), "kinds");
  return colours[place(kinds, json_object_get(o, "kind")) % SGI_COUNT(colours)];
}

static const char *dash_of(const json_t *report, const json_t *o) {
  const json_t *budgets = json_object_get(json_object_get(report, "asked"), "budgets");
  return dashes[place(budgets, json_object_get(o, "budget")) % SGI_COUNT(dashes)];
}

static void curve(figure *f, const json_t *report, const json_t *o) {
  const json_t *p = json_object_get(o, "parabola");
  const char *colour = colour_of(report, o);
  double x = log(number(o, "non_embedding_parameters")), y = number(o, "loss");
  if (json_array_size(p) == 3) {
    double a = json_number_value(json_array_get(p, 0)), b = json_number_value(json_array_get(p, 1)),
           c = json_number_value(json_array_get(p, 2));
    bool open = false;
    for (int i = 0; i <= STEPS; i++) {
      double t = f->x0 + (f->x1 - f->x0) * i / STEPS, v = a + b * t + c * t * t;
      if (!(v >= f->y0 && v <= f->y1)) continue;
      if (!open)
        PUT(f, "<polyline fill=\"none\" stroke=\"%s\" stroke-dasharray=\"%s\" points=\"", colour, dash_of(report, o));
      PUT(f, "%s%.1f,%.1f", open ? " " : "", px(f, t), py(f, v));
      open = true;
    }
    if (open) PUT(f, "\"/>\n");
  }
  bool inside = json_is_true(json_object_get(o, "inside"));
  PUT(f,
      "<path d=\"M%.1f %.1fl5 5l-5 5l-5 -5z\" fill=\"%s\" stroke=\"%s\"><title>%s at %g FLOPs: best at %.3g "
      "parameters, "
      "loss %.4f%s</title></path>\n",
      px(f, x), py(f, y) - 5, inside ? colour : "none", colour, word(o, "kind"), number(o, "budget"), exp(x), y,
      inside ? "" : " (the lowest measured: the minimum is not between the sizes tried)");
}

static void legend(figure *f, const json_t *report) {
  const json_t *asked = json_object_get(report, "asked"), *kinds = json_object_get(asked, "kinds"),
               *budgets = json_object_get(asked, "budgets");
  int y = TOP;
  size_t i;
  json_t *x;
  json_array_foreach(kinds, i, x) {
    PUT(f, "<rect x=\"%d\" y=\"%d\" width=\"12\" height=\"12\" fill=\"%s\"/>", W - RIGHT + 14, y,
        colours[i % SGI_COUNT(colours)]);
    PUT(f, "<text x=\"%d\" y=\"%d\">%s</text>\n", W - RIGHT + 31, y + 10, json_string_value(x));
    y += 20;
  }
  json_array_foreach(budgets, i, x) {
    PUT(f, "<line x1=\"%d\" x2=\"%d\" y1=\"%d\" y2=\"%d\" stroke=\"#59626d\" stroke-dasharray=\"%s\"/>", W - RIGHT + 8,
        W - RIGHT + 28, y + 6, y + 6, dashes[i % SGI_COUNT(dashes)]);
    PUT(f, "<text x=\"%d\" y=\"%d\">%g FLOPs</text>\n", W - RIGHT + 31, y + 10, json_number_value(x));
    y += 20;
  }
}

static sg_status draw(const json_t *report, const char *path, sg_error *err) {
  figure f = {.err = err};
  const json_t *runs = json_object_get(report, "runs"), *optima = json_object_get(report, "optima");
  size_t i;
  json_t *o;
  if (!bounds(&f, runs)) return SG_OK; /* nothing has ended yet */
  f.st = sgi_writer_open(path, &f.w, err);
  if (f.st) return f.st;
  PUT(&f,
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" font-size=\"12\">\n",
      W, H);
  PUT(&f, "<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n", W, H);
  axes(&f);
  json_array_foreach(runs, i, o) if (shown(o))
      PUT(&f, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"%s\"><title>%s: loss %.4f</title></circle>\n",
          px(&f, log(number(o, "non_embedding_parameters"))), py(&f, number(o, "valid_loss")), colour_of(report, o),
          word(o, "name"), number(o, "valid_loss"));
  json_array_foreach(optima, i, o) curve(&f, report, o);
  legend(&f, report);
  PUT(&f, "</svg>\n");
  if (f.st) {
    sgi_writer_drop(f.w);
    return f.st;
  }
  return sgi_writer_close(f.w, err);
}

static sg_status table(const json_t *report, const char *path, sg_error *err) {
  static const char *const keys[] = {"budget",     "seed",       "parameters",     "non_embedding_parameters",
                                     "steps",      "flops",      "seconds",        "memory_bytes",
                                     "train_loss", "valid_loss", "standard_error", "perplexity"};
  figure f = {.err = err};
  size_t i;
  json_t *r;
  f.st = sgi_writer_open(path, &f.w, err);
  if (f.st) return f.st;
  PUT(&f, "name,kind,scale,state");
  for (size_t k = 0; k < SGI_COUNT(keys); k++) PUT(&f, ",%s", keys[k]);
  PUT(&f, "\n");
  json_array_foreach(json_object_get(report, "runs"), i, r) {
    PUT(&f, "%s,%s,%s,%s", word(r, "name"), word(r, "kind"), word(r, "scale"), word(r, "state"));
    for (size_t k = 0; k < SGI_COUNT(keys); k++) {
      const json_t *x = json_object_get(r, keys[k]);
      json_is_number(x) ? PUT(&f, ",%.9g", json_number_value(x)) : PUT(&f, ",");
    }
    PUT(&f, "\n");
  }
  if (f.st) {
    sgi_writer_drop(f.w);
    return f.st;
  }
  return sgi_writer_close(f.w, err);
}

sg_status sgi_study_write(const sgi_study *s, const json_t *report, sg_error *err) {
  char *json = sgi_path_join(s->directory, "results.json"), *csv = sgi_path_join(s->directory, "runs.csv"),
       *svg = sgi_path_join(s->directory, "isoflop.svg");
  sg_status st = json && csv && svg ? sgi_json_save(json, report, err) : sgi_fail_memory(err, SGI_STUDY_TEXT, "a path");
  if (!st) st = table(report, csv, err);
  if (!st) st = draw(report, svg, err);
  sgi_free(json);
  sgi_free(csv);
  sgi_free(svg);
  return st;
}
