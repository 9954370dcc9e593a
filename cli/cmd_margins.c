/* cmd_margins.c: how far the gates of a prompt are from changing. */
#include <math.h>
#include <stdlib.h>

#include "prompt.h"

static json_t *margins_json(const sgi_prompt *p, const sg_margin *g, size_t C) {
  json_t *layers = json_array();
  for (size_t l = 0; l < sg_model_config(p->model)->num_layers; l++) {
    json_t *rows = json_array();
    for (size_t t = 0; t < p->count; t++) {
      json_t *row = json_array();
      for (size_t c = 0; c < C; c++) {
        const sg_margin *x = &g[(l * p->count + t) * C + c];
        json_array_append_new(
            row, json_pack("{so so so si si}", "distance", sgi_report_real(x->distance), "gap", sgi_report_real(x->gap),
                           "stream", sgi_report_real(x->stream), "loses", (int)x->loses, "wins", (int)x->wins));
      }
      json_array_append_new(rows, row);
    }
    json_array_append_new(layers, rows);
  }
  return json_pack("{so so}", "tokens", sgi_prompt_json(p), "layers", layers);
}

/* A position's circuit is as firm as its least firm channel. */
static const sg_margin *least(const sg_margin *g, size_t C, size_t *channel) {
  *channel = 0;
  for (size_t c = 1; c < C; c++)
    if (g[c].distance < g[*channel].distance) *channel = c;
  return &g[*channel];
}

static void print_table(const sgi_prompt *p, const sg_margin *g, size_t C, bool relative) {
  size_t L = sg_model_config(p->model)->num_layers, shown = L < 14 ? L : 14;
  char align[32] = "rl";
  for (size_t l = 0; l < shown; l++) align[2 + l] = 'r', align[3 + l] = 0;
  cli_table *t = cli_table_begin(align);
  cli_cell(t, "pos");
  cli_cell(t, "token");
  for (size_t l = 0; l < shown; l++) cli_cell(t, "layer %zu", l);
  for (size_t i = 0; i < p->count; i++) {
    cli_cell(t, "%zu", i);
    cli_cell(t, "%s", sgi_token_shown(p, p->tokens[i]).s);
    for (size_t l = 0; l < shown; l++) {
      size_t channel;
      const sg_margin *x = least(g + (l * p->count + i) * C, C, &channel);
      if (x->loses < 0)
        cli_cell(t, "-"); /* nothing is chosen there */
      else
        cli_cell(t, "%.5f", relative ? x->distance / x->stream : x->distance);
    }
  }
  cli_table_end(t);
}

static int run(const cli_call *c) {
  sg_error err = {0};
  sgi_prompt p;
  sg_margin *g = NULL;
  size_t C = 0, n = 0;
  int code = 0;
  sg_status st = cli_prompt_open(&p, c, &err);
  if (!st) {
    C = sg_margin_channels(p.model);
    if (!sgi_size_mul(sg_model_config(p.model)->num_layers * (C ? C : 1) * sizeof *g, p.count, &n))
      st = sgi_fail(&err, SG_ERR_ARG, "the prompt is too long");
    else if (!(g = sgi_alloc(n)))
      st = sgi_fail(&err, SG_ERR_MEMORY, "out of memory");
  }
  if (!st) st = sg_margins(p.model, p.tokens, p.count, g, &err);
  if (st)
    code = cli_fail(&err);
  else if (cli_flag(c, "json"))
    code = cli_json(margins_json(&p, g, C));
  else
    print_table(&p, g, C, cli_flag(c, "relative"));
  sgi_free(g);
  cli_prompt_close(&p);
  return code;
}

static const cli_option options[] = {
    CLI_PROMPT_OPTIONS,
    {.name = "relative", .type = CLI_FLAG, .help = "as a share of the residual stream's length"},
    CLI_MODEL_OPTIONS,
    CLI_JSON_OPTION,
    CLI_END};

const cli_command cli_margins = {
    .name = "margins",
    .group = "Reading",
    .summary = "how small a change of the residual stream would change a circuit",
    .usage = "MODEL TEXT [--relative]",
    .examples =
        "# per position and layer, the least change that opens another gate\nsgatlin margins MODEL 'The dog "
        "was'",
    .description =
        "The length of the smallest change of the stream before the feedforward layer, its norm's scale held, at which "
        "a channel chooses another neuron. The table shows the least of all channels; JSON gives each, with the "
        "neuron that would give way and the one that would take its place.",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .also = "prompt",
    .run = run,
};
