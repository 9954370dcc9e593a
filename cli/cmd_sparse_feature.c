/* cmd_sparse_feature.c: one feature: what it reads and writes by its weights, its nearest neuron,
 * where it acts. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "compare/sparse_feature.h"
#include "compare/sparse_match.h"
#include "reading.h"
#include "report/report.h"
#include "sparse.h"

typedef struct token {
  int32_t id;
  float x;
} token;

typedef struct job {
  const cli_call *call;
  sgi_prompt p;
  sgi_sparse_set *set;
  size_t k, index, top;
  float *reads, *writes; /* (V) */
  token *most[2];        /* (top) by reads, writes */
  sgi_sparse_match match;
  sgi_record_reader rec;
  sgi_sparse_rows rows;
  sgi_sparse_firings fires;
  cli_progress bar;
  size_t done;
} job;

static int descending(const void *a, const void *b) {
  const token *x = a, *y = b;
  return x->x > y->x ? -1 : x->x < y->x ? 1 : x->id < y->id ? -1 : x->id > y->id;
}

static sg_status strongest(job *j, int which, const float *x, sg_error *err) {
  size_t V = sg_model_config(j->p.model)->vocab_size;
  j->most[which] = sgi_alloc(V * sizeof *j->most[which]);
  if (!j->most[which]) return sgi_fail_memory(err, V * sizeof(token), "a list of tokens");
  for (size_t t = 0; t < V; t++) j->most[which][t] = (token){(int32_t)t, x[t]};
  qsort(j->most[which], V, sizeof(token), descending);
  return SG_OK;
}

/* A document of the recording as a row, padded. */
static void get(void *user, size_t row, int32_t *inputs, int32_t *targets, int32_t *starts) {
  const job *j = user;
  size_t first, n;
  int32_t pad = sg_model_config(j->p.model)->pad_id;
  sgi_recording_document(j->rec.rec, row, &first, &n);
  for (size_t t = 0; t < j->rows.T; t++) {
    sgi_recorded at = t < n ? sgi_recording_at(j->rec.rec, first + t) : (sgi_recorded){0};
    inputs[t] = t < n ? at.input : j->rec.info->bos;
    targets[t] = t < n ? at.target : pad;
    starts[t] = 0;
  }
}

static bool goes_on(void *user) {
  job *j = user;
  cli_progress_update(&j->bar, (double)++j->done, NULL);
  return !cli_stop;
}

static sg_status recorded(job *j, sg_error *err) {
  const char *path = cli_string(j->call, "recording");
  if (!path) return SG_OK;
  sg_status st = sgi_record_reader_open(path, &j->rec, err);
  if (!st) st = cli_bind(j->call, j->rec.rec, path, j->p.model, err);
  if (st) return st;
  size_t T = 1, first, n;
  for (size_t d = 0; d < j->rec.info->n_documents; d++) {
    sgi_recording_document(j->rec.rec, d, &first, &n);
    if (n > T) T = n;
  }
  j->rows = (sgi_sparse_rows){.n = j->rec.info->n_documents, .T = T, .get = get, .user = j};
  cli_progress_begin(&j->bar, "reading", "documents", (double)j->rows.n, 0);
  st = sgi_sparse_fires(j->p.model, j->set, j->k, j->index, &j->rows, j->top, goes_on, j, &j->fires, err);
  cli_progress_end(&j->bar);
  return st ? st : sgi_recording_check(j->rec.rec, err);
}

static sg_status prepare(job *j, sg_error *err) {
  const cli_call *c = j->call;
  sg_status st = cli_prompt_open_model(&j->p, c, err);
  if (st) return st;
  size_t V = sg_model_config(j->p.model)->vocab_size;
  j->index = cli_size(c, "index");
  j->top = cli_size(c, "top") < V ? cli_size(c, "top") : V;
  j->reads = sgi_alloc(2 * V * sizeof *j->reads);
  if (!j->reads) return sgi_fail_memory(err, 2 * V * sizeof *j->reads, "a list of tokens");
  j->writes = j->reads + V;
  st = cli_sparse_open(c, c->args[1], j->p.model, &j->set, err);
  if (!st) st = sgi_sparse_set_find(j->set, cli_size(c, "layer"), &j->k, err);
  if (!st) st = sgi_sparse_tokens(j->p.model, j->set, j->k, j->index, j->reads, j->writes, err);
  if (!st) st = strongest(j, 0, j->reads, err);
  if (!st) st = strongest(j, 1, j->writes, err);
  if (!st && j->set->site == SGI_PLACE_MLP) st = sgi_match_make(j->p.model, j->set, j->k, NULL, 0, &j->match, err);
  return st ? st : recorded(j, err);
}

