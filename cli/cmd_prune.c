/* cmd_prune.c: sublayers taken out by latency and tunability, beside the naive ways to choose
 * them. */
#include <math.h>
#include <string.h>

#include "own_text.h"
#include "prompt.h"
#include "prune_figure.h"
#include "report/pruning.h"
#include "rows.h"

typedef struct job {
  const cli_call *call;
  sgi_prompt p;
  cli_rows calibration, validation;
  cli_progress bar;
  bool begun;
} job;

static bool working(void *user, const char *what, size_t done, size_t wanted) {
  job *j = user;
  if (what && !j->begun)
    cli_progress_begin(&j->bar, what, strcmp(what, "timing") ? "passes" : "alternations", (double)wanted, 0);
  if (!what && j->begun) cli_progress_end(&j->bar);
  j->begun = what != NULL;
  if (!what) return !cli_stop;
  j->bar.total = (double)wanted;
  cli_progress_update(&j->bar, (double)done, NULL);
  return !cli_stop;
}

static sg_status read_rows(job *j, const char *option, const char *split, cli_rows *out, sg_error *err) {
  static const sg_text_form plain;
  size_t T = cli_size(j->call, "seq-len"), wanted = cli_size(j->call, "rows");
  size_t longest = sg_model_config(j->p.model)->max_position;
  if (!T || T > longest) T = longest;
  cli_text text;
  sg_status st = cli_text_find(j->call, option, split, &text, err);
  if (!st) st = cli_rows_read(out, &j->p, &text, &plain, T, wanted * T, err);
  if (!st && !out->B) st = sgi_fail(err, SG_ERR_FORMAT, "%s: holds no document", text.path);
  cli_text_free(&text);
  return st;
}

static sg_status open_all(job *j, sg_error *err) {
  sg_status st = cli_prompt_open_model(&j->p, j->call, err);
  if (!st && !j->p.tokenizer)
    st = sgi_fail(err, SG_ERR_ARG, "%s has no tokenizer.json: calibration rows are text", j->call->args[0]);
  if (!st) st = read_rows(j, "calibrate", "train", &j->calibration, err);
  return st ? st : read_rows(j, "data", "valid", &j->validation, err);
}

static sg_status prune(job *j, bool compare, sgi_pruned *out, sg_error *err) {
  const cli_call *c = j->call;
  sg_status st = open_all(j, err);
  if (st) return st;
  sgi_pruning q = {.name = c->args[0],
                   .p = &j->p,
                   .calibration = &j->calibration,
                   .validation = &j->validation,
                   .rows = cli_size(c, "rows"),
                   .use = cli_choice(c, "for"),
                   .target = cli_choice(c, "target"),
                   .distance = cli_choice(c, "distance"),
                   .method = cli_choice(c, "method"),
                   .each = cli_flag(c, "each"),
                   .cpu_time = cli_flag(c, "cpu-time"),
                   .tune_any = cli_choice(c, "tune") == 1,
                   .last = cli_flag(c, "last"),
                   .no_latency = cli_flag(c, "no-latency"),
                   .damping = cli_real(c, "damping"),
                   .candidates = cli_size(c, "candidates"),
                   .seed = cli_u64(c, "seed"),
                   .speedup = cli_real(c, "speedup"),
                   .remove = cli_size(c, "remove"),
                   .compare = compare,
                   .out = cli_string(c, "output"),
                   .checkpoint = cli_string(c, "checkpoint"),
                   .allow_nonfinite = cli_flag(c, "allow-nonfinite"),
                   .skipped = cli_skipped,
                   .working = working,
                   .note = cli_flag(c, "json") ? NULL : cli_told_note,
                   .stopped = cli_stopped,
                   .user = j};
  q.rivals = cli_list(c, "rival", &q.n_rivals);
  return sgi_prune_report(&q, out, err);
}

static void print_table(const sgi_pruned *j) {
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

static int run(const cli_call *c) {
  sg_error err = {0};
  job j = {.call = c};
  sgi_pruned found = {0};
  bool all = cli_flag(c, "compare");
  const char *svg = cli_string(c, "svg");
  if (!all && !cli_is_set(c, "speedup") && !cli_is_set(c, "remove"))
    return cli_usage(c, "say where to stop: --speedup X or --remove N");
  if (all && cli_string(c, "output"))
    return cli_usage(c, "--compare writes no model: take the method you want with -o");
  size_t n_rivals;
  cli_list(c, "rival", &n_rivals);
  if (n_rivals && !all) return cli_usage(c, "--rival stands beside the methods of --compare");
  if (n_rivals > SGI_PRUNE_RIVALS) return cli_usage(c, "at most %d rivals", SGI_PRUNE_RIVALS);
  cli_signals_install();
  sg_status st = prune(&j, all, &found, &err);
  if (!st && svg) st = prune_figure_save(found.lines, found.n_lines, svg, &err);
  int code = 0;
  if (st)
    code = cli_end(st, &err);
  else if (cli_flag(c, "json"))
    code = cli_json(json_incref(found.document));
  else
    print_table(&found);
  sgi_pruned_deinit(&found);
  cli_rows_free(&j.calibration);
  cli_rows_free(&j.validation);
  cli_prompt_close(&j.p);
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
