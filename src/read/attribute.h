/* attribute.h: attribution in a frozen network that is there already, for readers of several
 * positions of one run. */
#ifndef SGI_ATTRIBUTE_H
#define SGI_ATTRIBUTE_H

#include "read/frozen.h"

/* As sg_attribute; progress (NULL allowed): layers on the way down. log_p (NULL allowed): the log
 * probability of the target. New: sg_attribution_free. */
sg_status sgi_attribute_held(const sgi_frozen *f, size_t position, int32_t target, int32_t against,
                             bool (*progress)(void *user, size_t done, size_t wanted), void *user, double *log_p,
                             sg_attribution **out, sg_error *err);

/* qsort order of sg_term: largest |effect| first, then by place. */
int sgi_term_order(const void *a, const void *b);

#endif