static json_t *tokens_json(const job *j, const token *t) {
  json_t *list = json_array();
  for (size_t i = 0; i < j->top; i++)
    json_array_append_new(list, json_pack("{s:o, s:o}", "token", sgi_token_json(&j->p, t[i].id), "value",
                                          sgi_report_real((double)t[i].x)));
  return list;
}

static size_t place_of(const job *j, const sgi_sparse_firing *f) {
  size_t first, n;
  sgi_recording_document(j->rec.rec, f->row, &first, &n);
  return first + f->position;
}

static int print_json(const job *j) {
  const sgi_sparse_layer *l = &j->set->at[j->k];
  json_t *o = json_pack("{s:I, s:I, s:o, s:o, s:o}", "layer", (json_int_t)l->layer, "feature", (json_int_t)j->index,
                        "bias", sgi_report_real((double)l->p.at[SGI_SPARSE_B_E][j->index]), "reads",
                        tokens_json(j, j->most[0]), "writes", tokens_json(j, j->most[1]));
  if (l->p.at[SGI_SPARSE_LOG_THETA])
    json_object_set_new(o, "threshold", sgi_report_real(exp((double)l->p.at[SGI_SPARSE_LOG_THETA][j->index])));
  if (j->match.at) {
    const sgi_match_one *a = &j->match.at[j->index];
    json_object_set_new(o, "nearest",
                        json_pack("{s:I, s:I, s:o, s:o}", "channel", (json_int_t)(a->neuron / j->match.units), "neuron",
                                  (json_int_t)(a->neuron % j->match.units), "encoder", sgi_report_real(a->encoder),
                                  "decoder", sgi_report_real(a->decoder)));
  }
  if (j->rec.rec) {
    json_t *list = json_array();
    for (size_t i = 0; i < j->fires.n_top; i++) {
      size_t at = place_of(j, &j->fires.top[i]);
      json_array_append_new(list, json_pack("{s:I, s:o, s:o}", "position", (json_int_t)at, "value",
                                            sgi_report_real((double)j->fires.top[i].h), "excerpt",
                                            sgi_recorded_excerpt(&j->rec, at, cli_size(j->call, "width"), false)));
    }
    json_object_set_new(
        o, "recorded",
        json_pack("{s:I, s:I, s:o, s:o, s:o}", "positions", (json_int_t)j->fires.positions, "count",
                  (json_int_t)j->fires.count, "density",
                  sgi_report_real(j->fires.positions ? (double)j->fires.count / (double)j->fires.positions : NAN),
                  "mean", sgi_report_real(j->fires.mean), "top", list));
  }
  return cli_reading_json(j->rec.rec, o);
}

