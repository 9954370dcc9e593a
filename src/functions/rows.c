#include "functions/rows.h"

#include <string.h>

#include "core/arena.h"

enum { HELD = 8 };

/* ---- which documents ------------------------------------------------------------------------- */

void sgi_function_documents_deinit(sgi_function_documents *d) {
  sgi_free(d->fit);
  *d = (sgi_function_documents){0};
}

sg_status sgi_function_documents_choose(const sgi_recording *rec, size_t positions, sgi_function_documents *out,
                                        sg_error *err) {
  const sgi_recording_info *info = sgi_recording_info_of(rec);
  size_t total = info->n_positions, documents = info->n_documents, taken = 0, at, count;
  *out = (sgi_function_documents){.rec = rec};
  if (documents < 2)
    return sgi_fail(err, SG_ERR_ARG,
                    "the recording has %zu documents: functions are fitted to some and measured on others, so it must "
                    "have 2",
                    documents);
  out->fit = sgi_alloc(2 * documents * sizeof *out->fit);
  if (!out->fit) return sgi_fail_memory(err, 2 * documents * sizeof *out->fit, "a list of documents");
  out->held = out->fit + documents;
  /* Document i is taken where its share of all positions reaches the next whole number. */
  size_t wanted =
      positions && positions < total ? (size_t)((double)documents * (double)positions / (double)total) : documents;
  if (wanted < 2) wanted = 2;
  for (size_t k = 0; k < wanted; k++) {
    size_t i = (size_t)((double)k * (double)documents / (double)wanted);
    bool held = wanted < HELD ? k + 1 == wanted : k % HELD == HELD - 1;
    sgi_recording_document(rec, i, &at, &count);
    if (!count) continue;
    if (count > out->longest) out->longest = count;
    if (held) {
      out->held[out->n_held++] = i;
      out->held_positions += count;
    } else {
      out->fit[out->n_fit++] = i;
      out->fit_positions += count;
    }
    taken++;
  }
  return taken >= 2 && out->n_held && out->n_fit ? SG_OK
                                                 : sgi_fail(err, SG_ERR_ARG, "the recording's documents are empty");
}

size_t sgi_function_document(const sgi_function_documents *d, size_t document, int32_t *inputs, int32_t *targets) {
  size_t first, count;
  sgi_recording_document(d->rec, document, &first, &count);
  for (size_t t = 0; t < count; t++) {
    sgi_recorded r = sgi_recording_at(d->rec, first + t);
    inputs[t] = r.input;
    targets[t] = r.target;
  }
  return count;
}

/* ---- rows ------------------------------------------------------------------------------------ */

void sgi_function_rows_deinit(sgi_function_rows *r) {
  sgi_free(r->x);
  sgi_free(r->index);
  sgi_free(r->own);
  *r = (sgi_function_rows){0};
}

static sg_status visit(void *user, const sgi_site *site, sg_error *err) {
  (void)err;
  sgi_function_seen_visit(user, site);
  return SG_OK;
}

static void keep(sgi_function_rows *r, const sgi_function_seen *s, size_t t) {
  size_t D = s->place->D, m = s->place->C * s->place->K;
  memcpy(r->x + r->n * D, s->x + t * D, D * sizeof *r->x);
  memcpy(r->index + r->n * m, s->index + t * m, m * sizeof *r->index);
  memcpy(r->own + r->n * m, s->own + t * m, m * sizeof *r->own);
  memcpy(r->factor + r->n * m, s->factor + t * m, m * sizeof *r->factor);
  r->n++;
}

static sg_status room(const sgi_function_place *p, size_t n, sgi_function_rows *out, sg_error *err) {
  size_t m, entries, bytes;
  if (!sgi_size_mul(n, p->C * p->K, &m) || !sgi_size_mul(m, 2 * sizeof *out->own, &entries) ||
      !sgi_size_mul(n, p->D * sizeof *out->x, &bytes))
    return sgi_fail(err, SG_ERR_MEMORY, "%zu positions need more memory than can be counted: give fewer", n);
  out->x = sgi_alloc(bytes);
  out->index = sgi_alloc(m * sizeof *out->index);
  out->own = sgi_alloc(entries);
  if (!out->x || !out->index || !out->own) return sgi_fail_memory(err, bytes + 2 * entries, "positions to fit to");
  out->factor = out->own + m;
  return SG_OK;
}

sg_status sgi_function_rows_make(const sg_model *m, const sgi_function_place *p, const sgi_function_documents *d,
                                 sgi_function_progress progress, void *user, sgi_function_rows *out, sg_error *err) {
  sgi_function_seen seen = {0};
  sgi_pass *pass = NULL;
  int32_t *ids = NULL;
  *out = (sgi_function_rows){0};
  sg_status st = room(p, d->fit_positions, out, err);
  if (!st && !(ids = sgi_alloc(2 * d->longest * sizeof *ids)))
    st = sgi_fail_memory(err, 2 * d->longest * sizeof *ids, "a document");
  if (!st) st = sgi_function_seen_make(p, d->longest, &seen, err);
  if (!st) st = sgi_pass_create(m, 1, d->longest, false, &pass, err);
  for (size_t i = 0; i < d->n_fit && !st; i++) {
    int32_t *targets = ids + d->longest;
    size_t T = sgi_function_document(d, d->fit[i], ids, targets);
    sgi_tap tap = {.visit = visit, .user = &seen, .err = err};
    st = sgi_recording_check(d->rec, err);
    if (!st) st = sgi_pass_forward(pass, &(sgi_batch){.B = 1, .T = T, .inputs = ids}, &tap, err);
    for (size_t t = 0; t < T && !st; t++)
      if (targets[t] != m->config.pad_id) keep(out, &seen, t);
    if (!st && progress && !progress(user, "running", i + 1, d->n_fit)) st = sgi_fail(err, SG_ERR_CANCELLED, "stopped");
  }
  sgi_pass_free(pass);
  sgi_function_seen_deinit(&seen);
  sgi_free(ids);
  return st;
}
