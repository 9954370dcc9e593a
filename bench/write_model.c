/* write_model.c: a model directory of random weights. write_model DIR [KEY=VALUE]...: keys as in
 * `sgatlin train --keys` (preset=, feedforward.kind=, model.hidden_size=, ...), seed=N for the
 * weights. For decode.sh. */
#include <stdio.h>
#include <stdlib.h>

#include "core/arena.h"
#include "train/settings.h"

static int fail(const sg_error *err) {
  fprintf(stderr, "write_model: %s\n", err->text);
  return 1;
}

int main(int argc, char **argv) {
  sg_error err = {0};
  sgi_assignments a = {0};
  sgi_settings s;
  sg_model *m = NULL;
  if (argc < 2) return fprintf(stderr, "usage: write_model DIR [KEY=VALUE]...\n"), 2;
  sg_status st = SG_OK;
  for (int i = 2; i < argc && !st; i++) st = sgi_assign_text(&a, argv[i], NULL, &err);
  if (!st) st = sgi_settings_resolve(&a, &s, &err);
  sgi_assignments_free(&a);
  if (st) return fail(&err);
  if (s.tokenizer_vocab_size) s.model.vocab_size = s.tokenizer_vocab_size;
  st = sg_model_create(&s.model, s.seed, &m, &err);
  if (!st) st = sg_model_save(m, argv[1], &err);
  if (!st) printf("%s: %s, %zu parameters\n", argv[1], s.model.feedforward, sg_model_parameter_count(m));
  sg_model_free(m);
  return st ? fail(&err) : 0;
}
