#include "read/baseline.h"

#include "core/arena.h"

static const size_t TABLE_BYTES = (size_t)1 << 30;
enum { STEP = 256 }; /* documents or rows between two questions whether to stop */

static bool ends(bool (*stop)(void *, uint64_t), void *user, uint64_t done) {
  return stop && done % STEP == 0 && stop(user, done);
}

sg_status sgi_baseline_create(const sgi_corpus *train, const sg_config *c, bool (*stop)(void *, uint64_t), void *user,
                              sgi_ngram **out, sg_error *err) {
  sg_status st = sgi_ngram_create(c->vocab_size, c->bos_id, TABLE_BYTES, out, err);
  size_t documents = sgi_corpus_documents(train);
  for (size_t i = 0; i < documents && !st; i++) {
    size_t n;
    const int32_t *ids = sgi_corpus_document(train, i, &n);
    st = sgi_ngram_add(*out, ids, n, err);
    if (!st && ends(stop, user, i + 1)) st = sgi_fail(err, SG_ERR_CANCELLED, "counting was stopped");
  }
  if (!st) st = sgi_ngram_finish(*out, err);
  if (st) {
    sgi_ngram_free(*out);
    *out = NULL;
  }
  return st;
}

static sg_status score_row(const sgi_ngram *m, const int32_t *targets, const int32_t *starts, size_t T, int32_t pad,
                           sgi_ngram_score *sum, sg_error *err) {
  sg_status st = SG_OK;
  for (size_t from = 0, to = 0; from < T && !st; from = to) {
    for (to = from + 1; to < T && starts[to] == starts[from];) to++;
    size_t n = to - from;
    while (n && targets[from + n - 1] == pad) n--;
    if (n) st = sgi_ngram_nll(m, targets + from, n, sum, err);
  }
  return st;
}

/* Windows: the documents that their rows are of, each whole. */
static sg_status score_documents(const sgi_ngram *m, const sgi_evaluate_request *r, sgi_ngram_score *sum,
                                 sg_error *err) {
  uint64_t first, end, last = r->n_rows ? sgi_batcher_unit(r->rows, r->n_rows - 1, &first, &end) : 0;
  sg_status st = SG_OK;
  for (uint64_t i = 0; i <= last && r->n_rows && !st; i++) {
    size_t n;
    const int32_t *ids = sgi_batcher_document(r->rows, i, &n);
    st = sgi_ngram_nll(m, ids, n, sum, err);
    if (!st && ends(r->stop, r->user, i + 1)) st = sgi_fail(err, SG_ERR_CANCELLED, "scoring was stopped");
  }
  return st;
}

sg_status sgi_baseline_score(const sgi_ngram *m, const sgi_evaluate_request *r, int32_t pad, sgi_ngram_score *sum,
                             sg_error *err) {
  size_t n;
  if (r->rows && sgi_batcher_document(r->rows, 0, &n)) return score_documents(m, r, sum, err);
  int32_t *rows = sgi_alloc(3 * r->T * sizeof *rows), *targets = rows + r->T, *starts = targets + r->T;
  sg_status st = rows ? SG_OK : sgi_fail_memory(err, 3 * r->T * sizeof *rows, "a row");
  for (uint64_t i = 0; i < r->n_rows && !st; i++) {
    if (r->rows) sgi_batcher_get(r->rows, i, rows, targets, starts);
    st = score_row(m, r->rows ? targets : r->targets + i * r->T, starts, r->T, pad, sum, err);
    if (!st && ends(r->stop, r->user, i + 1)) st = sgi_fail(err, SG_ERR_CANCELLED, "scoring was stopped");
  }
  sgi_free(rows);
  return st;
}
