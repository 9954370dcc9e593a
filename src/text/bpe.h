/* bpe.h: the merges of a byte-level BPE, and merging one pre-token. */
#ifndef SGI_BPE_H
#define SGI_BPE_H

#include "core/base.h"

typedef struct sgi_merge {
  int32_t left, right, id;
} sgi_merge;

typedef struct sgi_bpe_slot {
  uint64_t pair; /* left << 32 | right */
  uint32_t rank; /* SGI_NO_RANK: free */
  int32_t id;
} sgi_bpe_slot;

#define SGI_NO_RANK UINT32_MAX

typedef struct sgi_bpe {
  int32_t byte_ids[256]; /* -1: the byte has no token and is dropped */
  sgi_bpe_slot *slots;   /* open addressing, 1 << bits of them */
  unsigned bits;
} sgi_bpe;

/* Fills the table with n merges, ranked as they stand; of equal pairs the last counts, as in
 * Hugging Face's library. byte_ids is the caller's. False when memory is out. */
bool sgi_bpe_init(sgi_bpe *b, const sgi_merge *merges, size_t n);
void sgi_bpe_deinit(sgi_bpe *b);
/* SGI_NO_RANK where the pair is no merge. */
uint32_t sgi_bpe_rank(const sgi_bpe *b, int32_t left, int32_t right);

/* What merging a long pre-token works on; kept between calls. */
typedef struct sgi_bpe_work {
  char *block;
  size_t size;
} sgi_bpe_work;

/* Longest pre-token, in bytes: places are 32-bit. */
#define SGI_WORD_MAX ((size_t)UINT32_MAX - 1)

/* Ids of bytes[0..n) (n at most SGI_WORD_MAX) to out, which has room for n; *count of them. Always
 * merges the pair of lowest rank, the leftmost of equals. n log n. False when memory is out. */
bool sgi_bpe_word(const sgi_bpe *b, sgi_bpe_work *work, const char *bytes, size_t n, int32_t *out, size_t *count);

#endif
