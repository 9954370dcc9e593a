/* cmd_prune.c: sublayers taken out by latency and tunability, beside the naive ways to choose
 * them. */
#include <math.h>
#include <string.h>

#include "compare/latency.h"
#include "compare/prune.h"
#include "core/file.h"
#include "model/model.h"
#include "prompt.h"
#include "prune_figure.h"
#include "own_text.h"
#include "rows.h"
#include "train/checkpoint.h"

enum { ROUNDS = 9, METHODS = 7, SEEDS = 5, RIVALS = 4 };
static const char *const methods[METHODS] = {"sprint", "oneshot", "untuned", "loss", "loss-once", "depth", "random"};

/* What --compare sets beside each other: the methods, and the first without one of its parts. */
static const struct {
  const char *name;
  sgi_prune_method method;
  bool tune_any, last, no_latency;
  uint64_t seeds; /* that a mean is taken over by whoever reads the table */
} ways[] = {{"sprint", SGI_PRUNE_SPRINT, .seeds = 1},
            {"oneshot", SGI_PRUNE_ONE_SHOT, .seeds = 1},
            {"sprint, no latency", SGI_PRUNE_SPRINT, .no_latency = true, .seeds = 1},
            {"sprint, tune any", SGI_PRUNE_SPRINT, .tune_any = true, .seeds = 1},
            {"sprint, last", SGI_PRUNE_SPRINT, .last = true, .seeds = 1},
            {"untuned", SGI_PRUNE_UNTUNED, .seeds = 1},
            {"loss", SGI_PRUNE_LOSS, .seeds = 1},
            {"loss-once", SGI_PRUNE_LOSS_ONCE, .seeds = 1},
            {"depth", SGI_PRUNE_DEPTH, .seeds = 1},
            {"random", SGI_PRUNE_RANDOM, .seeds = SEEDS}};
enum { LINES = SGI_COUNT(ways) - 1 + SEEDS + RIVALS };

typedef struct job {
  const cli_call *call;
  sgi_prompt p;
  cli_rows calibration, validation;
  sgi_latency latency;
  sgi_latency_request timing;
  sgi_prune_request request;
  sg_model *standing; /* a copy of the model whose output maps are changed */
  cli_progress bar;
  bool begun;
  double began;
  prune_line lines[LINES]; /* what each method reached, for the figure and the answer */
  size_t n_lines;
  size_t sweep, seen; /* only round number sweep is told (0: all), of seen so far */
  json_t *rounds;     /* of the method at hand */
  sg_error err;       /* of what happens between rounds */
} job;

static bool watch(void *user, size_t done, size_t wanted) {
  job *j = user;
  if (!j->begun) cli_progress_begin(&j->bar, "scoring", "passes", (double)wanted, 0);
  j->begun = true;
  j->bar.total = (double)wanted;
  cli_progress_update(&j->bar, (double)done, NULL);
  return !cli_stop;
}

static bool timing(void *user, size_t done, size_t wanted) {
  job *j = user;
  if (done == 1) cli_progress_begin(&j->bar, "timing", "alternations", (double)wanted, 0);
  cli_progress_update(&j->bar, (double)done, NULL);
  return !cli_stop;
}

/* ---- rounds ---------------------------------------------------------------------------------- */

static const char *sublayer_name(size_t s, char out[64]) {
  snprintf(out, 64, "%s of layer %zu", s % 2 ? "feedforward" : "attention", s / 2);
  return out;
}

static json_t *numbers(const double *x, size_t n) {
  json_t *a = json_array();
  for (size_t i = 0; i < n; i++)
    if (!a || json_array_append_new(a, sgi_report_real(x[i]))) {
      json_decref(a);
      return NULL;
    }
  return a;
}

static json_t *wholes(const size_t *x, size_t n) {
  json_t *a = json_array();
  for (size_t i = 0; i < n; i++)
    if (!a || json_array_append_new(a, json_integer((json_int_t)x[i]))) {
      json_decref(a);
      return NULL;
    }
  return a;
}

