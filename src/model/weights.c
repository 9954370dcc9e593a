#include "model/weights.h"

#include <stdio.h>
#include <string.h>

#include "core/arena.h"
#include "core/convert.h"
#include "core/json.h"

enum { MAX_SHARDS = 1000, MAX_FILE_NAME = 255 };

#define ONE "model.safetensors"
#define INDEX "model.safetensors.index.json"

struct sgi_weights {
  char *path; /* of the one file or the index */
  sgi_safetensors **files;
  char **names; /* of shards, within the directory */
  size_t n_files, count;
  float **made; /* (n_made) converted tensors */
  size_t n_made, made_room;
  char types[64];
};

bool sgi_weights_there(const char *directory) {
  char *one = sgi_path_join(directory, ONE), *index = sgi_path_join(directory, INDEX);
  bool there = (one && sgi_is_file(one)) || (index && sgi_is_file(index));
  sgi_free(one);
  sgi_free(index);
  return there;
}

/* ---- shards ---------------------------------------------------------------------------------- */

/* A file of the directory itself: no path, no hidden file. */
static bool is_shard_name(const char *name) {
  static const char end[] = ".safetensors";
  size_t n = name ? strlen(name) : 0;
  return n >= sizeof end && n <= MAX_FILE_NAME && name[0] != '.' && !strchr(name, '/') &&
         !strcmp(name + n - (sizeof end - 1), end);
}

static size_t shard_of(const sgi_weights *w, const char *name) {
  size_t i = 0;
  while (i < w->n_files && strcmp(w->names[i], name)) i++;
  return i;
}

static sg_status open_shard(sgi_weights *w, const char *directory, const char *name, sg_error *err) {
  if (w->n_files == MAX_SHARDS)
    return sgi_fail(err, SG_ERR_FORMAT, "%s: names more than %d files", w->path, MAX_SHARDS);
  char *path = sgi_path_join(directory, name), *copy = sgi_strdup(name);
  sg_status st = path && copy ? sgi_safetensors_open(path, &w->files[w->n_files], err)
                              : sgi_fail_memory(err, strlen(name), "a path");
  sgi_free(path);
  if (st) {
    sgi_free(copy);
    return st;
  }
  w->names[w->n_files] = copy;
  w->count += sgi_safetensors_count(w->files[w->n_files++]);
  return SG_OK;
}

/* Shards are opened in the order in which the index first names them. */
static sg_status open_listed(sgi_weights *w, const char *directory, const json_t *map, sg_error *err) {
  const char *tensor;
  json_t *v;
  json_object_foreach((json_t *)(uintptr_t)map, tensor, v) {
    const char *name = json_string_value(v);
    if (!is_shard_name(name))
      return sgi_fail(err, SG_ERR_FORMAT,
                      "%s: weight_map: %.100s: expected the name of a .safetensors file of this directory", w->path,
                      tensor);
    size_t i = shard_of(w, name);
    sg_status st = i == w->n_files ? open_shard(w, directory, name, err) : SG_OK;
    if (st) return st;
    if (!sgi_safetensors_find(w->files[i], tensor))
      return sgi_fail(err, SG_ERR_FORMAT, "%s: weight_map: tensor %.100s is not in %s", w->path, tensor, name);
  }
  return SG_OK;
}

/* Nothing in the shards that the index does not tell of, or tells to be elsewhere. */
static sg_status all_listed(const sgi_weights *w, const json_t *map, sg_error *err) {
  if (w->count == json_object_size(map)) return SG_OK; /* every listed one is where it is said to be */
  for (size_t f = 0; f < w->n_files; f++)
    for (size_t i = 0; i < sgi_safetensors_count(w->files[f]); i++) {
      const char *name = sgi_safetensors_at(w->files[f], i)->name,
                 *said = json_string_value(json_object_get(map, name));
      if (said && !strcmp(said, w->names[f])) continue;
      return sgi_fail(err, SG_ERR_FORMAT, "%s: tensor %.100s of %s is %s", w->path, name, w->names[f],
                      said ? "said to be in another file" : "not in the weight_map");
    }
  return SG_OK;
}

static sg_status open_index(sgi_weights *w, const char *directory, sg_error *err) {
  static const char *const keys[] = {"metadata", "weight_map"};
  json_t *o = NULL;
  const json_t *map;
  sg_status st = sgi_json_load(w->path, &o, err);
  if (!st) st = sgi_json_only_keys(o, w->path, keys, SGI_COUNT(keys), err);
  if (!st) st = sgi_json_object(o, w->path, "weight_map", &map, err);
  if (!st) st = open_listed(w, directory, map, err);
  if (!st) st = all_listed(w, map, err);
  if (!st && !w->n_files) st = sgi_fail(err, SG_ERR_FORMAT, "%s: weight_map names no tensor", w->path);
  json_decref(o);
  return st;
}

