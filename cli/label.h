/* label.h: what the commands `label ...` share: the file of names. */
#ifndef SGATLIN_CLI_LABEL_H
#define SGATLIN_CLI_LABEL_H

#include "prompt.h"
#include "reading.h"
#include "report/names.h"
#include "report/neurons.h"

#define CLI_NAMES_OPTION \
  { \
    .name = "names", .type = CLI_STRING, .argument = "FILE", .value_text = "MODEL/names.sqlite", \
    .help = "the file of labels and names" \
  }

/* The file of --names, else the one beside args[0]. New: sgi_free; NULL when memory is out. */
char *cli_names_path(const cli_call *c);
/* Opens it for this model; write: makes it where it is missing. */
sg_status cli_names_open(const cli_call *c, const sg_model *model, bool write, sg_names **out, sg_error *err);
/* The same to read where there is one; *out NULL where there is none and --names was not given. */
sg_status cli_names_open_if_there(const cli_call *c, const sg_model *model, sg_names **out, sg_error *err);

/* The user's login: who gives a name unless told otherwise. */
const char *cli_login(void);

#endif
