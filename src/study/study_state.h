/* study_state.h: a study between the files of this room. */
#ifndef SGI_STUDY_STATE_H
#define SGI_STUDY_STATE_H

#include "study/study.h"

struct sgi_study {
  char *directory, *tokenizer;
  json_t *asked;
  const char *data; /* in asked */
  sgi_run_events events;
  sgi_study_run *runs; /* cheapest first */
  size_t count, capacity;
  bool watched; /* a damaged result is told, and nothing more */
};

/* Lists of study.json; 0 and NULL where there are none. */
size_t sgi_study_list(const sgi_study *s, const char *key);
const char *sgi_study_word(const sgi_study *s, const char *key, size_t i);
double sgi_study_number(const sgi_study *s, const char *key, size_t i);
size_t sgi_study_seeds_of(const sgi_study *s, size_t budget); /* of the budget with that number */

/* describe.c: every key of study.json as it must be. */
sg_status sgi_study_check(const json_t *asked, const char *where, sg_error *err);

/* runs.c: every kind, scale and variant has settings that a run can have; the runs known now, with
 * their results. */
sg_status sgi_study_try(const sgi_study *s, sg_error *err);
sg_status sgi_study_list_runs(sgi_study *s, sg_error *err);
char *sgi_study_run_path(const sgi_study *s, const char *name, const char *file); /* new; file NULL: the directory */

/* result.c */
sg_status sgi_study_keep(const sgi_study *s, sgi_study_run *r, const sgi_run *run, sg_status ended, const sg_error *why,
                         sg_error *err);
sg_status sgi_study_read(const sgi_study *s, sgi_study_run *r, sg_error *err);
void sgi_study_forget(sgi_study_run *r);

#endif
