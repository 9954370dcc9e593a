/* corpus.c: a tokenised corpus is a cache file, mapped; this file makes it, checks it and reads it.
 *
 * The file, all numbers little-endian (docs/formats.md):
 *   header      struct header, with its own hash
 *   blocks      one behind the other, each a batch of documents: starts uint32 (n+1), then tokens int32 (starts[n]); document i of the
 *               block is tokens[starts[i]..starts[i+1]), its eos included
 *   tail        n_blocks+1 struct place (the last one is the end), then n_inputs times {struct input, its name's bytes}
 * Blocks are cut by the documents alone, so the bytes do not depend on the number of threads, and memory is one batch and 16 bytes
 * per block, however large the text is. A file that is not exactly right is made anew, never repaired.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

#include "core/arena.h"
#include "core/file.h"
#include "text/reader.h"
#include "train/data.h"

enum {
  VERSION = 1,
  BATCH_DOCUMENTS = 4096,
  BATCH_BYTES = 4 << 20,
  NAME_MAX_BYTES = 96, /* of the data's name within the cache's name */
};
static const char MAGIC[8] = "SGTOKENS";

typedef struct header {
  char magic[8];
  uint32_t version, endian; /* endian 0x01020304 as the machine has it */
  uint64_t key;             /* hash of tokenizer, eos, form and version */
  uint64_t n_documents, n_tokens, n_blocks, n_inputs;
  uint64_t tail, size;      /* byte of the tail; bytes of the file */
  uint64_t blocks_hash, tail_hash, corpus_hash;
  uint64_t header_hash;     /* of all bytes before it */
} header;

typedef struct place {
  uint64_t byte, document; /* of the block's begin; document: number of its first */
} place;

typedef struct input {
  sgi_stamp stamp;
  uint64_t settled; /* 0: written shortly before it was read, so an equal time proves nothing */
  uint64_t name;    /* bytes of the base name that follows */
} input;

struct sgi_corpus {
  sgi_map map;
  const header *head;
  const place *places;
};

/* What a cache has to match. */
typedef struct source {
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
} source;

