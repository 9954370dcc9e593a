/* examples.h: texts to begin with: facts that the model knows, else beginnings of the recorded
 * text. */
#ifndef SGS_EXAMPLES_H
#define SGS_EXAMPLES_H

#include "api.h"

/* [{"text", "twin"}], at most 3: prompts of the open facts after which the model's best guess is a
 * true answer, each with another such prompt as its twin; where no facts are open, or none is
 * known, the first words of recorded documents, whose twin is null. Empty without a tokenizer. *out
 * is new. */
sg_status examples_make(const explorer *e, json_t **out, sg_error *err);

#endif
