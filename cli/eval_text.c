#include "eval_text.h"

#include "context.h"

static size_t smaller(size_t a, uint64_t b) { return a < b ? a : (size_t)b; }

static sg_status choose_stride(const cli_call *c, eval_text *t, sg_error *err) {
  t->stride = cli_is_set(c, "stride") ? cli_size(c, "stride") : t->T / 2 ? t->T / 2 : 1;
  if (t->stride <= t->seq_len) {
    if (t->stride > t->T) t->stride = t->T; /* every document fits one window */
    return SG_OK;
  }
  return sgi_fail(err, SG_ERR_ARG,
                  "--stride %zu is more than a window of %zu tokens: tokens between them would not count", t->stride,
                  t->seq_len);
}

sg_status eval_text_rows(const cli_call *c, const sg_config *config, const sgi_corpus *corpus, bool run_packs,
                         bool reference, eval_text *out, sg_error *err) {
  *out = (eval_text){.seq_len = cli_is_set(c, "seq-len") ? cli_size(c, "seq-len") : config->max_position,
                     .tokens = sgi_corpus_tokens(corpus)};
  sgi_corpus_fit fit;
  sgi_corpus_measure(corpus, out->seq_len, &fit);
  if (cli_is_set(c, "rows"))
    out->rows = (sgi_rows)cli_choice(c, "rows");
  else if (cli_is_set(c, "stride") || (fit.longer && !reference))
    out->rows = SGI_ROWS_WINDOWS;
  else
    out->rows = run_packs ? SGI_ROWS_PACK : SGI_ROWS_PAD;
  bool pack = out->rows == SGI_ROWS_PACK;
  if (cli_is_set(c, "stride") && out->rows != SGI_ROWS_WINDOWS)
    return sgi_fail(err, SG_ERR_ARG, "--stride is of --rows windows");
  /* Padding every row to a length that no document has would cost time and memory for the same
   * numbers. */
  out->T = smaller(out->seq_len, pack ? out->tokens : fit.longest);
  sg_status st = cli_context_check(c, config, out->T, err);
  if (!st && out->rows == SGI_ROWS_WINDOWS) st = choose_stride(c, out, err);
  sgi_batcher_settings s = {
      .rows = out->rows, .B = 1, .T = out->T, .bos = config->bos_id, .pad = config->pad_id, .stride = out->stride};
  if (!st) st = sgi_batcher_create(corpus, &s, &out->batcher, err);
  if (st) return st;
  out->n_rows = sgi_batcher_batches(out->batcher);
  out->cut = pack ? out->tokens - out->n_rows * out->T : out->rows == SGI_ROWS_PAD ? fit.beyond : 0;
  return SG_OK;
}

uint64_t eval_text_limit(const eval_text *t, uint64_t max) {
  uint64_t first, end;
  if (!max || max >= t->n_rows) return t->n_rows;
  sgi_batcher_unit(t->batcher, max - 1, &first, &end);
  return end;
}

void eval_text_method(const eval_text *t, char *out, size_t size) {
  *out = '\0';
  if (t->rows == SGI_ROWS_WINDOWS)
    snprintf(out, size, "windows of %zu, stride %zu, each token counted once with at least %zu tokens before it", t->T,
             t->stride, t->T - t->stride);
}

void eval_text_say_cut(const eval_text *t) {
  if (t->cut)
    cli_note("%llu of %llu tokens (%.3g %%) %s and are not counted; --rows windows counts them",
             (unsigned long long)t->cut, (unsigned long long)t->tokens, 100 * (double)t->cut / (double)t->tokens,
             t->rows == SGI_ROWS_PACK ? "fill no row" : "lie beyond the rows");
}
