/* cmd_attribute.c: why this token: a logit as an exact sum. */
#include <math.h>
#include <stdlib.h>

#include "prompt.h"
#include "report/attribution.h"
#include "report/continuation.h"
#include "into.h"

typedef struct work {
  const cli_call *c;
  sgi_prompt p;
  sg_attribute_request r;
  sgi_word target, against;
  sg_phrase_request words; /* of several tokens: then */
  sg_phrase *phrase;
  const sg_attribution *a; /* own, or the phrase's sum */
  sg_attribution *own;
  const int32_t *tokens; /* that its positions count */
  sg_true_effect *truth; /* (n_truth) of the first neurons by total effect */
  size_t n_truth;
  sg_exact *exact; /* with --true */
  cli_into into;   /* with --into */
} work;

static void where(const work *w, cli_table *t, const sg_term *x) {
  bool by_source = x->kind == SG_TERM_HEAD && x->source >= 0;
  size_t at = (size_t)(by_source ? x->source : x->position);
  cli_cell(t, "%s", sgi_term_kind(x));
  if (x->kind == SG_TERM_HEAD)
    cli_cell(t, "layer %d head %d%s", x->layer, x->head, by_source ? " from" : "");
  else if (x->kind == SG_TERM_NEURON)
    cli_neuron_cell(t, &w->p, x->layer, x->channel, x->index);
  else if (x->kind == SG_TERM_BIAS)
    cli_cell(t, "layer %d", x->layer);
  else
    cli_cell(t, "%s", "");
  cli_cell(t, "%zu", at);
  cli_cell(t, "%s", sgi_token_shown(&w->p, w->tokens[at]).s);
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

/* The phrase's tokens, one a row, and how each token's sums stand. */
static void print_parts(const work *w) {
  const sg_phrase *x = w->phrase;
  printf("logits of %s", sgi_word_shown(&w->p, w->target.ids, w->target.n).s);
  if (w->against.n) printf(" less those of %s", sgi_word_shown(&w->p, w->against.ids, w->against.n).s);
  printf(" behind position %zu, %s: %.6f\n", w->a->position, sgi_token_shown(&w->p, w->tokens[w->a->position]).s,
         w->a->target_logit);
  printf("probability of %s: %.4g", sgi_word_shown(&w->p, w->target.ids, w->target.n).s, exp(x->log_probability));
  if (w->against.n)
    printf("; of %s: %.4g", sgi_word_shown(&w->p, w->against.ids, w->against.n).s, exp(x->against_log_probability));
  putchar('\n');
  cli_table *t = cli_table_begin("lrrrrr");
  cli_cell(t, "token");
  cli_cell(t, "read at");
  cli_cell(t, "logit");
  cli_cell(t, "probability");
  cli_cell(t, "residue");
  cli_cell(t, "of total");
  for (size_t i = 0; i < x->n_parts; i++) {
    const sg_phrase_part *part = &x->parts[i];
    cli_cell(t, "%s%s", part->against ? "less " : "", sgi_token_shown(&w->p, part->token).s);
    cli_cell(t, "%zu", part->position);
    cli_cell(t, "%.6f", part->own->target_logit);
    cli_cell(t, "%.4g", exp(part->log_probability));
    cli_cell(t, "%.1e", part->own->direct.residue);
    cli_cell(t, "%.1e", part->own->inputs.residue);
  }
  cli_table_end(t);
}

static void print_exact(const work *w, const char *title, const char *what, const sg_exact_list *l) {
  size_t top = cli_size(w->c, "top");
  printf("\n%s%s%s: %zu of %zu %s, largest true effect first; linear ones miss %.1f %%, rank correlation %.3f\n",
         cli_color(stdout, CLI_BOLD), title, cli_color(stdout, CLI_PLAIN), l->count < top ? l->count : top, l->count,
         what, 100 * l->rerouting, l->rank);
  cli_table *t = cli_table_begin("rrrllrl");
  static const char *const heads[] = {"true", "linear", "missed", "term", "", "pos", "token"};
  for (size_t i = 0; i < SGI_COUNT(heads); i++) cli_cell(t, "%s", heads[i]);
  for (size_t i = 0; i < l->count && i < top; i++) {
    const sg_exact_effect *e = &l->at[i];
    cli_cell(t, "%+.5f", e->effect);
    cli_cell(t, "%+.5f", e->term.effect);
    cli_cell(t, "%+.5f", e->effect - e->term.effect);
    where(w, t, &e->term);
  }
  cli_table_end(t);
}

static void print_target(const work *w) {
  const sg_attribution *a = w->a;
  printf("logit of %s", sgi_token_shown(&w->p, a->target).s);
  if (a->against >= 0) printf(" less that of %s", sgi_token_shown(&w->p, a->against).s);
  printf(" at position %zu, %s: %.6f\n", a->position, sgi_token_shown(&w->p, w->tokens[a->position]).s,
         a->target_logit);
}

static void print_tables(const work *w) {
  const sg_attribution *a = w->a;
  if (w->phrase)
    print_parts(w);
  else
    print_target(w);
  print_terms(w, "Direct effects", &a->direct, true);
  print_terms(w, "Total effects of the input", &a->inputs, true);
  print_terms(w, "Total effects of neurons", &a->neurons, false);
  print_terms(w, "Total effects of heads, by source", &a->heads, false);
  cli_into_print(&w->into, &w->p);
  if (!w->exact) return;
  print_exact(w, "True effects of neurons", "that fired", &w->exact->neurons);
  print_exact(w, "True effects of heads, by position", "heads", &w->exact->heads);
}

static sg_status exact(work *w, sg_error *err) {
  if (!cli_flag(w->c, "true")) return SG_OK;
  cli_progress progress;
  cli_progress_begin(&progress, "taking out", "neurons and heads", 0, 0);
  sg_exact_request r = {.prompt = w->r, .most = cli_size(w->c, "most")};
  r.prompt.target = w->a->target;
  r.prompt.progress = cli_progress_advance;
  r.prompt.user = &progress;
  sg_status st = sg_exact_create(w->p.model, &r, &w->exact, err);
  cli_progress_end(&progress);
  return st;
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
    const sg_term *term = &w->a->neurons.terms[i];
    st = w->phrase ? sg_phrase_verify(w->p.model, &w->words, w->phrase, term, 1, &w->truth[i], err)
                   : sg_verify_terms(w->p.model, &w->r, w->a, term, 1, &w->truth[i], err);
    if (!st) w->n_truth = i + 1;
    cli_progress_update(&progress, (double)i + 1, NULL);
  }
  cli_progress_end(&progress);
  return st ? st : cli_stop ? sgi_fail(err, SG_ERR_CANCELLED, "stopped") : SG_OK;
}

