/* direction.h: a direction of the residual stream toward a token, as an edit. */
#ifndef SGI_REPORT_DIRECTION_H
#define SGI_REPORT_DIRECTION_H

#include "prompt.h"

/* strength times the direction that raises toward (over away; NULL: over none), behind the layer,
 * at every position. out->vector is new: sgi_free((void *)out->vector). */
sg_status sgi_direction_edit(const sgi_prompt *p, size_t layer, const char *toward, const char *away, double strength,
                             sg_edit *out, sg_error *err);

#endif
