/* corpus.c: a tokenised corpus is a cache file, mapped. Which file that is, whether it is still
 * right, and what stands in it. A file that is not exactly right is made anew (corpus_build.c),
 * never repaired. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

#include "core/arena.h"
#include "data/corpus_file.h"
#include "text/tokenizer.h"

enum { NAME_MAX_BYTES = 96, PART = 4 << 20 }; /* of the data's name within the cache's name; checked at a time */

struct sgi_corpus {
  sgi_map map;
  const sgi_tokens_header *head;
  const sgi_tokens_place *places;
  sgi_text_notes notes; /* the header's, and of the directory as it is now */
  /* The part that is shown: documents [first, end), without the first `skipped` tokens of the first
   * and the last `cut` of the last one. */
  size_t first, end, skipped, cut;
  uint64_t tokens, hash;
};

/* ---- key ------------------------------------------------------------------------------------- */

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

/* The tokenizer's ids with their bytes, and what it makes of a probe for normaliser and split and
 * of all its tokens' texts in one, which shows the order of the merges. */
static sg_status mix_tokenizer(XXH3_state_t *h, const sg_tokenizer *tok, sg_error *err) {
  static const char probe[] =
      "Probe  \xEF\xAC\x81ne caf\x65\xCC\x81 \xE2\x84\xAB\xC2\xBD it's we'LL 12345 x_y\t\r\n\n "
      "end\xE3\x80\x80\xFF\x01 <|endoftext|> ok ";
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
  sgi_bytes rules = {0};
  if (!st && !sgi_tokenizer_rules(tok, &rules)) st = sgi_fail_memory(err, size, "the hash of a tokenizer");
  if (!st && rules.n) XXH3_64bits_update(h, rules.data, rules.n);
  sgi_bytes_deinit(&rules);
  sgi_free(all);
  return st;
}

static sg_status make_key(sgi_tokens_source *s, sg_error *err) {
  XXH3_state_t *h = sgi_alloc(sizeof *h);
  if (!h) return sgi_fail_memory(err, sizeof *h, "the hash of a tokenizer");
  XXH3_64bits_reset(h);
  mix(h, SGI_TOKENS_VERSION);
  mix(h, (uint64_t)s->eos);
  mix(h, s->form->blank_lines | (uint64_t)s->form->keep_cr << 1);
  const char *field = *s->form->field ? s->form->field : "text";
  XXH3_64bits_update(h, field, strlen(field));
  sg_status st = mix_tokenizer(h, s->tok, err);
  s->key = XXH3_64bits_digest(h);
  sgi_free(h);
  return st;
}

/* ---- where the cache lies -------------------------------------------------------------------- */

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

/* Directories for the cache, best first: beside the data, and the user's cache (NULL where there is
 * none). In the latter the real path of the data goes into the name. */
