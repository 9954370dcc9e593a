#include "continuation.h"

#include <math.h>
#include <string.h>

sg_status sgi_predict(sgi_prediction *out, const sgi_prompt *prompt, const sg_run *run, ptrdiff_t position,
                      sg_error *err) {
  size_t V = sg_model_config(prompt->model)->vocab_size;
  *out = (sgi_prediction){.logits = sgi_alloc(V * sizeof *out->logits), .p = sgi_alloc(V * sizeof *out->p), .V = V};
  if (!out->logits || !out->p) return sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  sg_status st = sg_run_logits(run, position, out->logits, err);
  double max = -INFINITY, sum = 0;
  for (size_t i = 0; i < V && !st; i++) max = fmax(max, out->logits[i]);
  for (size_t i = 0; i < V && !st; i++) sum += out->p[i] = exp(out->logits[i] - max);
  for (size_t i = 0; i < V && !st; i++) out->p[i] /= sum;
  return st || isfinite(sum) ? st : sgi_fail(err, SG_ERR_NUMERIC, "the edited prediction is not finite");
}

void sgi_prediction_free(sgi_prediction *p) {
  sgi_free(p->logits);
  sgi_free(p->p);
  sgi_free(p->words);
  *p = (sgi_prediction){0};
}

int32_t sgi_prediction_next(const sgi_prediction *p, int32_t last) {
  int32_t best = -1;
  for (size_t i = 0; i < p->V; i++) {
    bool below = last < 0 || p->logits[i] < p->logits[last] || (p->logits[i] == p->logits[last] && (int32_t)i > last);
    if (below && (best < 0 || p->logits[i] > p->logits[best])) best = (int32_t)i;
  }
  return best;
}

int32_t sgi_prediction_best(const sgi_prediction *p) { return sgi_prediction_next(p, -1); }

double sgi_divergence(const sgi_prediction *p, const sgi_prediction *q) {
  double sum = 0;
  for (size_t i = 0; i < p->V; i++)
    if (p->p[i] > 0) sum += p->p[i] * (log(p->p[i]) - log(fmax(q->p[i], 1e-300)));
  return sum > 0 ? sum : 0;
}

json_t *sgi_prediction_json(const sgi_prompt *prompt, const sgi_prediction *p, size_t n) {
  json_t *a = json_array();
  int32_t id = -1;
  for (size_t i = 0; i < n && i < p->V; i++) {
    id = sgi_prediction_next(p, id);
    if (id < 0) break;
    json_t *o = sgi_token_json(prompt, id);
    json_object_set_new(o, "probability", sgi_report_real(p->p[id]));
    json_object_set_new(o, "logit", sgi_report_real((double)p->logits[id]));
    if (i < p->n_words) sgi_continuation_json(prompt, &p->words[i], o);
    json_array_append_new(a, o);
  }
  return a;
}

/* The token in quotes, and what follows until a word is whole. */
