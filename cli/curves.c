#include "curves.h"

#include <math.h>

#include "core/plot.h"

static double error_of(const cli_curve *c, size_t i) { return c->error && isfinite(c->error[i]) ? c->error[i] : 0; }

static sgi_plot_frame frame_of(const cli_curves *c) {
  sgi_plot_frame f = {.title = c->title,
                      .x = {c->x, INFINITY, -INFINITY, .whole = c->whole_x},
                      .y = {.title = c->y, .least = INFINITY, .most = -INFINITY},
                      .legend = true};
  for (size_t k = 0; k < c->n; k++)
    for (size_t i = 0; i < c->curves[k].n; i++) {
      const cli_curve *l = &c->curves[k];
      if (!isfinite(l->x[i]) || !isfinite(l->y[i])) continue;
      f.x.least = fmin(f.x.least, l->x[i]);
      f.x.most = fmax(f.x.most, l->x[i]);
      f.y.least = fmin(f.y.least, l->y[i] - error_of(l, i));
      f.y.most = fmax(f.y.most, l->y[i] + error_of(l, i));
    }
  f.y.zero = f.y.least < 0 && f.y.most > 0;
  return f;
}

static void curve(sgi_plot *p, const cli_curve *l, const char *colour) {
  const char *dash = sgi_plot_dash(l->dashed);
  sgi_plot_line(p, colour, dash, l->x, l->y, l->n);
  for (size_t i = 0; i < l->n; i++) {
    if (error_of(l, i) > 0) sgi_plot_error(p, colour, l->x[i], l->y[i], l->error[i]);
    sgi_plot_point(p, colour, SGI_DISC, 3, l->x[i], l->y[i], "%s at %.4g: %.4g", l->name, l->x[i], l->y[i]);
  }
  sgi_plot_entry(p, colour, dash, l->name);
}

sg_status cli_curves_save(const cli_curves *c, const char *path, sg_error *err) {
  const sgi_plot_frame f = frame_of(c);
  sgi_plot *p;
  sg_status st = sgi_plot_open(path, &f, &p, err);
  if (st) return st;
  for (size_t k = 0; k < c->n; k++) curve(p, &c->curves[k], sgi_plot_colour(k));
  return sgi_plot_close(p, err);
}
