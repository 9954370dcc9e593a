/* study.h: small studies for tests, with results and timings that no run has made. */
#ifndef TEST_STUDY_H
#define TEST_STUDY_H

#include "study/study.h"

/* New reference: a sweep of three learning rates, sgatlin and mlp at one size, two seeds. */
json_t *study_asked(const char *data);
/* What study.json should say of two kinds, one size, two budgets, a seed each; base gets the
 * folders data, with a text, and study, which is not made. New reference. */
json_t *study_small(char *base, char data[300], char study[300]);
/* A result as a run leaves it, by one row. */
void study_put_result(const char *directory, const sgi_study_run *r, double loss);
/* New reference: steps of 0.5 s and 0.125 s, of half as much processor time; and written, which
 * takes it. */
json_t *study_timings(const sgi_study *s);
void study_put_timings(const char *study, json_t *o);
double study_field(const json_t *o, const char *key);

#endif
