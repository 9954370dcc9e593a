/* cmd_steer.c: predictions with a direction added to the residual stream. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "predict.h"
#include "prompt.h"
#include "report/continuation.h"
#include "strongest.h"
#include "core/number.h"

enum { MAX_STRENGTHS = 14 };

typedef struct work {
  const cli_call *c;
  sgi_prompt p;
  float *direction; /* (D) */
  double strength[MAX_STRENGTHS];
  size_t n;
  char site[SG_SITE_NAME];
  sgi_prediction before, after[MAX_STRENGTHS];
  double norm, stream; /* of the direction; of the stream at the position */
  bool chosen;         /* no direction was named: the prompt's strongest neuron */
  cli_strongest strongest;
} work;

static sg_status find_direction(work *w, sg_error *err) {
  const cli_call *c = w->c;
  w->direction = sgi_alloc(sg_model_config(w->p.model)->hidden_size * sizeof *w->direction);
  if (!w->direction) return sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  if (w->chosen)
    return sg_direction_neuron(w->p.model, w->strongest.layer, w->strongest.channel, w->strongest.index, w->direction,
                               err);
  if (cli_is_set(c, "neuron"))
    return sg_direction_neuron(w->p.model, cli_is_set(c, "of-layer") ? cli_size(c, "of-layer") : cli_size(c, "layer"),
                               cli_size(c, "channel"), cli_size(c, "neuron"), w->direction, err);
  int32_t toward = -1, away = -1;
  sg_status st = sgi_prompt_token(&w->p, cli_string(c, "toward"), &toward, err);
  if (!st && cli_is_set(c, "away")) st = sgi_prompt_token(&w->p, cli_string(c, "away"), &away, err);
  return st ? st : sg_direction_token(w->p.model, toward, away, w->direction, err);
}

static sg_status find_strengths(work *w, sg_error *err) {
  size_t n;
  const char *const *given = cli_list(w->c, "strength", &n);
  if (n > MAX_STRENGTHS) return sgi_fail(err, SG_ERR_ARG, "%zu strengths: at most %d at once", n, MAX_STRENGTHS);
  for (size_t i = 0; i < n; i++) {
    const char *rest;
    if (!sgi_number_real(given[i], &rest, &w->strength[w->n++]) || *rest)
      return sgi_fail(err, SG_ERR_ARG, "--strength %s is no number", given[i]);
  }
  if (!n) w->strength[w->n++] = 4;
  return SG_OK;
}

static double length(const float *x, size_t n) {
  double sum = 0;
  for (size_t i = 0; i < n; i++) sum += (double)x[i] * x[i];
  return sqrt(sum);
}

static sg_status run_all(work *w, sg_error *err) {
  size_t D = sg_model_config(w->p.model)->hidden_size;
  ptrdiff_t position = (ptrdiff_t)cli_int(w->c, "position");
  const char *record[] = {w->site};
  sg_run_request q = {.tokens = w->p.tokens, .count = w->p.count, .record = record, .n_record = 1};
  sg_run *r = NULL;
  sg_site s;
  sg_status st = sg_run_create(w->p.model, &q, &r, err);
  if (!st) st = sgi_predict(&w->before, &w->p, r, position, err);
  size_t top = cli_size(w->c, "top"), at = 0;
  if (!st) st = sgi_prompt_at(&w->p, position, &at, err);
  if (!st) st = sgi_predict_words(&w->before, &w->p, at, NULL, 0, top, cli_stopped, NULL, err);
  if (!st && sg_run_find(r, w->site, &s)) w->stream = length(s.data + (w->p.count - 1) * D, D);
  w->norm = length(w->direction, D);
  sg_run_free(r);
  sg_edit e = {.op = SG_EDIT_ADD, .vector = w->direction, .vector_count = D};
  memcpy(e.site, w->site, sizeof e.site);
  if (cli_is_set(w->c, "only-at")) {
    ptrdiff_t pos = (ptrdiff_t)cli_int(w->c, "only-at");
    if (pos < 0) pos += (ptrdiff_t)w->p.count; /* of the prompt's end, also where words are written behind it */
    e.axes[e.n_axes++] = (sg_edit_axis){"pos", pos, pos};
  }
  q = (sg_run_request){.tokens = w->p.tokens, .count = w->p.count, .edits = &e, .n_edits = 1};
  cli_progress progress;
  cli_progress_begin(&progress, "steering", "strengths", (double)w->n, 0);
  for (size_t i = 0; i < w->n && !st; i++) {
    e.value = w->strength[i];
    r = NULL;
    st = sg_run_create(w->p.model, &q, &r, err);
    if (!st) st = sgi_predict(&w->after[i], &w->p, r, position, err);
    if (!st && !sg_run_edit_hits(r, 0))
      st = sgi_fail(err, SG_ERR_ARG, "--only-at %lld is outside the prompt of %zu tokens",
                    (long long)cli_int(w->c, "only-at"), w->p.count);
    if (!st) st = sgi_predict_words(&w->after[i], &w->p, at, &e, 1, top, cli_stopped, NULL, err);
    sg_run_free(r);
    cli_progress_update(&progress, (double)i + 1, NULL);
  }
  cli_progress_end(&progress);
  return st;
}

