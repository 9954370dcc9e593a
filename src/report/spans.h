/* spans.h: the corpus greater-than (text/greater_than.h) as a command writes it. */
#ifndef SGI_REPORT_SPANS_H
#define SGI_REPORT_SPANS_H

#include "report.h"

/* Writes it; what its corpus.json says, new. */
sg_status sgi_spans_write_json(const char *directory, size_t sentences, uint64_t seed, bool (*go_on)(void *user),
                               void *user, json_t **out, sg_error *err);
/* SG_ERR_IO where the directory holds other files and no such corpus. */
sg_status sgi_spans_check_directory(const char *directory, sg_error *err);

#endif
