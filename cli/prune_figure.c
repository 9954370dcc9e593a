#include "prune_figure.h"

#include <math.h>
#include <stdio.h>

#include "core/file.h"

enum { W = 700, H = 420, LEFT = 60, RIGHT = 190, TOP = 20, BOTTOM = 45 };
static const char *const colours[] = {"#1f5fa8", "#c2570c", "#2b8a57", "#8e44ad", "#b8322a", "#0c8791", "#8f7400",
                                      "#3d4754", "#c25b9a", "#6b8e00", "#7a5230", "#5a7fd6", "#9aa3ad"};

typedef struct figure {
  sgi_writer *w;
  sg_status st;
  sg_error *err;
  double x0, x1, y0, y1; /* speed-up; log perplexity */
} figure;

#define PUT(f, ...) sgi_writer_print((f)->w, &(f)->st, (f)->err, __VA_ARGS__)

static double at_x(const figure *f, double v) { return LEFT + (v - f->x0) / (f->x1 - f->x0) * (W - LEFT - RIGHT); }
static double at_y(const figure *f, double v) {
  return H - BOTTOM - (v - f->y0) / (f->y1 - f->y0) * (H - TOP - BOTTOM);
}

static void bounds(figure *f, const prune_line *lines, size_t n) {
  f->x0 = f->x1 = 1;
  f->y0 = INFINITY;
  f->y1 = -INFINITY;
  for (size_t k = 0; k < n; k++) {
    f->y0 = fmin(f->y0, lines[k].dense_loss);
    f->y1 = fmax(f->y1, lines[k].dense_loss);
    for (size_t i = 0; i < lines[k].n; i++) {
      f->x0 = fmin(f->x0, lines[k].speedup[i]);
      f->x1 = fmax(f->x1, lines[k].speedup[i]);
      f->y0 = fmin(f->y0, lines[k].loss[i]);
      f->y1 = fmax(f->y1, lines[k].loss[i]);
    }
  }
  f->x1 = fmax(f->x1, f->x0 + 0.1);
  f->y1 = fmax(f->y1, f->y0 + 0.1);
}

static void axes(figure *f) {
  PUT(f, "<g stroke=\"#d5d9de\" fill=\"#59626d\" font-size=\"11\">\n");
  for (int i = 0; i <= 5; i++) {
    double x = f->x0 + (f->x1 - f->x0) * i / 5, y = f->y0 + (f->y1 - f->y0) * i / 5;
    PUT(f, "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>\n", at_x(f, x), at_x(f, x), TOP, H - BOTTOM);
    PUT(f, "<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>\n", LEFT, W - RIGHT, at_y(f, y), at_y(f, y));
    PUT(f, "<text stroke=\"none\" x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%.2f</text>\n", at_x(f, x),
        H - BOTTOM + 16, x);
    PUT(f, "<text stroke=\"none\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.4g</text>\n", LEFT - 6, at_y(f, y) + 4,
        exp(y));
  }
  PUT(f, "</g>\n<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">measured speed-up</text>\n", (LEFT + W - RIGHT) / 2,
      H - 8);
  PUT(f, "<text transform=\"translate(14 %d) rotate(-90)\" text-anchor=\"middle\">held-out perplexity</text>\n", H / 2);
}

static void curve(figure *f, const prune_line *l, size_t k) {
  const char *colour = colours[k % SGI_COUNT(colours)];
  if (!l->point) {
    PUT(f, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"2\" points=\"%.1f,%.1f", colour, at_x(f, 1),
        at_y(f, l->dense_loss));
    for (size_t i = 0; i < l->n; i++) PUT(f, " %.1f,%.1f", at_x(f, l->speedup[i]), at_y(f, l->loss[i]));
    PUT(f, "\"/>\n");
  }
  for (size_t i = 0; i < l->n; i++) {
    PUT(f, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%d\" fill=\"%s\"><title>%s", at_x(f, l->speedup[i]),
        at_y(f, l->loss[i]), l->point ? 6 : 3, colour, l->name);
    if (!l->point) PUT(f, ", %zu out", i + 1);
    PUT(f, ": %.3f times as fast, perplexity %.4f</title></circle>\n", l->speedup[i], exp(l->loss[i]));
  }
  PUT(f, "<rect x=\"%d\" y=\"%zu\" width=\"12\" height=\"12\" fill=\"%s\"/>", W - RIGHT + 14, TOP + 20 * k, colour);
  PUT(f, "<text x=\"%d\" y=\"%zu\">%s</text>\n", W - RIGHT + 31, TOP + 20 * k + 10, l->name);
}

sg_status prune_figure_save(const prune_line *lines, size_t n, const char *path, sg_error *err) {
  figure f = {.err = err};
  f.st = sgi_writer_open(path, &f.w, err);
  if (f.st) return f.st;
  bounds(&f, lines, n);
  PUT(&f,
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" font-size=\"12\">\n",
      W, H);
  PUT(&f, "<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n");
  axes(&f);
  for (size_t k = 0; k < n; k++) curve(&f, &lines[k], k);
  PUT(&f, "</svg>\n");
  if (f.st) {
    sgi_writer_drop(f.w);
    return f.st;
  }
  return sgi_writer_close(f.w, err);
}