static int print(const work *w) {
  size_t top = cli_size(w->c, "top");
  if (cli_flag(w->c, "json")) {
    json_t *runs = json_array();
    for (size_t i = 0; i < w->n; i++)
      json_array_append_new(runs, json_pack("{so so so}", "strength", sgi_report_real(w->strength[i]), "kl",
                                            sgi_report_real(sgi_divergence(&w->before, &w->after[i])), "after",
                                            sgi_prediction_json(&w->p, &w->after[i], top)));
    return cli_json(json_pack("{so ss so so so so}", "tokens", sgi_prompt_json(&w->p), "site", w->site,
                              "direction_norm", sgi_report_real(w->norm), "stream_norm", sgi_report_real(w->stream),
                              "before", sgi_prediction_json(&w->p, &w->before, top), "runs", runs));
  }
  printf("added to %s: strength times a direction of length %.3f; the stream's own length there is %.3f\n", w->site,
         w->norm, w->stream);
  char text[MAX_STRENGTHS][24];
  const char *labels[MAX_STRENGTHS];
  for (size_t i = 0; i < w->n; i++) {
    snprintf(text[i], sizeof text[i], "strength %g", w->strength[i]);
    labels[i] = text[i];
  }
  cli_print_predictions(&w->p, &w->before, w->after, labels, w->n, top);
  return 0;
}

/* Where it is added, and what where nothing was named. */
static sg_status choose(work *w, sg_error *err) {
  size_t layer = cli_size(w->c, "layer");
  if (w->chosen) {
    sg_status st = cli_strongest_find(w->c, &w->p, (ptrdiff_t)cli_int(w->c, "position"), -1, &w->strongest, err);
    if (st) return st;
    layer = w->strongest.layer;
    cli_strongest_note(&w->p, &w->strongest);
  }
  snprintf(w->site, sizeof w->site, "layers.%zu.resid_post", layer);
  return SG_OK;
}

static int run(const cli_call *c) {
  sg_error err = {0};
  work w = {.c = c};
  bool neuron = cli_is_set(c, "neuron"), toward = cli_is_set(c, "toward");
  if (neuron && toward) return cli_usage(c, "give one direction: --neuron or --toward");
  if ((neuron || toward) && !cli_is_set(c, "layer"))
    return cli_usage(c, "--%s needs --layer L: it is added to the stream behind that layer",
                     neuron ? "neuron" : "toward");
  w.chosen = !neuron && !toward;
  if (cli_is_set(c, "away") && !cli_is_set(c, "toward")) return cli_usage(c, "--away needs --toward");
  sg_status st = find_strengths(&w, &err);
  if (!st) st = cli_prompt_open(&w.p, c, &err);
  if (!st) st = choose(&w, &err);
  if (!st) st = find_direction(&w, &err);
  if (!st) st = run_all(&w, &err);
  int code = st ? cli_fail(&err) : print(&w);
  sgi_prediction_free(&w.before);
  for (size_t i = 0; i < w.n; i++) sgi_prediction_free(&w.after[i]);
  sgi_free(w.direction);
  cli_prompt_close(&w.p);
  return code;
}

static const cli_option options[] = {
    CLI_PROMPT_OPTIONS,
    {.name = "layer",
     .letter = 'l',
     .type = CLI_SIZE,
     .argument = "L",
     .value_text = "of the strongest neuron",
     .help = "add to the residual stream behind this layer"},
    {.name = "neuron",
     .letter = 'i',
     .type = CLI_SIZE,
     .argument = "I",
     .value_text = "without --toward the strongest",
     .help = "direction: what this neuron writes; strength is its value"},
    {.name = "channel",
     .letter = 'c',
     .type = CLI_SIZE,
     .argument = "C",
     .value = "0",
     .help = "channel of the neuron (moe: expert)"},
    {.name = "of-layer", .type = CLI_SIZE, .argument = "L", .value_text = "--layer", .help = "layer of the neuron"},
    {.name = "toward",
     .type = CLI_STRING,
     .argument = "TOKEN",
     .help = "direction: unit vector that raises this token's logit"},
    {.name = "away", .type = CLI_STRING, .argument = "TOKEN", .help = "over this token's"},
    {.name = "strength",
     .letter = 's',
     .type = CLI_LIST,
     .argument = "X",
     .value_text = "4",
     .help = "how much to add; may be given again"},
    {.name = "only-at",
     .old = "pos",
     .type = CLI_INT,
     .argument = "N",
     .value_text = "all",
     .help = "at this position only; negative: from the end"},
    CLI_POSITION_OPTION,
    CLI_TOP_OPTION("predictions shown"),
    CLI_MODEL_OPTIONS,
    CLI_JSON_OPTION,
    CLI_END};

const cli_command cli_steer = {
    .name = "steer",
    .group = "Reading",
    .summary = "add a neuron or a direction with a strength and compare predictions",
    .usage =
        "MODEL TEXT [--strength X]...\n"
        "MODEL TEXT --layer L --neuron I [--channel C] [--strength X]...\n"
        "MODEL TEXT --layer L --toward TOKEN [--away TOKEN] [--strength X]...",
    .examples =
        "# the neuron that does most for the next token, turned round\n"
        "sgatlin steer MODEL 'The dog was' -s -8 -s 8\n"
        "# toward one word and away from another, three strengths\n"
        "sgatlin steer MODEL 'The dog was' --layer 1 --toward happy --away sad -s -4 -s 4 -s 8\n"
        "# as if neuron 17 of channel 2 had the value 3 at the last position\n"
        "sgatlin steer MODEL 'The dog was' --layer 1 --channel 2 --neuron 17 -s 3 --only-at -1",
    .description =
        "Without a direction it is what the neuron writes that has the largest total effect on the most probable "
        "token (as 'sgatlin attribute' lists them), added behind its layer.\n\n"
        "Nothing is left in the model: the direction belongs to the run. The length of the direction and of the "
        "stream are printed, so that a strength can be judged.",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .also = "prompt",
    .run = run,
};
