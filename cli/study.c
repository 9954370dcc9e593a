#include "study.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/number.h"
#include "ranks.h"

/* ---- what is asked --------------------------------------------------------------------------- */

json_t *study_words(const char *text) {
  json_t *list = json_array();
  while (text && *text) {
    size_t n = strcspn(text, ",");
    if (n) json_array_append_new(list, json_stringn(text, n));
    text += n + (text[n] == ',');
  }
  return list;
}

sg_status study_numbers(const char *option, const char *text, json_t **out, sg_error *err) {
  *out = json_array();
  while (*text) {
    const char *rest;
    double x;
    if (!sgi_number_real(text, &rest, &x) || (*rest && *rest != ','))
      return sgi_fail(err, SG_ERR_ARG, "--%s: expected numbers with commas between, such as 1e13,1e14; found \"%.40s\"",
                      option, text);
    json_array_append_new(*out, json_real(x));
    text = rest + (*rest == ',');
  }
  return SG_OK;
}

json_t *study_begin(const cli_call *c) {
  const char *data = cli_string(c, "data");
  char *real = data ? realpath(data, NULL) : NULL;
  size_t n;
  const char *const *sets = cli_list(c, "set", &n);
  json_t *list = json_array(), *o = json_pack("{s:i, s:s}", "format", 1, "data", real ? real : data ? data : "");
  free(real);
  for (size_t i = 0; i < n; i++) json_array_append_new(list, json_string(sets[i]));
  json_object_set_new(o, "set", list);
  return o;
}

bool study_asks(const cli_call *c, const char *const *options, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (cli_is_set(c, options[i])) return true;
  return false;
}

json_t *study_seeds(size_t n) {
  json_t *list = json_array();
  for (size_t i = 1; i <= n; i++) json_array_append_new(list, json_integer((json_int_t)i));
  return list;
}

/* variants = variants x the values of one key. */
static sg_status multiply(json_t **variants, const char *text, sg_error *err) {
  const char *equal = strchr(text, '=');
  if (!equal || equal == text || !equal[1])
    return sgi_fail(err, SG_ERR_ARG, "--vary %s: expected KEY=A,B,..., such as optimizer.learning_rate=1e-3,3e-3",
                    text);
  if (strstr(equal, ".."))
    return sgi_fail(err, SG_ERR_ARG,
                    "--vary %s: a range LOW..HIGH belongs to 'sweep --random N'; expected KEY=A,B,..., such as "
                    "optimizer.learning_rate=1e-3,3e-3",
                    text);
  json_t *values = study_words(equal + 1), *all = json_array(), *v, *old;
  size_t i, k;
  json_array_foreach(*variants, i, old) json_array_foreach(values, k, v) {
    char one[SGI_STUDY_NAME];
    json_t *more = json_deep_copy(old);
    snprintf(one, sizeof one, "%.*s=%s", (int)(equal - text), text, json_string_value(v));
    json_array_append_new(more, json_string(one));
    json_array_append_new(all, more);
  }
  json_decref(values);
  json_decref(*variants);
  *variants = all;
  return SG_OK;
}

/* "KEY=A,KEY=B" as one variant more. */
static sg_status add_choice(json_t *variants, const char *text, sg_error *err) {
  json_t *set = study_words(text), *one;
  size_t i;
  json_array_foreach(set, i, one) {
    const char *equal = strchr(json_string_value(one), '=');
    if (equal && equal != json_string_value(one) && equal[1]) continue;
    json_decref(set);
    return sgi_fail(
        err, SG_ERR_ARG,
        "--choice %s: expected KEY=VALUE,KEY=VALUE,..., such as feedforward.num_channels=4,feedforward.top_k=16", text);
  }
  if (!json_array_size(set)) return json_decref(set), sgi_fail(err, SG_ERR_ARG, "--choice: expected KEY=VALUE,...");
  json_array_append_new(variants, set);
  return SG_OK;
}

sg_status study_choices(const cli_call *c, json_t *wanted, sg_error *err) {
  size_t n;
  const char *const *choices = cli_list(c, "choice", &n);
  json_t *variants = json_object_get(wanted, "variants");
  sg_status st = SG_OK;
  for (size_t i = 0; i < n && !st; i++) st = add_choice(variants, choices[i], err);
  return st;
}

