/* report.h: numbers and texts as they stand in every result. What a command prints and what the
 * explorer answers are one document, made in this room: JSON out of the library's structs. */
#ifndef SGI_REPORT_REPORT_H
#define SGI_REPORT_REPORT_H

#include "core/arena.h"
#include "core/base.h"
#include "core/json.h"

json_t *sgi_report_real(double x);                   /* null where x is NaN or infinite */
json_t *sgi_report_reals(const double *x, size_t n); /* an array of these */
/* A string from bytes that may be broken UTF-8 (broken parts as U+FFFD), so that it is never NULL
 * but for memory. */
json_t *sgi_report_text(const char *bytes, size_t n);
/* Whole characters of text (n bytes) with a NUL behind, broken ones and NULs within as U+FFFD;
 * *length without that NUL. New: sgi_free; NULL: memory is out. */
char *sgi_report_clean(const char *text, size_t n, size_t *length);
/* Fields of a result, for whoever prints it: NaN, 0, "", false where there is none, or null. */
double sgi_field_real(const json_t *object, const char *key);
size_t sgi_field_size(const json_t *object, const char *key);
const char *sgi_field_word(const json_t *object, const char *key);
bool sgi_field_flag(const json_t *object, const char *key);
/* The first numbers of an array into out (room for most), NaN for null; returns how many. */
size_t sgi_field_reals(const json_t *object, const char *key, double *out, size_t most);
/* SG_OK where *document could be made whole; else it is freed and NULL, and err says so of what. */
sg_status sgi_report_whole(json_t **document, const char *what, sg_error *err);
/* text behind its byte order mark, if it has one. NULL allowed. */
const char *sgi_skip_mark(const char *text);

#endif