/* --part: token K of the word alone, along it; the prompt then ends with the tokens before it. */
static sg_status take_part(work *w, sg_error *err) {
  size_t k = cli_size(w->c, "part"), position;
  if (k < 1 || k > w->target.n) return sgi_fail(err, SG_ERR_ARG, "--part %zu: the target has %zu", k, w->target.n);
  if (w->against.n) return sgi_fail(err, SG_ERR_ARG, "--part speaks of the target's token alone: leave --against out");
  sg_status st = sgi_prompt_at(&w->p, w->r.position, &position, err);
  if (!st) st = sgi_word_extend(&w->p, position, &w->target, k - 1, err);
  w->r.position = (ptrdiff_t)(position + k - 1);
  w->r.target = w->target.ids[k - 1];
  return st;
}

static sg_status prepare(work *w, sg_error *err) {
  const char *target = cli_string(w->c, "target"), *against = cli_string(w->c, "against");
  ptrdiff_t position = (ptrdiff_t)cli_int(w->c, "position");
  w->r = (sg_attribute_request){
      .target = -1, .against = -1, .position = position, .max_bytes = cli_size(w->c, "max-memory")};
  sg_status st = cli_prompt_open(&w->p, w->c, err);
  if (!st && target) st = sgi_word_read(&w->p, target, position, &w->target, err);
  if (!st && against) st = sgi_word_read(&w->p, against, position, &w->against, err);
  if (st) return st;
  if (w->target.n) w->r.target = w->target.ids[0];
  if (w->against.n) w->r.against = w->against.ids[0];
  if ((cli_flag(w->c, "true") || cli_string(w->c, "into")) && !cli_is_set(w->c, "part") &&
      (w->target.n > 1 || w->against.n > 1))
    return sgi_fail(err, SG_ERR_ARG, "--true and --into read one token: name one of the word's with --part");
  if ((st = cli_into_parse(&w->into, cli_string(w->c, "into"), err))) return st;
  if (cli_is_set(w->c, "part")) return take_part(w, err);
  return SG_OK;
}

