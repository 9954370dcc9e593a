#include "names/browse.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "core/rng.h"

struct sgi_browser {
  sgi_label_request q;
  sgi_neuron_list list;
  sgi_label *label;             /* (count) where have says so */
  char (*text)[SG_LABEL_BYTES]; /* (count) */
  bool *have;
};

#define ORDER_WORD(id, word) word,
bool sgi_order_named(const char *word, sgi_order *out) {
  static const char *const words[] = {SGI_ORDERS(ORDER_WORD)};
  for (size_t i = 0; i < SGI_COUNT(words); i++)
    if (!strcmp(word, words[i])) return *out = (sgi_order)i, true;
  return false;
}
#undef ORDER_WORD

sg_status sgi_browser_create(const sgi_label_request *q, sgi_browser **out, sg_error *err) {
  *out = NULL;
  sgi_browser *b = sgi_alloc(sizeof *b);
  if (!b) return sgi_fail_memory(err, sizeof *b, "a list of neurons");
  b->q = *q;
  sg_status st = sgi_neuron_list_make(q->model, q->tokenizer, q->rec, q->progress, q->user, &b->list, err);
  size_t n = b->list.count;
  b->label = sgi_alloc(n * sizeof *b->label);
  b->text = sgi_alloc(n * sizeof *b->text);
  b->have = sgi_alloc(n * sizeof *b->have);
  if (!st && (!b->label || !b->text || !b->have)) st = sgi_fail_memory(err, n * sizeof *b->text, "labels");
  if (st)
    sgi_browser_free(b);
  else
    *out = b;
  return st;
}

void sgi_browser_free(sgi_browser *b) {
  if (!b) return;
  sgi_neuron_list_deinit(&b->list);
  sgi_free(b->label);
  sgi_free(b->text);
  sgi_free(b->have);
  sgi_free(b);
}

const sgi_neuron_list *sgi_browser_list(const sgi_browser *b) { return &b->list; }

/* ---- one question at work -------------------------------------------------------------------- */

typedef struct asking {
  sgi_browser *b;
  const sgi_browse *ask;
  double *score;    /* (count), NULL without a question */
  sgi_named *named; /* those that people named */
  size_t n_named, room;
  size_t *given; /* (count) place in named, from 1; 0: none */
  size_t *order; /* (found) */
  size_t found;
} asking;

/* Where a neuron of the file stands in the list; of one that the model lacks nothing is said. */
static sg_status take_named(void *user, const sgi_named *row, sg_error *err) {
  asking *a = user;
  size_t at;
  if (sgi_neuron_list_find(&a->b->list, row->at.layer, row->at.channel, row->at.index, &at, NULL)) return SG_OK;
  if (row->called.labelled) {
    a->b->label[at] = row->label;
    memcpy(a->b->text[at], row->called.label, sizeof row->called.label);
    a->b->have[at] = true;
  }
  if (!*row->called.name) return SG_OK;
  if (!sgi_room(&a->named, &a->room, a->n_named, sizeof *a->named))
    return sgi_fail_memory(err, a->n_named * sizeof *a->named, "names");
  a->named[a->n_named++] = *row;
  a->given[at] = a->n_named;
  return SG_OK;
}

/* Makes the labels of n neurons of the list that are not there yet. */
static sg_status make_labels(sgi_browser *b, const size_t *which, size_t n, const sgi_label_request *q, sg_error *err) {
  sgi_neuron_at *at = sgi_alloc((n + 1) * sizeof *at);
  size_t *place = sgi_alloc((n + 1) * sizeof *place), missing = 0;
  sgi_label *label = sgi_alloc((n + 1) * sizeof *label);
  char(*text)[SG_LABEL_BYTES] = sgi_alloc((n + 1) * sizeof *text);
  sg_status st = at && place && label && text ? SG_OK : sgi_fail_memory(err, n * sizeof *text, "labels");
  for (size_t i = 0; i < n && !st; i++) {
    const sgi_neuron_stat *s = &b->list.at[which[i]];
    if (b->have[which[i]]) continue;
    place[missing] = which[i];
    at[missing++] = (sgi_neuron_at){s->layer, s->channel, s->index};
  }
  if (!st) st = sgi_label_some(q, at, missing, label, text, err);
  for (size_t i = 0; i < missing && !st; i++) {
    b->label[place[i]] = label[i];
    memcpy(b->text[place[i]], text[i], sizeof *text);
    b->have[place[i]] = true;
  }
  sgi_free(at);
  sgi_free(place);
  sgi_free(label);
  sgi_free(text);
  return st;
}

static sg_status answer(asking *a, sg_error *err) {
  const sgi_browse *ask = a->ask;
  const sgi_neuron_list *l = &a->b->list;
  size_t at = 0;
  sg_status st = SG_OK;
  if (ask->question == SGI_ASK_NONE) return SG_OK;
  if (!(a->score = sgi_alloc(l->count * sizeof *a->score)))
    return sgi_fail_memory(err, l->count * sizeof *a->score, "scores");
  if (ask->question == SGI_ASK_FIRES_ON) return sgi_neuron_list_fires_on(l, ask->token, a->score, err);
  if (ask->question == SGI_ASK_NEAR) {
    st = sgi_neuron_list_find(l, ask->near.layer, ask->near.channel, ask->near.index, &at, err);
    return st ? st : sgi_neuron_list_near(l, at, a->score, err);
  }
  st = sgi_neuron_list_raises(l, ask->token, a->score, err);
  for (size_t i = 0; i < l->count && !st && ask->question == SGI_ASK_LOWERS; i++) a->score[i] = -a->score[i];
  return st;
}

static char small(char c) { return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c; }