static const char *base_name(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

/* ---- key --------------------------------------------------------------------------------------------------------- */

static void mix(XXH3_state_t *h, uint64_t value) { XXH3_64bits_update(h, &value, sizeof value); }

static sg_status mix_encoded(XXH3_state_t *h, const sg_tokenizer *tok, const char *text, size_t n, sg_error *err) {
  int32_t *ids;
  size_t count;
  sg_status st = sg_tokenizer_encode(tok, text, n, &ids, &count, err);
  if (st) return st;
  mix(h, count);
  XXH3_64bits_update(h, ids, count * sizeof *ids);
  sg_buffer_free(ids);
  return SG_OK;
}

/* The tokenizer's ids with their bytes, and what it makes of a probe for normaliser and split and of all its tokens' texts in one, which
 * shows the order of the merges. */
static sg_status mix_tokenizer(XXH3_state_t *h, const sg_tokenizer *tok, sg_error *err) {
  static const char probe[] = "Probe  \xEF\xAC\x81ne caf\x65\xCC\x81 \xE2\x84\xAB\xC2\xBD it's we'LL 12345 x_y\t\r\n\n end\xE3\x80\x80\xFF\x01 <|endoftext|> ok ";
  size_t vocab = sg_tokenizer_vocab_size(tok), n, size = 0, at = 0;
  mix(h, vocab);
  for (size_t i = 0; i < vocab; i++) {
    const char *bytes = sg_tokenizer_token_bytes(tok, (int32_t)i, &n);
    mix(h, bytes ? n : UINT64_MAX);
    if (!bytes) continue;
    XXH3_64bits_update(h, bytes, n);
    size += n + 1;
  }
  char *all = sgi_alloc(size);
  if (!all) return sgi_fail_memory(err, size, "the hash of a tokenizer");
  for (size_t i = 0; i < vocab; i++) {
    const char *bytes = sg_tokenizer_token_bytes(tok, (int32_t)i, &n);
    if (!bytes) continue;
    memcpy(all + at, bytes, n);
    at += n;
    all[at++] = ' ';
  }
  sg_status st = mix_encoded(h, tok, probe, sizeof probe - 1, err);
  if (!st) st = mix_encoded(h, tok, probe + 7, sizeof probe - 8, err);
  if (!st) st = mix_encoded(h, tok, all, at, err);
  sgi_free(all);
  return st;
}

static sg_status make_key(source *s, sg_error *err) {
  XXH3_state_t *h = sgi_alloc(sizeof *h);
  if (!h) return sgi_fail_memory(err, sizeof *h, "the hash of a tokenizer");
  XXH3_64bits_reset(h);
  mix(h, VERSION);
  mix(h, (uint64_t)s->eos);
  mix(h, s->form->blank_lines);
  const char *field = *s->form->field ? s->form->field : "text";
  XXH3_64bits_update(h, field, strlen(field));
  sg_status st = mix_tokenizer(h, s->tok, err);
  s->key = XXH3_64bits_digest(h);
  sgi_free(h);
  return st;
}

/* ---- where the cache lies ------------------------------------------------------------------------------------------ */

/* DIRECTORY/NAME.KEY.tokens; a long name is cut, the key knows it whole. */
static char *cache_path(const char *directory, const char *name, size_t name_n, uint64_t key) {
  char file[NAME_MAX_BYTES + 32];
  if (name_n > NAME_MAX_BYTES) {
    key = XXH3_64bits_withSeed(name, name_n, key);
    name_n = NAME_MAX_BYTES;
  }
  memcpy(file, name, name_n);
  snprintf(file + name_n, sizeof file - name_n, ".%016llx.tokens", (unsigned long long)key);
  return sgi_path_join(directory, file);
}

/* Directories for the cache, best first: beside the data, and the user's cache (NULL where there is none). In the latter the real path of
 * the data goes into the name. */
static sg_status cache_paths(const char *path, uint64_t key, char *paths[2], sg_error *err) {
  sg_status st = SG_OK;
  bool whole = sgi_is_directory(path);
  char *beside = NULL, *home = NULL, *real = realpath(path, NULL), *parent = sgi_strdup(path);
  if (!parent) goto memory;
  const char *name = "all";
  size_t name_n = 3;
  if (!whole) {
    char *slash = strrchr(parent, '/');
    name = base_name(path);
    name_n = strlen(name);
    if (slash)
      slash[slash == parent] = '\0';
    else
      strcpy(parent, ".");
  }
  if (!(beside = sgi_path_join(parent, ".sgatlin")) || !(paths[0] = cache_path(beside, name, name_n, key))) goto memory;
  const char *xdg = getenv("XDG_CACHE_HOME"), *user = getenv("HOME");
  if (xdg && *xdg == '/')
    home = sgi_path_join(xdg, "sgatlin");
  else if (user && *user == '/')
    home = sgi_path_join(user, ".cache/sgatlin");
  else
    goto done;
  const char *id = real ? real : path;
  if (!home || !(paths[1] = cache_path(home, name, name_n, XXH3_64bits_withSeed(id, strlen(id), key)))) goto memory;
  goto done;
memory:
  st = sgi_fail_memory(err, strlen(path), "a path");
done:
  sgi_free(parent);
  sgi_free(beside);
  sgi_free(home);
  free(real);
  return st;
}

/* ---- reading and checking a cache ----------------------------------------------------------------------------------- */

/* Whether the inputs in the tail are the source's files as they are now. */
static bool same_inputs(const unsigned char *at, const unsigned char *end, const source *s) {
  for (size_t i = 0; i < s->n_files; i++) {
    input in;
    if ((size_t)(end - at) < sizeof in) return false;
    memcpy(&in, at, sizeof in);
    at += sizeof in;
    const char *name = base_name(s->files[i]);
    if (in.name != strlen(name) || (size_t)(end - at) < in.name || memcmp(at, name, in.name)) return false;
    at += in.name;
    sgi_stamp now;
    if (sgi_stamp_file(s->files[i], false, &now, NULL) || now.size != in.stamp.size) return false;
    if (now.mtime == in.stamp.mtime && in.settled) continue;
    if (sgi_stamp_file(s->files[i], true, &now, NULL) || now.hash != in.stamp.hash) return false;
  }
  return at == end;
}

/* The hash guards against damage, not against a file made up by hand: nothing in it may lead outside. */
static bool sound_blocks(const sgi_corpus *c, size_t vocab) {
  const header *h = c->head;
  uint64_t tokens = 0;
  for (uint64_t b = 0; b < h->n_blocks; b++) {
    const place *p = c->places + b;
    if (p[0].byte % 4 || p[1].byte > h->tail || p[1].byte < p[0].byte || p[1].document <= p[0].document) return false;
    uint64_t words = (p[1].byte - p[0].byte) / 4, n = p[1].document - p[0].document;
    if (n >= words) return false;
    const uint32_t *starts = (const uint32_t *)(c->map.data + p[0].byte);
    if (starts[0] != 0 || starts[n] != words - n - 1) return false;
    for (uint64_t i = 0; i < n; i++)
      if (starts[i] >= starts[i + 1]) return false;
    const uint32_t *ids = starts + n + 1;
    uint32_t largest = 0;
    for (uint64_t i = 0; i < starts[n]; i++) largest = ids[i] > largest ? ids[i] : largest;
    if (largest >= vocab) return false;
    tokens += starts[n];
  }
  const place *last = c->places + h->n_blocks;
  return c->places[0].byte == sizeof(header) && c->places[0].document == 0 && last->document == h->n_documents && tokens == h->n_tokens;
}

static bool right_cache(sgi_corpus *c, const source *s) {
  const header *h = c->head = (const header *)c->map.data;
  const unsigned char *data = c->map.data;
  size_t size = c->map.size, table;
  if (size < sizeof *h || memcmp(h->magic, MAGIC, sizeof h->magic) || h->version != VERSION || h->endian != 0x01020304) return false;
  if (h->header_hash != XXH3_64bits(data, offsetof(header, header_hash)) || h->key != s->key || h->size != size) return false;
  if (h->tail < sizeof *h || h->tail > size || h->tail % 8 || h->n_inputs != s->n_files || h->n_blocks > size) return false;
  table = (h->n_blocks + 1) * sizeof(place);
  if (table > size - h->tail || h->tail_hash != XXH3_64bits(data + h->tail, size - h->tail)) return false;
  if (!s->just_made && !same_inputs(data + h->tail + table, data + size, s)) return false;
  if (h->blocks_hash != XXH3_64bits(data + sizeof *h, h->tail - sizeof *h)) return false;
  c->places = (const place *)(data + h->tail);
  return sound_blocks(c, s->vocab);
}

/* *out NULL: not there, damaged, or of something else. Only memory is an error. */
static sg_status load_cache(const char *path, const source *s, sgi_corpus **out, sg_error *err) {
  *out = NULL;
  if (!path || !sgi_is_file(path)) return SG_OK;
  sgi_corpus *c = sgi_alloc(sizeof *c);
  if (!c) return sgi_fail_memory(err, sizeof *c, "a corpus");
  sg_status st = sgi_map_file(path, &c->map, err);
  if (!st && right_cache(c, s)) {
    *out = c;
    return SG_OK;
  }
  sgi_corpus_close(c);
  return st == SG_ERR_MEMORY ? st : SG_OK;
}

void sgi_corpus_close(sgi_corpus *c) {
  if (!c) return;
  sgi_unmap_file(&c->map);
  sgi_free(c);
}

size_t sgi_corpus_documents(const sgi_corpus *c) { return c->head->n_documents; }
uint64_t sgi_corpus_tokens(const sgi_corpus *c) { return c->head->n_tokens; }
uint64_t sgi_corpus_hash(const sgi_corpus *c) { return c->head->corpus_hash; }

const int32_t *sgi_corpus_document(const sgi_corpus *c, size_t i, size_t *n) {
  size_t low = 0, high = c->head->n_blocks; /* the block is in [low, high) */
  while (high - low > 1) {
    size_t mid = low + (high - low) / 2;
    if (c->places[mid].document <= i)
      low = mid;
    else
      high = mid;
  }
  const place *p = c->places + low;
  const uint32_t *starts = (const uint32_t *)(c->map.data + p->byte);
  size_t k = i - p->document, documents = p[1].document - p->document;
  *n = starts[k + 1] - starts[k];
  return (const int32_t *)(starts + documents + 1) + starts[k];
}

/* ---- making a cache -------------------------------------------------------------------------------------------------- */

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
  const source *source;
  sgi_writer *writer;
  document *documents; /* the batch */
  size_t n;
  buffer text, block, places, inputs;
  header head;
  uint64_t done; /* bytes of the files that are finished */
} builder;

