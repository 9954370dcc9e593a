#include "bars.h"

#include <math.h>
#include <stdio.h>

#include "core/file.h"

enum { W = 760, H = 380, LEFT = 64, RIGHT = 24, TOP = 48, BOTTOM = 56, LABELS = 24 };
static const char *const colours[] = {"#1f5fa8", "#c2570c", "#2b8a57", "#8e44ad", "#b8322a"};

typedef struct figure {
  sgi_writer *w;
  sg_status st;
  sg_error *err;
  double low, high;
} figure;

#define PUT(f, ...) sgi_writer_print((f)->w, &(f)->st, (f)->err, __VA_ARGS__)

static double at_y(const figure *f, double v) {
  return H - BOTTOM - (v - f->low) / (f->high - f->low) * (H - TOP - BOTTOM);
}

static void bounds(figure *f, const cli_bars *b) {
  f->low = f->high = isnan(b->line) ? 0 : fmin(0, b->line);
  if (!isnan(b->line)) f->high = fmax(0, b->line);
  for (size_t i = 0; i < b->n_groups * b->n_series; i++) {
    if (!isfinite(b->value[i])) continue;
    f->low = fmin(f->low, b->value[i]);
    f->high = fmax(f->high, b->value[i]);
  }
  if (f->high - f->low < 1e-12) f->high = f->low + 1;
}

static void axes(figure *f, const cli_bars *b) {
  PUT(f, "<g stroke=\"#d5d9de\" fill=\"#59626d\" font-size=\"11\">\n");
  for (int i = 0; i <= 4; i++) {
    double v = f->low + (f->high - f->low) * i / 4;
    PUT(f, "<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>\n", LEFT, W - RIGHT, at_y(f, v), at_y(f, v));
    PUT(f, "<text stroke=\"none\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.4g</text>\n", LEFT - 6, at_y(f, v) + 4, v);
  }
  PUT(f, "</g>\n<text x=\"%d\" y=\"20\" font-size=\"14\">%s</text>\n", LEFT, b->title);
  PUT(f, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">%s</text>\n", (LEFT + W - RIGHT) / 2, H - 10, b->x);
  PUT(f, "<text transform=\"translate(14 %d) rotate(-90)\" text-anchor=\"middle\">%s</text>\n", H / 2, b->y);
}

static void bars(figure *f, const cli_bars *b) {
  double group = (double)(W - LEFT - RIGHT) / (double)b->n_groups, bar = 0.8 * group / (double)b->n_series;
  size_t each = (b->n_groups + LABELS - 1) / LABELS;
  for (size_t g = 0; g < b->n_groups; g++) {
    char label[64] = "";
    double x = LEFT + group * (double)g;
    b->label(b->user, g, label, sizeof label);
    for (size_t s = 0; s < b->n_series; s++) {
      double v = b->value[g * b->n_series + s], top = at_y(f, fmax(v, 0)), end = at_y(f, fmin(v, 0));
      if (!isfinite(v)) continue;
      PUT(f,
          "<rect x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\" fill=\"%s\"><title>%s%s%s: %.6g</title></rect>\n",
          x + 0.1 * group + bar * (double)s, top, bar, end - top, colours[s % SGI_COUNT(colours)], label,
          b->n_series > 1 ? ", " : "", b->n_series > 1 ? b->series[s] : "", v);
    }
    if (g % each == 0)
      PUT(f, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\" font-size=\"11\" fill=\"#59626d\">%s</text>\n",
          x + group / 2, H - BOTTOM + 16, label);
  }
  for (size_t s = 0; s < b->n_series && b->n_series > 1; s++)
    PUT(f, "<rect x=\"%zu\" y=\"28\" width=\"12\" height=\"12\" fill=\"%s\"/><text x=\"%zu\" y=\"38\">%s</text>\n",
        LEFT + 150 * s, colours[s % SGI_COUNT(colours)], LEFT + 17 + 150 * s, b->series[s]);
}

sg_status cli_bars_save(const cli_bars *b, const char *path, sg_error *err) {
  figure f = {.err = err};
  f.st = sgi_writer_open(path, &f.w, err);
  if (f.st) return f.st;
  bounds(&f, b);
  PUT(&f,
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" font-size=\"12\">\n",
      W, H);
  PUT(&f, "<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n");
  axes(&f, b);
  bars(&f, b);
  if (!isnan(b->line))
    PUT(&f,
        "<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"#3d4754\" stroke-dasharray=\"5 4\"/>"
        "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\" font-size=\"11\">%s</text>\n",
        LEFT, W - RIGHT, at_y(&f, b->line), at_y(&f, b->line), W - RIGHT, at_y(&f, b->line) - 4, b->line_name);
  PUT(&f, "</svg>\n");
  if (f.st) {
    sgi_writer_drop(f.w);
    return f.st;
  }
  return sgi_writer_close(f.w, err);
}
