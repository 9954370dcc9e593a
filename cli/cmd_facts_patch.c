/* cmd_facts_patch.c: what the gates at a noun carry of what follows it. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "prompt.h"
#include "report/patches.h"

typedef struct work {
  const cli_call *c;
  sgi_prompt p;
  sg_facts *facts;
  size_t nouns, n_distinct; /* before and after the choice of nouns that share no answer */
  bool proven;
  bool *layers; /* (n_sets,L) */
  size_t L, n_sets;
  sg_interventions *runs;
  sg_intervention_summary *summaries; /* (n_sets) */
  cli_progress progress;
} work;

/* ---- sets of layers -------------------------------------------------------------------------- */

/* "0,2-4" or "all" into set (L). */
static sg_status parse_set(const char *text, size_t L, bool *set, sg_error *err) {
  if (!strcmp(text, "all")) {
    for (size_t l = 0; l < L; l++) set[l] = true;
    return SG_OK;
  }
  for (const char *at = text;; at++) {
    size_t bounds[2];
    for (int k = 0; k < 2; k++) {
      char *end;
      if (*at < '0' || *at > '9')
        return sgi_fail(err, SG_ERR_ARG, "--layers \"%s\": expected numbers and ranges such as 0,2-4, or all", text);
      errno = 0;
      bounds[k] = strtoul(at, &end, 10);
      if (errno || bounds[k] >= L)
        return sgi_fail(err, SG_ERR_ARG, "--layers \"%s\": the model has layers 0 to %zu", text, L - 1);
      at = end;
      if (!k) bounds[1] = bounds[0];
      if (k || *at != '-') break;
      at++;
    }
    for (size_t l = bounds[0]; l <= bounds[1]; l++) set[l] = true;
    if (!*at) return SG_OK;
    if (*at != ',') return sgi_fail(err, SG_ERR_ARG, "--layers \"%s\": expected a comma before \"%s\"", text, at);
  }
}

/* As given; by default each layer alone, then all. */
static sg_status choose_sets(work *w, sg_error *err) {
  size_t n;
  const char *const *list = cli_list(w->c, "layers", &n);
  w->L = sg_model_config(w->p.model)->num_layers;
  bool embedding = cli_choice(w->c, "what") == SG_PATCH_EMBEDDING;
  if (cli_is_set(w->c, "seed") && cli_choice(w->c, "from") != 1)
    return sgi_fail(err, SG_ERR_ARG, "--seed draws the third noun of --from another, which was not asked for");
  if (embedding && n) return sgi_fail(err, SG_ERR_ARG, "--layers: the embedding stands before the first layer");
  w->n_sets = n ? n : embedding ? 1 : w->L + (w->L > 1);
  w->layers = sgi_alloc(w->n_sets * w->L);
  if (!w->layers) return sgi_fail(err, SG_ERR_MEMORY, "out of memory for %zu sets of layers", w->n_sets);
  sg_status st = SG_OK;
  for (size_t s = 0; s < w->n_sets && !st; s++) {
    bool *set = w->layers + s * w->L;
    if (n)
      st = parse_set(list[s], w->L, set, err);
    else
      for (size_t l = 0; l < w->L; l++) set[l] = !embedding && (s == w->L || s == l);
  }
  return st;
}

static void set_name(const work *w, size_t set, char *out, size_t size) {
  *out = 0;
  for (size_t l = 0; l < w->L; l++)
    if (w->layers[set * w->L + l]) snprintf(out + strlen(out), size - strlen(out), "%s%zu", *out ? "," : "", l);
}

/* ---- runs ------------------------------------------------------------------------------------ */

/* The nouns of --noun into chosen, ascending. */
static sg_status named_nouns(work *w, const char *const *names, size_t n, size_t *chosen, sg_error *err) {
  w->n_distinct = 0;
  for (size_t k = 0; k < n; k++) {
    bool known = false;
    for (size_t i = 0; i < w->nouns && !known; i++) known = !strcmp(sg_facts_noun(w->facts, i).text, names[k]);
    if (!known) return sgi_fail(err, SG_ERR_ARG, "--noun %s: no fact is known of it", names[k]);
  }
  for (size_t i = 0; i < w->nouns; i++)
    for (size_t k = 0; k < n; k++) {
      if (strcmp(sg_facts_noun(w->facts, i).text, names[k])) continue;
      chosen[w->n_distinct++] = i;
      break;
    }
  return SG_OK;
}

