/* attribution.h: an attribution as JSON: what `attribute --json` prints and the explorer's
 * /api/attribute answers. */
#ifndef SGI_REPORT_ATTRIBUTION_H
#define SGI_REPORT_ATTRIBUTION_H

#include "word.h"

const char *sgi_term_kind(const sg_term *t); /* "embedding", "head", "neuron", "bias" */

/* top: terms of the lists of neurons and heads; truth (n_truth): of the first neurons. New; NULL
 * when memory is out. */
json_t *sgi_attribution_json(const sgi_prompt *p, const sg_attribution *a, size_t top, const sg_true_effect *truth,
                             size_t n_truth);

/* The same of a phrase, with "phrase" beside it: {"target", "against", "parts"}; positions are
 * those of its tokens. */
json_t *sgi_phrase_json(const sgi_prompt *p, const sg_phrase *phrase, size_t top, const sg_true_effect *truth,
                        size_t n_truth);

/* Adds to an attribution's JSON "true": linear and true effects term for term, and what linear ones
 * miss, top of each list; true_effect to the neurons that stand in it already, missed to those by
 * total effect. False when memory is out. */
bool sgi_exact_add(json_t *attribution, const sgi_prompt *p, const sg_exact *x, size_t top);

/* Neurons and heads with their linear and true effects. New; NULL when memory is out. */
json_t *sgi_effects_json(const sgi_prompt *p, const sg_exact_effect *at, size_t n);

/* What `minimal --json` prints; means: of what is silent at its mean. New; NULL when memory is
 * out. */
json_t *sgi_minimal_json(const sgi_prompt *p, const sg_minimal *m, bool means);

/* Change of a logit by edits that scale neurons, gates, attention patterns and norm scales held;
 * NaN where they have no such answer: other edits, too many neurons, a kind without a linear
 * form. */
sg_status sgi_linear_change(const sgi_prompt *p, size_t position, int32_t target, const sg_edit *edits, size_t n_edits,
                            double *out, sg_error *err);
/* Of a word's logits together, in a prompt that holds it but for its last token. */
sg_status sgi_linear_changes(const sgi_prompt *p, size_t position, const sgi_word *w, const sg_edit *edits,
                             size_t n_edits, double *out, sg_error *err);

#endif
