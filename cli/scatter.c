#include "scatter.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/plot.h"

enum { W = 300, H = 250, LEFT = 52, RIGHT = 12, TOP = 30, BOTTOM = 42, LEGEND = 22, PER_ROW = 3, CURVES = 16 };
bool scatter_add(scatter *s, size_t panel, const char *curve, const char *key, double x, double y) {
  if (!isfinite(x) || !isfinite(y) || (s->log_x && x <= 0)) return true;
  if (!sgi_room(&s->at, &s->room, s->n, sizeof *s->at)) return false;
  scatter_point *p = &s->at[s->n++];
  *p = (scatter_point){.panel = panel, .x = s->log_x ? log10(x) : x, .y = y};
  snprintf(p->curve, sizeof p->curve, "%s", curve);
  snprintf(p->key, sizeof p->key, "%s", key);
  return true;
}

void scatter_free(scatter *s) {
  sgi_free(s->at);
  sgi_free(s->panels);
  *s = (scatter){0};
}

/* ---- drawing --------------------------------------------------------------------------------- */

typedef struct merged {
  const scatter_point *first;
  double x, y, low, high;
  size_t n;
} merged;

typedef struct figure {
  const scatter *s;
  sgi_writer *w;
  sg_status st;
  sg_error *err;
  const char *curves[CURVES];
  size_t n_curves;
  merged *at; /* by panel, curve, x */
  size_t n;
  double x0, x1, y0, y1;
  double left, top; /* of the panel at hand */
} figure;

#define PUT(f, ...) sgi_writer_print((f)->w, &(f)->st, (f)->err, __VA_ARGS__)

static int in_order(const void *a, const void *b) {
  const merged *x = a, *y = b;
  if (x->first->panel != y->first->panel) return x->first->panel < y->first->panel ? -1 : 1;
  int c = strcmp(x->first->curve, y->first->curve);
  return c ? c : x->x < y->x ? -1 : x->x > y->x;
}

/* Seeds become one point with its spread. */
static sg_status merge(figure *f) {
  const scatter *s = f->s;
  f->at = sgi_alloc((s->n + 1) * sizeof *f->at);
  if (!f->at) return sgi_fail_memory(f->err, s->n * sizeof *f->at, "a figure");
  for (size_t i = 0; i < s->n; i++) {
    const scatter_point *p = &s->at[i];
    size_t k = 0;
    while (k < f->n && (f->at[k].first->panel != p->panel || strcmp(f->at[k].first->curve, p->curve) ||
                        strcmp(f->at[k].first->key, p->key)))
      k++;
    merged *m = &f->at[k];
    if (k == f->n) {
      *m = (merged){.first = p, .low = p->y, .high = p->y};
      f->n++;
    }
    m->x += p->x;
    m->y += p->y;
    m->low = fmin(m->low, p->y);
    m->high = fmax(m->high, p->y);
    m->n++;
    size_t c = 0;
    while (c < f->n_curves && strcmp(f->curves[c], p->curve)) c++;
    if (c == f->n_curves && c < CURVES) f->curves[f->n_curves++] = p->curve;
  }
  for (size_t k = 0; k < f->n; k++) {
    f->at[k].x /= (double)f->at[k].n;
    f->at[k].y /= (double)f->at[k].n;
  }
  qsort(f->at, f->n, sizeof *f->at, in_order);
  return SG_OK;
}

static void bounds(figure *f) {
  f->x0 = f->y0 = INFINITY;
  f->x1 = f->y1 = -INFINITY;
  for (size_t k = 0; k < f->n; k++) {
    f->x0 = fmin(f->x0, f->at[k].x);
    f->x1 = fmax(f->x1, f->at[k].x);
    f->y0 = fmin(f->y0, f->at[k].low);
    f->y1 = fmax(f->y1, f->at[k].high);
  }
  if (f->s->y_low < f->s->y_high) {
    f->y0 = fmax(fmin(f->y0, f->s->y_low), f->s->y_low - 1); /* what lies far below is cut */
    f->y1 = fmax(f->y1, f->s->y_high);
  }
  if (!(f->x1 - f->x0 > 1e-9)) f->x0 -= 0.5, f->x1 += 0.5;
  if (!(f->y1 - f->y0 > 1e-9)) f->y0 -= 0.5, f->y1 += 0.5;
}

static double at_x(const figure *f, double v) {
  return f->left + LEFT + (v - f->x0) / (f->x1 - f->x0) * (W - LEFT - RIGHT);
}
static double at_y(const figure *f, double v) {
  v = fmin(fmax(v, f->y0), f->y1);
  return f->top + H - BOTTOM - (v - f->y0) / (f->y1 - f->y0) * (H - TOP - BOTTOM);
}

