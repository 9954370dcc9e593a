#include "model.h"

#include <string.h>

#include "core/file_guard.h"

static void skipped(void *user, const char *name, const char *reason) {
  (void)user;
  cli_warn("checkpoint %s was passed over: %s", name, reason);
}
const sgi_skipped cli_skipped = {skipped, NULL};

static sg_status open_tokenizer(const char *given, cli_need need, cli_model *m, sg_error *err) {
  if (given) return sg_tokenizer_open(given, m->model, &m->tokenizer, err);
  char *own = sgi_path_join(m->directory, "tokenizer.json");
  if (!own) return sgi_fail_memory(err, strlen(m->directory), "a path");
  sg_status st = SG_OK;
  if (sgi_is_file(own))
    st = sg_tokenizer_open(own, m->model, &m->tokenizer, err);
  else if (need == CLI_WITH_TOKENIZER)
    st = sgi_fail(err, SG_ERR_IO, "%s is missing: name a tokenizer with --tokenizer FILE", own);
  sgi_free(own);
  return st;
}

sg_status cli_model_open(const cli_call *c, cli_need need, cli_model *m, sg_error *err) {
  *m = (cli_model){0};
  sgi_guard_threads();
  sg_open_request q = {.path = c->args[0],
                       .checkpoint = cli_string(c, "checkpoint"),
                       .allow_nonfinite = cli_flag(c, "allow-nonfinite"),
                       .skipped = skipped};
  sg_status st = sg_model_open(&q, &m->model, &m->directory, err);
  if (!st && need != CLI_WITHOUT_TOKENIZER) st = open_tokenizer(cli_string(c, "tokenizer"), need, m, err);
  return st;
}

void cli_model_close(cli_model *m) {
  sg_tokenizer_free(m->tokenizer);
  sg_model_free(m->model);
  sgi_free(m->directory);
  *m = (cli_model){0};
}
