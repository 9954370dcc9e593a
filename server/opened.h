/* opened.h: an attribution graph from a file, for a page without a model. */
#ifndef SGS_OPENED_H
#define SGS_OPENED_H

#include "core/json.h"

typedef struct opened {
  char *name;   /* the last part of the path */
  json_t *file; /* as it was read */
} opened;

/* A file of `sgatlin graph -o` or a view that the page saved as JSON. The file is hostile input:
 * its size, depth, values, nodes and edges are bounded, and every node and edge is looked at.
 * Errors name the file, the place and what was expected. opened_deinit in any case. */
sg_status opened_load(opened *o, const char *path, sg_error *err);
void opened_deinit(opened *o);

#endif
