#include "curves.h"

#include <math.h>

#include "core/file.h"

enum { W = 720, H = 420, LEFT = 64, RIGHT = 200, TOP = 40, BOTTOM = 46, TICKS = 5, MOST_TICKS = 16 };
static const char *const colours[] = {"#1f5fa8", "#c2570c", "#2b8a57", "#8e44ad", "#b8322a",
                                      "#0c8791", "#8f7400", "#3d4754", "#c25b9a", "#6b8e00"};

typedef struct figure {
  sgi_writer *w;
  sg_status st;
  sg_error *err;
  const cli_curves *c;
  double x0, x1, y0, y1;
} figure;

#define PUT(f, ...) sgi_writer_print((f)->w, &(f)->st, (f)->err, __VA_ARGS__)

static double at_x(const figure *f, double v) { return LEFT + (v - f->x0) / (f->x1 - f->x0) * (W - LEFT - RIGHT); }
static double at_y(const figure *f, double v) {
  return H - BOTTOM - (v - f->y0) / (f->y1 - f->y0) * (H - TOP - BOTTOM);
}

static bool has(const cli_curve *c, size_t i) { return isfinite(c->x[i]) && isfinite(c->y[i]); }
static double error_of(const cli_curve *c, size_t i) { return c->error && isfinite(c->error[i]) ? c->error[i] : 0; }

static void put_text(figure *f, const char *text) {
  for (; *text; text++) switch (*text) {
      case '&': PUT(f, "&amp;"); break;
      case '<': PUT(f, "&lt;"); break;
      case '>': PUT(f, "&gt;"); break;
      default: PUT(f, "%c", *text);
    }
}

static void bounds(figure *f) {
  f->x0 = f->y0 = INFINITY;
  f->x1 = f->y1 = -INFINITY;
  for (size_t k = 0; k < f->c->n; k++)
    for (size_t i = 0; i < f->c->curves[k].n; i++) {
      const cli_curve *c = &f->c->curves[k];
      if (!has(c, i)) continue;
      f->x0 = fmin(f->x0, c->x[i]);
      f->x1 = fmax(f->x1, c->x[i]);
      f->y0 = fmin(f->y0, c->y[i] - error_of(c, i));
      f->y1 = fmax(f->y1, c->y[i] + error_of(c, i));
    }
  if (!(f->x1 >= f->x0)) f->x0 = f->x1 = f->y0 = f->y1 = 0; /* nothing to draw */
  if (f->x1 - f->x0 < 1e-9) f->x1 = f->x0 + 1;
  if (f->y1 - f->y0 < 1e-9) {
    f->y0 -= 0.5;
    f->y1 += 0.5;
  }
}

static void axes(figure *f) {
  size_t n = TICKS;
  if (f->c->whole_x && f->x1 - f->x0 <= MOST_TICKS) n = (size_t)lround(f->x1 - f->x0);
  PUT(f, "<g stroke=\"#d5d9de\" fill=\"#59626d\" font-size=\"11\">\n");
  for (size_t i = 0; i <= n; i++) {
    double x = f->x0 + (f->x1 - f->x0) * (double)i / (double)n;
    PUT(f, "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>", at_x(f, x), at_x(f, x), TOP, H - BOTTOM);
    PUT(f, "<text stroke=\"none\" x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%.3g</text>\n", at_x(f, x),
        H - BOTTOM + 16, x);
  }
  for (int i = 0; i <= TICKS; i++) {
    double y = f->y0 + (f->y1 - f->y0) * i / TICKS;
    PUT(f, "<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>", LEFT, W - RIGHT, at_y(f, y), at_y(f, y));
    PUT(f, "<text stroke=\"none\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.3g</text>\n", LEFT - 6, at_y(f, y) + 4, y);
  }
  if (f->y0 < 0 && f->y1 > 0)
    PUT(f, "<line stroke=\"#59626d\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>\n", LEFT, W - RIGHT, at_y(f, 0),
        at_y(f, 0));
  PUT(f, "</g>\n<text x=\"%d\" y=\"20\" font-weight=\"bold\">", LEFT);
  put_text(f, f->c->title);
  PUT(f, "</text>\n<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">", (LEFT + W - RIGHT) / 2, H - 8);
  put_text(f, f->c->x);
  PUT(f, "</text>\n<text transform=\"translate(14 %d) rotate(-90)\" text-anchor=\"middle\">", (TOP + H - BOTTOM) / 2);
  put_text(f, f->c->y);
  PUT(f, "</text>\n");
}

static void curve(figure *f, size_t k) {
  const cli_curve *c = &f->c->curves[k];
  const char *colour = colours[k % SGI_COUNT(colours)], *dash = c->dashed ? " stroke-dasharray=\"5 4\"" : "";
  double shift = ((double)k - 0.5 * (double)(f->c->n - 1)) * 1.5; /* so that bars stand beside each other */
  PUT(f, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"2\"%s points=\"", colour, dash);
  for (size_t i = 0; i < c->n; i++)
    if (has(c, i)) PUT(f, "%.1f,%.1f ", at_x(f, c->x[i]) + shift, at_y(f, c->y[i]));
  PUT(f, "\"/>\n");
  for (size_t i = 0; i < c->n; i++) {
    if (!has(c, i)) continue;
    double x = at_x(f, c->x[i]) + shift, e = error_of(c, i);
    if (e > 0)
      PUT(f, "<line stroke=\"%s\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>", colour, x, x,
          at_y(f, c->y[i] - e), at_y(f, c->y[i] + e));
    PUT(f, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"%s\"><title>", x, at_y(f, c->y[i]), colour);
    put_text(f, c->name);
    PUT(f, " at %.4g: %.4g</title></circle>\n", c->x[i], c->y[i]);
  }
  PUT(f, "<line x1=\"%d\" x2=\"%d\" y1=\"%zu\" y2=\"%zu\" stroke=\"%s\" stroke-width=\"3\"%s/>", W - RIGHT + 12,
      W - RIGHT + 30, TOP + 6 + 20 * k, TOP + 6 + 20 * k, colour, dash);
  PUT(f, "<text x=\"%d\" y=\"%zu\">", W - RIGHT + 36, TOP + 10 + 20 * k);
  put_text(f, c->name);
  PUT(f, "</text>\n");
}

sg_status cli_curves_save(const cli_curves *c, const char *path, sg_error *err) {
  figure f = {.err = err, .c = c};
  f.st = sgi_writer_open(path, &f.w, err);
  if (f.st) return f.st;
  bounds(&f);
  PUT(&f,
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" font-size=\"12\">\n",
      W, H);
  PUT(&f, "<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n");
  axes(&f);
  for (size_t k = 0; k < c->n; k++) curve(&f, k);
  PUT(&f, "</svg>\n");
  if (f.st) {
    sgi_writer_drop(f.w);
    return f.st;
  }
  return sgi_writer_close(f.w, err);
}
