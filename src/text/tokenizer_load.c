/* tokenizer_load.c: tokenizer.json. Everything in the file is either understood or refused by name:
 * a tokenizer that silently did less than its file says would give other ids. */
#include <stddef.h>
#include <stdio.h>

#include "core/file.h"
#include "text/tokenizer_file.h"

enum { MAX_VALUES = 8 << 20, MAX_CONTENT = 1 << 16 };
static const size_t MAX_BYTES = (size_t)128 << 20;

/* ---- model ----------------------------------------------------------------------------------- */

/* unk_token, fuse_unk and byte_fallback say what becomes of a byte that has no token: settings for
 * nothing where all 256 have one, which is looked at once the vocabulary is there. */
static sg_status check_unknown(const sgi_loading *l, const json_t *model) {
  const json_t *unk = json_object_get(model, "unk_token");
  bool fallback = json_is_true(json_object_get(model, "byte_fallback"));
  for (int i = 0; i < 256 && (json_is_string(unk) || fallback); i++)
    if (l->t->bpe.byte_ids[i] < 0)
      return sgi_fail(l->err, SG_ERR_UNSUPPORTED,
                      "%s: model.%s is set, and byte 0x%02x has no token; only %s is supported", l->path,
                      fallback ? "byte_fallback" : "unk_token", i, "a vocabulary of all bytes, or none of both");
  return SG_OK;
}

/* The model's settings as they stand, for saving. */
static sg_status keep_model(const sgi_loading *l, const json_t *model) {
  const char *key;
  json_t *v;
  bool ok = (l->t->model = json_object()) != NULL;
  json_object_foreach((json_t *)(uintptr_t)model, key, v) {
    if (!strcmp(key, "vocab") || !strcmp(key, "merges")) continue;
    ok = ok && !json_object_set(l->t->model, key, v);
  }
  return ok ? SG_OK : sgi_fail_memory(l->err, 0, "a tokenizer");
}

static sg_status check_model(const sgi_loading *l, const json_t *model, bool *whole_first) {
  static const char *const keys[] = {"type",
                                     "dropout",
                                     "unk_token",
                                     "continuing_subword_prefix",
                                     "end_of_word_suffix",
                                     "fuse_unk",
                                     "byte_fallback",
                                     "vocab",
                                     "merges",
                                     "ignore_merges",
                                     NULL};
  static const char *const affixes[] = {"continuing_subword_prefix", "end_of_word_suffix"};
  if (!json_is_object(model)) return sgi_loading_wrong(l, "model", model, "an object");
  const json_t *type = json_object_get(model, "type"), *v = json_object_get(model, "dropout");
  if (type && (!json_is_string(type) || strcmp(json_string_value(type), "BPE")))
    return json_is_string(type) ? sgi_loading_unsupported(l, "model.type", type, "BPE")
                                : sgi_loading_wrong(l, "model.type", type, "\"BPE\"");
  if (!json_is_number(v) || json_number_value(v) != 0) {
    sg_status st = sgi_loading_only_null(l, model, "model", "dropout");
    if (st) return st;
  }
  v = json_object_get(model, "unk_token");
  sg_status st = json_is_string(v) ? SG_OK : sgi_loading_only_null(l, model, "model", "unk_token");
  for (size_t i = 0; !st && i < SGI_COUNT(affixes); i++) {
    v = json_object_get(model, affixes[i]);
    if (!json_is_string(v) || json_string_length(v)) st = sgi_loading_only_null(l, model, "model", affixes[i]);
  }
  bool fuse, fallback = false;
  if (st || (st = sgi_loading_flag(l, model, "model", "fuse_unk", false, &fuse)) ||
      (st = sgi_loading_flag(l, model, "model", "byte_fallback", false, &fallback)) ||
      (st = sgi_loading_flag(l, model, "model", "ignore_merges", false, whole_first)))
    return st;
  return sgi_loading_only_keys(l, model, "model", keys);
}

static sg_status get_id(const sgi_loading *l, const char *where, const char *name, const json_t *v, int32_t *id) {
  if (json_is_integer(v) && json_integer_value(v) >= 0 && (uint64_t)json_integer_value(v) < SGI_ID_LIMIT) {
    *id = (int32_t)json_integer_value(v);
    return SG_OK;
  }
  char found[80];
  sgi_loading_show(v, found, sizeof found);
  return sgi_fail(l->err, SG_ERR_FORMAT, "%s: %s: id of \"%.60s\" is %s; expected 0 to %zu", l->path, where, name,
                  found, SGI_ID_LIMIT - 1);
}

