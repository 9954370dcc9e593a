#include "names/label_all.h"

#include <string.h>

#include "core/arena.h"
#include "read/neuron_list.h"

enum { PART = 256 }; /* neurons between two questions whether to go on */

/* Neurons [from, to). The first that fails, by number, is the one that is told. */
static sg_status label_part(const sgi_label_request *q, const bool *silent, const sgi_neuron_at *at, size_t from,
                            size_t to, sgi_label *label, char (*text)[SG_LABEL_BYTES], sg_error *err) {
  size_t wrong = to;
  sg_error why = {0};
#pragma omp parallel for schedule(dynamic, 8)
  for (size_t i = from; i < to; i++) {
    sg_error e = {0};
    if (!sgi_label_make_with(q->model, silent, q->rec, at[i].layer, at[i].channel, at[i].index, &label[i], &e)) {
      if (text) sgi_label_text(&label[i], q->tokenizer, text[i]);
      continue;
    }
#pragma omp critical(sgi_label_all)
    if (i < wrong) {
      wrong = i;
      why = e;
    }
  }
  return wrong == to ? SG_OK : sgi_fail(err, why.code, "%s", why.text);
}

sg_status sgi_label_some(const sgi_label_request *q, const sgi_neuron_at *at, size_t count, sgi_label *label,
                         char (*text)[SG_LABEL_BYTES], sg_error *err) {
  bool *silent = count ? sgi_label_silent(q->model, q->tokenizer) : NULL;
  sg_status st = silent || !count ? SG_OK : sgi_fail_memory(err, q->model->config.vocab_size, "labels");
  for (size_t from = 0; from < count && !st; from += PART) {
    if (q->progress && !q->progress(q->user, from, count)) st = sgi_fail(err, SG_ERR_CANCELLED, "stopped");
    if (!st) st = label_part(q, silent, at, from, from + PART < count ? from + PART : count, label, text, err);
  }
  sgi_free(silent);
  return st;
}

static sg_status keep(sg_names *n, const sgi_neuron_at *at, size_t count, const sgi_label *label,
                      char (*text)[SG_LABEL_BYTES], sg_error *err) {
  sg_status st = sgi_names_begin(n, err);
  if (st) return st;
  for (size_t i = 0; i < count && !st; i++) st = sgi_names_label(n, at[i], &label[i], text[i], err);
  if (!st) st = sgi_names_commit(n, err);
  if (st) sgi_names_rollback(n);
  return st;
}

sg_status sgi_names_label_all(sg_names *n, const sgi_label_request *q, size_t *made, sg_error *err) {
  sgi_neuron_list list;
  *made = 0;
  sg_status st = sgi_neuron_list_make(q->model, q->tokenizer, NULL, NULL, NULL, &list, err);
  sgi_neuron_at *at = sgi_alloc(list.count * sizeof *at);
  sgi_label *label = sgi_alloc(list.count * sizeof *label);
  char(*text)[SG_LABEL_BYTES] = sgi_alloc(list.count * sizeof *text);
  if (!st && (!at || !label || !text)) st = sgi_fail_memory(err, list.count * sizeof *text, "labels");
  for (size_t i = 0; i < list.count && !st; i++)
    at[i] = (sgi_neuron_at){list.at[i].layer, list.at[i].channel, list.at[i].index};
  if (!st) st = sgi_label_some(q, at, list.count, label, text, err);
  if (!st) st = keep(n, at, list.count, label, text, err);
  if (!st) *made = list.count;
  sgi_free(at);
  sgi_free(label);
  sgi_free(text);
  sgi_neuron_list_deinit(&list);
  return st;
}
