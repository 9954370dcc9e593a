/* neurons.h: neurons by place, their labels, and pages of the list of all. */
#ifndef SGI_REPORT_NEURONS_H
#define SGI_REPORT_NEURONS_H

#include "prompt.h"

/* ---- one neuron ------------------------------------------------------------------------------ */

/* "1.0.17" or "1,0,17". */
sg_status sgi_neuron_parse(const char *text, sg_neuron_at *out, sg_error *err);
/* Its automatic label, from its weights and, with a recording, from where it fires. */
sg_status sgi_neuron_label(const sgi_prompt *p, const sg_recording *rec, const sg_neuron_at *at,
                           char out[SG_LABEL_BYTES], sg_error *err);

/* ---- all neurons in a list ------------------------------------------------------------------- */

typedef struct sgi_neurons_asked {
  const char *question;     /* "fires_on", "raises", "lowers", "near"; NULL: none */
  int32_t token;            /* of the first three */
  sg_neuron_at near;        /* of near */
  const char *find;         /* text in label or name, letters of ASCII in either case; NULL: all */
  bool named;               /* only those that people named */
  ptrdiff_t layer, channel; /* -1: all */
  bool recorded;            /* where they fire is known: what is not sorted or asked is by strength, else by norm */
  const char *sort;         /* a word of sgi_sort_known; NULL: a question by score */
  bool reversed;
  uint64_t seed;      /* of the order random */
  size_t from, count; /* rows of the page */
} sgi_neurons_asked;
bool sgi_sort_known(const char *word);
/* Makes word the question, of text: a neuron's place, or a token; of a word of several tokens the
 * last where a neuron fires on it, the first where one raises or lowers it. */
sg_status sgi_neurons_ask(const sgi_prompt *p, const char *word, const char *text, sgi_neurons_asked *asked,
                          sg_error *err);

/* The list and the labels that were made of it so far; p and rec are borrowed. New:
 * sgi_neurons_close. */
typedef struct sgi_browser sgi_browser;
sg_status sgi_neurons_open(const sgi_prompt *p, const sg_recording *rec,
                           bool (*progress)(void *user, size_t done, size_t wanted), void *user, sgi_browser **out,
                           sg_error *err);
void sgi_neurons_close(sgi_browser *list); /* NULL allowed */
/* {"found", "from", "question", "token", "neurons": [{"layer", "channel", "index", "label",
 * "recorded", "name", "author", "time", "count", "frequency", "largest", "strength", "norm",
 * "score"}]}: null where nothing is known. names: the model's, NULL for none. New reference. */
sg_status sgi_neurons_page(sgi_browser *list, const sgi_prompt *p, sg_names *names, const sgi_neurons_asked *asked,
                           bool (*progress)(void *user, size_t done, size_t wanted), void *user, json_t **out,
                           sg_error *err);

#endif
