/* cmd_enrich.c: how much of what is true of a subject its own positions speak of, level by
 * level. */
#include <string.h>

#include "curves.h"
#include "own_text.h"
#include "subjects.h"
#include "text_form.h"

enum { MOST_PLACES = 16 };

static void row(cli_table *t, const char *name, const json_t *o, const char *key, const char *error_key, size_t n) {
  double x[CLI_SUBJECTS_SHOWN], error[CLI_SUBJECTS_SHOWN];
  cli_cell(t, "%s", name);
  sgi_field_reals(o, key, x, n);
  sgi_field_reals(o, error_key, error, n);
  for (size_t l = 0; l < n; l++) {
    if (x[l] >= 0)
      cli_cell(t, "%.2f (%.2f)", x[l], error[l]);
    else
      cli_cell(t, "-");
  }
}

static size_t layers_of(const json_t *o) {
  return json_array_size(json_object_get(json_object_get(o, "attention"), "rate"));
}

static void print(const void *user, const json_t *o) {
  const json_t *places = json_object_get(o, "places");
  size_t shown, window = sgi_field_size(o, "window");
  char name[64];
  (void)user;
  const json_t *text = json_object_get(o, "documents");
  if (text)
    printf("%zu of %zu documents name %zu subjects; attributes: their other words, %.1f tokens a subject\n\n",
           sgi_field_size(text, "naming"), sgi_field_size(text, "read"), sgi_field_size(text, "subjects"),
           sgi_field_real(text, "attributes"));
  printf("attributes among the best tokens, in per cent (standard error):\n\n");
  cli_table *t = cli_subjects_table("at", "level", layers_of(o) + 1, &shown);
  for (size_t i = 0; i < json_array_size(places); i++) {
    const json_t *place = json_array_get(places, i);
    row(t, sgi_field_word(place, "place"), place, "rate", "error", shown);
    snprintf(name, sizeof name, "%s, another's", sgi_field_word(place, "place"));
    row(t, name, place, "other", "other_error", shown);
  }
  cli_table_end(t);
  printf("\nat subject_last, level %zu, with %zu %s from each on adding nothing (uncut %.2f):\n\n",
         sgi_field_size(o, "level"), window, window == 1 ? "layer" : "layers", sgi_field_real(o, "uncut"));
  t = cli_subjects_table("cut", "layer", layers_of(o), &shown);
  row(t, "attention", json_object_get(o, "attention"), "rate", "error", shown);
  row(t, "feedforward", json_object_get(o, "feedforward"), "rate", "error", shown);
  cli_table_end(t);
}

static sg_status figure(const json_t *o, const char *path, sg_error *err) {
  const json_t *places = json_object_get(o, "places");
  size_t levels = layers_of(o) + 1, n = json_array_size(places);
  cli_curve curves[2 * MOST_PLACES];
  cli_curves f = {.title = "What is true of a subject among the best tokens",
                  .x = "level (0: embedding)",
                  .y = "attributes rate, %",
                  .curves = curves,
                  .whole_x = true};
  double *x = cli_subjects_axis(levels, 4 * n, err), *y = x;
  if (!x) return SG_ERR_MEMORY;
  for (size_t i = 0; i < 2 * n && i < 2 * MOST_PLACES; i++) {
    const json_t *place = json_array_get(places, i / 2);
    const char *name = sgi_field_word(place, "place");
    bool other = i % 2;
    if (other && strcmp(name, "subject_last") && strcmp(name, "last")) continue;
    cli_curve *to = &curves[f.n++];
    y += levels;
    *to = (cli_curve){.x = x, .y = y, .error = y + levels, .n = levels, .dashed = other || !strcmp(name, "random")};
    sgi_field_reals(place, other ? "other" : "rate", y, levels);
    sgi_field_reals(place, other ? "other_error" : "error", y += levels, levels);
    snprintf(to->name, sizeof to->name, "%s%s", name, other ? ", another's" : "");
  }
  sg_status st = cli_curves_save(&f, path, err);
  sgi_free(x);
  return st;
}

static bool go_on(void *unused) {
  (void)unused;
  return !cli_stop;
}

