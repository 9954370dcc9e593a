/* label.h: a neuron in a few words, made from its card: what it fires on, what it raises and lowers
 * ("was | macaroni +, soup -"). No language model: tokens and signs alone (docs/method-reading.md,
 * labels). */
#ifndef SGI_LABEL_H
#define SGI_LABEL_H

#include "read/recording.h"

enum { SGI_LABEL_READS = 3, SGI_LABEL_WRITES = 2 };

typedef struct sgi_label {
  int32_t reads[SGI_LABEL_READS]; /* tokens it fires on, strongest first */
  size_t n_reads;
  bool recorded; /* reads are those of a recording; false: what its weights read at bare tokens */
  /* Tokens whose logits it moves most where it fires, largest change first, and which way. */
  int32_t writes[SGI_LABEL_WRITES];
  bool raises[SGI_LABEL_WRITES];
  size_t n_writes;
} sgi_label;

/* One neuron. rec is NULL, or a recording of the model with an index that may hold its layer. What
 * the neuron does where it fires has the sign of the sum of its recorded values; without firings,
 * of its value at the bare token that it reads most. The begin, end and padding tokens are left
 * out, and with a tokenizer (NULL: none) those whose bytes are a part of a character. SG_ERR_ARG
 * where there is no such neuron. */
sg_status sgi_label_make(const sg_model *m, const sg_tokenizer *tok, const sgi_recording *rec, size_t layer,
                         size_t channel, size_t index, sgi_label *out, sg_error *err);

/* The same with silent (V), which is made once for many neurons: sgi_label_silent, new: sgi_free;
 * NULL when memory is out. */
sg_status sgi_label_make_with(const sg_model *m, const bool *silent, const sgi_recording *rec, size_t layer,
                              size_t channel, size_t index, sgi_label *out, sg_error *err);
bool *sgi_label_silent(const sg_model *m, const sg_tokenizer *tok);
/* A token that says nothing to a reader, and that labels leave out: begin, end, padding and, with a
 * tokenizer, bytes that are a part of a character. */
bool sgi_label_special(const sg_model *m, const sg_tokenizer *tok, size_t token);

/* "was, is | macaroni +, soup -" into out, cut inside no character; tokens without the blank in
 * front, control characters as they are written in C. Without tokenizer: ids. */
void sgi_label_text(const sgi_label *l, const sg_tokenizer *tok, char out[SG_LABEL_BYTES]);

#endif
