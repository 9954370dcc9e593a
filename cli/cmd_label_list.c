/* cmd_label_list.c: all neurons of a model in a list: searched, sorted, paged. */
#include <math.h>
#include <string.h>

#include "label.h"

typedef struct work {
  const cli_call *c;
  sgi_prompt p;
  sg_recording *rec;
  sg_names *names;
  sgi_browser *browser;
  sgi_neurons_asked ask;
  json_t *page;
  cli_progress bar;
  bool shown;
} work;

static bool advance(void *user, size_t done, size_t wanted) {
  work *w = user;
  if (!w->shown) cli_progress_begin(&w->bar, "reading", "parts", (double)wanted, 0);
  w->shown = true;
  cli_progress_update(&w->bar, (double)done, NULL);
  return !cli_stop;
}

static void advance_end(work *w) {
  if (w->shown) cli_progress_end(&w->bar);
  w->shown = false;
}

/* One question of four. */
static sg_status take_question(work *w, sg_error *err) {
  static const struct {
    const char *option, *word;
  } asked[] = {{"fires-on", "fires_on"}, {"raises", "raises"}, {"lowers", "lowers"}, {"near", "near"}};
  sg_status st = SG_OK;
  for (size_t i = 0; i < SGI_COUNT(asked) && !st; i++) {
    const char *text = cli_string(w->c, asked[i].option);
    if (!text) continue;
    if (w->ask.question)
      return sgi_fail(err, SG_ERR_ARG, "one question at a time: --fires-on, --raises, --lowers or --near");
    st = sgi_neurons_ask(&w->p, asked[i].word, text, &w->ask, err);
  }
  return st;
}

static sg_status take_request(work *w, sg_error *err) {
  const cli_call *c = w->c;
  w->ask = (sgi_neurons_asked){.find = cli_string(c, "find"),
                               .named = cli_flag(c, "named"),
                               .layer = cli_is_set(c, "layer") ? (ptrdiff_t)cli_size(c, "layer") : -1,
                               .channel = cli_is_set(c, "channel") ? (ptrdiff_t)cli_size(c, "channel") : -1,
                               .reversed = cli_flag(c, "reverse"),
                               .seed = cli_u64(c, "seed"),
                               .from = cli_size(c, "from"),
                               .count = cli_size(c, "count"),
                               .recorded = w->rec != NULL,
                               .sort = cli_string(c, "sort")};
  return take_question(w, err);
}

static sg_status read_all(work *w, sg_error *err) {
  const char *path = cli_string(w->c, "recording");
  sg_status st = cli_prompt_open_model(&w->p, w->c, err);
  if (!st && path) st = sg_recording_open(path, &w->rec, err);
  if (!st && path) st = cli_bind(w->c, w->rec, path, w->p.model, err);
  if (!st) st = cli_names_open_if_there(w->c, w->p.model, &w->names, err);
  if (!st) st = take_request(w, err);
  if (!st) st = sgi_neurons_open(&w->p, w->rec, advance, w, &w->browser, err);
  advance_end(w);
  if (!st) st = sgi_neurons_page(w->browser, &w->p, w->names, &w->ask, advance, w, &w->page, err);
  advance_end(w);
  return st;
}

static void real_cell(cli_table *t, double x, const char *format) {
  char text[40];
  snprintf(text, sizeof text, format, x);
  cli_cell(t, "%s", isnan(x) ? "" : text);
}

static void print(const void *user, const json_t *page) {
  const work *w = user;
  bool asked = w->ask.question != NULL;
  json_t *r;
  size_t i;
  cli_table *t = cli_table_begin(asked ? "llrrrr" : "llrrr");
  cli_cell(t, "neuron");
  cli_cell(t, "label");
  if (asked) cli_cell(t, "score");
  cli_cell(t, "fires");
  cli_cell(t, "strength");
  cli_cell(t, "norm");
  json_array_foreach(json_object_get(page, "neurons"), i, r) {
    const char *name = sgi_field_word(r, "name"), *label = sgi_field_word(r, "label");
    cli_cell(t, "%zu.%zu.%zu", sgi_field_size(r, "layer"), sgi_field_size(r, "channel"), sgi_field_size(r, "index"));
    if (*name)
      cli_cell(t, "%s (%s)", name, label);
    else
      cli_cell(t, "%s", label);
    if (asked) real_cell(t, sgi_field_real(r, "score"), "%+.4f");
    real_cell(t, 100 * sgi_field_real(r, "frequency"), "%.3f%%");
    real_cell(t, sgi_field_real(r, "strength"), "%.4f");
    real_cell(t, sgi_field_real(r, "norm"), "%.4f");
  }
  cli_table_end(t);
  size_t n = json_array_size(json_object_get(page, "neurons")), found = sgi_field_size(page, "found");
  if (n < found) cli_note("%zu of %s; --from %zu shows the next", n, cli_number(found, "neuron").s, w->ask.from + n);
}

