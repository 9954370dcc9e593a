/* cmd_isoflop.c: the paper's comparison at equal FLOPs, on one's own data. */
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "report/machine.h"
#include "study.h"

static const char *const fresh[] = {"data", "kinds", "budgets",    "scales",   "seeds",
                                    "set",  "vary",  "vary-scale", "tokenizer"};

/* "2", or "2,2,1": as many for each budget. */
static sg_status add_seeds(const cli_call *c, json_t *o, sg_error *err) {
  json_t *counts = NULL, *x;
  size_t most = 0, i;
  const size_t budgets = json_array_size(json_object_get(o, "budgets"));
  sg_status st = study_numbers("seeds", cli_string(c, "seeds"), &counts, err);
  json_array_foreach(counts, i, x) {
    double v = json_number_value(x);
    if (!st && (v != (double)(size_t)v || v < 1 || v > 64))
      st = sgi_fail(err, SG_ERR_ARG, "--seeds %s: expected whole numbers from 1 to 64", cli_string(c, "seeds"));
    if (!st && v > (double)most) most = (size_t)v;
  }
  if (!st && json_array_size(counts) != 1 && json_array_size(counts) != budgets)
    st = sgi_fail(err, SG_ERR_ARG, "--seeds %s: expected one number, or one for each of the %zu budgets",
                  cli_string(c, "seeds"), budgets);
  if (!st) json_object_set_new(o, "seeds", study_seeds(most));
  if (!st && json_array_size(counts) > 1) json_object_set(o, "budget_seeds", counts);
  json_decref(counts);
  return st;
}

static sg_status describe(const cli_call *c, json_t **out, sg_error *err) {
  json_t *o = study_begin(c), *budgets = NULL, *scales = study_words(cli_string(c, "scales"));
  sg_status st = study_numbers("budgets", cli_string(c, "budgets"), &budgets, err);
  const char *middle = cli_string(c, "vary-scale");
  size_t n = json_array_size(scales);
  if (!middle && n) middle = json_string_value(json_array_get(scales, (n - 1) / 2));
  json_object_set_new(o, "kinds", study_words(cli_string(c, "kinds")));
  json_object_set_new(o, "sweep_scale", json_string(middle ? middle : ""));
  json_object_set_new(o, "scales", scales);
  json_object_set_new(o, "budgets", budgets);
  json_object_set_new(o, "sweep_only", json_false());
  if (!st) st = add_seeds(c, o, err);
  if (!st) st = study_vary(c, o, err);
  if (st) {
    json_decref(o);
    return st;
  }
  *out = o;
  return SG_OK;
}

static int run(const cli_call *c) {
  sg_error err = {0};
  json_t *wanted = NULL;
  const char *against[16];
  size_t n = 0;
  if (study_asks(c, fresh, SGI_COUNT(fresh))) {
    static const char *const needed[] = {"data", "kinds", "budgets", "scales"};
    char missing[80] = "";
    for (size_t i = 0; i < SGI_COUNT(needed); i++)
      if (!cli_is_set(c, needed[i]))
        snprintf(missing + strlen(missing), sizeof missing - strlen(missing), "%s--%s", *missing ? ", " : "",
                 needed[i]);
    if (*missing) return cli_usage(c, "missing to begin a study: %s (-o STUDY alone goes on with one)", missing);
    if (describe(c, &wanted, &err)) return cli_fail(&err);
  }
  json_t *kinds = study_words(cli_string(c, "against")), *k;
  size_t i;
  sg_status st = json_array_size(kinds) > SGI_COUNT(against)
                     ? sgi_fail(&err, SG_ERR_ARG, "--against: at most %zu kinds", SGI_COUNT(against))
                     : SG_OK;
  json_array_foreach(kinds, i, k) {
    if (!st && sgi_kind_check(json_string_value(k), &err)) st = SG_ERR_ARG;
    if (!st) against[n++] = json_string_value(k);
  }
  int code = st ? cli_fail(&err) : 0;
  if (st)
    json_decref(wanted);
  else
    code = study_command(c, "isoflop", wanted, against, n);
  json_decref(kinds);
  return code;
}

static const cli_option options[] = {
    {.name = "kinds",
     .letter = 'k',
     .type = CLI_STRING,
     .argument = "KIND,...",
     .help = "feedforward layers to compare, of" CLI_KINDS},
    {.name = "budgets",
     .letter = 'b',
     .type = CLI_STRING,
     .argument = "FLOPS,...",
     .help = "training FLOPs of a run, such as 1e13,1e14"},
    {.name = "scales",
     .type = CLI_STRING,
     .argument = "PRESET,...",
     .help = "sizes: presets such as 'ladder;64x3' (width 64, 3 layers) or 'slimpajama;2'"},
    {.name = "seeds",
     .type = CLI_STRING,
     .argument = "N[,N...]",
     .value = "2",
     .help = "runs of every size, with seeds 1 to N; several numbers: as many for each of the budgets"},
    {.name = "vary-scale",
     .type = CLI_STRING,
     .argument = "PRESET",
     .value_text = "the middle one of --scales",
     .help = "size at which the values of --vary are tried, at the smallest budget"},
    {.name = "against",
     .type = CLI_STRING,
     .argument = "KIND,...",
     .value = "mlp,moe",
     .help = "kinds whose loss the others' compute is compared at"},
    STUDY_OPTIONS,
    CLI_END};

const cli_command cli_isoflop = {
    .name = "isoflop",
    .group = "Training",
    .summary = "compare feedforward layers at equal compute, each at its best size",
    .usage =
        "--data DIR --kinds KIND,... --budgets FLOPS,... --scales PRESET,... -o STUDY\n-o STUDY [--plan FILE | --run "
        "NAME | --collect DIR | --retime]",
    .examples =
        "# what it would take\n"
        "sgatlin isoflop -d DIR -k sgatlin,mlp -b 1e12 --scales ladder:32x2,ladder:64x2 -o s --dry-run\n"
        "# do it; after Ctrl-C or a power cut the same line goes on\n"
        "sgatlin isoflop -o s\n"
        "# another one, in which each kind takes its own best clipping\n"
        "sgatlin isoflop -d DIR -k mlp,glu -b 1e12 --scales ladder:32x2 --vary optimizer.clip=0.5,1 -o b\n"
        "# one command a line for a scheduler; results of another machine's copy\n"
        "sgatlin isoflop -o s --plan runs.txt\nsgatlin isoflop -o s --collect s-of-another-machine\n"
        "# what a step of each kind and size takes, by one thread of this machine\n"
        "sgatlin isoflop -o s --retime -t 1",
    .description =
        "For every budget, kind, size and seed one run, an ordinary run directory below STUDY/runs, of as many steps "
        "as the budget pays for. "
        "The cheapest come first. Per budget and kind a parabola of the held-out loss over the logarithm of the "
        "parameters says which size is best; "
        "over budgets, how many times less compute a kind needs for the loss that another reaches, by FLOPs, by "
        "measured seconds and by memory, "
        "with intervals from resampled seeds and held-out documents.\n\n"
        "With --vary every kind first tries the values at the smallest budget, and all its other runs take its own "
        "best. A run that diverges is "
        "reported and left out of the fits.\n\n"
        "A study goes on where it stands: -o STUDY is enough. Several processes may work on one study with --run; a "
        "copy on another machine is "
        "taken in with --collect. Then, or where other work ran beside, times of runs do not compare: --retime times "
        "steps of every kind and size in turn, and the report counts with these (STUDY/timings.json; remove it to "
        "count "
        "as before).",
    .options = options,
    .run = run,
};
