#include "core/profile.h"

#include <string.h>

void sgi_profile_add(sgi_profile *p, const char *name, double seconds, double flops, double bytes) {
  size_t i = 0;
  while (i < p->count && strcmp(p->kernels[i].name, name) != 0) i++;
  if (i == SGI_PROFILE_KERNELS) return;
  if (i == p->count) {
    p->count++;
    p->kernels[i].name = name;
  }
  p->kernels[i].calls++;
  p->kernels[i].seconds += seconds;
  p->kernels[i].flops += flops;
  p->kernels[i].bytes += bytes;
}
