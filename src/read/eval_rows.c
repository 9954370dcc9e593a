#include "read/eval_rows.h"

#include <stdio.h>

static size_t smaller(size_t a, uint64_t b) { return a < b ? a : (size_t)b; }

static sg_status choose_stride(const sgi_eval_form *form, sgi_eval_rows *t, sg_error *err) {
  t->stride = form->stride ? form->stride : t->T / 2 ? t->T / 2 : 1;
  if (t->stride <= t->seq_len) {
    if (t->stride > t->T) t->stride = t->T; /* every document fits one window */
    return SG_OK;
  }
  return sgi_fail(err, SG_ERR_ARG,
                  "--stride %zu is more than a window of %zu tokens: tokens between them would not count", t->stride,
                  t->seq_len);
}

sg_status sgi_eval_rows_choose(const sg_config *config, const sgi_corpus *corpus, const sgi_eval_form *form,
                               sgi_eval_rows *out, sg_error *err) {
  *out = (sgi_eval_rows){.seq_len = form->seq_len ? form->seq_len : config->max_position,
                         .tokens = sgi_corpus_tokens(corpus)};
  sgi_corpus_fit fit;
  sgi_corpus_measure(corpus, out->seq_len, &fit);
  if (form->rows)
    out->rows = form->rows == SG_EVAL_WINDOWS ? SGI_ROWS_WINDOWS
                : form->rows == SG_EVAL_PACK  ? SGI_ROWS_PACK
                                              : SGI_ROWS_PAD;
  else if (form->stride || (fit.longer && !form->reference))
    out->rows = SGI_ROWS_WINDOWS;
  else
    out->rows = form->packs ? SGI_ROWS_PACK : SGI_ROWS_PAD;
  if (form->stride && out->rows != SGI_ROWS_WINDOWS) return sgi_fail(err, SG_ERR_ARG, "--stride is of --rows windows");
  /* Padding every row to a length that no document has would cost time and memory for the same
   * numbers. */
  out->T = smaller(out->seq_len, out->rows == SGI_ROWS_PACK ? out->tokens : fit.longest);
  return SG_OK;
}

sg_status sgi_eval_rows_open(const sg_config *config, const sgi_corpus *corpus, const sgi_eval_form *form,
                             sgi_eval_rows *out, sg_error *err) {
  sgi_corpus_fit fit;
  bool pack = out->rows == SGI_ROWS_PACK;
  sgi_corpus_measure(corpus, out->seq_len, &fit);
  sg_status st = out->rows == SGI_ROWS_WINDOWS ? choose_stride(form, out, err) : SG_OK;
  sgi_batcher_settings s = {
      .rows = out->rows, .B = 1, .T = out->T, .bos = config->bos_id, .pad = config->pad_id, .stride = out->stride};
  if (!st) st = sgi_batcher_create(corpus, &s, &out->batcher, err);
  if (st) return st;
  out->n_rows = sgi_batcher_batches(out->batcher);
  out->cut = pack ? out->tokens - out->n_rows * out->T : out->rows == SGI_ROWS_PAD ? fit.beyond : 0;
  return SG_OK;
}

uint64_t sgi_eval_rows_limit(const sgi_eval_rows *t, uint64_t max) {
  uint64_t first, end;
  if (!max || max >= t->n_rows) return t->n_rows;
  sgi_batcher_unit(t->batcher, max - 1, &first, &end);
  return end;
}

void sgi_eval_rows_method(const sgi_eval_rows *t, char *out, size_t size) {
  *out = '\0';
  if (t->rows == SGI_ROWS_WINDOWS)
    snprintf(out, size, "windows of %zu, stride %zu, each token counted once with at least %zu tokens before it", t->T,
             t->stride, t->T - t->stride);
}

void sgi_eval_rows_cut(const sgi_eval_rows *t, char *out, size_t size) {
  *out = '\0';
  if (t->cut)
    snprintf(out, size, "%llu of %llu tokens (%.3g %%) %s and are not counted; --rows windows counts them",
             (unsigned long long)t->cut, (unsigned long long)t->tokens, 100 * (double)t->cut / (double)t->tokens,
             t->rows == SGI_ROWS_PACK ? "fill no row" : "lie beyond the rows");
}
