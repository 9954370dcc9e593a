/* rows.h: a text file as rows of tokens, one document a row. */
#ifndef SGATLIN_CLI_ROWS_H
#define SGATLIN_CLI_ROWS_H

#include "own_text.h"
#include "prompt.h"

typedef sgi_text_rows cli_rows;

enum { CLI_USUAL_LENGTH = 256 };

/* --seq-len; without it what the model reads at a time (longest), at most CLI_USUAL_LENGTH. */
static inline size_t cli_usual_length(const cli_call *c, size_t longest) {
  if (cli_is_set(c, "seq-len")) return cli_size(c, "seq-len");
  return longest < CLI_USUAL_LENGTH ? longest : CLI_USUAL_LENGTH;
}

/* Documents until max_tokens are read. */
sg_status cli_rows_read(cli_rows *r, const sgi_prompt *p, const cli_text *text, const sg_text_form *form, size_t T,
                        size_t max_tokens, sg_error *err);
/* The text that --data names, or what the run held out (cli_text_find), by the options of its form
 * (text_form.h); T is held against the model's context, so the command has --beyond-context. */
sg_status cli_rows_open(cli_rows *r, const cli_call *c, const sgi_prompt *p, size_t T, size_t max_tokens,
                        sg_error *err);
/* At most n rows of one split of the text that --data names ("train", "valid"; a file is both), by
 * the options of its form; T as above. */
sg_status cli_rows_split(cli_rows *r, const cli_call *c, const sgi_prompt *p, const char *split, size_t T, size_t n,
                         sg_error *err);
void cli_rows_free(cli_rows *r);

#endif
