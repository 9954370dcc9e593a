#include "rows.h"

#include <string.h>

#include "context.h"
#include "text/reader.h"
#include "text_form.h"

static sg_status add_row(cli_rows *r, size_t *room, const sg_config *c, const int32_t *ids, size_t n, sg_error *err) {
  if (r->B == *room) {
    size_t more = *room ? 2 * *room : 16, old = *room * r->T * sizeof *r->targets, bytes;
    if (!sgi_size_mul(more * sizeof *r->targets, r->T, &bytes))
      return sgi_fail(err, SG_ERR_ARG, "--seq-len is too large");
    int32_t *p = sgi_realloc(r->targets, old, bytes);
    if (!p) return sgi_fail(err, SG_ERR_MEMORY, "out of memory");
    r->targets = p;
    *room = more;
  }
  int32_t *row = r->targets + r->B++ * r->T;
  for (size_t i = 0; i < r->T; i++) row[i] = i < n ? ids[i] : i == n ? c->eos_id : c->pad_id;
  return SG_OK;
}

/* What is read so far, and of what. */
typedef struct reading {
  cli_rows *rows;
  const sgi_prompt *p;
  const sgi_text_form *form;
  size_t room, tokens, max_tokens;
} reading;

static sg_status read_file(reading *w, const char *path, sg_error *err) {
  const sgi_prompt *p = w->p;
  size_t T = w->rows->T;
  sgi_reader *reader = NULL;
  sg_status st = sgi_reader_open(path, w->form->blank_lines, *w->form->field ? w->form->field : NULL, &reader, err);
  if (!st && w->form->keep_cr) sgi_reader_keep_cr(reader);
  while (!st && w->tokens < w->max_tokens && !cli_stop) {
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
    if (!st) st = add_row(w->rows, &w->room, sg_model_config(p->model), ids, count < T ? count : T, err);
    w->tokens += count < T ? count + 1 : T;
    sg_buffer_free(ids);
  }
  sgi_reader_close(reader);
  return st;
}

/* Of the end of a file the tokens are read that a run's own cache has. */
static sg_status read_part(reading *w, const cli_text *text, sg_error *err) {
  const sg_config *c = sg_model_config(w->p->model);
  sgi_corpus *corpus = NULL;
  sg_status st = cli_text_open(text, w->form, w->p->tokenizer, c->eos_id, NULL, NULL, &corpus, err);
  for (size_t i = 0, n, T = w->rows->T; !st && i < sgi_corpus_documents(corpus) && w->tokens < w->max_tokens; i++) {
    const int32_t *ids = sgi_corpus_document(corpus, i, &n);
    if (n && ids[n - 1] == c->eos_id) n--;
    st = add_row(w->rows, &w->room, c, ids, n < T ? n : T, err);
    w->tokens += n < T ? n + 1 : T;
  }
  sgi_corpus_close(corpus);
  return st;
}

sg_status cli_rows_read(cli_rows *r, const sgi_prompt *p, const cli_text *text, const sgi_text_form *form, size_t T,
                        size_t max_tokens, sg_error *err) {
  *r = (cli_rows){.T = T};
  reading w = {r, p, form, 0, 0, max_tokens};
  char **files = NULL;
  size_t n = 0;
  sg_status st = cli_text_needs(p->tokenizer, p->directory, err);
  if (st) return st;
  if (text->held_out > 0) return read_part(&w, text, err);
  st = sgi_text_files(text->path, form->field, NULL, &files, &n, err);
  for (size_t i = 0; i < n && !st; i++) st = read_file(&w, files[i], err);
  sgi_text_files_free(files, n);
  if (!st && !r->B) st = sgi_fail(err, SG_ERR_FORMAT, "%s holds no document", text->path);
  return st;
}

sg_status cli_rows_open(cli_rows *r, const cli_call *c, const sgi_prompt *p, size_t T, size_t max_tokens,
                        sg_error *err) {
  cli_text text = {0};
  sgi_text_form form;
  json_t *own = NULL;
  *r = (cli_rows){0};
  sg_status st = cli_context_check(c, sg_model_config(p->model), T, err);
  if (!st) st = cli_text_form(c, &form, &own, err);
  json_decref(own);
  if (!st) st = cli_text_find(c, "data", "valid", &text, err);
  if (!st) st = cli_rows_read(r, p, &text, &form, T, max_tokens, err);
  cli_text_free(&text);
  return st;
}

void cli_rows_free(cli_rows *r) {
  sgi_free(r->targets);
  *r = (cli_rows){0};
}
