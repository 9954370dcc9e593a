#include "continuation.h"

#include <math.h>
#include <string.h>

sg_status cli_predict(cli_prediction *out, const cli_prompt *prompt, const sg_run *run, ptrdiff_t position,
                      sg_error *err) {
  size_t V = sg_model_config(prompt->model)->vocab_size;
  *out = (cli_prediction){.logits = sgi_alloc(V * sizeof *out->logits), .p = sgi_alloc(V * sizeof *out->p), .V = V};
  if (!out->logits || !out->p) return sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  sg_status st = sg_run_logits(run, position, out->logits, err);
  double max = -INFINITY, sum = 0;
  for (size_t i = 0; i < V && !st; i++) max = fmax(max, out->logits[i]);
  for (size_t i = 0; i < V && !st; i++) sum += out->p[i] = exp(out->logits[i] - max);
  for (size_t i = 0; i < V && !st; i++) out->p[i] /= sum;
  return st || isfinite(sum) ? st : sgi_fail(err, SG_ERR_NUMERIC, "the edited prediction is not finite");
}

void cli_prediction_free(cli_prediction *p) {
  sgi_free(p->logits);
  sgi_free(p->p);
  sgi_free(p->words);
  *p = (cli_prediction){0};
}

int32_t cli_prediction_next(const cli_prediction *p, int32_t last) {
  int32_t best = -1;
  for (size_t i = 0; i < p->V; i++) {
    bool below = last < 0 || p->logits[i] < p->logits[last] || (p->logits[i] == p->logits[last] && (int32_t)i > last);
    if (below && (best < 0 || p->logits[i] > p->logits[best])) best = (int32_t)i;
  }
  return best;
}

int32_t cli_prediction_best(const cli_prediction *p) { return cli_prediction_next(p, -1); }

double cli_divergence(const cli_prediction *p, const cli_prediction *q) {
  double sum = 0;
  for (size_t i = 0; i < p->V; i++)
    if (p->p[i] > 0) sum += p->p[i] * (log(p->p[i]) - log(fmax(q->p[i], 1e-300)));
  return sum > 0 ? sum : 0;
}

json_t *cli_prediction_json(const cli_prompt *prompt, const cli_prediction *p, size_t n) {
  json_t *a = json_array();
  int32_t id = -1;
  for (size_t i = 0; i < n && i < p->V; i++) {
    id = cli_prediction_next(p, id);
    if (id < 0) break;
    json_t *o = cli_token_json(prompt, id);
    json_object_set_new(o, "probability", cli_json_real(p->p[id]));
    json_object_set_new(o, "logit", cli_json_real((double)p->logits[id]));
    if (i < p->n_words) cli_continuation_json(prompt, &p->words[i], o);
    json_array_append_new(a, o);
  }
  return a;
}

/* The token in quotes, and what follows until a word is whole. */
static void token_cell(cli_table *t, const cli_prompt *prompt, const cli_prediction *p, size_t i, int32_t id) {
  if (id < 0)
    cli_cell(t, "%s", "");
  else if (i < p->n_words && p->words[i].n > 1)
    cli_cell(t, "%s%s", cli_token_shown(prompt, id).s, cli_continuation_shown(prompt, &p->words[i]).s);
  else
    cli_cell(t, "%s", cli_token_shown(prompt, id).s);
}

void cli_print_predictions(const cli_prompt *prompt, const cli_prediction *before, const cli_prediction *after,
                           const char *const *labels, size_t n_after, size_t n) {
  char align[32] = "lr";
  if (n_after > 14) n_after = 14;
  for (size_t k = 0; k < n_after; k++) strcat(align, "lr");
  cli_table *t = cli_table_begin(align);
  cli_cell(t, "before");
  cli_cell(t, "%%");
  for (size_t k = 0; k < n_after; k++) {
    cli_cell(t, "%s", labels[k]);
    cli_cell(t, "%%");
  }
  int32_t last[15];
  for (size_t k = 0; k <= n_after; k++) last[k] = -1;
  for (size_t i = 0; i < n && i < before->V; i++)
    for (size_t k = 0; k <= n_after; k++) {
      const cli_prediction *p = k ? &after[k - 1] : before;
      last[k] = cli_prediction_next(p, last[k]);
      token_cell(t, prompt, p, i, last[k]);
      cli_cell(t, "%.2f", last[k] < 0 ? 0 : 100 * p->p[last[k]]);
    }
  cli_table_end(t);
}
