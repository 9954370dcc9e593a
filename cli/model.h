/* model.h: the MODEL argument of commands: a model directory, or a training run. */
#ifndef SGATLIN_CLI_MODEL_H
#define SGATLIN_CLI_MODEL_H

#include "cli.h"
#include "report/open.h"

#define CLI_WHICH_CHECKPOINT_OPTION \
  { \
    .name = "checkpoint", .type = CLI_STRING, .argument = "latest|best|NAME", .value = "latest", \
    .help = "where MODEL is a run: which of its checkpoints" \
  }
/* What every command that reads a model takes. */
#define CLI_CHECKPOINT_OPTION \
  CLI_WHICH_CHECKPOINT_OPTION, { \
    .name = "allow-nonfinite", .type = CLI_FLAG, .help = "read a model although weights are NaN or infinite" \
  }
#define CLI_TOKENIZER_OPTION \
  { \
    .name = "tokenizer", .letter = 'T', .type = CLI_STRING, .argument = "FILE", .value_text = "MODEL's own", \
    .help = "tokenizer.json to use" \
  }

/* sg_open_request.skipped: a warning for each checkpoint that is passed over. */
void cli_skipped(void *unused, const char *name, const char *reason);
/* The model directory of a path that is not args[0]; which checkpoint: NULL, the latest. New:
 * sgi_free. */
sg_status cli_model_directory(const char *path, const char *checkpoint, char **out, sg_error *err);

typedef struct cli_model {
  char *directory;
  sg_model *model;
  sg_tokenizer *tokenizer; /* NULL where it was not asked for */
} cli_model;

typedef enum cli_need { CLI_WITHOUT_TOKENIZER, CLI_TOKENIZER_IF_THERE, CLI_WITH_TOKENIZER } cli_need;

/* Opens the model that args[0] names, by the options above (the command has the ones that are
 * needed). A tokenizer has no more ids than the model. New also where it fails: cli_model_close. */
/* SG_ERR_ARG where something else stands in the model's place (a recording, a file, a text), with
 * the right order. cli_model_open begins with it. */
sg_status cli_model_check(const cli_call *c, sg_error *err);
sg_status cli_model_open(const cli_call *c, cli_need need, cli_model *out, sg_error *err);
/* A second model, by its path: its newest checkpoint where it is a run, with its own tokenizer. */
sg_status cli_model_open_other(const cli_call *c, const char *path, cli_model *out, sg_error *err);
void cli_model_close(cli_model *m);

#endif
