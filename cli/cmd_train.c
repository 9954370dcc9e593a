/* cmd_train.c: from text to a trained model. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "ranks.h"
#include "core/json.h"
#include "train/run.h"

typedef struct watch {
  cli_work work;
  cli_progress progress;
  bool training;
  char last_evaluation[80];
} watch;

static void note(void *user, const char *text) {
  watch *w = user;
  if (w->training) cli_progress_end(&w->progress);
  cli_note("%s", text);
}

static void work(void *user, const char *what, uint64_t done, uint64_t total) {
  cli_work_update(&((watch *)user)->work, what, done, total);
}

static void step(void *user, const sgi_run_line *l) {
  watch *w = user;
  if (!w->training) {
    cli_progress_begin(&w->progress, "training", "steps", (double)l->steps, (double)(l->step - 1));
    w->training = true;
  }
  char extra[200];
  snprintf(extra, sizeof extra, "loss %.4f, lr %.2e, grad norm %.2f, %s tokens/s%s", l->last.loss, l->last.lr,
           l->last.grad_norm, cli_count(l->tokens_per_second).s, w->last_evaluation);
  cli_progress_update(&w->progress, (double)l->step, extra);
}

static void evaluated(void *user, uint64_t at, const sgi_evaluation *e) {
  watch *w = user;
  snprintf(w->last_evaluation, sizeof w->last_evaluation, ", held-out loss %.4f", e->loss);
  cli_progress_end(&w->progress);
  cli_note("step %llu: held-out loss %.4f +- %.4f, perplexity %.3f, accuracy %.1f %%", (unsigned long long)at, e->loss,
           e->standard_error, e->perplexity, 100 * e->accuracy);
}

static void saved(void *user, const char *name) {
  watch *w = user;
  cli_progress_end(&w->progress);
  cli_detail("saved checkpoint %s", name);
}

static bool stop(void *user) {
  (void)user;
  return cli_stop != 0;
}

/* ---- settings from the command line ---------------------------------------------------------- */

/* Short flags for the settings that people change most. */
static const struct {
  const char *option, *key;
} shortcuts[] = {{"kind", "feedforward.kind"},       {"steps", "train.steps"},        {"seed", "train.seed"},
                 {"batch-size", "train.batch_size"}, {"seq-len", "train.seq_len"},    {"lr", "optimizer.learning_rate"},
                 {"layer-form", "model.layer_form"}, {"ode-steps", "model.ode_steps"}};

static sg_status read_config(sgi_assignments *a, const char *path, sg_error *err) {
  json_t *o;
  sg_status st = sgi_json_load(path, &o, err);
  if (st) return st;
  json_object_del(o, "run"); /* a run's own config.json may be given to start another like it */
  st = sgi_assign_json(a, o, path, err);
  json_decref(o);
  return st;
}

static sg_status gather(const cli_call *c, sgi_assignments *a, sg_error *err) {
  sg_status st = cli_string(c, "config") ? read_config(a, cli_string(c, "config"), err) : SG_OK;
  a->rank = 1;
  if (!st && cli_string(c, "preset")) st = sgi_assign(a, "preset", cli_string(c, "preset"), "--preset", err);
  size_t n;
  const char *const *sets = cli_list(c, "set", &n);
  for (size_t i = 0; i < n && !st; i++) st = sgi_assign_text(a, sets[i], err);
  for (size_t i = 0; i < SGI_COUNT(shortcuts) && !st; i++) {
    if (!cli_is_set(c, shortcuts[i].option)) continue;
    char where[32];
    snprintf(where, sizeof where, "--%s", shortcuts[i].option);
    st = sgi_assign(a, shortcuts[i].key, cli_given(c, shortcuts[i].option), where, err);
  }
  return st;
}

static int print_keys(void) {
  const char *help;
  cli_table *t = cli_table_begin("ll");
  cli_cell(t, "key");
  cli_cell(t, "meaning");
  for (size_t i = 0; sg_setting_key(i, &help); i++) {
    cli_cell(t, "%s", sg_setting_key(i, NULL));
    cli_cell(t, "%s", help);
  }
  cli_table_end(t);
  return 0;
}

