/* cmd_map.c: a two-dimensional map of circuits, or of the embeddings of the same tokens. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model.h"
#include "reading.h"

static cli_progress bar;
static const char *working;

static bool progress(void *user, const char *what, size_t done, size_t wanted) {
  (void)user;
  if (working != what) {
    if (working) cli_progress_end(&bar);
    cli_progress_begin(&bar, what, strcmp(what, "layout") ? "circuits" : "epochs", (double)wanted, 0);
    working = what;
  }
  cli_progress_update(&bar, (double)done, NULL);
  return cli_stop == 0;
}

typedef struct work {
  const cli_call *c;
  sgi_record_reader r;
  size_t slot, channel;
  bool by_target, embedding;
  sg_map *map;
  char **names; /* (n_tokens of the map) */
} work;

static sg_status draw(work *w, const sg_model *model, sg_error *err) {
  const cli_call *c = w->c;
  sg_map_request q = {.layer = w->r.info.layers[w->slot],
                      .channel = w->channel,
                      .embedding_of = model,
                      .top = cli_size(c, "top"),
                      .documents = cli_size(c, "documents"),
                      .by_target = w->by_target,
                      .neighbors = cli_size(c, "neighbors"),
                      .min_dist = cli_real(c, "min-dist"),
                      .epochs = cli_size(c, "epochs"),
                      .seed = cli_u64(c, "seed"),
                      .trust = true,
                      .progress = progress};
  sg_status st = sg_map_create(w->r.rec, &q, &w->map, err);
  if (working) cli_progress_end(&bar);
  return st;
}

static sg_status name_tokens(work *w, sg_error *err) {
  size_t n = w->map->n_tokens;
  w->names = sgi_alloc((n + 1) * sizeof *w->names);
  for (size_t i = 0; w->names && i < n; i++) {
    w->names[i] = cli_recorded_token_text(&w->r, w->map->tokens[i].id, false);
    if (!w->names[i] || *w->names[i]) continue; /* NULL: told below */
    free(w->names[i]);
    if (asprintf(&w->names[i], "%d", w->map->tokens[i].id) < 0) w->names[i] = NULL, cli_no_memory();
  }
  for (size_t i = 0; i < n; i++)
    if (!w->names || !w->names[i]) return sgi_fail_memory(err, n, "names of tokens");
  /* a number would stand for a text */
  return sgi_alloc_failures() ? sgi_fail_memory(err, n, "names of tokens") : SG_OK;
}

static sg_status make(work *w, sg_error *err) {
  const cli_call *c = w->c;
  cli_model m = {0};
  sg_status st = sgi_record_reader_open(c->args[w->embedding ? 1 : 0], &w->r, err);
  if (!st) st = cli_reading_layer(c, &w->r, &w->slot, err);
  if (!st) st = cli_reading_channel(c, &w->r, w->slot, &w->channel, err);
  if (!st && w->embedding) st = cli_model_open(c, CLI_WITHOUT_TOKENIZER, &m, err);
  if (!st && w->embedding) st = cli_bind(c, w->r.rec, c->args[1], m.model, err);
  if (!st) st = draw(w, m.model, err);
  if (!st) st = name_tokens(w, err);
  cli_model_close(&m);
  return st;
}

/* ---- results --------------------------------------------------------------------------------- */

static json_t *points_json(const work *w) {
  json_t *list = json_array();
  for (size_t i = 0; i < w->map->n; i++) {
    json_t *o = json_pack("{s:o, s:o, s:i}", "x", sgi_report_real((double)w->map->xy[2 * i]), "y",
                          sgi_report_real((double)w->map->xy[2 * i + 1]), "label", w->map->label[i]);
    if (w->map->position) {
      sg_recorded at = sgi_recorded_at(w->r.rec, w->map->position[i]);
      json_object_set_new(o, "position", json_integer((json_int_t)w->map->position[i]));
      json_object_set_new(o, "document", json_integer((json_int_t)at.document));
      json_object_set_new(o, "place", json_integer((json_int_t)at.place));
      json_object_set_new(o, "input", json_integer(at.input));
      json_object_set_new(o, "target", json_integer(at.target));
    }
    json_array_append_new(list, o);
  }
  return list;
}

static json_t *labels_json(const work *w) {
  json_t *list = json_array();
  for (size_t i = 0; i < w->map->n_tokens; i++)
    json_array_append_new(list, json_pack("{s:i, s:o, s:I}", "id", w->map->tokens[i].id, "token",
                                          sgi_recorded_token(&w->r, w->map->tokens[i].id, false), "count",
                                          (json_int_t)w->map->tokens[i].count));
  return list;
}

static json_t *result(const work *w) {
  json_t *o = json_pack("{s:s, s:s, s:I, s:o, s:o, s:o}", "of", w->embedding ? "embedding" : "circuits", "by",
                        w->by_target ? "target" : "input", "n", (json_int_t)w->map->n, "seconds",
                        sgi_report_real(w->map->seconds), "labels", labels_json(w), "points", points_json(w));
  json_object_set_new(o, "model_hash", json_string(w->r.info.model_hash));
  if (!w->embedding) json_object_set_new(o, "layer", json_integer((json_int_t)w->r.info.layers[w->slot]));
  if (!isnan(w->map->trust_max)) {
    json_object_set_new(o, "trustworthiness_min", sgi_report_real(w->map->trust_min));
    json_object_set_new(o, "trustworthiness_max", sgi_report_real(w->map->trust_max));
  }
  return o;
}