static sg_status choose_nouns(work *w, sg_error *err) {
  sg_status st = sg_facts_load(cli_string(w->c, "facts"), cli_string(w->c, "type"), &w->facts, err);
  if (!st) st = sg_facts_list(w->facts, cli_size(w->c, "min-count"), err);
  if (st) return st;
  w->nouns = w->n_distinct = sg_facts_count(w->facts);
  w->proven = true;
  size_t n_names;
  const char *const *names = cli_list(w->c, "noun", &n_names);
  if (cli_flag(w->c, "all-nouns") && !n_names) return SG_OK;
  size_t *chosen = sgi_alloc((w->nouns + 1) * sizeof *chosen);
  if (!chosen) return sgi_fail(err, SG_ERR_MEMORY, "out of memory for %zu nouns", w->nouns);
  if (n_names)
    st = named_nouns(w, names, n_names, chosen, err);
  else
    st = sg_facts_distinct(w->facts, 1000000 * (uint64_t)cli_size(w->c, "effort"), chosen, &w->n_distinct, &w->proven,
                           err);
  if (!st) sg_facts_select(w->facts, chosen, w->n_distinct);
  sgi_free(chosen);
  return st;
}

static sg_status patch(work *w, sg_error *err) {
  sg_status st = cli_prompt_open_model(&w->p, w->c, err);
  if (!st && !w->p.tokenizer)
    st = sgi_fail(err, SG_ERR_ARG, "%s has no tokenizer.json: facts are text", w->p.directory);
  if (!st) st = choose_sets(w, err);
  if (!st) st = choose_nouns(w, err);
  if (st) return st;
  sg_intervention_request r = {.facts = w->facts,
                               .tokenizer = w->p.tokenizer,
                               .top_answers = cli_size(w->c, "answers"),
                               .layers = w->layers,
                               .n_sets = w->n_sets,
                               .at_last = cli_choice(w->c, "at") == 1,
                               .words = cli_flag(w->c, "words"),
                               .what = (sg_patch_what)cli_choice(w->c, "what"),
                               .from_another = cli_choice(w->c, "from") == 1,
                               .seed = cli_u64(w->c, "seed"),
                               .progress = cli_progress_advance,
                               .user = &w->progress};
  cli_progress_begin(&w->progress, "patching", "runs", 0, 0);
  st = sg_interventions_run(w->p.model, &r, &w->runs, err);
  cli_progress_end(&w->progress);
  if (!st && !(w->summaries = sgi_alloc(w->n_sets * sizeof *w->summaries)))
    st = sgi_fail_memory(err, w->n_sets * sizeof *w->summaries, "figures");
  for (size_t s = 0; s < w->n_sets && !st; s++) st = sg_interventions_summary(w->runs, s, &w->summaries[s], err);
  return st;
}

/* ---- results --------------------------------------------------------------------------------- */

static sgi_patches patches_of(const work *w) {
  return (sgi_patches){.prompt = &w->p,
                       .facts = w->facts,
                       .runs = w->runs,
                       .layers = w->layers,
                       .L = w->L,
                       .nouns = w->nouns,
                       .n_distinct = w->n_distinct,
                       .proven = w->proven,
                       .at_last = cli_choice(w->c, "at") == 1,
                       .what = (sg_patch_what)cli_choice(w->c, "what"),
                       .from_another = cli_choice(w->c, "from") == 1,
                       .pairs = cli_flag(w->c, "pairs")};
}

