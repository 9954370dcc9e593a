/* recall.h: knockout, attributes and extraction as JSON. */
#ifndef SGI_REPORT_RECALL_H
#define SGI_REPORT_RECALL_H

#include "compare/enrich.h"
#include "compare/extract.h"
#include "report.h"

/* {prompts, known, accuracy, chance, skipped}: what the facts are to the model. New references, all
 * of these; NULL when memory is out. */
json_t *sgi_subjects_json(const sgi_subjects *s);
/* {layers, window, prompts, probability, sets: [{set, prompts, change, error, probability}]}: a
 * number a layer; null where no prompt has the set. */
json_t *sgi_knockout_json(const sgi_knockout *k);
/* {prompts, window, level, places: [{place, rate, error, other, other_error}], uncut, attention,
 * feedforward: {rate, error, drop}}. */
json_t *sgi_enrich_json(const sgi_enrich *e);
/* {prompts, attention, feedforward: {rate, rank, control, any, layers}, attention_first, blocked:
 * {SET: [rate]}, patched: {SET: [[rate by layer] by stream]}}. */
json_t *sgi_extract_json(const sgi_extract *x);

#endif
