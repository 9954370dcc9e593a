/* cmd_benchmark_reading.c: models scored against the truth that worlds knows, by kind, with the
 * spread over seeds. */
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "model.h"
#include "report/reading_score.h"

static void begun(void *user) {
  cli_progress *bar = user;
  cli_progress_begin(bar, "scoring", "models", bar->total, 0);
}

static void scored(void *user, size_t done) { ((cli_progress *)user)->done = (double)done; }

static bool go_on(void *user) {
  cli_progress *bar = user;
  cli_progress_update(bar, bar->done, NULL);
  return !cli_stop;
}

/* ---- results --------------------------------------------------------------------------------- */

typedef struct measure {
  const char *key, *title;
  int digits;
} measure;

static const measure measures[] = {
    {"category_gates", "category purity, gates", 3},
    {"category_gates_chance", "  chance", 3},
    {"category_values", "category purity, activations", 3},
    {"category_values_chance", "  chance", 3},
    {"category_stream", "category purity, residual stream", 3},
    {"topic_gates", "topic purity, gates", 3},
    {"topic_gates_chance", "  chance", 3},
    {"topic_values", "topic purity, activations", 3},
    {"topic_values_chance", "  chance", 3},
    {"topic_stream", "topic purity, residual stream", 3},
    {"units", "neurons x positions with an effect", 0},
    {"broken", "removed until a fact is lost", 1},
    {"broken_chance", "  chance", 1},
    {"restored", "kept until a fact is back", 1},
    {"restored_chance", "  chance", 1},
    {"alone", "facts that need no neuron", 3},
    {"faithful", "faithfulness (rank correlation)", 3},
    {"faithful_chance", "  chance", 3},
    {"faithful_held", "  with gates held", 3},
    {"exact_rank", "linear effects' rank among true ones", 3},
    {"exact_missed", "what linear effects miss of true ones", 3},
    {"keep", "smallest set that keeps, others at 0", 1},
    {"lose", "smallest set that loses, at 0", 1},
    {"keep_mean", "smallest set that keeps, others at mean", 1},
    {"lose_mean", "smallest set that loses, at mean", 1},
};

static const char *group_name(const json_t *groups, size_t g) {
  return sgi_field_word(json_array_get(groups, g), "group");
}

static const json_t *measured(const json_t *groups, size_t g, const measure *m) {
  return json_object_get(json_array_get(groups, g), m->key);
}

static void cell(cli_table *t, const json_t *s, int digits) {
  if (!json_is_number(json_object_get(s, "mean"))) {
    cli_cell(t, "-");
    return;
  }
  if (sgi_field_size(s, "models") > 1)
    cli_cell(t, "%.*f +- %.*f", digits, sgi_field_real(s, "mean"), digits, sgi_field_real(s, "sd"));
  else
    cli_cell(t, "%.*f", digits, sgi_field_real(s, "mean"));
}

static void known_row(const json_t *o, cli_table *t) {
  const json_t *groups = json_object_get(o, "groups");
  json_t *m;
  size_t i;
  cli_cell(t, "facts known");
  for (size_t g = 0; g < json_array_size(groups); g++) {
    size_t known = 0, prompts = 0;
    json_array_foreach(json_object_get(o, "models"), i,
                       m) if (!strcmp(sgi_field_word(m, "group"), group_name(groups, g))) {
      known += sgi_field_size(m, "known");
      prompts += sgi_field_size(m, "prompts");
    }
    cli_cell(t, "%.1f %%", prompts ? 100 * (double)known / (double)prompts : 0);
  }
}

static void print_measures(const json_t *o) {
  const json_t *groups = json_object_get(o, "groups");
  size_t n = json_array_size(groups);
  char align[32] = "l";
  for (size_t g = 0; g < n && g < sizeof align - 2; g++) strcat(align, "r");
  cli_table *t = cli_table_begin(align);
  cli_cell(t, "measure");
  for (size_t g = 0; g < n; g++) cli_cell(t, "%s", group_name(groups, g));
  cli_cell(t, "models");
  for (size_t g = 0; g < n; g++) cli_cell(t, "%zu", sgi_field_size(measured(groups, g, &measures[0]), "models"));
  known_row(o, t);
  for (size_t i = 0; i < SGI_COUNT(measures); i++) {
    cli_cell(t, "%s", measures[i].title);
    for (size_t g = 0; g < n; g++) cell(t, measured(groups, g, &measures[i]), measures[i].digits);
  }
  cli_table_end(t);
}

static void print_comparison(const json_t *groups) {
  static const char *const said[] = {"better", "same", "worse"};
  static const char *const words[] = {"better than", "not different from", "worse than"};
  printf("\n%s reads (Welch's t test, 5 %%, one measure at a time):\n", group_name(groups, 0));
  for (size_t i = 0; i < SGI_COUNT(measures); i++) {
    if (!json_object_get(measured(groups, 1, &measures[i]), "first_group_reads")) continue;
    printf("  %s:", measures[i].title);
    bool any = false;
    for (size_t k = 0; k < SGI_COUNT(said); k++) {
      const char *join = any ? "; " : " ";
      for (size_t g = 1; g < json_array_size(groups); g++) {
        if (strcmp(sgi_field_word(measured(groups, g, &measures[i]), "first_group_reads"), said[k])) continue;
        printf("%s%s%s", join, *join == ',' ? "" : words[k], *join == ',' ? "" : " ");
        printf("%s", group_name(groups, g));
        join = ", ";
        any = true;
      }
    }
    printf("\n");
  }
}

