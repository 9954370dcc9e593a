#include "eval_text.h"

#include "context.h"

sg_status eval_text_rows(const cli_call *c, const sg_config *config, const sgi_corpus *corpus, bool run_packs,
                         bool reference, eval_text *out, sg_error *err) {
  sgi_eval_form form = {.seq_len = cli_is_set(c, "seq-len") ? cli_size(c, "seq-len") : 0,
                        .stride = cli_is_set(c, "stride") ? cli_size(c, "stride") : 0,
                        .packs = run_packs,
                        .reference = reference};
  if (cli_is_set(c, "rows")) form.rows = (sg_eval_rows)(SG_EVAL_PAD + cli_choice(c, "rows"));
  sg_status st = sgi_eval_rows_choose(config, corpus, &form, out, err);
  if (!st) st = cli_context_check(c, config, out->T, err);
  return st ? st : sgi_eval_rows_open(config, corpus, &form, out, err);
}

void eval_text_say_cut(const eval_text *t) {
  char text[200];
  sgi_eval_rows_cut(t, text, sizeof text);
  if (*text) cli_note("%s", text);
}
