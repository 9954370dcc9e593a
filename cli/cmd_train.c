/* cmd_train.c: from text to a trained model. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "ranks.h"
#include "core/file.h"
#include "core/json.h"

enum { MOST_CONFIG = 16 << 20 };

typedef struct watch {
  const cli_call *call;
  cli_work work;
  cli_progress progress;
  bool lead, dry, planned, training;
  char last_evaluation[80];
} watch;

/* ---- plan ------------------------------------------------------------------------------------ */

static void plan_lines(const sg_train_plan *p, const sg_config *m) {
  cli_note("model: %s%s%s, %s parameters, %s of width %zu, vocabulary %zu", m->feedforward, *m->router ? " / " : "",
           m->router, cli_count((double)p->parameters).s, cli_number(m->num_layers, "layer").s, m->hidden_size,
           m->vocab_size);
  cli_note("data:  %s, %s tokens; held out %s", cli_number(p->train_documents, "document").s,
           cli_count((double)p->train_tokens).s, cli_number(p->valid_documents, "document").s);
  cli_note("run:   %s of %zu x %zu tokens (%.2f epochs: %s), %.3g FLOPs, memory about %s, %s per checkpoint",
           cli_number(p->steps, "step").s, p->batch_size, p->seq_len, p->epochs,
           p->packed ? "documents packed" : "one document a row", p->flops_per_step * (double)p->steps,
           cli_bytes((double)p->memory).s, cli_bytes((double)p->checkpoint_bytes).s);
  if (p->seconds > 0) cli_note("time:  about %s (timed on this machine just now)", cli_seconds(p->seconds).s);
}

/* What the rows hold of the text. */
static void add_rows(json_t *o, const sg_train_plan *p) {
  json_object_set_new(o, "row_form", json_string(p->packed ? "pack" : "pad"));
  json_object_set_new(o, "batch_size", json_integer((json_int_t)p->batch_size));
  json_object_set_new(o, "seq_len", json_integer((json_int_t)p->seq_len));
  json_object_set_new(o, "epochs", sgi_report_real(p->epochs));
  json_object_set_new(o, "cut_tokens", json_integer((json_int_t)p->cut_tokens));
  json_object_set_new(o, "cut_share", sgi_report_real((double)p->cut_tokens / (double)p->train_tokens));
  json_object_set_new(o, "valid_tokens", json_integer((json_int_t)p->valid_tokens));
  json_object_set_new(o, "valid_cut_tokens", json_integer((json_int_t)p->valid_cut_tokens));
}

static json_t *plan_json(const sg_train_plan *p) {
  json_t *o = json_pack("{s:I, s:I, s:I, s:I, s:f, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "parameters",
                        (json_int_t)p->parameters, "steps", (json_int_t)p->steps, "updates", (json_int_t)p->updates,
                        "steps_per_epoch", (json_int_t)p->epoch_steps, "flops", p->flops_per_step * (double)p->steps,
                        "memory_bytes", (json_int_t)p->memory, "micro_batch", (json_int_t)p->micro_batch,
                        "checkpoint_bytes", (json_int_t)p->checkpoint_bytes, "train_documents",
                        (json_int_t)p->train_documents, "train_tokens", (json_int_t)p->train_tokens, "valid_documents",
                        (json_int_t)p->valid_documents, "seconds", sgi_report_real(p->seconds));
  add_rows(o, p);
  if (!p->pool_weights) return o;
  json_object_set_new(o, "pool_weights", json_integer((json_int_t)p->pool_weights));
  json_object_set_new(o, "pool_bytes", json_integer((json_int_t)p->pool_bytes));
  return o;
}

/* ---- events ---------------------------------------------------------------------------------- */

static void note(void *user, const char *text) {
  watch *w = user;
  if (w->training) cli_progress_end(&w->progress);
  cli_note("%s", text);
}

static void work(void *user, const char *what, uint64_t done, uint64_t total) {
  cli_work_update(&((watch *)user)->work, what, done, total);
}

static void planned(void *user, const sg_train_plan *plan, const sg_config *model) {
  watch *w = user;
  w->planned = true;
  cli_work_end(&w->work);
  if (w->lead && !(w->dry && cli_flag(w->call, "json"))) plan_lines(plan, model);
  if (!w->dry) cli_signals_patient(true); /* a step is finished, and its checkpoint written */
}