static json_t *round_json(const job *j, const sgi_prune_round *x, double measured) {
  size_t S = sgi_cut_sublayers(j->p.model);
  return json_pack("{s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "sublayer", (json_int_t)x->sublayer, "tuned",
                   x->tuned < 0 ? json_null() : json_integer((json_int_t)x->tuned), "candidates",
                   wholes(x->candidates, x->n_candidates), "untuned", numbers(x->untuned, S), "tuned_scores",
                   numbers(x->scores, S), "speedup_estimated", sgi_report_real(x->speedup), "speedup_measured",
                   sgi_report_real(measured), "calibration_loss", sgi_report_real(x->calibration_loss),
                   "validation_loss", sgi_report_real(x->validation_loss), "seconds",
                   sgi_report_real(sgi_now() - j->began));
}

/* After a round: the model as it stands is timed against the one that came. */
static bool after(void *user, const sgi_prune_round *x) {
  job *j = user;
  prune_line *line = &j->lines[j->n_lines];
  sg_model *now = NULL;
  double ratio = 0;
  if (j->begun) cli_progress_end(&j->bar);
  j->begun = false;
  line->off[x->sublayer] = true;
  if (++j->seen < j->sweep) return !cli_stop;
  sg_status st = sgi_cut_view(j->standing, line->off, &now, &j->err);
  sgi_latency_request quiet = j->timing;
  quiet.progress = NULL;
  if (!st) st = sgi_latency_ratio(j->p.model, now, &quiet, &ratio, &j->err);
  sg_model_free(now);
  if (st) return false;
  line->speedup[line->n] = ratio;
  line->loss[line->n++] = x->validation_loss;
  json_t *o = round_json(j, x, ratio);
  if (!o || json_array_append_new(j->rounds, o)) {
    sgi_fail(&j->err, SG_ERR_MEMORY, "out of memory");
    return false;
  }
  if (!cli_flag(j->call, "json")) {
    char name[64], tuned[80] = "";
    if (x->tuned >= 0) snprintf(tuned, sizeof tuned, ", tuned: %s", sublayer_name((size_t)x->tuned, (char[64]){0}));
    cli_note("%s: without %s%s: speed-up %.3f estimated, %.3f measured; perplexity %.4f (calibration text %.4f)",
             line->name, sublayer_name(x->sublayer, name), tuned, x->speedup, ratio, exp(x->validation_loss),
             exp(x->calibration_loss));
  }
  return !cli_stop;
}

/* ---- set-up ---------------------------------------------------------------------------------- */

static sg_status read_rows(job *j, const char *option, const char *split, cli_rows *out, sgi_cut_rows *rows,
                           sg_error *err) {
  static const sgi_text_form plain;
  size_t T = cli_size(j->call, "seq-len"), wanted = cli_size(j->call, "rows");
  size_t longest = sg_model_config(j->p.model)->max_position;
  if (!T || T > longest) T = longest;
  cli_text text;
  sg_status st = cli_text_find(j->call, option, split, &text, err);
  if (!st) st = cli_rows_read(out, &j->p, &text, &plain, T, wanted * T, err);
  if (!st) *rows = (sgi_cut_rows){out->targets, out->B < wanted ? out->B : wanted, out->T};
  if (!st && !rows->n) st = sgi_fail(err, SG_ERR_FORMAT, "%s: holds no document", text.path);
  cli_text_free(&text);
  return st;
}

static sg_status measure(job *j, sg_error *err) {
  size_t T = sg_model_config(j->p.model)->max_position;
  j->timing = (sgi_latency_request){.use = (sgi_latency_use)cli_choice(j->call, "for"),
                                    .T = T < 128 ? T : 128,
                                    .rounds = ROUNDS,
                                    .each = cli_flag(j->call, "each"),
                                    .cpu_time = cli_flag(j->call, "cpu-time"),
                                    .progress = timing,
                                    .user = j};
  sg_status st = sgi_latency_measure(j->p.model, &j->timing, &j->latency, err);
  cli_progress_end(&j->bar);
  return st;
}

