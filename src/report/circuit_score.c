#include <string.h>

#include "circuit.h"
#include "compare/cut.h"
#include "compare/feature_score.h"
#include "data/data.h"

typedef struct job {
  const sgi_circuit_score_request *r;
  int32_t *tokens, *targets; /* (prompts,T) */
  size_t prompts, T;
  double loss, rival_loss;
  sgi_feature_scores s;
} job;

/* The first T tokens of documents that have as many. */
static sg_status read_prompts(job *j, sg_error *err) {
  size_t want = j->r->prompts, documents = sgi_corpus_documents(j->r->corpus);
  int32_t bos = sg_model_config(j->r->model)->bos_id;
  j->T = j->r->tokens;
  j->tokens = sgi_alloc(2 * want * j->T * sizeof *j->tokens);
  if (!j->tokens) return sgi_fail_memory(err, want * j->T * sizeof *j->tokens, "prompts");
  j->targets = j->tokens + want * j->T;
  for (size_t d = 0, n; d < documents && j->prompts < want; d++) {
    const int32_t *ids = sgi_corpus_document(j->r->corpus, d, &n);
    if (n <= j->T) continue;
    int32_t *row = j->tokens + j->prompts * j->T;
    row[0] = bos;
    memcpy(row + 1, ids, (j->T - 1) * sizeof *row);
    memcpy(j->targets + j->prompts * j->T, ids, j->T * sizeof *row);
    j->prompts++;
  }
  if (!j->prompts)
    return sgi_fail(err, SG_ERR_ARG, "no document has %zu tokens and one more: give fewer --tokens", j->T);
  return SG_OK;
}

static sg_status losses(job *j, sg_error *err) {
  const sgi_cut_rows rows = {j->targets, j->prompts, j->T};
  sg_status st = sgi_cut_whole_loss(j->r->model, &rows, &j->loss, err);
  return !st && j->r->rival ? sgi_cut_whole_loss(j->r->rival, &rows, &j->rival_loss, err) : st;
}

static sg_status score(job *j, sg_error *err) {
  const sgi_circuit_score_request *r = j->r;
  const sgi_feature_score_request q = {.model = r->model,
                                       .set = r->set,
                                       .rival = r->rival,
                                       .tokens = j->tokens,
                                       .prompts = j->prompts,
                                       .T = j->T,
                                       .removals = r->removals,
                                       .seed = r->seed,
                                       .max_bytes = r->max_bytes,
                                       .progress = r->progress,
                                       .user = r->user};
  return sgi_feature_score(&q, &j->s, err);
}

static json_t *curve_json(const job *j, int way) {
  json_t *list = json_array();
  for (size_t i = 0; i < SGI_SCORE_STEPS; i++)
    json_array_append_new(
        list, json_pack("{s:I, s:o}", "k", (json_int_t)j->s.k[i], "left", sgi_report_real(j->s.share[way][i])));
  return list;
}

static json_t *document(const job *j) {
  static const char *const keys[SGI_SCORE_WAYS] = {"features", "features_no_errors", "random", "neurons", "rival"};
  const sgi_feature_scores *s = &j->s;
  json_t *curves = json_object();
  for (int way = 0; way < SGI_SCORE_WAYS; way++)
    json_object_set_new(curves, keys[way], s->has[way] ? curve_json(j, way) : json_null());
  return json_pack("{s:I, s:I, s:o, s:o, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "prompts",
                   (json_int_t)s->prompts, "tokens", (json_int_t)j->T, "loss", sgi_report_real(j->loss), "rival_loss",
                   j->r->rival ? sgi_report_real(j->rival_loss) : json_null(), "removals", (json_int_t)s->removals,
                   "rank", sgi_report_real(s->rank), "agreement", sgi_report_real(s->agreement), "quotient",
                   sgi_report_real(s->quotient), "error_share", sgi_report_real(s->error_share), "difference",
                   sgi_report_real(s->difference), "features", sgi_report_real(s->features), "neurons",
                   sgi_report_real(s->neurons), "left", curves);
}

sg_status sgi_circuit_score(const sgi_circuit_score_request *r, json_t **out, sg_error *err) {
  job j = {.r = r};
  *out = NULL;
  sg_status st = read_prompts(&j, err);
  if (!st) st = losses(&j, err);
  if (!st) st = score(&j, err);
  if (!st) *out = document(&j);
  sgi_free(j.tokens);
  return st ? st : sgi_report_whole(out, "scores of circuits", err);
}
