/* small.h: models, trainers and batches of any registered kind that are large enough to be real and small enough to be quick. */
#ifndef TEST_SMALL_H
#define TEST_SMALL_H

#include "support/golden.h"
#include "train/trainer.h"

enum { SMALL_B = 4, SMALL_T = 24, SMALL_V = 61, SMALL_LAYERS = 2 };

/* Sizes of the kind's own settings come from its uses alone. */
sg_config small_config(const char *kind);
sgi_trainer_settings small_settings(void);
sgi_trainer *small_trainer(const char *kind, const sgi_trainer_settings *s);

/* Batch number i: (B,T) ids, the last target of each row is padding. starts (B,T): two documents a row. */
void small_batch(uint64_t i, int32_t *inputs, int32_t *targets, int32_t *starts);
/* One step on batch number t->steps; fails the test where it cannot be taken. */
sgi_step small_step(sgi_trainer *t);

#endif
