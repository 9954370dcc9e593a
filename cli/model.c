#include "model.h"

#include <string.h>

#include "core/file.h"
#include "core/file_guard.h"

void cli_skipped(void *unused, const char *name, const char *reason) {
  (void)unused;
  cli_warn("checkpoint %s was passed over: %s", name, reason);
}

sg_status cli_model_directory(const char *path, const char *checkpoint, char **out, sg_error *err) {
  return sgi_open_directory(&(sg_open_request){.path = path, .checkpoint = checkpoint, .skipped = cli_skipped}, out,
                            err);
}

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

sg_status cli_model_check(const cli_call *c, sg_error *err) {
  const char *given = c->args[0], *name = c->command->name;
  char *path = sgi_path_join(given, "recording.json");
  if (!path) return sgi_fail_memory(err, strlen(given), "a path");
  bool recording = sgi_is_file(path);
  sgi_free(path);
  if (recording)
    return sgi_fail(err, SG_ERR_ARG, "%s is a recording; a model comes first: sgatlin %s MODEL ...", given, name);
  if (sgi_is_file(given))
    return sgi_fail(err, SG_ERR_ARG,
                    "%s is a file; a model is a directory (of a run, or one with config.json and model.safetensors) "
                    "and comes first: sgatlin %s MODEL ...",
                    given, name);
  if (strchr(given, ' ') && !sgi_is_directory(given))
    return sgi_fail(err, SG_ERR_ARG,
                    "\"%s\" is no directory of a model, which comes before the text: sgatlin %s MODEL '%s'", given,
                    name, given);
  return SG_OK;
}

sg_status cli_model_open(const cli_call *c, cli_need need, cli_model *m, sg_error *err) {
  *m = (cli_model){0};
  sgi_guard_threads();
  sg_open_request q = {.path = c->args[0],
                       .checkpoint = cli_string(c, "checkpoint"),
                       .allow_nonfinite = cli_flag(c, "allow-nonfinite"),
                       .skipped = cli_skipped};
  sg_status st = cli_model_check(c, err);
  if (!st) st = sg_model_open(&q, &m->model, &m->directory, err);
  if (!st && need != CLI_WITHOUT_TOKENIZER) st = open_tokenizer(cli_string(c, "tokenizer"), need, m, err);
  return st;
}

sg_status cli_model_open_other(const cli_call *c, const char *path, cli_model *m, sg_error *err) {
  *m = (cli_model){0};
  sg_open_request q = {.path = path, .allow_nonfinite = cli_flag(c, "allow-nonfinite"), .skipped = cli_skipped};
  sg_status st = sg_model_open(&q, &m->model, &m->directory, err);
  return st ? st : open_tokenizer(NULL, CLI_TOKENIZER_IF_THERE, m, err);
}

void cli_model_close(cli_model *m) {
  sg_tokenizer_free(m->tokenizer);
  sg_model_free(m->model);
  sgi_free(m->directory);
  *m = (cli_model){0};
}