static sg_status open_all(job *j, sg_error *err) {
  const cli_call *c = j->call;
  sg_status st = cli_prompt_open_model(&j->p, c, err);
  if (!st && !j->p.tokenizer)
    st = sgi_fail(err, SG_ERR_ARG, "%s has no tokenizer.json: calibration rows are text", c->args[0]);
  if (!st) st = read_rows(j, "calibrate", "train", &j->calibration, &j->request.calibration, err);
  if (!st) st = read_rows(j, "data", "valid", &j->validation, &j->request.validation, err);
  if (!st) st = measure(j, err);
  if (st) return st;
  j->request.target = (sgi_prune_target)cli_choice(c, "target");
  j->request.distance = (sgi_prune_distance)cli_choice(c, "distance");
  j->request.tune_any = cli_choice(c, "tune") == 1;
  j->request.last = cli_flag(c, "last");
  j->request.no_latency = cli_flag(c, "no-latency");
  j->request.damping = cli_real(c, "damping");
  j->request.candidates = cli_size(c, "candidates");
  j->request.seed = cli_u64(c, "seed");
  j->request.latency = j->latency.sublayer;
  j->request.other = j->latency.other;
  j->request.speedup = cli_real(c, "speedup");
  j->request.remove = cli_size(c, "remove");
  j->request.progress = after;
  j->request.watch = watch;
  j->request.user = j;
  return SG_OK;
}

static sg_status begin_line(job *j, const char *name, sg_error *err) {
  prune_line *line = &j->lines[j->n_lines];
  size_t S = sgi_cut_sublayers(j->p.model);
  *line = (prune_line){0};
  snprintf(line->name, sizeof line->name, "%s", name);
  line->off = sgi_alloc(S);
  line->speedup = sgi_alloc(2 * S * sizeof *line->speedup);
  json_decref(j->rounds);
  j->rounds = json_array();
  j->sweep = 0;
  if (!line->off || !line->speedup || !j->rounds)
    return sgi_fail_memory(err, 2 * S * sizeof *line->speedup, "a line of a figure");
  line->loss = line->speedup + S;
  return SG_OK;
}

/* The method of the request from the model as it came. *out keeps what it says of the model before
 * any cut. */
static sg_status run_method(job *j, sgi_prune **out, sg_error *err) {
  prune_line *line = &j->lines[j->n_lines];
  memset(line->off, 0, sgi_cut_sublayers(j->p.model));
  sg_model_free(j->standing);
  j->standing = NULL;
  sg_status st = sgi_model_load(j->p.directory, cli_flag(j->call, "allow-nonfinite"), &j->standing, err);
  if (!st) st = sgi_model_own(j->standing, err);
  j->began = sgi_now();
  j->seen = 0;
  if (!st) st = sgi_prune_run(j->p.model, j->standing, &j->request, out, err);
  if (j->begun) cli_progress_end(&j->bar);
  j->begun = false;
  if (st == SG_ERR_CANCELLED && j->err.code) {
    *err = j->err;
    st = j->err.code;
  }
  if (!st) line->dense_loss = (*out)->dense_validation;
  return st;
}

static sg_status save(job *j, const sgi_prune *p, const char *directory, sg_error *err) {
  sg_model *cut = NULL;
  char *from = sgi_path_join(j->p.directory, "tokenizer.json"), *to = sgi_path_join(directory, "tokenizer.json");
  sg_status st = from && to ? SG_OK : sgi_fail_memory(err, strlen(directory) + 20, "a path");
  if (!st) st = sgi_cut_view(j->standing, p->off, &cut, err);
  if (!st) st = sg_model_save(cut, directory, err);
  if (!st && sgi_is_file(from)) st = sgi_copy_file(from, to, SGI_TOKENIZER_BYTES, err);
  sg_model_free(cut);
  sgi_free(from);
  sgi_free(to);
  return st;
}

/* ---- answer ---------------------------------------------------------------------------------- */

static json_t *result_json(job *j, const sgi_prune *p) {
  size_t S = p->sublayers;
  return json_pack("{s:s, s:{s:o, s:o, s:o}, s:o, s:o, s:O}", "method", j->lines[j->n_lines].name, "dense", "loss",
                   sgi_report_real(p->dense_validation), "perplexity", sgi_report_real(exp(p->dense_validation)),
                   "latency_ms", sgi_report_real(j->latency.all), "latency", numbers(j->latency.sublayer, S),
                   "other_ms", sgi_report_real(j->latency.other), "rounds", j->rounds);
}

