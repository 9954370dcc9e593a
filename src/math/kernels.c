#include "math/kernels.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

extern const sgi_kernels sgi_kernels_generic, sgi_kernels_avx2, sgi_kernels_avx512;

/* Best first; generic is always there. */
const sgi_kernels *sgi_kernel_table_at(size_t i) {
  const sgi_kernels *have[4] = {0};
  size_t n = 0;
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl"))
    have[n++] = &sgi_kernels_avx512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) have[n++] = &sgi_kernels_avx2;
#endif
  have[n++] = &sgi_kernels_generic;
  return i < n ? have[i] : NULL;
}

const sgi_kernels *sgi_kernel_table(void) {
  static _Atomic(const sgi_kernels *) chosen; /* the same value whoever computes it */
  const sgi_kernels *k = atomic_load(&chosen);
  if (k) return k;
  k = sgi_kernel_table_at(0);
  const char *want = getenv("SGATLIN_ISA");
  for (size_t i = 0; want && sgi_kernel_table_at(i); i++)
    if (!strcmp(want, sgi_kernel_table_at(i)->isa)) k = sgi_kernel_table_at(i);
  atomic_store(&chosen, k);
  return k;
}
