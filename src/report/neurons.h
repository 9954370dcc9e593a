/* neurons.h: neurons by name and question, and a page of their list as JSON. */
#ifndef SGI_REPORT_NEURONS_H
#define SGI_REPORT_NEURONS_H

#include "names/browse.h"
#include "prompt.h"

/* "1.0.17" or "1,0,17". */
sg_status sgi_neuron_parse(const char *text, sgi_neuron_at *out, sg_error *err);
/* Its automatic label, from its weights and, with a recording, from where it fires. */
sg_status sgi_neuron_label(const sgi_prompt *p, const sg_recording *rec, const sgi_neuron_at *at,
                           char out[SGI_LABEL_TEXT], sg_error *err);
/* The token that a question means: the text as a token; of a word of several the last where a
 * neuron fires on it (end), the first where one raises it. */
sg_status sgi_question_token(const sgi_prompt *p, const char *text, bool end, int32_t *id, sg_error *err);

/* {"layer", "channel", "index", "label", "recorded", "name", "author", "time", "count",
 * "frequency", "largest", "strength", "norm", "score"}: null where nothing is known. New. */
json_t *sgi_neuron_row(const sgi_browsed_row *r);
/* {"found", "from", "question", "token", "neurons"}: null without a question. New. */
json_t *sgi_neuron_page(const sgi_prompt *p, const sgi_browse *ask, const sgi_page *page);

#endif