/* Size of the table of tokens: the largest id of vocabulary and added tokens, and one. */
static sg_status count_ids(const sgi_loading *l, const json_t *added, size_t *count) {
  const char *name;
  json_t *v;
  size_t i;
  int32_t id = 0, largest = -1;
  json_object_foreach((json_t *)(uintptr_t)l->vocab, name, v) {
    sg_status st = get_id(l, "model.vocab", name, v, &id);
    if (st) return st;
    if (id > largest) largest = id;
  }
  json_array_foreach(added, i, v) {
    const char *content = json_string_value(json_object_get(v, "content"));
    if (!content || !*content || json_string_length(json_object_get(v, "content")) > MAX_CONTENT)
      return sgi_fail(l->err, SG_ERR_FORMAT, "%s: added_tokens[%zu]: content: expected a string of 1 to %d bytes",
                      l->path, i, MAX_CONTENT);
    sg_status st = get_id(l, "added_tokens", content, json_object_get(v, "id"), &id);
    if (st) return st;
    if (id > largest) largest = id;
  }
  *count = (size_t)((int64_t)largest + 1);
  return *count ? SG_OK : sgi_fail(l->err, SG_ERR_FORMAT, "%s: model.vocab has no token", l->path);
}

static sg_status load_vocab(const sgi_loading *l) {
  const char *name;
  json_t *v;
  sgi_bytes bytes = {0};
  sg_status st = SG_OK;
  json_object_foreach((json_t *)(uintptr_t)l->vocab, name, v) {
    int32_t id = (int32_t)json_integer_value(v);
    sgi_token *k = &l->t->tokens[id];
    bool plain = true;
    size_t n = strlen(name);
    bytes.n = 0;
    if (k->there) {
      st = sgi_fail(l->err, SG_ERR_FORMAT, "%s: model.vocab: id %d is there twice, the second time as \"%.60s\"",
                    l->path, id, name);
    } else if (!sgi_bytes_from_name(name, n, &bytes, &plain)) {
      st = sgi_fail_memory(l->err, n, "a token");
    } else {
      st = plain ? sgi_tokenizer_put(l->t, id, bytes.data, bytes.n, l->err)
                 : sgi_tokenizer_put(l->t, id, name, n, l->err);
      k->model = true;
      k->raw = !plain;
    }
    if (st) break;
  }
  sgi_bytes_deinit(&bytes);
  return st;
}

/* ---- merges ---------------------------------------------------------------------------------- */

/* The two names of a merge: "a b", or ["a", "b"]. */
static bool merge_names(const json_t *v, const char *names[2], size_t n[2]) {
  if (json_is_string(v)) {
    const char *text = json_string_value(v), *space = strchr(text, ' ');
    if (!space || strchr(space + 1, ' ')) return false;
    names[0] = text;
    names[1] = space + 1;
    n[0] = (size_t)(space - text);
    n[1] = json_string_length(v) - n[0] - 1;
    return n[0] && n[1];
  }
  if (json_array_size(v) != 2) return false;
  for (size_t i = 0; i < 2; i++) {
    names[i] = json_string_value(json_array_get(v, i));
    if (!names[i] || !*names[i]) return false;
    n[i] = strlen(names[i]);
  }
  return true;
}

