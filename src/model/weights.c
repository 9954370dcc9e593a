#include "model/weights.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "core/arena.h"
#include "core/convert.h"
#include "core/file.h"
#include "core/json.h"
#include "core/number.h"

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
  char path[PATH_MAX]; /* on the stack: a lack of memory must not look like a lack of weights */
  static const char *const names[] = {ONE, INDEX};
  for (size_t i = 0; i < SGI_COUNT(names); i++) {
    int n = snprintf(path, sizeof path, "%s/%s", directory, names[i]);
    if (n > 0 && (size_t)n < sizeof path && sgi_is_file(path)) return true;
  }
  return false;
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

/* ---- tensors of the table -------------------------------------------------------------------- */

/* As float32, converted once. */
static sg_status numbers(sgi_weights *w, const sgi_tensor *t, const char *path, const float **out, sg_error *err) {
  size_t bytes, bad;
  if (!sgi_size_mul(t->count, sizeof(float), &bytes) ||
      !sgi_room(&w->made, &w->made_room, w->n_made, sizeof *w->made) || !(w->made[w->n_made] = sgi_alloc(bytes)))
    return sgi_fail_memory(err, bytes, t->name);
  *out = w->made[w->n_made];
  if (sgi_to_float(t, w->made[w->n_made++], &bad)) return SG_OK;
  return sgi_fail(err, SG_ERR_FORMAT, "%s: tensor %s: element %zu is %g, which float32 can not hold", path, t->name,
                  bad, ((const double *)t->data)[bad]);
}

static void shape_text(char out[160], const size_t *dims, int n) {
  size_t at = 0;
  *out = 0;
  for (int i = 0; i < n && at < 160; i++) at += (size_t)snprintf(out + at, 160 - at, "%s%zu", i ? ", " : "", dims[i]);
}

static sg_status check_shape(const sgi_tensor *t, const char *path, const size_t *dims, int n, sg_error *err) {
  char found[160], wanted[160];
  bool same = t->n_dims == n;
  for (int i = 0; i < n; i++) same = same && t->dims[i] == dims[i];
  if (same) return SG_OK;
  shape_text(found, t->dims, t->n_dims);
  shape_text(wanted, dims, n);
  return sgi_fail(err, SG_ERR_FORMAT, "%s: tensor %s has shape [%s]: config.json asks for [%s]", path, t->name, found,
                  wanted);
}

static sg_status plain(sgi_weights *w, const sgi_row *row, const sgi_tensor *t, const char *path, sgi_weight *out,
                       sg_error *err) {
  sg_status st = check_shape(t, path, row->dims, row->n_dims, err);
  if (st) return st;
  if (!sgi_is_real(t->dtype))
    return sgi_fail(err, SG_ERR_UNSUPPORTED,
                    "%s: tensor %s has type %s: expected F32, BF16, F16 or F64 (int8 and int4 are stored as %s.q8 or "
                    ".q4 with a .scale)",
                    path, t->name, sgi_dtype_name(t->dtype), t->name);
  out->dtype = t->dtype;
  out->data = t->data;
  if (!sgi_weight_check(row->name, t->dtype, row->stored ? SGI_WEIGHT_STORED : SGI_WEIGHT_PLAIN, NULL)) return SG_OK;
  const float *x = NULL;
  st = numbers(w, t, path, &x, err);
  out->dtype = SGI_F32;
  out->data = x;
  return st;
}

/* How many columns share a scale: where .scale has a dimension more than the rows, as the file's
 * metadata say. */
static sg_status read_group(const sgi_weights *w, const sgi_tensor *scale, const char *path, const sgi_row *row,
                            sgi_weight *out, sg_error *err) {
  if (scale->n_dims < row->n_dims) return SG_OK;
  const char *text = NULL;
  for (size_t f = 0; f < w->n_files; f++)
    if (sgi_safetensors_find(w->files[f], scale->name) == scale)
      text = sgi_safetensors_metadata(w->files[f], SGI_GROUP_SIZE);
  uint64_t group = 0;
  if (!text)
    return sgi_fail(err, SG_ERR_FORMAT,
                    "%s: tensor %s has scales for groups of columns, and the metadata do not say " SGI_GROUP_SIZE, path,
                    scale->name);
  if (!sgi_number_whole(text, &group) || !group || group % 2 || group > SIZE_MAX / 2)
    return sgi_fail(err, SG_ERR_FORMAT, "%s: metadata: " SGI_GROUP_SIZE " is \"%.40s\": expected an even number", path,
                    text);
  out->group = (size_t)group;
  return SG_OK;
}