static int print_settings(const sgi_settings *s) {
  json_t *o = sgi_settings_to_json(s);
  char *text = json_dumps(o, JSON_INDENT(2) | JSON_REAL_PRECISION(15));
  sg_error err = {0};
  json_decref(o);
  if (!text) return sgi_json_incomplete("the settings", &err), cli_fail(&err);
  puts(text);
  free(text);
  return 0;
}

/* ---- plan ------------------------------------------------------------------------------------ */

static void plan_lines(const sgi_run *run, double seconds) {
  const sgi_run_plan *p = sgi_run_plan_of(run);
  const sgi_settings *s = sgi_run_settings(run);
  const sg_config *m = &s->model;
  cli_note("model: %s%s%s, %s parameters, %s of width %zu, vocabulary %zu", m->feedforward, *m->router ? " / " : "",
           m->router, cli_count((double)p->parameters).s, cli_number(m->num_layers, "layer").s, m->hidden_size,
           m->vocab_size);
  cli_note("data:  %s, %s tokens; held out %s", cli_number(p->train_documents, "document").s,
           cli_count((double)p->train_tokens).s, cli_number(p->valid_documents, "document").s);
  cli_note("run:   %s of %zu x %zu tokens (%.2f epochs: %s), %.3g FLOPs, memory about %s, %s per checkpoint",
           cli_number(p->steps, "step").s, s->batch_size, s->seq_len, sgi_run_epochs(p),
           strcmp(s->rows, "pack") ? "one document a row" : "documents packed", p->flops_per_step * (double)p->steps,
           cli_bytes((double)p->memory).s, cli_bytes((double)p->checkpoint_bytes).s);
  if (seconds > 0) cli_note("time:  about %s (timed on this machine just now)", cli_seconds(seconds).s);
}

/* What the rows hold of the text. */
static void add_rows(json_t *o, const sgi_run *run) {
  const sgi_run_plan *p = sgi_run_plan_of(run);
  const sgi_settings *s = sgi_run_settings(run);
  json_object_set_new(o, "row_form", json_string(s->rows));
  json_object_set_new(o, "batch_size", json_integer((json_int_t)s->batch_size));
  json_object_set_new(o, "seq_len", json_integer((json_int_t)s->seq_len));
  json_object_set_new(o, "epochs", sgi_report_real(sgi_run_epochs(p)));
  json_object_set_new(o, "cut_tokens", json_integer((json_int_t)p->cut_tokens));
  json_object_set_new(o, "cut_share", sgi_report_real((double)p->cut_tokens / (double)p->train_tokens));
  json_object_set_new(o, "valid_tokens", json_integer((json_int_t)p->valid_tokens));
  json_object_set_new(o, "valid_cut_tokens", json_integer((json_int_t)p->valid_cut_tokens));
}

static json_t *plan_json(const sgi_run *run, double seconds) {
  const sgi_run_plan *p = sgi_run_plan_of(run);
  json_t *o = json_pack("{s:I, s:I, s:I, s:I, s:f, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "parameters",
                        (json_int_t)p->parameters, "steps", (json_int_t)p->steps, "updates", (json_int_t)p->updates,
                        "steps_per_epoch", (json_int_t)p->epoch_steps, "flops", p->flops_per_step * (double)p->steps,
                        "memory_bytes", (json_int_t)p->memory, "micro_batch", (json_int_t)p->micro_batch,
                        "checkpoint_bytes", (json_int_t)p->checkpoint_bytes, "train_documents",
                        (json_int_t)p->train_documents, "train_tokens", (json_int_t)p->train_tokens, "valid_documents",
                        (json_int_t)p->valid_documents, "seconds", sgi_report_real(seconds));
  add_rows(o, run);
  size_t weights, bytes;
  sgi_run_pools(run, &weights, &bytes);
  if (!weights) return o;
  json_object_set_new(o, "pool_weights", json_integer((json_int_t)weights));
  json_object_set_new(o, "pool_bytes", json_integer((json_int_t)bytes));
  return o;
}

