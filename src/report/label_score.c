#include "label_score.h"

#include <stddef.h>
#include <string.h>

#include "names/score.h"
#include "read/score.h"

typedef struct scoring {
  const sgi_label_scoring *asked;
  int32_t *inputs, *category;
  sgi_truth truth;
  sgi_score_words words;
  sgi_label_score_request q;
  sgi_label_scores scores;
} scoring;

/* ---- the text -------------------------------------------------------------------------------- */

/* Rows with the begin token in front. */
static sg_status read_rows(scoring *w, sg_error *err) {
  const sg_config *c = sg_model_config(w->asked->p->model);
  const sgi_text_rows *rows = w->asked->rows;
  size_t T = rows->T;
  if (!(w->inputs = sgi_alloc(rows->B * T * sizeof *w->inputs)))
    return sgi_fail_memory(err, rows->B * T * sizeof *w->inputs, "rows of tokens");
  for (size_t i = 0; i < rows->B; i++) {
    w->inputs[i * T] = c->bos_id;
    memcpy(w->inputs + i * T + 1, rows->targets + i * T, (T - 1) * sizeof *w->inputs);
  }
  w->q.inputs = w->inputs;
  w->q.B = rows->B;
  w->q.T = T;
  return SG_OK;
}

/* Unseen stories of the built-in corpus, with the category of each labelled word. */
static sg_status read_worlds(scoring *w, sg_error *err) {
  const sg_config *c = sg_model_config(w->asked->p->model);
  sgi_score_settings all = {.positions = SIZE_MAX, .per_word = SIZE_MAX};
  sg_status st = w->asked->p->tokenizer
                     ? sgi_truth_load(&w->truth, w->asked->worlds, w->asked->positions / 16 + 2, err)
                     : sgi_fail(err, SG_ERR_ARG, "%s has no tokenizer.json, which text needs", w->asked->p->directory);
  if (!st) st = sgi_score_words_find(&w->words, &w->truth, w->asked->p->tokenizer, c, &all, err);
  if (st) return st;
  size_t n = w->truth.n_stories * w->words.T;
  if (!(w->category = sgi_alloc(n * sizeof *w->category))) return sgi_fail_memory(err, n, "categories");
  for (size_t i = 0; i < n; i++) w->category[i] = -1;
  for (size_t i = 0; i < w->words.n; i++) {
    const sgi_labelled *at = &w->words.at[i];
    w->category[at->story * w->words.T + at->position] = (int32_t)at->category;
  }
  w->q.inputs = w->words.inputs;
  w->q.B = w->truth.n_stories;
  w->q.T = w->words.T;
  w->q.category = w->category;
  w->q.n_categories = w->words.n_categories;
  return SG_OK;
}

/* ---- the document ---------------------------------------------------------------------------- */

static const struct measure {
  const char *key;
  size_t offset;
} measures[] = {{"reads", offsetof(sgi_label_scored, reads)},   {"others", offsetof(sgi_label_scored, others)},
                {"rank", offsetof(sgi_label_scored, rank)},     {"writes", offsetof(sgi_label_scored, writes)},
                {"either", offsetof(sgi_label_scored, either)}, {"category", offsetof(sgi_label_scored, category)}};

static sg_status summary_json(const scoring *w, json_t *o, sg_error *err) {
  for (size_t i = 0; i < SGI_COUNT(measures); i++) {
    sgi_quartiles x;
    sg_status st = sgi_label_quartiles(&w->scores, measures[i].offset, &x, err);
    if (st) return st;
    json_object_set_new(
        o, measures[i].key,
        json_pack("{so so so sI}", "lower", sgi_report_real(x.lower), "median", sgi_report_real(x.median), "upper",
                  sgi_report_real(x.upper), "neurons", (json_int_t)x.n));
  }
  return SG_OK;
}

static json_t *neuron_json(const sgi_label_scored *n) {
  return json_pack("{sI sI sI sI so so so so so so}", "layer", (json_int_t)n->at.layer, "channel",
                   (json_int_t)n->at.channel, "index", (json_int_t)n->at.index, "fired", (json_int_t)n->fired, "reads",
                   sgi_report_real(n->reads), "others", sgi_report_real(n->others), "rank", sgi_report_real(n->rank),
                   "writes", sgi_report_real(n->writes), "either", sgi_report_real(n->either), "category",
                   sgi_report_real(n->category));
}

static sg_status result_json(const scoring *w, json_t **out, sg_error *err) {
  json_t *summary = json_object(), *list = json_array();
  sg_status st = summary_json(w, summary, err);
  for (size_t i = 0; i < w->scores.n; i++) json_array_append_new(list, neuron_json(&w->scores.neurons[i]));
  *out = json_pack("{ss sI sI sI so so so}", "feedforward", sg_model_config(w->asked->p->model)->feedforward,
                   "positions", (json_int_t)w->scores.positions, "scored", (json_int_t)w->scores.n, "silent",
                   (json_int_t)w->scores.silent, "share", sgi_report_real(w->q.share), "summary", summary, "neurons",
                   list);
  if (!st) return sgi_report_whole(out, "the scores", err);
  json_decref(*out);
  *out = NULL;
  return st;
}

sg_status sgi_label_score_report(const sgi_label_scoring *asked, json_t **out, sg_error *err) {
  scoring w = {.asked = asked,
               .q = {.model = asked->p->model,
                     .neurons = asked->neurons,
                     .positions = asked->positions,
                     .others = asked->others,
                     .share = asked->share,
                     .seed = asked->seed,
                     .progress = asked->progress,
                     .user = asked->user}};
  sg_status st = asked->rows ? read_rows(&w, err) : read_worlds(&w, err);
  if (!st && asked->begun) asked->begun(asked->user);
  if (!st) st = sgi_label_score(asked->names, &w.q, &w.scores, err);
  if (!st) st = result_json(&w, out, err);
  sgi_label_scores_deinit(&w.scores);
  sgi_score_words_deinit(&w.words);
  sgi_truth_deinit(&w.truth);
  sgi_free(w.inputs);
  sgi_free(w.category);
  return st;
}
