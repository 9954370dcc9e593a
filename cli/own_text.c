#include "own_text.h"

#include "text_form.h"

static bool goes_on(void *unused, uint64_t done, uint64_t total) {
  (void)unused, (void)done, (void)total;
  return !cli_stop;
}

const sgi_text_watch cli_text_watch = {.note = cli_told_note, .progress = goes_on, .stopped = cli_stopped};

sg_status cli_text_find(const cli_call *c, const char *option, const char *split, cli_text *out, sg_error *err) {
  const sgi_text_asked asked = {.model = c->args[0], .given = cli_string(c, option), .option = option, .split = split};
  return sgi_text_find(&asked, &cli_text_watch, out, err);
}

sg_status cli_text_own(const cli_call *c, bool *own, sg_error *err) { return sgi_text_own(c->args[0], own, err); }

sg_status cli_text_needs(const sg_tokenizer *tokenizer, const char *directory, sg_error *err) {
  return sgi_text_needs(tokenizer, directory, err);
}

void cli_text_free(cli_text *t) { sgi_text_free(t); }

char *cli_text_directory(const cli_call *c) { return sgi_text_directory(c->args[0]); }

sg_status cli_text_open(const cli_text *t, const sg_text_form *form, const sg_tokenizer *tok, int32_t eos,
                        bool (*progress)(void *user, uint64_t done, uint64_t total), void *user, sgi_corpus **out,
                        sg_error *err) {
  sgi_text_watch watch = cli_text_watch;
  if (progress) watch.progress = progress, watch.user = user;
  return sgi_text_open(t, form, tok, eos, &watch, out, err);
}

sg_status cli_text_corpus(const cli_call *c, const char *split, const sg_tokenizer *tok, int32_t eos,
                          bool (*progress)(void *user, uint64_t done, uint64_t total), void *user, cli_text *text,
                          sgi_corpus **out, sg_error *err) {
  sg_text_form form;
  json_t *own = NULL;
  sg_status st = cli_text_form(c, &form, &own, err);
  json_decref(own);
  if (!st) st = cli_text_find(c, "data", split, text, err);
  return st ? st : cli_text_open(text, &form, tok, eos, progress, user, out, err);
}
