/* ngram.h: the baselines every language model has to beat, over the same token stream: a unigram
 * and a trigram model.
 *
 * Unigram: add-one, P(w) = (c(w) + 1) / (N + V). Trigram: interpolated Kneser-Ney with one discount
 * per order, estimated from the counts as n1 / (n1 + 2 n2) and kept within 0.05..0.95:
 *
 *   P3(w|u,v) = max(c(u,v,w) - D3, 0) / c(u,v,.) + D3 N(u,v,.) / c(u,v,.) P2(w|v)
 *   P2(w|v)   = max(N(.,v,w) - D2, 0) / N(.,v,.) + D2 N(v,.) / N(.,v,.) P1(w)
 *   P1(w)     = max(N(.,w) - D1, 0) / N(.,.) + D1 |{w: N(.,w) > 0}| / N(.,.) / V
 *
 * where N counts distinct n-grams. An unseen context hands on to the lower order, so every P sums
 * to 1 over the vocabulary and none is 0. A document's first token has the context (bos, bos).
 * Nothing is random.
 */
#ifndef SGI_NGRAM_H
#define SGI_NGRAM_H

#include "core/base.h"

enum { SGI_NGRAM_MAX_VOCAB = 1 << 21 };

typedef struct sgi_ngram sgi_ngram;

typedef struct sgi_ngram_score {
  double unigram, trigram; /* sums of -ln p */
  uint64_t tokens;
} sgi_ngram_score;

/* For ids 0..vocab-1 (at most SGI_NGRAM_MAX_VOCAB). The tables take at most max_bytes while they
 * grow: trigrams that are new after that are not counted (sgi_ngram_dropped), known ones still are.
 * New: sgi_ngram_free. */
sg_status sgi_ngram_create(size_t vocab, int32_t bos, size_t max_bytes, sgi_ngram **out, sg_error *err);
void sgi_ngram_free(sgi_ngram *m);

/* Counts one document of n tokens (with its eos, if that is to be predicted). An id outside the
 * vocabulary is SG_ERR_ARG and nothing is counted. */
sg_status sgi_ngram_add(sgi_ngram *m, const int32_t *tokens, size_t n, sg_error *err);

/* Estimates the discounts; needed before probabilities are asked for, and again after further
 * documents. No token so far is SG_ERR_ARG. */
sg_status sgi_ngram_finish(sgi_ngram *m, sg_error *err);

/* Adds the negative log likelihood of a document to *sum (the loss of docs/method.md, baselines, is
 * sum / tokens). */
sg_status sgi_ngram_nll(const sgi_ngram *m, const int32_t *tokens, size_t n, sgi_ngram_score *sum, sg_error *err);

/* Probability of w, alone and after u, v. Ids are inside the vocabulary and the model is
 * finished. */
double sgi_ngram_unigram(const sgi_ngram *m, int32_t w);
double sgi_ngram_trigram(const sgi_ngram *m, int32_t u, int32_t v, int32_t w);

uint64_t sgi_ngram_tokens(const sgi_ngram *m);   /* counted */
uint64_t sgi_ngram_trigrams(const sgi_ngram *m); /* distinct ones kept */
uint64_t sgi_ngram_dropped(const sgi_ngram *m);  /* occurrences without room; 0: counts are whole */

#endif
