#include "bars.h"

#include <math.h>

#include "core/plot.h"

enum { LABELS = 24 }; /* under the bars at most */

static sgi_plot_frame frame_of(const cli_bars *b) {
  sgi_plot_frame f = {.title = b->title,
                      .x = {b->x, 0, (double)b->n_groups, .tight = true, .blank = true},
                      .y = {b->y, 0, 0, .zero = true},
                      .legend = b->n_series > 1};
  if (!isnan(b->line)) f.y.least = fmin(0, b->line), f.y.most = fmax(0, b->line);
  for (size_t i = 0; i < b->n_groups * b->n_series; i++) {
    if (!isfinite(b->value[i])) continue;
    f.y.least = fmin(f.y.least, b->value[i]);
    f.y.most = fmax(f.y.most, b->value[i]);
  }
  return f;
}

static void group(sgi_plot *p, const cli_bars *b, size_t g, bool labelled) {
  char label[64] = "";
  double width = 0.8 / (double)b->n_series;
  b->label(b->user, g, label, sizeof label);
  for (size_t s = 0; s < b->n_series; s++) {
    double v = b->value[g * b->n_series + s], x = (double)g + 0.1 + width * (double)s;
    sgi_plot_bar(p, sgi_plot_colour(s), x, x + width, v, "%s%s%s: %.6g", label, b->n_series > 1 ? ", " : "",
                 b->n_series > 1 ? b->series[s] : "", v);
  }
  if (labelled) sgi_plot_tick(p, (double)g + 0.5, label);
}

sg_status cli_bars_save(const cli_bars *b, const char *path, sg_error *err) {
  const sgi_plot_frame f = frame_of(b);
  sgi_plot *p;
  sg_status st = sgi_plot_open(path, &f, &p, err);
  if (st) return st;
  size_t each = (b->n_groups + LABELS - 1) / LABELS;
  for (size_t g = 0; g < b->n_groups; g++) group(p, b, g, g % each == 0);
  for (size_t s = 0; s < b->n_series && b->n_series > 1; s++) sgi_plot_entry(p, sgi_plot_colour(s), NULL, b->series[s]);
  if (!isnan(b->line)) sgi_plot_level(p, "#3d4754", b->line, b->line_name);
  return sgi_plot_close(p, err);
}
