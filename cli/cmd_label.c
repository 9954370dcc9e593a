/* cmd_label.c: labels of all neurons made and kept, names given, exported and imported. */
#include <string.h>
#include <time.h>

#include "core/file.h"
#include "label.h"
#include "report/sizes.h"

typedef struct work {
  sgi_prompt p;
  sg_recording *rec;
  sg_names *names;
  cli_progress bar;
} work;

static bool advance(void *user, size_t done, size_t wanted) {
  work *w = user;
  (void)wanted;
  cli_progress_update(&w->bar, (double)done, NULL);
  return !cli_stop;
}

static sg_status open_recording(const cli_call *c, work *w, sg_error *err) {
  const char *path = cli_string(c, "recording");
  if (!path) return SG_OK;
  sg_status st = sg_recording_open(path, &w->rec, err);
  return st ? st : cli_bind(c, w->rec, path, w->p.model, err);
}

static int finish(work *w, int code) {
  code = w->rec ? cli_reading_end(w->rec, code) : code;
  sg_names_close(w->names);
  sg_recording_close(w->rec);
  cli_prompt_close(&w->p);
  return code;
}

/* ---- make ------------------------------------------------------------------------------------ */

static int run_make(const cli_call *c) {
  sg_error err = {0};
  work w = {0};
  size_t made = 0;
  cli_signals_install();
  sg_status st = cli_prompt_open_model(&w.p, c, &err);
  if (!st) st = open_recording(c, &w, &err);
  if (!st) st = cli_names_open(c, w.p.model, true, &w.names, &err);
  double started = sgi_now();
  if (!st) {
    sgi_sizes most = sgi_largest_sizes(w.p.model);
    cli_progress_begin(&w.bar, "labelling", "neurons",
                       (double)(most.channels * most.neurons * sg_model_config(w.p.model)->num_layers), 0);
    st = sgi_names_make(w.names, &w.p, w.rec, advance, &w, &made, &err);
    cli_progress_end(&w.bar);
  }
  if (st == SG_ERR_CANCELLED && cli_stop) return finish(&w, 128 + cli_stop);
  if (st) return finish(&w, cli_fail(&err));
  char *path = cli_names_path(c);
  int code = 0;
  if (cli_flag(c, "json"))
    code = cli_json(json_pack("{so sI sb sf}", "names", sgi_report_text(path ? path : "", path ? strlen(path) : 0),
                              "labels", (json_int_t)made, "recorded", w.rec != NULL, "seconds", sgi_now() - started));
  else
    cli_note("%zu labels in %s, kept in %s; try: sgatlin label list %s", made, cli_seconds(sgi_now() - started).s,
             path ? path : "", c->args[0]);
  sgi_free(path);
  return finish(&w, code);
}

#define RECORDING_OPTION(text) \
  { .name = "recording", .letter = 'r', .type = CLI_STRING, .argument = "REC", .help = text }

static const cli_option make_options[] = {RECORDING_OPTION("what a neuron fires on is taken from this recording"),
                                          CLI_NAMES_OPTION,
                                          CLI_FORCE_OPTION,
                                          CLI_MODEL_OPTIONS,
                                          CLI_JSON_OPTION,
                                          CLI_END};

const cli_command cli_label_make = {
    .name = "label make",
    .group = "Reading",
    .summary = "a label for every neuron, from what it reads, writes and fires on",
    .usage = "MODEL [--recording REC] [--names FILE]",
    .examples =
        "# beside the model, from weights alone\nsgatlin label make run\n"
        "# from where each neuron fires\nsgatlin label make run --recording rec",
    .description =
        "A label such as \"was | macaroni +, soup -\" says: fires on \"was\", and there raises \"macaroni\" most and "
        "lowers \"soup\" most (docs/method-reading.md, labels). No language model is asked.\n\n"
        "Labels are kept in one SQLite file beside the model, MODEL/names.sqlite, with the names that people give; "
        "made again, they replace the labels that were there and leave the names. The file is bound to the model's "
        "weights: one of another model is refused (docs/formats-names.md).",
    .options = make_options,
    .min_args = 1,
    .max_args = 1,
    .run = run_make,
};

/* ---- set ------------------------------------------------------------------------------------- */

static sg_status give(const cli_call *c, work *w, sg_neuron_at *at, sg_error *err) {
  const char *author = cli_string(c, "author");
  sg_status st = sgi_neuron_parse(c->args[1], at, err);
  if (!st) st = sgi_neuron_check(w->p.model, at->layer, at->channel, at->index, err);
  if (!st) st = cli_names_open(c, w->p.model, true, &w->names, err);
  return st ? st : sg_names_give(w->names, *at, c->args[2], author ? author : cli_login(), (int64_t)time(NULL), err);
}

