/* cmd_functions_show.c: what a file of functions holds, or the formula of one neuron. */
#include <stdlib.h>

#include "cli.h"
#include "report/functions.h"
#include "report/report.h"

/* "3:117", or "3:2:117" with a channel. */
static sg_status read_neuron(const char *text, size_t out[3], sg_error *err) {
  size_t n = 0;
  const char *at = text;
  do {
    char *end;
    if (*at < '0' || *at > '9' || n == 3) n = 4;
    unsigned long long v = strtoull(at, &end, 10);
    if (n < 3 && v <= INT32_MAX) out[n++] = (size_t)v;
    at = end;
  } while (n < 4 && *at++ == ':');
  if (n < 2 || n > 3 || at[-1])
    return sgi_fail(err, SG_ERR_ARG, "--neuron %s: expected LAYER:NEURON or LAYER:CHANNEL:NEURON, such as 3:117", text);
  if (n == 2) {
    out[2] = out[1];
    out[1] = 0;
  }
  return SG_OK;
}

static void print_neuron(const void *user, const json_t *o) {
  const char *formula = json_string_value(json_object_get(o, "formula"));
  (void)user;
  printf("neuron %.0f:%.0f:%.0f, %.0f samples", sgi_field_real(o, "layer"), sgi_field_real(o, "channel"),
         sgi_field_real(o, "index"), sgi_field_real(o, "samples"));
  if (!formula) {
    printf(": too few for a function; it stays a row of the matrix, %s\n",
           cli_bytes(sgi_field_real(o, "bytes_matrix")).s);
    return;
  }
  printf(", R2 %.4f, %s where its row has %s\n%s\n", sgi_field_real(o, "r2"), cli_bytes(sgi_field_real(o, "bytes")).s,
         cli_bytes(sgi_field_real(o, "bytes_matrix")).s, formula);
}

static void print_all(const void *user, const json_t *about) {
  const json_t *o;
  size_t i;
  (void)user;
  json_array_foreach(json_object_get(about, "layers"), i, o) {
    const json_t *held = json_object_get(o, "held_out");
    printf("layer %.0f: %.0f functions and %.0f rows, %.0f edges of which %.0f have a name, %.0f gates; ",
           sgi_field_real(o, "layer"), sgi_field_real(o, "functions"), sgi_field_real(o, "rows_kept"),
           sgi_field_real(o, "edges"), sgi_field_real(o, "named"), sgi_field_real(o, "gates"));
    if (json_is_null(json_object_get(held, "recovered")))
      printf("loss %.4f\n", sgi_field_real(held, "loss"));
    else
      printf("recovers %.1f %% of the loss\n", 100 * sgi_field_real(held, "recovered"));
  }
}

static sg_status show(const cli_call *c, const sgi_functions *f, json_t **out, sg_error *err) {
  size_t at[3];
  const char *neuron = cli_string(c, "neuron"), *svg = cli_string(c, "svg");
  sg_status st = SG_OK;
  if (!neuron && !svg) {
    *out = sgi_functions_json(f);
    return SG_OK;
  }
  if (neuron) st = read_neuron(neuron, at, err);
  if (!st)
    st = neuron ? sgi_functions_neuron_json(f, at[0], at[1], at[2], out, err) : sgi_functions_busiest_json(f, out, err);
  return !st && svg ? sgi_functions_figure(*out, svg, err) : st;
}

static int run(const cli_call *c) {
  sg_error err = {0};
  sgi_functions *f = NULL;
  json_t *answer = NULL;
  sg_status st = sgi_functions_open(c->args[0], &f, &err);
  if (!st) st = show(c, f, &answer, &err);
  bool one = cli_string(c, "neuron") || cli_string(c, "svg");
  int code = cli_answer(c, st, &err, answer, one ? print_neuron : print_all, NULL);
  sgi_functions_close(f);
  return code;
}

static const cli_option options[] = {{.name = "neuron",
                                      .letter = 'n',
                                      .type = CLI_STRING,
                                      .argument = "L:I|L:C:I",
                                      .value_text = "with --svg: the one with most samples",
                                      .help = "layer and neuron, with the channel where every channel has its own"},
                                     {.name = "svg",
                                      .type = CLI_STRING,
                                      .argument = "OUT.svg",
                                      .help = "a figure: the function over its sampled points"},
                                     CLI_JSON_OPTION,
                                     CLI_END};

const cli_command cli_functions_show = {
    .name = "functions show",
    .group = "Reading",
    .summary = "the formula of a neuron, or what a file of functions holds",
    .usage = "F [--neuron L:I] [--svg OUT.svg]",
    .examples =
        "# what the fit found, layer by layer\nsgatlin functions show F\n"
        "# the busiest neuron's formula, and a figure of it\nsgatlin functions show F --svg f.svg\n"
        "# one neuron's formula\nsgatlin functions show F --neuron 1:2:117",
    .description =
        "A formula is a sum of a number, of splines (their interval and coefficients), of named functions such as "
        "0.7*tanh(2*z5 + -0.3), and of gates such as 1.2*[(z3 > 0.5) and not (z8 > -1)], true being 1. z5 is the fifth "
        "feature of the layer's input, from 0; each has second moment 1. 'functions parse' reads it back.\n\n"
        "JSON: the neuron's formula, samples, r2_fit (as it was fitted), r2 (as it is), edges, points (its first "
        "feature, the neuron's value, the function), bytes; without --neuron what the fit said.",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
