#include "core/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "core/json.h"
#include "core/stand_in.h"

enum { MAX_TENSORS = 1000000, MAX_NAME = 4096 };
static const size_t MAX_HEADER = 100000000;

static const struct {
  const char *name;
  size_t size;
} dtypes[] = {[SGI_F32] = {"F32", 4},  [SGI_F64] = {"F64", 8}, [SGI_F16] = {"F16", 2}, [SGI_BF16] = {"BF16", 2},
              [SGI_I64] = {"I64", 8},  [SGI_I32] = {"I32", 4}, [SGI_I16] = {"I16", 2}, [SGI_I8] = {"I8", 1},
              [SGI_U8] = {"U8", 1},    [SGI_U16] = {"U16", 2}, [SGI_U32] = {"U32", 4}, [SGI_U64] = {"U64", 8},
              [SGI_BOOL] = {"BOOL", 1}};

const char *sgi_dtype_name(sgi_dtype t) { return dtypes[t].name; }
size_t sgi_dtype_size(sgi_dtype t) { return dtypes[t].size; }

struct sgi_safetensors {
  char *path;
  sgi_map map;
  json_t *header;
  size_t count;
  sgi_tensor *tensors; /* by offset; names are the header's */
  size_t *by_name;     /* indices of tensors, by name */
  void **copies;       /* (count) data moved to an aligned place, NULL where the map's is */
};

typedef struct place {
  sgi_tensor tensor;
  size_t begin;
} place;

/* ---- reading --------------------------------------------------------------------------------- */

static sg_status bad(const sgi_safetensors *f, const char *tensor, sg_error *err, const char *what) {
  return sgi_fail(err, SG_ERR_FORMAT, "%s: tensor %.100s: %s", f->path, tensor, what);
}

static bool find_dtype(const json_t *v, sgi_dtype *out) {
  if (!json_is_string(v)) return false;
  for (size_t i = 0; i < SGI_COUNT(dtypes); i++)
    if (!strcmp(dtypes[i].name, json_string_value(v))) {
      *out = (sgi_dtype)i;
      return true;
    }
  return false;
}

static bool whole(const json_t *v, size_t *out) {
  if (!json_is_integer(v) || json_integer_value(v) < 0) return false;
  *out = (size_t)json_integer_value(v);
  return true;
}

static sg_status read_entry(const sgi_safetensors *f, const char *name, const json_t *o, size_t data_bytes, place *out,
                            sg_error *err) {
  sgi_tensor *t = &out->tensor;
  const json_t *shape = json_object_get(o, "shape"), *offsets = json_object_get(o, "data_offsets");
  size_t end;
  *out = (place){.tensor = {.name = name, .count = 1}};
  if (!*name || strlen(name) > MAX_NAME) return bad(f, name, err, "the name must have 1 to 4096 bytes");
  if (!json_is_object(o) || json_object_size(o) != 3)
    return bad(f, name, err, "expected exactly dtype, shape and data_offsets");
  if (!find_dtype(json_object_get(o, "dtype"), &t->dtype)) return bad(f, name, err, "unknown dtype");
  if (!json_is_array(shape) || json_array_size(shape) > SGI_ST_MAX_DIMS)
    return bad(f, name, err, "shape must be a list of at most 8 sizes");
  t->n_dims = (int)json_array_size(shape);
  for (int i = 0; i < t->n_dims; i++)
    if (!whole(json_array_get(shape, (size_t)i), &t->dims[i]) || !sgi_size_mul(t->count, t->dims[i], &t->count))
      return bad(f, name, err, "shape must be whole numbers whose product this machine can address");
  if (!sgi_size_mul(t->count, dtypes[t->dtype].size, &t->bytes))
    return bad(f, name, err, "has more bytes than this machine can address");
  if (!json_is_array(offsets) || json_array_size(offsets) != 2 || !whole(json_array_get(offsets, 0), &out->begin) ||
      !whole(json_array_get(offsets, 1), &end) || out->begin > end || end > data_bytes)
    return bad(f, name, err, "data_offsets must be [begin, end] within the file's data");
  if (end - out->begin != t->bytes) return bad(f, name, err, "shape and data_offsets do not agree");
  return SG_OK;
}

static int by_offset(const void *a, const void *b) {
  const place *x = a, *y = b;
  if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
  return x->tensor.bytes < y->tensor.bytes   ? -1
         : x->tensor.bytes > y->tensor.bytes ? 1
                                             : strcmp(x->tensor.name, y->tensor.name);
}

static sg_status check_metadata(const sgi_safetensors *f, const json_t *o, sg_error *err) {
  const char *key;
  const json_t *v;
  if (!json_is_object(o)) return sgi_fail(err, SG_ERR_FORMAT, "%s: __metadata__ must be an object of strings", f->path);
  json_object_foreach((json_t *)(uintptr_t)o, key, v) {
    if (!json_is_string(v))
      return sgi_fail(err, SG_ERR_FORMAT, "%s: __metadata__: %.60s must be a string", f->path, key);
  }
  return SG_OK;
}