static int dry_run(const cli_call *c, const sgi_run *run) {
  sg_error err = {0};
  double step_seconds = 0;
  if (sgi_run_time_step(run, &step_seconds, &err)) return cli_fail(&err);
  double seconds = step_seconds * ((double)sgi_run_plan_of(run)->steps + sgi_run_evaluation_steps(run));
  if (cli_flag(c, "json")) return cli_json(plan_json(run, seconds));
  plan_lines(run, seconds);
  return 0;
}

static int finished(const cli_call *c, const sgi_run *run, const char *directory) {
  const sgi_evaluation *e = sgi_run_evaluation(run);
  if (!cli_flag(c, "json")) {
    char *words = sgi_run_first_words(run), quoted[200] = "";
    if (words) cli_quote(words, quoted, sizeof quoted);
    cli_note("done: %s holds the model; try: sgatlin generate %s%s%s", directory, directory, words ? " --prompt " : "",
             quoted);
    sgi_free(words);
    return 0;
  }
  json_t *o = json_pack("{s:s, s:I}", "run", directory, "steps", (json_int_t)sgi_run_plan_of(run)->steps);
  add_rows(o, run);
  if (e->rows) {
    json_object_set_new(o, "loss", sgi_report_real(e->loss));
    json_object_set_new(o, "perplexity", sgi_report_real(e->perplexity));
    json_object_set_new(o, "accuracy", sgi_report_real(e->accuracy));
  }
  double held = sgi_run_loss_with_buffer(run);
  if (!isnan(held)) json_object_set_new(o, "loss_with_buffer", sgi_report_real(held));
  return cli_json(o);
}

/* Of several ranks the lead tells people; all stop. */
static sgi_run_events events_of(const sgi_run_request *r, watch *w) {
  if (!sgi_ranks_lead(r->ranks)) return (sgi_run_events){.user = w, .stop = stop};
  return (sgi_run_events){
      .user = w, .note = note, .work = work, .step = step, .evaluated = evaluated, .saved = saved, .stop = stop};
}

static int train(const cli_call *c, sgi_run_request *r) {
  sg_error err = {0};
  watch w = {0};
  sgi_run_events events = events_of(r, &w);
  sgi_run *run;
  cli_signals_install();
  sg_status st = sgi_run_open(r, &events, &run, &err);
  cli_work_end(&w.work);
  if (st) return st == SG_ERR_CANCELLED && cli_stop ? 128 + cli_stop : cli_ranks_fail(r->ranks, &err);
  int code = 0;
  bool lead = sgi_ranks_lead(r->ranks);
  if (r->dry_run) {
    code = dry_run(c, run);
  } else {
    if (lead) plan_lines(run, 0);
    cli_signals_patient(true); /* a step is finished, and its checkpoint written */
    st = sgi_run_train(run, &err);
    cli_signals_patient(false);
    if (w.training) cli_progress_end(&w.progress);
    if (st == SG_ERR_CANCELLED && (cli_stop || !lead)) {
      if (lead) cli_note("%s", err.text);
      code = lead ? 128 + cli_stop : 0;
    } else if (st) {
      return cli_ranks_fail(r->ranks, &err);
    } else {
      code = lead ? finished(c, run, r->run) : 0;
    }
  }
  sgi_run_close(run);
  cli_ranks_close(r->ranks);
  return code;
}

/* "--hidden-size": a setting, which --set takes. */
static bool advise(const char *word, char *out, size_t size) {
  const char *key = sgi_settings_word(word);
  if (!strcmp(word, "epochs"))
    snprintf(out, size, "'--steps N' (batches; without it one epoch)");
  else if (key)
    snprintf(out, size, "'--set %s=VALUE'", key);
  return key;
}

