/* kernels.h compiled for avx512. */
#include <string.h>

#include "math/kernels.h"

#if defined(__x86_64__)
#if !defined(__clang__) /* which has no such pragma: the Makefile gives it the flags */
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,bmi2,f16c,prefer-vector-width=512")
#endif
#define SGI_KERNELS_NAME sgi_kernels_avx512
#define SGI_KERNELS_ISA "avx512"
extern const sgi_kernels sgi_kernels_avx512;
#include "math/kernels_impl.h"
#endif
