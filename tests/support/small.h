/* small.h: models, trainers and batches of any registered kind that are large enough to be real and
 * small enough to be quick. */
#ifndef TEST_SMALL_H
#define TEST_SMALL_H

#include "support/golden.h"
#include "train/trainer.h"

enum { SMALL_B = 4, SMALL_T = 24, SMALL_V = 61, SMALL_LAYERS = 2 };

/* Sizes of the kind's own settings come from its uses alone. */
sg_config small_config(const char *kind);
/* Of a kind with sub-experts: sizes of those in the place of num_neurons, one router for all
 * layers. */
void small_experts(sg_config *c);
/* Models whose layers differ, by number; false past the last. All kinds, other sizes, tied layers
 * and sublayers, layers without attention, without feedforward, without either; sequential,
 * parallel, pruned. Every generic test meets them: name is what they are called. */
bool mixed_config(size_t i, sg_config *out, const char **name);
/* The list of the first of them as "layers" of config.json, for what is set up from text; *n
 * layers. */
const char *mixed_layers(size_t *n);
/* Number i of them with the vocabulary and the context of like, to read with its tokenizer. */
sg_config mixed_like(size_t i, const sg_config *like);
/* mlp and sgatlin in every form of a layer but the first, one and two steps of it. */
bool formed_config(size_t i, sg_config *out, const char **name);
sgi_trainer_settings small_settings(void);
sgi_trainer *small_trainer(const char *kind, const sgi_trainer_settings *s);

/* Batch number i: (B,T) ids, the last target of each row is padding. starts (B,T): two documents a
 * row. */
void small_batch(uint64_t i, int32_t *inputs, int32_t *targets, int32_t *starts);
/* A text of 60 short documents into a new .txt. */
void small_text(const char *path);
/* One step on batch number t->steps; fails the test where it cannot be taken. */
sgi_step small_step(sgi_trainer *t);

#endif
