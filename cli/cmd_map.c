/* cmd_map.c: a two-dimensional map of circuits, or of the embeddings of the same tokens. */
#include <stdlib.h>
#include <string.h>

#include "model.h"
#include "read/map.h"
#include "reading.h"

enum { TRUST_POINTS = 20000 };

static cli_progress bar;

static bool progress(void *user, size_t epoch, size_t epochs) {
  (void)user;
  if (epoch == 1) cli_progress_begin(&bar, "layout", "epochs", (double)epochs, 0);
  cli_progress_update(&bar, (double)epoch, NULL);
  return cli_stop == 0;
}

static bool search(void *user, size_t done, size_t wanted) {
  (void)user;
  if (done <= 1024) cli_progress_begin(&bar, "neighbours", "circuits", (double)wanted, 0);
  cli_progress_update(&bar, (double)done, NULL);
  if (done == wanted) cli_progress_end(&bar);
  return cli_stop == 0;
}

typedef struct work {
  const cli_call *c;
  cli_reading r;
  size_t slot, channel, neighbors;
  bool by_target, embedding;
  sgi_top_token *tokens;
  size_t n_tokens;
  uint32_t *positions; /* NULL for embeddings */
  int32_t *label;
  size_t n;
  sgi_vectors v;
  float *xy;
  char **names; /* (n_tokens) */
  double trust_low, trust_high, seconds;
} work;

/* ---- what to show ---------------------------------------------------------------------------- */

static sg_status choose_tokens(work *w, sg_error *err) {
  size_t most = cli_size(w->c, "top");
  w->tokens = sgi_alloc(most * sizeof *w->tokens);
  if (!w->tokens) return sgi_fail_memory(err, most * sizeof *w->tokens, "tokens");
  sg_status st = sg_top_tokens(w->r.rec, most, cli_size(w->c, "documents"), w->r.info->pad, w->by_target, w->tokens,
                               &w->n_tokens, err);
  w->names = st ? NULL : sgi_alloc((w->n_tokens + 1) * sizeof *w->names);
  for (size_t i = 0; !st && w->names && i < w->n_tokens; i++) {
    w->names[i] = cli_recorded_token_text(&w->r, w->tokens[i].id, false);
    if (w->names[i] && *w->names[i]) continue;
    free(w->names[i]);
    if (asprintf(&w->names[i], "%d", w->tokens[i].id) < 0) w->names[i] = NULL, cli_no_memory();
  }
  for (size_t i = 0; !st && i < w->n_tokens; i++)
    if (!w->names || !w->names[i]) st = sgi_fail_memory(err, w->n_tokens, "names of tokens");
  return st;
}

static sg_status take_circuits(work *w, sg_error *err) {
  sg_status st = sgi_map_positions(w->r.rec, w->tokens, w->n_tokens, cli_size(w->c, "documents"), w->by_target,
                                   &w->positions, &w->label, &w->n, err);
  return st ? st : sgi_map_circuits(w->r.rec, w->slot, w->channel, w->positions, w->n, &w->v, err);
}

/* Rows of the model's embedding, one point a token. */
static sg_status take_embeddings(work *w, sg_error *err) {
  cli_model m;
  sg_status st = cli_model_open(w->c, CLI_WITHOUT_TOKENIZER, &m, err);
  if (!st) st = cli_bind(w->c, w->r.rec, w->c->args[1], m.model, err);
  if (!st) {
    const sg_config *c = sg_model_config(m.model);
    size_t D = c->hidden_size;
    float *x = sgi_alloc(w->n_tokens * D * sizeof *x);
    w->label = sgi_alloc(w->n_tokens * sizeof *w->label);
    w->n = w->n_tokens;
    if (!x || !w->label) st = sgi_fail_memory(err, w->n_tokens * D * sizeof *x, "embeddings");
    for (size_t i = 0; i < w->n_tokens && !st; i++) {
      if ((size_t)w->tokens[i].id >= c->vocab_size)
        st = sgi_fail(err, SG_ERR_ARG, "token %d was recorded, but the model has only %zu", w->tokens[i].id,
                      c->vocab_size);
      else
        memcpy(x + i * D, sg_model_tensor(m.model, 0).data + (size_t)w->tokens[i].id * D, D * sizeof *x);
      w->label[i] = (int32_t)i;
    }
    if (!st) st = sgi_vectors_dense(x, w->n_tokens, D, &w->v, err);
    sgi_free(x);
  }
  cli_model_close(&m);
  return st;
}

static sg_status gather(work *w, sg_error *err) {
  const cli_call *c = w->c;
  sg_status st = cli_reading_open(c->args[w->embedding ? 1 : 0], &w->r, err);
  if (!st) st = cli_reading_layer(c, &w->r, &w->slot, err);
  if (!st) st = cli_reading_channel(c, &w->r, w->slot, &w->channel, err);
  if (!st) st = choose_tokens(w, err);
  return st ? st : w->embedding ? take_embeddings(w, err) : take_circuits(w, err);
}

