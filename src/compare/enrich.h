/* enrich.h: how much of what is true of a subject the stream at its positions speaks of, level by
 * level, and what is left where sublayers add nothing (docs/method-comparison.md, attributes
 * rate). */
#ifndef SGI_ENRICH_H
#define SGI_ENRICH_H

#include "compare/subjects.h"
#include "compare/trials.h"

enum { SGI_ENRICH_BEST = 500 }; /* tokens that a list is filled from */

/* Positions that are read. */
typedef enum sgi_enrich_place {
  SGI_ENRICH_SUBJECT_LAST,
  SGI_ENRICH_SUBJECT_FIRST,
  SGI_ENRICH_AFTER, /* the position behind the subject */
  SGI_ENRICH_LAST,
  SGI_ENRICH_RANDOM, /* control: another position, neither of these nor the begin token; NaN where there is none */
  SGI_ENRICH_PLACES
} sgi_enrich_place;
extern const char *const sgi_enrich_names[SGI_ENRICH_PLACES];

typedef struct sgi_enrich_request {
  const bool *stop; /* (V) tokens that are never listed */
  size_t top;       /* of a list */
  bool raw;         /* no final gain */
  size_t window;    /* layers that are cut together, from the first on; 0: as knockout */
  size_t level;     /* that is read where layers are cut: 1 + layer; 0: behind the last */
  uint64_t seed;
  bool (*progress)(void *user, size_t done, size_t wanted);
  void *user;
} sgi_enrich_request;

/* The top tokens of a vector of the stream: ids (top), how many there are. room (D), scores (V). */
sg_status sgi_enrich_list(const sg_model *m, const sgi_enrich_request *r, const float *x, float *room, float *scores,
                          int32_t *ids, size_t *n, sg_error *err);
/* 100 times the share of ids in the ascending list of attributes. */
double sgi_enrich_rate(const int32_t *ids, size_t n, const int32_t *attributes, size_t n_attributes);

/* One prompt: rates (PLACES,L+1), those of another subject's attributes (PLACES,L+1; NULL list:
 * none), cut (2,L): attention or feedforward of the layers from each on adding nothing, at the
 * subject's last position; lists (L+1,top) there, or NULL. */
typedef struct sgi_enriched {
  double *rate, *other, *cut;
  int32_t *lists;
} sgi_enriched;
sg_status sgi_enrich_prompt(sgi_trials *t, const sg_model *m, const sgi_subject *p, const sgi_enrich_request *r,
                            uint64_t sub, const int32_t *attributes, size_t n, const int32_t *others, size_t n_others,
                            sgi_enriched *out, sg_error *err);

typedef struct sgi_enrich {
  size_t L, prompts, window, level;
  double *rate, *rate_error;   /* (PLACES,L+1) means over known prompts, standard errors */
  double *other, *other_error; /* (PLACES,L+1) of another subject of the same type */
  double *cut, *cut_error;     /* (2,L) */
  double uncut;                /* the rate at that level with nothing cut */
} sgi_enrich;

/* Over the known prompts of subjects with attributes, one for each subject and type. New:
 * sgi_enrich_free. */
sg_status sgi_enrich_run(const sg_model *m, const sgi_subjects *s, const sgi_enrich_request *r, sgi_enrich **out,
                         sg_error *err);
void sgi_enrich_free(sgi_enrich *e);

#endif