/* Ids of each document of the batch. Which thread does which does not matter; of several failures the first document's is told. */
static sg_status encode_batch(builder *b, sg_error *err) {
  size_t n = b->n, first = n;
  sg_error failure = {SG_OK, ""};
#pragma omp parallel for schedule(dynamic, 4) if (n > 1)
  for (size_t i = 0; i < n; i++) {
    document *d = b->documents + i;
    sg_error e;
    if (sg_tokenizer_encode(b->source->tok, b->text.data + d->begin, d->end - d->begin, &d->ids, &d->n, &e) == SG_OK) continue;
    d->ids = NULL;
#pragma omp critical(sgi_corpus_failure)
    if (i < first) first = i, failure = e;
  }
  if (first == n) return SG_OK;
  if (err) *err = failure;
  return failure.code;
}

static sg_status put(builder *b, const void *data, size_t n, sg_error *err) {
  XXH3_64bits_update(&b->blocks_hash, data, n);
  b->head.tail += n;
  return sgi_writer_write(b->writer, data, n, err);
}

/* Writes the batch as one block and empties it. */
static sg_status flush_batch(builder *b, sg_error *err) {
  if (!b->n) return SG_OK;
  sg_status st = encode_batch(b, err);
  size_t total = b->n;
  for (size_t i = 0; i < b->n && !st; i++)
    if (!sgi_size_add(total, b->documents[i].n, &total) || total > UINT32_MAX)
      st = sgi_fail(err, SG_ERR_UNSUPPORTED, "more than 2^32 tokens in %zu documents", b->n);
  place p = {b->head.tail, b->head.n_documents};
  if (!st) st = append(&b->places, &p, sizeof p, err);
  b->block.n = 0;
  if (!st) st = reserve(&b->block, (total + b->n + 1) * sizeof(int32_t), err);
  if (!st) {
    uint32_t *starts = (uint32_t *)b->block.data;
    int32_t *ids = (int32_t *)(starts + b->n + 1);
    size_t at = 0;
    for (size_t i = 0; i < b->n; i++) {
      const document *d = b->documents + i;
      starts[i] = (uint32_t)at;
      if (d->n) memcpy(ids + at, d->ids, d->n * sizeof *ids);
      at += d->n;
      ids[at++] = b->source->eos;
      mix(&b->lengths_hash, d->n + 1);
    }
    starts[b->n] = (uint32_t)at;
    XXH3_64bits_update(&b->tokens_hash, ids, at * sizeof *ids);
    st = put(b, b->block.data, (at + b->n + 1) * sizeof *ids, err);
    b->head.n_documents += b->n;
    b->head.n_tokens += at;
    b->head.n_blocks++;
  }
  for (size_t i = 0; i < b->n; i++) {
    sg_buffer_free(b->documents[i].ids);
    b->documents[i].ids = NULL;
  }
  b->n = b->text.n = 0;
  return st;
}

