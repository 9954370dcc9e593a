/* cmd_neuron.c: the card of one neuron: what it reads and writes, from weights alone. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "card.h"
#include "read/neuron_record.h"

typedef struct work {
  const cli_call *c;
  cli_prompt p;
  size_t layer, channel, index, top;
  sg_neuron_view view;
  float *block; /* (4,V) */
  sg_neuron_link *up, *down;
  size_t n_up, n_down;
  sgi_recording *rec; /* NULL without --recording */
  sgi_neuron_record record;
} work;

/* ---- recorded ----------------------------------------------------------------------------------------------------------- */

/* Shares of the neuron's positions, by |value|, at which excerpts are shown; from the top it is --excerpts of them. */
static const double quantiles[] = {1, 0.75, 0.5, 0.25};
enum { AROUND = 5, PER_QUANTILE = 2 };

typedef struct excerpt {
  double quantile;
  const sgi_neuron_firing *at;
  sgi_recorded place;
  size_t first, last; /* positions shown */
} excerpt;

/* The i-th excerpt, false past the last. */
static bool excerpt_at(const work *w, size_t i, excerpt *out) {
  const sgi_neuron_record *n = &w->record;
  size_t top = cli_size(w->c, "excerpts"), at;
  if (top > n->n_firings) top = n->n_firings;
  if (i < top) {
    *out = (excerpt){.quantile = 1};
    at = i;
  } else {
    size_t q = 1 + (i - top) / PER_QUANTILE;
    if (q >= SGI_COUNT(quantiles) || !n->n_firings) return false;
    *out = (excerpt){.quantile = quantiles[q]};
    at = (size_t)((1 - quantiles[q]) * (double)n->n_firings) + (i - top) % PER_QUANTILE;
    if (at >= n->n_firings) at = n->n_firings - 1;
  }
  size_t count, start;
  out->at = &n->firings[at];
  out->place = sgi_recording_at(w->rec, out->at->position);
  sgi_recording_document(w->rec, out->place.document, &start, &count);
  out->first = out->at->position > start + AROUND ? out->at->position - AROUND : start;
  out->last = out->at->position + AROUND < start + count ? out->at->position + AROUND : start + count - 1;
  return true;
}

static json_t *text_json(const work *w, size_t from, size_t to) {
  json_t *a = json_array();
  for (size_t i = from; i < to; i++) json_array_append_new(a, cli_token_json(&w->p, sgi_recording_at(w->rec, i).input));
  return a;
}

static json_t *record_json(const work *w) {
  const sgi_neuron_record *n = &w->record;
  json_t *list = json_array(), *partners = json_array();
  excerpt e;
  for (size_t i = 0; excerpt_at(w, i, &e); i++)
    json_array_append_new(
        list, json_pack("{so so sI sI sI so so so so}", "quantile", cli_json_real(e.quantile), "value",
                        cli_json_real(e.at->value), "position", (json_int_t)e.at->position, "document",
                        (json_int_t)e.place.document, "place", (json_int_t)e.place.place, "before",
                        text_json(w, e.first, e.at->position), "token", cli_token_json(&w->p, e.place.input), "after",
                        text_json(w, e.at->position + 1, e.last + 1), "target", cli_token_json(&w->p, e.place.target)));
  for (size_t i = 0; i < n->n_partners; i++)
    json_array_append_new(
        partners,
        json_pack("{si si sI so}", "channel", (int)n->partners[i].channel, "index", (int)n->partners[i].index,
                  "together", (json_int_t)n->partners[i].together, "lift", cli_json_real(n->partners[i].lift)));
  return json_pack("{sI so so sI so so}", "count", (json_int_t)n->count, "density", cli_json_real(n->density),
                   "agreement", cli_json_real(n->agreement), "agreement_tokens", (json_int_t)n->agreement_tokens,
                   "excerpts", list, "partners", partners);
}