/* Along a phrase where one of both has several tokens; a most probable target is one token. */
static sg_status attribute(work *w, sg_error *err) {
  bool words = !cli_is_set(w->c, "part") && (w->target.n > 1 || w->against.n > 1);
  w->r.tokens = w->tokens = w->p.tokens;
  w->r.count = w->p.count;
  if (!words) {
    sg_status st = sg_attribute(w->p.model, &w->r, &w->own, err);
    w->a = w->own;
    return st;
  }
  sg_status st = w->target.n ? SG_OK : sgi_word_likeliest(&w->p, w->r.position, &w->target, err);
  w->words = (sg_phrase_request){.tokens = w->p.tokens,
                                 .count = w->p.count,
                                 .position = w->r.position,
                                 .target = w->target.ids,
                                 .n_target = w->target.n,
                                 .against = w->against.ids,
                                 .n_against = w->against.n,
                                 .max_bytes = w->r.max_bytes};
  if (!st) st = sg_attribute_phrase(w->p.model, &w->words, &w->phrase, err);
  if (st) return st;
  w->a = &w->phrase->sum;
  w->tokens = w->phrase->tokens;
  return SG_OK;
}

static json_t *as_json(const work *w) {
  size_t top = cli_flag(w->c, "all") ? SIZE_MAX : cli_size(w->c, "top");
  json_t *o = w->phrase ? sgi_phrase_json(&w->p, w->phrase, top, w->truth, w->n_truth)
                        : sgi_attribution_json(&w->p, w->a, top, w->truth, w->n_truth);
  cli_into_json(&w->into, o);
  if (!w->exact || sgi_exact_add(o, &w->p, w->exact, top)) return o;
  json_decref(o);
  return NULL;
}

/* The likeliest token may only begin a word ("why macaroni?" is answered for " m"): says how to ask
 * for all of it. At the end of the context nothing follows, and nothing is said. */
static sg_status tell_word(const work *w, sg_error *err) {
  sgi_continuation word = {.n = 0};
  sg_error full = {0};
  if (w->target.n || w->against.n || !w->p.tokenizer) return SG_OK;
  sg_status st = sgi_continue(&w->p, w->a->position, &w->a->target, 1, cli_stopped, NULL, &word, &full);
  bool meant = st == SG_ERR_CANCELLED || st == SG_ERR_MEMORY;
  if (meant) *err = full;
  if (st) return meant ? st : SG_OK;
  if (word.n < 2 || !word.whole) return SG_OK;
  sgi_shown shown = sgi_word_shown(&w->p, word.ids, word.n);
  cli_note("%s begins %s: --target %s asks why the whole word", sgi_token_shown(&w->p, w->a->target).s, shown.s,
           shown.s);
  return SG_OK;
}

static int run(const cli_call *c) {
  sg_error err = {0};
  work w = {.c = c};
  int code = 0;
  cli_signals_install();
  sg_status st = prepare(&w, &err);
  if (!st) st = attribute(&w, &err);
  if (!st) st = verify(&w, &err);
  if (!st) st = exact(&w, &err);
  if (!st) st = cli_into_run(&w.into, &w.p, &w.r, w.a, cli_size(c, "top"), &err);
  if (!st) {
    if (cli_flag(c, "json"))
      code = cli_json(as_json(&w));
    else
      print_tables(&w);
    st = w.phrase ? sg_phrase_check(w.phrase, &err) : sg_attribution_check(w.a, &err);
    if (!st && !cli_flag(c, "json")) st = tell_word(&w, &err);
  }
  if (st) code = cli_stop ? 128 + cli_stop : cli_fail(&err);
  sg_attribution_free(w.own);
  sg_phrase_free(w.phrase);
  sgi_word_free(&w.target);
  sgi_word_free(&w.against);
  sg_exact_free(w.exact);
  cli_into_free(&w.into);
  sgi_free(w.truth);
  cli_prompt_close(&w.p);
  return code;
}

