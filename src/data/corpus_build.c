/* corpus_build.c: text to token cache. Three batches are on their way at a time: one is read
 * (unpacked and cut into pieces), all threads make documents and tokens of the pieces of another,
 * and a third is written. Reading and writing are one thread's each, which then joins the others,
 * so none waits while there is work. Blocks of the file are cut by the documents alone. */
#include <string.h>
#include <time.h>
#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

#include "core/arena.h"
#include "data/corpus_file.h"

enum { BATCH_DOCUMENTS = 4096, BATCH_BYTES = 4 << 20, STAGE_BYTES = 1 << 20, BATCHES = 3 };

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

/* A piece of a file on its way to tokens. */
typedef struct item {
  sgi_raw piece;
  size_t at, file;
  size_t bytes; /* of the document's text; 0: there is none */
  int32_t *ids; /* new, of the tokenizer */
  size_t n;
  uint64_t broken, broken_at, halves; /* mended */
} item;

typedef struct batch {
  item *items; /* (BATCH_DOCUMENTS) */
  size_t n;
  buffer text;       /* pieces one behind the other */
  sg_error ended;    /* what reading met behind its items */
  uint64_t position; /* bytes of all files when it was read */
} batch;

/* Tokens of a document that waits for its block to be whole. */
typedef struct document {
  int32_t *ids;
  size_t n;
} document;

typedef struct builder {
  XXH3_state_t blocks_hash, tokens_hash, lengths_hash; /* first, for their alignment */
  const sgi_tokens_source *source;
  sgi_writer *writer;
  /* reading */
  sgi_raw_form *forms; /* (n_files) */
  sgi_reader *reader;  /* of file `file`; NULL between files */
  size_t file;
  sgi_tokens_input input; /* of it */
  uint64_t done;          /* bytes of the files that are finished */
  bool all_read;
  buffer inputs;
  batch batches[BATCHES];
  /* writing */
  document *documents; /* the block */
  size_t n, text;      /* and bytes of their text */
  uint32_t starts[BATCH_DOCUMENTS + 1];
  buffer places;
  char *stage; /* small writes on their way to the file */
  size_t staged;
  sgi_tokens_header head;
} builder;

/* ---- reading --------------------------------------------------------------------------------- */

static sg_status open_file(builder *b, sg_error *err) {
  const sgi_tokens_source *s = b->source;
  const char *path = s->files[b->file];
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  sg_status st = sgi_reader_open(path, s->form->blank_lines, s->form->field, &b->reader, err);
  if (st) return st;
  if (s->form->keep_cr) sgi_reader_keep_cr(b->reader);
  sgi_raw_form *f = &b->forms[b->file];
  *f = sgi_reader_form(b->reader);
  f->path = strcmp(path, "-") ? path : "standard input"; /* the reader is closed before its last pieces are read */
  f->field = *s->form->field ? s->form->field : "text";
  b->input.settled = now.tv_sec - 2 > sgi_reader_stamp(b->reader).mtime / 1000000000;
  return SG_OK;
}

static sg_status close_file(builder *b, sg_error *err) {
  const char *name = sgi_base_name(b->source->files[b->file++]);
  b->input.stamp = sgi_reader_stamp(b->reader);
  b->input.name = strlen(name);
  b->done += sgi_reader_position(b->reader);
  sgi_reader_close(b->reader);
  b->reader = NULL;
  sg_status st = append(&b->inputs, &b->input, sizeof b->input, err);
  return st ? st : append(&b->inputs, name, b->input.name, err);
}

static sg_status add_piece(builder *b, batch *t, const sgi_raw *p, sg_error *err) {
  item *d = &t->items[t->n];
  *d = (item){.piece = *p, .at = t->text.n, .file = b->file};
  sg_status st = append(&t->text, p->text, p->n, err);
  if (!st) t->n++;
  return st;
}

/* Pieces of this file and the next ones, until the batch is full or all is read. What goes wrong is
 * told behind the pieces in front of it. */
static void read_batch(builder *b, batch *t) {
  sg_error *err = &t->ended;
  sg_status st = SG_OK;
  t->n = t->text.n = 0;
  *err = (sg_error){0};
  while (!st && !b->all_read && t->n < BATCH_DOCUMENTS && t->text.n < BATCH_BYTES) {
    sgi_raw p;
    if (b->file == b->source->n_files) {
      b->all_read = true;
      break;
    }
    if (!b->reader && (st = open_file(b, err))) break;
    if ((st = sgi_reader_next_raw(b->reader, &p, err))) break;
    st = p.text ? add_piece(b, t, &p, err) : close_file(b, err);
  }
  if (st) b->all_read = true;
  t->position = b->done + (b->reader ? sgi_reader_position(b->reader) : 0);
}

/* ---- documents and tokens -------------------------------------------------------------------- */

static sg_status encode(const builder *b, batch *t, item *d, sg_error *err) {
  const sgi_raw_form *f = &b->forms[d->file];
  sgi_raw_text got;
  d->piece.text = t->text.data + d->at;
  sg_status st = sgi_raw_read(f, &d->piece, &got, err);
  if (!st && got.text) {
    st = sg_tokenizer_encode(b->source->tok, got.text, got.n, &d->ids, &d->n, err);
    if (st) st = sgi_error_prefix(err, st, "%s", f->path);
    d->bytes = got.n;
  }
  d->broken = got.broken, d->broken_at = got.broken_at, d->halves = got.halves;
  json_decref(got.object);
  if (st) d->ids = NULL;
  return st;
}