static int run(const cli_call *c) {
  sg_error err = {0};
  work w = {.c = c};
  cli_signals_install();
  sg_status st = read_all(&w, &err);
  int code = cli_answer(c, st, &err, w.page, print, &w);
  code = w.rec ? cli_reading_end(w.rec, code) : code;
  sgi_neurons_close(w.browser);
  sg_names_close(w.names);
  sg_recording_close(w.rec);
  cli_prompt_close(&w.p);
  return code;
}

static const cli_option options[] = {
    {.name = "recording",
     .letter = 'r',
     .type = CLI_STRING,
     .argument = "REC",
     .help = "how often and how strongly they fire, in this recording of the model"},
    {.name = "fires-on",
     .type = CLI_STRING,
     .argument = "WORD",
     .help = "score: share of |value| that falls on the word"},
    {.name = "raises", .type = CLI_STRING, .argument = "WORD", .help = "score: what a firing adds to the word's logit"},
    {.name = "lowers",
     .type = CLI_STRING,
     .argument = "WORD",
     .help = "score: what a firing takes from the word's logit"},
    {.name = "near", .type = CLI_STRING, .argument = "L.C.I", .help = "score: likeness to this neuron, from -1 to 1"},
    {.name = "find", .type = CLI_STRING, .argument = "TEXT", .help = "those whose label or name holds the text"},
    {.name = "named", .type = CLI_FLAG, .help = "those that people named"},
    {.name = "layer", .letter = 'l', .type = CLI_SIZE, .argument = "L", .value_text = "all", .help = "of this layer"},
    {.name = "channel",
     .letter = 'c',
     .type = CLI_SIZE,
     .argument = "C",
     .value_text = "all",
     .help = "of this channel"},
    {.name = "sort",
     .type = CLI_CHOICE,
     .argument = "place|score|label|frequency|strength|norm|random",
     .value_text = "score, strength or norm",
     .help = "order; numbers fall"},
    {.name = "reverse", .type = CLI_FLAG, .help = "the other way round"},
    CLI_SEED_OPTION,
    {.name = "from", .type = CLI_SIZE, .argument = "N", .value = "0", .help = "first row, from 0"},
    {.name = "count", .letter = 'n', .type = CLI_SIZE, .argument = "N", .value = "20", .max = 100000, .help = "rows"},
    CLI_NAMES_OPTION,
    CLI_FORCE_OPTION,
    CLI_MODEL_OPTIONS,
    CLI_JSON_OPTION,
    CLI_END};

const cli_command cli_label_list = {
    .name = "label list",
    .group = "Reading",
    .summary = "all neurons of a model: searched, sorted, page by page",
    .usage =
        "MODEL [--recording REC] [--fires-on WORD] [--find TEXT] [--sort ORDER]\n"
        "MODEL --raises WORD | --lowers WORD | --near L.C.I",
    .examples =
        "# the strongest\nsgatlin label list run --recording rec\n"
        "# which fire on food, which raise soup\nsgatlin label list run -r rec --fires-on food\n"
        "sgatlin label list run -r rec --raises soup\n"
        "# what is like neuron 17 of channel 0 in layer 1\nsgatlin label list run --near 1.0.17\n"
        "# any\nsgatlin label list run --sort random --seed 3 -n 5",
    .description =
        "Each row: the neuron as layer.channel.index, its name or label, the share of recorded positions at which it "
        "fires, its strength (largest |value| times the length of its output row: the most that it changed the "
        "stream), its norm (lengths of input and output row multiplied).\n\n"
        "--fires-on without a recording: what the neuron's weights read at the bare word. --raises, --lowers: the "
        "output row through the unembedding, with the sign that the neuron's values have on the whole. --near: "
        "cosine of the two neurons as linear maps of the stream. Of a word of several tokens --fires-on takes the "
        "last, --raises and --lowers the first (docs/method-reading.md, lists of neurons).",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
