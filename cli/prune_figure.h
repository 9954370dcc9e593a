/* prune_figure.h: perplexity over measured speed-up, a curve a method, a point a rival, as an
 * SVG. */
#ifndef SGATLIN_CLI_PRUNE_FIGURE_H
#define SGATLIN_CLI_PRUNE_FIGURE_H

#include "report/pruning.h"

/* Perplexities on a logarithmic axis. Whole or not at all. */
sg_status prune_figure_save(const sgi_prune_line *lines, size_t n, const char *path, sg_error *err);

#endif
