/* cmd_minimal.c: the fewest neurons that keep an answer, and the fewest that lose it. */
#include "report/attribution.h"
#include "rows.h"
#include "text_form.h"

typedef struct work {
  const cli_call *c;
  sgi_prompt p;
  sg_minimal_request r;
  sg_minimal *m;
  sg_means *means;
  cli_progress progress;
} work;

enum { ZERO, MEAN };

static sg_status prepare(work *w, sg_error *err) {
  const char *target = cli_string(w->c, "target"), *against = cli_string(w->c, "against");
  sg_attribute_request *q = &w->r.prompt;
  *q = (sg_attribute_request){.target = -1,
                              .against = -1,
                              .position = (ptrdiff_t)cli_int(w->c, "position"),
                              .max_bytes = cli_size(w->c, "max-memory"),
                              .progress = cli_progress_advance,
                              .user = &w->progress};
  w->r.heads = cli_flag(w->c, "heads");
  sg_status st = cli_prompt_open(&w->p, w->c, err);
  if (!st && target) st = sgi_prompt_token(&w->p, target, &q->target, err);
  if (!st && against) st = sgi_prompt_token(&w->p, against, &q->against, err);
  q->tokens = w->p.tokens;
  q->count = w->p.count;
  return st;
}

/* What the neurons do on average in a text: documents as rows, the begin token in front. */
static sg_status read_means(work *w, sg_error *err) {
  const cli_call *c = w->c;
  const sg_config *k = sg_model_config(w->p.model);
  cli_rows rows = {0};
  size_t T = cli_is_set(c, "seq-len") ? cli_size(c, "seq-len") : k->max_position;
  if (cli_choice(c, "others") != MEAN) return SG_OK;
  sg_status st = cli_text_needs(w->p.tokenizer, w->p.directory, err);
  if (!st) st = cli_rows_open(&rows, c, &w->p, T, cli_size(c, "tokens"), err);
  int32_t *ids = st ? NULL : sgi_alloc(rows.B * rows.T * sizeof *ids);
  if (!st && !ids) st = sgi_fail_memory(err, rows.B * rows.T * sizeof *ids, "rows of a text");
  for (size_t i = 0; i < rows.B * rows.T && !st; i++) {
    bool first = i % rows.T == 0, ended = rows.targets[i] == k->pad_id; /* nothing is to come: not counted */
    ids[i] = first ? k->bos_id : ended ? k->pad_id : rows.targets[i - 1];
  }
  sg_means_request q = {.tokens = ids,
                        .rows = rows.B,
                        .T = rows.T,
                        .max_bytes = cli_size(c, "max-memory"),
                        .progress = cli_progress_advance,
                        .user = &w->progress};
  cli_progress_begin(&w->progress, "means", "rows", (double)rows.B, 0);
  if (!st) st = sg_means_create(w->p.model, &q, &w->means, err);
  cli_progress_end(&w->progress);
  w->r.means = w->means;
  sgi_free(ids);
  cli_rows_free(&rows);
  return st;
}

static void print_set(const work *w, const char *what, const char *none, const sg_minimal_set *s) {
  printf("\n%s%s%s: ", cli_color(stdout, CLI_BOLD), what, cli_color(stdout, CLI_PLAIN));
  if (!s->found) {
    printf("%s\n", none);
    return;
  }
  printf("%zu of %zu, margin %+.5f in the run that verifies it (%zu before any was left out again)\n", s->count,
         w->m->population, s->margin, s->first);
  if (!s->count) return;
  cli_table *t = cli_table_begin("rllrl");
  static const char *const heads[] = {"true", "term", "", "pos", "token"};
  for (size_t i = 0; i < SGI_COUNT(heads); i++) cli_cell(t, "%s", heads[i]);
  for (size_t i = 0; i < s->count; i++) {
    const sg_term *x = &s->at[i].term;
    cli_cell(t, "%+.5f", s->at[i].effect);
    cli_cell(t, "%s", sgi_term_kind(x));
    if (x->kind == SG_TERM_HEAD)
      cli_cell(t, "layer %d head %d", x->layer, x->head);
    else
      cli_neuron_cell(t, &w->p, x->layer, x->channel, x->index);
    cli_cell(t, "%d", x->position);
    cli_cell(t, "%s", sgi_token_shown(&w->p, w->p.tokens[x->position]).s);
  }
  cli_table_end(t);
}