static void print_pairs(const work *w, size_t set) {
  sgi_patches all = patches_of(w);
  char name[256];
  set_name(w, set, name, sizeof name);
  printf(*name ? "\nlayers %s\n" : "\nembedding%s\n", name);
  cli_table *t = cli_table_begin("llrrrrl");
  const char *const head[] = {"clean", "counterfactual", "d clean", "d counterf.", "d patched", "recovered", "flip"};
  for (size_t i = 0; i < SGI_COUNT(head); i++) cli_cell(t, "%s", head[i]);
  for (size_t i = 0; i < w->runs->n_pairs; i++) {
    const sg_intervention *x = &w->runs->results[set * w->runs->n_pairs + i];
    cli_cell(t, "%s", sgi_patches_noun(&all, w->runs->pairs[i][0]));
    cli_cell(t, "%s", sgi_patches_noun(&all, w->runs->pairs[i][1]));
    cli_cell(t, "%.4f", x->clean);
    cli_cell(t, "%.4f", x->counterfactual);
    cli_cell(t, "%.4f", x->patched);
    if (x->correct_clean && x->correct_counterfactual)
      cli_cell(t, "%.4f", x->recovered);
    else
      cli_cell(t, "unknown"); /* one of the facts: nothing to recover */
    cli_cell(t, "%s", x->rank_flip ? "yes" : "");
  }
  cli_table_end(t);
}

static void number(cli_table *t, double x) { cli_cell(t, isfinite(x) ? "%.4f" : "-", x); }

static void print_sets(const work *w) {
  cli_table *t = cli_table_begin("lrrrrrr");
  const char *const head[] = {"layers", "d clean", "d patched", "recovered", "median", "reference's mean", "rank flip"};
  for (size_t i = 0; i < SGI_COUNT(head); i++) cli_cell(t, "%s", head[i]);
  for (size_t s = 0; s < w->n_sets; s++) {
    char name[256];
    const sg_intervention_summary *k = &w->summaries[s];
    set_name(w, s, name, sizeof name);
    cli_cell(t, "%s", *name ? name : "embedding");
    const double x[] = {k->clean, k->patched, k->recovered, k->median_recovered, k->reference_mean, k->rank_flip};
    for (size_t i = 0; i < SGI_COUNT(x); i++) number(t, x[i]);
  }
  cli_table_end(t);
}

static void print_tables(const work *w) {
  const sg_interventions *r = w->runs;
  const sg_intervention_summary *first = w->summaries;
  printf("%zu nouns, ", w->nouns);
  size_t n_names;
  cli_list(w->c, "noun", &n_names);
  if (n_names)
    printf("%zu chosen, ", w->n_distinct);
  else if (!cli_flag(w->c, "all-nouns"))
    printf("%zu that share no answer%s, ", w->n_distinct, w->proven ? "" : " (the search met its bound: see --effort)");
  printf("%zu of %s: %zu pairs\n", r->n_prompts, cli_flag(w->c, "words") ? "words" : "single tokens", r->n_pairs);
  printf("%zu pairs whose facts the model both knows; %zu others are left out of all columns but the reference's\n\n",
         first->known, first->pairs - first->known);
  print_sets(w);
  for (size_t s = 0; s < w->n_sets && cli_flag(w->c, "pairs"); s++) print_pairs(w, s);
}

static int run(const cli_call *c) {
  sg_error err = {0};
  work w = {.c = c};
  cli_signals_install();
  sg_status st = patch(&w, &err);
  int code = 0;
  if (st)
    code = cli_end(st, &err);
  else if (cli_flag(c, "json")) {
    sgi_patches all = patches_of(&w);
    code = cli_json(sgi_patches_json(&all));
  } else
    print_tables(&w);
  sgi_free(w.summaries);
  sg_interventions_free(w.runs);
  sg_facts_free(w.facts);
  sgi_free(w.layers);
  cli_prompt_close(&w.p);
  return code;
}