static sg_status report(const builder *b, uint64_t position, sg_error *err) {
  const source *s = b->source;
  if (!s->progress || s->progress(s->user, b->done + position, s->total)) return SG_OK;
  return sgi_fail(err, SG_ERR_CANCELLED, "cancelled while tokenising");
}

static sg_status add_file(builder *b, const char *path, sg_error *err) {
  const source *s = b->source;
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  sgi_reader *r;
  sg_status st = sgi_reader_open(path, s->form->blank_lines, s->form->field, &r, err);
  if (st) return st;
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
  const char *name = base_name(path);
  input in = {.stamp = sgi_reader_stamp(r), .name = strlen(name)};
  b->done += sgi_reader_position(r);
  in.settled = now.tv_sec - 2 > in.stamp.mtime / 1000000000;
  sgi_reader_close(r);
  if (!st) st = append(&b->inputs, &in, sizeof in, err);
  if (!st) st = append(&b->inputs, name, in.name, err);
  return st;
}

static sg_status finish(builder *b, sg_error *err) {
  sg_status st = flush_batch(b, err);
  place end = {b->head.tail, b->head.n_documents};
  if (!st) st = append(&b->places, &end, sizeof end, err);
  if (!st && b->head.tail % 8) st = put(b, "\0\0\0\0", 4, err);
  if (!st) st = append(&b->places, b->inputs.data, b->inputs.n, err);
  if (!st) st = sgi_writer_write(b->writer, b->places.data, b->places.n, err);
  if (st) return st;
  header *h = &b->head;
  memcpy(h->magic, MAGIC, sizeof h->magic);
  h->version = VERSION;
  h->endian = 0x01020304;
  h->key = b->source->key;
  h->n_inputs = b->source->n_files;
  h->size = h->tail + b->places.n;
  h->blocks_hash = XXH3_64bits_digest(&b->blocks_hash);
  h->tail_hash = XXH3_64bits(b->places.data, b->places.n);
  mix(&b->lengths_hash, XXH3_64bits_digest(&b->tokens_hash));
  h->corpus_hash = XXH3_64bits_digest(&b->lengths_hash);
  h->header_hash = XXH3_64bits(h, offsetof(header, header_hash));
  return sgi_writer_write_at(b->writer, 0, h, sizeof *h, err);
}

