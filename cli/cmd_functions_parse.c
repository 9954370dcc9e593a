/* cmd_functions_parse.c: a formula read back, and its value. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "core/arena.h"
#include "report/functions.h"

enum { MOST_Z = 65536, MOST_TEXT = 1 << 20 };

/* "0.5,-1,2": z0, z1, z2. New: sgi_free. */
static sg_status read_z(const char *text, float **z, size_t *n, sg_error *err) {
  size_t room = 0;
  *z = NULL;
  *n = 0;
  for (const char *at = text;; at++) {
    char *end;
    double x = strtod(at, &end);
    if (end == at || !isfinite((float)x) || (*end && *end != ',') || *n >= MOST_Z)
      return sgi_fail(err, SG_ERR_ARG, "--z %.100s: expected finite numbers such as 0.5,-1,2", text);
    if (!sgi_room(z, &room, *n, sizeof **z)) return sgi_fail_memory(err, *n * sizeof **z, "features");
    (*z)[(*n)++] = (float)x;
    at = end;
    if (!*at) return SG_OK;
  }
}

/* z: NULL where none was given. */
static void print(const void *z, const json_t *answer) {
  if (z && json_is_null(json_object_get(answer, "value")))
    printf("not finite\n");
  else if (z)
    printf("%.9g\n", json_number_value(json_object_get(answer, "value")));
  else
    printf("%lld terms over %lld features\n", (long long)json_integer_value(json_object_get(answer, "terms")),
           (long long)json_integer_value(json_object_get(answer, "features")));
}

static int run(const cli_call *c) {
  sg_error err = {0};
  char *text = NULL;
  const char *formula = c->args[0];
  float *z = NULL;
  size_t length = strlen(formula), n = 0;
  json_t *answer = NULL;
  sg_status st = !strcmp(formula, "-") ? cli_read_all("-", MOST_TEXT, &text, &length, &err) : SG_OK;
  if (text) formula = text;
  if (!st && cli_string(c, "z")) st = read_z(cli_string(c, "z"), &z, &n, &err);
  if (!st) st = sgi_functions_parse_json(formula, length, z, n, &answer, &err);
  int code = cli_answer(c, st, &err, answer, print, z);
  free(text);
  sgi_free(z);
  return code;
}

static const cli_option options[] = {{.name = "z",
                                      .type = CLI_STRING,
                                      .argument = "X,X,...",
                                      .help = "features z0, z1, ...: print the formula's value there"},
                                     CLI_JSON_OPTION,
                                     CLI_END};

const cli_command cli_functions_parse = {
    .name = "functions parse",
    .group = "Reading",
    .summary = "reads a neuron's formula, as 'functions show' prints it, and computes it",
    .usage = "FORMULA [--z X,X,...]",
    .examples =
        "# its value where z0 is 0.5 and z1 is 2\n"
        "sgatlin functions parse '0.1 + 2*relu(1*z0 + -0.2) + 0.5*[(z1 > 1)]' --z 0.5,2\n"
        "# out of a pipe\nsgatlin functions show F -n 1:0:7 --json | jq -r .formula | sgatlin functions parse -",
    .description =
        "FORMULA is the text, or - for standard input. Terms are joined by \" + \": a number, number*silu(zF), "
        "spline(zF; lo, hi; coefficients), number*f(number*zF + number) with f one of x, x^2, abs, relu, step, exp, "
        "x^3, log, sqrt, tanh, gauss, sin, and number*[logic] with (zF > number), 0, 1, not, and, xor, or and "
        "brackets, binding in this order.",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
