#include "ids.h"

#include <stdlib.h>

#include "cli.h"
#include "core/json.h"

enum { MAX_BYTES = 1 << 30 };

static sg_status read_row(const json_t *row, const char *path, size_t r, size_t T, int32_t *out, sg_error *err) {
  if (!json_is_array(row) || json_array_size(row) != T)
    return sgi_fail(err, SG_ERR_FORMAT, "%s: row %zu: expected a list of %zu ids, as long as row 1", path, r + 1, T);
  for (size_t t = 0; t < T; t++) {
    const json_t *v = json_array_get(row, t);
    if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > INT32_MAX)
      return sgi_fail(err, SG_ERR_FORMAT, "%s: row %zu, position %zu: expected a token id, a whole number from 0", path,
                      r + 1, t + 1);
    out[t] = (int32_t)json_integer_value(v);
  }
  return SG_OK;
}

static sg_status read_rows(const json_t *o, const char *path, int32_t **ids, size_t *B, size_t *T, sg_error *err) {
  if (json_is_object(o)) o = json_object_get(o, "ids");
  if (!json_is_array(o) || !json_array_size(o))
    return sgi_fail(err, SG_ERR_FORMAT, "%s: expected [[ids of row 1], [ids of row 2], ...]", path);
  bool flat = json_is_integer(json_array_get(o, 0));
  *B = flat ? 1 : json_array_size(o);
  *T = json_array_size(flat ? o : json_array_get(o, 0));
  if (!*T) return sgi_fail(err, SG_ERR_FORMAT, "%s: row 1 is empty: expected a list of token ids", path);
  size_t n;
  if (!sgi_size_mul(*B, *T, &n) || !sgi_size_mul(n, sizeof **ids, &n) || !(*ids = sgi_alloc(n)))
    return sgi_fail_memory(err, SIZE_MAX, "token ids");
  sg_status st = SG_OK;
  for (size_t r = 0; r < *B && !st; r++)
    st = read_row(flat ? o : json_array_get(o, r), path, r, *T, *ids + r * *T, err);
  if (st) {
    sgi_free(*ids);
    *ids = NULL;
  }
  return st;
}

static sg_status load(const char *path, json_t **o, sg_error *err) {
  char *text;
  size_t n;
  sg_status st = cli_read_all(path, MAX_BYTES, &text, &n, err);
  if (!st) st = sgi_json_parse(text, n, path, o, err);
  free(text);
  return st;
}

sg_status cli_read_ids(const char *path, int32_t **ids, size_t *B, size_t *T, sg_error *err) {
  json_t *o = NULL;
  *ids = NULL;
  sg_status st = load(path, &o, err);
  if (!st) st = read_rows(o, path, ids, B, T, err);
  json_decref(o);
  return st;
}

static bool is_empty(const json_t *o) {
  if (json_is_object(o)) o = json_object_get(o, "ids");
  if (json_array_size(o) == 1) o = json_array_get(o, 0);
  return json_is_array(o) && !json_array_size(o);
}

sg_status cli_read_prompt_ids(const char *path, int32_t **ids, size_t *n, sg_error *err) {
  json_t *o = NULL;
  size_t rows = 1;
  *ids = NULL;
  *n = 0;
  sg_status st = load(path, &o, err);
  if (!st && !is_empty(o)) st = read_rows(o, path, ids, &rows, n, err);
  json_decref(o);
  if (st || rows == 1) return st;
  sgi_free(*ids);
  *ids = NULL;
  return sgi_fail(err, SG_ERR_ARG, "%s: %zu rows: a prompt is one list of ids", path, rows);
}
