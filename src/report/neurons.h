/* neurons.h: neurons by place, what they are called, and pages of the list of all. */
#ifndef SGI_REPORT_NEURONS_H
#define SGI_REPORT_NEURONS_H

#include "prompt.h"

/* ---- one neuron ------------------------------------------------------------------------------ */

/* Bytes with the NUL of automatic labels, of names, of who gave them. */
enum { SGI_LABEL_BYTES = 96, SGI_NAME_BYTES = 192, SGI_AUTHOR_BYTES = 64 };

/* "1.0.17" or "1,0,17". */
sg_status sgi_neuron_parse(const char *text, sg_neuron_at *out, sg_error *err);
/* Its automatic label, from its weights and, with a recording, from where it fires. */
sg_status sgi_neuron_label(const sgi_prompt *p, const sg_recording *rec, const sg_neuron_at *at,
                           char out[SGI_LABEL_BYTES], sg_error *err);

/* ---- the file of labels and names ------------------------------------------------------------ */

/* docs/formats-names.md. One file beside a model, which it is bound to. Path, close, give, export
 * and import are those of names/names.h, declared for who looks at no room below. */
typedef struct sgi_names sgi_names;
/* "MODEL/names.sqlite". New: sgi_free; NULL when memory is out. */
char *sgi_names_path(const char *model);
/* A file of another model is SG_ERR_ARG. write: it may be changed, and is made where it is missing.
 * New: sgi_names_close. */
sg_status sgi_names_begin_with(const char *path, const sg_model *model, bool write, sgi_names **out, sg_error *err);
void sgi_names_close(sgi_names *names); /* NULL allowed */

/* Labels of all neurons of p's model, in place of those that were there: *made of them. progress:
 * neurons; false stops. */
sg_status sgi_names_make(sgi_names *names, const sgi_prompt *p, const sg_recording *rec,
                         bool (*progress)(void *user, size_t done, size_t wanted), void *user, size_t *made,
                         sg_error *err);

typedef struct sgi_neuron_called {
  bool labelled;
  char label[SGI_LABEL_BYTES];
  char name[SGI_NAME_BYTES]; /* "" where nobody gave one */
  char author[SGI_AUTHOR_BYTES];
  int64_t time; /* seconds since 1970 */
} sgi_neuron_called;
sg_status sgi_names_look(sgi_names *names, sg_neuron_at at, sgi_neuron_called *out, sg_error *err);
/* "" takes the name away. */
sg_status sgi_names_give(sgi_names *names, sg_neuron_at at, const char *name, const char *author, int64_t time,
                         sg_error *err);
/* The whole file as JSON, and back: all of it or nothing; *rows taken. where names the document in
 * errors. */
sg_status sgi_names_export(sgi_names *names, json_t **out, sg_error *err);
sg_status sgi_names_import(sgi_names *names, const json_t *document, const char *where, size_t *rows, sg_error *err);

/* ---- all neurons in a list ------------------------------------------------------------------- */

typedef enum sgi_neuron_question {
  SGI_NEURONS_ALL,
  SGI_NEURONS_FIRE_ON,
  SGI_NEURONS_RAISE,
  SGI_NEURONS_LOWER,
  SGI_NEURONS_NEAR
} sgi_neuron_question;

/* The token that a question means: the text as a token; of a word of several the last where a
 * neuron fires on it (end), the first where one raises it. */
sg_status sgi_question_token(const sgi_prompt *p, const char *text, bool end, int32_t *id, sg_error *err);

typedef struct sgi_neurons_asked {
  sgi_neuron_question question;
  int32_t token;            /* of fire_on, raise, lower */
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
sg_status sgi_neurons_page(sgi_browser *list, const sgi_prompt *p, sgi_names *names, const sgi_neurons_asked *asked,
                           bool (*progress)(void *user, size_t done, size_t wanted), void *user, json_t **out,
                           sg_error *err);

#endif
