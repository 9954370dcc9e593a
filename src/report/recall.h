/* recall.h: facts that a model is asked for, and where it has the answers from, as documents:
 * knockout, attributes, extraction (docs/method-comparison.md). */
#ifndef SGI_REPORT_RECALL_H
#define SGI_REPORT_RECALL_H

#include "text.h"

/* ---- facts of a file ------------------------------------------------------------------------- */

/* Prompts of a file, those that the model knows. All documents end with facts: {prompts, known,
 * accuracy, chance, skipped}, what the facts are to the model, and seed. SG_ERR_ARG, naming the
 * file, where the model knows none, or no more than the answers of other subjects would give. */
typedef struct sgi_recall_facts {
  const sgi_prompt *p; /* model and tokenizer */
  const char *path;    /* facts.json of 'data worlds', or what 'facts mine' writes */
  const char *type;    /* of facts; "all" */
  size_t limit;        /* prompts at most, drawn by the seed */
  uint64_t seed;
  /* Prompts: asked, and then, from 1 again, read; false cancels. NULL allowed */
  bool (*progress)(void *user, size_t done, size_t wanted);
  void *user;
} sgi_recall_facts;

/* Name of the i-th set of positions that knockout cuts off, in the order of its document; NULL past
 * the last. Borrowed for ever. */
const char *sgi_knockout_set(size_t i);
/* {layers, window, prompts, probability, sets: [{set, prompts, change, error, probability}], ...}:
 * a number a layer; null where no prompt has the set. window: layers, 0: the default; draws: of
 * random positions. New reference, all of these. */
sg_status sgi_knockout_report(const sgi_recall_facts *f, size_t window, size_t draws, json_t **out, sg_error *err);

typedef struct sgi_enrich_lists {
  size_t top;     /* tokens of a list */
  bool raw;       /* no final gain */
  size_t window;  /* layers that are cut together, from each on; 0: as knockout */
  ptrdiff_t read; /* layer behind which the stream is read where layers are cut; -1: the last */
  /* Attributes are the tokens of this text's documents that name the subject; NULL: the answers of
   * the facts. */
  const sgi_corpus *documents;
  const char *path;          /* of that text, for errors */
  bool (*go_on)(void *user); /* while it is read; false ends it; NULL allowed */
} sgi_enrich_lists;
/* {prompts, window, level, places: [{place, rate, error, other, other_error}], uncut, attention,
 * feedforward: {rate, error, drop}, attributes: "facts" or "documents", ...}: a number a level (0:
 * the embedding); of what is cut, a layer. With a text also documents: {read, naming, subjects,
 * attributes}: its documents, those that name a subject, subjects named, tokens of one on average;
 * prompts of others are left out. */
sg_status sgi_enrich_report(const sgi_recall_facts *f, const sgi_enrich_lists *lists, json_t **out, sg_error *err);

/* {prompts, attention, feedforward: {rate, rank, control, any, layers}, attention_first, blocked:
 * {SET: [rate]}, patched: {SET: [[rate by layer] by stream]}, ...}. raw: no final gain. */
sg_status sgi_extract_report(const sgi_recall_facts *f, bool raw, json_t **out, sg_error *err);

/* ---- one prompt ------------------------------------------------------------------------------ */

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
