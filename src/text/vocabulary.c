/* vocabulary.c: tokens of the model by their bytes. */
#include "text/tokenizer.h"

static size_t slot_of(const char *bytes, size_t n, unsigned bits) {
  uint64_t h = 0xCBF29CE484222325u;
  for (size_t i = 0; i < n; i++) h = (h ^ (unsigned char)bytes[i]) * 0x100000001B3u;
  return (size_t)((h ^ h >> 31) * 0x9E3779B97F4A7C15u >> (64 - bits));
}

/* What text of the model's alphabet id stands for: the token's text, or, where it is an added
 * token's, its name read in the alphabet. False in *there where there is none. Returns false when
 * memory is out. */
static bool bytes_of(const sg_tokenizer *t, size_t id, sgi_bytes *name, const char **bytes, size_t *n, bool *there) {
  const sgi_token *k = &t->tokens[id];
  *there = k->model;
  *bytes = t->text.data + k->begin;
  *n = k->n;
  if (!k->model || !k->raw) return true;
  name->n = 0;
  if (!sgi_bytes_from_name(*bytes, *n, name, there)) return false;
  *bytes = name->data;
  *n = name->n;
  return true;
}

bool sgi_wholes_build(sg_tokenizer *t) {
  sgi_bytes name = {0};
  bool ok = true;
  for (t->whole_bits = 4; (size_t)1 << t->whole_bits < 2 * t->vocab_size;) t->whole_bits++;
  size_t mask = ((size_t)1 << t->whole_bits) - 1;
  t->wholes = sgi_alloc((mask + 1) * sizeof *t->wholes);
  ok = t->wholes != NULL;
  for (size_t id = 0; ok && id < t->vocab_size; id++) {
    const char *bytes;
    size_t n;
    bool there;
    ok = bytes_of(t, id, &name, &bytes, &n, &there);
    if (!ok || !there || !n) continue;
    size_t at = slot_of(bytes, n, t->whole_bits);
    while (t->wholes[at]) at = (at + 1) & mask;
    t->wholes[at] = (uint32_t)id + 1;
  }
  sgi_bytes_deinit(&name);
  return ok;
}

int32_t sgi_wholes_find(const sg_tokenizer *t, const char *bytes, size_t n) {
  size_t mask = ((size_t)1 << t->whole_bits) - 1;
  for (size_t at = slot_of(bytes, n, t->whole_bits); t->wholes[at]; at = (at + 1) & mask) {
    const sgi_token *k = &t->tokens[t->wholes[at] - 1];
    /* A raw token that is in the table reads as it stands, all but for bytes that no text has. */
    if (k->n == n && !memcmp(t->text.data + k->begin, bytes, n)) return (int32_t)t->wholes[at] - 1;
  }
  return -1;
}
