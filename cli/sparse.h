/* sparse.h: what the commands of sparse MLPs share: opening a set beside its model, rows of a
 * text, penalties in words. */
#ifndef SGATLIN_CLI_SPARSE_H
#define SGATLIN_CLI_SPARSE_H

#include "compare/sparse_eval.h"
#include "eval_text.h"
#include "own_text.h"
#include "prompt.h"
#include "text_form.h"

#define CLI_SPARSE_FORCE_OPTION \
  { .name = "force", .type = CLI_FLAG, .help = "read sparse MLPs although they were trained on another model" }

/* The set of that directory; one of another model is refused, unless --force was given, which
 * warns. */
sg_status cli_sparse_open(const cli_call *c, const char *directory, const sg_model *model, sgi_sparse_set **out,
                          sg_error *err);

/* A text's rows, for sgi_sparse_rows. cli_sparse_text_free in any case. */
typedef struct cli_sparse_text {
  cli_text text;
  sgi_corpus *corpus;
  eval_text rows;
  sgi_sparse_rows source;
} cli_sparse_text;
/* The text of --option (its split), cut into rows as eval does; at most `most` rows (0: all). The
 * command has --rows, --stride, --seq-len. */
sg_status cli_sparse_text_open(const cli_call *c, const cli_model *m, const char *option, const char *split,
                               size_t most, cli_sparse_text *out, sg_error *err);
/* The same of a path. */
sg_status cli_sparse_text_at(const cli_call *c, const cli_model *m, const char *path, size_t most, cli_sparse_text *out,
                             sg_error *err);
void cli_sparse_text_free(cli_sparse_text *t);

/* "relu, L1 0.002, unit", "topk 32", "jumprelu, L0 0.001". */
void cli_sparse_words(const sgi_sparse_form *f, char *out, size_t size);
/* What a figure's curve is called: all of that but the penalty. */
void cli_sparse_method(const sgi_sparse_form *f, char *out, size_t size);

#endif
