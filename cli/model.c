#include "model.h"

#include <string.h>

#include "core/file_guard.h"
#include "model/model.h"

static void skipped(void *user, const char *name, const char *reason) {
  (void)user;
  cli_warn("checkpoint %s was passed over: %s", name, reason);
}
const sgi_skipped cli_skipped = {skipped, NULL};

static sg_status open_tokenizer(const char *given, cli_need need, cli_model *m, sg_error *err) {
  char *own = sgi_path_join(m->directory, "tokenizer.json");
  if (!own) return sgi_fail_memory(err, strlen(m->directory), "a path");
  const char *path = given ? given : own;
  sg_status st = SG_OK;
  if (given || sgi_is_file(own))
    st = sg_tokenizer_load(path, &m->tokenizer, err);
  else if (need == CLI_WITH_TOKENIZER)
    st = sgi_fail(err, SG_ERR_IO, "%s is missing: name a tokenizer with --tokenizer FILE", own);
  size_t V = sg_model_config(m->model)->vocab_size;
  if (!st && m->tokenizer && sg_tokenizer_vocab_size(m->tokenizer) > V)
    st = sgi_fail(err, SG_ERR_FORMAT, "%s has %zu ids, the model's vocabulary %zu: they do not belong together", path,
                  sg_tokenizer_vocab_size(m->tokenizer), V);
  sgi_free(own);
  return st;
}

sg_status cli_model_open(const cli_call *c, cli_need need, cli_model *m, sg_error *err) {
  *m = (cli_model){0};
  sgi_guard_threads();
  sg_status st = sgi_model_locate(c->args[0], cli_string(c, "checkpoint"), &cli_skipped, &m->directory, err);
  if (!st) st = sgi_model_load(m->directory, cli_flag(c, "allow-nonfinite"), &m->model, err);
  if (!st && need != CLI_WITHOUT_TOKENIZER) st = open_tokenizer(cli_string(c, "tokenizer"), need, m, err);
  return st;
}

void cli_model_close(cli_model *m) {
  sg_tokenizer_free(m->tokenizer);
  sg_model_free(m->model);
  sgi_free(m->directory);
  *m = (cli_model){0};
}
