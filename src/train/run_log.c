/* metrics.jsonl: one object a line, keys with slashes; always step, tokens, flops and time
 * (docs/formats.md, run directory). log.txt: what people were told, with the time of day. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "train/run_state.h"

/* The log helps people; that it cannot be written is no reason to stop, and the metrics will
 * tell. */
static void record(const sgi_run *run, const char *text) {
  char line[640];
  time_t now = time(NULL);
  struct tm utc;
  if (!run->locked || !gmtime_r(&now, &utc)) return;
  size_t n = strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%SZ ", &utc);
  n += (size_t)snprintf(line + n, sizeof line - n, "%.600s\n", text);
  sgi_append_file(run->log_path, line, n, NULL);
}

void sgi_run_record(const sgi_run *run, const char *format, ...) {
  char text[600];
  va_list ap;
  va_start(ap, format);
  vsnprintf(text, sizeof text, format, ap);
  va_end(ap);
  record(run, text);
}

void sgi_run_note(const sgi_run *run, const char *format, ...) {
  char text[600];
  va_list ap;
  va_start(ap, format);
  vsnprintf(text, sizeof text, format, ap);
  va_end(ap);
  record(run, text);
  if (run->events.note) run->events.note(run->events.user, text);
}

/* null where x is infinite or NaN, which JSON cannot say. */
static json_t *number(double x) { return isfinite(x) ? json_real(x) : json_null(); }

static json_t *line_of(const sgi_run *run) {
  return json_pack("{s:I, s:I, s:f, s:f}", "step", (json_int_t)run->state.step, "tokens", (json_int_t)run->state.tokens,
                   "flops", run->state.flops, "time", run->state.seconds);
}

/* One write per line, so that a killed run leaves at most one broken line at the end; resume cuts
 * it off. Takes the reference. */
static sg_status append(sgi_run *run, json_t *o, sg_error *err) {
  char *text = o ? sgi_json_text(o) : NULL;
  json_decref(o);
  if (!text) return sgi_fail_memory(err, 256, "a line of metrics.jsonl");
  size_t n = strlen(text);
  text[n] = '\n'; /* in the place of the NUL */
  sg_status st = sgi_append_file(run->metrics_path, text, n + 1, err);
  text[n] = '\0';
  if (!st && run->events.row) run->events.row(run->events.user, text);
  sgi_free(text);
  if (!st) run->state.metrics_bytes += n + 1;
  return st;
}

static void put_int4(json_t *o, const sgi_run *run) {
  sgi_int4_report r;
  if (!sgi_run_int4_report(run, &r)) return;
  json_object_set_new(o, "grad/pools_norm", number(r.norm));
  json_object_set_new(o, "int4/weight_steps", number(r.weight_steps));
  json_object_set_new(o, "int4/saturated", number(r.saturated));
  json_object_set_new(o, "int4/share_at_7", number(r.share_at_7));
}

sg_status sgi_run_log_step(sgi_run *run, const sgi_run_line *l, sg_error *err) {
  json_t *o = line_of(run);
  json_object_set_new(o, "train/loss", number(l->last.loss));
  json_object_set_new(o, "train/accuracy", number(l->last.accuracy));
  json_object_set_new(o, "train/perplexity_last_token", number(l->last.perplexity_last_token));
  json_object_set_new(o, "train/grad_norm", number(l->last.grad_norm));
  json_object_set_new(o, "train/param_norm", number(l->last.param_norm));
  bool parts = false;
  for (size_t i = 0; sg_aux_name(i); i++) {
    char key[48];
    snprintf(key, sizeof key, "aux/%s", sg_aux_name(i));
    if (isnan(l->last.aux[i])) continue;
    json_object_set_new(o, key, number(l->last.aux[i]));
    parts = true;
  }
  if (parts) json_object_set_new(o, "train/total", number(l->last.total));
  json_object_set_new(o, "train/lr", number(l->last.lr));
  put_int4(o, run);
  json_object_set_new(o, "perf/tokens_per_s", number(l->tokens_per_second));
  if (sgi_ranks_count(run->ranks) > 1) /* of this process so far */
    json_object_set_new(o, "perf/sent_bytes",
                        json_integer((json_int_t)(run->ranks->sent + run->groups[0].sent + run->groups[1].sent)));
  struct rusage used;
  if (getrusage(RUSAGE_SELF, &used) == 0)
    json_object_set_new(o, "perf/peak_rss_bytes", json_integer((json_int_t)used.ru_maxrss * 1024));
  return append(run, o, err);
}

static void put(json_t *o, size_t layer, const char *group, const sgi_usage_numbers *u) {
  const struct {
    const char *name;
    double value;
  } all[] = {{"min_max_ratio", u->min_max_ratio},
             {"coeff_of_variation", u->coeff_of_variation},
             {"fraction_nonzero", u->fraction_nonzero},
             {"entropy", u->normalized_entropy}};
  for (size_t i = 0; i < SGI_COUNT(all); i++) {
    char key[80];
    snprintf(key, sizeof key, "usage/l%zu/%s%s", layer, all[i].name, group);
    json_object_set_new(o, key, number(all[i].value));
  }
}

sg_status sgi_run_log_evaluation(sgi_run *run, const sgi_evaluation *e, sg_error *err) {
  json_t *o = line_of(run);
  json_object_set_new(o, "eval/loss", number(e->loss));
  json_object_set_new(o, "eval/accuracy", number(e->accuracy));
  json_object_set_new(o, "eval/perplexity", number(e->perplexity));
  json_object_set_new(o, "eval/ppl", number(e->perplexity)); /* the name that other tools' plots know */
  json_object_set_new(o, "eval/perplexity_last_token", number(e->perplexity_last_token));
  json_object_set_new(o, "eval/standard_error", number(e->standard_error));
  json_object_set_new(o, "eval/tokens", json_integer((json_int_t)e->tokens));
  if (!isnan(run->loss_with_buffer)) json_object_set_new(o, "int4/loss_with_buffer", number(run->loss_with_buffer));
  for (size_t l = 0; l < run->settings.model.num_layers; l++) {
    sgi_usage_result_t u;
    if (!run->usage[l] || sgi_usage_result(run->usage[l], &u, NULL)) continue;
    put(o, l, "", &u.plain);
    put(o, l, "_flat", &u.flat);
    put(o, l, "_per_sequence", &u.per_sequence);
  }
  return append(run, o, err);
}
