/* context.h: what a model reads at a time is no longer than it was made for, unless the user asks;
 * then the result says so. */
#ifndef SGI_REPORT_CONTEXT_H
#define SGI_REPORT_CONTEXT_H

#include "core/base.h"

/* The warning of a result that read T tokens at a time; false where T is no more than the model was
 * made for. */
enum { SGI_CONTEXT_TEXT = 192 };
bool sgi_context_text(const sg_config *config, size_t T, char text[SGI_CONTEXT_TEXT]);
/* Where nobody asked for it: always an error. hint: what to do instead. */
sg_status sgi_context_fail(const sg_config *config, size_t T, const char *hint, sg_error *err);

#endif
