#include "read/binding.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "model/config.h"
#include "model/identity.h"

static void hash_of(const sg_model *m, char out[SGI_HASH_TEXT]) {
  snprintf(out, SGI_HASH_TEXT, "%016" PRIx64, sgi_model_hash(m));
}

bool sgi_binding_write(const sg_model *m, json_t *o) {
  char hash[SGI_HASH_TEXT];
  hash_of(m, hash);
  return !json_object_set_new(o, SGI_BINDING_KEY, json_string(hash)) &&
         !json_object_set_new(o, SGI_BINDING_CONFIG, sgi_config_to_json(&m->config));
}

sg_status sgi_binding_read(const json_t *o, const char *where, sgi_binding *out, sg_error *err) {
  *out = (sgi_binding){0};
  const json_t *config = json_object_get(o, SGI_BINDING_CONFIG);
  if (config && !json_is_object(config))
    return sgi_fail(err, SG_ERR_FORMAT, "%s: %s must be an object like config.json", where, SGI_BINDING_CONFIG);
  out->config = json_incref((json_t *)(uintptr_t)config);
  if (!json_object_get(o, SGI_BINDING_KEY)) return SG_OK;
  sg_status st = sgi_json_string(o, where, SGI_BINDING_KEY, out->hash, sizeof out->hash, err);
  if (!st && out->hash[0] && strspn(out->hash, "0123456789abcdef") != SGI_HASH_TEXT - 1)
    st = sgi_fail(err, SG_ERR_FORMAT, "%s: %s is \"%s\": expected 16 hexadecimal digits", where, SGI_BINDING_KEY,
                  out->hash);
  return st;
}

void sgi_binding_free(sgi_binding *b) {
  json_decref(b->config);
  *b = (sgi_binding){0};
}

/* These say what a model is called, how its file is packed or where a text ends: no number of a
 * pass depends on them. */
static bool computes(const char *key) {
  static const char *const others[] = {
      "model_type",   "architectures", "max_position_embeddings", "tie_word_embeddings", "eos_token_id",
      "pad_token_id", "dtype"};
  for (size_t i = 0; i < SGI_COUNT(others); i++)
    if (!strcmp(others[i], key)) return false;
  return true;
}

const char *sgi_binding_differs(const json_t *config, const json_t *other) {
  const json_t *const both[] = {config, other};
  for (size_t i = 0; i < 2; i++) {
    const char *key;
    const json_t *v;
    json_object_foreach((json_t *)(uintptr_t)both[i], key, v) {
      if (computes(key) && !json_equal(v, json_object_get(both[1 - i], key))) return key;
    }
  }
  return NULL;
}

static void say_value(const json_t *config, const char *key, char *out, size_t size) {
  const json_t *v = json_object_get(config, key);
  char *text = v ? json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(9)) : NULL;
  snprintf(out, size, "%.60s%s", text ? text : "not there", text && strlen(text) > 60 ? "..." : "");
  free(text);
}

sg_status sgi_binding_compare(const sgi_binding *file, const sg_model *m, const char *name, const char *made_from,
                              sgi_bound *out, sg_error *err) {
  *out = SGI_UNKNOWN;
  if (!file->hash[0]) return SG_OK;
  char own[SGI_HASH_TEXT], then[72], now[72];
  hash_of(m, own);
  const char *open = *made_from ? " (it was made from " : "", *close = *made_from ? ")" : "";
  if (strcmp(own, file->hash)) {
    sgi_fail(err, SG_ERR_ARG,
             "%s was made from another model: its weights had the hash %s, this model's have %s%s%.120s%s", name,
             file->hash, own, open, made_from, close);
    *out = SGI_OF_ANOTHER;
    return SG_OK;
  }
  *out = SGI_SAME_WEIGHTS;
  if (!file->config) return SG_OK;
  json_t *config = sgi_config_to_json(&m->config);
  if (!config) return sgi_fail_memory(err, 1, "a configuration");
  const char *key = sgi_binding_differs(file->config, config);
  if (key) {
    say_value(file->config, key, then, sizeof then);
    say_value(config, key, now, sizeof now);
    sgi_fail(err, SG_ERR_ARG,
             "%s was made from another model: its weights are this model's, but its %.60s was %s, this model's is "
             "%s%s%.120s%s",
             name, key, then, now, open, made_from, close);
  }
  json_decref(config);
  *out = key ? SGI_OF_ANOTHER : SGI_BOUND;
  return SG_OK;
}
