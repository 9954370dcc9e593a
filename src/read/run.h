/* run.h: what the library's own readers use of a run. */
#ifndef SGI_RUN_H
#define SGI_RUN_H

#include "read/edit.h"

/* The prompt fits the model: at least one token, all in the vocabulary. A prompt longer than the
 * model was made for is allowed (the rotary embedding has no limit), as in evaluation. */
sg_status sgi_prompt_check(const sg_model *m, const int32_t *tokens, size_t count, sg_error *err);

/* Position counted from the end where negative; SG_ERR_ARG outside the prompt. */
sg_status sgi_prompt_position(ptrdiff_t position, size_t count, size_t *out, sg_error *err);

#endif