static int show(const work *w) {
  sg_error err = {0};
  const char *path = cli_string(w->c, "output");
  if (path) {
    char title[200];
    if (w->embedding)
      snprintf(title, sizeof title, "Embeddings of %zu tokens", w->map->n);
    else
      snprintf(title, sizeof title, "%zu circuits of layer %zu, channel %s, by %s token", w->map->n,
               w->r.info.layers[w->slot], cli_string(w->c, "channel"), w->by_target ? "target" : "input");
    if (sg_map_save_svg(w->map, (const char *const *)w->names, title, path, &err)) return cli_fail(&err);
  }
  if (cli_flag(w->c, "json")) return cli_reading_json(w->r.rec, result(w));
  printf("%zu points of %zu tokens in %s", w->map->n, w->map->n_tokens, cli_seconds(w->map->seconds).s);
  if (!isnan(w->map->trust_max))
    printf("; trustworthiness at %zu neighbours %.4f", cli_size(w->c, "neighbors"), w->map->trust_min);
  if (w->map->trust_max > w->map->trust_min) printf(" to %.4f", w->map->trust_max);
  putchar('\n');
  if (path) cli_note("wrote %s", path);
  return 0;
}

static int run(const cli_call *c) {
  sg_error err = {0};
  work w = {.c = c, .by_target = cli_choice(c, "by") == 1, .embedding = c->n_args == 2};
  if (!cli_string(c, "output") && !cli_flag(c, "json"))
    return cli_usage(c, "name a picture to write, -o MAP.svg, or ask for the points, --json");
  cli_signals_install();
  sg_status st = make(&w, &err);
  int code = st ? cli_end(st, &err) : show(&w);
  for (size_t i = 0; w.names && i < w.map->n_tokens; i++) free(w.names[i]);
  sgi_free(w.names);
  sg_map_free(w.map);
  sgi_record_reader_close(&w.r);
  return code;
}

static const cli_option options[] = {
    CLI_OUTPUT_OPTION("MAP.svg", "picture to write"),
    CLI_LAYER_OPTION,
    CLI_CHANNEL_OPTION("gates of this channel, or of all"),
    {.name = "by",
     .type = CLI_CHOICE,
     .argument = "input|target",
     .value = "input",
     .help = "show the circuits of the most frequent tokens read, or of those to come, in their colours"},
    {.name = "top",
     .letter = 'n',
     .type = CLI_SIZE,
     .argument = "N",
     .value = "100",
     .min = 1,
     .max = 1e6,
     .help = "tokens to show: the most frequent"},
    {.name = "documents",
     .type = CLI_SIZE,
     .argument = "N",
     .value = "128",
     .help = "look at the first N documents; 0: all"},
    {.name = "neighbors",
     .letter = 'k',
     .type = CLI_SIZE,
     .argument = "K",
     .value = "15",
     .min = 2,
     .max = 1000,
     .help = "size of a neighbourhood, the point itself among them"},
    {.name = "min-dist",
     .type = CLI_REAL,
     .argument = "X",
     .value = "0.1",
     .min = 0,
     .max = 3,
     .help = "how near points may lie"},
    {.name = "epochs",
     .type = CLI_SIZE,
     .argument = "N",
     .value_text = "500",
     .max = 100000,
     .help = "rounds of the layout"},
    CLI_SEED_OPTION,
    CLI_CHECKPOINT_OPTION,
    CLI_FORCE_OPTION,
    CLI_JSON_OPTION,
    CLI_END};

const cli_command cli_map = {
    .name = "map",
    .group = "Reading",
    .summary = "draw circuits, or embeddings, so that like lies near like",
    .usage = "REC -o MAP.svg [--layer L] [--by input|target]\nMODEL REC -o MAP.svg",
    .examples =
        "# the circuits of the 100 most frequent tokens in 128 stories, layer 2, by the token read\n"
        "sgatlin map rec --layer 2 -o map.svg\n"
        "# by the token to come, and the points themselves\n"
        "sgatlin map rec --layer 2 --by target -o map-target.svg --json > map.json\n"
        "# the embeddings of the same tokens, to compare\nsgatlin map run rec -o embedding.svg",
    .description =
        "UMAP with cosine distance: exact nearest neighbours, and a layout that gives the same picture for the same "
        "seed on "
        "any number of threads. Given a MODEL as well, the map shows its embedding of the recording's most frequent "
        "tokens.\n\n"
        "Trustworthiness says how well the picture keeps neighbours: 1 if each point's nearest in the picture are its "
        "nearest in the data, 0.5 for points thrown at random. Where many distances tie it is an interval.",
    .options = options,
    .min_args = 1,
    .max_args = 2,
    .run = run,
};
