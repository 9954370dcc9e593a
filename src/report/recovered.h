/* recovered.h: how much of what a model's feedforward layers do another has, in its loss
 * (docs/method.md, distillation): (L_zero - L) / (L_zero - L_teacher), L_zero with every
 * feedforward layer adding nothing. */
#ifndef SGI_REPORT_RECOVERED_H
#define SGI_REPORT_RECOVERED_H

#include "report/convert.h"

typedef struct sgi_recovered {
  double teacher, zero; /* losses */
} sgi_recovered;

/* Asked after each row; false ends with SG_ERR_CANCELLED. NULL: never. */
typedef bool (*sgi_recovered_goes_on)(void *user);

sg_status sgi_recovered_begin(const sg_model *teacher, const sgi_text_rows *rows, sgi_recovered_goes_on goes_on,
                              void *user, sgi_recovered *out, sg_error *err);
/* Mean loss over all counted targets. */
sg_status sgi_recovered_loss(const sg_model *m, const sgi_text_rows *rows, sgi_recovered_goes_on goes_on, void *user,
                             double *loss, sg_error *err);
static inline double sgi_recovered_share(const sgi_recovered *r, double loss) {
  return (r->zero - loss) / (r->zero - r->teacher);
}

#endif
