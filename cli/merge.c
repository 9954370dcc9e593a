#include "merge.h"

int cli_merge_usage(const cli_call *c) {
  static const char *const of_merge[] = {"output", "data", "min-share", "split", "field", "tokenizer"};
  bool merge = cli_merge_asked(c);
  for (size_t i = 0; i < SGI_COUNT(of_merge) && !merge; i++)
    if (cli_source_of(c, of_merge[i]) == CLI_GIVEN) return cli_usage(c, "--%s belongs to --merge N", of_merge[i]);
  if (merge && !cli_is_set(c, "output")) return cli_usage(c, "--merge writes a model: say where with -o DIR");
  if (merge && cli_flag(c, "shuffled"))
    return cli_usage(c, "--shuffled moves values to where the model has others: --merge takes those it has");
  return 0;
}

static bool goes_on(void *user) {
  (void)user;
  return !cli_stop;
}

/* As `eval` reads it. */
static sg_status open_text(cli_merge *x, const cli_model *m, sg_error *err) {
  bool packs = false;
  sg_status st = cli_text_find(x->call, "data", "valid", &x->text, err);
  if (!st) st = cli_text_form_packs(x->call, &x->form, &packs, err);
  x->eval = (sgi_eval_request){.tokenizer = m->tokenizer,
                               .name = m->directory,
                               .text = &x->text,
                               .form = &x->form,
                               .packs = packs,
                               .rows = SG_EVAL_ROWS_AUTO,
                               .max_memory = (size_t)512 << 20};
  x->watch = (cli_eval_watch){.call = x->call, .model = m->model};
  cli_eval_watched(&x->watch, &x->eval);
  x->request.eval = &x->eval;
  return st;
}

sg_status cli_merge_open(cli_merge *x, const cli_call *c, const cli_model *m, const sg_recording *rec, size_t slot,
                         sg_error *err) {
  x->call = c;
  x->request = (sgi_merge_request){.model = m->model,
                                   .directory = m->directory,
                                   .allow_nonfinite = cli_flag(c, "allow-nonfinite"),
                                   .recording = rec,
                                   .slot = slot,
                                   .most = cli_size(c, "merge"),
                                   .min_together = cli_size(c, "min-together"),
                                   .min_share = cli_real(c, "min-share"),
                                   .out = cli_string(c, "output"),
                                   .goes_on = goes_on};
  sg_status st = sgi_merge_possible(&x->request, err);
  return st || !cli_is_set(c, "data") ? st : open_text(x, m, err);
}

void cli_merge_close(cli_merge *x) { cli_text_free(&x->text); }

static size_t field_of(const json_t *pair, size_t k, const char *key) {
  return sgi_field_size(json_array_get(json_object_get(pair, "neurons"), k), key);
}

void cli_merge_print(const json_t *o) {
  const json_t *list = json_object_get(o, "merged"), *counts = json_object_get(o, "merge"),
               *loss = json_object_get(o, "loss");
  json_t *p;
  size_t k;
  json_array_foreach((json_t *)list, k, p) printf(
      "merged %zu:%zu and %zu:%zu into the first: together %zu times, share %.3f; one direction has %.1f %% of "
      "what they write, the neuron keeps %.1f %%\n",
      field_of(p, 0, "channel"), field_of(p, 0, "neuron"), field_of(p, 1, "channel"), field_of(p, 1, "neuron"),
      sgi_field_size(p, "together"), sgi_field_real(p, "share"), 100 * sgi_field_real(p, "explained"),
      100 * sgi_field_real(p, "kept"));
  printf(
      "%zu of %zu pairs that fire together so often are merged; passed over: %zu in two channels, %zu with a neuron "
      "that is merged already, %zu that write nothing; %zu beyond --merge\n",
      json_array_size(list), sgi_field_size(counts, "found"), sgi_field_size(counts, "passed_over_channels"),
      sgi_field_size(counts, "passed_over_taken"), sgi_field_size(counts, "passed_over_silent"),
      sgi_field_size(counts, "left"));
  if (loss)
    printf("loss %.5f before, %.5f merged, %.5f with the second neurons silent, over %zu tokens\n",
           sgi_field_real(loss, "before"), sgi_field_real(loss, "merged"), sgi_field_real(loss, "silenced"),
           sgi_field_size(loss, "tokens"));
  if (!json_array_size(list))
    printf("no pair can be merged: no model is written; a lower --min-share or --min-together asks for less\n");
  else
    cli_note("wrote %s", sgi_field_word(counts, "model"));
}
