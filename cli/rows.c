#include "rows.h"

#include <string.h>

#include "text/reader.h"

static sg_status add_row(cli_rows *r, size_t *room, const sg_config *c, const int32_t *ids, size_t n, sg_error *err) {
  if (r->B == *room) {
    size_t more = *room ? 2 * *room : 16, old = *room * r->T * sizeof *r->targets, bytes;
    if (!sgi_size_mul(more * sizeof *r->targets, r->T, &bytes))
      return sgi_fail(err, SG_ERR_ARG, "--context is too large");
    int32_t *p = sgi_realloc(r->targets, old, bytes);
    if (!p) return sgi_fail(err, SG_ERR_MEMORY, "out of memory");
    r->targets = p;
    *room = more;
  }
  int32_t *row = r->targets + r->B++ * r->T;
  for (size_t i = 0; i < r->T; i++) row[i] = i < n ? ids[i] : i == n ? c->eos_id : c->pad_id;
  return SG_OK;
}

sg_status cli_rows_read(cli_rows *r, const cli_prompt *p, const char *path, size_t T, size_t max_tokens,
                        sg_error *err) {
  *r = (cli_rows){.T = T};
  if (!p->tokenizer)
    return sgi_fail(err, SG_ERR_ARG, "%s has no tokenizer.json, which reading text needs", p->directory);
  sgi_reader *reader = NULL;
  size_t room = 0, tokens = 0;
  sg_status st = sgi_reader_open(path, false, NULL, &reader, err);
  while (!st && tokens < max_tokens && !cli_stop) {
    const char *text;
    size_t n, count = 0;
    int32_t *ids = NULL;
    st = sgi_reader_next(reader, &text, &n, err);
    if (st || !text) break;
    st = sg_tokenizer_encode(p->tokenizer, text, n, &ids, &count, err);
    for (size_t i = 0; i < count && !st; i++)
      if ((size_t)ids[i] >= sg_model_config(p->model)->vocab_size)
        st = sgi_fail(err, SG_ERR_FORMAT, "%s: the tokenizer gives id %d, the model knows %zu", p->directory, ids[i],
                      sg_model_config(p->model)->vocab_size);
    if (!st) st = add_row(r, &room, sg_model_config(p->model), ids, count < T ? count : T, err);
    tokens += count < T ? count + 1 : T;
    sg_buffer_free(ids);
  }
  sgi_reader_close(reader);
  if (!st && !r->B) st = sgi_fail(err, SG_ERR_FORMAT, "%s holds no document", path);
  return st;
}

void cli_rows_free(cli_rows *r) {
  sgi_free(r->targets);
  *r = (cli_rows){0};
}
