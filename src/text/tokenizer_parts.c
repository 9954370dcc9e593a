/* tokenizer_parts.c: the parts of a tokenizer.json around its model, and how what is not understood
 * is refused. */
#include <stdio.h>

#include "text/tokenizer_file.h"

enum { MAX_NESTED = 16 };

/* ---- refusals -------------------------------------------------------------------------------- */

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

/* ---- normalizer, pre_tokenizer, post_processor, decoder -------------------------------------- */

typedef sg_status (*load_one)(const sgi_loading *l, const char *key, const json_t *v, const char *type);

/* A part that is no Sequence by one; a Sequence's in order. */
static sg_status load_part(const sgi_loading *l, const char *key, const char *sequence, const json_t *v, int depth,
                           load_one one) {
  const char *type = json_string_value(json_object_get(v, "type"));
  if (!json_is_object(v) || !type) return sgi_loading_wrong(l, key, v, "null or an object with a type");
  if (strcmp(type, "Sequence")) return one(l, key, v, type);
  const char *const keys[] = {"type", sequence, NULL};
  const json_t *list = json_object_get(v, sequence);
  if (!json_is_array(list)) return sgi_loading_wrong(l, key, v, "a Sequence with its list");
  if (depth == MAX_NESTED)
    return sgi_fail(l->err, SG_ERR_FORMAT, "%s: %s: nested deeper than %d", l->path, key, MAX_NESTED);
  sg_status st = sgi_loading_only_keys(l, v, key, keys);
  for (size_t i = 0; !st && i < json_array_size(list); i++)
    st = load_part(l, key, sequence, json_array_get(list, i), depth + 1, one);
  return st;
}

static sg_status normalizer(const sgi_loading *l, const char *key, const json_t *v, const char *type) {
  static const char *const keys[] = {"type", NULL};
  sgi_form form = !strcmp(type, "NFKC") ? SGI_NFKC : !strcmp(type, "NFC") ? SGI_NFC : SGI_AS_IT_IS;
  if (form == SGI_AS_IT_IS) return sgi_loading_unsupported(l, key, v, "NFC, NFKC or null");
  if (form > l->t->form) l->t->form = form; /* one behind the other is the later of them */
  return sgi_loading_only_keys(l, v, key, keys);
}

static sg_status byte_level(const sgi_loading *l, const char *key, const json_t *v, sgi_byte_level *b) {
  static const char *const keys[] = {"type", "add_prefix_space", "trim_offsets", "use_regex", NULL};
  sg_status st;
  if (b->there)
    return sgi_fail(l->err, SG_ERR_UNSUPPORTED, "%s: %s: ByteLevel twice; only one is supported", l->path, key);
  b->there = true;
  if ((st = sgi_loading_only_keys(l, v, key, keys)) ||
      (st = sgi_loading_flag(l, v, key, "add_prefix_space", true, &b->add_prefix_space)) ||
      (st = sgi_loading_flag(l, v, key, "trim_offsets", true, &b->trim_offsets)))
    return st;
  return sgi_loading_flag(l, v, key, "use_regex", true, &b->use_regex);
}

/* ---- cuts in front of ByteLevel -------------------------------------------------------------- */

static sg_status behavior(const sgi_loading *l, const json_t *v, bool needed, sgi_behavior *out) {
  static const char *const names[] = {[SGI_ISOLATED] = "Isolated",
                                      [SGI_REMOVED] = "Removed",
                                      [SGI_CONTIGUOUS] = "Contiguous",
                                      [SGI_MERGED_WITH_PREVIOUS] = "MergedWithPrevious",
                                      [SGI_MERGED_WITH_NEXT] = "MergedWithNext"};
  const json_t *name = json_object_get(v, "behavior");
  *out = SGI_ISOLATED;
  if (!name && !needed) return SG_OK;
  for (size_t i = 0; i < SGI_COUNT(names) && json_is_string(name); i++)
    if (!strcmp(names[i], json_string_value(name))) {
      *out = (sgi_behavior)i;
      return SG_OK;
    }
  return sgi_loading_wrong(l, "pre_tokenizer.behavior", name,
                           "Isolated, Removed, Contiguous, MergedWithPrevious or MergedWithNext");
}

