#include "rows.h"

#include "context.h"
#include "text_form.h"

sg_status cli_rows_read(cli_rows *r, const sgi_prompt *p, const cli_text *text, const sg_text_form *form, size_t T,
                        size_t max_tokens, sg_error *err) {
  return sgi_text_rows_read(r, p, text, form, T, max_tokens, &cli_text_watch, err);
}

static sg_status open_split(cli_rows *r, const cli_call *c, const sgi_prompt *p, const char *split, size_t T,
                            size_t max_tokens, sg_error *err) {
  cli_text text = {0};
  sg_text_form form;
  json_t *own = NULL;
  *r = (cli_rows){0};
  sg_status st = cli_context_check(c, sg_model_config(p->model), T, err);
  if (!st) st = cli_text_form(c, &form, &own, err);
  json_decref(own);
  if (!st) st = cli_text_find(c, "data", split, &text, err);
  if (!st) st = cli_rows_read(r, p, &text, &form, T, max_tokens, err);
  cli_text_free(&text);
  return st;
}

sg_status cli_rows_split(cli_rows *r, const cli_call *c, const sgi_prompt *p, const char *split, size_t T, size_t n,
                         sg_error *err) {
  size_t tokens;
  sg_status st = open_split(r, c, p, split, T, sgi_size_mul(n, T, &tokens) ? tokens : SIZE_MAX, err);
  if (r->B > n) r->B = n;
  return st;
}

sg_status cli_rows_open(cli_rows *r, const cli_call *c, const sgi_prompt *p, size_t T, size_t max_tokens,
                        sg_error *err) {
  return open_split(r, c, p, "valid", T, max_tokens, err);
}

void cli_rows_free(cli_rows *r) { sgi_text_rows_free(r); }