static int run(const cli_call *c) {
  sg_error err = {0};
  json_t *o = NULL;
  cli_progress bar = {.total = (double)c->n_args};
  const sgi_reading_benchmark q = {.models = c->args,
                                   .n = (size_t)c->n_args,
                                   .worlds = cli_string(c, "worlds"),
                                   .stories = cli_size(c, "stories"),
                                   .positions = cli_size(c, "positions"),
                                   .per_word = cli_size(c, "per-word"),
                                   .neighbours = cli_size(c, "neighbours"),
                                   .facts = cli_size(c, "facts"),
                                   .units = cli_size(c, "neurons"),
                                   .permutations = cli_size(c, "permutations"),
                                   .sets = cli_size(c, "sets"),
                                   .seed = cli_u64(c, "seed"),
                                   .skipped = cli_skipped,
                                   .begun = begun,
                                   .scored = scored,
                                   .go_on = go_on,
                                   .user = &bar};
  cli_signals_install();
  sg_status st = sgi_reading_benchmark_report(&q, &o, &err);
  cli_progress_end(&bar);
  if (st) return cli_end(st, &err);
  if (cli_flag(c, "json")) return cli_json(o);
  size_t n_groups = json_array_size(json_object_get(o, "groups"));
  print_measures(o);
  if (n_groups > 1 && (size_t)c->n_args > n_groups) print_comparison(json_object_get(o, "groups"));
  json_decref(o);
  return 0;
}

static const cli_option options[] = {{.name = "worlds",
                                      .letter = 'w',
                                      .required = true,
                                      .type = CLI_STRING,
                                      .argument = "DIR",
                                      .help = "the corpus, as 'data worlds' wrote it"},
                                     {.name = "stories",
                                      .type = CLI_SIZE,
                                      .argument = "N",
                                      .value = "300",
                                      .min = 2,
                                      .max = 1e6,
                                      .help = "unseen stories to take circuits from"},
                                     {.name = "positions",
                                      .type = CLI_SIZE,
                                      .argument = "N",
                                      .value = "1200",
                                      .min = 2,
                                      .max = 1e5,
                                      .help = "circuits to compare, at most"},
                                     {.name = "per-word",
                                      .type = CLI_SIZE,
                                      .argument = "N",
                                      .value = "8",
                                      .min = 1,
                                      .max = 1e5,
                                      .help = "circuits of one word, at most"},
                                     {.name = "neighbours",
                                      .type = CLI_SIZE,
                                      .argument = "N",
                                      .value = "10",
                                      .min = 1,
                                      .max = 1000,
                                      .help = "nearest circuits that count"},
                                     {.name = "facts",
                                      .type = CLI_SIZE,
                                      .argument = "N",
                                      .value = "200",
                                      .min = 1,
                                      .max = 1e5,
                                      .help = "known facts to take apart, at most"},
                                     {.name = "neurons",
                                      .type = CLI_SIZE,
                                      .argument = "N",
                                      .value = "128",
                                      .min = 3,
                                      .max = 1e5,
                                      .help = "neurons removed one by one for each fact"},
                                     {.name = "permutations",
                                      .type = CLI_SIZE,
                                      .argument = "N",
                                      .value = "20",
                                      .min = 1,
                                      .max = 1e5,
                                      .help = "permutations of each baseline"},
                                     {.name = "sets",
                                      .type = CLI_SIZE,
                                      .argument = "N",
                                      .value = "12",
                                      .max = 1e4,
                                      .help = "facts whose true effects and minimal sets are found, at most"},
                                     CLI_SEED_OPTION,
                                     CLI_JSON_OPTION,
                                     CLI_END};

const cli_command cli_benchmark_reading = {
    .name = "benchmark-reading",
    .group = "Reading",
    .summary = "score how well models read, against the truth worlds knows",
    .usage = "--worlds DIR MODEL...",
    .examples =
        "# two kinds, three seeds each; the first kind is compared with the others\n"
        "sgatlin benchmark-reading --worlds worlds sgatlin-0 sgatlin-1 sgatlin-2 mlp-0 mlp-1 mlp-2",
    .description =
        "Models of one kind and activation are one column: mean and standard deviation over them, so give one run per "
        "seed.\n\n"
        "Purity: of a labelled word's circuit, the share of its nearest circuits (other words, other stories) that "
        "have the "
        "word's category or the story's topic, mean over layers. Fewest neurons: how many must be removed, in order of "
        "their "
        "total effect, before the model prefers a wrong answer, and how many must be kept, all others removed, before "
        "it "
        "is right; medians. Faithfulness: rank correlation of the attribution's total effects with what removing "
        "the neuron does. True effects of all neurons that fired and the smallest sets that keep or lose a fact "
        "(minimal), others at 0 or at their mean: of --sets facts. Chance: permuted labels, random order, permuted "
        "effects.",
    .options = options,
    .min_args = 1,
    .max_args = CLI_ANY,
    .run = run,
};
