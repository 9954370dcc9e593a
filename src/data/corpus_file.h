/* corpus_file.h: the token cache on disk, between the file that checks and reads it (corpus.c) and
 * the one that writes it (corpus_build.c). All numbers as the machine has them (docs/formats.md).
 *
 *   header    sgi_tokens_header, with its own hash
 *   blocks    one behind the other, each a batch of documents: starts uint32 (n+1), then tokens
 *             int32 (starts[n]); document i of the block is tokens[starts[i]..starts[i+1]), its
 *             eos included
 *   tail      n_blocks+1 times sgi_tokens_place (the last one is the end), then n_inputs times
 *             {sgi_tokens_input, its name's bytes}
 * Blocks are cut by the documents alone, so the bytes do not depend on the number of threads, and
 * memory is one batch and 16 bytes per block, however large the text is.
 */
#ifndef SGI_CORPUS_FILE_H
#define SGI_CORPUS_FILE_H

#include <string.h>

#include "core/file.h"
#include "text/reader.h"
#include "data/data.h"

enum { SGI_TOKENS_VERSION = 3, SGI_TOKENS_ENDIAN = 0x01020304 };
#define SGI_TOKENS_MAGIC "SGTOKENS"

typedef struct sgi_tokens_header {
  char magic[8];
  uint32_t version, endian; /* endian 0x01020304 as the machine has it */
  uint64_t key;             /* hash of tokenizer, eos, form and version */
  uint64_t n_documents, n_tokens, n_blocks, n_inputs;
  uint64_t tail, size; /* byte of the tail; bytes of the file */
  uint64_t blocks_hash, tail_hash, corpus_hash;
  sgi_text_notes notes; /* what was mended in the text; nothing of directories */
  uint64_t header_hash; /* of all bytes before it */
} sgi_tokens_header;

typedef struct sgi_tokens_place {
  uint64_t byte, document; /* of the block's begin; document: number of its first */
} sgi_tokens_place;

typedef struct sgi_tokens_input {
  sgi_stamp stamp;
  uint64_t settled; /* 0: written shortly before it was read, so an equal time proves nothing */
  uint64_t name;    /* bytes of the base name that follows */
} sgi_tokens_input;

/* What a cache has to match. */
typedef struct sgi_tokens_source {
  char **files; /* text files, in order */
  size_t n_files;
  const sgi_text_form *form;
  const sg_tokenizer *tok;
  size_t vocab;
  int32_t eos;
  uint64_t key, total; /* total: bytes of all files */
  bool just_made;      /* the cache was written in this call: its inputs need no second look */
  sgi_progress progress;
  void *user;
} sgi_tokens_source;

/* Reads, tokenises and writes all of it, and closes the writer; it is gone also where this
 * fails. */
sg_status sgi_tokens_build(sgi_writer *writer, const sgi_tokens_source *s, sg_error *err);

#endif