/* One-shot tunes once, when all are out: every point of its curve is a pruning of its own. */
static sg_status sweep(job *j, sgi_prune **out, sg_error *err) {
  const sgi_prune_request wanted = j->request;
  size_t S = sgi_cut_sublayers(j->p.model), most = wanted.remove ? wanted.remove : S - 1;
  sg_status st = SG_OK;
  j->request.speedup = 0;
  for (size_t n = 1; n <= most && !st; n++) {
    sgi_prune_free(*out);
    *out = NULL;
    j->request.remove = j->sweep = n;
    st = run_method(j, out, err);
    if (st || (*out)->n_rounds < n) break;
    if (wanted.speedup > 0 && (*out)->rounds[n - 1].speedup >= wanted.speedup) break;
  }
  j->request = wanted;
  return st;
}

static sg_status one_way(job *j, size_t i, uint64_t seed, json_t *list, sg_error *err) {
  const sgi_prune_request given = j->request;
  char name[48];
  snprintf(name, sizeof name, ways[i].seeds > 1 ? "%s, seed %llu" : "%s", ways[i].name,
           (unsigned long long)(given.seed + seed));
  sgi_prune *p = NULL;
  j->request.method = ways[i].method;
  j->request.tune_any |= ways[i].tune_any;
  j->request.last |= ways[i].last;
  j->request.no_latency |= ways[i].no_latency;
  j->request.seed += seed;
  sg_status st = begin_line(j, name, err);
  if (!st) st = ways[i].method == SGI_PRUNE_ONE_SHOT ? sweep(j, &p, err) : run_method(j, &p, err);
  if (!st && !p) st = sgi_fail(err, SG_ERR_ARG, "a model of one sublayer has none to spare");
  json_t *o = st ? NULL : result_json(j, p);
  if (!st && (!o || json_array_append_new(list, o))) st = sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  j->n_lines++;
  sgi_prune_free(p);
  j->request = given;
  return st;
}

/* A model of its own, timed against the one that is pruned and scored on the same rows. */
static sg_status rival(job *j, const char *path, json_t *list, sg_error *err) {
  char name[48], *directory = NULL;
  sg_model *m = NULL;
  snprintf(name, sizeof name, "rival %zu", json_array_size(list) + 1);
  sg_status st = begin_line(j, name, err);
  prune_line *line = &j->lines[j->n_lines++];
  line->point = true;
  line->dense_loss = j->lines[0].dense_loss;
  if (!st) st = sgi_model_locate(path, cli_string(j->call, "checkpoint"), &cli_skipped, &directory, err);
  if (!st) st = sgi_model_load(directory, cli_flag(j->call, "allow-nonfinite"), &m, err);
  if (!st && sg_model_config(m)->vocab_size != sg_model_config(j->p.model)->vocab_size)
    st = sgi_fail(err, SG_ERR_ARG, "%s has a vocabulary of %zu, %s one of %zu: a rival reads the same tokens", path,
                  sg_model_config(m)->vocab_size, j->call->args[0], sg_model_config(j->p.model)->vocab_size);
  sgi_latency_request quiet = j->timing;
  quiet.progress = NULL;
  if (!st) st = sgi_latency_ratio(j->p.model, m, &quiet, &line->speedup[0], err);
  if (!st) st = sgi_cut_whole_loss(m, &j->request.validation, &line->loss[0], err);
  line->n = !st;
  json_t *o =
      st ? NULL
         : json_pack("{s:s, s:I, s:o, s:o, s:o}", "model", path, "parameters", (json_int_t)sg_model_parameter_count(m),
                     "speedup_measured", sgi_report_real(line->speedup[0]), "loss", sgi_report_real(line->loss[0]),
                     "perplexity", sgi_report_real(exp(line->loss[0])));
  if (!st && (!o || json_array_append_new(list, o))) st = sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  sg_model_free(m);
  sgi_free(directory);
  return st;
}

/* All ways from the same model, and models beside it. */
static sg_status compare(job *j, json_t *list, json_t *rivals, sg_error *err) {
  sg_status st = SG_OK;
  for (size_t i = 0; i < SGI_COUNT(ways) && !st; i++) {
    /* A part that the call asks for in any case is no way of its own. */
    if ((ways[i].tune_any && j->request.tune_any) || (ways[i].last && j->request.last) ||
        (ways[i].no_latency && j->request.no_latency))
      continue;
    for (uint64_t k = 0; k < ways[i].seeds && !st; k++) st = one_way(j, i, k, list, err);
  }
  size_t n;
  const char *const *paths = cli_list(j->call, "rival", &n);
  for (size_t i = 0; i < n && !st; i++) st = rival(j, paths[i], rivals, err);
  return st;
}

