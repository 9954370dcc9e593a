/* cmd_sweep.c: which settings are best for one kind at one size. */
#include <math.h>
#include <string.h>

#include "cli.h"
#include "core/number.h"
#include "core/rng.h"
#include "study.h"

/* --random N: values of "KEY=LOW..HIGH", evenly on a logarithmic scale. */
static sg_status add_random(const cli_call *c, json_t *wanted, size_t count, sg_error *err) {
  size_t n;
  const char *const *vary = cli_list(c, "vary", &n);
  json_t *variants = json_array();
  sgi_rng rng = sgi_rng_make(cli_u64(c, "seed"), SGI_STREAM_STUDY, 2);
  sg_status st = SG_OK;
  for (size_t i = 0; i < count && !st; i++) {
    json_t *v = json_array();
    for (size_t k = 0; k < n && !st; k++) {
      const char *equal = strchr(vary[k], '='), *rest;
      double low, high;
      char text[SGI_STUDY_NAME];
      if (!equal || !sgi_number_real(equal + 1, &rest, &low) || strncmp(rest, "..", 2) ||
          !sgi_number_real(rest + 2, &rest, &high) || *rest || !(low > 0) || !(high > low)) {
        st = sgi_fail(err, SG_ERR_ARG,
                      "--vary %s: with --random expected KEY=LOW..HIGH with 0 < LOW < HIGH, such as "
                      "optimizer.learning_rate=1e-4..1e-2",
                      vary[k]);
        break;
      }
      snprintf(text, sizeof text, "%.*s=%.4g", (int)(equal - vary[k]), vary[k],
               exp(log(low) + (log(high) - log(low)) * sgi_rng_uniform(&rng)));
      json_array_append_new(v, json_string(text));
    }
    json_array_append_new(variants, v);
  }
  json_object_set_new(wanted, "variants", variants);
  return st;
}

static sg_status describe(const cli_call *c, json_t **out, sg_error *err) {
  json_t *o = study_begin(c), *list = json_object_get(o, "set");
  const char *budget = cli_string(c, "budget");
  json_t *budgets = json_pack("[f]", 0.0);
  char steps[48];
  sg_status st = SG_OK;
  if (budget) {
    json_decref(budgets);
    st = study_numbers("budget", budget, &budgets, err);
  }
  if (cli_is_set(c, "steps")) {
    snprintf(steps, sizeof steps, "train.steps=%llu", (unsigned long long)cli_u64(c, "steps"));
    json_array_append_new(list, json_string(steps));
  }
  json_object_set_new(o, "budgets", budgets);
  json_object_set_new(o, "kinds", json_pack("[s]", cli_string(c, "kind")));
  json_object_set_new(o, "scales", json_pack("[s]", cli_string(c, "preset")));
  json_object_set_new(o, "sweep_scale", json_string(cli_string(c, "preset")));
  json_object_set_new(o, "seeds", study_seeds(cli_size(c, "seeds")));
  json_object_set_new(o, "sweep_only", json_true());
  if (!st) st = cli_is_set(c, "random") ? add_random(c, o, cli_size(c, "random"), err) : study_vary(c, o, err);
  if (!st) st = study_choices(c, o, err);
  if (st) {
    json_decref(o);
    return st;
  }
  *out = o;
  return SG_OK;
}

static const char *const fresh[] = {"data",   "vary",  "choice", "kind",   "preset", "steps",
                                    "budget", "seeds", "seed",   "random", "set",    "tokenizer"};

static int run(const cli_call *c) {
  sg_error err = {0};
  json_t *wanted = NULL;
  if (study_asks(c, fresh, SGI_COUNT(fresh))) {
    size_t n, choices;
    cli_list(c, "vary", &n);
    cli_list(c, "choice", &choices);
    if (!cli_is_set(c, "data"))
      return cli_usage(c, "--data DIR is needed to begin a sweep (-o SWEEP alone goes on with one)");
    if (!n && !choices) return cli_usage(c, "--vary KEY=A,B,... (or --choice KEY=A,KEY=B) is needed to begin a sweep");
    if (cli_is_set(c, "steps") == cli_is_set(c, "budget"))
      return cli_usage(c, "either --steps N or --budget FLOPS says how long a run is");
    if (describe(c, &wanted, &err)) return cli_fail(&err);
  }
  return study_command(c, "sweep", wanted, NULL, 0);
}

static const cli_option options[] = {
    {.name = "kind",
     .letter = 'k',
     .type = CLI_STRING,
     .argument = "KIND",
     .value = "sgatlin",
     .help = "feedforward layer, one of" CLI_KINDS},
    {.name = "preset",
     .letter = 'p',
     .type = CLI_STRING,
     .argument = "NAME",
     .value = "ladder;64x2",
     .help = "size: tinystories, 'slimpajama;2', 'ladder;64x3' (width 64, 3 layers), ..."},
    {.name = "steps", .letter = 'n', .type = CLI_U64, .argument = "N", .min = 1, .help = "steps of a run"},
    {.name = "budget",
     .letter = 'b',
     .type = CLI_STRING,
     .argument = "FLOPS",
     .help = "training FLOPs of a run, instead of --steps"},
    {.name = "random",
     .type = CLI_SIZE,
     .argument = "N",
     .min = 1,
     .max = 256,
     .help = "N random choices from ranges (--vary KEY=LOW..HIGH), even on a logarithmic scale, instead of every "
             "combination"},
    {.name = "choice",
     .type = CLI_LIST,
     .argument = "KEY=A,KEY=B,...",
     .help = "several settings that are tried together; several such options: several choices"},
    {.name = "seeds",
     .type = CLI_SIZE,
     .argument = "N",
     .value = "1",
     .min = 1,
     .max = 64,
     .help = "runs of every choice, with seeds 1 to N; the mean counts"},
    CLI_SEED_OPTION,
    STUDY_OPTIONS,
    CLI_END};

const cli_command cli_sweep = {
    .name = "sweep",
    .group = "Training",
    .summary = "find the best settings of a training run: a grid, or random choices",
    .usage =
        "--data DIR {--vary KEY=A,B | --choice KEY=A,KEY=B}... {-n STEPS | -b FLOPS} -o SWEEP\n-o SWEEP "
        "[--plan FILE | --run NAME | --collect DIR | --retime]",
    .examples =
        "# four learning rates for a small model, then what was best\n"
        "sgatlin sweep -d DIR --vary optimizer.learning_rate=1e-3,2e-3,4e-3,8e-3 --steps 300 -o sweep\n"
        "# 20 random choices\n"
        "sgatlin sweep -d DIR -k mlp --random 20 --vary optimizer.clip=0.1..10 --steps 300 -o sweep-mlp\n"
        "# an ablation: activations at equal FLOPs, three seeds each\n"
        "sgatlin sweep -d DIR -b 1e12 --seeds 3 --vary feedforward.activation=identity,relu -o act",
    .description =
        "Every choice is an ordinary run directory below SWEEP/runs. The best is that of the lowest held-out loss; "
        "where it is the first or last value "
        "of a key that was tried, that is said: the best may lie beyond. A sweep goes on where it stands: -o SWEEP is "
        "enough.",
    .options = options,
    .run = run,
};