static void drop_batch(batch *t) {
  for (size_t i = 0; i < t->n; i++) {
    sg_buffer_free(t->items[i].ids);
    t->items[i].ids = NULL;
  }
  t->n = 0;
}

/* ---- writing --------------------------------------------------------------------------------- */

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

static void drop_block(builder *b) {
  for (size_t i = 0; i < b->n; i++) sg_buffer_free(b->documents[i].ids);
  b->n = b->text = 0;
}

/* Writes the block and empties it. */
static sg_status write_block(builder *b, sg_error *err) {
  if (!b->n) return SG_OK;
  sg_status st = SG_OK;
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
  drop_block(b);
  return st;
}

static sg_status write_batch(builder *b, batch *t, sg_error *err) {
  sg_status st = SG_OK;
  for (size_t i = 0; i < t->n && !st; i++) {
    item *d = &t->items[i];
    sgi_raw_text mended = {.broken = d->broken, .broken_at = d->broken_at, .halves = d->halves};
    sgi_raw_note(&b->forms[d->file], &d->piece, &mended, &b->head.notes);
    if (!d->bytes) continue;
    b->documents[b->n++] = (document){d->ids, d->n};
    b->text += d->bytes;
    d->ids = NULL;
    if (b->n == BATCH_DOCUMENTS || b->text >= BATCH_BYTES) st = write_block(b, err);
  }
  drop_batch(t);
  return st;
}

/* ---- all three at once ----------------------------------------------------------------------- */

/* One step: batch `in` is read, `now` made into tokens, `out` written; NULL: none. Which thread
 * does what does not matter; of several failures the first in the text is told. */
static sg_status step(builder *b, batch *in, batch *now, batch *out, sg_error *err) {
  size_t n = now ? now->n : 0, first = n;
  sg_error failure = {0}, writing = {0};
  sg_status written = SG_OK;
#pragma omp parallel
  {
#pragma omp sections nowait
    {
#pragma omp section
      if (in) read_batch(b, in);
#pragma omp section
      if (out) written = write_batch(b, out, &writing);
    }
#pragma omp for schedule(dynamic, 4) nowait
    for (size_t i = 0; i < n; i++) {
      sg_error e;
      if (!encode(b, now, &now->items[i], &e)) continue;
#pragma omp critical(sgi_corpus_failure)
      if (i < first) first = i, failure = e;
    }
  }
  if (!written && first == n && (!now || !now->ended.code)) return SG_OK;
  const sg_error *what = written ? &writing : first < n ? &failure : &now->ended;
  if (err) *err = *what;
  return what->code;
}

/* done: of a file that grows meanwhile it may be more than all. */
static sg_status report(const builder *b, uint64_t done, sg_error *err) {
  const sgi_tokens_source *s = b->source;
  if (!s->progress || s->progress(s->user, !s->total || done < s->total ? done : s->total, s->total)) return SG_OK;
  return sgi_fail(err, SG_ERR_CANCELLED, "cancelled while tokenising");
}

static sg_status add_files(builder *b, sg_error *err) {
  batch *in, *now = NULL, *out = NULL;
  sg_status st = SG_OK;
  for (size_t k = 0; !st && (k == 0 || now || out || !b->all_read); k++) {
    in = b->all_read ? NULL : &b->batches[k % BATCHES];
    st = step(b, in, now, out, err);
    if (!st && now) st = report(b, now->position, err);
    out = now;
    now = in;
  }
  return st;
}

static sg_status finish(builder *b, sg_error *err) {
  sg_status st = write_block(b, err);
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

static sg_status make_room(builder *b, sg_error *err) {
  bool there = (b->documents = sgi_alloc(BATCH_DOCUMENTS * sizeof *b->documents)) &&
               (b->forms = sgi_alloc((b->source->n_files + 1) * sizeof *b->forms)) &&
               (b->stage = sgi_alloc(STAGE_BYTES));
  for (size_t i = 0; i < BATCHES; i++)
    there = there && (b->batches[i].items = sgi_alloc(BATCH_DOCUMENTS * sizeof *b->batches[i].items));
  return there ? SG_OK : sgi_fail_memory(err, STAGE_BYTES, "tokenising");
}

static void drop_builder(builder *b) {
  if (!b) return;
  for (size_t i = 0; i < BATCHES; i++) {
    drop_batch(&b->batches[i]);
    sgi_free(b->batches[i].items);
    sgi_free(b->batches[i].text.data);
  }
  drop_block(b);
  sgi_reader_close(b->reader);
  sgi_free(b->documents);
  sgi_free(b->forms);
  sgi_free(b->stage);
  sgi_free(b->places.data);
  sgi_free(b->inputs.data);
  sgi_free(b);
}

sg_status sgi_tokens_build(sgi_writer *writer, const sgi_tokens_source *s, sg_error *err) {
  builder *b = sgi_alloc(sizeof *b);
  sg_status st = b ? SG_OK : sgi_fail_memory(err, sizeof *b, "tokenising");
  if (!st) {
    b->source = s;
    b->writer = writer;
    st = make_room(b, err);
  }
  if (!st) {
    XXH3_64bits_reset(&b->blocks_hash);
    XXH3_64bits_reset(&b->tokens_hash);
    XXH3_64bits_reset(&b->lengths_hash);
    b->head.tail = sizeof b->head;
    st = sgi_writer_write(writer, &b->head, sizeof b->head, err);
    if (!st) st = add_files(b, err);
    if (!st) st = finish(b, err);
    if (!st) st = report(b, b->done, err);
  }
  drop_builder(b);
  if (!st) return sgi_writer_close(writer, err);
  sgi_writer_drop(writer);
  return st;
}