static void print(const job *j) {
  const sgi_sparse_layer *l = &j->set->at[j->k];
  printf("layer %zu, feature %zu of %zu: bias %+.4f", l->layer, j->index, l->form.features,
         (double)l->p.at[SGI_SPARSE_B_E][j->index]);
  if (l->p.at[SGI_SPARSE_LOG_THETA]) printf(", threshold %.4f", exp((double)l->p.at[SGI_SPARSE_LOG_THETA][j->index]));
  putchar('\n');
  if (j->match.at) {
    const sgi_match_one *a = &j->match.at[j->index];
    printf("nearest neuron: channel %zu neuron %zu, cosine %.3f of what they read, %.3f of what they write\n",
           a->neuron / j->match.units, a->neuron % j->match.units, a->encoder, a->decoder);
  }
  cli_table *t = cli_table_begin("rlrl");
  cli_cell(t, "reads");
  cli_cell(t, "token");
  cli_cell(t, "writes");
  cli_cell(t, "token");
  for (size_t i = 0; i < j->top; i++)
    for (int w = 0; w < 2; w++) {
      cli_cell(t, "%+.3f", (double)j->most[w][i].x);
      cli_cell(t, "%s", sgi_token_shown(&j->p, j->most[w][i].id).s);
    }
  cli_table_end(t);
  if (!j->rec.rec) return;
  printf("\nacts at %llu of %llu positions (%.3f %%), %.4f on average there\n", (unsigned long long)j->fires.count,
         (unsigned long long)j->fires.positions,
         j->fires.positions ? 100 * (double)j->fires.count / (double)j->fires.positions : 0, j->fires.mean);
  t = cli_table_begin("rrl");
  cli_cell(t, "value");
  cli_cell(t, "position");
  cli_cell(t, "excerpt");
  for (size_t i = 0; i < j->fires.n_top; i++) {
    size_t at = place_of(j, &j->fires.top[i]);
    char *text = cli_recorded_excerpt_text(&j->rec, at, cli_size(j->call, "width"), false);
    cli_cell(t, "%.4f", (double)j->fires.top[i].h);
    cli_cell(t, "%zu", at);
    cli_cell(t, "%s", text);
    free(text);
  }
  cli_table_end(t);
}

static int run(const cli_call *c) {
  sg_error err = {0};
  job j = {.call = c};
  int code = 0;
  cli_signals_install();
  sg_status st = prepare(&j, &err);
  if (st)
    code = cli_end(st, &err);
  else if (cli_flag(c, "json"))
    code = print_json(&j);
  else
    print(&j);
  sgi_free(j.reads);
  sgi_free(j.most[0]);
  sgi_free(j.most[1]);
  sgi_match_deinit(&j.match);
  sgi_sparse_firings_deinit(&j.fires);
  sgi_sparse_set_free(j.set);
  code = cli_reading_end(j.rec.rec, code);
  sgi_record_reader_close(&j.rec);
  cli_prompt_close(&j.p);
  return code;
}

static const cli_option options[] = {
    {.name = "layer",
     .letter = 'l',
     .required = true,
     .type = CLI_SIZE,
     .argument = "L",
     .help = "layer of the model, from 0"},
    {.name = "index",
     .letter = 'i',
     .required = true,
     .type = CLI_SIZE,
     .argument = "N",
     .help = "number of the feature"},
    {.name = "recording",
     .type = CLI_STRING,
     .argument = "REC",
     .help = "a recording: its text is run, and where the feature acts most is shown"},
    {.name = "width",
     .letter = 'w',
     .type = CLI_SIZE,
     .argument = "N",
     .value = "8",
     .help = "tokens on each side of an excerpt"},
    CLI_TOP_OPTION("tokens and excerpts that are shown"),
    {.name = "force", .type = CLI_FLAG, .help = "read sparse MLPs or a recording although they are of another model"},
    CLI_JSON_OPTION,
    CLI_MODEL_OPTIONS,
    CLI_END};

const cli_command cli_sparse_feature = {
    .name = "sparse feature",
    .group = "Reading",
    .summary = "one feature of a transcoder or SAE: tokens, nearest neuron, where it acts",
    .usage = "MODEL TC --layer L --index N [--recording REC]",
    .examples =
        "# what it reads and writes by its weights\nsgatlin sparse feature run tc --layer 2 --index 17\n"
        "# and where it acts most in a recorded text\n"
        "sgatlin sparse feature run tc --layer 2 --index 17 --recording rec",
    .description =
        "Reads: every token's embedding on the encoder row through the norm's gain; writes: the decoder row through "
        "the last norm's gain on every token. Both leave the positive scales of the norms out.\n\n"
        "JSON: bias, threshold, reads, writes, nearest {channel, neuron, encoder, decoder}, recorded {positions, "
        "count, density, mean, top}.",
    .options = options,
    .min_args = 2,
    .max_args = 2,
    .run = run,
};
