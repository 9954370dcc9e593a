/* cmd_neuron.c: the card of one neuron: what it reads and writes, from weights alone; where it
 * fires; what it does along a prompt. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "prompt.h"
#include "report/card.h"
#include "report/card_record.h"
#include "reading.h"
#include "strongest.h"

typedef struct work {
  const cli_call *c;
  sgi_prompt p;
  size_t layer, channel, index, top;
  sg_neuron_view view;
  float *block; /* (4,V) */
  sg_neuron_link *up, *down;
  size_t n_up, n_down;
  sg_recording *rec;    /* NULL without --recording */
  json_t *recorded;     /* where it fires */
  sg_activation *along; /* (count of the prompt); NULL without --prompt */
  bool chosen;          /* no neuron was named: the prompt's strongest */
  cli_strongest strongest;
} work;

/* ---- recorded -------------------------------------------------------------------------------- */

/* The parts of the range that hold a tenth, half and nine tenths of the firings, to the width of a
 * part. */
static void print_histogram(const char *name, const json_t *h) {
  static const double shares[] = {0.1, 0.5, 0.9};
  const json_t *counts = json_object_get(h, "counts");
  double low = sgi_field_real(h, "low"), high = sgi_field_real(h, "high");
  size_t bins = json_array_size(counts), n = 0;
  for (size_t b = 0; b < bins; b++) n += (size_t)json_integer_value(json_array_get(counts, b));
  if (!n) return;
  printf("%s from %+.4f to %+.4f; 10, 50, 90 %% below", name, low, high);
  for (size_t s = 0, seen = 0, bin = 0; s < SGI_COUNT(shares); s++) {
    while (bin < bins && (double)seen < shares[s] * (double)n)
      seen += (size_t)json_integer_value(json_array_get(counts, bin++));
    printf("%s %+.4f", s ? "," : "", low + (high - low) * (double)bin / (double)bins);
  }
  putchar('\n');
}

/* Shown texts of a list of tokens, one behind the other, without their quotes. */
static size_t put_tokens(const work *w, const json_t *list, char *line, size_t used, size_t size) {
  json_t *k;
  size_t i;
  json_array_foreach((json_t *)list, i, k) {
    sgi_shown s = sgi_token_shown(&w->p, (int32_t)sgi_field_size(k, "id"));
    s.s[strlen(s.s) - 1] = 0;
    if (used < size) used += (size_t)snprintf(line + used, size - used, "%s", s.s + 1);
  }
  return used;
}

static void print_excerpts(const work *w) {
  json_t *e;
  size_t i;
  cli_table *t = cli_table_begin("lrrl");
  cli_cell(t, "side");
  cli_cell(t, "from top");
  cli_cell(t, "value");
  cli_cell(t, "excerpt");
  json_array_foreach(json_object_get(w->recorded, "excerpts"), i, e) {
    char line[1600] = "";
    sgi_shown here = sgi_token_shown(&w->p, (int32_t)sgi_field_size(json_object_get(e, "token"), "id"));
    here.s[strlen(here.s) - 1] = 0;
    size_t used = put_tokens(w, json_object_get(e, "before"), line, 0, sizeof line);
    if (used < sizeof line) used += (size_t)snprintf(line + used, sizeof line - used, "[%s]", here.s + 1);
    put_tokens(w, json_object_get(e, "after"), line, used, sizeof line);
    cli_cell(t, "%s", sgi_field_word(e, "side"));
    cli_cell(t, "%.0f%%", 100 * (1 - sgi_field_real(e, "quantile")));
    cli_cell(t, "%+.4f", sgi_field_real(e, "value"));
    cli_cell(t, "%s", line);
  }
  cli_table_end(t);
}

static void print_partners(const json_t *partners) {
  json_t *p;
  size_t i;
  if (!json_array_size(partners)) return;
  printf("\nFires together with, of its layer\n");
  cli_table *t = cli_table_begin("lrr");
  cli_cell(t, "neuron");
  cli_cell(t, "together");
  cli_cell(t, "lift");
  json_array_foreach((json_t *)partners, i, p) {
    cli_cell(t, "channel %zu neuron %zu", sgi_field_size(p, "channel"), sgi_field_size(p, "index"));
    cli_cell(t, "%zu", sgi_field_size(p, "together"));
    cli_cell(t, "%.1f", sgi_field_real(p, "lift"));
  }
  cli_table_end(t);
}

