/* reading_score.h: how well models read, against the truth that the corpus worlds knows, by group
 * of models: what `benchmark-reading` prints. */
#ifndef SGI_REPORT_READING_SCORE_H
#define SGI_REPORT_READING_SCORE_H

#include "report.h"

typedef struct sgi_reading_benchmark {
  const char *const *models; /* n paths of models and runs */
  size_t n;
  const char *worlds;                                                 /* directory of 'data worlds' */
  size_t stories;                                                     /* unseen ones */
  size_t positions, per_word, neighbours, facts, units, permutations; /* read/score.h */
  size_t sets; /* facts whose true effects and minimal sets are found at most */
  uint64_t seed;
  void (*skipped)(void *user, const char *name, const char *reason); /* checkpoints that are not whole; NULL allowed */
  void (*begun)(void *user);                                         /* the corpus is there */
  void (*scored)(void *user, size_t done);                           /* models */
  bool (*go_on)(void *user);                                         /* now and then; false ends it */
  void *user;
} sgi_reading_benchmark;

/* {models: [{model, group, parameters, positions, words, prompts, known, measured, MEASURE...}],
 * groups: [{group, MEASURE: {mean, sd, models, first_group_reads: "worse", "same" or "better"}}]}:
 * the last only of later groups, and of measures of reading. New reference. */
sg_status sgi_reading_benchmark_report(const sgi_reading_benchmark *request, json_t **out, sg_error *err);

#endif