/* NAME.q8 or NAME.q4, t, and its NAME.scale. */
static sg_status scaled(sgi_weights *w, const sgi_row *row, const sgi_tensor *t, const char *path, bool four,
                        sgi_weight *out, sg_error *err) {
  char name[SGI_MAX_TENSOR_NAME + 8];
  size_t dims[SGI_MAX_DIMS + 1];
  const char *scale_path;
  if (!row->stored)
    return sgi_fail(err, SG_ERR_FORMAT, "%s: tensor %s: gains and biases have no int8 or int4: expected %s", path,
                    t->name, row->name);
  if (t->dtype != (four ? SGI_U8 : SGI_I8))
    return sgi_fail(err, SG_ERR_FORMAT, "%s: tensor %s has type %s: expected %s", path, t->name,
                    sgi_dtype_name(t->dtype), four ? "U8, two numbers a byte" : "I8");
  memcpy(dims, row->dims, sizeof row->dims);
  int last = row->n_dims - 1;
  dims[last] = sgi_weight_traits(t->dtype)->bytes(row->dims[last]);
  sg_status st = check_shape(t, path, dims, row->n_dims, err);
  if (st) return st;
  snprintf(name, sizeof name, "%s.scale", row->name);
  const sgi_tensor *scale = sgi_weights_find(w, name, &scale_path);
  if (!scale)
    return sgi_fail(err, SG_ERR_FORMAT, "%s: tensor %s is missing: %s has no meaning without its scales", scale_path,
                    name, t->name);
  if (scale->dtype != SGI_F32)
    return sgi_fail(err, SG_ERR_FORMAT, "%s: tensor %s has type %s: expected F32", scale_path, name,
                    sgi_dtype_name(scale->dtype));
  out->dtype = t->dtype;
  out->data = t->data;
  out->scale = scale->data;
  st = read_group(w, scale, scale_path, row, out, err);
  if (st) return st;
  dims[last] = sgi_weight_groups(out);
  return check_shape(scale, scale_path, dims, out->group ? last + 1 : last, err);
}

sg_status sgi_weights_get(sgi_weights *w, const sgi_row *row, sgi_weight *out, size_t *parts, sg_error *err) {
  static const char *const ends[] = {".q8", ".q4"};
  size_t width = row->dims[row->n_dims - 1];
  const char *path;
  *out = (sgi_weight){.rows = row->count / width, .width = width};
  *parts = 1;
  const sgi_tensor *t = sgi_weights_find(w, row->name, &path);
  if (t) return plain(w, row, t, path, out, err);
  *parts = 2;
  for (size_t i = 0; i < SGI_COUNT(ends); i++) {
    char name[SGI_MAX_TENSOR_NAME + 8];
    snprintf(name, sizeof name, "%s%s", row->name, ends[i]);
    t = sgi_weights_find(w, name, &path);
    if (t) return scaled(w, row, t, path, i == 1, out, err);
  }
  return sgi_fail(err, SG_ERR_FORMAT, "%s: tensor %s is missing", path, row->name);
}

bool sgi_weights_belongs(const sgi_table *table, const char *name) {
  static const char *const ends[] = {"", ".q8", ".q4", ".scale"};
  char base[SGI_MAX_TENSOR_NAME];
  size_t n = strlen(name);
  for (size_t i = 0; i < SGI_COUNT(ends); i++) {
    size_t end = strlen(ends[i]);
    if (n < end || n - end >= sizeof base || strcmp(name + n - end, ends[i])) continue;
    memcpy(base, name, n - end);
    base[n - end] = 0;
    if (sgi_table_find(table, base) >= 0) return true;
  }
  return false;
}

/* ---- writing --------------------------------------------------------------------------------- */

sg_status sgi_weights_describe(const sgi_table *table, const sgi_weight *weights, sgi_tensor **out, size_t *count,
                               sg_error *err) {
  typedef char tensor_name[SGI_MAX_TENSOR_NAME + 8];
  size_t most = 2 * table->count, bytes = most * (sizeof(sgi_tensor) + sizeof(tensor_name));
  sgi_tensor *t = *out = sgi_alloc(bytes);
  if (!t) return sgi_fail_memory(err, bytes, "a file's tensors");
  tensor_name *names = (tensor_name *)(void *)(t + most);
  *count = 0;
  for (size_t i = 0; i < table->count; i++) {
    const sgi_row *row = &table->rows[i];
    const sgi_weight *w = &weights[i];
    const sgi_dtype_traits *traits = sgi_weight_traits(w->dtype);
    int last = row->n_dims - 1;
    size_t at = (*count)++;
    snprintf(names[at], sizeof names[at], "%s%s", row->name, !traits->levels ? "" : w->dtype == SGI_U8 ? ".q4" : ".q8");
    t[at] = (sgi_tensor){.name = names[at], .dtype = w->dtype, .n_dims = row->n_dims, .data = w->data};
    memcpy(t[at].dims, row->dims, sizeof row->dims);
    if (!traits->levels) continue;
    t[at].dims[last] = traits->bytes(w->width);
    snprintf(names[at + 1], sizeof names[at + 1], "%s.scale", row->name);
    t[at + 1] =
        (sgi_tensor){.name = names[at + 1], .dtype = SGI_F32, .n_dims = w->group ? last + 1 : last, .data = w->scale};
    memcpy(t[at + 1].dims, row->dims, sizeof row->dims);
    t[at + 1].dims[last] = sgi_weight_groups(w);
    (*count)++;
  }
  return SG_OK;
}

sg_status sgi_weights_save(const sgi_table *table, const sgi_weight *weights, const char *path, sg_error *err) {
  sgi_tensor *t = NULL;
  size_t count = 0, group = 0;
  char text[32];
  for (size_t i = 0; i < table->count; i++)
    if (weights[i].group) group = weights[i].group;
  snprintf(text, sizeof text, "%zu", group);
  /* the first is what readers of the ecosystem ask for */
  const char *metadata[] = {"format", "pt", SGI_GROUP_SIZE, text};
  sg_status st = sgi_weights_describe(table, weights, &t, &count, err);
  if (!st) st = sgi_safetensors_save(path, t, count, metadata, group ? 2 : 1, err);
  sgi_free(t);
  return st;
}