static void print_record(const work *w) {
  const json_t *n = w->recorded;
  bool kept = sgi_field_flag(n, "kept");
  size_t in_favour = sgi_field_size(n, "for"), against = sgi_field_size(n, "against");
  printf("\nRecorded: %s at %zu positions, %.4f%% of all\n", kept && !w->view.opens ? "above 0" : "chosen",
         sgi_field_size(n, "count"), 100 * sgi_field_real(n, "density"));
  if (sgi_field_size(n, "agreement_tokens") >= 3)
    printf("rank agreement of \"value\" above with recorded means, over %zu input tokens: %+.3f\n",
           sgi_field_size(n, "agreement_tokens"), sgi_field_real(n, "agreement"));
  if (sgi_field_size(n, "written_tokens") >= 3)
    printf("rank agreement of \"writes\" above with mean values before a token, over %zu tokens to come: %+.3f\n",
           sgi_field_size(n, "written_tokens"), sgi_field_real(n, "written_agreement"));
  if (!kept) print_histogram("gate", json_object_get(n, "gates"));
  print_histogram("value", json_object_get(n, "values"));
  if (kept)
    printf("its strongest are kept: %zu for what it writes (value above 0), %zu against\n", in_favour, against);
  else
    printf("%zu times for what it writes (value above 0), %zu against\n", in_favour, against);
  print_excerpts(w);
  print_partners(json_object_get(n, "partners"));
}

static sg_status read_recording(work *w, sg_error *err) {
  const char *path = cli_string(w->c, "recording");
  if (!path) return SG_OK;
  sg_status st = sg_recording_open(path, &w->rec, err);
  if (!st) st = cli_bind(w->c, w->rec, path, w->p.model, err);
  if (!st) st = sgi_fires_check(&w->p, w->rec, path, err);
  if (st) return st;
  sgi_fires f = {.p = &w->p,
                 .rec = w->rec,
                 .layer = w->layer,
                 .channel = w->channel,
                 .index = w->index,
                 .excerpts = cli_size(w->c, "excerpts")};
  st = sgi_fires_read(&f, &w->view, cli_size(w->c, "links"), cli_flag(w->c, "special"), err);
  if (!st) st = sgi_fires_json(&f, &w->recorded, err);
  sgi_fires_deinit(&f);
  return st;
}

/* ---- along a prompt -------------------------------------------------------------------------- */

static bool has_prompt(const work *w) { return cli_string(w->c, "prompt") || cli_string(w->c, "ids"); }

static sg_status read_along(work *w, sg_error *err) {
  if (!has_prompt(w)) return SG_OK;
  if (!(w->along = sgi_alloc((w->p.count + 1) * sizeof *w->along)))
    return sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  return sg_neuron_activations(w->p.model, w->p.tokens, w->p.count, w->layer, w->channel, w->index, w->along, err);
}

static void number_cell(cli_table *t, bool there, double x) {
  if (there)
    cli_cell(t, "%+.5f", x);
  else
    cli_cell(t, "%s", "");
}

static void print_along(const work *w) {
  printf("\nAlong the prompt\n");
  cli_table *t = cli_table_begin("rlrrr");
  cli_cell(t, "pos");
  cli_cell(t, "token");
  cli_cell(t, "input");
  cli_cell(t, "gate");
  cli_cell(t, "value");
  for (size_t i = 0; i < w->p.count; i++) {
    const sg_activation *a = &w->along[i];
    cli_cell(t, "%zu", i);
    cli_cell(t, "%s", sgi_token_shown(&w->p, w->p.tokens[i]).s);
    cli_cell(t, "%+.5f", a->input);
    number_cell(t, a->chosen && w->view.opens, a->score);
    number_cell(t, a->chosen, a->value);
  }
  cli_table_end(t);
}

/* ---- all ------------------------------------------------------------------------------------- */

