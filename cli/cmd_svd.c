/* cmd_svd.c: singular directions of a model's weights, read by the tokens at their ends. */
#include <string.h>

#include "prompt.h"
#include "report/svd.h"

typedef struct job {
  sgi_prompt p;
  sgi_directions_about about;
} job;

static void print_end(const job *j, const char *what, const json_t *side, size_t end) {
  const json_t *entries = json_array_get(json_object_get(side, "ends"), end);
  bool neurons = !strcmp(sgi_field_word(side, "side"), "neurons");
  printf("  %-8s%c ", what, end ? '-' : '+');
  for (size_t k = 0; k < json_array_size(entries); k++) {
    const json_t *x = json_array_get(entries, k);
    if (neurons)
      printf(" %zu:%zu", sgi_field_size(x, "channel"), sgi_field_size(x, "index"));
    else
      printf(" %s", sgi_token_shown(&j->p, (int32_t)sgi_field_size(x, "id")).s);
  }
  printf("\n");
}

/* What a side of a direction does. */
static const char *verb(const json_t *side, bool qk, bool right) {
  static const char *const words[][2] = {{"read", "reads"}, {"written", "writes"}};
  const char *word = sgi_field_word(side, "side");
  if (qk) return right ? "keys" : "queries";
  for (size_t i = 0; i < SGI_COUNT(words); i++)
    if (!strcmp(word, words[i][0])) return words[i][1];
  return word;
}

/* Its values are as good as those of a neighbour. */
static bool is_tied(const json_t *directions, size_t i, bool more_of_last) {
  size_t subspace = sgi_field_size(json_array_get(directions, i), "subspace");
  if (subspace != i) return true;
  if (i + 1 == json_array_size(directions)) return more_of_last;
  return sgi_field_size(json_array_get(directions, i + 1), "subspace") == subspace;
}

static void print(const void *user, const json_t *o) {
  const job *j = user;
  const json_t *directions = json_object_get(o, "directions");
  bool qk = !strcmp(sgi_field_word(o, "matrix"), "qk");
  double squares = sgi_field_real(o, "frobenius2");
  printf("%s: %zu x %zu, %zu directions; the sum of squares is %.6g\n", j->about.name, j->about.rows, j->about.columns,
         json_array_size(json_object_get(o, "values")), squares);
  for (size_t i = 0; i < json_array_size(directions); i++) {
    const json_t *d = json_array_get(directions, i), *left = json_object_get(d, "left"),
                 *right = json_object_get(d, "right");
    double value = sgi_field_real(d, "value");
    printf("\n%s%zu%s  value %.5g, %.1f %% of the squares", cli_color(stdout, CLI_BOLD), i,
           cli_color(stdout, CLI_PLAIN), value, 100 * value * value / squares);
    if (is_tied(directions, i, j->about.more_of_last))
      printf(", one of a subspace from %zu on", sgi_field_size(d, "subspace"));
    printf("\n");
    for (size_t end = 0; end < 2; end++) {
      print_end(j, verb(left, qk, false), left, end);
      print_end(j, verb(right, qk, true), right, end);
    }
  }
}

static int run(const cli_call *c) {
  sg_error err = {0};
  job j;
  json_t *answer = NULL;
  sg_status st = cli_prompt_open_model(&j.p, c, &err);
  const sgi_directions_request r = {.p = &j.p,
                                    .matrix = cli_string(c, "matrix"),
                                    .layer = cli_size(c, "layer"),
                                    .head = cli_size(c, "head"),
                                    .distance = cli_size(c, "distance"),
                                    .channel = cli_is_set(c, "channel") ? (ptrdiff_t)cli_size(c, "channel") : -1,
                                    .directions = cli_size(c, "directions"),
                                    .tokens = cli_size(c, "top"),
                                    .cosine = cli_flag(c, "cosine")};
  if (!st && r.distance >= sg_model_config(j.p.model)->max_position)
    st = sgi_fail(&err, SG_ERR_ARG, "--distance %zu: the model reads %zu positions", r.distance,
                  sg_model_config(j.p.model)->max_position);
  if (!st) st = sgi_directions_report(&r, &j.about, &answer, &err);
  int code = cli_answer(c, st, &err, answer, print, &j);
  cli_prompt_close(&j.p);
  return code;
}

static const cli_option options[] = {
    {.name = "matrix",
     .letter = 'm',
     .type = CLI_CHOICE,
     .argument = "qk|ov|mlp_in|mlp_out|embedding|embedding_centred",
     .value = "ov",
     .help = "which weights"},
    {.name = "layer", .letter = 'l', .type = CLI_SIZE, .argument = "L", .value = "0", .help = "layer, from 0"},
    {.name = "head", .type = CLI_SIZE, .argument = "H", .value = "0", .help = "head of qk and ov"},
    {.name = "channel",
     .letter = 'c',
     .type = CLI_SIZE,
     .argument = "C",
     .value_text = "all",
     .help = "one channel's (moe: expert's) pool of mlp_in and mlp_out"},
    {.name = "distance",
     .type = CLI_SIZE,
     .argument = "N",
     .value = "0",
     .help = "qk: how many positions the key stands behind the query"},
    {.name = "directions", .type = CLI_SIZE, .argument = "N", .value = "8", .min = 1, .help = "directions shown"},
    {.name = "top",
     .letter = 'n',
     .type = CLI_SIZE,
     .argument = "N",
     .value = "10",
     .min = 1,
     .max = SGI_DIRECTIONS_SHOWN,
     .help = "tokens or neurons at each end"},
    {.name = "cosine", .type = CLI_FLAG, .help = "nearest tokens by cosine instead of the product"},
    CLI_MODEL_OPTIONS,
    CLI_JSON_OPTION,
    CLI_END};

const cli_command cli_svd = {
    .name = "svd",
    .group = "Reading",
    .summary = "singular directions of a head, a layer or the embedding, by their nearest tokens",
    .usage = "MODEL [--matrix M] [--layer L] [--head H]",
    .examples =
        "# what the first head of layer 1 copies\n"
        "sgatlin svd MODEL --matrix ov --layer 1\n"
        "# which keys its queries look for one position back\n"
        "sgatlin svd MODEL --matrix qk --layer 1 --distance 1\n"
        "# what a feedforward layer writes\n"
        "sgatlin svd MODEL --matrix mlp_out --layer 2 --cosine",
    .description =
        "Gains are folded into the matrix, the norms' scales left out; left directions stand on what is read, right "
        "ones "
        "on what is written (qk: queries left, keys right). A direction and its opposite are the same: both ends are "
        "shown, the one with the larger products first. Directions whose values differ by less than 1 % of the largest "
        "are a subspace: any rotation within it is as right.\n\n"
        "'svd score' tests whether such lists mean more than those of random directions.",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
