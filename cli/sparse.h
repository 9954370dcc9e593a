/* sparse.h: what the commands of sparse MLPs share: opening a set beside its model, rows of a
 * text. */
#ifndef SGATLIN_CLI_SPARSE_H
#define SGATLIN_CLI_SPARSE_H

#include "eval_text.h"
#include "model.h"
#include "own_text.h"
#include "prompt.h"
#include "report/sparse.h"
#include "text_form.h"

#define CLI_SPARSE_FORCE_OPTION \
  { .name = "force", .type = CLI_FLAG, .help = "read sparse MLPs although they were trained on another model" }

/* The set of that directory; one of another model is refused, unless --force was given, which
 * warns. */
sg_status cli_sparse_open(const cli_call *c, const char *directory, const sg_model *model, sgi_sparse_set **out,
                          sg_error *err);

/* The text of --option (its split), cut into rows as eval does; at most `most` rows (0: all). The
 * command has --rows, --stride, --seq-len. New: sgi_sparse_text_free. */
sg_status cli_sparse_text_open(const cli_call *c, const cli_model *m, const char *option, const char *split,
                               size_t most, sgi_sparse_text **out, sg_error *err);
/* The same of a path. */
sg_status cli_sparse_text_at(const cli_call *c, const cli_model *m, const char *path, size_t most,
                             sgi_sparse_text **out, sg_error *err);

#endif
