/* tokenizer.h: what a tokenizer is made of, for its loader, trainer, encoder and writer. */
#ifndef SGI_TOKENIZER_H
#define SGI_TOKENIZER_H

#include <pthread.h>

#include "core/json.h"
#include "text/added.h"
#include "text/bpe.h"
#include "text/pretokenize.h"
#include "text/unicode.h"
#include "text/words.h"

/* Ids lie below this, so that a file can not ask for a table without bound. */
#define SGI_ID_LIMIT ((size_t)1 << 24)

typedef struct sgi_token {
  size_t begin; /* in the tokenizer's text */
  uint32_t n;
  bool there; /* false: no token has this id */
  bool model; /* in the model's vocabulary */
  bool added, special;
  bool single_word, lstrip, rstrip,
      normalized; /* of added ones: what they ask of the text beside them, and in which text they are sought */
  bool raw;       /* its name in the file is its text as it stands, not in the byte-level alphabet */
} sgi_token;

/* A ByteLevel part of tokenizer.json; only the first's add_prefix_space and use_regex change
 * ids. */
typedef struct sgi_byte_level {
  bool there, add_prefix_space, trim_offsets, use_regex;
} sgi_byte_level;

typedef struct sgi_encoder sgi_encoder;

struct sg_tokenizer {
  sgi_form form;
  sgi_byte_level split, after, decode; /* pre_tokenizer, post_processor, decoder */
  sgi_cut *cuts;                       /* what cuts a text before split does */
  size_t n_cuts;
  bool whole_first;  /* "ignore_merges": a pre-token that is a token is that one, whatever the merges make of it */
  json_t *parts[4];  /* normalizer, pre_tokenizer, post_processor, decoder as the file has them; NULL: made here */
  json_t *model;     /* the model's settings as the file has them; NULL: made here */
  size_t vocab_size; /* largest id + 1 */
  sgi_token *tokens; /* (vocab_size) */
  sgi_bytes text;
  sgi_merge *merges; /* by rank */
  size_t n_merges;
  int32_t *added; /* ids of added tokens in the file's order */
  size_t n_added;
  sgi_added plain, normal; /* sought in the text as it is; in the normalised text between those */
  uint32_t *wholes; /* with whole_first: id + 1 of the model's tokens by their bytes, 1 << whole_bits slots, 0: free */
  unsigned whole_bits;
  sgi_bpe bpe;
  pthread_mutex_t lock; /* of the encoders that wait for use; ids do not depend on which one is taken */
  sgi_encoder *idle;
  size_t n_idle;
};

/* An empty one for vocab_size ids (at most SGI_ID_LIMIT): add tokens, set merges and added, finish.
 * New: sg_tokenizer_free. */
sg_status sgi_tokenizer_create(size_t vocab_size, sg_tokenizer **out, sg_error *err);
/* Gives id its bytes; flags there and nothing else is set. */
sg_status sgi_tokenizer_put(sg_tokenizer *t, int32_t id, const char *bytes, size_t n, sg_error *err);
/* Builds the tables that encoding needs. */
sg_status sgi_tokenizer_finish(sg_tokenizer *t, sg_error *err);

/* sg_tokenizer_train on words that were counted before (with the settings' nfkc and prefix_space),
 * so that a text of any length can be trained on. */
sg_status sgi_tokenizer_train_words(const sg_tokenizer_training *settings, const sgi_words *words, sg_tokenizer **out,
                                    sg_error *err);

/* Appends what a tokenizer does that its tokens, merges and NFKC do not tell; nothing for those
 * that are trained here, so that what is known by their ids alone stays known. For keys of caches.
 * False when memory is out. */
bool sgi_tokenizer_rules(const sg_tokenizer *t, sgi_bytes *out);

/* vocabulary.c: the table for whole_first (false: memory is out), and the model's token of these
 * bytes, -1: none. */
bool sgi_wholes_build(sg_tokenizer *t);
int32_t sgi_wholes_find(const sg_tokenizer *t, const char *bytes, size_t n);

/* What encodings work with (tokenizer_encode.c): a list, freed with the tokenizer. NULL allowed. */
void sgi_encoders_free(sgi_encoder *first);

/* The byte-level alphabet: every byte has a printable character; '!'..'~', most of Latin-1, then
 * U+0100 onward for the rest. */
uint32_t sgi_byte_character(unsigned char byte);
/* The byte of a character, or -1. */
int sgi_character_byte(uint32_t c);
/* Bytes of a token's name in the alphabet, appended; false in *plain where a character is not in
 * the alphabet (nothing is added then). Returns false when memory is out. */
bool sgi_bytes_from_name(const char *name, size_t n, sgi_bytes *out, bool *plain);
bool sgi_name_from_bytes(const char *bytes, size_t n, sgi_bytes *out);

#endif
