#include "sparse.h"

#include <string.h>

#include "context.h"

sg_status cli_sparse_open(const cli_call *c, const char *directory, const sg_model *model, sgi_sparse_set **out,
                          sg_error *err) {
  const sgi_sparse_asked asked = {.directory = directory,
                                  .model = model,
                                  .force = cli_flag(c, "force"),
                                  .note = cli_told_note,
                                  .warn = cli_told_warning};
  return sgi_sparse_set_of(&asked, out, err);
}

/* What a text's rows are held against. */
typedef struct opening {
  const cli_call *call;
  const sg_config *config;
} opening;

static sg_status fits(void *user, size_t T, sg_error *err) {
  const opening *o = user;
  return cli_context_check(o->call, o->config, T, err);
}

static sg_status open_rows(const cli_call *c, const cli_model *m, const cli_text *text, size_t most,
                           sgi_sparse_text **out, sg_error *err) {
  opening o = {c, sg_model_config(m->model)};
  sg_text_form form;
  json_t *own = NULL;
  char words[16] = "";
  sg_status st = cli_text_form(c, &form, &own, err);
  if (!st && own) st = sgi_json_string(own, "config.json: data", "rows", words, sizeof words, err);
  json_decref(own);
  const sgi_sparse_text_request r = {
      .model = m->model,
      .tokenizer = m->tokenizer,
      .directory = m->directory,
      .text = text,
      .form = &form,
      .packs = !strcmp(words, "pack"),
      .rows = cli_is_set(c, "rows") ? (sg_eval_rows)(SG_EVAL_PAD + cli_choice(c, "rows")) : SG_EVAL_ROWS_AUTO,
      .seq_len = cli_is_set(c, "seq-len") ? cli_size(c, "seq-len") : 0,
      .stride = cli_is_set(c, "stride") ? cli_size(c, "stride") : 0,
      .most = most,
      .fits = fits,
      .watch = &cli_text_watch,
      .user = &o};
  return st ? st : sgi_sparse_text_open(&r, out, err);
}

sg_status cli_sparse_text_open(const cli_call *c, const cli_model *m, const char *option, const char *split,
                               size_t most, sgi_sparse_text **out, sg_error *err) {
  cli_text text;
  sg_status st = cli_text_find(c, option, split, &text, err);
  if (!st) st = open_rows(c, m, &text, most, out, err);
  cli_text_free(&text);
  return st;
}

sg_status cli_sparse_text_at(const cli_call *c, const cli_model *m, const char *path, size_t most,
                             sgi_sparse_text **out, sg_error *err) {
  cli_text text = {.path = sgi_strdup(path)};
  sg_status st = text.path ? open_rows(c, m, &text, most, out, err) : sgi_fail_memory(err, strlen(path), "a path");
  cli_text_free(&text);
  return st;
}
