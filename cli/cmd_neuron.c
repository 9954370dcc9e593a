/* cmd_neuron.c: the card of one neuron: what it reads and writes, from weights alone. */
#include <math.h>
#include <stdlib.h>

#include "card.h"

typedef struct work {
  const cli_call *c;
  cli_prompt p;
  size_t layer, channel, index, top;
  sg_neuron_view view;
  float *block; /* (4,V) */
  sg_neuron_link *up, *down;
  size_t n_up, n_down;
} work;

static void print_tokens(const work *w) {
  const char *title[4] = {"reads", "opens for", "value", "writes"};
  const float *x[4] = {w->view.reads, w->view.opens, w->view.value, w->view.writes};
  cli_ranked *r[4] = {0};
  size_t V = sg_model_config(w->p.model)->vocab_size, n = w->top < V ? w->top : V;
  cli_table *t = cli_table_begin(w->view.opens ? "lrlrlrlr" : "lrlr");
  for (int k = 0; k < 4; k++) {
    if (!x[k]) continue;
    r[k] = cli_rank(x[k], V);
    cli_cell(t, "%s", title[k]);
    cli_cell(t, "%s", "");
  }
  for (int end = 0; end < 2; end++)
    for (size_t i = 0; i < n; i++)
      for (int k = 0; k < 4; k++) {
        if (!x[k] || !r[k]) continue;
        const cli_ranked *at = end ? &r[k][V - n + i] : &r[k][i];
        cli_cell(t, "%s", cli_token_shown(&w->p, at->id).s);
        cli_cell(t, "%+.3f", (double)at->value);
      }
  cli_table_end(t);
  for (int k = 0; k < 4; k++) sgi_free(r[k]);
}

static void print_links(const char *title, const sg_neuron_link *l, size_t n) {
  if (!n) return;
  printf("\n%s\n", title);
  cli_table *t = cli_table_begin("rl");
  cli_cell(t, "weight");
  cli_cell(t, "neuron");
  for (size_t i = 0; i < n; i++) {
    cli_cell(t, "%+.4f", (double)l[i].weight);
    cli_cell(t, "layer %d channel %d neuron %d", l[i].layer, l[i].channel, l[i].index);
  }
  cli_table_end(t);
}

static sg_status read_all(work *w, sg_error *err) {
  size_t V = sg_model_config(w->p.model)->vocab_size, n = cli_size(w->c, "links");
  w->block = sgi_alloc(4 * V * sizeof *w->block);
  w->up = sgi_alloc((n + 1) * sizeof *w->up);
  w->down = sgi_alloc((n + 1) * sizeof *w->down);
  if (!w->block || !w->up || !w->down) return sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  w->view = (sg_neuron_view){w->block, w->block + V, w->block + 2 * V, w->block + 3 * V};
  sg_status st = sg_neuron_read(w->p.model, w->layer, w->channel, w->index, &w->view, err);
  if (!st) st = sg_neuron_links(w->p.model, w->layer, w->channel, w->index, true, n, w->up, &w->n_up, err);
  return st ? st : sg_neuron_links(w->p.model, w->layer, w->channel, w->index, false, n, w->down, &w->n_down, err);
}

static int run(const cli_call *c) {
  sg_error err = {0};
  work w = {.c = c,
            .layer = cli_size(c, "layer"),
            .channel = cli_size(c, "channel"),
            .index = cli_size(c, "index"),
            .top = cli_size(c, "top")};
  int code = 0;
  sg_status st = cli_prompt_open_model(&w.p, c, &err);
  if (!st) st = read_all(&w, &err);
  if (st) {
    code = cli_fail(&err);
  } else if (cli_flag(c, "json")) {
    cli_card card = {w.layer, w.channel, w.index, w.top, w.view, w.up, w.down, w.n_up, w.n_down};
    code = cli_json(cli_card_json(&w.p, &card));
  } else {
    printf("layer %zu channel %zu neuron %zu, from its weights; largest and smallest over the vocabulary\n", w.layer,
           w.channel, w.index);
    print_tokens(&w);
    print_links("Written by earlier neurons, read by this one", w.up, w.n_up);
    print_links("Written by this one, read by later neurons", w.down, w.n_down);
  }
  sgi_free(w.block);
  sgi_free(w.up);
  sgi_free(w.down);
  cli_prompt_close(&w.p);
  return code;
}

static const cli_option options[] = {
    {.name = "layer", .letter = 'l', .required = true, .type = CLI_SIZE, .argument = "L", .help = "layer, from 0"},
    {.name = "channel",
     .letter = 'c',
     .type = CLI_SIZE,
     .argument = "C",
     .value = "0",
     .help = "channel (moe: expert)"},
    {.name = "index",
     .letter = 'i',
     .required = true,
     .type = CLI_SIZE,
     .argument = "I",
     .help = "neuron of the channel"},
    {.name = "top", .letter = 'n', .type = CLI_SIZE, .argument = "N", .value = "8", .help = "tokens shown of each end"},
    {.name = "links",
     .type = CLI_SIZE,
     .argument = "N",
     .value = "5",
     .max = 10000,
     .help = "neurons shown of each side"},
    CLI_MODEL_OPTIONS,
    CLI_JSON_OPTION,
    CLI_END};

const cli_command cli_neuron = {
    .name = "neuron",
    .group = "Reading",
    .summary = "what a neuron reads and writes, from its weights alone",
    .usage = "MODEL --layer L [--channel C] --index I",
    .examples = "# neuron 17 of channel 2 in layer 1\nsgatlin neuron MODEL --layer 1 --channel 2 --index 17",
    .description =
        "Through the tied embedding, with norm gains: \"reads\" is the product of the neuron's input row with each "
        "token's "
        "embedding, \"opens for\" the score by which the router would choose it there, \"value\" their product, "
        "\"writes\" what "
        "one unit of its value adds to each logit, up to the final norm's scale. Attention and earlier layers are left "
        "out, so "
        "in later layers this is a first look and no more.\n\n"
        "Links are virtual weights through the residual stream: what an earlier neuron writes, read by a later one.",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