static void axes(figure *f, size_t panel) {
  double l = f->left + LEFT, r = f->left + W - RIGHT, t = f->top + TOP, b = f->top + H - BOTTOM;
  PUT(f, "<g stroke=\"#d5d9de\" fill=\"#59626d\" font-size=\"10\">\n");
  for (int i = 0; i <= 4; i++) {
    double x = f->x0 + (f->x1 - f->x0) * i / 4, y = f->y0 + (f->y1 - f->y0) * i / 4;
    PUT(f, "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>", at_x(f, x), at_x(f, x), t, b);
    PUT(f, "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>\n", l, r, at_y(f, y), at_y(f, y));
    PUT(f, "<text stroke=\"none\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%.3g</text>", at_x(f, x), b + 14,
        f->s->log_x ? pow(10, x) : x);
    PUT(f, "<text stroke=\"none\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%.3g</text>\n", l - 5, at_y(f, y) + 4, y);
  }
  PUT(f, "</g>\n<text x=\"%.1f\" y=\"%.1f\" font-weight=\"bold\">%s</text>", l, f->top + TOP - 10, f->s->panels[panel]);
  PUT(f, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%s</text>\n", (l + r) / 2, b + 30, f->s->x_title);
  PUT(f, "<text transform=\"translate(%.1f %.1f) rotate(-90)\" text-anchor=\"middle\">%s</text>\n", f->left + 12,
      (t + b) / 2, f->s->y_title);
}

static const char *colour_of(const figure *f, const char *curve) {
  size_t c = 0;
  while (c < f->n_curves && strcmp(f->curves[c], curve)) c++;
  return sgi_plot_colour(c);
}

static void points(figure *f, size_t panel) {
  for (size_t k = 0; k < f->n; k++) {
    const merged *m = &f->at[k], *before = k ? &f->at[k - 1] : NULL;
    if (m->first->panel != panel) continue;
    const char *colour = colour_of(f, m->first->curve);
    if (before && before->first->panel == panel && !strcmp(before->first->curve, m->first->curve))
      PUT(f, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\" stroke-width=\"1.6\"/>\n",
          at_x(f, before->x), at_y(f, before->y), at_x(f, m->x), at_y(f, m->y), colour);
    if (m->n > 1)
      PUT(f, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\" stroke-width=\"1\"/>\n",
          at_x(f, m->x), at_y(f, m->low), at_x(f, m->x), at_y(f, m->high), colour);
    PUT(f, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"%s\"><title>%s (%s): %.4g, %.4g", at_x(f, m->x),
        at_y(f, m->y), colour, m->first->curve, m->first->key, f->s->log_x ? pow(10, m->x) : m->x, m->y);
    if (m->n > 1) PUT(f, " (%zu seeds, %.4g to %.4g)", m->n, m->low, m->high);
    PUT(f, "</title></circle>\n");
  }
}

sg_status scatter_save(const scatter *s, const char *path, sg_error *err) {
  figure f = {.s = s, .err = err};
  size_t across = s->n_panels < PER_ROW ? s->n_panels : PER_ROW, down = (s->n_panels + PER_ROW - 1) / PER_ROW;
  f.st = merge(&f);
  if (!f.st) f.st = sgi_writer_open(path, &f.w, err);
  if (f.st) {
    sgi_free(f.at);
    return f.st;
  }
  bounds(&f);
  size_t wide = across * W > 480 ? across * W : 480, high = down * H + 8 + LEGEND * ((f.n_curves + 1) / 2);
  PUT(&f,
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %zu %zu\" font-family=\"sans-serif\" "
      "font-size=\"11\">\n<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n",
      wide, high);
  for (size_t p = 0; p < s->n_panels && f.n; p++) {
    f.left = (double)(p % PER_ROW * W);
    f.top = (double)(p / PER_ROW * H);
    axes(&f, p);
    points(&f, p);
  }
  for (size_t c = 0; c < f.n_curves; c++) {
    size_t x = 20 + c % 2 * wide / 2, y = down * H + LEGEND * (c / 2);
    PUT(&f, "<rect x=\"%zu\" y=\"%zu\" width=\"11\" height=\"11\" fill=\"%s\"/>", x, y, sgi_plot_colour(c));
    PUT(&f, "<text x=\"%zu\" y=\"%zu\">%s</text>\n", x + 16, y + 10, f.curves[c]);
  }
  PUT(&f, "</svg>\n");
  sgi_free(f.at);
  if (f.st) {
    sgi_writer_drop(f.w);
    return f.st;
  }
  return sgi_writer_close(f.w, err);
}
