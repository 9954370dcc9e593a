#include "eval_text.h"

#include "context.h"

static sg_status fits(void *user, size_t T, sg_error *err) {
  const cli_eval_watch *w = user;
  return cli_context_check(w->call, sg_model_config(w->model), T, err);
}

static void begun(void *user, const char *what, const char *unit, uint64_t total) {
  cli_eval_watch *w = user;
  if (what)
    cli_progress_begin(&w->bar, what, unit, (double)total, 0);
  else
    cli_progress_end(&w->bar);
}

static bool progress(void *user, uint64_t done, uint64_t total) {
  cli_eval_watch *w = user;
  if (total) w->bar.total = (double)total;
  if (done != UINT64_MAX) cli_progress_update(&w->bar, (double)done, NULL);
  return !cli_stop;
}

void cli_eval_watched(cli_eval_watch *w, sgi_eval_request *request) {
  request->fits = fits;
  request->note = cli_told_note;
  request->warn = cli_told_warning;
  request->begun = begun;
  request->progress = progress;
  request->user = w;
}
