/* tokenizer_parts.c: the parts of a tokenizer.json around its model, and how what is not understood is refused. */
#include <stdio.h>

#include "text/tokenizer_file.h"

enum { MAX_NESTED = 16 };

/* ---- refusals ------------------------------------------------------------------------------------------------------ */

void sgi_loading_show(const json_t *v, char *out, size_t size) {
  if (json_is_object(v) || json_is_array(v)) {
    const char *type = json_string_value(json_object_get(v, "type"));
    snprintf(out, size, "%.60s", type ? type : json_is_object(v) ? "an object" : "a list");
    return;
  }
  char *text = v ? sgi_json_text(v) : NULL;
  snprintf(out, size, "%.60s", text ? text : "missing");
  sgi_free(text);
}

sg_status sgi_loading_unsupported(const sgi_loading *l, const char *key, const json_t *v, const char *supported) {
  char found[80];
  sgi_loading_show(v, found, sizeof found);
  const char *name = json_is_string(v) ? json_string_value(v) : found;
  return sgi_fail(l->err, SG_ERR_UNSUPPORTED, "%s: %s: %.80s; only %s is supported", l->path, key, name, supported);
}

sg_status sgi_loading_wrong(const sgi_loading *l, const char *key, const json_t *v, const char *expected) {
  char found[80];
  sgi_loading_show(v, found, sizeof found);
  return sgi_fail(l->err, SG_ERR_FORMAT, "%s: %s is %s; expected %s", l->path, key, found, expected);
}

sg_status sgi_loading_only_keys(const sgi_loading *l, const json_t *object, const char *where,
                                const char *const *keys) {
  const char *key;
  json_t *v;
  json_object_foreach((json_t *)(uintptr_t)object, key, v) {
    size_t i = 0;
    while (keys[i] && strcmp(keys[i], key)) i++;
    if (!keys[i])
      return sgi_fail(l->err, SG_ERR_UNSUPPORTED, "%s: %s%skey \"%.60s\" is not supported", l->path, where,
                      *where ? ": " : "", key);
  }
  return SG_OK;
}

sg_status sgi_loading_only_null(const sgi_loading *l, const json_t *object, const char *where, const char *key) {
  const json_t *v = json_object_get(object, key);
  char name[96];
  if (!v || json_is_null(v)) return SG_OK;
  snprintf(name, sizeof name, "%s%s%s", where, *where ? "." : "", key);
  return sgi_loading_unsupported(l, name, v, "null");
}

sg_status sgi_loading_flag(const sgi_loading *l, const json_t *object, const char *where, const char *key, int missing,
                           bool *out) {
  const json_t *v = json_object_get(object, key);
  char name[128];
  if (!v && missing >= 0) {
    *out = missing;
    return SG_OK;
  }
  snprintf(name, sizeof name, "%s.%s", where, key);
  if (!json_is_boolean(v)) return sgi_loading_wrong(l, name, v, "true or false");
  *out = json_is_true(v);
  return SG_OK;
}

/* ---- normalizer, pre_tokenizer, post_processor, decoder --------------------------------------------------------------- */

typedef struct part {
  const char *key;       /* at the top of the file */
  const char *sequence;  /* key of a Sequence's list */
  const char *supported; /* types, for messages */
  bool normalizer;
  sgi_byte_level *level; /* where a ByteLevel goes */
} part;

static sg_status load_part(const sgi_loading *l, const part *p, const json_t *v, int depth) {
  static const char *const level_keys[] = {"type", "add_prefix_space", "trim_offsets", "use_regex", NULL};
  static const char *const plain_keys[] = {"type", NULL};
  const char *type = json_string_value(json_object_get(v, "type"));
  sg_status st;
  if (!json_is_object(v) || !type) return sgi_loading_wrong(l, p->key, v, "null or an object with a type");
  if (!strcmp(type, "Sequence")) {
    const char *const keys[] = {"type", p->sequence, NULL};
    const json_t *list = json_object_get(v, p->sequence);
    if (!json_is_array(list)) return sgi_loading_wrong(l, p->key, v, "a Sequence with its list");
    if (depth == MAX_NESTED)
      return sgi_fail(l->err, SG_ERR_FORMAT, "%s: %s: nested deeper than %d", l->path, p->key, MAX_NESTED);
    st = sgi_loading_only_keys(l, v, p->key, keys);
    for (size_t i = 0; !st && i < json_array_size(list); i++) st = load_part(l, p, json_array_get(list, i), depth + 1);
    return st;
  }
  if (p->normalizer && !strcmp(type, "NFKC")) {
    l->t->nfkc = true;
    return sgi_loading_only_keys(l, v, p->key, plain_keys);
  }
  if (p->normalizer || strcmp(type, "ByteLevel")) return sgi_loading_unsupported(l, p->key, v, p->supported);
  sgi_byte_level *b = p->level;
  if (b->there)
    return sgi_fail(l->err, SG_ERR_UNSUPPORTED, "%s: %s: ByteLevel twice; only one is supported", l->path, p->key);
  b->there = true;
  if ((st = sgi_loading_only_keys(l, v, p->key, level_keys)) ||
      (st = sgi_loading_flag(l, v, p->key, "add_prefix_space", true, &b->add_prefix_space)) ||
      (st = sgi_loading_flag(l, v, p->key, "trim_offsets", true, &b->trim_offsets)))
    return st;
  return sgi_loading_flag(l, v, p->key, "use_regex", true, &b->use_regex);
}

sg_status sgi_loading_parts(const sgi_loading *l, const json_t *file) {
  sg_tokenizer *t = l->t;
  const part parts[] = {{"normalizer", "normalizers", "NFKC or null", true, NULL},
                        {"pre_tokenizer", "pretokenizers", "ByteLevel", false, &t->split},
                        {"post_processor", "processors", "ByteLevel or null", false, &t->after},
                        {"decoder", "decoders", "ByteLevel", false, &t->decode}};
  for (size_t i = 0; i < SGI_COUNT(parts); i++) {
    const json_t *v = json_object_get(file, parts[i].key);
    sg_status st = v && !json_is_null(v) ? load_part(l, &parts[i], v, 0) : SG_OK;
    if (st) return st;
  }
  if (!t->split.there)
    return sgi_loading_unsupported(l, "pre_tokenizer", json_object_get(file, "pre_tokenizer"), "ByteLevel");
  if (!t->split.use_regex) return sgi_loading_unsupported(l, "pre_tokenizer.use_regex", json_false(), "true");
  if (!t->decode.there) return sgi_loading_unsupported(l, "decoder", json_object_get(file, "decoder"), "ByteLevel");
  return SG_OK;
}
