/* cmd_lens.c: what the output head would say after each layer, and how likely each has a word. */
#include "prompt.h"
#include "report/lens.h"

typedef struct work {
  const cli_call *c;
  sgi_prompt p;
  sgi_word word;
  size_t position;
} work;

static sg_status look(work *w, json_t **out, sg_error *err) {
  const cli_call *c = w->c;
  const char *target = cli_string(c, "target");
  cli_progress bar;
  sg_status st = cli_prompt_open(&w->p, c, err);
  if (!st) st = sgi_prompt_at(&w->p, cli_int(c, "position"), &w->position, err);
  if (!st && target) st = sgi_word_read(&w->p, target, (ptrdiff_t)w->position, &w->word, err);
  if (st) return st;
  const sgi_lens_request q = {.p = &w->p,
                              .top = cli_size(c, "top"),
                              .target = target ? &w->word : NULL,
                              .position = w->position,
                              .progress = cli_progress_advance,
                              .user = &bar};
  cli_progress_begin(&bar, "reading", "layers", (double)sg_model_config(w->p.model)->num_layers + 1, 0);
  st = sgi_lens_report(&q, out, err);
  cli_progress_end(&bar);
  return st;
}

/* "after layer 2" */
static void site_cell(cli_table *t, size_t level) {
  if (level)
    cli_cell(t, "after layer %zu", level - 1);
  else
    cli_cell(t, "embedding");
}

static void print_word(const work *w, const json_t *target) {
  const json_t *layers = json_object_get(target, "layers");
  printf("\n%s%s behind it: probability %.3g%s\n", cli_color(stdout, CLI_BOLD),
         sgi_word_shown(&w->p, w->word.ids, w->word.n).s,
         sgi_field_real(json_object_get(target, "word"), "probability"), cli_color(stdout, CLI_PLAIN));
  cli_table *t = cli_table_begin("lrrrr");
  cli_cell(t, "read"), cli_cell(t, "log probability"), cli_cell(t, "probability"), cli_cell(t, "logit");
  cli_cell(t, w->word.n > 1 ? "rank of its first token" : "rank");
  for (size_t l = json_array_size(layers); l-- > 0;) {
    const json_t *x = json_array_get(layers, l);
    site_cell(t, l);
    cli_cell(t, "%.4f", sgi_field_real(x, "log_probability"));
    cli_cell(t, "%.4f", sgi_field_real(x, "probability"));
    cli_cell(t, "%+.4f", sgi_field_real(x, "logit"));
    cli_cell(t, "%zu", sgi_field_size(x, "rank") + 1);
  }
  cli_table_end(t);
}

static void print(const void *user, const json_t *o) {
  const work *w = user;
  const json_t *layers = json_object_get(o, "layers");
  size_t top = cli_size(w->c, "top");
  top = top < 8 ? top : 8;
  printf("%sAt position %zu, %s%s: most probable next tokens, read after each layer\n", cli_color(stdout, CLI_BOLD),
         w->position, sgi_token_shown(&w->p, w->p.tokens[w->position]).s, cli_color(stdout, CLI_PLAIN));
  char align[16] = "l";
  for (size_t i = 0; i < top; i++) align[i + 1] = 'l', align[i + 2] = 0;
  cli_table *t = cli_table_begin(align);
  cli_cell(t, "read");
  for (size_t i = 0; i < top; i++) cli_cell(t, "%s", i ? "" : "likeliest");
  for (size_t l = json_array_size(layers); l-- > 0;) {
    const json_t *cell = json_array_get(json_object_get(json_array_get(layers, l), "predictions"), w->position);
    site_cell(t, l);
    for (size_t i = 0; i < top; i++) {
      const json_t *x = json_array_get(cell, i);
      if (x)
        cli_cell(t, "%s %.1f%%", sgi_token_shown(&w->p, (int32_t)sgi_field_size(x, "id")).s,
                 100 * sgi_field_real(x, "probability"));
      else
        cli_cell(t, "%s", "");
    }
  }
  cli_table_end(t);
  if (json_object_get(o, "target")) print_word(w, json_object_get(o, "target"));
}

static int run(const cli_call *c) {
  sg_error err = {0};
  work w = {.c = c};
  json_t *o = NULL;
  cli_signals_install();
  sg_status st = look(&w, &o, &err);
  int code = cli_answer(c, st, &err, o, print, &w);
  sgi_word_free(&w.word);
  cli_prompt_close(&w.p);
  return code;
}

static const cli_option options[] = {CLI_PROMPT_OPTIONS,
                                     CLI_POSITION_OPTION,
                                     {.name = "target",
                                      .type = CLI_STRING,
                                      .argument = "WORD",
                                      .help = "a token, word or phrase: also how likely each layer has it"},
                                     {.name = "top",
                                      .letter = 'n',
                                      .type = CLI_SIZE,
                                      .argument = "N",
                                      .value = "4",
                                      .min = 1,
                                      .max = 100,
                                      .help = "most probable tokens of each place"},
                                     CLI_MODEL_OPTIONS,
                                     CLI_JSON_OPTION,
                                     CLI_END};

const cli_command cli_lens = {
    .name = "lens",
    .group = "Reading",
    .summary = "what the model would say if it stopped after each layer",
    .usage = "MODEL TEXT [--target WORD] [--position N]",
    .examples =
        "# where does the prediction come up?\nsgatlin lens RUN \"Noah's favourite food was\"\n"
        "# a word of several tokens: its log probability, layer by layer\n"
        "sgatlin lens RUN \"Noah's favourite food was\" --target macaroni\n"
        "# every position, for a script\nsgatlin lens MODEL \"Once upon a time\" --top 1 --json",
    .description =
        "Logit lens: the residual stream that each layer leaves goes through the final norm and the output head. The "
        "last row is the prediction itself; the embedding's mostly says the token that was read.\n\n"
        "With --target the model runs along the word, and each level is read at the places of its tokens: the log "
        "probability is the sum over them, and the last level's is the word's own.\n\n"
        "--json keys: tokens; layers: site and, for every position, predictions (id, text, probability, logit); "
        "target: word (text, ids, log_probability, probability), position, layers (site, log_probability, "
        "probability, logit, rank of the first token, counted from 0; the table counts from 1).",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .also = "prompt",
    .run = run,
};
