/* routes_names.c: what neurons are called: labels made from their cards, and names that people
 * gave; all of them in a list. */
#include <math.h>
#include <string.h>
#include <time.h>

#include "api.h"
#include "core/json.h"
#include "report/sizes.h"

enum { MOST = 4000, MOST_ROWS = 500 };

static const sg_recording *recording_of(const api_call *c) { return c->e->recording ? c->e->recording->rec : NULL; }

/* The label of a neuron, made once while the explorer runs. *text is borrowed from the explorer. */
static sg_status label_of(const api_call *c, size_t layer, size_t channel, size_t index, const char **text,
                          sg_error *err) {
  char key[64], made[SG_LABEL_BYTES];
  explorer *e = c->e;
  snprintf(key, sizeof key, "%zu.%zu.%zu", layer, channel, index);
  if (!e->labels && !(e->labels = json_object())) return sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  *text = json_string_value(json_object_get(e->labels, key));
  if (*text) return SG_OK;
  sg_neuron_at at = {layer, channel, index};
  sg_status st = sgi_neuron_label(&c->p, recording_of(c), &at, made, err);
  if (st) return st;
  if (json_object_set_new(e->labels, key, json_string(made))) return sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  *text = json_string_value(json_object_get(e->labels, key));
  return SG_OK;
}

/* A row of the answer: the name that was given, else the label; of the file where it has one. */
static sg_status add_row(const api_call *c, size_t layer, size_t channel, size_t index, json_t *list, sg_error *err) {
  sg_neuron_called named = {0};
  const char *text = NULL;
  sg_status st = c->e->names ? sg_names_find(c->e->names, (sg_neuron_at){layer, channel, index}, &named, err) : SG_OK;
  if (!st && named.labelled) text = named.label;
  if (!st && !text) st = label_of(c, layer, channel, index, &text, err);
  if (st) return st;
  bool given = *named.name != 0;
  json_t *row = json_pack("{sI sI sI ss ss ss sb}", "layer", (json_int_t)layer, "channel", (json_int_t)channel, "index",
                          (json_int_t)index, "label", given ? named.name : text, "automatic", text, "author",
                          named.author, "given", (int)given);
  return row && !json_array_append_new(list, row) ? SG_OK : sgi_fail(err, SG_ERR_MEMORY, "out of memory");
}

sg_status api_labels(api_call *c, json_t **answer, sg_error *err) {
  const json_t *neurons = json_object_get(c->body, "neurons");
  json_t *list = json_array();
  sg_status st = list ? SG_OK : sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  for (size_t i = 0; i < json_array_size(neurons) && !st; i++) {
    api_call part = {.e = c->e, .p = c->p, .body = json_array_get(neurons, i)};
    size_t l, ch, n;
    st = api_unit(&part, &l, &ch, &n, err);
    if (!st) st = add_row(c, l, ch, n, list, err);
  }
  if (!st && !(*answer = json_pack("{sO}", "labels", list))) st = sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  json_decref(list);
  return st;
}

/* The file is made by the first name. Answers name no paths. */
static sg_status open_names(explorer *e, sg_error *err) {
  sg_error why = {0};
  if (e->no_names || !e->names_path)
    return sgi_fail(err, SG_ERR_ARG, "names can not be kept: %s", e->no_names ? e->no_names : "no file was named");
  if (e->names_written) return SG_OK;
  sg_names *n = NULL;
  sg_status st = sg_names_open(e->names_path, e->model, true, &n, &why);
  if (st) {
    if (e->warn) e->warn(why.text);
    return sgi_fail(err, st, "the file of names can not be written: the terminal of the explorer says why");
  }
  sg_names_close(e->names);
  e->names = n;
  e->names_written = true;
  return SG_OK;
}

sg_status api_name(api_call *c, json_t **answer, sg_error *err) {
  const char *name = api_text(c->body, "name"), *author = api_text(c->body, "author");
  size_t l, ch, n;
  sg_status st = api_unit(c, &l, &ch, &n, err);
  if (!st) st = sgi_neuron_check(c->p.model, l, ch, n, err);
  if (!st) st = open_names(c->e, err);
  if (!st)
    st = sg_names_give(c->e->names, (sg_neuron_at){l, ch, n}, name, author ? author : c->e->author, (int64_t)time(NULL),
                       err);
  json_t *list = st ? NULL : json_array();
  if (!st) st = add_row(c, l, ch, n, list, err);
  if (!st && !(*answer = json_pack("{sO}", "labels", list))) st = sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  json_decref(list);
  return st;
}

/* ---- the list -------------------------------------------------------------------------------- */

static bool advance(void *user, size_t done, size_t wanted) {
  const api_call *c = user;
  http_job_progress(c->job, wanted ? (double)done / (double)wanted : 0, "reading the neurons");
  return !http_job_cancelled(c->job);
}

static sg_status take_question(const api_call *c, sgi_neurons_asked *ask, sg_error *err) {
  static const char *const asked[] = {"fires_on", "raises", "lowers", "near"};
  sg_status st = SG_OK;
  for (size_t i = 0; i < SGI_COUNT(asked) && !st; i++) {
    const char *text = api_text(c->body, asked[i]);
    if (!text) continue;
    if (ask->question)
      return sgi_fail(err, SG_ERR_ARG, "request: one of \"fires_on\", \"raises\", \"lowers\" and \"near\" at a time");
    st = api_of_field(asked[i], sgi_neurons_ask(&c->p, asked[i], text, ask, err), err);
  }
  return st;
}

static sg_status take_browse(const api_call *c, sgi_neurons_asked *ask, sg_error *err) {
  const char *order = api_text(c->body, "sort");
  sgi_sizes most = sgi_largest_sizes(c->p.model);
  *ask = (sgi_neurons_asked){.find = api_text(c->body, "find"),
                             .named = api_flag(c->body, "named"),
                             .reversed = api_flag(c->body, "reversed"),
                             .from = api_size(c->body, "from"),
                             .count = api_size(c->body, "count"),
                             .seed = api_size(c->body, "seed"),
                             .recorded = c->e->recording != NULL,
                             .sort = order};
  sg_status st = take_question(c, ask, err);
  if (!st) st = api_below(c->body, "layer", sg_model_config(c->p.model)->num_layers, &ask->layer, err);
  if (!st) st = api_below(c->body, "channel", most.channels, &ask->channel, err);
  if (st) return st;
  if (order && !sgi_sort_known(order))
    return sgi_fail(err, SG_ERR_ARG, "request: \"sort\" is \"%s\": no such order", order);
  return SG_OK;
}

sg_status api_neurons(api_call *c, json_t **answer, sg_error *err) {
  sgi_neurons_asked ask;
  sg_status st = take_browse(c, &ask, err);
  /* The list outlives the call: what it borrows is the explorer's. */
  if (!st && !c->e->browser) st = sgi_neurons_open(&c->p, recording_of(c), advance, c, &c->e->browser, err);
  return st ? st : sgi_neurons_page(c->e->browser, &c->p, c->e->names, &ask, advance, c, answer, err);
}
