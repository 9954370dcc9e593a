/* prompts.h: small models of every kind and random prompts, for the tests of reading. */
#ifndef TEST_PROMPTS_H
#define TEST_PROMPTS_H

#include "ref/ref.h"
#include "support/golden.h"

enum { PROMPT_MODELS = 16, PROMPT_MAX = 24 };

/* Calls f for each model of tests/golden/models and each of mixed_config (small.h), its name beside
 * it; gains and biases that are 1 or 0 there are shaken, so that nothing is lost in a special case.
 * Returns how many there were. */
size_t each_model(void (*f)(const sg_model *m, const char *name, ref_random *r));

/* Calls f for each of formed_config (small.h), likewise. */
size_t each_form(void (*f)(const sg_model *m, const char *name, ref_random *r));

/* A layer that has a feedforward, and its view; all of them are of linear neurons. */
size_t some_feedforward(const sg_model *m, ref_random *r, const sg_config **view);
bool all_linear(const sg_model *m);

/* tokens (count) after the model's bos. */
void random_prompt(const sg_model *m, ref_random *r, int32_t *tokens, size_t count);

#endif