sg_status study_vary(const cli_call *c, json_t *wanted, sg_error *err) {
  size_t n;
  const char *const *vary = cli_list(c, "vary", &n);
  json_t *variants = json_array();
  sg_status st = SG_OK;
  if (n) json_array_append_new(variants, json_array());
  for (size_t i = 0; i < n && !st; i++) st = multiply(&variants, vary[i], err);
  json_object_set_new(wanted, "variants", variants);
  return st;
}

/* ---- watching -------------------------------------------------------------------------------- */

typedef struct watch {
  cli_work work;
  cli_progress bar;
  bool begun;
  double total, done, flops; /* of the runs known, of those ended, of this one */
  const char *name;
} watch;

static void end_bar(watch *w) {
  cli_work_end(&w->work);
  if (w->begun) cli_progress_end(&w->bar);
  w->begun = false;
}

static void note(void *user, const char *text) {
  (void)user;
  cli_detail("%s", text);
}

static void work(void *user, const char *what, uint64_t done, uint64_t total) {
  cli_work_update(&((watch *)user)->work, what, done, total);
}

static void step(void *user, const sg_train_line *l) {
  watch *w = user;
  char extra[SGI_STUDY_NAME + 80];
  cli_work_end(&w->work);
  if (!w->begun)
    cli_progress_begin(&w->bar, "study", "FLOPs", w->total,
                       w->done + w->flops * (double)(l->step - 1) / (double)l->steps);
  w->begun = true;
  snprintf(extra, sizeof extra, "%s, step %llu of %llu, loss %.4f", w->name ? w->name : "", (unsigned long long)l->step,
           (unsigned long long)l->steps, l->last.loss);
  cli_progress_update(&w->bar, w->done + w->flops * (double)l->step / (double)l->steps, extra);
}

static void begun(void *user, const char *name, double done, double flops, double total) {
  watch *w = user;
  w->name = name;
  w->done = done;
  w->flops = flops;
  w->total = total;
}

static void ended(void *user, const char *unused) {
  watch *w = user;
  (void)unused;
  end_bar(w);
  w->name = NULL;
}

static void result(void *unused, const json_t *r) {
  (void)unused;
  if (sgi_field_flag(r, "diverged")) {
    cli_warn("run %s diverged: its result.json says how; it is left out of the fits", sgi_field_word(r, "name"));
    return;
  }
  cli_note("%s: held-out loss %.4f, training loss %.4f, %s, %s", sgi_field_word(r, "name"),
           sgi_field_real(r, "valid_loss"), sgi_field_real(r, "train_loss"),
           cli_number(sgi_field_size(r, "steps"), "step").s, cli_seconds(sgi_field_real(r, "seconds")).s);
}

/* ---- before anything starts ------------------------------------------------------------------ */

static void say_sweep_first(const sgi_study *s) {
  if (sgi_study_sweeps(s))
    cli_note("these are the runs of the sweep; the others take its best settings, and are known once it has ended");
}

static sg_status plan_file(const sgi_study *s, const char *command, const char *directory, const char *path,
                           sg_error *err) {
  char quoted[4200];
  cli_quote(directory, quoted, sizeof quoted);
  sgi_writer *w = NULL;
  bool print = !strcmp(path, "-");
  json_t *names = sgi_study_waiting(s);
  sg_status st = sgi_report_whole(&names, "the names of runs", err);
  if (!st && !print) st = sgi_writer_open(path, &w, err);
  for (size_t i = 0; !st && i < json_array_size(names); i++) {
    char line[4600];
    int n = snprintf(line, sizeof line, "sgatlin %s -o %s --run %s\n", command, quoted,
                     json_string_value(json_array_get(names, i)));
    if (print)
      fputs(line, stdout);
    else
      st = sgi_writer_write(w, line, (size_t)n, err);
  }
  json_decref(names);
  if (w && st) sgi_writer_drop(w);
  if (w && !st) st = sgi_writer_close(w, err);
  if (!st) say_sweep_first(s);
  return st;
}