static sg_status open_documents(const cli_call *c, const sgi_prompt *p, sgi_corpus **out, sg_error *err) {
  cli_text text = {0};
  sg_status st = cli_text_needs(p->tokenizer, p->directory, err);
  if (!st)
    st = cli_text_corpus(c, "train", p->tokenizer, sg_model_config(p->model)->eos_id, NULL, NULL, &text, out, err);
  cli_text_free(&text);
  return st;
}

static int run(const cli_call *c) {
  sg_error err = {0};
  cli_subjects s;
  sgi_corpus *corpus = NULL;
  json_t *answer = NULL;
  sgi_enrich_lists lists = {.top = cli_size(c, "top"),
                            .raw = cli_choice(c, "lens") == 1,
                            .window = cli_size(c, "window"),
                            .read = cli_is_set(c, "at") ? (ptrdiff_t)cli_size(c, "at") : -1,
                            .path = cli_string(c, "data"),
                            .go_on = go_on};
  cli_signals_install();
  sg_status st = cli_subjects_open(&s, c, &err);
  if (!st && lists.path) st = open_documents(c, &s.p, &corpus, &err);
  lists.documents = corpus;
  if (!st) st = sgi_enrich_report(&s.facts, &lists, &answer, &err);
  if (!st && cli_string(c, "svg")) st = figure(answer, cli_string(c, "svg"), &err);
  int code = cli_subjects_answer(&s, st, &err, answer, print, NULL);
  sgi_text_close(corpus);
  cli_subjects_close(&s);
  return code;
}

static const cli_option options[] = {CLI_SUBJECTS_OPTIONS,
                                     {.name = "top",
                                      .letter = 'n',
                                      .type = CLI_SIZE,
                                      .argument = "N",
                                      .value = "50",
                                      .min = 1,
                                      .max = 500,
                                      .help = "best tokens that are looked at, stop words left out"},
                                     {.name = "lens",
                                      .type = CLI_CHOICE,
                                      .argument = "gain|raw",
                                      .value = "gain",
                                      .help = "tokens by E (g * x), with the final norm's gain, or by E x"},
                                     {.name = "at",
                                      .type = CLI_SIZE,
                                      .argument = "L",
                                      .max = INT32_MAX,
                                      .value_text = "the last",
                                      .help = "layer behind which is read where others are cut"},
                                     {.name = "window",
                                      .letter = 'w',
                                      .type = CLI_SIZE,
                                      .argument = "K",
                                      .value_text = "9 of 48 layers, 1 at least",
                                      .help = "layers that are cut together, from each on"},
                                     {.name = "data",
                                      .letter = 'd',
                                      .type = CLI_STRING,
                                      .argument = "PATH",
                                      .value_text = "answers of the facts",
                                      .help = "attributes: tokens of this text's documents that name the subject"},
                                     CLI_FORM_OPTIONS,
                                     CLI_MODEL_OPTIONS,
                                     CLI_JSON_OPTION,
                                     CLI_END};

const cli_command cli_enrich = {
    .name = "enrich",
    .group = "Reading",
    .summary = "how much of what is true of a subject its positions speak of, layer by layer",
    .usage = "MODEL --facts FACTS.json [--data PATH] [--top N] [--lens gain|raw] [--svg FILE]",
    .examples =
        "# the built-in corpus\n"
        "sgatlin enrich run --facts worlds/facts.json --svg enrich.svg\n"
        "# ten best tokens, read behind layer 1 where others are cut\n"
        "sgatlin enrich run --facts worlds/facts.json --top 10 --at 1\n"
        "# attributes out of documents that name the subject\n"
        "sgatlin enrich run --facts facts.json --data stories",
    .description =
        "Attributes of a subject are the first tokens of its true answers of all types; with --data all tokens of the "
        "documents that name it, less stop words and its own, and prompts of subjects that none names are left out. "
        "The rate is their share among "
        "the best tokens of the stream (stop words, special tokens and those of fewer than three letters left out), "
        "at the subject's last and first position, behind it and at the end; level 0 is the embedding. Controls: the "
        "attributes of another subject of the same type (what any such subject would have), and a random other "
        "position. Then attention or feedforward of some layers adds nothing, and the rate is read again.\n\n"
        "JSON: places with rate, error, other; attention and feedforward with rate, error, drop; with "
        "--data documents: read, naming, subjects, attributes.",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
