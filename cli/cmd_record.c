/* cmd_record.c: the circuits of a text, as a directory that other commands and Python read. */
#include <string.h>

#include "context.h"
#include "core/file.h"
#include "model.h"
#include "own_text.h"
#include "reading.h"
#include "report/record.h"
#include "text_form.h"

typedef struct watch {
  cli_progress bar;
  const char *what;
} watch;

static const char *units_of(const char *what) {
  return !strcmp(what, "recording")    ? "positions"
         : !strcmp(what, "indexing")   ? "layers"
         : !strcmp(what, "neurons")    ? "positions"
         : !strcmp(what, "tokenising") ? "bytes"
                                       : "files";
}

static bool progress(void *user, const char *what, uint64_t done, uint64_t total) {
  watch *w = user;
  if (w->what != what) {
    if (w->what) cli_progress_end(&w->bar);
    cli_progress_begin(&w->bar, what, units_of(what), (double)total, 0);
    w->what = what;
  }
  cli_progress_update(&w->bar, (double)done, NULL);
  return cli_stop == 0;
}

static bool tokenising(void *user, uint64_t done, uint64_t total) { return progress(user, "tokenising", done, total); }

/* What the command works with. */
typedef struct work {
  cli_model m;
  cli_text text;
  sgi_corpus *corpus;
  size_t *layers;
  sgi_recorder *recorder;
} work;

static sg_status open_inputs(const cli_call *c, work *w, watch *progress_bar, sg_error *err) {
  sg_status st = cli_model_open(c, CLI_WITH_TOKENIZER, &w->m, err);
  if (!st)
    st = cli_text_corpus(c, "valid", w->m.tokenizer, sg_model_config(w->m.model)->eos_id, tokenising, progress_bar,
                         &w->text, &w->corpus, err);
  if (progress_bar->what) cli_progress_end(&progress_bar->bar);
  progress_bar->what = NULL;
  return st;
}

static sg_status plan(const cli_call *c, work *w, sg_error *err) {
  static const char *const values[] = {"F16", "F32", "none"};
  const sg_config *config = sg_model_config(w->m.model);
  sgi_recording_request q = {.model = w->m.model,
                             .tokenizer = w->m.tokenizer,
                             .corpus = w->corpus,
                             .model_path = c->args[0],
                             .data_path = w->text.path,
                             .seq_len = cli_is_set(c, "seq-len") ? cli_size(c, "seq-len") : config->max_position,
                             .max_documents = cli_size(c, "documents"),
                             .padding = cli_flag(c, "padding"),
                             .unshifted = cli_flag(c, "unshifted"),
                             .values = values[cli_choice(c, "values")],
                             .index = cli_flag(c, "index"),
                             .shard_bytes = cli_size(c, "shard-size"),
                             .max_memory = cli_size(c, "max-memory")};
  if (cli_string(c, "layers")) {
    sg_status st = cli_number_list(cli_string(c, "layers"), "layers", &w->layers, &q.n_layers, err);
    if (st) return st;
    q.layers = w->layers;
  }
  sg_status st = cli_context_check(c, config, sgi_recording_longest(&q), err);
  return st ? st : sgi_record_begin(&q, &w->recorder, err);
}

static void plan_line(const sg_record_plan *p, uint64_t free_bytes, size_t length, size_t made_for) {
  cli_note("%s circuits at %s positions of %s: %s on disk (%.0f bytes a circuit), %s free",
           cli_count((double)p->circuits).s, cli_count((double)p->positions).s, cli_number(p->documents, "document").s,
           cli_bytes((double)(p->shard_bytes + p->index_bytes + p->neuron_bytes)).s, p->bytes_per_circuit,
           cli_bytes((double)free_bytes).s);
  if (!p->cut_tokens) return;
  uint64_t all = p->positions + p->cut_tokens;
  cli_note("%s of %llu (%.3g %%) past rows of %zu are left out; --seq-len N%s takes more of each document",
           cli_number(p->cut_tokens, "token").s, (unsigned long long)all, 100 * (double)p->cut_tokens / (double)all,
           length, length < made_for ? "" : " with --beyond-context");
}