static void print_costs(const json_t *o) {
  static const char *const names[] = {"run", "parameters", "steps", "memory", "disk", "time"};
  cli_table *t = cli_table_begin("lrrrrr");
  json_t *r;
  size_t i;
  for (i = 0; i < SGI_COUNT(names); i++) cli_cell(t, "%s", names[i]);
  json_array_foreach(json_object_get(o, "runs"), i, r) {
    cli_cell(t, "%s", sgi_field_word(r, "name"));
    cli_cell(t, "%s", cli_count(sgi_field_real(r, "parameters")).s);
    cli_cell(t, "%zu", sgi_field_size(r, "steps"));
    cli_cell(t, "%s", cli_bytes(sgi_field_real(r, "memory_bytes")).s);
    cli_cell(t, "%s", cli_bytes(sgi_field_real(r, "disk_bytes")).s);
    cli_cell(t, "%s", cli_seconds(sgi_field_real(r, "seconds")).s);
  }
  cli_table_end(t);
}

static sg_status dry_run(const cli_call *c, const sgi_study *s, sg_error *err) {
  json_t *o = NULL;
  sg_status st = sgi_study_cost(s, cli_size(c, "max-memory"), &o, err);
  if (st) return st;
  if (cli_flag(c, "json")) {
    cli_json(o);
    return SG_OK;
  }
  print_costs(o);
  cli_note("%s: %.3g FLOPs, about %s (timed on this machine just now), memory up to %s, disk about %s",
           cli_number(json_array_size(json_object_get(o, "runs")), "run").s, sgi_field_real(o, "flops"),
           cli_seconds(sgi_field_real(o, "seconds")).s, cli_bytes(sgi_field_real(o, "memory_bytes")).s,
           cli_bytes(sgi_field_real(o, "disk_bytes")).s);
  json_decref(o);
  say_sweep_first(s);
  return SG_OK;
}

/* ---- what came out --------------------------------------------------------------------------- */

static void heading(cli_table *t, const char *const *names, size_t n) {
  for (size_t i = 0; i < n; i++) cli_cell(t, "%s", names[i]);
}

/* Whose seconds these are, and of a study that is retimed what a step of each form takes. */
static void print_timing(const json_t *report) {
  static const char *const names[] = {"kind", "size", "choice", "seconds a step", "processor seconds"};
  const json_t *timing = json_object_get(report, "timing"), *forms = json_object_get(timing, "forms");
  size_t i;
  json_t *f;
  if (*sgi_field_word(timing, "problem")) cli_warn("%s", sgi_field_word(timing, "problem"));
  if (strcmp(sgi_field_word(timing, "by"), "timings")) {
    printf("times: as the runs took\n");
    return;
  }
  cli_table *t = cli_table_begin("llrrr");
  heading(t, names, SGI_COUNT(names));
  json_array_foreach(forms, i, f) {
    cli_cell(t, "%s", sgi_field_word(f, "kind"));
    cli_cell(t, "%s", sgi_field_word(f, "scale"));
    cli_cell(t, "%zu", sgi_field_size(f, "variant"));
    cli_cell(t, "%.4g", sgi_field_real(f, "seconds"));
    cli_cell(t, "%.4g", sgi_field_real(f, "cpu_seconds"));
  }
  printf("times: steps timed anew on %s (%s, %s), %s, %s, median of %s\n", sgi_field_word(timing, "processor"),
         cli_number(sgi_field_size(timing, "processors"), "processor").s, sgi_field_word(timing, "instructions"),
         cli_number(sgi_field_size(timing, "threads"), "thread").s, sgi_field_word(timing, "date"),
         cli_number(sgi_field_size(timing, "rounds"), "round").s);
  cli_table_end(t);
}

static void print_runs(const json_t *report) {
  static const char *const names[] = {"run",           "parameters",    "steps",     "time",
                                      "training loss", "held-out loss", "perplexity"};
  cli_table *t = cli_table_begin("lrrrrrr");
  size_t i;
  json_t *r;
  heading(t, names, SGI_COUNT(names));
  json_array_foreach(json_object_get(report, "runs"), i, r) {
    cli_cell(t, "%s", sgi_field_word(r, "name"));
    cli_cell(t, "%s", cli_count(sgi_field_real(r, "parameters")).s);
    cli_cell(t, "%.0f", sgi_field_real(r, "steps"));
    cli_cell(t, "%s",
             json_is_number(json_object_get(r, "seconds")) ? cli_seconds(sgi_field_real(r, "seconds")).s : "-");
    if (json_is_number(json_object_get(r, "valid_loss"))) {
      cli_cell(t, "%.4f", sgi_field_real(r, "train_loss"));
      cli_cell(t, "%.4f", sgi_field_real(r, "valid_loss"));
      cli_cell(t, "%.3f", sgi_field_real(r, "perplexity"));
    } else {
      cli_cell(t, "%s", sgi_field_word(r, "state"));
      cli_cell(t, "-");
      cli_cell(t, "-");
    }
  }
  cli_table_end(t);
}

