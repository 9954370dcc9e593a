#include "subjects.h"

#include "report/recall.h"

bool cli_subjects_progress(void *user, size_t done, size_t wanted) {
  cli_subjects *s = user;
  if (!s->what) cli_progress_begin(&s->bar, s->what = "asking", "prompts", (double)wanted, 0);
  s->bar.total = (double)wanted;
  cli_progress_update(&s->bar, (double)done, NULL);
  return !cli_stop;
}

static void bar_end(cli_subjects *s) {
  if (s->what) cli_progress_end(&s->bar);
  s->what = NULL;
}

sg_status cli_subjects_open(cli_subjects *s, const cli_call *c, sg_error *err) {
  const char *path = cli_string(c, "facts");
  *s = (cli_subjects){.c = c};
  sg_status st = cli_prompt_open_model(&s->p, c, err);
  if (!st && !s->p.tokenizer)
    st = sgi_fail(err, SG_ERR_ARG, "%s has no tokenizer.json: facts are text", s->p.directory);
  if (!st) st = sgi_subjects_load(path, s->p.model, s->p.tokenizer, cli_string(c, "type"), &s->all, err);
  if (!st) sgi_subjects_limit(&s->all, cli_size(c, "limit"), cli_u64(c, "seed"));
  if (!st) st = sgi_subjects_know(s->p.model, &s->all, path, cli_subjects_progress, s, err);
  bar_end(s);
  return st;
}

void cli_subjects_close(cli_subjects *s) {
  sgi_subjects_deinit(&s->all);
  cli_prompt_close(&s->p);
}

int cli_subjects_end(cli_subjects *s, sg_status st, const sg_error *err) {
  bar_end(s);
  if (!st) return 0;
  return cli_end(st, err);
}

void cli_subjects_print(const cli_subjects *s) {
  printf("%zu of %zu prompts known (%.1f %%; truths of another subject of the type: %.1f %%)", s->all.n_known, s->all.n,
         100 * (double)s->all.n_known / (double)s->all.n, 100 * s->all.chance);
  if (s->all.skipped) printf("; %zu facts are not whole tokens of a prompt", s->all.skipped);
  printf("\n\n");
}

int cli_subjects_json(const cli_subjects *s, json_t *result) {
  if (result) {
    json_object_set_new(result, "facts", sgi_subjects_json(&s->all));
    json_object_set_new(result, "seed", json_integer((json_int_t)cli_u64(s->c, "seed")));
  }
  return cli_json(result);
}