static sg_status draw(work *w, sg_error *err) {
  sgi_umap_settings s = SGI_UMAP_DEFAULTS;
  s.neighbors = w->neighbors;
  s.min_dist = cli_real(w->c, "min-dist");
  s.epochs = cli_size(w->c, "epochs");
  s.seed = cli_u64(w->c, "seed");
  s.search = search;
  if (w->n <= s.neighbors)
    return sgi_fail(err, SG_ERR_ARG,
                    "%zu points are too few for a map with %zu neighbours: record more, or lower --neighbors", w->n,
                    s.neighbors);
  w->xy = sgi_alloc(2 * w->n * sizeof *w->xy);
  if (!w->xy) return sgi_fail_memory(err, 2 * w->n * sizeof *w->xy, "a map");
  double started = sgi_now();
  sg_status st = sgi_umap(&w->v, &s, w->xy, progress, NULL, err);
  cli_progress_end(&bar);
  w->seconds = sgi_now() - started;
  w->trust_low = w->trust_high = -1;
  if (!st && w->n <= TRUST_POINTS && 2 * s.neighbors < w->n)
    st = sgi_trustworthiness(&w->v, w->xy, s.neighbors, &w->trust_low, &w->trust_high, err);
  return st;
}

/* ---- results --------------------------------------------------------------------------------- */

static json_t *points_json(const work *w) {
  json_t *list = json_array();
  for (size_t i = 0; i < w->n; i++) {
    json_t *o = json_pack("{s:o, s:o, s:i}", "x", cli_json_real((double)w->xy[2 * i]), "y",
                          cli_json_real((double)w->xy[2 * i + 1]), "label", w->label[i]);
    if (w->positions) {
      sgi_recorded at = sgi_recording_at(w->r.rec, w->positions[i]);
      json_object_set_new(o, "position", json_integer((json_int_t)w->positions[i]));
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
  for (size_t i = 0; i < w->n_tokens; i++)
    json_array_append_new(
        list, json_pack("{s:i, s:o, s:I}", "id", w->tokens[i].id, "token",
                        cli_recorded_token(&w->r, w->tokens[i].id, false), "count", (json_int_t)w->tokens[i].count));
  return list;
}

static json_t *result(const work *w) {
  json_t *o = json_pack("{s:s, s:s, s:I, s:o, s:o, s:o}", "of", w->embedding ? "embedding" : "circuits", "by",
                        w->by_target ? "target" : "input", "n", (json_int_t)w->n, "seconds", cli_json_real(w->seconds),
                        "labels", labels_json(w), "points", points_json(w));
  json_object_set_new(o, SGI_BINDING_KEY, json_string(w->r.info->of.hash));
  if (!w->embedding) json_object_set_new(o, "layer", json_integer((json_int_t)w->r.info->layers[w->slot]));
  if (w->trust_high >= 0) {
    json_object_set_new(o, "trustworthiness_min", cli_json_real(w->trust_low));
    json_object_set_new(o, "trustworthiness_max", cli_json_real(w->trust_high));
  }
  return o;
}

static int show(const work *w) {
  sg_error err = {0};
  const char *path = cli_string(w->c, "output");
  if (path) {
    char title[200];
    if (w->embedding)
      snprintf(title, sizeof title, "Embeddings of %zu tokens", w->n);
    else
      snprintf(title, sizeof title, "%zu circuits of layer %zu, channel %s, by %s token", w->n,
               w->r.info->layers[w->slot], cli_string(w->c, "channel"), w->by_target ? "target" : "input");
    sgi_map_picture p = {w->xy, w->label, w->n, w->n_tokens, (const char *const *)w->names, title};
    if (sgi_map_svg(&p, path, &err)) return cli_fail(&err);
  }
  if (cli_flag(w->c, "json")) return cli_reading_json(w->r.rec, result(w));
  printf("%zu points of %zu tokens in %s", w->n, w->n_tokens, cli_seconds(w->seconds).s);
  if (w->trust_high >= 0) printf("; trustworthiness at %zu neighbours %.4f", w->neighbors, w->trust_low);
  if (w->trust_high > w->trust_low) printf(" to %.4f", w->trust_high);
  putchar('\n');
  if (path) cli_note("wrote %s", path);
  return 0;
}

static int run(const cli_call *c) {
  sg_error err = {0};
  work w = {.c = c,
            .neighbors = cli_size(c, "neighbors"),
            .by_target = cli_choice(c, "by") == 1,
            .embedding = c->n_args == 2};
  if (!cli_string(c, "output") && !cli_flag(c, "json"))
    return cli_usage(c, "name a picture to write, -o MAP.svg, or ask for the points, --json");
  cli_signals_install();
  sg_status st = gather(&w, &err);
  if (!st) st = draw(&w, &err);
  int code = st == SG_ERR_CANCELLED && cli_stop ? 128 + cli_stop : st ? cli_fail(&err) : show(&w);
  for (size_t i = 0; w.names && i < w.n_tokens; i++) free(w.names[i]);
  sgi_free(w.names);
  sgi_free(w.tokens);
  sgi_free(w.positions);
  sgi_free(w.label);
  sgi_free(w.xy);
  sgi_vectors_free(&w.v);
  cli_reading_close(&w.r);
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