static sg_status read_entries(sgi_safetensors *f, size_t data_bytes, place *places, sg_error *err) {
  const char *name;
  const json_t *o;
  size_t n = 0, end = 0;
  sg_status st = SG_OK;
  json_object_foreach(f->header, name, o) {
    if (st) continue;
    st = strcmp(name, "__metadata__") ? read_entry(f, name, o, data_bytes, &places[n++], err)
                                      : check_metadata(f, o, err);
  }
  if (st) return st;
  qsort(places, n, sizeof *places, by_offset);
  for (size_t i = 0; i < n; i++) {
    if (places[i].begin != end)
      return bad(f, places[i].tensor.name, err, places[i].begin < end ? "overlaps another" : "leaves a hole before it");
    end += places[i].tensor.bytes;
  }
  if (end != data_bytes)
    return sgi_fail(err, SG_ERR_FORMAT, "%s: the tensors end at byte %zu of the data, the file at %zu", f->path, end,
                    data_bytes);
  return SG_OK;
}

/* Points tensors at their data; what lies across the alignment of its type is copied. */
static sg_status place_data(sgi_safetensors *f, const place *places, const unsigned char *data, sg_error *err) {
  for (size_t i = 0; i < f->count; i++) {
    sgi_tensor *t = &f->tensors[i];
    *t = places[i].tensor;
    if (!t->count) continue;
    t->data = data + places[i].begin;
    if ((uintptr_t)t->data % dtypes[t->dtype].size == 0) continue;
    f->copies[i] = sgi_alloc(t->bytes);
    if (!f->copies[i]) return sgi_fail_memory(err, t->bytes, t->name);
    memcpy(f->copies[i], t->data, t->bytes);
    t->data = f->copies[i];
  }
  return SG_OK;
}

static void sift(const sgi_tensor *t, size_t *index, size_t root, size_t n) {
  for (size_t child; (child = 2 * root + 1) < n; root = child) {
    if (child + 1 < n && strcmp(t[index[child]].name, t[index[child + 1]].name) < 0) child++;
    if (strcmp(t[index[root]].name, t[index[child]].name) >= 0) return;
    size_t swap = index[root];
    index[root] = index[child];
    index[child] = swap;
  }
}

/* Heap sort of indices: qsort cannot be told of the tensors without a global. */
static void sort_names(sgi_safetensors *f) {
  size_t n = f->count;
  for (size_t i = 0; i < n; i++) f->by_name[i] = i;
  for (size_t i = n / 2; i-- > 0;) sift(f->tensors, f->by_name, i, n);
  for (size_t i = n; i-- > 1;) {
    size_t swap = f->by_name[0];
    f->by_name[0] = f->by_name[i];
    f->by_name[i] = swap;
    sift(f->tensors, f->by_name, 0, i);
  }
}

/* Where the file does not begin as safetensors do: what it is, if that is known. */
static sg_status not_safetensors(const sgi_safetensors *f, sg_error *err) {
  return sgi_stand_in(f->path, f->map.data ? (const char *)f->map.data : "", f->map.size, err);
}

static sg_status read_header(sgi_safetensors *f, size_t *data_at, sg_error *err) {
  uint64_t length = 0;
  bool header = f->map.size > 8 && f->map.data[8] == '{';
  sg_status st = header ? SG_OK : not_safetensors(f, err);
  if (st) return st;
  if (f->map.size < 8)
    return sgi_fail(err, SG_ERR_FORMAT, "%s: has %zu bytes: too short for a safetensors file", f->path, f->map.size);
  for (int i = 7; i >= 0; i--) length = length << 8 | f->map.data[i];
  if (length > MAX_HEADER || length > f->map.size - 8)
    return sgi_fail(err, SG_ERR_FORMAT, "%s: byte 0: header length %llu is more than the file or 100 MB", f->path,
                    (unsigned long long)length);
  if (!length || f->map.data[8] != '{')
    return sgi_fail(err, SG_ERR_FORMAT, "%s: byte 8: the header must begin with {", f->path);
  *data_at = 8 + (size_t)length;
  st = sgi_json_parse((const char *)f->map.data + 8, (size_t)length, f->path, &f->header, err);
  if (!st && !json_is_object(f->header)) st = sgi_fail(err, SG_ERR_FORMAT, "%s: the header must be an object", f->path);
  if (st) return st;
  f->count = json_object_size(f->header) - (json_object_get(f->header, "__metadata__") ? 1 : 0);
  return f->count > MAX_TENSORS
             ? sgi_fail(err, SG_ERR_FORMAT, "%s: has %zu tensors: at most %d", f->path, f->count, MAX_TENSORS)
             : SG_OK;
}

