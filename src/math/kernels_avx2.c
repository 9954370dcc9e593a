/* kernels.h compiled for avx2. */
#include <string.h>

#include "math/kernels.h"

#if defined(__x86_64__)
#if !defined(__clang__) /* which has no such pragma: the Makefile gives it the flags */
#pragma GCC target("avx2,fma,bmi2,f16c")
#endif
#define SGI_KERNELS_NAME sgi_kernels_avx2
#define SGI_KERNELS_ISA "avx2"
extern const sgi_kernels sgi_kernels_avx2;
#include "math/kernels_impl.h"
#endif
