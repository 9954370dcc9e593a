/* cmd_neighbors.c: circuits like a given one, and places where given neurons fire together. */
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "core/file.h"
#include "prompt.h"
#include "reading.h"
#include "report/places.h"

typedef struct ask {
  const cli_call *c;
  sgi_record_reader r;
  sgi_prompt p; /* with MODEL and a prompt */
  size_t slot, channel, n;
  bool reference;
} ask;

/* ---- which circuit --------------------------------------------------------------------------- */

static sg_status place_of(const ask *a, const char *text, size_t *position, sg_error *err) {
  unsigned long long document, place;
  char rest;
  size_t first, count;
  if (sscanf(text, "%llu:%llu%c", &document, &place, &rest) != 2 || document >= a->r.info.n_documents)
    return sgi_fail(err, SG_ERR_ARG, "--at %s: expected DOCUMENT:PLACE with documents 0 to %zu", text,
                    a->r.info.n_documents - 1);
  sgi_recorded_document(a->r.rec, (size_t)document, &first, &count);
  if (place >= count)
    return sgi_fail(err, SG_ERR_ARG, "--at %s: document %llu has places 0 to %zu", text, document, count - 1);
  *position = first + (size_t)place;
  return SG_OK;
}

static bool has_prompt(const cli_call *c) { return cli_is_set(c, "prompt") || cli_is_set(c, "ids"); }

static int choose(const ask *a, size_t *position, sg_error *err) {
  const cli_call *c = a->c;
  int given = cli_is_set(c, "at") + cli_is_set(c, "position") + cli_is_set(c, "find");
  if (given != 1)
    return cli_usage(c,
                     "name one circuit: --find TEXT, --at DOCUMENT:PLACE, --position P, or a text and the model "
                     "that reads it: sgatlin neighbors MODEL %s TEXT",
                     c->args[0]);
  sg_status st = SG_OK;
  if (cli_is_set(c, "at"))
    st = place_of(a, cli_string(c, "at"), position, err);
  else if (cli_is_set(c, "find"))
    st = sgi_find_place(&a->r, cli_string(c, "find"), cli_size(c, "nth"), position, err);
  else
    *position = cli_int(c, "position") < 0 ? SIZE_MAX : (size_t)cli_int(c, "position");
  if (!st && *position >= a->r.info.n_positions)
    st = sgi_fail(err, SG_ERR_ARG, "position %s: those of the recording go from 0 to %zu", cli_given(c, "position"),
                  a->r.info.n_positions - 1);
  return st ? cli_fail(err) : 0;
}

/* ---- printing -------------------------------------------------------------------------------- */

static void cells(const ask *a, cli_table *t, size_t p) {
  sg_recorded at = sgi_recorded_at(a->r.rec, p);
  char *excerpt = cli_recorded_excerpt_text(&a->r, p, SGI_EXCERPT_WIDTH, a->reference), best[400] = "";
  for (size_t i = 0, n = 0; i < SG_RECORD_PREDICTIONS && n + 1 < sizeof best; i++) {
    char *token = cli_recorded_token_text(&a->r, at.predictions[i], a->reference);
    n += (size_t)snprintf(best + n, sizeof best - n, "%s%s", i ? " |" : "", token ? token : "");
    free(token);
  }
  cli_cell(t, "%zu:%zu", at.document, at.place);
  cli_cell(t, "%s", excerpt ? excerpt : "");
  cli_cell(t, "%s", best);
  free(excerpt);
}

/* The query's own line. */
static void query_cells(const ask *a, cli_table *t, size_t query) {
  if (!has_prompt(a->c)) return cells(a, t, query);
  cli_cell(t, "%zu of the prompt", query);
  cli_cell(t, "%s", sgi_token_shown(&a->p, a->p.tokens[query]).s);
  cli_cell(t, "%s", "");
}

static json_t *query_json(const ask *a, size_t query) {
  return has_prompt(a->c) ? json_pack("{so sI}", "tokens", sgi_prompt_json(&a->p), "position", (json_int_t)query)
                          : sgi_place_json(&a->r, query, a->reference);
}

static int print_neighbors(const ask *a, size_t query, const sg_neighbor *list, size_t n, double seconds) {
  if (cli_flag(a->c, "json"))
    return cli_reading_json(
        a->r.rec, sgi_neighbors_json(&a->r, a->slot, a->channel, query_json(a, query), list, n, seconds, a->reference));
  printf("circuits of layer %zu, ", a->r.info.layers[a->slot]);
  if (a->channel == SG_ALL_CHANNELS)
    printf("all channels\n");
  else
    printf("channel %zu\n", a->channel);
  cli_table *t = cli_table_begin("rlll");
  cli_cell(t, "distance");
  cli_cell(t, "place");
  cli_cell(t, "excerpt");
  cli_cell(t, "predictions");
  cli_cell(t, "query");
  query_cells(a, t, query);
  for (size_t i = 0; i < n; i++) {
    cli_cell(t, "%.6f", list[i].distance);
    cells(a, t, list[i].position);
  }
  cli_table_end(t);
  return 0;
}

