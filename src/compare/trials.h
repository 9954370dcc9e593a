/* trials.h: one prompt run many times at once, each time with something else done to it: edges from
 * the last position to some sources cut, sublayers that add nothing, attention that reads an
 * earlier stream (docs/method-comparison.md, knockout). Nothing is left in the model. */
#ifndef SGI_TRIALS_H
#define SGI_TRIALS_H

#include "model/pass.h"

enum { SGI_TRIALS_MOST = 64 }; /* at once */

/* One run. Layers [from, to) of each part; a part that is not asked for has from = to. at (T):
 * positions. */
typedef struct sgi_trial {
  struct {
    size_t from, to;
    const bool *at; /* sources that the last position no longer sees; what is left is normed anew, and nothing left
                       gives 0 */
  } blocked;
  struct {
    size_t from, to;
    bool attention, feedforward; /* what adds 0 */
  } cut;
  struct {
    size_t from, to;
    const bool *at;      /* positions whose keys and values (and queries) attention makes of another stream */
    const float *stream; /* (T,D) */
  } patched;
} sgi_trial;

/* Sees a site that a trial was at: data are the values of trial number `trial` at `position`. Sites
 * whole rows wide, after what the trial does to them. */
typedef void (*sgi_trial_watch)(void *user, size_t trial, const sgi_site *site, size_t position, const float *data);

typedef struct sgi_trials sgi_trials;

/* For prompts of up to max_count tokens. Where a layer lacks a sublayer there is nothing to cut:
 * such a trial is the plain run. SG_ERR_UNSUPPORTED where layers run theirs more than once. New:
 * sgi_trials_free. */
sg_status sgi_trials_create(const sg_model *m, size_t max_count, sgi_trials **out, sg_error *err);
void sgi_trials_free(sgi_trials *t);

/* n trials (at most SGI_TRIALS_MOST) of tokens (count). watch may be NULL. */
sg_status sgi_trials_run(sgi_trials *t, const int32_t *tokens, size_t count, const sgi_trial *trials, size_t n,
                         sgi_trial_watch watch, void *user, sg_error *err);
/* Logits (n,V) at the last position of the last run. */
sg_status sgi_trials_logits(sgi_trials *t, float *logits, sg_error *err);

/* scores (V) of tokens by a vector of the stream: E (g * x), or E x where raw. room (D). */
sg_status sgi_trials_lens(const sg_model *m, bool raw, const float *x, float *room, float *scores, sg_error *err);

#endif