static sg_status one(job *j, json_t *list, sg_error *err) {
  sgi_prune *p = NULL;
  const char *out = cli_string(j->call, "output");
  j->request.method = (sgi_prune_method)cli_choice(j->call, "method");
  sg_status st = begin_line(j, methods[j->request.method], err);
  if (!st) st = run_method(j, &p, err);
  if (!st && out) st = save(j, p, out, err);
  json_t *o = st ? NULL : result_json(j, p);
  if (!st && (!o || json_array_append_new(list, o))) st = sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  j->n_lines++;
  sgi_prune_free(p);
  return st;
}

static void print_table(const job *j) {
  cli_table *t = cli_table_begin("lrrr");
  cli_cell(t, "method");
  cli_cell(t, "sublayers out");
  cli_cell(t, "speed-up, measured");
  cli_cell(t, "perplexity");
  for (size_t k = 0; k < j->n_lines; k++)
    for (size_t i = 0; i <= j->lines[k].n; i++) {
      if (i == 0 && k > 0) continue; /* the model as it came is said once */
      cli_cell(t, "%s", i ? j->lines[k].name : "as it came");
      if (j->lines[k].point)
        cli_cell(t, "-");
      else
        cli_cell(t, "%zu", i);
      cli_cell(t, "%.3f", i ? j->lines[k].speedup[i - 1] : 1.0);
      cli_cell(t, "%.4f", exp(i ? j->lines[k].loss[i - 1] : j->lines[k].dense_loss));
    }
  cli_table_end(t);
}

static void free_job(job *j) {
  for (size_t k = 0; k < LINES; k++) {
    sgi_free(j->lines[k].off);
    sgi_free(j->lines[k].speedup);
  }
  json_decref(j->rounds);
  sg_model_free(j->standing);
  sgi_latency_deinit(&j->latency);
  cli_rows_free(&j->calibration);
  cli_rows_free(&j->validation);
  cli_prompt_close(&j->p);
}

static int run(const cli_call *c) {
  sg_error err = {0};
  job j = {.call = c};
  bool all = cli_flag(c, "compare");
  const char *svg = cli_string(c, "svg");
  if (!all && !cli_is_set(c, "speedup") && !cli_is_set(c, "remove"))
    return cli_usage(c, "say where to stop: --speedup X or --remove N");
  if (all && cli_string(c, "output"))
    return cli_usage(c, "--compare writes no model: take the method you want with -o");
  size_t n_rivals;
  cli_list(c, "rival", &n_rivals);
  if (n_rivals && !all) return cli_usage(c, "--rival stands beside the methods of --compare");
  if (n_rivals > RIVALS) return cli_usage(c, "at most %d rivals", RIVALS);
  cli_signals_install();
  json_t *list = json_array(), *rivals = json_array();
  sg_status st = list && rivals ? open_all(&j, &err) : sgi_fail(&err, SG_ERR_MEMORY, "out of memory");
  if (!st && all && j.request.speedup == 0 && !j.request.remove) j.request.speedup = 2;
  if (!st) st = all ? compare(&j, list, rivals, &err) : one(&j, list, &err);
  if (!st && svg) st = prune_figure_save(j.lines, j.n_lines, svg, &err);
  int code = 0;
  if (st)
    code = cli_end(st, &err);
  else if (cli_flag(c, "json"))
    code = cli_json(all ? json_pack("{s:O, s:O}", "methods", list, "rivals", rivals)
                        : json_incref(json_array_get(list, 0)));
  else
    print_table(&j);
  json_decref(list);
  json_decref(rivals);
  free_job(&j);
  return code;
}

