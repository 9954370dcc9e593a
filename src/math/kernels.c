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

/* NULL: nothing is asked for. */
static const char *wanted(void) {
  const char *want = getenv("SGATLIN_ISA");
  return want && *want ? want : NULL;
}

sg_status sgi_kernels_check(sg_error *err) {
  static const char *const names[] = {"generic", "avx2", "avx512"};
  const char *want = wanted();
  if (!want) return SG_OK;
  for (size_t i = 0; sgi_kernel_table_at(i); i++)
    if (!strcmp(want, sgi_kernel_table_at(i)->isa)) return SG_OK;
  for (size_t i = 0; i < SGI_COUNT(names); i++)
    if (!strcmp(want, names[i]))
      return sgi_fail(err, SG_ERR_ARG, "SGATLIN_ISA=%s: this processor cannot run it; its best is %s", want,
                      sgi_kernel_table_at(0)->isa);
  const char *near = sgi_nearest(want, names, SGI_COUNT(names));
  return sgi_fail(err, SG_ERR_ARG, "SGATLIN_ISA: unknown value '%.40s'%s%s%s: expected generic, avx2 or avx512", want,
                  near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

const sgi_kernels *sgi_kernel_table(void) {
  static _Atomic(const sgi_kernels *) chosen; /* the same value whoever computes it */
  const sgi_kernels *k = atomic_load(&chosen);
  if (k) return k;
  k = sgi_kernel_table_at(0);
  const char *want = wanted();
  for (size_t i = 0; want && sgi_kernel_table_at(i); i++)
    if (!strcmp(want, sgi_kernel_table_at(i)->isa)) k = sgi_kernel_table_at(i);
  atomic_store(&chosen, k);
  return k;
}