/* Takes the writer over. */
static sg_status build_cache(sgi_writer *writer, const source *s, sg_error *err) {
  sg_status st = SG_OK;
  builder *b = sgi_alloc(sizeof *b);
  if (!b || !(b->documents = sgi_alloc(BATCH_DOCUMENTS * sizeof *b->documents))) {
    st = sgi_fail_memory(err, BATCH_DOCUMENTS * sizeof(document), "tokenising");
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
    sgi_free(b->documents);
    sgi_free(b->text.data);
    sgi_free(b->block.data);
    sgi_free(b->places.data);
    sgi_free(b->inputs.data);
  }
  sgi_free(b);
  if (!st) return sgi_writer_close(writer, err);
  sgi_writer_drop(writer);
  return st;
}

/* A writer at the first of paths that takes one; the second failure is told if both fail. */
static sg_status open_writer(char *paths[2], size_t *which, sgi_writer **out, sg_error *err) {
  sg_status st = SG_ERR_IO;
  for (size_t i = 0; i < 2 && paths[i]; i++) {
    char *directory = sgi_strdup(paths[i]);
    if (!directory) return sgi_fail_memory(err, strlen(paths[i]), "a path");
    *strrchr(directory, '/') = '\0';
    st = sgi_make_directory(directory, err);
    sgi_free(directory);
    if (!st) st = sgi_writer_open(paths[i], out, err);
    *which = i;
    if (!st || st == SG_ERR_MEMORY) return st;
  }
  return sgi_error_prefix(err, st, "no place for the tokens beside the data, nor under XDG_CACHE_HOME or ~/.cache");
}

sg_status sgi_corpus_open(const char *path, const sgi_text_form *form, const sg_tokenizer *tok, int32_t eos, sgi_progress progress,
                          void *user, sgi_corpus **out, sg_error *err) {
  *out = NULL;
  static const sgi_text_form plain;
  source s = {.form = form ? form : &plain, .tok = tok, .vocab = sg_tokenizer_vocab_size(tok), .eos = eos, .progress = progress,
              .user = user};
  if (eos < 0 || (size_t)eos >= s.vocab)
    return sgi_fail(err, SG_ERR_ARG, "eos id %d is not in the tokenizer's vocabulary of %zu", eos, s.vocab);
  char *paths[2] = {NULL, NULL};
  sgi_writer *writer;
  size_t which;
  sg_status st = sgi_text_files(path, &s.files, &s.n_files, err);
  if (!st) st = make_key(&s, err);
  if (!st) st = cache_paths(path, s.key, paths, err);
  for (size_t i = 0; i < 2 && !st && !*out; i++) st = load_cache(paths[i], &s, out, err);
  if (st || *out) goto done;
  for (size_t i = 0; i < s.n_files; i++) {
    sgi_stamp stamp;
    if ((st = sgi_stamp_file(s.files[i], false, &stamp, err))) goto done;
    s.total += stamp.size;
  }
  if ((st = open_writer(paths, &which, &writer, err)) || (st = build_cache(writer, &s, err))) goto done;
  s.just_made = true;
  st = load_cache(paths[which], &s, out, err);
  if (!st && !*out) st = sgi_fail(err, SG_ERR_IO, "%s: cannot be read back as it was written; is the disk failing?", paths[which]);
done:
  sgi_text_files_free(s.files, s.n_files);
  sgi_free(paths[0]);
  sgi_free(paths[1]);
  return st;
}