static const cli_option options[] = {
    {.name = "calibrate",
     .required = true,
     .type = CLI_STRING,
     .argument = "PATH",
     .help = "training text that tunings are fitted to: a file, or a directory's train.*"},
    CLI_HELD_OUT_OPTION("held-out text that is scored: a file, or a directory's valid.*; never the one of --calibrate"),
    {.name = "speedup",
     .type = CLI_REAL,
     .argument = "X",
     .value_text = "none; with --compare 2",
     .min = 1,
     .max = 1000,
     .help = "go on until the estimated speed-up is reached"},
    {.name = "remove",
     .type = CLI_SIZE,
     .argument = "N",
     .value_text = "none",
     .min = 1,
     .help = "take out so many sublayers"},
    {.name = "method",
     .type = CLI_CHOICE,
     .argument = "sprint|oneshot|untuned|loss|loss-once|depth|random",
     .value = "sprint",
     .help = "how the next one is chosen"},
    {.name = "compare",
     .type = CLI_FLAG,
     .help = "every method from the same model, and sprint without its parts, as a table"},
    {.name = "rival",
     .type = CLI_LIST,
     .argument = "MODEL",
     .help = "a model of its own beside them, timed and scored likewise"},
    {.name = "tune",
     .type = CLI_CHOICE,
     .argument = "ffn|any",
     .value = "ffn",
     .help = "what makes up for a cut: the next feedforward layer, or the next sublayer"},
    {.name = "last", .type = CLI_FLAG, .help = "a sublayer with nothing behind it that could make up may go, too"},
    {.name = "target",
     .type = CLI_CHOICE,
     .argument = "dense|restored|standing",
     .value = "dense",
     .help =
         "where the stream should lie: as in the model that came, or in the one that stands with sublayers put back"},
    {.name = "distance",
     .type = CLI_CHOICE,
     .argument = "l1|l2|cos",
     .value = "l1",
     .help = "how far two streams are apart"},
    {.name = "no-latency", .type = CLI_FLAG, .help = "choose by distance alone"},
    {.name = "for",
     .type = CLI_CHOICE,
     .argument = "decode|prefill",
     .value = "decode",
     .help = "use whose time counts"},
    {.name = "each",
     .type = CLI_FLAG,
     .help = "a latency of its own for every sublayer; else those alike share their median"},
    {.name = "cpu-time", .type = CLI_FLAG, .help = "processor time instead of time, for a busy machine; with -t 1"},
    {.name = "candidates",
     .type = CLI_SIZE,
     .argument = "N",
     .value = "5",
     .min = 1,
     .help = "sublayers that are tuned in a round"},
    {.name = "damping",
     .type = CLI_REAL,
     .argument = "X",
     .value = "1e-3",
     .help = "ridge towards the present weights, as a share of the features' mean square"},
    {.name = "rows", .type = CLI_SIZE, .argument = "N", .value = "128", .min = 1, .help = "documents of each text"},
    {.name = "seq-len",
     .type = CLI_SIZE,
     .argument = "T",
     .value = "256",
     .help = "tokens of a document that are read"},
    {.name = "svg", .type = CLI_STRING, .argument = "FILE", .help = "perplexity over measured speed-up as a figure"},
    CLI_SEED_OPTION,
    CLI_OUTPUT_OPTION("DIR", "directory of the pruned model"),
    CLI_JSON_OPTION,
    CLI_MODEL_OPTIONS,
    CLI_END};

const cli_command cli_prune = {
    .name = "prune",
    .group = "Models",
    .summary = "take sublayers out of a model by their latency and how well the rest can make up",
    .usage = "MODEL --calibrate FILE --data FILE (--speedup X | --remove N) [-o DIR]",
    .examples =
        "# half as fast again, the rest tuned to make up\n"
        "sgatlin prune run --calibrate train.txt --data valid.txt --speedup 1.5 -o small\n"
        "# every way to choose, as a table and a figure\n"
        "sgatlin prune run --calibrate train.txt --data valid.txt --compare --svg prune.svg",
    .description =
        "Each round scores what the stream would miss without a sublayer, for the milliseconds that it takes on this "
        "machine; the few "
        "least are tuned (least squares of the next feedforward layer's output map) and scored again; the least goes. "
        "Speed-ups are "
        "estimated from the latencies and measured on the model as it then stands.\n\n"
        "The written directory names its pruned sublayers in config.json and holds none of their tensors; every "
        "command reads it.",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .run = run};
