#include "names.h"

#include <stdio.h>
#include <string.h>

#include "names/label_all.h"

sg_status sgi_names_make(sg_names *names, const sgi_prompt *p, const sg_recording *rec,
                         bool (*progress)(void *user, size_t done, size_t wanted), void *user, size_t *made,
                         sg_error *err) {
  const sgi_label_request q = {
      .model = p->model, .tokenizer = p->tokenizer, .rec = rec, .progress = progress, .user = user};
  return sgi_names_label_all(names, &q, made, err);
}

/* ---- export ---------------------------------------------------------------------------------- */

static sg_status add_row(void *user, const sgi_named *row, sg_error *err) {
  const sg_neuron_called *x = &row->called;
  json_t *list = user, *o = json_pack("{sI sI sI}", "layer", (json_int_t)row->at.layer, "channel",
                                      (json_int_t)row->at.channel, "index", (json_int_t)row->at.index);
  int bad = !o;
  if (x->labelled) {
    json_t *reads = json_array(), *writes = json_array();
    const sgi_label *l = &row->label;
    for (size_t i = 0; i < l->n_reads; i++) bad |= json_array_append_new(reads, json_integer(l->reads[i]));
    for (size_t i = 0; i < l->n_writes; i++)
      bad |= json_array_append_new(writes, json_pack("{si sb}", "id", (int)l->writes[i], "raises", (int)l->raises[i]));
    bad |= json_object_set_new(
        o, "label",
        json_pack("{ss sb so so}", "text", x->label, "recorded", (int)l->recorded, "reads", reads, "writes", writes));
  }
  if (*x->name)
    bad |= json_object_set_new(
        o, "name", json_pack("{ss ss sI}", "text", x->name, "author", x->author, "time", (json_int_t)x->time));
  bad |= json_array_append_new(list, o);
  return bad ? sgi_fail(err, SG_ERR_MEMORY, "out of memory") : SG_OK;
}

sg_status sgi_names_export(sg_names *n, json_t **out, sg_error *err) {
  json_t *list = json_array();
  sg_status st = list ? sgi_names_each(n, add_row, list, err) : sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  *out = st ? NULL
            : json_pack("{ss si ss sO}", "format", "sgatlin-names", "version", 1, SGI_BINDING_KEY,
                        sgi_names_of(n)->hash, "neurons", list);
  json_decref(list);
  return st || *out ? st : sgi_fail(err, SG_ERR_MEMORY, "out of memory");
}

/* ---- import ---------------------------------------------------------------------------------- */

static sg_status take_label(const json_t *o, const char *where, sgi_named *row, sg_error *err) {
  static const char *const keys[] = {"text", "recorded", "reads", "writes"};
  const json_t *reads = json_object_get(o, "reads"), *writes = json_object_get(o, "writes");
  sgi_label *l = &row->label;
  sg_status st = sgi_json_only_keys(o, where, keys, SGI_COUNT(keys), err);
  if (!st) st = sgi_json_string(o, where, "text", row->called.label, sizeof row->called.label, err);
  if (!st) st = sgi_json_bool(o, where, "recorded", &l->recorded, err);
  if (!st && (!json_is_array(reads) || json_array_size(reads) > SGI_LABEL_READS || !json_is_array(writes) ||
              json_array_size(writes) > SGI_LABEL_WRITES))
    st = sgi_fail(err, SG_ERR_FORMAT, "%s: reads and writes must be lists of at most %d and %d", where, SGI_LABEL_READS,
                  SGI_LABEL_WRITES);
  for (; !st && l->n_reads < json_array_size(reads); l->n_reads++) {
    const json_t *v = json_array_get(reads, l->n_reads);
    json_int_t id = json_integer_value(v);
    if (!json_is_integer(v) || id < 0 || id > INT32_MAX)
      return sgi_fail(err, SG_ERR_FORMAT, "%s: reads must be token ids", where);
    l->reads[l->n_reads] = (int32_t)id;
  }
  for (; !st && l->n_writes < json_array_size(writes); l->n_writes++) {
    const json_t *v = json_array_get(writes, l->n_writes);
    st = sgi_json_i32(v, where, "id", 0, INT32_MAX, &l->writes[l->n_writes], err);
    if (!st) st = sgi_json_bool(v, where, "raises", &l->raises[l->n_writes], err);
  }
  return st;
}

