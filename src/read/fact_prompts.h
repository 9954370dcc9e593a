/* fact_prompts.h: facts as prompts of a model. */
#ifndef SGI_FACT_PROMPTS_H
#define SGI_FACT_PROMPTS_H

#include "read/facts.h"

/* Prompts of the listed nouns that are one token, with at least top_answers answers that are one
 * token behind the prompt (the first of them are taken): golden README no. 34. words: nouns and
 * answers may have several. *prompts (n of them) is new: sgi_fact_prompts_free. */
sg_status sgi_fact_prompts(const sg_facts *f, const sg_tokenizer *tok, int32_t bos, size_t top_answers, bool words,
                           sg_fact_prompt **prompts, size_t *n, sg_error *err);
void sgi_fact_prompts_free(sg_fact_prompt *prompts, size_t n);

#endif
