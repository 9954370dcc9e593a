/* bars.h: a figure of bars: groups side by side, one bar a series, in an SVG file. */
#ifndef SGATLIN_CLI_BARS_H
#define SGATLIN_CLI_BARS_H

#include "cli.h"

typedef struct cli_bars {
  const char *title, *x, *y; /* plain words */
  const char *const *series; /* (n_series) names; n_series 1: no legend */
  size_t n_series, n_groups;
  const double *value; /* (n_groups, n_series) */
  void (*label)(const void *user, size_t group, char *out, size_t size);
  const void *user;
  double line; /* of a level to compare with; NaN: none */
  const char *line_name;
} cli_bars;

sg_status cli_bars_save(const cli_bars *b, const char *path, sg_error *err);

#endif