static const cli_option options[] = {
    CLI_PROMPT_OPTIONS,
    {.name = "target",
     .type = CLI_STRING,
     .argument = "WORD",
     .value_text = "the most probable",
     .help = "token, word or phrase whose logits are explained: its text, or id:N,N,..."},
    {.name = "against", .type = CLI_STRING, .argument = "WORD", .help = "explain the difference to this word's logits"},
    {.name = "part",
     .type = CLI_SIZE,
     .argument = "K",
     .value_text = "all together",
     .help = "token K of the word alone, from 1"},
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
    {.name = "true",
     .type = CLI_FLAG,
     .help = "the true effect of every neuron that fired and of every head, by position: what changes without it"},
    {.name = "most",
     .type = CLI_SIZE,
     .argument = "N",
     .value = "0",
     .help = "with --true, only the N neurons of largest total effect (0: all)"},
    {.name = "into",
     .type = CLI_STRING,
     .argument = "L:C:N@POS",
     .help = "true direct effects on one neuron: layer, channel, number, position (path patching)"},
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
    .usage = "MODEL TEXT [--target WORD] [--against WORD] [--verify N] [--true]",
    .examples =
        "# why the most probable next token\nsgatlin attribute MODEL 'The dog was'\n"
        "# why happy and not sad, and what really happens without the ten neurons of largest effect\n"
        "sgatlin attribute MODEL 'The dog was' --target happy --against sad --verify 10\n"
        "# a word of several tokens\nsgatlin attribute MODEL \"Noah's favourite food was\" --target macaroni\n"
        "# the same for every neuron and head\n"
        "sgatlin attribute MODEL 'The dog was' --true",
    .description =
        "With gates, attention patterns and norm scales held at what the prompt made them, the network is linear, and "
        "the "
        "logit is a sum. Direct effects: what the embedding, every head (by source position), every chosen neuron and "
        "every "
        "bias add to the stream at the position, read by the logit. Total effects: what the input tokens, and every "
        "neuron, "
        "do to the logit by all ways through later layers.\n\n"
        "A target of several tokens is explained by the sum of each token's own sum, the model run along the word: its "
        "tokens, their logits, probabilities and residues come first, then the terms of all together. A text that is "
        "no token is taken as written or with a space in front, whichever the model finds likelier.\n\n"
        "Sum and residue are printed; a residue above 1e-5 of the sum of absolute terms is an error. JSON: "
        "target_logit, sum, "
        "residue, sum_abs, terms (direct), total (the input's), neurons, heads; of a word phrase: target, against, "
        "parts.\n\n"
        "--verify: \"true\" is the change when the prompt is run without the neuron; \"rerouting\" the part of it made "
        "by gates "
        "that changed, \"gates\" how many did.\n\n"
        "--true: the same change for every neuron that fired and every head at every position, made side by side on "
        "what "
        "the runs share, in about a tenth of the time of as many runs. \"missed\" is true less linear: what comes of "
        "gates, patterns and norms that change; over all, its share of the sum of absolute true effects, and the rank "
        "correlation of both. JSON: true (neurons, heads: count, sum_abs, rerouting, rank, terms).\n\n"
        "--into: what each neuron, head and the embedding of that position do to one neuron alone: it runs on the "
        "stream "
        "without the source, all else as it was. \"on its value\" is what its value loses, linear and true, \"effect\" "
        "what the logit loses when only this edge is cut. JSON: into (value, edges: value, effect).",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .also = "prompt",
    .run = run,
};
