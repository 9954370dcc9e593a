/* outputs.h: output rows through a shared basis, w_out ~ sum of four amounts times rows of B
 * (docs/method-functions.md, outputs). */
#ifndef SGI_FUNCTION_OUTPUTS_H
#define SGI_FUNCTION_OUTPUTS_H

#include "functions/layer.h"

/* l's w_out becomes basis, part, amount with R_o rows; *kept the share of its squares that is
 * kept. */
sg_status sgi_function_outputs(sgi_function_layer *l, size_t rows, double *kept, sg_error *err);

#endif
