/* label.h: what the commands `label ...` and the explorer share: the file of names, and a page of
 * neurons as JSON. */
#ifndef SGATLIN_CLI_LABEL_H
#define SGATLIN_CLI_LABEL_H

#include "names/browse.h"
#include "prompt.h"
#include "reading.h"

#define CLI_NAMES_OPTION \
  { \
    .name = "names", .type = CLI_STRING, .argument = "FILE", .value_text = "MODEL/names.sqlite", \
    .help = "the file of labels and names" \
  }

/* The file of --names, else the one beside args[0]. New: sgi_free; NULL when memory is out. */
char *cli_names_path(const cli_call *c);
/* Opens it for this model; write: makes it where it is missing. */
sg_status cli_names_open(const cli_call *c, const sg_model *model, bool write, sgi_names **out, sg_error *err);
/* The same to read where there is one; *out NULL where there is none and --names was not given. */
sg_status cli_names_open_if_there(const cli_call *c, const sg_model *model, sgi_names **out, sg_error *err);

/* The user's login: who gives a name unless told otherwise. */
const char *cli_login(void);
/* "1.0.17" or "1,0,17". */
sg_status cli_neuron_at(const char *text, sgi_neuron_at *out, sg_error *err);
/* The token that a question means: the text as a token; of a word of several the last where a
 * neuron fires on it (end), the first where one raises it. */
sg_status cli_question_token(const cli_prompt *p, const char *text, bool end, int32_t *id, sg_error *err);

/* {"layer", "channel", "index", "label", "recorded", "name", "author", "time", "count",
 * "frequency", "largest", "strength", "norm", "score"}: null where nothing is known. New. */
json_t *cli_neuron_row(const sgi_browsed_row *r);
/* {"found", "from", "question", "token", "neurons"}: null without a question. New. */
json_t *cli_neuron_page(const cli_prompt *p, const sgi_browse *ask, const sgi_page *page);

#endif
