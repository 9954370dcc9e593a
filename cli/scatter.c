#include "scatter.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/plot.h"

enum { PER_ROW = 3, CURVES = 16 };

bool scatter_add(scatter *s, size_t panel, const char *curve, const char *key, double x, double y) {
  if (!isfinite(x) || !isfinite(y) || (s->log_x && x <= 0)) return true;
  if (!sgi_room(&s->at, &s->room, s->n, sizeof *s->at)) return false;
  scatter_point *p = &s->at[s->n++];
  *p = (scatter_point){.panel = panel, .x = x, .y = y};
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
  const char *curves[CURVES];
  size_t n_curves;
  merged *at; /* by panel, curve, x */
  size_t n;
} figure;

static int in_order(const void *a, const void *b) {
  const merged *x = a, *y = b;
  if (x->first->panel != y->first->panel) return x->first->panel < y->first->panel ? -1 : 1;
  int c = strcmp(x->first->curve, y->first->curve);
  return c ? c : x->x < y->x ? -1 : x->x > y->x;
}

/* Seeds become one point with its spread. */
static sg_status merge(figure *f, sg_error *err) {
  const scatter *s = f->s;
  f->at = sgi_alloc((s->n + 1) * sizeof *f->at);
  if (!f->at) return sgi_fail_memory(err, s->n * sizeof *f->at, "a figure");
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
    m->x += s->log_x ? log(p->x) : p->x; /* the mean of seeds on the axis */
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
    if (s->log_x) f->at[k].x = exp(f->at[k].x);
    f->at[k].y /= (double)f->at[k].n;
  }
  qsort(f->at, f->n, sizeof *f->at, in_order);
  return SG_OK;
}

/* All panels have one pair of axes, so that they can be compared. */
static sgi_plot_frame frame_of(const figure *f) {
  sgi_plot_frame all = {.x = {f->s->x_title, INFINITY, -INFINITY, .log = f->s->log_x},
                        .y = {.title = f->s->y_title, .least = INFINITY, .most = -INFINITY}};
  for (size_t k = 0; k < f->n; k++) {
    all.x.least = fmin(all.x.least, f->at[k].x);
    all.x.most = fmax(all.x.most, f->at[k].x);
    all.y.least = fmin(all.y.least, f->at[k].low);
    all.y.most = fmax(all.y.most, f->at[k].high);
  }
  if (f->s->y_low < f->s->y_high) {
    all.y.least = fmax(fmin(all.y.least, f->s->y_low), f->s->y_low - 1); /* what lies far below stands at the edge */
    all.y.most = fmax(all.y.most, f->s->y_high);
  }
  return all;
}

static void points(sgi_plot *p, const figure *f, size_t panel, double least) {
  for (size_t k = 0; k < f->n; k++) {
    const merged *m = &f->at[k], *before = k ? &f->at[k - 1] : NULL;
    if (m->first->panel != panel) continue;
    size_t c = 0;
    while (c < f->n_curves && strcmp(f->curves[c], m->first->curve)) c++;
    const char *colour = sgi_plot_colour(c);
    double y = fmax(m->y, least);
    if (before && before->first->panel == panel && !strcmp(before->first->curve, m->first->curve))
      sgi_plot_line(p, colour, NULL, (double[]){before->x, m->x}, (double[]){fmax(before->y, least), y}, 2);
    if (m->n > 1) {
      sgi_plot_line(p, colour, NULL, (double[]){m->x, m->x}, (double[]){fmax(m->low, least), fmax(m->high, least)}, 2);
      sgi_plot_point(p, colour, SGI_DISC, 3, m->x, y, "%s (%s): %.4g, %.4g (%zu seeds, %.4g to %.4g)", m->first->curve,
                     m->first->key, m->x, m->y, m->n, m->low, m->high);
    } else {
      sgi_plot_point(p, colour, SGI_DISC, 3, m->x, y, "%s (%s): %.4g, %.4g", m->first->curve, m->first->key, m->x,
                     m->y);
    }
  }
}

sg_status scatter_save(const scatter *s, const char *path, sg_error *err) {
  figure f = {.s = s};
  sgi_plot *p = NULL;
  sgi_plot_frame *frames = sgi_alloc((s->n_panels + 1) * sizeof *frames);
  sg_status st = frames ? merge(&f, err) : sgi_fail_memory(err, s->n_panels * sizeof *frames, "a figure");
  for (size_t k = 0; k < s->n_panels && !st; k++) {
    frames[k] = frame_of(&f);
    frames[k].title = s->panels[k];
  }
  if (!st) st = sgi_plot_open_panels(path, frames, s->n_panels, PER_ROW, f.n_curves, &p, err);
  for (size_t k = 0; k < s->n_panels && !st; k++) {
    sgi_plot_panel(p, k);
    points(p, &f, k, frames[k].y.least);
  }
  for (size_t c = 0; c < f.n_curves && !st; c++) sgi_plot_entry(p, sgi_plot_colour(c), NULL, f.curves[c]);
  sgi_free(frames);
  sgi_free(f.at);
  return st ? st : sgi_plot_close(p, err);
}
