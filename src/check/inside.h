/* inside.h: between the files of src/check. */
#ifndef SGI_CHECK_INSIDE_H
#define SGI_CHECK_INSIDE_H

#include "check/check.h"
#include "math/kernels.h"

/* st with why: a fault of the files goes into c and SG_OK comes back; what is none (memory, a stop)
 * comes back in err. */
sg_status sgi_check_took(sgi_checks *c, const char *path, const char *what, sg_status st, const sg_error *why,
                         sg_error *err);

/* One table of kernels. */
void sgi_check_kernels(sgi_checks *c, const sgi_kernels *k);

#endif
