/* number.h: numbers in text that people write: decimal digits, nothing else. strtod alone would
 * take hexadecimal, "inf", "nan" and leading blanks, strtoull a minus. */
#ifndef SGI_NUMBER_H
#define SGI_NUMBER_H

#include "core/base.h"

/* The whole text is digits and fits. */
bool sgi_number_whole(const char *text, uint64_t *out);
/* A finite decimal number at the beginning of text ("-1.5e3"); *rest is what is behind it. */
bool sgi_number_real(const char *text, const char **rest, double *out);

#endif