static sg_status cache_paths(const char *path, uint64_t key, char *paths[2], sg_error *err) {
  sg_status st = SG_OK;
  bool whole = sgi_is_directory(path);
  char *beside = NULL, *home = NULL, *real = realpath(path, NULL), *parent = sgi_strdup(path);
  if (!parent) goto memory;
  const char *name = "all";
  size_t name_n = 3;
  if (!whole) {
    char *slash = strrchr(parent, '/');
    name = sgi_base_name(path);
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

/* ---- reading and checking a cache ------------------------------------------------------------ */

/* Whether the inputs in the tail are the source's files as they are now. */
static bool same_inputs(const unsigned char *at, const unsigned char *end, const sgi_tokens_source *s) {
  for (size_t i = 0; i < s->n_files; i++) {
    sgi_tokens_input in;
    if ((size_t)(end - at) < sizeof in) return false;
    memcpy(&in, at, sizeof in);
    at += sizeof in;
    const char *name = sgi_base_name(s->files[i]);
    if (in.name != strlen(name) || (size_t)(end - at) < in.name || memcmp(at, name, in.name)) return false;
    at += in.name;
    sgi_stamp now;
    if (sgi_stamp_file(s->files[i], false, &now, NULL) || now.size != in.stamp.size) return false;
    if (now.mtime == in.stamp.mtime && in.settled) continue;
    if (sgi_stamp_file(s->files[i], true, &now, NULL) || now.hash != in.stamp.hash) return false;
  }
  return at == end;
}

/* The hash guards against damage, not against a file made up by hand: nothing in it may lead
 * outside. */
static bool sound_blocks(const sgi_corpus *c, size_t vocab) {
  const sgi_tokens_header *h = c->head;
  uint64_t tokens = 0;
  for (uint64_t b = 0; b < h->n_blocks; b++) {
    const sgi_tokens_place *p = c->places + b;
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
    sgi_map_release(&c->map, p[0].byte, p[1].byte);
  }
  const sgi_tokens_place *last = c->places + h->n_blocks;
  return c->places[0].byte == sizeof(sgi_tokens_header) && c->places[0].document == 0 &&
         last->document == h->n_documents && tokens == h->n_tokens;
}

/* xxh3 of bytes [from, to), a part at a time, so that a large cache does not fill the process. */
static bool has_hash(const sgi_map *map, size_t from, size_t to, uint64_t expected, sg_error *err) {
  XXH3_state_t *h = sgi_alloc(sizeof *h);
  if (!h) return sgi_fail_memory(err, sizeof *h, "the check of a token cache"), false;
  XXH3_64bits_reset(h);
  for (size_t at = from; at < to; at += PART) {
    size_t end = to - at > PART ? at + PART : to;
    XXH3_64bits_update(h, map->data + at, end - at);
    sgi_map_release(map, at, end);
  }
  bool same = XXH3_64bits_digest(h) == expected;
  sgi_free(h);
  return same;
}

static bool right_cache(sgi_corpus *c, const sgi_tokens_source *s, sg_error *err) {
  const sgi_tokens_header *h = c->head = (const sgi_tokens_header *)c->map.data;
  const unsigned char *data = c->map.data;
  size_t size = c->map.size, table;
  if (size < sizeof *h || memcmp(h->magic, SGI_TOKENS_MAGIC, sizeof h->magic) || h->version != SGI_TOKENS_VERSION ||
      h->endian != SGI_TOKENS_ENDIAN)
    return false;
  if (h->header_hash != XXH3_64bits(data, offsetof(sgi_tokens_header, header_hash)) || h->key != s->key ||
      h->size != size)
    return false;
  if (h->tail < sizeof *h || h->tail > size || h->tail % 8 || h->n_inputs != s->n_files || h->n_blocks > size)
    return false;
  table = (h->n_blocks + 1) * sizeof(sgi_tokens_place);
  if (table > size - h->tail || h->tail_hash != XXH3_64bits(data + h->tail, size - h->tail)) return false;
  if (!s->just_made && !same_inputs(data + h->tail + table, data + size, s)) return false;
  if (!has_hash(&c->map, sizeof *h, h->tail, h->blocks_hash, err)) return false;
  c->places = (const sgi_tokens_place *)(data + h->tail);
  return sound_blocks(c, s->vocab);
}

/* *out NULL: not there, damaged, or of something else. Only memory is an error, and
 * any failure where it was just made. */
static sg_status load_cache(const char *path, const sgi_tokens_source *s, sgi_corpus **out, sg_error *err) {
  *out = NULL;
  if (!path || !sgi_is_file(path)) return SG_OK;
  sgi_corpus *c = sgi_alloc(sizeof *c);
  if (!c) return sgi_fail_memory(err, sizeof *c, "a corpus");
  sg_error why = {0};
  sg_status st = sgi_map_file(path, &c->map, &why);
  if (!st && right_cache(c, s, &why)) {
    *out = c;
    return SG_OK;
  }
  sgi_corpus_close(c);
  return why.code == SG_ERR_MEMORY || (st && s->just_made) ? sgi_fail(err, why.code, "%s", why.text) : SG_OK;
}

void sgi_corpus_close(sgi_corpus *c) {
  if (!c) return;
  sgi_unmap_file(&c->map);
  sgi_free(c);
}

size_t sgi_corpus_documents(const sgi_corpus *c) { return c->end - c->first; }
uint64_t sgi_corpus_tokens(const sgi_corpus *c) { return c->tokens; }
const sgi_text_notes *sgi_corpus_notes(const sgi_corpus *c) { return &c->notes; }
uint64_t sgi_corpus_hash(const sgi_corpus *c) { return c->hash; }

static const int32_t *whole_document(const sgi_corpus *c, size_t i, size_t *n) {
  size_t low = 0, high = c->head->n_blocks; /* the block is in [low, high) */
  while (high - low > 1) {
    size_t mid = low + (high - low) / 2;
    if (c->places[mid].document <= i)
      low = mid;
    else
      high = mid;
  }
  const sgi_tokens_place *p = c->places + low;
  const uint32_t *starts = (const uint32_t *)(c->map.data + p->byte);
  size_t k = i - p->document, documents = p[1].document - p->document;
  *n = starts[k + 1] - starts[k];
  return (const int32_t *)(starts + documents + 1) + starts[k];
}

const int32_t *sgi_corpus_document(const sgi_corpus *c, size_t i, size_t *n) {
  const int32_t *ids = whole_document(c, c->first + i, n);
  if (c->first + i + 1 == c->end) *n -= c->cut;
  if (i) return ids;
  *n -= c->skipped;
  return ids + c->skipped;
}

static void show_all(sgi_corpus *c) {
  c->end = c->head->n_documents;
  c->tokens = c->head->n_tokens;
  c->hash = c->head->corpus_hash;
}

sg_status sgi_corpus_take_part(sgi_corpus *c, sgi_part part, double share, sg_error *err) {
  enum { MANY = 20 };
  size_t documents = c->end, n = 0, at = documents, kept = 0; /* the border: in document at, before token kept */
  uint64_t held = (uint64_t)(share * (double)c->tokens), behind = 0;
  if (!(share > 0)) return part == SGI_FOR_TRAINING ? SG_OK : sgi_fail(err, SG_ERR_ARG, "no part is held out");
  if (documents >= MANY) {
    size_t last = (size_t)(share * (double)documents + 0.5);
    at = documents - (last ? last : 1);
    for (size_t i = at; i < documents; i++) behind += (whole_document(c, i, &n), n);
  } else {
    if (!held) held = 1;
    while (behind < held && at) behind += (whole_document(c, --at, &n), n);
    kept = behind > held ? (size_t)(behind - held) : 0;
    behind -= kept;
  }
  if (!behind || behind >= c->tokens)
    return sgi_fail(err, SG_ERR_ARG, "%llu tokens are too few for a held-out part: set data.held_out to 0",
                    (unsigned long long)c->tokens);
  if (part == SGI_HELD_OUT) {
    c->first = at;
    c->skipped = kept;
    c->tokens = behind;
  } else {
    c->end = kept ? at + 1 : at;
    c->cut = kept ? n - kept : 0;
    c->tokens -= behind;
  }
  uint64_t of[] = {c->hash, c->first, c->end, c->skipped, c->cut};
  c->hash = XXH3_64bits(of, sizeof of);
  return SG_OK;
}

void sgi_corpus_measure(const sgi_corpus *c, size_t T, sgi_corpus_fit *out) {
  *out = (sgi_corpus_fit){0};
  for (size_t i = 0, n; i < sgi_corpus_documents(c); i++) {
    sgi_corpus_document(c, i, &n);
    if (n > out->longest) out->longest = n;
    if (n <= T) continue;
    out->longer++;
    out->beyond += n - T;
  }
}

/* ---- open ------------------------------------------------------------------------------------ */

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

/* A stream can be read once: its tokens are written to a directory of their own, mapped, and
 * removed at once. */
static sg_status read_stream(sgi_tokens_source *s, sgi_corpus **out, sg_error *err) {
  const char *base = getenv("TMPDIR");
  char *directory = sgi_path_join(base && *base ? base : "/tmp", "sgatlin-XXXXXX"), *path = NULL;
  sgi_writer *writer;
  if (!directory) return sgi_fail_memory(err, 64, "a path");
  if (!mkdtemp(directory)) {
    sg_status st = sgi_fail_file(err, directory, "no place for the tokens of a stream");
    sgi_free(directory);
    return st;
  }
  sg_status st = (path = sgi_path_join(directory, "tokens")) ? SG_OK : sgi_fail_memory(err, 64, "a path");
  s->just_made = true;
  if (!st) st = sgi_writer_open(path, &writer, err);
  if (!st) st = sgi_tokens_build(writer, s, err);
  if (!st) st = load_cache(path, s, out, err);
  if (!st && !*out)
    st = sgi_fail(err, SG_ERR_IO, "%s: cannot be read back as it was written; is the disk failing?", path);
  sgi_remove_tree(directory, NULL);
  sgi_free(directory);
  sgi_free(path);
  return st;
}

static sg_status read_files(const char *path, sgi_tokens_source *s, sgi_corpus **out, sg_error *err) {
  char *paths[2] = {NULL, NULL};
  sgi_writer *writer;
  size_t which = 0;
  sg_status st = cache_paths(path, s->key, paths, err);
  for (size_t i = 0; i < 2 && !st && !*out; i++) st = load_cache(paths[i], s, out, err);
  if (st || *out) goto done;
  for (size_t i = 0; i < s->n_files; i++) {
    sgi_stamp stamp;
    if ((st = sgi_stamp_file(s->files[i], false, &stamp, err))) goto done;
    s->total += stamp.size;
  }
  if ((st = open_writer(paths, &which, &writer, err)) || (st = sgi_tokens_build(writer, s, err))) goto done;
  s->just_made = true;
  st = load_cache(paths[which], s, out, err);
  if (!st && !*out)
    st = sgi_fail(err, SG_ERR_IO, "%s: cannot be read back as it was written; is the disk failing?", paths[which]);
done:
  sgi_free(paths[0]);
  sgi_free(paths[1]);
  return st;
}

sg_status sgi_corpus_open(const char *path, const sgi_text_form *form, const sg_tokenizer *tok, int32_t eos,
                          sgi_progress progress, void *user, sgi_corpus **out, sg_error *err) {
  *out = NULL;
  static const sgi_text_form plain;
  sgi_tokens_source s = {.form = form ? form : &plain,
                         .tok = tok,
                         .vocab = sg_tokenizer_vocab_size(tok),
                         .eos = eos,
                         .progress = progress,
                         .user = user};
  if (eos < 0 || (size_t)eos >= s.vocab)
    return sgi_fail(err, SG_ERR_ARG, "eos id %d is not in the tokenizer's vocabulary of %zu", eos, s.vocab);
  sgi_text_notes passed = {0};
  sg_status st = sgi_text_files(path, s.form->field, &passed, &s.files, &s.n_files, err);
  if (!st) st = make_key(&s, err);
  if (!st) st = sgi_is_stream(path) ? read_stream(&s, out, err) : read_files(path, &s, out, err);
  sgi_text_files_free(s.files, s.n_files);
  if (st) return st;
  show_all(*out);
  (*out)->notes = (*out)->head->notes;
  sgi_text_notes_add(&(*out)->notes, &passed);
  return SG_OK;
}