static sg_status open_checked(sgi_safetensors *f, sg_error *err) {
  size_t data_at = 0;
  sg_status st = sgi_map_file(f->path, &f->map, err);
  if (!st) st = read_header(f, &data_at, err);
  if (st) return st;
  place *places = sgi_alloc((f->count + 1) * sizeof *places);
  f->tensors = sgi_alloc((f->count + 1) * sizeof *f->tensors);
  f->by_name = sgi_alloc((f->count + 1) * sizeof *f->by_name);
  f->copies = sgi_alloc((f->count + 1) * sizeof *f->copies);
  if (!places || !f->tensors || !f->by_name || !f->copies)
    st = sgi_fail_memory(err, f->count * sizeof *places, f->path);
  if (!st) st = read_entries(f, f->map.size - data_at, places, err);
  if (!st) st = place_data(f, places, f->map.data + data_at, err);
  if (!st) sort_names(f);
  sgi_free(places);
  return st;
}

sg_status sgi_safetensors_open(const char *path, sgi_safetensors **out, sg_error *err) {
  *out = NULL;
  sgi_safetensors *f = sgi_alloc(sizeof *f);
  if (!f) return sgi_fail_memory(err, sizeof *f, path);
  f->path = sgi_strdup(path);
  sg_status st = f->path ? open_checked(f, err) : sgi_fail_memory(err, strlen(path), "a path");
  if (st)
    sgi_safetensors_close(f);
  else
    *out = f;
  return st;
}

void sgi_safetensors_close(sgi_safetensors *f) {
  if (!f) return;
  for (size_t i = 0; f->copies && i < f->count; i++) sgi_free(f->copies[i]);
  sgi_free(f->copies);
  sgi_free(f->by_name);
  sgi_free(f->tensors);
  json_decref(f->header);
  sgi_unmap_file(&f->map);
  sgi_free(f->path);
  sgi_free(f);
}

size_t sgi_safetensors_count(const sgi_safetensors *f) { return f->count; }
const sgi_tensor *sgi_safetensors_at(const sgi_safetensors *f, size_t i) {
  return i < f->count ? &f->tensors[i] : NULL;
}
const char *sgi_safetensors_path(const sgi_safetensors *f) { return f->path; }
const sgi_file_id *sgi_safetensors_id(const sgi_safetensors *f) { return &f->map.id; }

const sgi_tensor *sgi_safetensors_find(const sgi_safetensors *f, const char *name) {
  for (size_t low = 0, high = f->count; low < high;) {
    size_t middle = low + (high - low) / 2;
    const sgi_tensor *t = &f->tensors[f->by_name[middle]];
    int c = strcmp(name, t->name);
    if (c == 0) return t;
    if (c < 0)
      high = middle;
    else
      low = middle + 1;
  }
  return NULL;
}

const char *sgi_safetensors_metadata(const sgi_safetensors *f, const char *key) {
  return json_string_value(json_object_get(json_object_get(f->header, "__metadata__"), key));
}

/* ---- writing --------------------------------------------------------------------------------- */

struct sgi_safetensors_writer {
  sgi_writer *file;
  size_t count, size; /* bytes of the whole file */
  size_t *begin, *bytes;
};

enum { DATA_ALIGN = 64 };

static json_t *entry(const sgi_tensor *t, size_t begin, size_t end) {
  json_t *shape = json_array();
  for (int i = 0; i < t->n_dims; i++) json_array_append_new(shape, json_integer((json_int_t)t->dims[i]));
  return json_pack("{s:s, s:o, s:[I, I]}", "dtype", dtypes[t->dtype].name, "shape", shape, "data_offsets",
                   (json_int_t)begin, (json_int_t)end);
}

/* The header's text, padded with blanks so that data begins at a multiple of 64; begin and bytes
 * are filled. */