static int run_set(const cli_call *c) {
  sg_error err = {0};
  work w = {0};
  sg_neuron_at at;
  sg_status st = cli_prompt_open_model(&w.p, c, &err);
  if (!st) st = give(c, &w, &at, &err);
  if (st) return finish(&w, cli_fail(&err));
  sg_neuron_called now;
  st = sg_names_find(w.names, at, &now, &err);
  if (st) return finish(&w, cli_fail(&err));
  if (cli_flag(c, "json"))
    return finish(&w, cli_json(json_pack("{sI sI sI ss ss sI}", "layer", (json_int_t)at.layer, "channel",
                                         (json_int_t)at.channel, "index", (json_int_t)at.index, "name", now.name,
                                         "author", now.author, "time", (json_int_t)now.time)));
  if (*now.name)
    cli_note("layer %zu channel %zu neuron %zu is called \"%s\"", at.layer, at.channel, at.index, now.name);
  else
    cli_note("layer %zu channel %zu neuron %zu has no name", at.layer, at.channel, at.index);
  return finish(&w, 0);
}

static const cli_option set_options[] = {{.name = "author",
                                          .type = CLI_STRING,
                                          .argument = "NAME",
                                          .value_text = "the user's login",
                                          .help = "who gives the name"},
                                         CLI_NAMES_OPTION,
                                         CLI_MODEL_OPTIONS,
                                         CLI_JSON_OPTION,
                                         CLI_END};

const cli_command cli_label_set = {
    .name = "label set",
    .group = "Reading",
    .summary = "give a neuron a name, or take it away",
    .usage = "MODEL L.C.I NAME [--author NAME] [--names FILE]",
    .examples =
        "# neuron 17 of channel 0 in layer 1\nsgatlin label set run 1.0.17 'food after was'\n"
        "# without a name again\nsgatlin label set run 1.0.17 ''",
    .description =
        "Names stand beside the labels in the file of names, with author and time; the explorer shows them "
        "in place of labels. Two processes may write: one waits for the other.",
    .options = set_options,
    .min_args = 3,
    .max_args = 3,
    .run = run_set,
};

/* ---- export, import -------------------------------------------------------------------------- */

static sg_status export(const cli_call *c, work *w, json_t **out, sg_error *err) {
  sg_status st = cli_prompt_open_model(&w->p, c, err);
  if (!st) st = cli_names_open(c, w->p.model, false, &w->names, err);
  return st ? st : sgi_names_export(w->names, out, err);
}

static int run_export(const cli_call *c) {
  sg_error err = {0};
  work w = {0};
  json_t *o = NULL;
  const char *path = cli_string(c, "output");
  sg_status st = export(c, &w, &o, &err);
  if (st) return finish(&w, cli_fail(&err));
  if (!path) return finish(&w, cli_json(o));
  size_t n = json_array_size(json_object_get(o, "neurons"));
  st = sgi_json_save(path, o, &err);
  json_decref(o);
  if (st) return finish(&w, cli_fail(&err));
  cli_note("%s: %s", path, cli_number(n, "neuron").s);
  return finish(&w, 0);
}

static const cli_option export_options[] = {CLI_OUTPUT_OPTION("FILE.json", "write there; otherwise to standard output"),
                                            CLI_NAMES_OPTION, CLI_MODEL_OPTIONS, CLI_JSON_OPTION, CLI_END};

const cli_command cli_label_export = {
    .name = "label export",
    .group = "Reading",
    .summary = "labels and names as JSON",
    .usage = "MODEL [-o FILE.json] [--names FILE]",
    .examples = "# a copy to share\nsgatlin label export run -o names.json",
    .description =
        "The whole file of names as one JSON document (docs/formats-names.md). 'sgatlin label import' of it "
        "into an empty file gives the same export again.",
    .options = export_options,
    .min_args = 1,
    .max_args = 1,
    .run = run_export,
};

static int run_import(const cli_call *c) {
  sg_error err = {0};
  work w = {0};
  json_t *o = NULL;
  size_t rows = 0;
  sg_status st = cli_prompt_open_model(&w.p, c, &err);
  if (!st) st = sgi_json_load(c->args[1], &o, &err);
  if (!st) st = cli_names_open(c, w.p.model, true, &w.names, &err);
  if (!st) st = sgi_names_import(w.names, o, c->args[1], &rows, &err);
  json_decref(o);
  if (st) return finish(&w, cli_fail(&err));
  if (cli_flag(c, "json")) return finish(&w, cli_json(json_pack("{sI}", "neurons", (json_int_t)rows)));
  cli_note("%s taken from %s", cli_number(rows, "neuron").s, c->args[1]);
  return finish(&w, 0);
}

static const cli_option import_options[] = {CLI_NAMES_OPTION, CLI_MODEL_OPTIONS, CLI_JSON_OPTION, CLI_END};

const cli_command cli_label_import = {
    .name = "label import",
    .group = "Reading",
    .summary = "labels and names out of JSON",
    .usage = "MODEL FILE.json [--names FILE]",
    .examples = "# names that somebody gave\nsgatlin label import run names.json",
    .description =
        "Takes every label and name of the document and keeps what it does not speak of; all of it or "
        "nothing. A document of another model is refused.",
    .options = import_options,
    .min_args = 2,
    .max_args = 2,
    .run = run_import,
};