static const cli_option options[] = {
    {.name = "facts",
     .letter = 'f',
     .required = true,
     .type = CLI_STRING,
     .argument = "FACTS.json",
     .help = "from 'facts mine -o', or facts.json of 'data worlds'"},
    {.name = "type",
     .type = CLI_STRING,
     .argument = "TYPE",
     .value_text = "quality",
     .help = "which facts of worlds: quality, home, food or pet"},
    {.name = "min-count",
     .letter = 'm',
     .type = CLI_SIZE,
     .argument = "N",
     .value = "1",
     .help = "leave out rarer facts"},
    {.name = "words",
     .type = CLI_FLAG,
     .help = "nouns and answers of several tokens, too: log probabilities along each answer"},
    {.name = "all-nouns", .type = CLI_FLAG, .help = "take nouns that share answers, too"},
    {.name = "noun",
     .type = CLI_LIST,
     .argument = "NOUN",
     .help = "take this noun and the others named so, whether they share answers or not"},
    {.name = "answers",
     .letter = 'a',
     .type = CLI_SIZE,
     .argument = "N",
     .value = "1",
     .min = 1,
     .max = 64,
     .help = "answers of a noun that count, the most frequent first; nouns with fewer are left out"},
    {.name = "layers",
     .letter = 'l',
     .type = CLI_LIST,
     .argument = "SET",
     .value_text = "each alone, then all",
     .help = "layers patched together, such as 0,2-4 or all"},
    {.name = "at",
     .type = CLI_CHOICE,
     .argument = "noun|last",
     .value = "noun",
     .help = "position that is patched; last is the one measured"},
    {.name = "what",
     .type = CLI_CHOICE,
     .argument = "gates|neurons|embedding",
     .value = "gates",
     .help = "what is put over: which neurons are chosen and their scores; those and what they are worth, of any kind; "
             "or the noun's embedding"},
    {.name = "from",
     .type = CLI_CHOICE,
     .argument = "counterfactual|another",
     .value = "counterfactual",
     .help = "whose: the counterfactual noun's, or, as a control, a third one's"},
    {.name = "seed", .type = CLI_U64, .argument = "N", .value = "0", .help = "draws the third noun of --from another"},
    {.name = "effort",
     .type = CLI_SIZE,
     .argument = "N",
     .value = "1000",
     .min = 1,
     .max = 1e9,
     .help = "bound of the search for nouns that share no answer, as in 'facts mine'"},
    {.name = "pairs", .type = CLI_FLAG, .help = "list every pair"},
    CLI_MODEL_OPTIONS,
    CLI_JSON_OPTION,
    CLI_END};

const cli_command cli_facts_patch = {
    .name = "facts patch",
    .group = "Reading",
    .summary = "put one noun's gates into another's run and measure what follows",
    .usage = "MODEL --facts FACTS.json [--layers SET]... [--answers N]",
    .examples =
        "# mined facts: every pair, each layer alone and all together\nsgatlin facts mine worlds/train.txt -o "
        "facts.json\n"
        "sgatlin facts patch run --facts facts.json\n"
        "# the known facts of worlds: who lives where, layers 1 to 3 together\nsgatlin facts patch run --facts "
        "worlds/facts.json --type home --layers 1-3 --pairs\n"
        "# what neurons carry in any kind, and a control\nsgatlin facts patch run --facts facts.json --what neurons "
        "--from another",
    .description =
        "For each ordered pair of nouns whose prompts have equal length, the gates (chosen neurons and scores) that "
        "the "
        "counterfactual noun has in its own run are put into the clean noun's run, in the given layers. d is the "
        "log-sum-exp of the clean noun's answers less that of the counterfactual noun's, at the last position; "
        "recovered "
        "is (d clean - d patched) / (d clean - d counterfactual): 0 where the patch does nothing, 1 where it moves the "
        "prediction all the way.\n\n"
        "A row is of the pairs whose two facts the model knows (d clean above 0, d counterfactual below); the others "
        "have "
        "nothing to recover, and a denominator that may be near 0. d are means, recovered is the ratio of their sums, "
        "median "
        "that of the pairs' own ratios. The reference's mean is that of the ratios of all pairs: a few may decide it. "
        "--json has the reference's other means, too.\n\n"
        "Only nouns and answers of a single token take part, unless --words is given: then all positions of a noun are "
        "patched, and an answer counts by the log probability of its tokens, the model run along it. Gates are "
        "those of kinds with a router (sgatlin, peer, monet); --what neurons works for every kind.",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
