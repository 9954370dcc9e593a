#include "ffn/aux.h"

#define NAME(name, has, value) name,
static const char *const names[] = {SGI_AUX_NUMBERS(NAME)};

_Static_assert(SGI_COUNT(names) <= SG_AUX_NUMBERS, "sg_step has room for fewer");

sgi_aux_weights sgi_aux_usual(void) {
#define USUAL(id, name, usual, help) [SGI_AUX_##id] = usual,
  return (sgi_aux_weights){.part = {SGI_AUX_PARTS(USUAL)}};
}

const char *sgi_aux_name(size_t i) { return i < SGI_COUNT(names) ? names[i] : NULL; }

const char *sg_aux_name(size_t i) { return sgi_aux_name(i); }

bool sgi_aux_number(const sgi_aux *a, size_t i, double *out) {
  size_t at = 0;
#define NUMBER(name, has, value) \
  if (at++ == i) return (has) ? (*out = (value), true) : false;
  SGI_AUX_NUMBERS(NUMBER)
  return false;
}
