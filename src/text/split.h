/* split.h: the pre-tokens of byte-level BPE: GPT-2's pattern
 *   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 * as a scanner. */
#ifndef SGI_SPLIT_H
#define SGI_SPLIT_H

#include "core/base.h"

/* Length of the pre-token at text, of which n > 0 bytes of valid UTF-8 are left. Over a whole text,
 * linear. */
size_t sgi_split_next(const char *text, size_t n);

#endif
