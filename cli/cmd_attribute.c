/* cmd_attribute.c: why this token: a logit as an exact sum. */
#include <math.h>
#include <stdlib.h>

#include "attribution.h"

typedef struct work {
  const cli_call *c;
  cli_prompt p;
  sg_attribute_request r;
  sg_attribution *a;
  sg_true_effect *truth; /* (n_truth) of the first neurons by total effect */
  size_t n_truth;
} work;

static void where(const work *w, cli_table *t, const sg_term *x) {
  size_t at = (size_t)(x->kind == SG_TERM_HEAD ? x->source : x->position);
  cli_cell(t, "%s", cli_term_kind(x));
  if (x->kind == SG_TERM_HEAD)
    cli_cell(t, "layer %d head %d from", x->layer, x->head);
  else if (x->kind == SG_TERM_NEURON)
    cli_cell(t, "layer %d channel %d neuron %d", x->layer, x->channel, x->index);
  else if (x->kind == SG_TERM_BIAS)
    cli_cell(t, "layer %d", x->layer);
  else
    cli_cell(t, "%s", "");
  cli_cell(t, "%zu", at);
  cli_cell(t, "%s", cli_token_shown(&w->p, w->p.tokens[at]).s);
}

static void print_terms(const work *w, const char *title, const sg_terms *l, bool whole) {
  size_t top = cli_size(w->c, "top");
  printf("\n%s%s%s", cli_color(stdout, CLI_BOLD), title, cli_color(stdout, CLI_PLAIN));
  if (whole)
    printf(": %zu terms, sum %.6f, residue %.1e of %.4f in absolute terms\n", l->count, l->sum, l->residue, l->sum_abs);
  else
    printf(": %zu of %zu terms\n", l->count < top ? l->count : top, l->count);
  bool truth = l == &w->a->neurons && w->n_truth;
  cli_table *t = cli_table_begin(truth ? "rllrlrrr" : "rllrl");
  cli_cell(t, "effect");
  cli_cell(t, "term");
  cli_cell(t, "%s", "");
  cli_cell(t, "pos");
  cli_cell(t, "token");
  if (truth) {
    cli_cell(t, "true");
    cli_cell(t, "rerouting");
    cli_cell(t, "gates");
  }
  for (size_t i = 0; i < l->count && i < top; i++) {
    cli_cell(t, "%+.5f", l->terms[i].effect);
    where(w, t, &l->terms[i]);
    if (!truth) continue;
    if (i < w->n_truth) {
      cli_cell(t, "%+.5f", w->truth[i].effect);
      cli_cell(t, "%+.5f", w->truth[i].rerouting);
      cli_cell(t, "%zu", w->truth[i].gates_changed);
    } else {
      for (int k = 0; k < 3; k++) cli_cell(t, "%s", "");
    }
  }
  cli_table_end(t);
}

static void print_tables(const work *w) {
  const sg_attribution *a = w->a;
  printf("logit of %s", cli_token_shown(&w->p, a->target).s);
  if (a->against >= 0) printf(" less that of %s", cli_token_shown(&w->p, a->against).s);
  printf(" at position %zu, %s: %.6f\n", a->position, cli_token_shown(&w->p, w->p.tokens[a->position]).s,
         a->target_logit);
  print_terms(w, "Direct effects", &a->direct, true);
  print_terms(w, "Total effects of the input", &a->inputs, true);
  print_terms(w, "Total effects of neurons", &a->neurons, false);
  print_terms(w, "Total effects of heads, by source", &a->heads, false);
}

static sg_status verify(work *w, sg_error *err) {
  size_t n = cli_size(w->c, "verify");
  if (n > w->a->neurons.count) n = w->a->neurons.count;
  w->truth = sgi_alloc((n + 1) * sizeof *w->truth);
  if (!w->truth) return sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  cli_progress progress;
  cli_progress_begin(&progress, "running again", "neurons", (double)n, 0);
  sg_status st = SG_OK;
  for (size_t i = 0; i < n && !st && !cli_stop; i++) {
    st = sg_verify_terms(w->p.model, &w->r, w->a, &w->a->neurons.terms[i], 1, &w->truth[i], err);
    if (!st) w->n_truth = i + 1;
    cli_progress_update(&progress, (double)i + 1, NULL);
  }
  cli_progress_end(&progress);
  return st ? st : cli_stop ? sgi_fail(err, SG_ERR_CANCELLED, "stopped") : SG_OK;
}

