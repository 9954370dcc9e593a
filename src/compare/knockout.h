/* knockout.h: which sources the last position reads an answer from, and in which layers: attention
 * edges to them are cut in a window of layers (docs/method-comparison.md, knockout). */
#ifndef SGI_KNOCKOUT_H
#define SGI_KNOCKOUT_H

#include "compare/subjects.h"
#include "compare/trials.h"

typedef enum sgi_knock_set {
  SGI_KNOCK_SUBJECT,
  SGI_KNOCK_RELATION,    /* as the prompt says */
  SGI_KNOCK_NON_SUBJECT, /* all but the subject, the begin token and the last position */
  SGI_KNOCK_LAST,        /* the last position itself */
  SGI_KNOCK_BOS,
  SGI_KNOCK_RANDOM, /* the control: as many random others of NON_SUBJECT as the subject has */
  SGI_KNOCK_SETS
} sgi_knock_set;
extern const char *const sgi_knock_names[SGI_KNOCK_SETS];

typedef struct sgi_knock_request {
  size_t window; /* layers around l: max(0, l - window/2) .. min(L, l + (window + 1)/2) - 1; 0: the default */
  size_t draws;  /* of RANDOM; 0: none */
  uint64_t seed;
  bool (*progress)(void *user, size_t done, size_t wanted); /* prompts; false cancels; NULL allowed */
  void *user;
} sgi_knock_request;

/* max(1, round(9 L / 48)): 9 of 48 layers in the reference. */
size_t sgi_knock_window(size_t layers);
/* Positions of a set, and how many there are. at (count). */
size_t sgi_knock_positions(const sgi_subject *p, sgi_knock_set set, bool *at);

/* One prompt: probability (SETS,L) of p->answer, NaN where a set is empty; RANDOM: the mean over
 * draws. logits (SETS,L,V) of all sets but RANDOM, or NULL. sub: number of the prompt, for its
 * draws. */
sg_status sgi_knock_prompt(sgi_trials *t, const sg_model *m, const sgi_subject *p, const sgi_knock_request *r,
                           uint64_t sub, double *probability, float *logits, sg_error *err);

typedef struct sgi_knockout {
  size_t L, window, prompts; /* known ones */
  double clean;              /* mean probability of the answer */
  /* (SETS,L): mean of 100 (p - p0) / p0 over the prompts whose set is not empty, its standard
   * error, mean p; count (SETS) of those prompts. */
  double *change, *error, *probability;
  size_t count[SGI_KNOCK_SETS];
} sgi_knockout;

/* Over the known prompts of s. New: sgi_knockout_free. */
sg_status sgi_knockout_run(const sg_model *m, const sgi_subjects *s, const sgi_knock_request *r, sgi_knockout **out,
                           sg_error *err);
void sgi_knockout_free(sgi_knockout *k);

#endif