static void print(const work *w) {
  const sg_minimal *m = w->m;
  const char *what = w->r.heads ? "neurons and heads" : "neurons";
  printf("%s at position %zu", sgi_token_shown(&w->p, m->target).s, m->position);
  if (m->against >= 0)
    printf(", over %s", sgi_token_shown(&w->p, m->against).s);
  else
    printf(", over every other token");
  printf(": margin %+.5f; with all %zu %s %s %+.5f (%zu runs)\n", m->margin, m->population, what,
         w->means ? "at their mean" : "silent", m->silent, m->runs);
  print_set(w, w->means ? "Enough to keep it, all others at their mean" : "Enough to keep it, all others silent",
            "none", &m->keep);
  print_set(w, w->means ? "Enough to lose it when at their mean" : "Enough to lose it when silent",
            "none: the answer stands with all of them silent", &m->lose);
}

static int run(const cli_call *c) {
  sg_error err = {0};
  work w = {.c = c};
  int code = 0;
  if (cli_choice(c, "others") == ZERO && cli_is_set(c, "data"))
    return cli_usage(c, "--data is the text whose means take the place of what is silent: give --others mean, too");
  cli_signals_install();
  sg_status st = prepare(&w, &err);
  if (!st) st = read_means(&w, &err);
  cli_progress_begin(&w.progress, "running", "runs", 0, 0);
  if (!st) st = sg_minimal_create(w.p.model, &w.r, &w.m, &err);
  cli_progress_end(&w.progress);
  if (!st && cli_flag(c, "json"))
    code = cli_json(sgi_minimal_json(&w.p, w.m, w.means != NULL));
  else if (!st)
    print(&w);
  if (st) code = cli_stop ? 128 + cli_stop : cli_fail(&err);
  sg_minimal_free(w.m);
  sg_means_free(w.means);
  cli_prompt_close(&w.p);
  return code;
}

static const cli_option options[] = {
    CLI_PROMPT_OPTIONS,
    {.name = "target",
     .type = CLI_STRING,
     .argument = "TOKEN",
     .value_text = "the most probable",
     .help = "token that is the answer: its text, or id:N"},
    {.name = "against",
     .type = CLI_STRING,
     .argument = "TOKEN",
     .help = "the answer is that target is above this token (else: above every other)"},
    CLI_POSITION_OPTION,
    {.name = "heads", .type = CLI_FLAG, .help = "heads, by position, can be silent, too"},
    {.name = "others",
     .type = CLI_CHOICE,
     .argument = "zero|mean",
     .value = "zero",
     .help = "what is silent has the value 0, or its mean in a text"},
    CLI_HELD_OUT_OPTION("text of --others mean; a file, or a directory's valid.*"),
    CLI_FORM_OPTIONS,
    {.name = "tokens",
     .type = CLI_SIZE,
     .argument = "N",
     .value = "20000",
     .min = 1,
     .help = "read so many tokens of that text"},
    {.name = "seq-len",
     .type = CLI_SIZE,
     .argument = "T",
     .min = 2,
     .value_text = "the model's",
     .help = "tokens of a row of it"},
    {.name = "max-memory",
     .type = CLI_BYTES,
     .argument = "BYTES",
     .value = "4G",
     .min = 1,
     .help = "refuse prompts that need more"},
    CLI_MODEL_OPTIONS,
    CLI_JSON_OPTION,
    CLI_END};

const cli_command cli_minimal = {
    .name = "minimal",
    .group = "Reading",
    .summary = "the fewest neurons that keep an answer, and the fewest that lose it",
    .usage = "MODEL TEXT [--target TOKEN] [--against TOKEN] [--heads]",
    .examples =
        "# which neurons are enough for the most probable next token\n"
        "sgatlin minimal MODEL 'The dog was'\n"
        "# for happy rather than sad, heads counted as well\n"
        "sgatlin minimal MODEL 'The dog was' --target happy --against sad --heads\n"
        "# what is silent writes what it writes on average in the run's held-out text\n"
        "sgatlin minimal RUN 'The dog was' --others mean",
    .description =
        "Neurons that are silent have the value 0; with all others silent, also those that are chosen only then. Sets "
        "are found by true runs: as many neurons as it takes, largest true effect first (attribute --true), then those "
        "left out again that a run does without, until each that is left is needed; the last run verifies the set. A "
        "greedy search: there may be a smaller set.\n\n"
        "--others mean: what is silent writes what it writes on average in a text (0 where a neuron is not chosen), so "
        "that a layer's constant part is not counted as the answer's; a silent head has its mean mixed values. The "
        "order "
        "in which neurons are tried stays that of their effects at 0.\n\n"
        "The margin is the answer's logit less that of --against, or the largest other one; above 0 the answer stands. "
        "JSON: others, population, margin, silent (the margin with everything silent), runs, keep and lose (null where "
        "there "
        "is none): count, first, margin, terms.",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .also = "prompt",
    .run = run,
};
