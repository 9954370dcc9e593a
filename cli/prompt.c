#include "prompt.h"

#include <stdlib.h>
#include <string.h>

#include "ids.h"
#include "report/sizes.h"

sg_status cli_prompt_open_model(sgi_prompt *p, const cli_call *c, sg_error *err) {
  cli_model m;
  sg_status st = cli_model_open(c, CLI_TOKENIZER_IF_THERE, &m, err);
  *p = (sgi_prompt){.model = m.model, .tokenizer = m.tokenizer, .directory = m.directory};
  return st;
}

sg_status cli_prompt_open_other(sgi_prompt *p, const cli_call *c, const char *path, sg_error *err) {
  cli_model m;
  sg_status st = cli_model_open_other(c, path, &m, err);
  *p = (sgi_prompt){.model = m.model, .tokenizer = m.tokenizer, .directory = m.directory};
  return st;
}

static sg_status read_ids(sgi_prompt *p, const char *path, bool no_bos, sg_error *err) {
  int32_t *ids = NULL;
  size_t n = 0;
  sg_status st = cli_read_prompt_ids(path, &ids, &n, err);
  size_t bos = no_bos ? 0 : 1;
  if (!st && !(n + bos))
    st = sgi_fail(err, SG_ERR_ARG, "%s: no id, and no begin token in front: nothing to read", path);
  if (!st && !(p->tokens = sgi_alloc((n + bos) * sizeof *p->tokens)))
    st = sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  if (!st) {
    if (bos) p->tokens[0] = sg_model_config(p->model)->bos_id;
    if (n) memcpy(p->tokens + bos, ids, n * sizeof *ids);
    p->count = n + bos;
  }
  sgi_free(ids);
  return st;
}

static sg_status read_prompt(sgi_prompt *p, const cli_call *c, sg_error *err) {
  const char *prompt = cli_string(c, "prompt"), *ids = cli_string(c, "ids");
  bool no_bos = cli_flag(c, "no-bos");
  *p = (sgi_prompt){0};
  sg_status st = prompt || ids ? SG_OK : cli_model_check(c, err);
  if (st) return st;
  if (!prompt == !ids)
    return sgi_fail(err, SG_ERR_ARG,
                    "give the text to read behind the model (or with --prompt), or its tokens with --ids");
  st = cli_prompt_open_model(p, c, err);
  if (st) return st;
  if (ids) {
    p->text = sgi_strdup("");
    return read_ids(p, ids, no_bos, err);
  }
  if (!strcmp(prompt, "-")) {
    size_t n;
    st = cli_read_prompt("-", &p->text, &n, err);
  } else {
    p->text = sgi_strdup(sgi_skip_mark(prompt));
  }
  if (!st && !p->text) st = sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  return st ? st : sgi_prompt_encode(p, p->text, no_bos, &p->tokens, &p->count, err);
}

sg_status cli_prompt_open(sgi_prompt *p, const cli_call *c, sg_error *err) {
  sg_status st = read_prompt(p, c, err);
  return st ? st : cli_context_check(c, sg_model_config(p->model), p->count, err);
}

void cli_prompt_close(sgi_prompt *p) {
  cli_model m = {.model = p->model, .tokenizer = p->tokenizer, .directory = p->directory};
  cli_model_close(&m);
  sgi_free(p->text);
  sgi_free(p->tokens);
  *p = (sgi_prompt){0};
}

void cli_neuron_cell(cli_table *t, const sgi_prompt *p, int layer, int channel, int index) {
  const char *beside = sgi_neuron_beside(p->model, (size_t)layer, channel);
  cli_cell(t, "layer %d channel %d neuron %d%s%s", layer, channel, index, beside ? ", " : "", beside ? beside : "");
}
