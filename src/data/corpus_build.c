/* corpus_build.c: text to token cache, a batch of documents at a time, the batch in parallel. */
#include <string.h>
#include <time.h>
#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

#include "core/arena.h"
#include "data/corpus_file.h"

enum { BATCH_DOCUMENTS = 4096, BATCH_BYTES = 4 << 20, STAGE_BYTES = 1 << 20 };

static void mix(XXH3_state_t *h, uint64_t value) { XXH3_64bits_update(h, &value, sizeof value); }

/* Bytes that grow. */
typedef struct buffer {
  char *data;
  size_t n, size;
} buffer;

static sg_status reserve(buffer *b, size_t more, sg_error *err) {
  size_t need, size = b->size ? b->size : 4096;
  if (!sgi_size_add(b->n, more, &need) || need > SIZE_MAX / 2) return sgi_fail_memory(err, SIZE_MAX, "tokens");
  while (size < need) size *= 2;
  if (size == b->size) return SG_OK;
  char *data = sgi_realloc(b->data, b->n, size);
  if (!data) return sgi_fail_memory(err, size, "tokens");
  b->data = data, b->size = size;
  return SG_OK;
}

static sg_status append(buffer *b, const void *data, size_t n, sg_error *err) {
  sg_status st = reserve(b, n, err);
  if (!st && n) memcpy(b->data + b->n, data, n);
  if (!st) b->n += n;
  return st;
}

typedef struct document {
  size_t begin, end; /* text in the batch */
  int32_t *ids;      /* new, of the tokenizer */
  size_t n;
} document;

typedef struct builder {
  XXH3_state_t blocks_hash, tokens_hash, lengths_hash; /* first, for their alignment */
  const sgi_tokens_source *source;
  sgi_writer *writer;
  document *documents; /* the batch */
  size_t n;
  uint32_t starts[BATCH_DOCUMENTS + 1];
  buffer text, places, inputs;
  char *stage; /* small writes on their way to the file */
  size_t staged;
  sgi_tokens_header head;
  uint64_t done; /* bytes of the files that are finished */
} builder;

/* Ids of each document of the batch. Which thread does which does not matter; of several failures
 * the first document's is told. */
static sg_status encode_batch(builder *b, sg_error *err) {
  size_t n = b->n, first = n;
  sg_error failure = {SG_OK, ""};
#pragma omp parallel for schedule(dynamic, 4) if (n > 1)
  for (size_t i = 0; i < n; i++) {
    document *d = b->documents + i;
    sg_error e;
    if (sg_tokenizer_encode(b->source->tok, b->text.data + d->begin, d->end - d->begin, &d->ids, &d->n, &e) == SG_OK)
      continue;
    d->ids = NULL;
#pragma omp critical(sgi_corpus_failure)
    if (i < first) first = i, failure = e;
  }
  if (first == n) return SG_OK;
  if (err) *err = failure;
  return failure.code;
}

static sg_status write_stage(builder *b, sg_error *err) {
  XXH3_64bits_update(&b->blocks_hash, b->stage, b->staged);
  sg_status st = sgi_writer_write(b->writer, b->stage, b->staged, err);
  b->staged = 0;
  return st;
}

/* Bytes of the blocks. Large pieces go straight to the file, so that a huge document is not copied
 * once more. */
static sg_status put(builder *b, const void *data, size_t n, sg_error *err) {
  if (n > STAGE_BYTES - b->staged) {
    sg_status st = write_stage(b, err);
    if (st) return st;
  }
  b->head.tail += n;
  if (n < STAGE_BYTES) {
    if (n) memcpy(b->stage + b->staged, data, n);
    b->staged += n;
    return SG_OK;
  }
  XXH3_64bits_update(&b->blocks_hash, data, n);
  return sgi_writer_write(b->writer, data, n, err);
}

/* Writes the batch as one block and empties it. */
static sg_status flush_batch(builder *b, sg_error *err) {
  if (!b->n) return SG_OK;
  sg_status st = encode_batch(b, err);
  size_t at = 0;
  for (size_t i = 0; i < b->n && !st; i++) {
    b->starts[i] = (uint32_t)at;
    if (!sgi_size_add(at, b->documents[i].n + 1, &at) || at > UINT32_MAX)
      st = sgi_fail(err, SG_ERR_UNSUPPORTED, "more than 2^32 tokens in %zu documents", b->n);
  }
  b->starts[b->n] = (uint32_t)at;
  sgi_tokens_place p = {b->head.tail, b->head.n_documents};
  if (!st) st = append(&b->places, &p, sizeof p, err);
  if (!st) st = put(b, b->starts, (b->n + 1) * sizeof *b->starts, err);
  for (size_t i = 0; i < b->n && !st; i++) {
    const document *d = b->documents + i;
    const int32_t *eos = &b->source->eos;
    mix(&b->lengths_hash, d->n + 1);
    XXH3_64bits_update(&b->tokens_hash, d->ids, d->n * sizeof *d->ids);
    XXH3_64bits_update(&b->tokens_hash, eos, sizeof *eos);
    st = put(b, d->ids, d->n * sizeof *d->ids, err);
    if (!st) st = put(b, eos, sizeof *eos, err);
  }
  b->head.n_documents += b->n;
  b->head.n_tokens += at;
  b->head.n_blocks++;
  for (size_t i = 0; i < b->n; i++) {
    sg_buffer_free(b->documents[i].ids);
    b->documents[i].ids = NULL;
  }
  b->n = b->text.n = 0;
  return st;
}

