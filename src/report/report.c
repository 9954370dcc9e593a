#include "report.h"

#include <math.h>
#include <string.h>

#include "text/unicode.h"

json_t *sgi_report_real(double x) { return isfinite(x) ? json_real(x) : json_null(); }

json_t *sgi_report_reals(const double *x, size_t n) {
  json_t *list = json_array();
  for (size_t i = 0; i < n; i++) json_array_append_new(list, sgi_report_real(x[i]));
  return list;
}

json_t *sgi_report_text(const char *bytes, size_t n) {
  json_t *whole = json_stringn(bytes, n);
  sgi_bytes clean = {0};
  if (whole) return whole;
  if (sgi_utf8_lossy(bytes, n, &clean)) whole = json_stringn(clean.data ? clean.data : "", clean.n);
  sgi_bytes_deinit(&clean);
  return whole;
}

double sgi_field_real(const json_t *object, const char *key) {
  const json_t *x = json_object_get(object, key);
  return json_is_number(x) ? json_number_value(x) : NAN;
}

size_t sgi_field_size(const json_t *object, const char *key) {
  json_int_t x = json_integer_value(json_object_get(object, key));
  return x > 0 ? (size_t)x : 0;
}

const char *sgi_field_word(const json_t *object, const char *key) {
  const char *text = json_string_value(json_object_get(object, key));
  return text ? text : "";
}

bool sgi_field_flag(const json_t *object, const char *key) { return json_is_true(json_object_get(object, key)); }

size_t sgi_field_reals(const json_t *object, const char *key, double *out, size_t most) {
  const json_t *list = json_object_get(object, key);
  size_t n = json_array_size(list) < most ? json_array_size(list) : most;
  for (size_t i = 0; i < n; i++) {
    const json_t *x = json_array_get(list, i);
    out[i] = json_is_number(x) ? json_number_value(x) : NAN;
  }
  return n;
}

sg_status sgi_report_whole(json_t **document, const char *what, sg_error *err) {
  if (*document && sgi_json_state() == SGI_JSON_WHOLE) return SG_OK;
  json_decref(*document);
  *document = NULL;
  return sgi_json_state() == SGI_JSON_WHOLE ? sgi_fail(err, SG_ERR_MEMORY, "out of memory for %s", what)
                                            : sgi_json_incomplete(what, err);
}

const char *sgi_skip_mark(const char *text) { return text && !strncmp(text, "\xEF\xBB\xBF", 3) ? text + 3 : text; }

char *sgi_report_clean(const char *text, size_t n, size_t *length) {
  sgi_bytes out = {0};
  bool ok = true;
  for (size_t at = 0; at < n && ok; at++) {
    size_t k = strnlen(text + at, n - at);
    ok = sgi_utf8_lossy(text + at, k, &out) && (at + k == n || sgi_bytes_add(&out, "\xEF\xBF\xBD", 3));
    at += k;
  }
  *length = out.n;
  if (ok && sgi_bytes_add(&out, "", 1)) return out.data;
  sgi_bytes_deinit(&out);
  return NULL;
}
