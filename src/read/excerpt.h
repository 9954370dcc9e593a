/* excerpt.h: text around a recorded position. */
#ifndef SGI_EXCERPT_H
#define SGI_EXCERPT_H

#include "read/recording.h"
#include "text/bytes.h"

/* TEXT: the tokens' bytes as they read, the active one between ** and **; special tokens but the
 * active one are left out. NAMES: the reference's excerpts (golden README no. 30): names of the
 * vocabulary (a blank is U+0120), special tokens too, every <|pad|> removed. */
typedef enum sgi_excerpt_form { SGI_EXCERPT_TEXT, SGI_EXCERPT_NAMES } sgi_excerpt_form;

/* Appends tokens p-width .. p+width of p's document to out. */
sg_status sgi_excerpt(const sgi_recording *rec, const sg_tokenizer *tok, size_t position, size_t width,
                      sgi_excerpt_form form, sgi_bytes *out, sg_error *err);
/* Appends one token's text in that form. An id outside the vocabulary is "<id>". */
sg_status sgi_excerpt_token(const sg_tokenizer *tok, int32_t id, sgi_excerpt_form form, sgi_bytes *out, sg_error *err);

#endif