/* "a=1 b=2" of a list of texts. */
static void join_set(const json_t *list, char *out, size_t size) {
  size_t k;
  json_t *text;
  out[0] = '\0';
  json_array_foreach(list, k, text) {
    size_t at = strlen(out);
    snprintf(out + at, size - at, "%s%s", at ? " " : "", json_string_value(text));
  }
}

static void print_variants(const json_t *report) {
  static const char *const names[] = {"kind", "settings",      "parameters", "steps",
                                      "time", "held-out loss", "over seeds", "perplexity"};
  const json_t *list = json_object_get(report, "variants");
  size_t i;
  json_t *v;
  if (!json_array_size(list)) return;
  cli_table *t = cli_table_begin("llrrrrrr");
  heading(t, names, SGI_COUNT(names));
  json_array_foreach(list, i, v) {
    char set[400];
    join_set(json_object_get(v, "set"), set, sizeof set);
    bool some = json_is_number(json_object_get(v, "valid_loss"));
    cli_cell(t, "%s", sgi_field_word(v, "kind"));
    cli_cell(t, "%s", set);
    cli_cell(t, "%s", cli_count(sgi_field_real(v, "parameters")).s);
    cli_cell(t, "%.0f", sgi_field_real(v, "steps"));
    cli_cell(t, "%s",
             json_is_number(json_object_get(v, "seconds")) ? cli_seconds(sgi_field_real(v, "seconds")).s : "-");
    some ? cli_cell(t, "%.4f", sgi_field_real(v, "valid_loss"))
         : cli_cell(t, "%s", sgi_field_real(v, "diverged") > 0 ? "diverged" : "-");
    json_is_number(json_object_get(v, "standard_deviation"))
        ? cli_cell(t, "sd %.4f of %.0f", sgi_field_real(v, "standard_deviation"), sgi_field_real(v, "ended"))
        : cli_cell(t, "%s", some ? "one" : "");
    some ? cli_cell(t, "%.3f", sgi_field_real(v, "perplexity")) : cli_cell(t, "-");
  }
  printf("\n");
  cli_table_end(t);
}

/* Its sweep has ended, and nothing of it is left. */
static bool all_diverged(const json_t *report, const char *kind) {
  size_t i, choices = 0;
  json_t *v;
  json_array_foreach(json_object_get(report, "variants"), i, v) {
    if (strcmp(sgi_field_word(v, "kind"), kind)) continue;
    if (!sgi_field_size(v, "diverged")) return false;
    choices++;
  }
  return choices > 0;
}

static void print_best(const json_t *report) {
  size_t i;
  json_t *b;
  json_array_foreach(json_object_get(report, "best_settings"), i, b) {
    char set[400];
    join_set(json_object_get(b, "set"), set, sizeof set);
    printf("best settings of %s: %s\n", sgi_field_word(b, "kind"),
           *set                                              ? set
           : all_diverged(report, sgi_field_word(b, "kind")) ? "none, every choice diverged"
                                                             : "not known yet");
  }
}

static void warn_of_edges(const json_t *report) {
  size_t i;
  json_t *b;
  json_array_foreach(json_object_get(report, "best_settings"), i, b) {
    const char *kind = sgi_field_word(b, "kind");
    if (*sgi_field_word(b, "on_an_edge"))
      cli_warn("%s: the best value of %s is the first or last that was tried: try values beyond it", kind,
               sgi_field_word(b, "on_an_edge"));
    if (all_diverged(report, kind))
      cli_warn("%s: every choice diverged, so it has no other runs: begin a study with other values of --vary", kind);
  }
}

