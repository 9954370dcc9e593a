#include "subjects.h"

/* A first prompt begins the bar: of asking, then of reading. */
static bool progress(void *user, size_t done, size_t wanted) {
  cli_subjects *s = user;
  if (s->what && (double)done <= s->done) {
    cli_progress_end(&s->bar);
    s->what = NULL;
  }
  if (!s->what) cli_progress_begin(&s->bar, s->what = "asking", "prompts", (double)wanted, 0);
  s->done = (double)done;
  s->bar.total = (double)wanted;
  cli_progress_update(&s->bar, (double)done, NULL);
  return !cli_stop;
}

sg_status cli_subjects_open(cli_subjects *s, const cli_call *c, sg_error *err) {
  *s = (cli_subjects){.c = c};
  s->facts = (sgi_recall_facts){.p = &s->p,
                                .path = cli_string(c, "facts"),
                                .type = cli_string(c, "type"),
                                .limit = cli_size(c, "limit"),
                                .seed = cli_u64(c, "seed"),
                                .progress = progress,
                                .user = s};
  return cli_prompt_open_model(&s->p, c, err);
}

void cli_subjects_close(cli_subjects *s) { cli_prompt_close(&s->p); }

static void print_known(const json_t *facts) {
  size_t prompts = sgi_field_size(facts, "prompts"), known = sgi_field_size(facts, "known"),
         skipped = sgi_field_size(facts, "skipped");
  printf("%zu of %zu prompts known (%.1f %%; truths of another subject of the type: %.1f %%)", known, prompts,
         100 * (double)known / (double)prompts, 100 * sgi_field_real(facts, "chance"));
  if (skipped) printf("; %zu facts are not whole tokens of a prompt", skipped);
  printf("\n\n");
}

int cli_subjects_answer(cli_subjects *s, sg_status st, const sg_error *err, json_t *answer, cli_printer *print,
                        const void *user) {
  if (s->what) cli_progress_end(&s->bar);
  if (!st && !cli_flag(s->c, "json")) print_known(json_object_get(answer, "facts"));
  return cli_answer(s->c, st, err, answer, print, user);
}

cli_table *cli_subjects_table(const char *name, const char *what, size_t n, size_t *shown) {
  char align[CLI_SUBJECTS_SHOWN + 2] = "l";
  *shown = n < CLI_SUBJECTS_SHOWN ? n : CLI_SUBJECTS_SHOWN;
  for (size_t l = 0; l < *shown; l++) align[1 + l] = 'r', align[2 + l] = 0;
  cli_table *t = cli_table_begin(align);
  cli_cell(t, "%s", name);
  for (size_t l = 0; l < *shown; l++) cli_cell(t, "%s %zu", what, l);
  return t;
}

double *cli_subjects_axis(size_t n, size_t n_curves, sg_error *err) {
  double *x = sgi_alloc((n_curves + 1) * (n + 1) * sizeof *x);
  if (!x) sgi_fail_memory(err, (n_curves + 1) * n * sizeof *x, "a figure");
  for (size_t i = 0; x && i < n; i++) x[i] = (double)i;
  return x;
}