/* {"pattern": {"Regex": ...} or {"String": ...}} */
static sg_status pattern(const sgi_loading *l, const json_t *v, sgi_cut *cut) {
  const json_t *p = json_object_get(v, "pattern"), *regex = json_object_get(p, "Regex"),
               *text = json_object_get(p, "String");
  char where[512];
  if (json_object_size(p) != 1 || !json_is_string(regex ? regex : text))
    return sgi_loading_wrong(l, "pre_tokenizer.pattern", p, "{\"Regex\": ...} or {\"String\": ...}");
  const json_t *s = regex ? regex : text;
  snprintf(where, sizeof where, "%.440s: pre_tokenizer.pattern", l->path);
  return sgi_pattern_create(json_string_value(s), json_string_length(s), !regex, where, &cut->pattern, l->err);
}

static sg_status split(const sgi_loading *l, const json_t *v, sgi_cut *cut) {
  static const char *const keys[] = {"type", "pattern", "behavior", "invert", NULL};
  sg_status st;
  cut->kind = SGI_CUT_PATTERN;
  if ((st = sgi_loading_only_keys(l, v, "pre_tokenizer", keys)) || (st = behavior(l, v, true, &cut->behavior)) ||
      (st = sgi_loading_flag(l, v, "pre_tokenizer", "invert", false, &cut->invert)))
    return st;
  return pattern(l, v, cut);
}

static sg_status digits(const sgi_loading *l, const json_t *v, sgi_cut *cut) {
  static const char *const keys[] = {"type", "individual_digits", NULL};
  bool each = false;
  sg_status st = sgi_loading_only_keys(l, v, "pre_tokenizer", keys);
  if (!st) st = sgi_loading_flag(l, v, "pre_tokenizer", "individual_digits", false, &each);
  if (st) return st;
  cut->kind = SGI_CUT_DIGITS;
  cut->behavior = each ? SGI_ISOLATED : SGI_CONTIGUOUS;
  return SG_OK;
}

static sg_status punctuation(const sgi_loading *l, const json_t *v, sgi_cut *cut) {
  static const char *const keys[] = {"type", "behavior", NULL};
  cut->kind = SGI_CUT_PUNCTUATION;
  sg_status st = sgi_loading_only_keys(l, v, "pre_tokenizer", keys);
  return st ? st : behavior(l, v, false, &cut->behavior);
}

static sg_status pre_tokenizer(const sgi_loading *l, const char *key, const json_t *v, const char *type) {
  static const struct {
    const char *type;
    sg_status (*load)(const sgi_loading *l, const json_t *v, sgi_cut *cut);
  } kinds[] = {{"Split", split}, {"Digits", digits}, {"Punctuation", punctuation}};
  enum { MAX_CUTS = 32 };
  sg_tokenizer *t = l->t;
  if (!strcmp(type, "ByteLevel")) return byte_level(l, key, v, &t->split);
  for (size_t i = 0; i < SGI_COUNT(kinds); i++) {
    if (strcmp(type, kinds[i].type)) continue;
    if (t->split.there) return sgi_loading_unsupported(l, key, v, "ByteLevel as the last part");
    if (t->n_cuts == MAX_CUTS)
      return sgi_fail(l->err, SG_ERR_UNSUPPORTED, "%s: %s: more than %d parts", l->path, key, MAX_CUTS);
    if (!t->cuts && !(t->cuts = sgi_alloc(MAX_CUTS * sizeof *t->cuts)))
      return sgi_fail_memory(l->err, MAX_CUTS * sizeof *t->cuts, "a tokenizer");
    return kinds[i].load(l, v, &t->cuts[t->n_cuts++]);
  }
  return sgi_loading_unsupported(l, key, v, "ByteLevel behind any of Split, Digits, Punctuation");
}