static void print_optima(const json_t *report) {
  static const char *const names[] = {"budget", "kind", "best parameters", "loss", "sizes", ""};
  const json_t *list = json_object_get(report, "optima");
  size_t i;
  json_t *o;
  if (!json_array_size(list)) return;
  cli_table *t = cli_table_begin("rlrrrl");
  heading(t, names, SGI_COUNT(names));
  json_array_foreach(list, i, o) {
    cli_cell(t, "%g", sgi_field_real(o, "budget"));
    cli_cell(t, "%s", sgi_field_word(o, "kind"));
    cli_cell(t, "%s", cli_count(sgi_field_real(o, "non_embedding_parameters")).s);
    cli_cell(t, "%.4f", sgi_field_real(o, "loss"));
    cli_cell(t, "%.0f", sgi_field_real(o, "points"));
    cli_cell(t, "%s",
             json_is_true(json_object_get(o, "inside")) ? "" : "lowest measured, no minimum between the sizes");
  }
  printf("\nwithout the embedding\n");
  cli_table_end(t);
}

static bool alike(const json_t *a, const json_t *b) {
  static const char *const keys[] = {"kind", "against", "why"};
  bool same = a && b;
  for (size_t i = 0; i < SGI_COUNT(keys) && same; i++)
    same = !strcmp(sgi_field_word(a, keys[i]), sgi_field_word(b, keys[i]));
  return same;
}

/* A line for all costs of a kind that have the same reason. */
static void print_no_factors(const json_t *report) {
  const json_t *list = json_object_get(report, "no_factors");
  for (size_t i = 0, end; i < json_array_size(list); i = end) {
    const json_t *o = json_array_get(list, i);
    printf("no factor of %s against %s: %s (by %s", sgi_field_word(o, "kind"), sgi_field_word(o, "against"),
           sgi_field_word(o, "why"), sgi_field_word(o, "by"));
    for (end = i + 1; alike(o, json_array_get(list, end)); end++)
      printf(", %s", sgi_field_word(json_array_get(list, end), "by"));
    printf(")\n");
  }
}

/* What the intervals are of. */
static void print_resampled(const json_t *report) {
  size_t documents = sgi_field_size(report, "resampled_documents"), rows = sgi_field_size(report, "resampled_rows");
  if (documents)
    printf("intervals: seeds and %s of the held-out text, drawn anew\n", cli_number(documents, "document").s);
  else if (rows)
    printf(
        "intervals: seeds and %s of the held-out text, drawn anew (results of an older version, without their "
        "documents: remove a run's result.json where its model is, and it is judged again)\n",
        cli_number(rows, "row").s);
  else
    printf("intervals: seeds alone, drawn anew, as runs differ in the documents that their results are of\n");
}

static void print_factors(const json_t *report) {
  static const char *const names[] = {"kind", "against", "by", "factor", "95% of resamples", ""};
  const json_t *list = json_object_get(report, "factors");
  size_t i;
  json_t *o;
  if (!json_array_size(list)) return;
  cli_table *t = cli_table_begin("lllrrl");
  heading(t, names, SGI_COUNT(names));
  json_array_foreach(list, i, o) {
    cli_cell(t, "%s", sgi_field_word(o, "kind"));
    cli_cell(t, "%s", sgi_field_word(o, "against"));
    cli_cell(t, "%s", sgi_field_word(o, "by"));
    cli_cell(t, "%.3f", sgi_field_real(o, "factor"));
    cli_cell(t, "%.3f to %.3f", sgi_field_real(o, "low"), sgi_field_real(o, "high"));
    cli_cell(t, "%s", json_is_true(json_object_get(o, "extrapolated")) ? "beyond what was measured" : "");
  }
  printf("\ntimes less of it for the loss that the other reaches at the largest budget\n");
  cli_table_end(t);
  print_resampled(report);
}

static bool resampling(void *user, double part) {
  cli_work_update(user, "resampling", (uint64_t)(1000 * part), 1000);
  return !cli_stop;
}

/* Results that do not say of which text they are. */
static void say_unknown(const json_t *report) {
  size_t n = sgi_field_size(report, "runs_of_unknown_text");
  if (n)
    cli_note("%s of an older version: which text they are of is not known, and taken to be this study's",
             cli_number(n, "result").s);
}