/* ---- opening --------------------------------------------------------------------------------- */

static void tell_types(sgi_weights *w) {
  bool there[SGI_BOOL + 1] = {false};
  const char *path;
  for (size_t i = 0; i < w->count; i++) there[sgi_weights_at(w, i, &path)->dtype] = true;
  size_t n = 0;
  for (size_t t = 0; t <= SGI_BOOL; t++)
    if (there[t] && n < sizeof w->types)
      n += (size_t)snprintf(w->types + n, sizeof w->types - n, "%s%s", n ? ", " : "", sgi_dtype_name((sgi_dtype)t));
}

sg_status sgi_weights_open(const char *directory, sgi_weights **out, sg_error *err) {
  *out = NULL;
  sgi_weights *w = sgi_alloc(sizeof *w);
  if (!w) return sgi_fail_memory(err, sizeof *w, "a model's files");
  char *one = sgi_path_join(directory, ONE);
  w->path = sgi_path_join(directory, INDEX);
  w->files = sgi_alloc(MAX_SHARDS * sizeof(sgi_safetensors *));
  w->names = sgi_alloc(MAX_SHARDS * sizeof *w->names);
  sg_status st = SG_OK;
  if (!one || !w->path || !w->files || !w->names) {
    st = sgi_fail_memory(err, MAX_SHARDS * sizeof *w->names, "a model's files");
  } else if (!sgi_is_file(one) && sgi_is_file(w->path)) {
    st = open_index(w, directory, err);
  } else {
    char *path = w->path;
    w->path = one;
    one = path;
    st = sgi_safetensors_open(w->path, &w->files[0], err);
    if (!st) w->count = sgi_safetensors_count(w->files[w->n_files++]);
  }
  sgi_free(one);
  if (!st) tell_types(w);
  if (st)
    sgi_weights_close(w);
  else
    *out = w;
  return st;
}

void sgi_weights_close(sgi_weights *w) {
  if (!w) return;
  for (size_t i = 0; i < w->n_files; i++) {
    sgi_safetensors_close(w->files[i]);
    sgi_free(w->names[i]);
  }
  for (size_t i = 0; i < w->n_made; i++) sgi_free(w->made[i]);
  sgi_free(w->made);
  sgi_free(w->files);
  sgi_free(w->names);
  sgi_free(w->path);
  sgi_free(w);
}

/* ---- questions ------------------------------------------------------------------------------- */

size_t sgi_weights_count(const sgi_weights *w) { return w->count; }
size_t sgi_weights_files(const sgi_weights *w) { return w->n_files; }
const char *sgi_weights_path(const sgi_weights *w) { return w->path; }
const char *sgi_weights_types(const sgi_weights *w) { return w->types; }

const sgi_tensor *sgi_weights_at(const sgi_weights *w, size_t i, const char **path) {
  for (size_t f = 0; f < w->n_files; f++) {
    size_t n = sgi_safetensors_count(w->files[f]);
    *path = sgi_safetensors_path(w->files[f]);
    if (i < n) return sgi_safetensors_at(w->files[f], i);
    i -= n;
  }
  return NULL;
}

const sgi_tensor *sgi_weights_find(const sgi_weights *w, const char *name, const char **path) {
  for (size_t f = 0; f < w->n_files; f++) {
    const sgi_tensor *t = sgi_safetensors_find(w->files[f], name);
    *path = sgi_safetensors_path(w->files[f]);
    if (t) return t;
  }
  *path = w->path;
  return NULL;
}

const sgi_file_id *sgi_weights_id(const sgi_weights *w) {
  return w->n_files == 1 && !w->n_made ? sgi_safetensors_id(w->files[0]) : NULL;
}

sg_status sgi_weights_numbers(sgi_weights *w, const sgi_tensor *t, const char *path, const float **out, sg_error *err) {
  size_t bytes, bad;
  if (!sgi_is_real(t->dtype))
    return sgi_fail(err, SG_ERR_UNSUPPORTED, "%s: tensor %s has type %s: expected F32, BF16, F16 or F64", path, t->name,
                    sgi_dtype_name(t->dtype));
  *out = t->data;
  if (t->dtype == SGI_F32) return SG_OK;
  if (!sgi_size_mul(t->count, sizeof(float), &bytes) ||
      !sgi_room(&w->made, &w->made_room, w->n_made, sizeof *w->made) || !(w->made[w->n_made] = sgi_alloc(bytes)))
    return sgi_fail_memory(err, bytes, t->name);
  *out = w->made[w->n_made];
  if (sgi_to_float(t, w->made[w->n_made++], &bad)) return SG_OK;
  return sgi_fail(err, SG_ERR_FORMAT, "%s: tensor %s: element %zu is %g, which float32 can not hold", path, t->name,
                  bad, ((const double *)t->data)[bad]);
}
