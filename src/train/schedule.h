/* schedule.h: learning rate of each update, as the reference computes it, quirks included (golden
 * README nos. 17-20). Stateless: a resumed run needs only the number of updates done. */
#ifndef SGI_SCHEDULE_H
#define SGI_SCHEDULE_H

#include "core/base.h"

typedef enum sgi_schedule_kind {
  SGI_SCHEDULE_CONSTANT,      /* "constant": peak from the first update; no warm-up */
  SGI_SCHEDULE_COSINE,        /* "cosine": down to a tenth of the peak, reached `warmup` updates before the end */
  SGI_SCHEDULE_WARMUP_LINEAR, /* "warmup_stable_linear_decay": peak (1 - u) over the last decay_fraction */
  SGI_SCHEDULE_WARMUP_SQRT    /* "warmup_stable_sqrt_decay": peak (1 - sqrt u) */
} sgi_schedule_kind;

typedef struct sgi_schedule {
  sgi_schedule_kind kind;
  double peak;           /* the learning rate of the settings, > 0 */
  uint64_t updates;      /* n: optimizer updates of the whole run (steps / accumulation, cut) */
  uint64_t warmup;       /* w: updates of linear warm-up; the first one has learning rate 0 */
  double decay_fraction; /* decay takes the last int(decay_fraction * n) updates; in 0..1 */
} sgi_schedule;

const char *sgi_schedule_name(sgi_schedule_kind kind); /* NULL past the last */
/* SG_ERR_ARG with the nearest name suggested when there is none of that name. */
sg_status sgi_schedule_find(const char *name, sgi_schedule_kind *out, sg_error *err);

/* SG_OK if sgi_schedule_at may be asked; otherwise the setting, its value and what is allowed. */
sg_status sgi_schedule_check(const sgi_schedule *s, sg_error *err);

/* Learning rate of the update that follows `update` done ones. Past the end: where the decay ends.
 * s is checked. */
double sgi_schedule_at(const sgi_schedule *s, uint64_t update);

#endif
