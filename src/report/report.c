#include "report.h"

#include <math.h>
#include <string.h>

#include "text/unicode.h"

json_t *sgi_report_real(double x) { return isfinite(x) ? json_real(x) : json_null(); }

json_t *sgi_report_text(const char *bytes, size_t n) {
  json_t *whole = json_stringn(bytes, n);
  sgi_bytes clean = {0};
  if (whole) return whole;
  if (sgi_utf8_lossy(bytes, n, &clean)) whole = json_stringn(clean.data ? clean.data : "", clean.n);
  sgi_bytes_deinit(&clean);
  return whole;
}

const char *sgi_skip_mark(const char *text) { return text && !strncmp(text, "\xEF\xBB\xBF", 3) ? text + 3 : text; }