static int run(const cli_call *c) {
  if (cli_flag(c, "keys")) return print_keys();
  sg_error err = {0};
  sgi_assignments a = {0};
  sgi_run_request r = {.run = cli_string(c, "output"),
                       .data = cli_string(c, "data"),
                       .tokenizer = cli_string(c, "tokenizer"),
                       .resume = cli_flag(c, "resume"),
                       .dry_run = cli_flag(c, "dry-run"),
                       .channel_ranks = cli_size(c, "channel-ranks"),
                       .max_memory = cli_size(c, "max-memory")};
  if (r.resume && !r.run) r.run = r.data, r.data = NULL; /* `train --resume RUN` */
  sg_status st = gather(c, &a, &err);
  if (!st) st = sgi_settings_resolve(&a, &r.settings, &err);
  size_t assigned = a.count;
  for (size_t i = 0; i < a.count; i++) assigned -= !strcmp(a.list[i].key, "train.steps");
  if (r.resume && assigned < a.count) r.steps = r.settings.steps; /* a run may be made longer */
  sgi_assignments_free(&a);
  if (st) return cli_fail(&err);
  if (cli_flag(c, "print-config")) return print_settings(&r.settings);
  if (!r.run && (r.resume || !r.dry_run)) return cli_usage(c, "-o RUN is needed: the directory of the run");
  if (r.resume && (assigned || r.tokenizer))
    return cli_usage(c,
                     "--resume goes on with the settings in %s/config.json: leave out --preset, --config, --set, "
                     "--tokenizer and flags for settings (--steps N makes the run longer)",
                     r.run);
  if (!r.resume && !r.data)
    return cli_usage(c, "--data PATH is needed: a text file, or a directory with train.* and valid.*");
  int bad = cli_ranks_open(c, &r.ranks);
  if (bad) return bad;
  if (r.channel_ranks > 1 && sgi_ranks_count(r.ranks) == 1)
    return cli_usage(c, "--channel-ranks %zu needs as many ranks: mpirun -n %zu sgatlin train ...", r.channel_ranks,
                     r.channel_ranks);
  if (r.dry_run) r.channel_ranks = 1; /* what the whole takes, in one process */
  if (r.dry_run && !sgi_ranks_lead(r.ranks)) return cli_ranks_close(r.ranks), 0;
  return train(c, &r);
}

static const cli_option options[] = {
    {.name = "preset",
     .letter = 'p',
     .type = CLI_STRING,
     .argument = "NAME",
     .value_text = "tinystories",
     .help = "starting point: tinystories, or slimpajama;1 to slimpajama;9"},
    {.name = "kind",
     .letter = 'k',
     .type = CLI_STRING,
     .argument = "KIND",
     .value_text = "sgatlin",
     .help = "feedforward layer, with the preset's sizes for it; one of" CLI_KINDS},
    {.name = "layer-form",
     .type = CLI_STRING,
     .argument = "FORM",
     .value_text = "sequential",
     .help = "how a layer's halves are put together: sequential, parallel, euler, midpoint or rk4"},
    {.name = "ode-steps",
     .type = CLI_SIZE,
     .argument = "N",
     .value_text = "1",
     .min = 1,
     .max = SG_MAX_ODE_STEPS,
     .help = "steps of euler, midpoint and rk4"},
    {.name = "data",
     .letter = 'd',
     .type = CLI_STRING,
     .argument = "PATH",
     .help = "text file, whose last 5 % are held out, or directory with train.* and valid.*: .txt or .jsonl, plain, "
             ".zst or .gz"},
    {.name = "tokenizer",
     .type = CLI_STRING,
     .argument = "FILE",
     .value_text = "trained on the data",
     .help = "tokenizer.json to use"},
    CLI_OUTPUT_OPTION("RUN", "directory of the run; made if it is not there"),
    {.name = "steps",
     .letter = 'n',
     .type = CLI_U64,
     .argument = "N",
     .value_text = "one epoch",
     .min = 1,
     .help = "batches to train on (train.steps)"},
    {.name = "batch-size",
     .letter = 'b',
     .type = CLI_SIZE,
     .argument = "N",
     .value_text = "the preset's, less for a small text",
     .min = 1,
     .help = "rows of a batch (train.batch_size)"},
    {.name = "seq-len",
     .type = CLI_SIZE,
     .argument = "N",
     .value_text = "the preset's",
     .min = 1,
     .help = "tokens of a row (train.seq_len)"},
    {.name = "lr",
     .type = CLI_REAL,
     .argument = "X",
     .value_text = "the preset's",
     .help = "learning rate at its peak (optimizer.learning_rate)"},
    {.name = "seed",
     .type = CLI_U64,
     .argument = "N",
     .value_text = "0",
     .help = "seed of initialisation and order (train.seed)"},
    {.name = "config",
     .type = CLI_STRING,
     .argument = "FILE",
     .help = "settings as JSON, such as another run's config.json"},
    {.name = "set", .letter = 's', .type = CLI_LIST, .argument = "KEY=VALUE", .help = "one setting; --keys lists them"},
    {.name = "keys", .type = CLI_FLAG, .help = "list all settings and stop"},
    {.name = "print-config", .type = CLI_FLAG, .help = "print the resolved settings and stop"},
    {.name = "resume", .type = CLI_FLAG, .help = "go on with the run in RUN from its newest complete checkpoint"},
    {.name = "max-memory",
     .type = CLI_BYTES,
     .argument = "BYTES",
     .value_text = "3G, or 3/4 of the machine's or the container's",
     .min = 1,
     .help = "memory of the whole process; a batch is computed in parts that fit"},
    CLI_RANKS_OPTION,
    {.name = "channel-ranks",
     .type = CLI_SIZE,
     .argument = "N",
     .value = "1",
     .min = 1,
     .help =
         "under mpirun: N ranks at a time hold and compute a layer's channels together, for pools too large for one"},
    {.name = "dry-run", .type = CLI_FLAG, .help = "say parameters, FLOPs, memory and time, and stop"},
    CLI_JSON_OPTION,
    CLI_END};