static sg_status make_header(sgi_safetensors_writer *w, const sgi_tensor *tensors, const char *const *metadata,
                             size_t n_metadata, char **text, size_t *length, sg_error *err) {
  json_t *o = json_object();
  size_t at = 0;
  int failed = !o;
  if (n_metadata) {
    json_t *m = json_object();
    for (size_t i = 0; i < n_metadata; i++)
      failed |= json_object_set_new(m, metadata[2 * i], json_string(metadata[2 * i + 1]));
    failed |= json_object_set_new(o, "__metadata__", m);
  }
  sg_status st = SG_OK;
  for (size_t i = 0; i < w->count && !st; i++) {
    const sgi_tensor *t = &tensors[i];
    size_t bytes = dtypes[t->dtype].size;
    bool fits = t->n_dims >= 0 && t->n_dims <= SGI_ST_MAX_DIMS;
    for (int k = 0; fits && k < t->n_dims; k++) fits = sgi_size_mul(bytes, t->dims[k], &bytes);
    w->begin[i] = at;
    w->bytes[i] = bytes;
    if (!fits || !sgi_size_add(at, bytes, &at) || at > (size_t)1 << 62)
      st = sgi_fail(err, SG_ERR_ARG, "tensor %.100s is too large to be written", t->name);
    else if (json_object_get(o, t->name))
      st = sgi_fail(err, SG_ERR_ARG, "tensor %.100s would be written twice", t->name);
    else
      failed |= json_object_set_new(o, t->name, entry(t, w->begin[i], at));
  }
  char *plain = !st && !failed ? json_dumps(o, JSON_COMPACT) : NULL;
  json_decref(o);
  if (st) return st;
  if (!plain) return sgi_fail_memory(err, w->count * 128, "a safetensors header (or a name is not UTF-8)");
  size_t n = strlen(plain), padded = (8 + n + DATA_ALIGN - 1) / DATA_ALIGN * DATA_ALIGN;
  *text = sgi_alloc(padded);
  if (!*text) {
    free(plain);
    return sgi_fail_memory(err, padded, "a safetensors header");
  }
  for (size_t i = 0; i < 8; i++) (*text)[i] = (char)((padded - 8) >> (8 * i) & 0xff);
  memcpy(*text + 8, plain, n);
  memset(*text + 8 + n, ' ', padded - 8 - n);
  free(plain);
  for (size_t i = 0; i < w->count; i++) w->begin[i] += padded;
  w->size = padded + at;
  *length = padded;
  return SG_OK;
}

static void writer_free(sgi_safetensors_writer *w) {
  sgi_free(w->begin);
  sgi_free(w->bytes);
  sgi_free(w);
}

void sgi_safetensors_writer_drop(sgi_safetensors_writer *w) {
  if (!w) return;
  sgi_writer_drop(w->file);
  writer_free(w);
}

sg_status sgi_safetensors_writer_open(const char *path, const sgi_tensor *tensors, size_t count,
                                      const char *const *metadata, size_t n_metadata, sgi_safetensors_writer **out,
                                      sg_error *err) {
  *out = NULL;
  char *header = NULL;
  size_t length = 0;
  sgi_safetensors_writer *w = sgi_alloc(sizeof *w);
  if (!w) return sgi_fail_memory(err, sizeof *w, path);
  *w = (sgi_safetensors_writer){.count = count,
                                .begin = sgi_alloc((count + 1) * sizeof(size_t)),
                                .bytes = sgi_alloc((count + 1) * sizeof(size_t))};
  sg_status st = w->begin && w->bytes ? make_header(w, tensors, metadata, n_metadata, &header, &length, err)
                                      : sgi_fail_memory(err, count * sizeof(size_t), path);
  if (!st) st = sgi_writer_open(path, &w->file, err);
  if (!st) st = sgi_writer_write_at(w->file, 0, header, length, err);
  /* The last byte gives the file its length, so that what is never put reads as zero. */
  if (!st && w->size > length) st = sgi_writer_write_at(w->file, w->size - 1, "", 1, err);
  sgi_free(header);
  if (st)
    sgi_safetensors_writer_drop(w);
  else
    *out = w;
  return st;
}

sg_status sgi_safetensors_writer_put(sgi_safetensors_writer *w, size_t tensor, size_t byte_offset, const void *data,
                                     size_t n, sg_error *err) {
  if (tensor >= w->count || byte_offset > w->bytes[tensor] || n > w->bytes[tensor] - byte_offset)
    return sgi_fail(err, SG_ERR_INTERNAL, "tensor %zu: bytes %zu + %zu are outside it", tensor, byte_offset, n);
  return sgi_writer_write_at(w->file, w->begin[tensor] + byte_offset, data, n, err);
}

sg_status sgi_safetensors_writer_close(sgi_safetensors_writer *w, sg_error *err) {
  sg_status st = sgi_writer_close(w->file, err);
  writer_free(w);
  return st;
}

sg_status sgi_safetensors_save(const char *path, const sgi_tensor *tensors, size_t count, const char *const *metadata,
                               size_t n_metadata, sg_error *err) {
  sgi_safetensors_writer *w;
  sg_status st = sgi_safetensors_writer_open(path, tensors, count, metadata, n_metadata, &w, err);
  if (st) return st;
  for (size_t i = 0; i < count && !st; i++)
    if (w->bytes[i]) st = sgi_safetensors_writer_put(w, i, 0, tensors[i].data, w->bytes[i], err);
  if (!st) return sgi_safetensors_writer_close(w, err);
  sgi_safetensors_writer_drop(w);
  return st;
}