static sg_status prepare(work *w, sg_error *err) {
  const char *target = cli_string(w->c, "target"), *against = cli_string(w->c, "against");
  w->r = (sg_attribute_request){.target = -1,
                                .against = -1,
                                .position = (ptrdiff_t)cli_int(w->c, "position"),
                                .max_bytes = cli_size(w->c, "max-memory")};
  sg_status st = cli_prompt_open(&w->p, w->c, err);
  if (!st && target) st = cli_prompt_token(&w->p, target, &w->r.target, err);
  if (!st && against) st = cli_prompt_token(&w->p, against, &w->r.against, err);
  w->r.tokens = w->p.tokens;
  w->r.count = w->p.count;
  return st;
}

static int run(const cli_call *c) {
  sg_error err = {0};
  work w = {.c = c};
  int code = 0;
  cli_signals_install();
  sg_status st = prepare(&w, &err);
  if (!st) st = sg_attribute(w.p.model, &w.r, &w.a, &err);
  if (!st) st = verify(&w, &err);
  if (!st) {
    if (cli_flag(c, "json"))
      code = cli_json(
          cli_attribution_json(&w.p, w.a, cli_flag(c, "all") ? SIZE_MAX : cli_size(c, "top"), w.truth, w.n_truth));
    else
      print_tables(&w);
    st = sg_attribution_check(w.a, &err);
  }
  if (st) code = cli_stop ? 128 + cli_stop : cli_fail(&err);
  sg_attribution_free(w.a);
  sgi_free(w.truth);
  cli_prompt_close(&w.p);
  return code;
}

static const cli_option options[] = {
    CLI_PROMPT_OPTIONS,
    {.name = "target",
     .type = CLI_STRING,
     .argument = "TOKEN",
     .value_text = "the most probable",
     .help = "token whose logit is explained: its text, or id:N"},
    {.name = "against",
     .type = CLI_STRING,
     .argument = "TOKEN",
     .help = "explain the difference to this token's logit"},
    CLI_POSITION_OPTION,
    {.name = "top",
     .letter = 'n',
     .type = CLI_SIZE,
     .argument = "N",
     .value = "12",
     .help = "terms shown of each list"},
    {.name = "all", .type = CLI_FLAG, .help = "with --json, total effects of all neurons and heads"},
    {.name = "verify",
     .type = CLI_SIZE,
     .argument = "N",
     .value = "0",
     .help = "run again without each of the N neurons of largest total effect"},
    {.name = "max-memory",
     .type = CLI_BYTES,
     .argument = "BYTES",
     .value = "4G",
     .min = 1,
     .help = "refuse prompts that need more"},
    CLI_MODEL_OPTIONS,
    CLI_JSON_OPTION,
    CLI_END};

const cli_command cli_attribute = {
    .name = "attribute",
    .group = "Reading",
    .summary = "explain a logit as an exact sum over embedding, heads and neurons",
    .usage = "MODEL --prompt TEXT [--target TOKEN] [--against TOKEN] [--verify N]",
    .examples =
        "# why the most probable next token\nsgatlin attribute MODEL --prompt 'The dog was'\n"
        "# why happy and not sad, and what really happens without the ten neurons of largest effect\n"
        "sgatlin attribute MODEL --prompt 'The dog was' --target happy --against sad --verify 10",
    .description =
        "With gates, attention patterns and norm scales held at what the prompt made them, the network is linear, and "
        "the "
        "logit is a sum. Direct effects: what the embedding, every head (by source position), every chosen neuron and "
        "every "
        "bias add to the stream at the position, read by the logit. Total effects: what the input tokens, and every "
        "neuron, "
        "do to the logit by all ways through later layers.\n\n"
        "Sum and residue are printed; a residue above 1e-5 of the sum of absolute terms is an error. JSON: "
        "target_logit, sum, "
        "residue, sum_abs, terms (direct), total (the input's), neurons, heads.\n\n"
        "--verify: \"true\" is the change when the prompt is run without the neuron; \"rerouting\" the part of it made "
        "by gates "
        "that changed, \"gates\" how many did.",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
