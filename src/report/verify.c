#include "verify.h"

#include <string.h>

#include "check/check.h"
#include "report.h"

static sg_status check_graph(sgi_checks *c, const sgi_verify_request *q, const char *path, sg_error *err) {
  sg_error why = {0};
  sg_status st = q->graph(q->user, path, &why);
  if (st == SG_ERR_MEMORY) return sgi_fail(err, st, "%s", why.text);
  if (!st) sgi_checks_say(c, path, "graph", SG_OK, "every node and edge is sound");
  if (st && why.code == SG_ERR_ARG) why.code = SG_ERR_FORMAT;
  if (st) sgi_checks_fail(c, path, "graph", &why);
  return SG_OK;
}

static sg_status check_path(sgi_checks *c, const sgi_verify_request *q, const char *path, sg_error *err) {
  switch (sgi_check_kind(path)) {
    case SGI_CHECK_MODEL: return sgi_check_model(c, path, err);
    case SGI_CHECK_RUN: return sgi_check_run(c, path, err);
    case SGI_CHECK_RECORDING: return sgi_check_recording(c, path, err);
    case SGI_CHECK_TOKENS: return sgi_check_tokens(c, path, err);
    case SGI_CHECK_CACHES: return sgi_check_caches(c, path, err);
    case SGI_CHECK_TOKENIZER: return sgi_check_tokenizer(c, path, err);
    case SGI_CHECK_TENSORS: return sgi_check_tensors(c, path, err);
    case SGI_CHECK_NAMES: return sgi_check_names(c, path, NULL, err);
    case SGI_CHECK_SPARSE: return sgi_check_sparse(c, path, err);
    case SGI_CHECK_FUNCTIONS: return sgi_check_functions(c, path, err);
    case SGI_CHECK_JSON: return check_graph(c, q, path, err);
    case SGI_CHECK_NOTHING: break;
  }
  return sgi_fail(err, SG_ERR_IO,
                  "%s: neither a model, run, recording, sparse MLPs or functions, nor a token cache, tokenizer.json, "
                  "graph, file of names or "
                  "safetensors file",
                  path);
}

sg_status sgi_verify_paths(const sgi_verify_request *q, sgi_verified *out, sg_error *err) {
  sgi_checks c = {.found = q->found, .go_on = q->go_on, .user = q->user};
  sg_status st = q->machine ? sgi_check_machine(&c, err) : SG_OK;
  for (size_t i = 0; i < q->n && !st; i++) st = check_path(&c, q, q->paths[i], err);
  *out = (sgi_verified){c.looked, c.wrong, c.first};
  return st;
}

json_t *sgi_verified_json(const char *path, const char *what, sg_status status, const char *text) {
  return json_pack("{so ss sb so}", "path", sgi_report_text(path, strlen(path)), "check", what, "ok", status == SG_OK,
                   "text", sgi_report_text(text, strlen(text)));
}