static void print_record(const work *w) {
  const sgi_neuron_record *n = &w->record;
  printf("\nRecorded: chosen at %zu positions, %.4f%% of all\n", n->count, 100 * n->density);
  if (n->agreement_tokens >= 3)
    printf("rank agreement of \"value\" above with recorded means, over %zu input tokens: %+.3f\n", n->agreement_tokens,
           n->agreement);
  cli_table *t = cli_table_begin("rrl");
  cli_cell(t, "from top");
  cli_cell(t, "value");
  cli_cell(t, "excerpt");
  excerpt e;
  for (size_t i = 0; excerpt_at(w, i, &e); i++) {
    char line[1600] = "";
    size_t used = 0;
    for (size_t k = e.first; k <= e.last; k++) {
      cli_shown s = cli_token_shown(&w->p, sgi_recording_at(w->rec, k).input);
      s.s[strlen(s.s) - 1] = 0; /* without quotes */
      bool here = k == e.at->position;
      used += (size_t)snprintf(line + used, sizeof line - used, "%s%s%s", here ? "[" : "", s.s + 1, here ? "]" : "");
    }
    cli_cell(t, "%.0f%%", 100 * (1 - e.quantile));
    cli_cell(t, "%+.4f", e.at->value);
    cli_cell(t, "%s", line);
  }
  cli_table_end(t);
  if (!n->n_partners) return;
  printf("\nFires together with, of its layer\n");
  t = cli_table_begin("lrr");
  cli_cell(t, "neuron");
  cli_cell(t, "together");
  cli_cell(t, "lift");
  for (size_t i = 0; i < n->n_partners; i++) {
    cli_cell(t, "channel %d neuron %d", n->partners[i].channel, n->partners[i].index);
    cli_cell(t, "%zu", n->partners[i].together);
    cli_cell(t, "%.1f", n->partners[i].lift);
  }
  cli_table_end(t);
}

static sg_status read_recording(work *w, sg_error *err) {
  const char *path = cli_string(w->c, "recording");
  const sg_config *c = sg_model_config(w->p.model);
  if (!path) return SG_OK;
  sg_status st = sgi_recording_open(path, &w->rec, err);
  if (st) return st;
  const sgi_recording_info *i = sgi_recording_info_of(w->rec);
  if (i->vocab_size != c->vocab_size || i->model_layers != c->num_layers || i->pool != c->num_neurons)
    return sgi_fail(
        err, SG_ERR_ARG,
        "%s holds no neurons of this model: it was recorded from another one (%s), or from one whose units are experts",
        path, i->model);
  return sgi_neuron_record_init(&w->record, w->rec, w->layer, w->channel, w->index,
                                w->view.value ? w->view.value : w->view.reads, cli_size(w->c, "links"),
                                cli_flag(w->c, "special"), err);
}

/* ---- all ------------------------------------------------------------------------------------------------------------------ */

static int print_json(const work *w) {
  cli_card card = {w->layer, w->channel, w->index, w->top, w->view, w->up, w->down, w->n_up, w->n_down};
  json_t *o = cli_card_json(&w->p, &card);
  if (w->rec) json_object_set_new(o, "recorded", record_json(w));
  return cli_json(o);
}

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
  if (!st) st = read_recording(&w, &err);
  if (st) {
    code = cli_fail(&err);
  } else if (cli_flag(c, "json")) {
    code = print_json(&w);
  } else {
    printf("layer %zu channel %zu neuron %zu, from its weights; largest and smallest over the vocabulary\n", w.layer,
           w.channel, w.index);
    print_tokens(&w);
    print_links("Written by earlier neurons, read by this one", w.up, w.n_up);
    print_links("Written by this one, read by later neurons", w.down, w.n_down);
    if (w.rec) print_record(&w);
  }
  sgi_neuron_record_deinit(&w.record);
  sgi_recording_close(w.rec);
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
     .help = "excerpts of largest value; more follow at a quarter, half, three quarters"},
    CLI_MODEL_OPTIONS,
    CLI_JSON_OPTION,
    CLI_END};

const cli_command cli_neuron = {
    .name = "neuron",
    .group = "Reading",
    .summary = "what a neuron reads and writes, from its weights, and where it fires",
    .usage = "MODEL --layer L [--channel C] --index I [--recording REC]",
    .examples =
        "# neuron 17 of channel 2 in layer 1\nsgatlin neuron MODEL --layer 1 --channel 2 --index 17\n"
        "# with where it fires in a recorded text\nsgatlin neuron MODEL -l 1 -c 2 -i 17 --recording REC",
    .description =
        "Through the tied embedding, with norm gains: \"reads\" is the product of the neuron's input row with each "
        "token's "
        "embedding, \"opens for\" the score by which the router would choose it there, \"value\" their product, "
        "\"writes\" what "
        "one unit of its value adds to each logit, up to the final norm's scale. Attention and earlier layers are left "
        "out, so "
        "in later layers this is a first look and no more.\n\n"
        "Links are virtual weights through the residual stream: what an earlier neuron writes, read by a later one.\n\n"
        "With a recording: how often it is chosen, excerpts of largest |value| and from further down its range, the "
        "neurons of its "
        "layer that fire with it most above chance, and Spearman's rank agreement between \"value\" and the recorded "
        "mean "
        "value of each input token: near 0, the weights alone do not tell what it does.",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
