/* cmd_sparse_feature.c: one feature: what it reads and writes by its weights, its nearest neuron,
 * features like it, where it acts. */
#include <math.h>
#include <stdlib.h>

#include "reading.h"
#include "report/feature.h"
#include "report/report.h"
#include "sparse.h"

typedef struct job {
  const cli_call *call;
  sgi_prompt p;
  sgi_sparse_set *set;
  sgi_record_reader rec;
  json_t *card;
} job;

static sg_status open_recording(job *j, sg_error *err) {
  const char *path = cli_string(j->call, "recording");
  if (!path) return SG_OK;
  sg_status st = sgi_record_reader_open(path, &j->rec, err);
  return st ? st : cli_bind(j->call, j->rec.rec, path, j->p.model, err);
}

static sg_status read_card(job *j, sg_error *err) {
  const cli_call *c = j->call;
  cli_progress bar;
  sgi_feature_card card = {.p = &j->p,
                           .set = j->set,
                           .layer = cli_size(c, "layer"),
                           .index = cli_size(c, "index"),
                           .top = cli_size(c, "top"),
                           .width = cli_size(c, "width"),
                           .rec = j->rec.rec ? &j->rec : NULL,
                           .progress = cli_progress_advance,
                           .user = &bar};
  if (!card.rec) return sgi_feature_card_json(&card, &j->card, err);
  cli_progress_begin(&bar, "reading", "documents", (double)j->rec.info.n_documents, 0);
  sg_status st = sgi_feature_card_json(&card, &j->card, err);
  cli_progress_end(&bar);
  return st;
}

static long long whole_of(const json_t *o, const char *key) {
  return (long long)json_integer_value(json_object_get(o, key));
}

static void print_tokens(const job *j) {
  static const char *const sides[] = {"reads", "writes"};
  cli_table *t = cli_table_begin("rlrl");
  for (int w = 0; w < 2; w++) {
    cli_cell(t, "%s", sides[w]);
    cli_cell(t, "token");
  }
  for (size_t i = 0; i < json_array_size(json_object_get(j->card, sides[0])); i++)
    for (int w = 0; w < 2; w++) {
      const json_t *x = json_array_get(json_object_get(j->card, sides[w]), i);
      cli_cell(t, "%+.3f", sgi_field_real(x, "value"));
      cli_cell(t, "%s", sgi_token_shown(&j->p, (int32_t)whole_of(json_object_get(x, "token"), "id")).s);
    }
  cli_table_end(t);
}

/* A few in one line. */
static void print_alike(const json_t *list) {
  if (json_array_size(list)) printf("\nlike it:");
  for (size_t i = 0; i < json_array_size(list); i++) {
    const json_t *x = json_array_get(list, i);
    printf(" %lld (%.2f, %.2f)", whole_of(x, "feature"), sgi_field_real(x, "encoder"), sgi_field_real(x, "decoder"));
  }
  if (json_array_size(list)) putchar('\n');
}

static void print_links(const json_t *list, const char *title) {
  if (json_array_size(list)) printf("%s:", title);
  for (size_t i = 0; i < json_array_size(list); i++) {
    const json_t *x = json_array_get(list, i);
    printf(" %lld:%lld (%+.3f)", whole_of(x, "layer"), whole_of(x, "feature"), sgi_field_real(x, "weight"));
  }
  if (json_array_size(list)) putchar('\n');
}

static void print_recorded(const job *j, const json_t *r) {
  printf("\nacts at %lld of %lld positions (%.3f %%), %.4f on average there\n", whole_of(r, "count"),
         whole_of(r, "positions"), 100 * sgi_field_real(r, "density"), sgi_field_real(r, "mean"));
  const json_t *top = json_object_get(r, "top");
  cli_table *t = cli_table_begin("rrl");
  cli_cell(t, "value");
  cli_cell(t, "position");
  cli_cell(t, "excerpt");
  for (size_t i = 0; i < json_array_size(top); i++) {
    const json_t *x = json_array_get(top, i);
    char *text = cli_recorded_excerpt_text(&j->rec, (size_t)whole_of(x, "position"), cli_size(j->call, "width"), false);
    cli_cell(t, "%.4f", sgi_field_real(x, "value"));
    cli_cell(t, "%lld", whole_of(x, "position"));
    cli_cell(t, "%s", text);
    free(text);
  }
  cli_table_end(t);
}

static void print(const job *j) {
  const json_t *o = j->card, *near = json_object_get(o, "nearest"), *recorded = json_object_get(o, "recorded");
  printf("layer %lld, feature %lld of %lld: bias %+.4f", whole_of(o, "layer"), whole_of(o, "feature"),
         whole_of(o, "features"), sgi_field_real(o, "bias"));
  if (json_object_get(o, "threshold")) printf(", threshold %.4f", sgi_field_real(o, "threshold"));
  putchar('\n');
  if (near)
    printf("nearest neuron: channel %lld neuron %lld, cosine %.3f of what they read, %.3f of what they write\n",
           whole_of(near, "channel"), whole_of(near, "neuron"), sgi_field_real(near, "encoder"),
           sgi_field_real(near, "decoder"));
  print_tokens(j);
  print_alike(json_object_get(o, "alike"));
  print_links(json_object_get(o, "upstream"), "fed by");
  print_links(json_object_get(o, "downstream"), "feeds");
  if (recorded) print_recorded(j, recorded);
}

static int run(const cli_call *c) {
  sg_error err = {0};
  job j = {.call = c};
  int code = 0;
  cli_signals_install();
  sg_status st = cli_prompt_open_model(&j.p, c, &err);
  if (!st) st = cli_sparse_open(c, c->args[1], j.p.model, &j.set, &err);
  if (!st) st = open_recording(&j, &err);
  if (!st) st = read_card(&j, &err);
  if (st)
    code = cli_end(st, &err);
  else if (cli_flag(c, "json"))
    code = cli_reading_json(j.rec.rec, json_incref(j.card));
  else
    print(&j);
  json_decref(j.card);
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
    .summary = "one feature of a transcoder or SAE: tokens, neighbours, where it acts",
    .usage = "MODEL TC --layer L --index N [--recording REC]",
    .examples =
        "# what it reads and writes by its weights\nsgatlin sparse feature run tc --layer 2 --index 17\n"
        "# and where it acts most in a recorded text\n"
        "sgatlin sparse feature run tc --layer 2 --index 17 --recording rec",
    .description =
        "Reads: every token's embedding on the encoder row through the norm's gain; writes: the decoder row through "
        "the last norm's gain on every token. Both leave the positive scales of the norms out.\n\n"
        "Like it: features of the layer by the mean cosine of both rows. Fed by, feeds: features of other layers by "
        "the "
        "weight between them along the stream, whatever the prompt (LAYER:FEATURE).\n\n"
        "JSON: features, bias, threshold, reads, writes, nearest {channel, neuron, encoder, decoder}, alike {feature, "
        "encoder, decoder}, upstream, downstream {layer, feature, weight}, recorded {positions, count, density, mean, "
        "top}.",
    .options = options,
    .min_args = 2,
    .max_args = 2,
    .run = run,
};
