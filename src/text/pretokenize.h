/* pretokenize.h: the parts of a tokenizer.json's pre_tokenizer in front of ByteLevel: a stretch of
 * text is cut by each in turn. */
#ifndef SGI_PRETOKENIZE_H
#define SGI_PRETOKENIZE_H

#include "text/pattern.h"

/* What becomes of the matches, as Hugging Face's library has it: each a piece; dropped; runs of
 * matches together; joined to the piece before or behind. */
typedef enum sgi_behavior {
  SGI_ISOLATED,
  SGI_REMOVED,
  SGI_CONTIGUOUS,
  SGI_MERGED_WITH_PREVIOUS,
  SGI_MERGED_WITH_NEXT
} sgi_behavior;

typedef enum sgi_cut_kind { SGI_CUT_PATTERN, SGI_CUT_DIGITS, SGI_CUT_PUNCTUATION } sgi_cut_kind;

typedef struct sgi_cut {
  sgi_cut_kind kind;
  sgi_behavior behavior;
  bool invert;          /* of PATTERN: what lies between the matches is the match */
  sgi_pattern *pattern; /* of PATTERN */
} sgi_cut;

/* Takes one piece, text[begin, end); another result than SGI_FOUND ends the cutting. */
typedef sgi_found (*sgi_piece)(void *user, size_t begin, size_t end);

/* Hands the pieces of text[begin, end) to piece in order: what all cuts (n_cuts, 0: none) leave of
 * it. seen: text as the expressions see it (category.h), of equal length. */
sgi_found sgi_cut_text(const sgi_cut *cuts, size_t n_cuts, sgi_matcher *m, const char *text, const char *seen,
                       size_t begin, size_t end, sgi_piece piece, void *user);

#endif
