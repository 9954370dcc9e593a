/* cmd_cka.c: how alike the geometry of embeddings is to that of gates. */
#include <math.h>

#include "model.h"
#include "reading.h"

typedef struct work {
  const cli_call *c;
  sgi_record_reader r;
  cli_model m;
  sg_top_token *tokens;
  size_t n;
} work;

static json_t *tokens_json(const work *w) {
  json_t *list = json_array();
  for (size_t i = 0; i < w->n; i++)
    json_array_append_new(list, json_pack("{s:i, s:o, s:I, s:I}", "id", w->tokens[i].id, "token",
                                          sgi_recorded_token(&w->r, w->tokens[i].id, false), "count",
                                          (json_int_t)w->tokens[i].count, "first", (json_int_t)w->tokens[i].first));
  return list;
}

/* All recorded layers; each channel and all of them together. */
static sg_status measure(work *w, json_t *values, cli_table *t, sg_error *err) {
  const sg_recording_info *info = &w->r.info;
  const sg_recorded_layer *slots = w->r.slots;
  sg_status st = SG_OK;
  for (size_t s = 0; s < info->n_layers && !st; s++)
    for (size_t k = 0; k <= slots[s].channels && !st; k++) {
      size_t channel = k < slots[s].channels ? k : SG_ALL_CHANNELS;
      double v;
      st = sg_embedding_cka(w->r.rec, w->m.model, info->layers[s], channel, w->tokens, w->n, &v, err);
      if (st) break;
      json_t *name = k < slots[s].channels ? json_integer((json_int_t)k) : json_string("all");
      if (values)
        json_array_append_new(values, json_pack("{s:I, s:o, s:o}", "layer", (json_int_t)info->layers[s], "channel",
                                                name, "linear_cka", sgi_report_real(v)));
      else
        json_decref(name);
      cli_cell(t, "%zu", info->layers[s]);
      if (k < slots[s].channels)
        cli_cell(t, "%zu", k);
      else
        cli_cell(t, "all");
      cli_cell(t, "%.4f", v);
    }
  return st;
}

static sg_status open_all(work *w, sg_error *err) {
  size_t most = cli_size(w->c, "top");
  sg_status st = cli_model_open(w->c, CLI_WITHOUT_TOKENIZER, &w->m, err);
  if (!st) st = sgi_record_reader_open(w->c->args[1], &w->r, err);
  if (!st) st = sgi_record_reader_circuits(&w->r, err);
  if (!st) st = cli_bind(w->c, w->r.rec, w->c->args[1], w->m.model, err);
  if (!st && !(w->tokens = sgi_alloc(most * sizeof *w->tokens)))
    st = sgi_fail_memory(err, most * sizeof *w->tokens, "tokens");
  if (!st) st = sg_top_tokens(w->r.rec, most, 0, (int32_t)cli_int(w->c, "skip"), false, w->tokens, &w->n, err);
  return st;
}

static int run(const cli_call *c) {
  sg_error err = {0};
  work w = {.c = c};
  bool json = cli_flag(c, "json");
  json_t *values = json ? json_array() : NULL;
  sg_status st = open_all(&w, &err);
  cli_table *t = st || json ? NULL : cli_table_begin("rrr");
  cli_cell(t, "layer");
  cli_cell(t, "channel");
  cli_cell(t, "CKA");
  if (!st) st = measure(&w, values, t, &err);
  int code = st     ? cli_fail(&err)
             : json ? cli_reading_json(w.r.rec, json_pack("{s:O, s:o}", "values", values, "tokens", tokens_json(&w)))
                    : 0;
  if (!st) cli_table_end(t);
  json_decref(values);
  sgi_free(w.tokens);
  code = cli_reading_end(w.r.rec, code);
  sgi_record_reader_close(&w.r);
  cli_model_close(&w.m);
  return code;
}

static const cli_option options[] = {{.name = "top",
                                      .letter = 'n',
                                      .type = CLI_SIZE,
                                      .argument = "N",
                                      .value = "100",
                                      .min = 1,
                                      .max = 16384,
                                      .help = "tokens to compare: the most frequent inputs"},
                                     {.name = "skip",
                                      .type = CLI_INT,
                                      .argument = "ID",
                                      .value = "0",
                                      .min = -1,
                                      .max = INT32_MAX,
                                      .help = "token id to leave out, as the reference leaves out 0; -1: none"},
                                     CLI_CHECKPOINT_OPTION,
                                     CLI_FORCE_OPTION,
                                     CLI_JSON_OPTION,
                                     CLI_END};

const cli_command cli_cka = {
    .name = "cka",
    .group = "Reading",
    .summary = "how alike embeddings and gates arrange the frequent tokens",
    .usage = "MODEL REC [--top N]",
    .examples =
        "# does the router of the first layer follow the embedding?\nsgatlin cka run rec\n"
        "# more tokens, as JSON\nsgatlin cka run rec --top 500 --json",
    .description =
        "Linear centred kernel alignment between the embeddings of the most frequent input tokens and their gates at "
        "the "
        "first place that reads each: 1 where both arrange the tokens alike up to rotation and scale, near 0 where "
        "they "
        "have nothing to do with each other. With few tokens and many neurons the value is high by chance alone; "
        "compare "
        "layers, not single numbers.",
    .options = options,
    .min_args = 2,
    .max_args = 2,
    .run = run,
};