static int print_json(const work *w) {
  sgi_card card = {w->layer, w->channel, w->index, w->top, w->view, w->up, w->down, w->n_up, w->n_down};
  json_t *o = sgi_card_json(&w->p, &card);
  if (w->rec) json_object_set(o, "recorded", w->recorded);
  if (w->chosen) json_object_set_new(o, "strongest", cli_strongest_json(&w->p, &w->strongest));
  if (w->along) json_object_set_new(o, "prompt", sgi_activations_json(&w->p, w->layer, w->channel, w->index, w->along));
  return cli_reading_json(w->rec, o);
}

static void print_tokens(const work *w) {
  const char *title[4] = {"reads", "opens for", "value", "writes"};
  const float *x[4] = {w->view.reads, w->view.opens, w->view.value, w->view.writes};
  sgi_ranked *r[4] = {0};
  size_t V = sg_model_config(w->p.model)->vocab_size, n = w->top < V ? w->top : V;
  cli_table *t = cli_table_begin(w->view.opens ? "lrlrlrlr" : "lrlr");
  for (int k = 0; k < 4; k++) {
    if (!x[k]) continue;
    r[k] = sgi_rank(x[k], V);
    cli_cell(t, "%s", title[k]);
    cli_cell(t, "%s", "");
  }
  for (int end = 0; end < 2; end++)
    for (size_t i = 0; i < n; i++)
      for (int k = 0; k < 4; k++) {
        if (!x[k] || !r[k]) continue;
        const sgi_ranked *at = end ? &r[k][V - n + i] : &r[k][i];
        cli_cell(t, "%s", sgi_token_shown(&w->p, at->id).s);
        cli_cell(t, "%+.3f", (double)at->value);
      }
  cli_table_end(t);
  for (int k = 0; k < 4; k++) sgi_free(r[k]);
}

