/* tokenizer_save.c: tokenizer.json in the order and with the keys that Hugging Face's library
 * writes. */
#include "core/json.h"
#include "text/tokenizer.h"

/* The token's name in the file, in `name` with a NUL. */
static bool name_of(const sg_tokenizer *t, int32_t id, sgi_bytes *name) {
  const sgi_token *k = &t->tokens[id];
  const char *bytes = t->text.data + k->begin;
  name->n = 0;
  bool ok = k->raw ? sgi_bytes_add(name, bytes, k->n) : sgi_name_from_bytes(bytes, k->n, name);
  return ok && sgi_bytes_add(name, "", 1);
}

static json_t *byte_level(const sgi_byte_level *b) {
  if (!b->there) return json_null();
  return json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", b->add_prefix_space, "trim_offsets",
                   b->trim_offsets, "use_regex", b->use_regex);
}

static json_t *added_tokens(const sg_tokenizer *t, sgi_bytes *name) {
  json_t *list = json_array();
  for (size_t i = 0; i < t->n_added; i++) {
    int32_t id = t->added[i];
    const sgi_token *k = &t->tokens[id];
    if (!name_of(t, id, name)) break;
    json_array_append_new(list, json_pack("{s:i, s:s, s:b, s:b, s:b, s:b, s:b}", "id", id, "content", name->data,
                                          "single_word", k->single_word, "lstrip", k->lstrip, "rstrip", k->rstrip,
                                          "normalized", k->normalized, "special", k->special));
  }
  return list;
}

static json_t *vocabulary(const sg_tokenizer *t, sgi_bytes *name) {
  json_t *vocab = json_object();
  for (size_t i = 0; i < t->vocab_size; i++) {
    if (!t->tokens[i].model) continue;
    if (!name_of(t, (int32_t)i, name)) break;
    json_object_set_new(vocab, name->data, json_integer((json_int_t)i));
  }
  return vocab;
}

static json_t *merge_list(const sg_tokenizer *t, sgi_bytes *name, sgi_bytes *right) {
  json_t *list = json_array();
  for (size_t i = 0; i < t->n_merges; i++) {
    if (!name_of(t, t->merges[i].left, name) || !name_of(t, t->merges[i].right, right)) break;
    json_array_append_new(list, json_pack("[s, s]", name->data, right->data));
  }
  return list;
}

/* What could not be had shows as a list or object that is too short. */
static bool whole(const sg_tokenizer *t, const json_t *file, const json_t *model) {
  size_t n = 0;
  for (size_t i = 0; i < t->vocab_size; i++) n += t->tokens[i].model;
  return json_array_size(json_object_get(file, "added_tokens")) == t->n_added &&
         json_object_size(json_object_get(model, "vocab")) == n &&
         json_array_size(json_object_get(model, "merges")) == t->n_merges;
}

/* The part as the file had it, or else as it was made here. */
static json_t *part(const sg_tokenizer *t, size_t i, json_t *made) {
  if (!t->parts[i]) return made;
  json_decref(made);
  return json_incref(t->parts[i]);
}

sg_status sg_tokenizer_save(const sg_tokenizer *t, const char *path, sg_error *err) {
  sgi_bytes name = {0}, right = {0};
  json_t *model = json_pack("{s:s, s:n, s:n, s:n, s:n, s:b, s:b, s:b}", "type", "BPE", "dropout", "unk_token",
                            "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", 0, "byte_fallback", 0,
                            "ignore_merges", t->whole_first);
  bool ok = model && (!t->model || !json_object_update(model, t->model)) &&
            !json_object_set_new(model, "vocab", vocabulary(t, &name)) &&
            !json_object_set_new(model, "merges", merge_list(t, &name, &right));
  json_t *normalizer = t->form == SGI_NFKC ? json_pack("{s:s}", "type", "NFKC") : json_null();
  json_t *file =
      json_pack("{s:s, s:n, s:n, s:o, s:o, s:o, s:o, s:o, s:O}", "version", "1.0", "truncation", "padding",
                "added_tokens", added_tokens(t, &name), "normalizer", part(t, 0, normalizer), "pre_tokenizer",
                part(t, 1, byte_level(&t->split)), "post_processor", part(t, 2, byte_level(&t->after)), "decoder",
                part(t, 3, byte_level(&t->decode)), "model", model);
  sg_status st = ok && file && whole(t, file, model) ? sgi_json_save(path, file, err)
                                                     : sgi_fail_memory(err, t->text.n, "a tokenizer's JSON");
  json_decref(file);
  json_decref(model);
  sgi_bytes_deinit(&name);
  sgi_bytes_deinit(&right);
  return st;
}