/* ---- behind the model ------------------------------------------------------------------------ */

/* The id of one special token of a template: {"SpecialToken": {"id": NAME, ...}}, whose ids
 * "special_tokens" lists. */
static sg_status template_token(const sgi_loading *l, const json_t *processor, const json_t *piece) {
  const char *name = json_string_value(json_object_get(json_object_get(piece, "SpecialToken"), "id"));
  const json_t *ids =
      name ? json_object_get(json_object_get(json_object_get(processor, "special_tokens"), name), "ids") : NULL;
  const json_t *id = json_array_get(ids, 0);
  if (json_array_size(ids) != 1 || !json_is_integer(id) || json_integer_value(id) < 0 ||
      (uint64_t)json_integer_value(id) >= l->t->vocab_size)
    return sgi_loading_wrong(l, "post_processor.single", piece, "a special token with one id of the vocabulary");
  return SG_OK;
}

/* A template that puts begin tokens in front of a text and nothing behind: passed over, since a
 * model puts its own bos in front. */
static sg_status template(const sgi_loading *l, const json_t *v) {
  static const char *const keys[] = {"type", "single", "pair", "special_tokens", NULL};
  const json_t *single = json_object_get(v, "single");
  sg_status st = sgi_loading_only_keys(l, v, "post_processor", keys);
  size_t n = json_array_size(single);
  if (!st && !n) return sgi_loading_wrong(l, "post_processor.single", single, "a list of pieces");
  for (size_t i = 0; i < n && !st; i++) {
    const json_t *piece = json_array_get(single, i);
    const char *id = json_string_value(json_object_get(json_object_get(piece, "Sequence"), "id"));
    if (i + 1 < n)
      st = json_object_get(piece, "SpecialToken")
               ? template_token(l, v, piece)
               : sgi_loading_unsupported(l, "post_processor.single", piece, "special tokens in front of the text");
    else if (!id || strcmp(id, "A"))
      st = sgi_loading_unsupported(l, "post_processor.single", piece, "the text as the last piece");
  }
  return st;
}

static sg_status post_processor(const sgi_loading *l, const char *key, const json_t *v, const char *type) {
  if (!strcmp(type, "ByteLevel")) return byte_level(l, key, v, &l->t->after);
  if (!strcmp(type, "TemplateProcessing")) return template(l, v);
  return sgi_loading_unsupported(l, key, v, "ByteLevel, TemplateProcessing or null");
}

static sg_status decoder(const sgi_loading *l, const char *key, const json_t *v, const char *type) {
  if (!strcmp(type, "ByteLevel")) return byte_level(l, key, v, &l->t->decode);
  return sgi_loading_unsupported(l, key, v, "ByteLevel");
}

sg_status sgi_loading_parts(const sgi_loading *l, const json_t *file) {
  static const struct {
    const char *key, *sequence;
    load_one one;
  } parts[] = {{"normalizer", "normalizers", normalizer},
               {"pre_tokenizer", "pretokenizers", pre_tokenizer},
               {"post_processor", "processors", post_processor},
               {"decoder", "decoders", decoder}};
  sg_tokenizer *t = l->t;
  for (size_t i = 0; i < SGI_COUNT(parts); i++) {
    json_t *v = json_object_get(file, parts[i].key);
    if (!v || json_is_null(v)) continue;
    sg_status st = load_part(l, parts[i].key, parts[i].sequence, v, 0, parts[i].one);
    if (st) return st;
    t->parts[i] = json_incref(v);
  }
  if (!t->split.there)
    return sgi_loading_unsupported(l, "pre_tokenizer", json_object_get(file, "pre_tokenizer"),
                                   "ByteLevel, alone or behind others,");
  if (!t->decode.there) return sgi_loading_unsupported(l, "decoder", json_object_get(file, "decoder"), "ByteLevel");
  return SG_OK;
}
