/* tokenizer.c: a tokenizer's tables and what can be asked of them. */
#include "text/tokenizer.h"

#include <stdio.h>

#include "text/unicode.h"

/* ---- the byte-level alphabet ----------------------------------------------------------------- */

static bool stands_for_itself(unsigned byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

uint32_t sgi_byte_character(unsigned char byte) {
  if (stands_for_itself(byte)) return byte;
  return 0x100u + (byte <= 0x20 ? byte : byte <= 0xA0 ? byte - 0x7Fu + 0x21u : 0x43u);
}

int sgi_character_byte(uint32_t c) {
  if (c < 0x100) return stands_for_itself(c) ? (int)c : -1;
  if (c <= 0x120) return (int)c - 0x100;
  if (c <= 0x142) return (int)c - 0x121 + 0x7F;
  return c == 0x143 ? 0xAD : -1;
}

bool sgi_bytes_from_name(const char *name, size_t n, sgi_bytes *out, bool *plain) {
  size_t before = out->n;
  *plain = true;
  if (!sgi_bytes_room(out, n)) return false;
  for (size_t i = 0; i < n;) {
    uint32_t c;
    i += sgi_utf8_next(name + i, n - i, &c);
    int byte = sgi_character_byte(c);
    if (byte < 0) {
      out->n = before;
      *plain = false;
      return true;
    }
    out->data[out->n++] = (char)byte;
  }
  return true;
}

bool sgi_name_from_bytes(const char *bytes, size_t n, sgi_bytes *out) {
  for (size_t i = 0; i < n; i++) {
    if (!sgi_bytes_room(out, 4)) return false;
    out->n += sgi_utf8_put(sgi_byte_character((unsigned char)bytes[i]), out->data + out->n);
  }
  return true;
}

/* ---- making one ------------------------------------------------------------------------------ */

sg_status sgi_tokenizer_create(size_t vocab_size, sg_tokenizer **out, sg_error *err) {
  *out = NULL;
  sg_tokenizer *t = sgi_alloc(sizeof *t);
  if (!t) return sgi_fail_memory(err, sizeof *t, "a tokenizer");
  pthread_mutex_init(&t->lock, NULL);
  t->vocab_size = vocab_size;
  t->tokens = sgi_alloc(vocab_size * sizeof *t->tokens);
  if (!t->tokens) {
    sg_tokenizer_free(t);
    return sgi_fail_memory(err, vocab_size * sizeof *t->tokens, "a tokenizer");
  }
  *out = t;
  return SG_OK;
}

sg_status sgi_tokenizer_put(sg_tokenizer *t, int32_t id, const char *bytes, size_t n, sg_error *err) {
  size_t begin = t->text.n;
  if (n > UINT32_MAX || !sgi_bytes_add(&t->text, bytes, n) || !sgi_bytes_add(&t->text, "", 1))
    return sgi_fail_memory(err, n, "a token");
  t->tokens[id] = (sgi_token){.begin = begin, .n = (uint32_t)n, .there = true};
  return SG_OK;
}

/* Special tokens are sought first, then the others, each in the file's order: of two that read
 * alike the first counts.
 */
static sg_status sort_added(sg_tokenizer *t, sg_error *err) {
  sgi_points points = {0};
  sgi_bytes text = {0};
  bool ok = true;
  for (size_t i = 0; i < 2 * t->n_added && ok; i++) {
    int32_t id = t->added[i % t->n_added];
    const sgi_token *k = &t->tokens[id];
    if (k->special != (i < t->n_added)) continue;
    text.n = 0;
    ok = sgi_normalize(k->normalized ? t->form : SGI_AS_IT_IS, t->text.data + k->begin, k->n, &points, &text);
    if (ok && text.n) ok = sgi_added_put(k->normalized ? &t->normal : &t->plain, text.data, text.n, id);
  }
  sgi_added_sort(&t->plain);
  sgi_added_sort(&t->normal);
  sgi_bytes_deinit(&text);
  sgi_free(points.at);
  return ok ? SG_OK : sgi_fail_memory(err, t->n_added, "added tokens");
}

/* The table of merges, and the list without those that a later one of the same pair takes the place
 * of. */
static sg_status build_merges(sg_tokenizer *t, sg_error *err) {
  for (;;) {
    if (!sgi_bpe_init(&t->bpe, t->merges, t->n_merges))
      return sgi_fail_memory(err, t->n_merges * sizeof(sgi_bpe_slot), "a tokenizer's merges");
    size_t kept = 0;
    for (size_t i = 0; i < t->n_merges; i++)
      if (sgi_bpe_rank(&t->bpe, t->merges[i].left, t->merges[i].right) == i) t->merges[kept++] = t->merges[i];
    if (kept == t->n_merges) return SG_OK;
    t->n_merges = kept;
    sgi_bpe_deinit(&t->bpe);
  }
}

sg_status sgi_tokenizer_finish(sg_tokenizer *t, sg_error *err) {
  for (int i = 0; i < 256; i++) t->bpe.byte_ids[i] = -1;
  for (size_t i = 0; i < t->vocab_size; i++) {
    const sgi_token *k = &t->tokens[i];
    if (k->model && !k->raw && k->n == 1) t->bpe.byte_ids[(unsigned char)t->text.data[k->begin]] = (int32_t)i;
  }
  sg_status st = sort_added(t, err);
  if (st) return st;
  if (t->whole_first && !sgi_wholes_build(t))
    return sgi_fail_memory(err, t->vocab_size * sizeof *t->wholes, "a tokenizer");
  return build_merges(t, err);
}

void sg_tokenizer_free(sg_tokenizer *t) {
  if (!t) return;
  sgi_encoders_free(t->idle);
  pthread_mutex_destroy(&t->lock);
  sgi_bpe_deinit(&t->bpe);
  sgi_bytes_deinit(&t->text);
  sgi_free(t->tokens);
  sgi_free(t->merges);
  sgi_free(t->added);
  sgi_added_deinit(&t->plain);
  sgi_added_deinit(&t->normal);
  sgi_free(t->wholes);
  for (size_t i = 0; i < t->n_cuts; i++) sgi_pattern_free(t->cuts[i].pattern);
  sgi_free(t->cuts);
  for (size_t i = 0; i < SGI_COUNT(t->parts); i++) json_decref(t->parts[i]);
  json_decref(t->model);
  sgi_free(t);
}

bool sgi_tokenizer_rules(const sg_tokenizer *t, sgi_bytes *out) {
  char flags[64];
  char *cuts = t->n_cuts ? sgi_json_text(t->parts[1]) : NULL;
  bool ok = !t->n_cuts || (cuts && sgi_bytes_add(out, cuts, strlen(cuts)));
  sgi_free(cuts);
  if (t->form == SGI_NFC) ok = ok && sgi_bytes_add(out, "NFC", 3);
  if (!t->split.use_regex) ok = ok && sgi_bytes_add(out, "whole", 5);
  if (t->whole_first) ok = ok && sgi_bytes_add(out, "first", 5);
  for (size_t i = 0; i < t->n_added && ok; i++) {
    const sgi_token *k = &t->tokens[t->added[i]];
    if (!k->single_word && !k->lstrip && !k->rstrip && !k->normalized) continue;
    int n =
        snprintf(flags, sizeof flags, " %d:%d%d%d%d", t->added[i], k->single_word, k->lstrip, k->rstrip, k->normalized);
    ok = sgi_bytes_add(out, flags, (size_t)n);
  }
  return ok;
}

/* ---- questions ------------------------------------------------------------------------------- */

size_t sg_tokenizer_vocab_size(const sg_tokenizer *t) { return t->vocab_size; }

const char *sg_tokenizer_token_bytes(const sg_tokenizer *t, int32_t id, size_t *n) {
  *n = 0;
  if (id < 0 || (size_t)id >= t->vocab_size || !t->tokens[id].there) return NULL;
  *n = t->tokens[id].n;
  return t->text.data + t->tokens[id].begin;
}

int32_t sg_tokenizer_special(const sg_tokenizer *t, const char *text) {
  size_t n = strlen(text);
  for (size_t i = 0; i < t->n_added; i++) {
    const sgi_token *k = &t->tokens[t->added[i]];
    if (k->special && k->n == n && !memcmp(t->text.data + k->begin, text, n)) return t->added[i];
  }
  return -1;
}

void sg_buffer_free(void *buffer) { sgi_free(buffer); }

sg_status sg_tokenizer_decode(const sg_tokenizer *t, const int32_t *ids, size_t count, bool skip_special, char **text,
                              size_t *n, sg_error *err) {
  sgi_bytes all = {0}, whole = {0};
  *text = NULL;
  *n = 0;
  for (size_t i = 0; i < count; i++) {
    size_t length;
    const char *bytes = sg_tokenizer_token_bytes(t, ids[i], &length);
    if (!bytes) {
      sgi_bytes_deinit(&all);
      return sgi_fail(err, SG_ERR_ARG, "id %d (number %zu) is not in the vocabulary; expected 0 to %zu", ids[i], i,
                      t->vocab_size - 1);
    }
    if (skip_special && t->tokens[ids[i]].special) continue;
    if (!sgi_bytes_add(&all, bytes, length)) goto memory;
  }
  if (all.n && !sgi_utf8_valid(all.data, all.n)) {
    if (!sgi_utf8_lossy(all.data, all.n, &whole)) goto memory;
    sgi_bytes_deinit(&all);
    all = whole;
  }
  if (!sgi_bytes_room(&all, 1)) goto memory;
  all.data[all.n] = '\0';
  *text = all.data;
  *n = all.n;
  return SG_OK;
memory:
  sgi_bytes_deinit(&whole);
  sgi_bytes_deinit(&all);
  return sgi_fail_memory(err, all.n, "decoded text");
}
