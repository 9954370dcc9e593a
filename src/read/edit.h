/* edit.h: a list of edits at work on the sites of one forward pass. */
#ifndef SGI_EDIT_H
#define SGI_EDIT_H

#include "ffn/tap.h"
#include "model/model.h"

enum { SGI_MAX_EDITS = 256 };

typedef struct sgi_editor {
  const sg_config *config;
  const sg_edit *edits;
  size_t n_edits;
  size_t T;                   /* positions of a row of the batch */
  size_t hits[SGI_MAX_EDITS]; /* elements met so far */
  bool met[SGI_MAX_EDITS];    /* a site matched */
  sgi_site chosen;            /* the choice of units seen last */
} sgi_editor;

/* SG_ERR_ARG for what no pass could make right: too many edits, numbers that are not finite, a
 * vector where none can be. */
sg_status sgi_editor_begin(sgi_editor *e, const sg_config *c, size_t T, const sg_edit *edits, size_t n_edits,
                           sg_error *err);
sg_status sgi_editor_visit(sgi_editor *e, const sgi_site *site, sg_error *err);
bool sgi_editor_wants(const sgi_editor *e, const char *full_name);
/* After a pass: the first edit that matched no site is SG_ERR_ARG. */
sg_status sgi_editor_end(const sgi_editor *e, sg_error *err);

#endif