static sg_status load_merge(const sgi_loading *l, size_t i, const json_t *v, sgi_bytes *joined, sgi_merge *out) {
  const char *names[2];
  size_t n[2];
  if (!merge_names(v, names, n))
    return sgi_fail(l->err, SG_ERR_FORMAT, "%s: model.merges[%zu]: expected \"left right\" or [\"left\", \"right\"]",
                    l->path, i);
  joined->n = 0;
  if (!sgi_bytes_add(joined, names[0], n[0]) || !sgi_bytes_add(joined, names[1], n[1]))
    return sgi_fail_memory(l->err, n[0] + n[1], "a merge");
  const json_t *ids[] = {json_object_getn(l->vocab, names[0], n[0]), json_object_getn(l->vocab, names[1], n[1]),
                         json_object_getn(l->vocab, joined->data, joined->n)};
  static const char *const which[] = {"left", "right", "joined"};
  for (size_t k = 0; k < 3; k++)
    if (!ids[k])
      return sgi_fail(l->err, SG_ERR_FORMAT, "%s: model.merges[%zu]: the %s token \"%.*s\" is not in the vocabulary",
                      l->path, i, which[k], (int)(k < 2 ? (n[k] < 60 ? n[k] : 60) : (joined->n < 60 ? joined->n : 60)),
                      k < 2 ? names[k] : joined->data);
  *out = (sgi_merge){(int32_t)json_integer_value(ids[0]), (int32_t)json_integer_value(ids[1]),
                     (int32_t)json_integer_value(ids[2])};
  return SG_OK;
}

static sg_status load_merges(const sgi_loading *l, const json_t *merges) {
  sg_tokenizer *t = l->t;
  if (!json_is_array(merges)) return sgi_loading_wrong(l, "model.merges", merges, "a list");
  size_t n = json_array_size(merges);
  t->merges = sgi_alloc(n * sizeof *t->merges);
  if (!t->merges) return sgi_fail_memory(l->err, n * sizeof *t->merges, "merges");
  sgi_bytes joined = {0};
  sg_status st = SG_OK;
  for (size_t i = 0; i < n && !st; i++) {
    const json_t *v = json_array_get(merges, i);
    const char *text = json_string_value(v);
    /* The line that merges.txt begins with; a list made of its lines by a script has it too. */
    if (text && !strncmp(text, "#version", 8)) continue;
    st = load_merge(l, i, v, &joined, &t->merges[t->n_merges]);
    if (!st) t->n_merges++;
  }
  sgi_bytes_deinit(&joined);
  return st;
}

/* ---- added tokens ---------------------------------------------------------------------------- */

static sg_status load_added(const sgi_loading *l, size_t i, const json_t *v) {
  static const char *const keys[] = {"id", "content", "single_word", "lstrip", "rstrip", "normalized", "special", NULL};
  static const struct {
    const char *name;
    size_t at;
  } flags[] = {{"single_word", offsetof(sgi_token, single_word)},
               {"lstrip", offsetof(sgi_token, lstrip)},
               {"rstrip", offsetof(sgi_token, rstrip)},
               {"special", offsetof(sgi_token, special)},
               {"normalized", offsetof(sgi_token, normalized)}};
  sg_tokenizer *t = l->t;
  char where[48];
  sgi_token set = {0};
  snprintf(where, sizeof where, "added_tokens[%zu]", i);
  sg_status st = sgi_loading_only_keys(l, v, where, keys);
  for (size_t k = 0; !st && k < SGI_COUNT(flags); k++)
    st = sgi_loading_flag(l, v, where, flags[k].name, false, (bool *)((char *)&set + flags[k].at));
  if (st) return st;

  const char *content = json_string_value(json_object_get(v, "content"));
  int32_t id = (int32_t)json_integer_value(json_object_get(v, "id"));
  const json_t *model_id = json_object_get(l->vocab, content);
  sgi_token *k = &t->tokens[id];
  if (model_id && json_integer_value(model_id) != id)
    return sgi_fail(l->err, SG_ERR_FORMAT, "%s: %s: \"%.60s\" has id %d, but id %lld in model.vocab", l->path, where,
                    content, id, (long long)json_integer_value(model_id));
  if (k->added || (k->there && !model_id))
    return sgi_fail(l->err, SG_ERR_FORMAT, "%s: %s: id %d of \"%.60s\" is taken by another token", l->path, where, id,
                    content);
  st = sgi_tokenizer_put(t, id, content, strlen(content), l->err);
  if (st) return st;
  set.begin = k->begin;
  set.n = k->n;
  set.there = set.added = set.raw = true;
  set.model = model_id != NULL;
  *k = set;
  t->added[t->n_added++] = id;
  return SG_OK;
}

static sg_status load_all_added(const sgi_loading *l, const json_t *added) {
  size_t n = json_array_size(added);
  l->t->added = sgi_alloc(n * sizeof *l->t->added);
  if (!l->t->added) return sgi_fail_memory(l->err, n * sizeof *l->t->added, "added tokens");
  sg_status st = SG_OK;
  for (size_t i = 0; i < n && !st; i++) st = load_added(l, i, json_array_get(added, i));
  return st;
}