static int neighbors(const ask *a) {
  sg_error err = {0};
  size_t query = 0, found = 0;
  int code = 0;
  sg_status st = SG_OK;
  if (has_prompt(a->c))
    st = sgi_prompt_at(&a->p, cli_is_set(a->c, "position") ? (ptrdiff_t)cli_int(a->c, "position") : -1, &query, &err);
  else
    code = choose(a, &query, &err);
  if (code || st) return code ? code : cli_fail(&err);
  sg_search *s = NULL;
  sg_neighbor *list = NULL;
  size_t n = a->n < a->r.info.n_positions ? a->n : a->r.info.n_positions;
  st = sg_search_create(a->r.rec, a->r.info.layers[a->slot], a->channel, a->reference ? 0 : -1, &s, &err);
  if (!st && !(list = sgi_alloc(n * sizeof *list))) st = sgi_fail_memory(&err, n * sizeof *list, "neighbours");
  double started = sgi_now();
  if (!st && has_prompt(a->c)) st = sgi_prompt_nearest(&a->p, query, &a->r, a->slot, s, n, list, &found, &err);
  if (!st && !has_prompt(a->c)) st = sg_search_nearest(s, query, n, list, &found, &err);
  double seconds = sgi_now() - started;
  if (!st) {
    cli_detail("searched %zu circuits in %.2f ms", a->r.info.n_positions, 1e3 * seconds);
    code = print_neighbors(a, query, list, found, seconds);
  }
  sg_search_free(s);
  sgi_free(list);
  return st ? cli_fail(&err) : code;
}

static int print_together(const ask *a, const sg_neuron_id *units, size_t n_units, const sg_together *t) {
  size_t n = t->count < a->n ? t->count : a->n;
  if (cli_flag(a->c, "json"))
    return cli_reading_json(a->r.rec, sgi_together_json(&a->r, a->slot, units, n_units, t, n, a->reference));
  printf("layer %zu: %zu of %zu positions; by chance %.3g; lift %.3g\n", a->r.info.layers[a->slot], t->count,
         a->r.info.n_positions, t->expected, t->lift);
  cli_table *table = cli_table_begin("lll");
  cli_cell(table, "place");
  cli_cell(table, "excerpt");
  cli_cell(table, "predictions");
  for (size_t i = 0; i < n; i++) cells(a, table, t->position[i]);
  cli_table_end(table);
  return 0;
}

enum { MOST_SETS = 1000 };

static bool pairing(void *unused, size_t done, size_t total) {
  (void)unused, (void)done, (void)total;
  return cli_stop == 0;
}

/* "set:N": the N-th set that `coactivation` lists of the layer by its own defaults. */
static sg_status listed_set(const ask *a, const char *text, sg_neuron_id **units, size_t *n, sg_error *err) {
  char *end;
  unsigned long wanted = strtoul(text, &end, 10);
  sg_group_request q = {.layer = a->r.info.layers[a->slot],
                        .channel = SG_ALL_CHANNELS,
                        .min_count = 20, /* what `coactivation` asks for where nothing else is said */
                        .min_lift = 5,
                        .max_size = 8,
                        .max_groups = wanted,
                        .progress = pairing};
  if (end == text || *end || !wanted || wanted > MOST_SETS)
    return sgi_fail(err, SG_ERR_ARG, "--neurons set:%s: expected set:1 to set:%d, as 'sgatlin coactivation' lists them",
                    text, MOST_SETS);
  sg_group *g = sgi_alloc(wanted * sizeof *g);
  size_t found = 0;
  sg_status st =
      g ? sg_coactivation_groups(a->r.rec, &q, g, &found, err) : sgi_fail_memory(err, wanted * sizeof *g, "sets");
  if (!st && found < wanted)
    st = sgi_fail(err, SG_ERR_ARG, "--neurons set:%s: of layer %zu 'sgatlin coactivation' lists %zu", text,
                  a->r.info.layers[a->slot], found);
  if (!st && !(*units = sgi_alloc(g[wanted - 1].size * sizeof **units))) st = sgi_fail_memory(err, 64, "a set");
  if (!st) {
    *n = g[wanted - 1].size;
    memcpy(*units, g[wanted - 1].units, *n * sizeof **units);
  }
  sgi_free(g);
  return st;
}

static int together(const ask *a) {
  sg_error err = {0};
  sg_neuron_id *units = NULL;
  size_t n;
  sg_together t = {0};
  int code = 0;
  const char *given = cli_string(a->c, "neurons");
  sg_status st =
      strncmp(given, "set:", 4) ? cli_unit_list(given, &units, &n, &err) : listed_set(a, given + 4, &units, &n, &err);
  if (!st) st = sg_fire_together(a->r.rec, a->r.info.layers[a->slot], units, n, &t, &err);
  if (!st) code = print_together(a, units, n, &t);
  sgi_free(t.position);
  sgi_free(units);
  return st ? cli_stop ? 128 + cli_stop : cli_fail(&err) : code;
}

