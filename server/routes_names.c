/* routes_names.c: what neurons are called: labels made from their cards, and names that people
 * gave. */
#include <stdio.h>

#include "api.h"
#include "core/json.h"
#include "read/label.h"

enum { MOST = 4000 };

/* The label of a neuron, made once while the explorer runs. *text is borrowed from the explorer. */
static sg_status label_of(const api_call *c, size_t layer, size_t channel, size_t index, const char **text,
                          sg_error *err) {
  char key[64], made[SGI_LABEL_TEXT];
  explorer *e = c->e;
  snprintf(key, sizeof key, "%zu.%zu.%zu", layer, channel, index);
  if (!e->labels && !(e->labels = json_object())) return sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  *text = json_string_value(json_object_get(e->labels, key));
  if (*text) return SG_OK;
  sgi_label l;
  sg_status st =
      sgi_label_make(e->model, e->tokenizer, e->recording ? e->recording->rec : NULL, layer, channel, index, &l, err);
  if (st) return st;
  sgi_label_text(&l, e->tokenizer, made);
  if (json_object_set_new(e->labels, key, json_string(made))) return sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  *text = json_string_value(json_object_get(e->labels, key));
  return SG_OK;
}

sg_status api_labels(api_call *c, json_t **answer, sg_error *err) {
  static const char *const keys[] = {"neurons"}, *const one[] = {"layer", "channel", "index"};
  const json_t *neurons = json_object_get(c->body, "neurons");
  size_t i;
  sg_status st = api_keys(c, keys, SGI_COUNT(keys), err);
  if (!st && (!json_is_array(neurons) || json_array_size(neurons) > MOST))
    st = sgi_fail(err, SG_ERR_ARG, "request: \"neurons\" must be a list of at most %d", MOST);
  if (st) return st;
  json_t *list = json_array();
  for (i = 0; i < json_array_size(neurons); i++) {
    api_call part = {.e = c->e, .p = c->p, .body = json_array_get(neurons, i)};
    size_t l, ch, n;
    const char *text = NULL;
    if (!json_is_object(part.body)) st = sgi_fail(err, SG_ERR_ARG, "request: \"neurons\" must be a list of objects");
    if (!st) st = api_keys(&part, one, SGI_COUNT(one), err);
    if (!st) st = api_unit(&part, &l, &ch, &n, err);
    if (!st) st = label_of(c, l, ch, n, &text, err);
    if (st) break;
    json_t *row = json_pack("{sI sI sI ss sb}", "layer", (json_int_t)l, "channel", (json_int_t)ch, "index",
                            (json_int_t)n, "label", text, "given", 0);
    if (!list || !row || json_array_append_new(list, row)) st = sgi_fail(err, SG_ERR_MEMORY, "out of memory");
    if (st) break;
  }
  if (!st && !(*answer = json_pack("{so}", "labels", list))) st = sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  if (st) json_decref(list);
  return st;
}
