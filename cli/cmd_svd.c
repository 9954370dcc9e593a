/* cmd_svd.c: singular directions of a model's weights, read by the tokens at their ends. */
#include "prompt.h"
#include "report/svd.h"

static void print_end(sgi_directions *v, size_t i, bool right, bool second) {
  static const char *const verbs[] = {"reads", "writes", "neurons", "tokens"};
  const sgi_svd *s = v->svd;
  sgi_svd_side side = right ? s->on_right : s->on_left;
  int32_t ids[SGI_DIRECTIONS_SHOWN];
  size_t n = sgi_directions_end(v, i, right, second, ids);
  const char *what = s->which.matrix == SGI_SVD_QK ? (right ? "keys" : "queries") : verbs[side];
  printf("  %-8s%c ", what, second ? '-' : '+');
  for (size_t k = 0; k < n; k++) {
    if (side == SGI_SVD_NEURONS)
      printf(" %zu:%zu", s->unit[ids[k]] / s->per_channel, s->unit[ids[k]] % s->per_channel);
    else
      printf(" %s", sgi_token_shown(v->p, ids[k]).s);
  }
  printf("\n");
}

static void print(sgi_directions *v) {
  const sgi_svd *s = v->svd;
  char name[SGI_SVD_NAME];
  sgi_svd_name(&s->which, name);
  printf("%s: %zu x %zu, %zu directions; the sum of squares is %.6g\n", name, s->rows, s->columns, s->n, s->frobenius2);
  for (size_t i = 0; i < s->n && i < v->directions; i++) {
    printf("\n%s%zu%s  value %.5g, %.1f %% of the squares", cli_color(stdout, CLI_BOLD), i,
           cli_color(stdout, CLI_PLAIN), s->values[i], 100 * s->values[i] * s->values[i] / s->frobenius2);
    bool tied = s->subspace[i] != i || (i + 1 < s->n && s->subspace[i + 1] == s->subspace[i]);
    if (tied) printf(", one of a subspace from %zu on", s->subspace[i]);
    printf("\n");
    for (int second = 0; second < 2; second++) {
      print_end(v, i, false, second);
      print_end(v, i, true, second);
    }
  }
}

static int run(const cli_call *c) {
  sg_error err = {0};
  sgi_prompt p;
  int code = 0;
  sg_status st = cli_prompt_open_model(&p, c, &err);
  sgi_directions v = {.p = &p,
                      .which = {.matrix = (sgi_svd_matrix)cli_choice(c, "matrix"),
                                .layer = cli_size(c, "layer"),
                                .head = cli_size(c, "head"),
                                .distance = cli_size(c, "distance"),
                                .channel = cli_is_set(c, "channel") ? (ptrdiff_t)cli_size(c, "channel") : -1},
                      .directions = cli_size(c, "directions"),
                      .tokens = cli_size(c, "top"),
                      .cosine = cli_flag(c, "cosine")};
  if (!st && v.which.distance >= sg_model_config(p.model)->max_position)
    st = sgi_fail(&err, SG_ERR_ARG, "--distance %zu: the model reads %zu positions", v.which.distance,
                  sg_model_config(p.model)->max_position);
  if (!st) st = sgi_directions_open(&v, &err);
  if (st)
    code = cli_fail(&err);
  else if (cli_flag(c, "json"))
    code = cli_json(sgi_directions_json(&v));
  else
    print(&v);
  sgi_directions_close(&v);
  cli_prompt_close(&p);
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
