#include "predict.h"

#include <string.h>

static void token_cell(cli_table *t, const sgi_prompt *prompt, const sgi_prediction *p, size_t i, int32_t id) {
  if (id < 0)
    cli_cell(t, "%s", "");
  else if (i < p->n_words && p->words[i].n > 1)
    cli_cell(t, "%s%s", sgi_token_shown(prompt, id).s, sgi_continuation_shown(prompt, &p->words[i]).s);
  else
    cli_cell(t, "%s", sgi_token_shown(prompt, id).s);
}

void cli_print_predictions(const sgi_prompt *prompt, const sgi_prediction *before, const sgi_prediction *after,
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
      const sgi_prediction *p = k ? &after[k - 1] : before;
      last[k] = sgi_prediction_next(p, last[k]);
      token_cell(t, prompt, p, i, last[k]);
      cli_cell(t, "%.2f", last[k] < 0 ? 0 : 100 * p->p[last[k]]);
    }
  cli_table_end(t);
}