static sg_status take_neuron(sg_names *n, const json_t *o, const char *where, sg_error *err) {
  static const char *const keys[] = {"layer", "channel", "index", "label", "name"}, *const of_name[] = {
                                                                                        "text", "author", "time"};
  const json_t *label = json_object_get(o, "label"), *name = json_object_get(o, "name");
  sgi_named row = {0};
  sg_neuron_called *x = &row.called;
  size_t time = 0;
  sg_status st = sgi_json_only_keys(o, where, keys, SGI_COUNT(keys), err);
  if (!st) st = sgi_json_size(o, where, "layer", 0, INT32_MAX, &row.at.layer, err);
  if (!st) st = sgi_json_size(o, where, "channel", 0, INT32_MAX, &row.at.channel, err);
  if (!st) st = sgi_json_size(o, where, "index", 0, INT32_MAX, &row.at.index, err);
  if (!st && label) st = take_label(label, where, &row, err);
  if (!st && label) st = sgi_names_label(n, row.at, &row.label, x->label, err);
  if (st || !name) return st;
  st = sgi_json_only_keys(name, where, of_name, SGI_COUNT(of_name), err);
  if (!st) st = sgi_json_string(name, where, "text", x->name, sizeof x->name, err);
  if (!st) st = sgi_json_string(name, where, "author", x->author, sizeof x->author, err);
  if (!st) st = sgi_json_size(name, where, "time", 0, (size_t)INT64_MAX, &time, err);
  return st ? st : sg_names_give(n, row.at, x->name, x->author, (int64_t)time, err);
}

sg_status sgi_names_import(sg_names *n, const json_t *document, const char *where, size_t *rows, sg_error *err) {
  static const char *const keys[] = {"format", "version", SGI_BINDING_KEY, "neurons"};
  const json_t *list = json_object_get(document, "neurons");
  char format[32], place[SG_ERROR_TEXT];
  size_t version;
  sgi_binding of = {0};
  *rows = 0;
  sg_status st = json_is_object(document) ? sgi_json_only_keys(document, where, keys, SGI_COUNT(keys), err)
                                          : sgi_fail(err, SG_ERR_FORMAT, "%s: expected an object", where);
  if (!st) st = sgi_json_string(document, where, "format", format, sizeof format, err);
  if (!st && strcmp(format, "sgatlin-names"))
    st = sgi_fail(err, SG_ERR_FORMAT, "%s: format is \"%s\": expected \"sgatlin-names\"", where, format);
  if (!st) st = sgi_json_size(document, where, "version", 1, 1, &version, err);
  if (!st) st = sgi_binding_read(document, where, &of, err);
  if (!st && strcmp(of.hash, sgi_names_of(n)->hash))
    st = sgi_fail(err, SG_ERR_ARG, "%s was made for another model: its weights had the hash %s, this model's have %s",
                  where, of.hash[0] ? of.hash : "(none)", sgi_names_of(n)->hash);
  sgi_binding_free(&of);
  if (!st && !json_is_array(list)) st = sgi_fail(err, SG_ERR_FORMAT, "%s: neurons must be a list", where);
  if (!st) st = sgi_names_begin(n, err);
  if (st) return st;
  for (size_t i = 0; i < json_array_size(list) && !st; i++, ++*rows) {
    snprintf(place, sizeof place, "%.300s: neuron %zu of the list", where, i);
    st = take_neuron(n, json_array_get(list, i), place, err);
  }
  if (!st) st = sgi_names_commit(n, err);
  if (st) sgi_names_rollback(n);
  return st;
}
