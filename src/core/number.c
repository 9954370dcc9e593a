#include "core/number.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>

bool sgi_number_whole(const char *text, uint64_t *out) {
  if (!isdigit((unsigned char)*text)) return false;
  char *end;
  errno = 0;
  unsigned long long n = strtoull(text, &end, 10);
  if (errno || *end) return false;
  *out = n;
  return true;
}

bool sgi_number_real(const char *text, const char **rest, double *out) {
  const char *p = text + (*text == '-' || *text == '+');
  if (!isdigit((unsigned char)*p) && !(*p == '.' && isdigit((unsigned char)p[1]))) return false;
  if (p[0] == '0' && (p[1] == 'x' || p[1] == 'X')) return false;
  char *end;
  double x = strtod(text, &end);
  if (!isfinite(x)) return false;
  *rest = end;
  *out = x;
  return true;
}
