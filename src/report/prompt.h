/* prompt.h: a model, its tokenizer and one prompt as tokens; tokens as JSON and for tables. */
#ifndef SGI_REPORT_PROMPT_H
#define SGI_REPORT_PROMPT_H

#include "report.h"

typedef struct sgi_prompt {
  sg_model *model;
  sg_tokenizer *tokenizer; /* NULL where the model has none */
  char *directory;         /* of the model; NULL: not told */
  char *text;
  int32_t *tokens; /* (count), bos in front */
  size_t count;
} sgi_prompt;

/* text as the prompt would be: bos in front where no_bos is false. New: sgi_free. */
sg_status sgi_prompt_encode(const sgi_prompt *p, const char *text, bool no_bos, int32_t **tokens, size_t *count,
                            sg_error *err);

/* A place of the prompt; negative ones from the end. */
sg_status sgi_prompt_at(const sgi_prompt *p, ptrdiff_t position, size_t *out, sg_error *err);

/* One token by its text ("dog", " dog") or number ("id:512"): what encodes to one token, with a
 * space in front if need be. */
sg_status sgi_prompt_token(const sgi_prompt *p, const char *text, int32_t *id, sg_error *err);

/* Text of a token, UTF-8, broken parts as U+FFFD; "#5" where there is no tokenizer. New: sgi_free;
 * NULL when memory is out. */
char *sgi_token_text(const sgi_prompt *p, int32_t id);
/* A token for tables: in quotes, newlines and tabs as \n, \t, control characters and bytes that are
 * no UTF-8 as \x1b. */
typedef struct sgi_shown {
  char s[96];
} sgi_shown;
sgi_shown sgi_token_shown(const sgi_prompt *p, int32_t id);
/* {"id": 5, "text": " dog"}; null for -1. A token that is a part of a character has its bytes too:
 * "bytes": "f09f". */
json_t *sgi_token_json(const sgi_prompt *p, int32_t id);
json_t *sgi_prompt_json(const sgi_prompt *p); /* list of them */

#endif
