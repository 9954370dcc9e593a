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
  size_t count, capacity, vocab;
  bool watched;    /* a damaged result is told, and nothing more */
  json_t *timings; /* timings.json; NULL: there is none */
  bool retimed;
  char not_retimed[SG_ERROR_TEXT]; /* why, "": there is no timings.json */
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

/* Whether a run answers the question: then its time is a cost that counts. Which variant it is. */
bool sgi_study_counts(const sgi_study *s, const sgi_study_run *r);
size_t sgi_study_variant_of(const sgi_study *s, const sgi_study_run *r);

/* texts.c: a run of the study whose result is of another text than t, NULL: there is none known;
 * *which: "training" or "held-out". */
const sgi_study_run *sgi_study_other_text(const sgi_study *s, const sgi_run_texts *t, const char **which);
size_t sgi_study_untold(const sgi_study *s); /* results that do not say of which text they are */
/* In a result's JSON; reading one that says another text than the study's others is
 * SG_ERR_FORMAT. */
void sgi_study_put_texts(const sgi_study_run *r, json_t *o);
sg_status sgi_study_read_texts(const sgi_study *s, sgi_study_run *r, const json_t *o, const char *path, sg_error *err);
/* Another copy of the study, or a run that is about to be made. */
sg_status sgi_study_same_text(const sgi_study *s, const sgi_study *copy, const char *directory, sg_error *err);
sg_status sgi_study_own_text(const sgi_study *s, const sgi_run_texts *t, sg_error *err);

/* describe.c: the same words of a study.json, presets as "ladder;64x2" or "ladder:64x2". */
bool sgi_study_equal(const char *key, const json_t *a, const json_t *b);

/* study.c: run i opened to be made, or (dry) to be planned; *path: its directory, new. */
sg_status sgi_study_open_run(sgi_study *s, size_t i, size_t max_memory, bool dry, sgi_run **out, char **path,
                             sg_error *err);

/* timing.c: timings.json as it is now, held against the runs; *changed (NULL allowed): it is
 * another than it was. */
sg_status sgi_study_read_timings(sgi_study *s, bool *changed, sg_error *err);
sg_status sgi_study_check_timings(const json_t *o, const char *where, bool whole, sg_error *err);
/* Of a form of timings.json and a run. */
bool sgi_study_is_of_form(const sgi_study *s, const sgi_study_run *r, const json_t *form);
double sgi_study_step_flops(const sgi_study_run *r);

/* figure.c, figure_costs.c: of a run or an optimum of a report; costs.svg from it. */
const char *sgi_study_colour_of(const json_t *report, const json_t *o);
sg_status sgi_study_draw_costs(const json_t *report, const char *path, sg_error *err);

/* result.c */
sg_status sgi_study_keep(const sgi_study *s, sgi_study_run *r, const sgi_run *run, const sgi_run_losses *losses,
                         sg_error *err);
sg_status sgi_study_keep_diverged(const sgi_study *s, sgi_study_run *r, const sgi_run *run, const sg_error *why,
                                  sg_error *err);
sg_status sgi_study_read(const sgi_study *s, sgi_study_run *r, sg_error *err);
void sgi_study_forget(sgi_study_run *r);

#endif
