/* prompt.h: a model, its tokenizer and one prompt as tokens, for the commands that read one
 * prompt. */
#ifndef SGATLIN_CLI_PROMPT_H
#define SGATLIN_CLI_PROMPT_H

#include "context.h"
#include "model.h"

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

typedef struct cli_prompt {
  cli_model at;
  sg_model *model;         /* of at */
  sg_tokenizer *tokenizer; /* of at; NULL where the directory has none */
  const char *directory;
  char *text;
  int32_t *tokens; /* (count), bos in front */
  size_t count;
} cli_prompt;

/* Opens the command's first argument and reads --prompt or --ids. Close in any case. */
sg_status cli_prompt_open(cli_prompt *p, const cli_call *c, sg_error *err);
/* Model and tokenizer alone. */
sg_status cli_prompt_open_model(cli_prompt *p, const cli_call *c, sg_error *err);
void cli_prompt_close(cli_prompt *p);

/* text as the prompt would be: bos in front where no_bos is false. New: sgi_free. */
sg_status cli_prompt_encode(const cli_prompt *p, const char *text, bool no_bos, int32_t **tokens, size_t *count,
                            sg_error *err);

/* One token by its text ("dog", " dog") or number ("id:512"): what encodes to one token, with a
 * space in front if need be. */
sg_status cli_prompt_token(const cli_prompt *p, const char *text, int32_t *id, sg_error *err);

/* Text of a token, UTF-8, broken parts as U+FFFD; "#5" where there is no tokenizer. New: sgi_free;
 * NULL when memory is out. */
char *cli_token_text(const cli_prompt *p, int32_t id);
/* A token for tables: in quotes, newlines and tabs as \n, \t, control characters and bytes that are
 * no UTF-8 as \x1b. */
typedef struct cli_shown {
  char s[96];
} cli_shown;
cli_shown cli_token_shown(const cli_prompt *p, int32_t id);
/* {"id": 5, "text": " dog"}; null for -1. A token that is a part of a character has its bytes too:
 * "bytes": "f09f". */
json_t *cli_token_json(const cli_prompt *p, int32_t id);
json_t *cli_prompt_json(const cli_prompt *p); /* list of them */

#endif
