/* prune_figure.h: perplexity over measured speed-up, a curve a method, a point a rival, as an
 * SVG. */
#ifndef SGATLIN_CLI_PRUNE_FIGURE_H
#define SGATLIN_CLI_PRUNE_FIGURE_H

#include "cli.h"

typedef struct prune_line {
  char name[48];
  bool point;             /* a model of its own: nothing joins it to the one that is pruned */
  bool *off;              /* (2L) sublayers that are out, as rounds go */
  double *speedup, *loss; /* (n) after each round; loss in nats */
  double dense_loss;      /* before any, at a speed-up of 1 */
  size_t n;
} prune_line;

/* Perplexities on a logarithmic axis. Whole or not at all. */
sg_status prune_figure_save(const prune_line *lines, size_t n, const char *path, sg_error *err);

#endif
