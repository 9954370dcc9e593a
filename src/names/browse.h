/* browse.h: one page of the list of a model's neurons, by question, search and order. */
#ifndef SGI_BROWSE_H
#define SGI_BROWSE_H

#include "names/label_all.h"
#include "read/neuron_list.h"

/* The questions and orders, as requests and options call them. */
#define SGI_QUESTIONS(X) X(NONE, "none") X(FIRES_ON, "fires_on") X(RAISES, "raises") X(LOWERS, "lowers") X(NEAR, "near")
#define SGI_ORDERS(X) \
  X(PLACE, "place") \
  X(SCORE, "score") \
  X(LABEL, "label") X(FREQUENCY, "frequency") X(STRENGTH, "strength") X(NORM, "norm") X(RANDOM, "random")
#define SGI_QUESTION_ID(id, word) SGI_ASK_##id,
#define SGI_ORDER_ID(id, word) SGI_ORDER_##id,
typedef enum sgi_question { SGI_QUESTIONS(SGI_QUESTION_ID) SGI_ASK_COUNT } sgi_question;
typedef enum sgi_order { SGI_ORDERS(SGI_ORDER_ID) SGI_ORDER_COUNT } sgi_order;
#undef SGI_QUESTION_ID
#undef SGI_ORDER_ID
/* The order called word; false where there is none. */
bool sgi_order_named(const char *word, sgi_order *out);

/* What is asked of the list. */
typedef struct sgi_browse {
  sgi_question question;
  int32_t token;            /* of fires_on, raises, lowers */
  sgi_neuron_at near;       /* of near */
  const char *find;         /* text in label or name, letters of ASCII in either case; NULL: all */
  bool named;               /* only those that people named */
  ptrdiff_t layer, channel; /* -1: all */
  sgi_order order;          /* numbers fall, place and label rise; score without a question: place */
  bool reversed;
  uint64_t seed;      /* of random */
  size_t from, count; /* rows of the page */
} sgi_browse;

typedef struct sgi_browsed_row {
  const sgi_neuron_stat *stat; /* borrowed from the browser */
  double score;                /* NaN without a question */
  sgi_named named;             /* its label is always there */
} sgi_browsed_row;

typedef struct sgi_page {
  size_t found; /* rows of all pages */
  sgi_browsed_row *rows;
  size_t n;
} sgi_page;

/* A list and the labels made of it so far. */
typedef struct sgi_browser sgi_browser;
/* q's model, tokenizer and recording are borrowed until free. New: sgi_browser_free. */
sg_status sgi_browser_create(const sgi_label_request *q, sgi_browser **out, sg_error *err);
void sgi_browser_free(sgi_browser *b);
const sgi_neuron_list *sgi_browser_list(const sgi_browser *b);

/* names: the model's, NULL for none. Labels that it lacks are made: of all neurons where text is
 * searched or sorted by, else of the page. sgi_page_deinit in any case. */
sg_status sgi_browser_page(sgi_browser *b, sg_names *names, const sgi_browse *ask,
                           bool (*progress)(void *user, size_t done, size_t wanted), void *user, sgi_page *out,
                           sg_error *err);
void sgi_page_deinit(sgi_page *p);

#endif
