/* glu_unit.h: a glu hidden unit with its gate held, for glu and moe. */
#ifndef SGI_GLU_UNIT_H
#define SGI_GLU_UNIT_H

#include "ffn/ffn.h"

/* h = G (clip(l) + 1) with l = w . x + bias: G and the ratio clip(l) / l are held, so h = G ratio
 * (w . x) + G (ratio bias + 1). G is taken from h, so that an edited h is held too. weight
 * multiplies all (moe: the expert's probability). */
static inline sgi_unit sgi_glu_unit(double h, double l, double bias, double weight) {
  double clipped = l > 7 ? 7 : l < -7 ? -7 : l, ratio = l != 0 ? clipped / l : 1, linear = clipped + 1;
  double G = linear != 0 ? h / linear : 0;
  return (sgi_unit){
      .value = weight * h, .gate = weight * G * ratio, .constant = weight * (linear != 0 ? G * (ratio * bias + 1) : h)};
}

#endif
