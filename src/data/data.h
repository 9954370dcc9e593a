/* data.h: tokenised corpora, memory-mapped, and batches as a pure function of their number, so that
 * resume needs no replay. */
#ifndef SGI_DATA_H
#define SGI_DATA_H

#include "core/base.h"
#include "text/notes.h"

typedef sg_text_form sgi_text_form;

/* Called from time to time: done and total in bytes of input (total 0: unknown). False cancels. */
typedef bool (*sgi_progress)(void *user, uint64_t done, uint64_t total);

typedef struct sgi_corpus sgi_corpus;

/* Tokens of a file, a directory's text files (reader.h) in name order, or a stream ("-", a pipe)
 * under a tokenizer: from the cache if it is still right (sizes, times and hash of the inputs, of
 * the tokenizer and the form), else tokenised now, streaming, and cached: beside the data
 * (DIR/.sgatlin/NAME.tokens), or under $XDG_CACHE_HOME/sgatlin (~/.cache) where that cannot be
 * written. A stream's tokens lie in a file of $TMPDIR (/tmp) that goes with the process. Each
 * document is its tokens followed by eos. New: sgi_corpus_close. */
sg_status sgi_corpus_open(const char *path, const sgi_text_form *form, const sg_tokenizer *tok, int32_t eos,
                          sgi_progress progress, void *user, sgi_corpus **out, sg_error *err);
void sgi_corpus_close(sgi_corpus *c);
/* From now on c is a part of what it was: its last `share` (SGI_HELD_OUT), or what stands before
 * that (SGI_FOR_TRAINING); both parts of one text together are all of it. With 20 documents or more
 * the border lies between documents, else where the tokens say, within one. share 0: all for
 * training. A part without a token is SG_ERR_ARG. */
typedef enum sgi_part { SGI_FOR_TRAINING, SGI_HELD_OUT } sgi_part;
sg_status sgi_corpus_take_part(sgi_corpus *c, sgi_part part, double share, sg_error *err);
size_t sgi_corpus_documents(const sgi_corpus *c);
/* What was mended and passed over, from the cache as well. Borrowed until close. */
const sgi_text_notes *sgi_corpus_notes(const sgi_corpus *c);
uint64_t sgi_corpus_tokens(const sgi_corpus *c); /* with the eos of each document */
uint64_t sgi_corpus_hash(const sgi_corpus *c);   /* of all tokens and document lengths: what a resumed run compares */
/* How the documents fit rows of T tokens. */
typedef struct sgi_corpus_fit {
  uint64_t longer, beyond; /* documents of more than T tokens, and their tokens behind the first T */
  size_t longest;          /* tokens */
} sgi_corpus_fit;
void sgi_corpus_measure(const sgi_corpus *c, size_t T, sgi_corpus_fit *out);
/* Document i with its final eos; n tokens. Borrowed until close. */
const int32_t *sgi_corpus_document(const sgi_corpus *c, size_t i, size_t *n);

/* Rows of T targets. PAD: one document a row, cut at T (losing its eos) or filled with pad. PACK:
 * documents in shuffled order one behind the other, cut into rows of T; starts says where each
 * position's own document begins in the row. WINDOWS, for evaluation: every document whole, in
 * windows of T that begin `stride` tokens apart (the last ends where the document ends). Targets
 * that an earlier window had are pad, so each token counts once, with at least T - stride tokens
 * before it in its window unless the document itself begins there. A window's first input is the
 * token before it. */
typedef enum sgi_rows { SGI_ROWS_PAD, SGI_ROWS_PACK, SGI_ROWS_WINDOWS } sgi_rows;

typedef struct sgi_batcher_settings {
  sgi_rows rows;
  size_t B, T;
  int32_t bos, pad;
  bool shuffle; /* a new order every epoch, fixed by seed; false: file order */
  uint64_t seed;
  size_t stride; /* WINDOWS: 1 to T; needs the order of the file */
} sgi_batcher_settings;

typedef struct sgi_batcher sgi_batcher;
/* corpus is borrowed. Fewer rows than one batch is SG_ERR_ARG (with the numbers). New:
 * sgi_batcher_free. */
sg_status sgi_batcher_create(const sgi_corpus *corpus, const sgi_batcher_settings *settings, sgi_batcher **out,
                             sg_error *err);
void sgi_batcher_free(sgi_batcher *b);
/* Whole batches in one epoch; the last incomplete one is dropped. */
uint64_t sgi_batcher_batches(const sgi_batcher *b);
/* WINDOWS: the document that row i is of, and its first row and the one behind its last; of other
 * forms a row is its own. */
uint64_t sgi_batcher_unit(const sgi_batcher *b, uint64_t row, uint64_t *first, uint64_t *end);
/* The document that target t of a row is of, where batches come in the order of the file; targets t
 * to *end (not with it) of the row are of it, padding behind the document included. */
size_t sgi_batcher_owner(const sgi_batcher *b, uint64_t row, size_t t, size_t *end);
/* WINDOWS: document i (borrowed), else NULL. */
const int32_t *sgi_batcher_document(const sgi_batcher *b, uint64_t i, size_t *n);
/* Batch number i (epoch i / batches, place i % batches) into the caller's (B,T) arrays. inputs =
 * targets shifted right by one, bos in front (PACK: the first token of each document in the row has
 * bos as its input, and starts marks it). starts may be NULL for PAD. No allocation; the epoch's
 * order may be prepared on a call with a new epoch. */
void sgi_batcher_get(sgi_batcher *b, uint64_t i, int32_t *inputs, int32_t *targets, int32_t *starts);

#endif