static int record(const cli_call *c, work *w, watch *bar) {
  sg_error err = {0};
  const char *out = cli_string(c, "output");
  const sg_record_plan *p = sgi_record_planned(w->recorder);
  uint64_t free_bytes = sgi_disk_free(out ? out : ".");
  size_t reused;
  size_t made_for = sg_model_config(w->m.model)->max_position;
  plan_line(p, free_bytes, cli_is_set(c, "seq-len") ? cli_size(c, "seq-len") : made_for, made_for);
  if (cli_flag(c, "dry-run")) return cli_flag(c, "json") ? cli_json(sgi_record_plan_json(p, free_bytes)) : 0;
  if (free_bytes && p->shard_bytes + p->index_bytes + p->neuron_bytes > free_bytes)
    cli_warn("the disk may be too small: what is written stays, and the same command goes on later");
  double started = sgi_now();
  sg_status st = sgi_record_write(w->recorder, out, progress, bar, &reused, &err);
  if (bar->what) cli_progress_end(&bar->bar);
  if (st == SG_ERR_CANCELLED && cli_stop) {
    cli_note("stopped; the same command goes on from here");
    return 128 + cli_stop;
  }
  if (st) return cli_fail(&err);
  double seconds = sgi_now() - started;
  if (reused) cli_note("%zu of %zu shards were already there", reused, p->shards);
  if (!cli_flag(c, "json")) {
    if (p->circuits)
      cli_note("wrote %s in %s; try: sgatlin neighbors %s --find \"word\"", out, cli_seconds(seconds).s, out);
    else
      cli_note("wrote %s in %s; try: sgatlin label list %s --recording %s", out, cli_seconds(seconds).s, c->args[0],
               out);
    return 0;
  }
  json_t *o = sgi_record_plan_json(p, free_bytes);
  json_object_set_new(o, "recording", sgi_report_text(out, strlen(out)));
  json_object_set_new(o, "reused_shards", json_integer((json_int_t)reused));
  json_object_set_new(o, "seconds", sgi_report_real(seconds));
  return cli_json(o);
}

static int run(const cli_call *c) {
  sg_error err = {0};
  work w = {0};
  watch bar = {0};
  if (!cli_string(c, "output") && !cli_flag(c, "dry-run"))
    return cli_usage(c, "-o REC is needed: the directory to write");
  cli_signals_install();
  sg_status st = open_inputs(c, &w, &bar, &err);
  if (!st) st = plan(c, &w, &err);
  int code = st ? cli_end(st, &err) : record(c, &w, &bar);
  sgi_record_end(w.recorder);
  sgi_text_close(w.corpus);
  cli_text_free(&w.text);
  cli_model_close(&w.m);
  sgi_free(w.layers);
  return code;
}

static const cli_option options[] = {
    CLI_HELD_OUT_OPTION(
        "text to run: .txt or .jsonl, plain, .zst or .gz, or a directory (its valid.* where it has one)"),
    CLI_OUTPUT_OPTION("REC", "directory of the recording"),
    {.name = "layers",
     .letter = 'l',
     .type = CLI_STRING,
     .argument = "LIST",
     .value_text = "all",
     .help = "layers to record, such as 0,2-3"},
    {.name = "documents",
     .letter = 'n',
     .type = CLI_SIZE,
     .argument = "N",
     .value_text = "all",
     .help = "record the first N documents"},
    {.name = "seq-len",
     .old = "length",
     .type = CLI_SIZE,
     .argument = "T",
     .value_text = "the model's",
     .min = 1,
     .help = "tokens of each document, the rest is left out"},
    {.name = "values",
     .type = CLI_CHOICE,
     .argument = "f16|f32|none",
     .value = "f16",
     .help = "how gated activations are kept; scores are always float32"},
    {.name = "index", .type = CLI_FLAG, .value = "on", .help = "also write the inverted index that searches need"},
    CLI_FORM_OPTIONS,
    CLI_BEYOND_OPTION,
    CLI_CHECKPOINT_OPTION,
    CLI_TOKENIZER_OPTION,
    {.name = "padding",
     .type = CLI_FLAG,
     .help = "fill each row with padding and record that, too, as the reference does"},
    {.name = "unshifted",
     .type = CLI_FLAG,
     .help = "feed the tokens without the model's bos in front, as the reference does for usage"},
    {.name = "shard-size",
     .type = CLI_BYTES,
     .argument = "BYTES",
     .value = "256M",
     .min = 1,
     .help = "size of one file"},
    {.name = "max-memory",
     .type = CLI_BYTES,
     .argument = "BYTES",
     .value = "512M",
     .min = 1,
     .help = "memory for activations and for building the index"},
    {.name = "dry-run", .type = CLI_FLAG, .help = "say how much would be written, and stop"},
    CLI_JSON_OPTION,
    CLI_END};

const cli_command cli_record = {
    .name = "record",
    .group = "Reading",
    .summary = "run a text and keep which neurons fired where",
    .usage = "RUN -o REC [--layers LIST] [--documents N]\nMODEL PATH -o REC",
    .examples =
        "# the text that a run held out; how large will it be?\nsgatlin record run --dry-run\n"
        "# the last two layers of a four-layer model over unseen stories\n"
        "sgatlin record run --data valid.txt --layers 2-3 -o rec\n"
        "# after Ctrl-C or a crash: the same command goes on\n"
        "sgatlin record run --data valid.txt --layers 2-3 -o rec",
    .description =
        "REC gets recording.json, tokenizer.json, shards of tokens, chosen neurons, scores, gated activations and the "
        "five "
        "best predictions, and an inverted index from each neuron to its positions. Of dense kinds and of experts' "
        "units it keeps each neuron's strongest values with their "
        "positions, counts, sums and a histogram. All but recording.json are "
        "safetensors or JSON that Python reads without sgatlin (docs/formats-recording.md).\n\n"
        "Every file is written whole or not at all; the same command goes on after an interruption and ends with the "
        "same "
        "bytes.",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .also = "data",
    .run = run,
};
