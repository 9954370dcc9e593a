/* scatter.h: a figure of curves in panels side by side, each point a mean over seeds with its
 * spread. */
#ifndef SGATLIN_CLI_SCATTER_H
#define SGATLIN_CLI_SCATTER_H

#include "cli.h"

enum { SCATTER_NAME = 64 };

typedef struct scatter_point {
  size_t panel;
  char curve[SCATTER_NAME]; /* points of one name are joined, by x */
  char key[SCATTER_NAME];   /* points of one curve with one key are seeds of each other */
  double x, y;
} scatter_point;

typedef struct scatter {
  const char *x_title, *y_title;
  bool log_x;
  double y_low, y_high;         /* at least; equal: as the points are */
  char (*panels)[SCATTER_NAME]; /* (n_panels) titles */
  size_t n_panels;
  scatter_point *at;
  size_t n, room;
} scatter;

/* One more point; those that are not finite (or not above 0 on a logarithmic axis) are passed over.
 * False when memory is out. */
bool scatter_add(scatter *s, size_t panel, const char *curve, const char *key, double x, double y);
sg_status scatter_save(const scatter *s, const char *path, sg_error *err);
void scatter_free(scatter *s);

#endif