static sg_status report(const builder *b, uint64_t position, sg_error *err) {
  const sgi_tokens_source *s = b->source;
  uint64_t done = b->done + position; /* of a file that grows meanwhile it may be more than all */
  if (!s->progress || s->progress(s->user, !s->total || done < s->total ? done : s->total, s->total)) return SG_OK;
  return sgi_fail(err, SG_ERR_CANCELLED, "cancelled while tokenising");
}

static sg_status add_file(builder *b, const char *path, sg_error *err) {
  const sgi_tokens_source *s = b->source;
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  sgi_reader *r;
  sg_status st = sgi_reader_open(path, s->form->blank_lines, s->form->field, &r, err);
  if (st) return st;
  if (s->form->keep_cr) sgi_reader_keep_cr(r);
  for (;;) {
    const char *text;
    size_t n;
    if ((st = sgi_reader_next(r, &text, &n, err)) || !text) break;
    document *d = b->documents + b->n;
    d->begin = b->text.n;
    if ((st = append(&b->text, text, n, err))) break;
    d->end = b->text.n;
    b->n++;
    if (b->n < BATCH_DOCUMENTS && b->text.n < BATCH_BYTES) continue;
    if ((st = flush_batch(b, err))) {
      st = sgi_error_prefix(err, st, "%s", path);
      break;
    }
    if ((st = report(b, sgi_reader_position(r), err))) break;
  }
  const char *name = sgi_base_name(path);
  sgi_tokens_input in = {.stamp = sgi_reader_stamp(r), .name = strlen(name)};
  b->done += sgi_reader_position(r);
  sgi_text_notes_add(&b->head.notes, sgi_reader_notes(r));
  in.settled = now.tv_sec - 2 > in.stamp.mtime / 1000000000;
  sgi_reader_close(r);
  if (!st) st = append(&b->inputs, &in, sizeof in, err);
  if (!st) st = append(&b->inputs, name, in.name, err);
  return st;
}

static sg_status finish(builder *b, sg_error *err) {
  sg_status st = flush_batch(b, err);
  sgi_tokens_place end = {b->head.tail, b->head.n_documents};
  if (!st) st = append(&b->places, &end, sizeof end, err);
  if (!st && b->head.tail % 8) st = put(b, "\0\0\0\0", 4, err);
  if (!st) st = write_stage(b, err);
  if (!st) st = append(&b->places, b->inputs.data, b->inputs.n, err);
  if (!st) st = sgi_writer_write(b->writer, b->places.data, b->places.n, err);
  if (st) return st;
  sgi_tokens_header *h = &b->head;
  memcpy(h->magic, SGI_TOKENS_MAGIC, sizeof h->magic);
  h->version = SGI_TOKENS_VERSION;
  h->endian = SGI_TOKENS_ENDIAN;
  h->key = b->source->key;
  h->n_inputs = b->source->n_files;
  h->size = h->tail + b->places.n;
  h->blocks_hash = XXH3_64bits_digest(&b->blocks_hash);
  h->tail_hash = XXH3_64bits(b->places.data, b->places.n);
  mix(&b->lengths_hash, XXH3_64bits_digest(&b->tokens_hash));
  h->corpus_hash = XXH3_64bits_digest(&b->lengths_hash);
  h->header_hash = XXH3_64bits(h, offsetof(sgi_tokens_header, header_hash));
  return sgi_writer_write_at(b->writer, 0, h, sizeof *h, err);
}

sg_status sgi_tokens_build(sgi_writer *writer, const sgi_tokens_source *s, sg_error *err) {
  sg_status st = SG_OK;
  builder *b = sgi_alloc(sizeof *b);
  if (!b || !(b->documents = sgi_alloc(BATCH_DOCUMENTS * sizeof *b->documents)) ||
      !(b->stage = sgi_alloc(STAGE_BYTES))) {
    st = sgi_fail_memory(err, STAGE_BYTES, "tokenising");
  } else {
    b->source = s;
    b->writer = writer;
    XXH3_64bits_reset(&b->blocks_hash);
    XXH3_64bits_reset(&b->tokens_hash);
    XXH3_64bits_reset(&b->lengths_hash);
    b->head.tail = sizeof b->head;
    st = sgi_writer_write(writer, &b->head, sizeof b->head, err);
    for (size_t i = 0; i < s->n_files && !st; i++) st = add_file(b, s->files[i], err);
    if (!st) st = finish(b, err);
    if (!st) st = report(b, 0, err);
  }
  if (b) {
    sgi_free(b->documents);
    sgi_free(b->stage);
    sgi_free(b->text.data);
    sgi_free(b->places.data);
    sgi_free(b->inputs.data);
  }
  sgi_free(b);
  if (!st) return sgi_writer_close(writer, err);
  sgi_writer_drop(writer);
  return st;
}