const cli_command cli_train = {
    .name = "train",
    .group = "Training",
    .summary = "train a language model on text",
    .usage = "--data PATH -o RUN [--preset NAME] [--kind KIND] [--set KEY=VALUE]...\n--resume -o RUN [--steps N]",
    .examples =
        "# the paper's small model on your own text\nsgatlin train --data book.txt -o run\n"
        "# a laptop's half hour: shorter rows, smaller batches; DIR holds train.txt and valid.txt\n"
        "sgatlin train --data DIR -o run --steps 2000 --batch-size 8 --seq-len 256\n"
        "# the same with dense layers, to compare\n"
        "sgatlin train --data DIR -o run-mlp --kind mlp --steps 2000 --batch-size 8 --seq-len 256\n"
        "# after Ctrl-C, a crash or a power cut\nsgatlin train --resume -o run\n"
        "# a run that is done, longer\nsgatlin train --resume -o run --steps 4000\n"
        "# four processes, here or on several machines (docs/scaling.md)\nmpirun -n 4 sgatlin train --data DIR -o run",
    .description =
        "A single file is parted: its last 5 % (data.held_out) are never trained on and are what the loss is measured "
        "on; with 20 documents or more the border lies between documents. A tokenizer made for the run sees all of "
        "the file.\n\n"
        "RUN gets config.json (all settings), tokenizer.json, metrics.jsonl (one line per log.every steps), log.txt "
        "and "
        "checkpoints/, of which `latest` and "
        "`best` name two. Every command that takes a MODEL takes RUN as well.\n\n"
        "Settings are taken from the preset, then --config, then --set and flags. Ctrl-C or SIGTERM saves a checkpoint "
        "and ends with 130 or "
        "143; a second one ends at once. A resumed run ends with the same weights, to the last bit, as one that was "
        "never stopped.\n\n"
        "--resume with more --steps makes a run longer. The schedule is then that of the longer run: where its "
        "learning "
        "rate had not begun to decay, the weights become the same as if it had been planned so; where it had, the rate "
        "rises again, which is said. config.json records it.\n\n"
        "Under mpirun (Open MPI) the processes share each batch, and each keeps its part of the optimizer's state; RUN "
        "and the text must be where all of them see them. The weights are the same, to the last bit, for any number of "
        "processes with the same train.parts and train.micro_batch, and any number resumes what any other left. `kill "
        "-USR1` of mpirun's process stops all in order, with a checkpoint.",
    .options = options,
    .also = "data",
    .advise = advise,
    .run = run,
};
