/* curves.h: a figure of curves with error bars and a legend, as SVG. */
#ifndef SGATLIN_CLI_CURVES_H
#define SGATLIN_CLI_CURVES_H

#include "core/base.h"

typedef struct cli_curve {
  char name[64];
  const double *x, *y, *error; /* (n); error NULL: none. Points that are not finite are left out */
  size_t n;
  bool dashed; /* a control */
} cli_curve;

typedef struct cli_curves {
  const char *title, *x, *y; /* of the figure and its axes; plain text */
  const cli_curve *curves;
  size_t n;
  bool whole_x; /* x are whole numbers: a tick each */
} cli_curves;

sg_status cli_curves_save(const cli_curves *c, const char *path, sg_error *err);

#endif