static void print_links(const work *w, const char *title, const sg_neuron_link *l, size_t n) {
  if (!n) return;
  printf("\n%s\n", title);
  cli_table *t = cli_table_begin("rl");
  cli_cell(t, "weight");
  cli_cell(t, "neuron");
  for (size_t i = 0; i < n; i++) {
    cli_cell(t, "%+.4f", (double)l[i].weight);
    cli_neuron_cell(t, &w->p, l[i].layer, l[i].channel, l[i].index);
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

/* The one that is named, or the prompt's strongest. */
static sg_status choose(work *w, sg_error *err) {
  w->chosen = !cli_is_set(w->c, "neuron");
  w->layer = cli_size(w->c, "layer");
  w->channel = cli_size(w->c, "channel");
  w->index = cli_size(w->c, "neuron");
  if (!w->chosen) return SG_OK;
  sg_status st = cli_strongest_find(w->c, &w->p, -1, -1, &w->strongest, err);
  if (st) return st;
  w->layer = w->strongest.layer;
  w->channel = w->strongest.channel;
  w->index = w->strongest.index;
  cli_strongest_note(&w->p, &w->strongest);
  return SG_OK;
}

static int run(const cli_call *c) {
  sg_error err = {0};
  work w = {.c = c, .top = cli_size(c, "top")};
  int code = 0;
  if (cli_is_set(c, "neuron") && !cli_is_set(c, "layer")) return cli_usage(c, "--neuron needs --layer");
  if (!cli_is_set(c, "neuron") && !has_prompt(&w) && cli_model_check(c, &err)) return cli_fail(&err);
  if (!cli_is_set(c, "neuron") && !has_prompt(&w))
    return cli_usage(c,
                     "name a neuron with --layer, --channel and --neuron, or give a prompt for its strongest one: "
                     "sgatlin neuron %s 'TEXT'",
                     c->args[0]);
  sg_status st = has_prompt(&w) ? cli_prompt_open(&w.p, c, &err) : cli_prompt_open_model(&w.p, c, &err);
  if (!st) st = choose(&w, &err);
  if (!st) st = read_all(&w, &err);
  if (!st) st = read_recording(&w, &err);
  if (!st) st = read_along(&w, &err);
  if (st) {
    code = cli_fail(&err);
  } else if (cli_flag(c, "json")) {
    code = print_json(&w);
  } else {
    printf("layer %zu channel %zu neuron %zu, from its weights; largest and smallest over the vocabulary\n", w.layer,
           w.channel, w.index);
    print_tokens(&w);
    print_links(&w, "Written by earlier neurons, read by this one", w.up, w.n_up);
    print_links(&w, "Written by this one, read by later neurons", w.down, w.n_down);
    if (w.along) print_along(&w);
    if (w.rec) print_record(&w);
  }
  code = cli_reading_end(w.rec, code);
  json_decref(w.recorded);
  sgi_free(w.along);
  sg_recording_close(w.rec);
  sgi_free(w.block);
  sgi_free(w.up);
  sgi_free(w.down);
  cli_prompt_close(&w.p);
  return code;
}

static const cli_option options[] = {
    {.name = "layer",
     .letter = 'l',
     .type = CLI_SIZE,
     .argument = "L",
     .value_text = "of the prompt's strongest neuron",
     .help = "layer, from 0"},
    {.name = "channel",
     .letter = 'c',
     .type = CLI_SIZE,
     .argument = "C",
     .value = "0",
     .help = "channel (moe: expert)"},
    {.name = "neuron",
     .letter = 'i',
     .old = "index",
     .type = CLI_SIZE,
     .argument = "I",
     .value_text = "the prompt's strongest",
     .help = "neuron of the channel"},
    {.name = "top", .letter = 'n', .type = CLI_SIZE, .argument = "N", .value = "8", .help = "tokens shown of each end"},
    {.name = "links",
     .type = CLI_SIZE,
     .argument = "N",
     .value = "5",
     .max = 10000,
     .help = "neurons shown of each side"},
    {.name = "recording",
     .letter = 'r',
     .type = CLI_STRING,
     .argument = "REC",
     .help = "also where it fires, in this recording of the model"},
    {.name = "special", .type = CLI_FLAG, .help = "excerpts at the begin token, too"},
    {.name = "excerpts",
     .type = CLI_SIZE,
     .argument = "N",
     .value = "5",
     .help = "strongest excerpts for and against what it writes; more follow at a quarter, half, three quarters"},
    CLI_PROMPT_OPTIONS,
    CLI_FORCE_OPTION,
    CLI_MODEL_OPTIONS,
    CLI_JSON_OPTION,
    CLI_END};

const cli_command cli_neuron = {
    .name = "neuron",
    .group = "Reading",
    .summary = "what a neuron reads and writes, from its weights, and where it fires",
    .usage = "MODEL TEXT [--layer L] [--recording REC]\nMODEL --layer L [--channel C] --neuron I [--recording REC]",
    .examples =
        "# the neuron that does most for what the model says next\nsgatlin neuron MODEL 'The dog was'\n"
        "# neuron 17 of channel 2 in layer 1\nsgatlin neuron MODEL --layer 1 --channel 2 --neuron 17\n"
        "# with where it fires in a recorded text\nsgatlin neuron MODEL -l 1 -c 2 -i 17 --recording REC\n"
        "# what it does at each position of a text\nsgatlin neuron MODEL 'The dog was' -l 1 -c 2 -i 17",
    .description =
        "Where no neuron is named, it is the one of the largest total effect on the most probable token after the "
        "prompt (as 'sgatlin attribute' lists them; of --layer and --channel, where they are given).\n\n"
        "Through the tied embedding, with norm gains: \"reads\" is the product of the neuron's input row with each "
        "token's "
        "embedding, \"opens for\" the score by which the router would choose it there, \"value\" their product, "
        "\"writes\" what "
        "one unit of its value adds to each logit, up to the final norm's scale. Attention and earlier layers are left "
        "out, so "
        "in later layers this is a first look and no more.\n\n"
        "Links are virtual weights through the residual stream: what an earlier neuron writes, read by a later one.\n\n"
        "With a recording: how often it is chosen, excerpts of its strongest positive values (for what it writes) and "
        "from further down their range, the same of "
        "its negative ones (against), the "
        "neurons of its "
        "layer that fire with it most above chance, the range of its gates and values, and two rank agreements "
        "(Spearman's): of \"value\" with the recorded mean value of each input token, of \"writes\" with the mean "
        "value "
        "before each token to come: near 0, the weights alone do not tell what it does.\n\n"
        "With a prompt: at each position its input (what the gate acts on, chosen or not), its gate where it was "
        "chosen, and its value; the numbers of 'sgatlin trace'.",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .also = "prompt",
    .run = run,
};
