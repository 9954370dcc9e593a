/* recall.h: knockout, attributes and extraction as JSON. */
#ifndef SGI_REPORT_RECALL_H
#define SGI_REPORT_RECALL_H

#include "compare/enrich.h"
#include "compare/extract.h"
#include "prompt.h"

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

/* One prompt as it stands, whether the model is right or not: what it says at a position, knocked
 * out, and what each sublayer there puts first. */
typedef struct sgi_recall_request {
  size_t position;   /* that predicts, below SGI_RECALL_POSITIONS; what stands behind it is not read */
  size_t first, end; /* positions of the subject: 1 <= first < end <= position */
  size_t window;     /* layers; 0: the default */
  size_t draws;      /* of random positions */
  bool (*progress)(void *user, size_t done, size_t wanted); /* false cancels; NULL allowed */
  void *user;
} sgi_recall_request;
enum { SGI_RECALL_POSITIONS = 128 };

/* {tokens, position, subject: [first, end], answer, probability, window, sets: [{set, change}],
 * attention, feedforward: {rank, best}}: a number or token a layer; change empty where there is no
 * such position. */
sg_status sgi_recall_json(const sgi_prompt *p, const sgi_recall_request *r, json_t **out, sg_error *err);

#endif