static void step(void *user, const sg_train_line *l) {
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

static void evaluated(void *user, uint64_t at, const sg_evaluation *e) {
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

/* Of several ranks the lead tells people; all stop. */
static sg_train_events events_of(watch *w) {
  if (!w->lead) return (sg_train_events){.user = w, .stop = stop, .planned = planned};
  return (sg_train_events){.user = w,
                           .note = note,
                           .work = work,
                           .step = step,
                           .evaluated = evaluated,
                           .saved = saved,
                           .stop = stop,
                           .planned = planned};
}

/* ---- settings from the command line ---------------------------------------------------------- */

/* Flags for the settings that people change most. */
static const struct {
  const char *option, *name, *key;
} flags[] = {{"preset", "--preset", "preset"},
             {"kind", "--kind", "feedforward.kind"},
             {"steps", "--steps", "train.steps"},
             {"seed", "--seed", "train.seed"},
             {"batch-size", "--batch-size", "train.batch_size"},
             {"seq-len", "--seq-len", "train.seq_len"},
             {"lr", "--lr", "optimizer.learning_rate"},
             {"layer-form", "--layer-form", "model.layer_form"},
             {"ode-steps", "--ode-steps", "model.ode_steps"}};

/* What is said of settings: --config, and what wins over it. */
typedef struct told {
  char *config;              /* text of the file; NULL: none */
  const char **set, **names; /* (n) KEY=VALUE, and what errors call each; NULL: the text itself */
  size_t n;
  char *text; /* of flags */
  size_t used, room;
  bool steps, others; /* the run's steps are among them; something else is */
} told;

static sg_status read_config(told *t, const char *path, sg_error *err) {
  size_t n;
  sg_status st = sgi_read_file(path, MOST_CONFIG, &t->config, &n, err);
  t->others = true;
  if (!st && memchr(t->config, 0, n)) st = sgi_fail(err, SG_ERR_FORMAT, "%s: a zero byte is no JSON", path);
  return st;
}

static void add(told *t, const char *set, const char *name) {
  bool steps = !strncmp(set, "train.steps=", 12);
  t->set[t->n] = set;
  t->names[t->n++] = name;
  t->steps = t->steps || steps;
  t->others = t->others || !steps;
}

static void add_flag(told *t, const cli_call *c, size_t i) {
  char *text = t->text + t->used;
  if (!cli_is_set(c, flags[i].option)) return;
  t->used += (size_t)snprintf(text, t->room - t->used, "%s=%s", flags[i].key, cli_given(c, flags[i].option)) + 1;
  add(t, text, flags[i].name);
}

static sg_status gather(const cli_call *c, told *t, sg_error *err) {
  size_t n;
  const char *const *sets = cli_list(c, "set", &n), *config = cli_string(c, "config");
  for (size_t i = 0; i < SGI_COUNT(flags); i++)
    if (cli_is_set(c, flags[i].option)) t->room += strlen(flags[i].key) + strlen(cli_given(c, flags[i].option)) + 2;
  t->set = sgi_alloc((n + SGI_COUNT(flags)) * sizeof *t->set);
  t->names = sgi_alloc((n + SGI_COUNT(flags)) * sizeof *t->names);
  t->text = sgi_alloc(t->room + 1);
  if (!t->set || !t->names || !t->text) return sgi_fail_memory(err, t->room, "settings");
  add_flag(t, c, 0); /* the preset */
  for (size_t i = 0; i < n; i++) add(t, sets[i], NULL);
  for (size_t i = 1; i < SGI_COUNT(flags); i++) add_flag(t, c, i);
  return config ? read_config(t, config, err) : SG_OK;
}

static void told_free(told *t) {
  sgi_free(t->config);
  sgi_free(t->set);
  sgi_free(t->names);
  sgi_free(t->text);
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

/* ---- the run --------------------------------------------------------------------------------- */

static int finished(const cli_call *c, const sg_train_result *out, const char *directory) {
  const sg_evaluation *e = &out->evaluation;
  if (!cli_flag(c, "json")) {
    char quoted[200] = "";
    if (*out->first_words) cli_quote(out->first_words, quoted, sizeof quoted);
    cli_note("done: %s holds the model; try: sgatlin generate %s%s%s", directory, directory,
             *quoted ? " --prompt " : "", quoted);
    return 0;
  }
  json_t *o = json_pack("{s:s, s:I}", "run", directory, "steps", (json_int_t)out->plan.steps);
  add_rows(o, &out->plan);
  if (e->rows) {
    json_object_set_new(o, "loss", sgi_report_real(e->loss));
    json_object_set_new(o, "perplexity", sgi_report_real(e->perplexity));
    json_object_set_new(o, "accuracy", sgi_report_real(e->accuracy));
  }
  if (!isnan(out->loss_with_buffer)) json_object_set_new(o, "loss_with_buffer", sgi_report_real(out->loss_with_buffer));
  return cli_json(o);
}

static int train(const cli_call *c, sg_train_request *r) {
  sg_error err = {0};
  watch w = {.call = c, .lead = cli_ranks_lead(r->ranks), .dry = r->plan_only};
  sg_train_result out;
  int code = 0;
  cli_signals_install();
  r->events = events_of(&w);
  sg_status st = sg_train(r, &out, &err);
  cli_signals_patient(false);
  cli_work_end(&w.work);
  if (w.training) cli_progress_end(&w.progress);
  if (st == SG_ERR_CANCELLED && !w.planned && cli_stop) return 128 + cli_stop;
  if (st == SG_ERR_CANCELLED && w.planned && (cli_stop || !w.lead)) {
    if (w.lead) cli_note("%s", err.text);
    code = w.lead ? 128 + cli_stop : 0;
  } else if (st) {
    return cli_ranks_fail(r->ranks, &err);
  } else if (w.lead && !w.dry) {
    code = finished(c, &out, r->run);
  } else if (w.lead && cli_flag(c, "json")) {
    code = cli_json(plan_json(&out.plan));
  }
  cli_ranks_close(r->ranks);
  return code;
}

/* Of settings as sg_train_settings tells them. */
static sg_status steps_of(const char *settings, uint64_t *out, sg_error *err) {
  json_t *o;
  sg_status st = sgi_json_parse(settings, strlen(settings), "settings", &o, err);
  if (!st) st = sgi_json_u64(json_object_get(o, "train"), "settings", "steps", out, err);
  json_decref(o);
  return st;
}

static int start(const cli_call *c, const told *t, const char *settings, sg_train_request *r) {
  sg_error err = {0};
  if (r->resume && !r->run) r->run = r->data, r->data = NULL; /* `train --resume RUN` */
  if (!r->run && (r->resume || !r->plan_only)) return cli_usage(c, "-o RUN is needed: the directory of the run");
  if (r->resume && (t->others || r->tokenizer))
    return cli_usage(c,
                     "--resume goes on with the settings in %s/config.json: leave out --preset, --config, --set, "
                     "--tokenizer and flags for settings (--steps N makes the run longer)",
                     r->run);
  if (!r->resume && !r->data)
    return cli_usage(c, "--data PATH is needed: a text file, or a directory with train.* and valid.*");
  if (r->resume) r->settings = NULL, r->set = NULL, r->n_set = 0;
  if (r->resume && t->steps && steps_of(settings, &r->steps, &err)) return cli_fail(&err);
  int bad = cli_ranks_open(c, &r->ranks);
  if (bad) return bad;
  if (r->channel_ranks > 1 && (!r->ranks || r->ranks->count == 1))
    return cli_usage(c, "--channel-ranks %zu needs as many ranks: mpirun -n %zu sgatlin train ...", r->channel_ranks,
                     r->channel_ranks);
  if (r->plan_only && !cli_ranks_lead(r->ranks)) return cli_ranks_close(r->ranks), 0;
  return train(c, r);
}

/* "--hidden-size": a setting, which --set takes. */
static bool advise(const char *word, char *out, size_t size) {
  const char *key = sg_setting_word(word);
  if (!strcmp(word, "epochs"))
    snprintf(out, size, "'--steps N' (batches; without it one epoch)");
  else if (key)
    snprintf(out, size, "'--set %s=VALUE'", key);
  return key;
}

static int run(const cli_call *c) {
  if (cli_flag(c, "keys")) return print_keys();
  sg_error err = {0};
  told t = {0};
  char *settings = NULL;
  sg_status st = gather(c, &t, &err);
  sg_train_request r = {.run = cli_string(c, "output"),
                        .data = cli_string(c, "data"),
                        .tokenizer = cli_string(c, "tokenizer"),
                        .settings = t.config,
                        .settings_name = cli_string(c, "config"),
                        .set = t.set,
                        .set_names = t.names,
                        .n_set = t.n,
                        .resume = cli_flag(c, "resume"),
                        .plan_only = cli_flag(c, "dry-run"),
                        .timed = cli_flag(c, "dry-run"),
                        .channel_ranks = cli_size(c, "channel-ranks"),
                        .max_memory = cli_size(c, "max-memory")};
  if (!st) st = sg_train_settings(&r, &settings, &err);
  int code = 0;
  if (st)
    code = cli_fail(&err);
  else if (cli_flag(c, "print-config"))
    puts(settings);
  else
    code = start(c, &t, settings, &r);
  sg_buffer_free(settings);
  told_free(&t);
  return code;
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