static int show(const cli_call *c, const sgi_study *s, const char *const *against, size_t n) {
  sg_error err = {0};
  json_t *report;
  size_t left;
  cli_work work = {0};
  sg_status st = sgi_study_answer(s, &(sgi_study_ask){against, n, resampling, &work}, &report, &left, &err);
  cli_work_end(&work);
  if (st == SG_ERR_CANCELLED && cli_stop) {
    cli_note("stopped; all results are kept, the tables are not written");
    return 128 + cli_stop;
  }
  if (st) return cli_fail(&err);
  say_unknown(report);
  warn_of_edges(report);
  if (cli_flag(c, "json")) return cli_json(report);
  print_runs(report);
  print_timing(report);
  print_variants(report);
  print_best(report);
  print_optima(report);
  print_factors(report);
  print_no_factors(report);
  json_decref(report);
  if (left) cli_note("%s not ended yet", cli_number(left, "run").s);
  cli_note("%s: results.json, runs.csv, isoflop.svg, isoflop-train.svg, costs.svg", cli_string(c, "output"));
  return 0;
}

/* ---- the command ----------------------------------------------------------------------------- */

static sg_status collect(const cli_call *c, sgi_study *s, sg_error *err) {
  size_t n, taken, all = 0;
  const char *const *from = cli_list(c, "collect", &n);
  sg_status st = SG_OK;
  for (size_t i = 0; i < n && !st; i++) {
    st = sgi_study_take(s, from[i], &taken, err);
    if (!st) cli_note("%s: %s taken", from[i], cli_number(taken, "result").s);
    all += taken;
  }
  if (!st && all && !cli_flag(c, "retime"))
    cli_note("times of runs from several machines do not compare: --retime times all of them on one");
  return st;
}

/* What can not go with --retime, "" : nothing. */
static const char *beside_retime(const cli_call *c) {
  static const char *const others[] = {"plan", "run", "dry-run"};
  for (size_t i = 0; i < SGI_COUNT(others); i++)
    if (cli_is_set(c, others[i])) return others[i];
  return "";
}

int study_command(const cli_call *c, const char *command, json_t *wanted, const char *const *against, size_t n) {
  sg_error err = {0};
  watch w = {0};
  sg_train_events events = {.user = &w, .note = note, .work = work, .step = step, .stop = cli_stopped};
  sgi_study *s = NULL;
  size_t from;
  const char *directory = cli_string(c, "output"), *name = cli_string(c, "run"), *plan = cli_string(c, "plan");
  bool anew = cli_flag(c, "retime");
  if (cli_ranks_count() > 1) { /* each would do the same runs */
    json_decref(wanted);
    return cli_usage(c,
                     "a study's runs have one process each, and mpirun started %zu: start it without, or run the lines "
                     "of --plan FILE side by side",
                     cli_ranks_count());
  }
  if ((anew && *beside_retime(c)) || (!anew && cli_is_set(c, "rounds"))) {
    json_decref(wanted);
    return anew ? cli_usage(c, "--retime and --%s do not go together: do the runs first", beside_retime(c))
                : cli_usage(c, "--rounds belongs to --retime");
  }
  cli_signals_install();
  if (sgi_json_state()) { /* what is asked may not be all that was */
    json_decref(wanted);
    sgi_json_incomplete("what the study asks", &err);
    return cli_fail(&err);
  }
  sg_status st = sgi_study_begin(directory, wanted, cli_string(c, "tokenizer"), &events, &s, &err);
  json_decref(wanted);
  end_bar(&w);
  bool dry = cli_flag(c, "dry-run");
  cli_list(c, "collect", &from);
  if (!st) st = collect(c, s, &err);
  if (!st && plan) st = plan_file(s, command, directory, plan, &err);
  if (!st && !plan && dry) st = dry_run(c, s, &err);
  if (!st && anew) {
    st = sgi_study_time_anew(s, cli_size(c, "rounds"), cli_size(c, "max-memory"), &err);
    end_bar(&w);
  }
  bool go = !st && !plan && !dry && !from && !anew;
  if (go) {
    cli_signals_patient(true); /* a step is finished, and its checkpoint written */
    bool before;
    const sgi_study_watch watching = {begun, ended, result, &w};
    st = sgi_study_work(s, name, cli_size(c, "max-memory"), &watching, &before, &err);
    if (!st && before) cli_note("run %s has ended already", name);
    cli_signals_patient(false);
    end_bar(&w);
  }
  int code = 0;
  if (st == SG_ERR_CANCELLED && cli_stop) {
    cli_note("stopped; go on with: sgatlin %s -o %s%s", command, directory, anew ? " --retime" : "");
    code = 128 + cli_stop;
  } else if (st) {
    code = cli_fail(&err);
  } else if (!plan && !dry && !name) {
    code = show(c, s, against, n);
  }
  sgi_study_end(s);
  return code;
}
