/* kernels.h compiled for generic. */
#include <string.h>

#include "math/kernels.h"

#define SGI_KERNELS_NAME sgi_kernels_generic
#define SGI_KERNELS_ISA "generic"
extern const sgi_kernels sgi_kernels_generic;
#include "math/kernels_impl.h"