static int run(const cli_call *c) {
  sg_error err = {0};
  ask a = {.c = c, .n = cli_size(c, "top"), .reference = cli_flag(c, "reference")};
  if (c->n_args == 2 && !has_prompt(c) && !sgi_is_directory(c->args[1]))
    return cli_usage(c,
                     "'%s' is no recording; did you mean: sgatlin neighbors %s --find '%s', or, for a text of your "
                     "own, sgatlin neighbors MODEL %s '%s'?",
                     c->args[1], c->args[0], c->args[1], c->args[0], c->args[1]);
  if (has_prompt(c) && c->n_args < 2)
    return cli_usage(c, "a text needs the model that reads it: sgatlin neighbors MODEL %s TEXT", c->args[0]);
  if (!has_prompt(c) && c->n_args == 2)
    return cli_usage(c, "MODEL reads a text: sgatlin neighbors %s %s TEXT; without one leave MODEL out", c->args[0],
                     c->args[1]);
  sg_status st = c->n_args == 2 ? cli_prompt_open(&a.p, c, &err) : SG_OK;
  if (!st) st = sgi_record_reader_open(c->args[c->n_args - 1], &a.r, &err);
  if (!st && c->n_args == 2) st = cli_bind(c, a.r.rec, c->args[1], a.p.model, &err);
  if (!st) st = cli_reading_layer(c, &a.r, &a.slot, &err);
  if (!st) st = cli_reading_channel(c, &a.r, a.slot, &a.channel, &err);
  int code = st ? cli_fail(&err) : cli_is_set(c, "neurons") ? together(&a) : neighbors(&a);
  code = cli_reading_end(a.r.rec, code);
  sgi_record_reader_close(&a.r);
  cli_prompt_close(&a.p);
  return code;
}

static const cli_option options[] = {
    {.name = "find",
     .type = CLI_STRING,
     .argument = "TEXT",
     .help = "the circuit where this text ends in the recording, such as ' dog' or ' a little dog'"},
    {.name = "nth",
     .type = CLI_SIZE,
     .argument = "N",
     .value = "1",
     .min = 1,
     .help = "which of the places --find finds"},
    {.name = "at",
     .type = CLI_STRING,
     .argument = "DOC:PLACE",
     .help = "the circuit at a place of a document, both from 0"},
    {.name = "position",
     .old = "pos",
     .type = CLI_INT,
     .argument = "N",
     .value_text = "of a prompt -1",
     .help = "the circuit at a position of the prompt (negative: from the end), or else of the recording"},
    CLI_PROMPT_OPTIONS,
    {.name = "neurons",
     .type = CLI_STRING,
     .argument = "C:I,...|set:N",
     .help = "instead: all positions where these neurons (channel:neuron), or the N-th set of 'sgatlin coactivation', "
             "fire together"},
    CLI_LAYER_OPTION,
    CLI_CHANNEL_OPTION("compare the gates of this channel, or of all"),
    {.name = "top",
     .letter = 'n',
     .old = "count",
     .type = CLI_SIZE,
     .argument = "N",
     .value = "10",
     .min = 1,
     .help = "how many to show"},
    CLI_MODEL_OPTIONS,
    CLI_FORCE_OPTION,
    {.name = "reference",
     .type = CLI_FLAG,
     .help = "the reference's table: positions that read token 0 left out, tokens by their names"},
    CLI_JSON_OPTION,
    CLI_END};

const cli_command cli_neighbors = {
    .name = "neighbors",
    .group = "Reading",
    .summary = "circuits most like a given one, or places where neurons fire together",
    .usage =
        "REC --find TEXT [--layer L] [--channel C]\nREC --at DOC:PLACE\nREC --neurons C:I,C:I | set:N\nMODEL REC TEXT "
        "[--position N]",
    .examples =
        "# where does the model do what it does at the first ' dog'?\nsgatlin neighbors rec --find ' dog'\n"
        "# one channel of layer 2\nsgatlin neighbors rec --find ' dog' --layer 2 --channel 0 -n 20\n"
        "# places where two neurons fire together, and how much more often than by chance\n"
        "sgatlin neighbors rec --layer 2 --neurons 0:17,0:44\n"
        "# recorded places that are like what the model does at the end of a text of your own\n"
        "sgatlin neighbors run rec 'The dog was' -n 5",
    .description =
        "The distance of two circuits is one minus the cosine of their gates: one coordinate for every neuron of every "
        "channel, its raw score where it was chosen, 0 elsewhere. The search is exact: only circuits that share a "
        "neuron "
        "can be nearer than 1, and the inverted index lists them.\n\n"
        "--neurons prints how often they fire together, how often they would if each fired on its own, and the ratio "
        "(lift).",
    .options = options,
    .min_args = 1,
    .max_args = 2,
    .also = "prompt",
    .run = run,
};
