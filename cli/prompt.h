/* prompt.h: the options of commands that read one prompt, and opening it (report/prompt.h). */
#ifndef SGATLIN_CLI_PROMPT_H
#define SGATLIN_CLI_PROMPT_H

#include "context.h"
#include "model.h"
#include "report/prompt.h"

#define CLI_MODEL_OPTIONS CLI_CHECKPOINT_OPTION, CLI_TOKENIZER_OPTION
#define CLI_PROMPT_OPTIONS \
  {.name = "prompt", \
   .letter = 'p', \
   .type = CLI_STRING, \
   .argument = "TEXT", \
   .help = "text to read; - for standard input, its last line break left out"}, \
      {.name = "ids", \
       .type = CLI_STRING, \
       .argument = "IDS.json", \
       .help = "token ids instead of text: [5, 6, 7] or {\"ids\": [5]}"}, \
      {.name = "no-bos", .type = CLI_FLAG, .help = "do not put the begin token in front"}, CLI_BEYOND_OPTION

/* Where a prompt's prediction is read, and how much of it is shown. */
#define CLI_POSITION_OPTION \
  { \
    .name = "position", .type = CLI_INT, .argument = "N", .value = "-1", \
    .help = "position that predicts; negative: from the end" \
  }
#define CLI_TOP_OPTION(what) \
  { .name = "top", .letter = 'n', .type = CLI_SIZE, .argument = "N", .value = "8", .help = what }

/* Opens the command's first argument and reads --prompt or --ids. Close in any case. */
sg_status cli_prompt_open(sgi_prompt *p, const cli_call *c, sg_error *err);
/* Model and tokenizer alone. */
sg_status cli_prompt_open_model(sgi_prompt *p, const cli_call *c, sg_error *err);
/* The same of a second model, by its path. */
sg_status cli_prompt_open_other(sgi_prompt *p, const cli_call *c, const char *path, sg_error *err);
void cli_prompt_close(sgi_prompt *p);

/* "layer 1 channel 0 neuron 7", with what the neuron is where it stands beside its kind. */
void cli_neuron_cell(cli_table *t, const sgi_prompt *p, int layer, int channel, int index);

#endif