static bool holds(const char *text, const char *find) {
  size_t n = strlen(find);
  for (; *text; text++) {
    size_t i = 0;
    while (i < n && text[i] && small(text[i]) == small(find[i])) i++;
    if (i == n) return true;
  }
  return !n;
}

static bool wanted(const asking *a, size_t i) {
  const sgi_browse *ask = a->ask;
  const sgi_neuron_stat *s = &a->b->list.at[i];
  if ((ask->layer >= 0 && s->layer != (size_t)ask->layer) || (ask->channel >= 0 && s->channel != (size_t)ask->channel))
    return false;
  if (ask->named && !a->given[i]) return false;
  return !ask->find || !*ask->find || holds(a->b->text[i], ask->find) ||
         (a->given[i] && holds(a->named[a->given[i] - 1].called.name, ask->find));
}

static double key_of(const asking *a, size_t i) {
  const sgi_neuron_stat *s = &a->b->list.at[i];
  switch (a->ask->order) {
    case SGI_ORDER_SCORE: return a->score ? a->score[i] : 0;
    case SGI_ORDER_FREQUENCY: return s->recorded ? s->share : NAN;
    case SGI_ORDER_STRENGTH: return s->strength;
    case SGI_ORDER_NORM: return s->norm;
    default: return 0;
  }
}

static const char *called(const asking *a, size_t i) {
  return a->given[i] ? a->named[a->given[i] - 1].called.name : a->b->text[i];
}

/* What is not known comes last in either direction; ties by place. */
static int compare(const void *x, const void *y, void *user) {
  const asking *a = user;
  size_t i = *(const size_t *)x, j = *(const size_t *)y;
  int d = 0;
  if (a->ask->order == SGI_ORDER_LABEL) {
    d = strcmp(called(a, i), called(a, j));
  } else if (a->ask->order == SGI_ORDER_RANDOM) {
    uint64_t n = a->b->list.count, u = sgi_rng_permute(a->ask->seed, SGI_STREAM_SAMPLE, 0, n, i),
             v = sgi_rng_permute(a->ask->seed, SGI_STREAM_SAMPLE, 0, n, j);
    d = u < v ? -1 : u > v;
  } else {
    double u = key_of(a, i), v = key_of(a, j);
    if (isnan(u) || isnan(v)) {
      if (isnan(u) != isnan(v)) return isnan(u) ? 1 : -1;
    } else {
      d = u > v ? -1 : u < v;
    }
  }
  if (!d) d = i < j ? -1 : i > j;
  return a->ask->reversed ? -d : d;
}

static sg_status sort(asking *a, const sgi_label_request *q, sg_error *err) {
  sgi_browser *b = a->b;
  size_t n = b->list.count;
  if (!(a->order = sgi_alloc(n * sizeof *a->order))) return sgi_fail_memory(err, n * sizeof *a->order, "an order");
  for (size_t i = 0; i < n; i++) a->order[i] = i;
  bool texts = (a->ask->find && *a->ask->find) || a->ask->order == SGI_ORDER_LABEL;
  sg_status st = texts ? make_labels(b, a->order, n, q, err) : SG_OK;
  for (size_t i = 0; i < n && !st; i++)
    if (wanted(a, i)) a->order[a->found++] = i;
  if (!st) qsort_r(a->order, a->found, sizeof *a->order, compare, a);
  return st;
}

static sg_status fill(const asking *a, const sgi_label_request *q, sgi_page *out, sg_error *err) {
  size_t from = a->ask->from < a->found ? a->ask->from : a->found;
  out->found = a->found;
  out->n = a->ask->count < a->found - from ? a->ask->count : a->found - from;
  if (!(out->rows = sgi_alloc((out->n + 1) * sizeof *out->rows)))
    return sgi_fail_memory(err, out->n * sizeof *out->rows, "a page of neurons");
  sg_status st = make_labels(a->b, a->order + from, out->n, q, err);
  for (size_t k = 0; k < out->n && !st; k++) {
    size_t i = a->order[from + k];
    const sgi_neuron_stat *s = &a->b->list.at[i];
    sgi_browsed_row *r = &out->rows[k];
    *r = (sgi_browsed_row){.stat = s, .score = a->score ? a->score[i] : NAN};
    if (a->given[i]) r->named = a->named[a->given[i] - 1];
    r->named.at = (sgi_neuron_at){s->layer, s->channel, s->index};
    r->named.called.labelled = true;
    r->named.label = a->b->label[i];
    memcpy(r->named.called.label, a->b->text[i], sizeof r->named.called.label);
  }
  return st;
}

sg_status sgi_browser_page(sgi_browser *b, sg_names *names, const sgi_browse *ask,
                           bool (*progress)(void *user, size_t done, size_t wanted), void *user, sgi_page *out,
                           sg_error *err) {
  asking a = {.b = b, .ask = ask};
  sgi_label_request q = b->q;
  q.progress = progress;
  q.user = user;
  *out = (sgi_page){0};
  a.given = sgi_alloc(b->list.count * sizeof *a.given);
  sg_status st = a.given ? SG_OK : sgi_fail_memory(err, b->list.count * sizeof *a.given, "names");
  if (!st && names) st = sgi_names_each(names, take_named, &a, err);
  if (!st) st = answer(&a, err);
  if (!st) st = sort(&a, &q, err);
  if (!st) st = fill(&a, &q, out, err);
  sgi_free(a.score);
  sgi_free(a.named);
  sgi_free(a.given);
  sgi_free(a.order);
  return st;
}

void sgi_page_deinit(sgi_page *p) {
  sgi_free(p->rows);
  *p = (sgi_page){0};
}