/* Two added tokens of one text would have two ids. */
static sg_status check_texts(const sgi_loading *l) {
  const sg_tokenizer *t = l->t;
  sgi_added all = {0};
  sg_status st = SG_OK;
  for (size_t i = 0; i < t->n_added && !st; i++) {
    const sgi_token *k = &t->tokens[t->added[i]];
    if (!sgi_added_put(&all, t->text.data + k->begin, k->n, t->added[i])) st = sgi_fail_memory(l->err, k->n, "a token");
  }
  sgi_added_sort(&all);
  for (size_t i = 0; i < t->n_added && !st && all.n < t->n_added; i++) {
    const sgi_token *k = &t->tokens[t->added[i]];
    size_t length;
    if (sgi_added_find(&all, t->text.data + k->begin, k->n, &length) != t->added[i])
      st = sgi_fail(l->err, SG_ERR_FORMAT, "%s: added_tokens: \"%.60s\" is there twice", l->path,
                    t->text.data + k->begin);
  }
  sgi_added_deinit(&all);
  return st;
}

/* ---- the file -------------------------------------------------------------------------------- */

static sg_status load(sgi_loading *l, const json_t *file) {
  static const char *const keys[] = {"version",       "truncation",     "padding", "added_tokens", "normalizer",
                                     "pre_tokenizer", "post_processor", "decoder", "model",        NULL};
  if (!json_is_object(file)) return sgi_loading_wrong(l, "the file", file, "an object");
  const json_t *version = json_object_get(file, "version"), *model = json_object_get(file, "model"),
               *added = json_object_get(file, "added_tokens");
  if (version && (!json_is_string(version) || strcmp(json_string_value(version), "1.0")))
    return sgi_loading_unsupported(l, "version", version, "1.0");
  sg_status st = sgi_loading_only_keys(l, file, "", keys);
  if (!st) st = sgi_loading_only_null(l, file, "", "truncation");
  if (!st) st = sgi_loading_only_null(l, file, "", "padding");
  bool whole_first = false;
  if (!st) st = check_model(l, model, &whole_first);
  if (st) return st;
  l->vocab = json_object_get(model, "vocab");
  if (!json_is_object(l->vocab)) return sgi_loading_wrong(l, "model.vocab", l->vocab, "an object");
  if (added && !json_is_null(added) && !json_is_array(added))
    return sgi_loading_wrong(l, "added_tokens", added, "a list");
  size_t count = 0;
  if ((st = count_ids(l, added, &count)) || (st = sgi_tokenizer_create(count, &l->t, l->err))) return st;
  l->t->whole_first = whole_first;
  if ((st = keep_model(l, model)) || (st = sgi_loading_parts(l, file)) || (st = load_vocab(l)) ||
      (st = load_merges(l, json_object_get(model, "merges"))) || (st = load_all_added(l, added)) ||
      (st = check_texts(l)) || (st = sgi_tokenizer_finish(l->t, l->err)))
    return st;
  return check_unknown(l, model);
}

/* Bound on the values of a text, before anything is built of it: "[[],[],..." would take fifty
 * times its size. */
static bool too_many_values(const char *text, size_t n) {
  size_t values = 0;
  for (size_t i = 0; i < n && values <= MAX_VALUES; i++) values += text[i] == ',' || text[i] == '[' || text[i] == '{';
  return values > MAX_VALUES;
}

sg_status sg_tokenizer_load(const char *path, sg_tokenizer **out, sg_error *err) {
  char *text;
  size_t n;
  json_t *file = NULL;
  *out = NULL;
  sg_status st = sgi_read_file(path, MAX_BYTES, &text, &n, err);
  if (!st && too_many_values(text, n))
    st = sgi_fail(err, SG_ERR_FORMAT, "%s: has more than %d values", path, MAX_VALUES);
  if (!st) st = sgi_json_parse(text, n, path, &file, err);
  sgi_free(text);
  sgi_loading l = {.path = path, .err = err};
  if (!st) st = load(&l, file);
  json_decref(file);
  if (st)
    sg_tokenizer_free(l.t);
  else
    *out = l.t;
  return st;
}
