#include "prune_figure.h"

#include <math.h>
#include <string.h>

#include "core/plot.h"

static sgi_plot_frame frame_of(const sgi_prune_line *lines, size_t n) {
  sgi_plot_frame f = {.x = {"measured speed-up", 1, 1.1, .tight = false},
                      .y = {"held-out perplexity", INFINITY, 0, .log = true},
                      .legend = true};
  for (size_t k = 0; k < n; k++) {
    f.y.least = fmin(f.y.least, exp(lines[k].dense_loss));
    f.y.most = fmax(f.y.most, exp(lines[k].dense_loss));
    for (size_t i = 0; i < lines[k].n; i++) {
      f.x.least = fmin(f.x.least, lines[k].speedup[i]);
      f.x.most = fmax(f.x.most, lines[k].speedup[i]);
      f.y.least = fmin(f.y.least, exp(lines[k].loss[i]));
      f.y.most = fmax(f.y.most, exp(lines[k].loss[i]));
    }
  }
  return f;
}

/* Draws at random are what any way of choosing has to beat: one colour for all, one entry. */
static bool is_random(const sgi_prune_line *l) { return !l->point && !strncmp(l->name, "random", 6); }

static void curve(sgi_plot *p, const sgi_prune_line *l, const char *colour) {
  double x0 = 1, y0 = exp(l->dense_loss);
  for (size_t i = 0; i < l->n; i++) {
    double x = l->speedup[i], y = exp(l->loss[i]);
    if (l->point) {
      sgi_plot_point(p, colour, SGI_DISC, 6, x, y, "%s: %.3f times as fast, perplexity %.4f", l->name, x, y);
      continue;
    }
    sgi_plot_line(p, colour, NULL, (double[]){x0, x}, (double[]){y0, y}, 2);
    sgi_plot_point(p, colour, SGI_DISC, 3, x, y, "%s, %zu out: %.3f times as fast, perplexity %.4f", l->name, i + 1, x,
                   y);
    x0 = x, y0 = y;
  }
  if (!is_random(l)) sgi_plot_entry(p, colour, NULL, l->name);
}

sg_status prune_figure_save(const sgi_prune_line *lines, size_t n, const char *path, sg_error *err) {
  const sgi_plot_frame f = frame_of(lines, n);
  sgi_plot *p;
  sg_status st = sgi_plot_open(path, &f, &p, err);
  if (st) return st;
  size_t chosen = 0, draws = 0;
  for (size_t k = 0; k < n; k++) /* first, so that they lie below */
    if (is_random(&lines[k])) curve(p, &lines[k], "#9a9a9a"), draws++;
  for (size_t k = 0; k < n; k++)
    if (!is_random(&lines[k])) curve(p, &lines[k], sgi_plot_colour(chosen++));
  if (draws) sgi_plot_entry(p, "#9a9a9a", NULL, "random");
  return sgi_plot_close(p, err);
}
