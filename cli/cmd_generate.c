/* cmd_generate.c: text that a model writes on from a prompt. */
#include <stdlib.h>
#include <string.h>

#include "context.h"
#include "prompt.h"
#include "report/direction.h"
#include "ids.h"
#include "model.h"
#include "stream.h"

enum { GROUP = 8 }; /* streams that are computed together: reading the weights is what a token costs */

typedef struct sample {
  size_t number; /* from 0 */
  sgi_stream text;
  int32_t *ids; /* (room of the generator) */
  size_t n;
  const char *reason; /* NULL while it goes on */
  double seconds;
} sample;

typedef struct job {
  const cli_call *call;
  cli_model m;
  int32_t *prompt; /* bos in front */
  size_t n_prompt;
  sg_generator *g;
  sample samples[GROUP];
  size_t streams, live; /* of this group; the sample that is shown as it comes */
  sg_sampling sampling;
  size_t max_tokens;
  bool json, ids, stop_at_eos, several;
  size_t tokens;  /* of all samples */
  sg_edit *edits; /* (n_edits) under which it is written */
  size_t n_edits;
  int32_t *along; /* (context) a sample's tokens so far, where there are edits */
} job;

/* ---- prompt ---------------------------------------------------------------------------------- */

static sg_status put_bos(job *j, const int32_t *ids, size_t n, sg_error *err) {
  size_t count, bytes;
  if (!sgi_size_add(n, 1, &count) || !sgi_size_mul(count, sizeof *ids, &bytes) || !(j->prompt = sgi_alloc(bytes)))
    return sgi_fail_memory(err, n, "a prompt");
  j->prompt[0] = sg_model_config(j->m.model)->bos_id;
  if (n) memcpy(j->prompt + 1, ids, n * sizeof *ids);
  j->n_prompt = count;
  return SG_OK;
}

static sg_status read_prompt(job *j, sg_error *err) {
  const char *file = cli_string(j->call, "prompt-file"), *text = sgi_skip_mark(cli_string(j->call, "prompt")),
             *list = cli_string(j->call, "prompt-ids");
  char *content = NULL;
  int32_t *ids = NULL;
  size_t n = text ? strlen(text) : 0;
  sg_status st = SG_OK;
  if (list) {
    st = cli_read_prompt_ids(list, &ids, &n, err);
  } else {
    if (file) st = cli_read_prompt(file, &content, &n, err);
    if (!st && n) st = sg_tokenizer_encode(j->m.tokenizer, file ? content : text, n, &ids, &n, err);
  }
  if (!st) st = put_bos(j, ids, n, err);
  sgi_free(content);
  sgi_free(ids);
  return st;
}

/* ---- output ---------------------------------------------------------------------------------- */

static json_t *id_list(const int32_t *ids, size_t n) {
  json_t *a = json_array();
  for (size_t i = 0; i < n; i++) json_array_append_new(a, json_integer(ids[i]));
  return a;
}

/* Bytes of id; ids between the tokenizer's and the model's vocabulary have none. */
static const char *bytes_of(const job *j, int32_t id, size_t *n) {
  *n = 0;
  const char *b = j->m.tokenizer ? sg_tokenizer_token_bytes(j->m.tokenizer, id, n) : NULL;
  return b ? b : "";
}

static bool plain(const job *j) { return !j->json && !j->ids; }

static sg_status begin_plain(job *j, const sample *s, sg_error *err) {
  if (j->several) printf("%s--- sample %zu ---\n", s->number ? "\n" : "", s->number + 1);
  if (!cli_flag(j->call, "echo")) return SG_OK;
  sgi_stream echo = {0};
  sg_status st = SG_OK;
  for (size_t i = 1; i < j->n_prompt && !st; i++) {
    size_t n;
    const char *b = bytes_of(j, j->prompt[i], &n);
    st = sgi_stream_add(&echo, b, n, err);
  }
  if (!st) st = cli_stream_show(&echo, true, err);
  sgi_stream_free(&echo);
  return st;
}

static sg_status end_sample(job *j, sample *s, sg_error *err) {
  if (j->json) {
    json_t *o = json_pack("{s:I, s:o, s:s, s:I, s:I, s:o}", "sample", (json_int_t)s->number + 1, "ids",
                          id_list(s->ids, s->n), "reason", s->reason, "prompt_tokens", (json_int_t)j->n_prompt,
                          "tokens", (json_int_t)s->n, "seconds", sgi_report_real(s->seconds));
    if (j->m.tokenizer) json_object_set_new(o, "text", sgi_report_text(s->text.text ? s->text.text : "", s->text.n));
    cli_json(o);
  } else if (j->ids) {
    cli_json(id_list(s->ids, s->n));
  } else {
    sg_status st = cli_stream_show(&s->text, true, err);
    if (st) return st;
    putchar('\n');
  }
  fflush(stdout);
  cli_detail("sample %zu: %zu tokens in %s, ended by %s", s->number + 1, s->n, cli_seconds(s->seconds).s, s->reason);
  return SG_OK;
}

/* Shows the live sample's new text; where it has ended, the next one's. */
static sg_status show(job *j, sg_error *err) {
  sg_status st = SG_OK;
  while (j->live < j->streams && !st) {
    sample *s = &j->samples[j->live];
    if (plain(j)) st = cli_stream_show(&s->text, false, err);
    if (!s->reason || st) break;
    st = end_sample(j, s, err);
    if (++j->live < j->streams && plain(j) && !st) st = begin_plain(j, s + 1, err);
  }
  return st;
}

/* ---- the loop -------------------------------------------------------------------------------- */

static sg_status take(job *j, sample *s, int32_t id, double started, sg_error *err) {
  if (j->stop_at_eos && id == sg_model_config(j->m.model)->eos_id) {
    s->reason = "eos";
  } else {
    size_t n;
    const char *b = bytes_of(j, id, &n);
    sg_status st = sgi_stream_add(&s->text, b, n, err);
    if (st) return st;
    s->ids[s->n++] = id;
    j->tokens++;
    if (s->text.stopped)
      s->reason = "stop";
    else if (s->n == j->max_tokens)
      s->reason = "length";
  }
  s->seconds = sgi_now() - started;
  return SG_OK;
}

static bool going(const job *j) {
  for (size_t b = 0; b < j->streams; b++)
    if (!j->samples[b].reason) return true;
  return false;
}

static void end_all(job *j, const char *reason) {
  for (size_t b = 0; b < j->streams; b++)
    if (!j->samples[b].reason) j->samples[b].reason = reason;
}

/* Under edits nothing of a step can be kept for the next: each token of each sample is a run. */
static sg_status choose_edited(job *j, int32_t *next, sg_error *err) {
  sg_status st = SG_OK;
  for (size_t b = 0; b < j->streams && !st; b++) {
    sample *s = &j->samples[b];
    if (s->reason) continue;
    memcpy(j->along, j->prompt, j->n_prompt * sizeof *j->along);
    memcpy(j->along + j->n_prompt, s->ids, s->n * sizeof *j->along);
    sg_run_request q = {.tokens = j->along, .count = j->n_prompt + s->n, .edits = j->edits, .n_edits = j->n_edits};
    sg_sampling own = j->sampling;
    own.first = s->number;
    st = sg_edit_choose(j->m.model, &q, &own, &next[b], err);
  }
  return st;
}

static size_t room(const job *j) {
  if (!j->n_edits) return sg_generator_room(j->g);
  size_t most = 0, all = sg_generator_room(j->g);
  for (size_t b = 0; b < j->streams; b++)
    if (!j->samples[b].reason && j->samples[b].n > most) most = j->samples[b].n;
  return all > j->n_prompt + most ? all - j->n_prompt - most : 0;
}

static sg_status group(job *j, sg_error *err) {
  double started = sgi_now();
  int32_t next[GROUP];
  sg_generator_reset(j->g);
  sg_status st = SG_OK;
  if (j->n_edits && j->n_prompt > sg_generator_room(j->g))
    st = sgi_fail(err, SG_ERR_ARG, "%zu tokens do not fit a context of %zu", j->n_prompt, sg_generator_room(j->g));
  if (!j->n_edits) st = sg_generator_feed(j->g, j->prompt, j->n_prompt, err);
  j->live = 0;
  if (!st && plain(j)) st = begin_plain(j, &j->samples[0], err);
  while (!st && going(j)) {
    st = j->n_edits ? choose_edited(j, next, err) : sg_generator_choose(j->g, &j->sampling, next, err);
    for (size_t b = 0; b < j->streams && !st; b++)
      if (!j->samples[b].reason) st = take(j, &j->samples[b], next[b], started, err);
    if (!st && going(j) && (cli_stop || cli_output_gone())) end_all(j, "interrupted");
    if (!st && going(j) && !room(j)) end_all(j, "context");
    if (!st) st = show(j, err);
    if (!st && going(j) && !j->n_edits) st = sg_generator_step(j->g, next, err);
  }
  return st;
}

static sg_status all_groups(job *j, size_t samples, size_t context, sg_error *err) {
  size_t n_stops, width = samples < GROUP ? samples : GROUP;
  const char *const *stops = cli_list(j->call, "stop", &n_stops);
  sg_status st = sg_generator_create(j->m.model, width, context, &j->g, err);
  if (st) return st;
  size_t room = sg_generator_room(j->g);
  if (j->n_edits && !(j->along = sgi_alloc((j->n_prompt + room + 1) * sizeof *j->along)))
    return sgi_fail_memory(err, room * sizeof *j->along, "ids");
  for (size_t first = 0; first < samples && !st && !cli_stop && !cli_output_gone(); first += width) {
    j->streams = samples - first < width ? samples - first : width;
    j->sampling.first = first;
    for (size_t b = 0; b < j->streams && !st; b++) {
      j->samples[b] = (sample){.number = first + b, .text = {.stops = stops, .n_stops = n_stops}};
      j->samples[b].ids = sgi_alloc((room + 1) * sizeof(int32_t));
      if (!j->samples[b].ids) st = sgi_fail_memory(err, room * sizeof(int32_t), "ids");
    }
    if (!st) st = group(j, err);
    for (size_t b = 0; b < j->streams; b++) {
      sgi_stream_free(&j->samples[b].text);
      sgi_free(j->samples[b].ids);
      j->samples[b] = (sample){0};
    }
  }
  return st;
}

/* --edit and --toward. Positions from the end are the prompt's. */
static sg_status take_edits(job *j, sg_error *err) {
  size_t n;
  const char *const *texts = cli_list(j->call, "edit", &n), *toward = cli_string(j->call, "toward");
  sg_status st = SG_OK;
  if (!n && !toward) return SG_OK;
  j->edits = sgi_alloc((n + 1) * sizeof *j->edits);
  if (!j->edits) return sgi_fail_memory(err, n * sizeof *j->edits, "edits");
  for (size_t i = 0; i < n && !st; i++) {
    sg_edit *e = &j->edits[j->n_edits++];
    st = sg_edit_parse(texts[i], e, err);
    if (!st && e->op == SG_EDIT_TAKE)
      st = sgi_fail(err, SG_ERR_ARG, "--edit %s: a text is not written from another run", texts[i]);
    for (size_t k = 0; k < e->n_axes && !st; k++)
      if (!strcmp(e->axes[k].name, "pos")) {
        if (e->axes[k].first < 0) e->axes[k].first += (ptrdiff_t)j->n_prompt;
        if (e->axes[k].last < 0) e->axes[k].last += (ptrdiff_t)j->n_prompt;
      }
  }
  if (st || !toward) return st;
  sgi_prompt p = {.model = j->m.model, .tokenizer = j->m.tokenizer, .directory = j->m.directory};
  return sgi_direction_edit(&p, cli_size(j->call, "layer"), toward, cli_string(j->call, "away"),
                            cli_real(j->call, "strength"), &j->edits[j->n_edits++], err);
}

static int check_options(const cli_call *c) {
  size_t n, given = cli_is_set(c, "prompt") + cli_is_set(c, "prompt-file") + cli_is_set(c, "prompt-ids");
  const char *const *stops = cli_list(c, "stop", &n);
  if (given > 1) return cli_usage(c, "--prompt, --prompt-file and --prompt-ids: only one can be given");
  if (cli_flag(c, "json") && cli_flag(c, "ids")) return cli_usage(c, "--json and --ids: only one can be given");
  if (cli_is_set(c, "toward") != cli_is_set(c, "layer")) return cli_usage(c, "--toward needs --layer, and --layer it");
  if (cli_is_set(c, "away") && !cli_is_set(c, "toward")) return cli_usage(c, "--away needs --toward");
  for (size_t i = 0; i < n; i++)
    if (!*stops[i]) return cli_usage(c, "--stop: an empty text would stop at once");
  return 0;
}

static int run(const cli_call *c) {
  sg_error err = {0};
  job j = {.call = c,
           .sampling = {.temperature = cli_flag(c, "greedy") ? 0 : cli_real(c, "temperature"),
                        .top_k = cli_size(c, "top-k"),
                        .top_p = cli_real(c, "top-p"),
                        .min_p = cli_real(c, "min-p"),
                        .seed = cli_u64(c, "seed")},
           .max_tokens = cli_size(c, "max-tokens"),
           .json = cli_flag(c, "json"),
           .ids = cli_flag(c, "ids"),
           .stop_at_eos = cli_flag(c, "stop-at-eos"),
           .several = cli_size(c, "samples") > 1};
  int code = check_options(c);
  if (code) return code;
  cli_signals_install();
  size_t stops;
  cli_list(c, "stop", &stops);
  bool by_ids = cli_is_set(c, "prompt-ids") && (j.ids || j.json) && !stops;
  sg_status st = cli_model_open(c, by_ids ? CLI_TOKENIZER_IF_THERE : CLI_WITH_TOKENIZER, &j.m, &err);
  if (!st) st = read_prompt(&j, &err);
  if (!st) st = take_edits(&j, &err);
  double started = sgi_now();
  if (!st) cli_context_warn(sg_model_config(j.m.model), cli_size(c, "context"));
  if (!st) st = all_groups(&j, cli_size(c, "samples"), cli_size(c, "context"), &err);
  double seconds = sgi_now() - started;
  if (!st && j.tokens)
    cli_detail("%zu tokens in %s, %.1f tokens/s", j.tokens, cli_seconds(seconds).s, (double)j.tokens / seconds);
  sg_generator_free(j.g);
  sgi_free(j.prompt);
  sgi_free(j.along);
  for (size_t i = 0; i < j.n_edits; i++) sgi_free((void *)(uintptr_t)j.edits[i].vector);
  sgi_free(j.edits);
  cli_model_close(&j.m);
  if (st) return cli_fail(&err);
  return cli_stop ? 128 + cli_stop : 0;
}

static const cli_option options[] = {
    {.name = "prompt",
     .letter = 'p',
     .type = CLI_STRING,
     .argument = "TEXT",
     .help = "text to go on from; special tokens in it count"},
    {.name = "prompt-file",
     .letter = 'f',
     .type = CLI_STRING,
     .argument = "FILE",
     .help = "the same from a file, its last line break left out; - for standard input"},
    {.name = "prompt-ids",
     .type = CLI_STRING,
     .argument = "IDS.json",
     .help = "the same as ids, [id, ...] or {\"ids\": [...]}; - for standard input"},
    {.name = "max-tokens",
     .letter = 'n',
     .type = CLI_SIZE,
     .argument = "N",
     .value = "256",
     .help = "tokens to generate at most; 0: until the context is full"},
    {.name = "samples",
     .type = CLI_SIZE,
     .argument = "N",
     .value = "1",
     .min = 1,
     .max = 1e6,
     .help = "continuations to make"},
    {.name = "temperature",
     .type = CLI_REAL,
     .argument = "X",
     .value = "0.8",
     .min = 0,
     .max = 1e6,
     .help = "above 1 more varied, below 1 less; 0: always the likeliest token"},
    {.name = "greedy", .type = CLI_FLAG, .help = "the same as --temperature 0"},
    {.name = "top-k", .type = CLI_SIZE, .argument = "N", .value = "0", .help = "only the N likeliest tokens; 0: all"},
    {.name = "top-p",
     .type = CLI_REAL,
     .argument = "P",
     .value = "0.95",
     .min = 0,
     .max = 1,
     .help = "of these only the fewest whose share reaches P; 1: all"},
    {.name = "min-p",
     .type = CLI_REAL,
     .argument = "P",
     .value = "0",
     .min = 0,
     .max = 1,
     .help = "of these only those at least P times as likely as the likeliest"},
    CLI_SEED_OPTION,
    {.name = "stop", .type = CLI_LIST, .argument = "TEXT", .help = "end before this text"},
    {.name = "stop-at-eos", .type = CLI_FLAG, .value = "on", .help = "end at the model's end-of-text token"},
    {.name = "context",
     .type = CLI_SIZE,
     .argument = "N",
     .value_text = "what the model was made for",
     .min = 1,
     .max = 1e9,
     .help = "positions at most, prompt included; more than that are used with a warning"},
    {.name = "echo", .type = CLI_FLAG, .value = "on", .help = "print the prompt in front of its continuation"},
    {.name = "ids", .type = CLI_FLAG, .help = "print ids only, one list a sample"},
    {.name = "edit",
     .letter = 'e',
     .type = CLI_LIST,
     .argument = "EDIT",
     .help = "write under this edit, as of ablate; may be given again"},
    {.name = "toward",
     .type = CLI_STRING,
     .argument = "TOKEN",
     .help = "write with a direction toward this token in the stream, as of steer"},
    {.name = "away", .type = CLI_STRING, .argument = "TOKEN", .help = "and away from this one"},
    {.name = "layer", .letter = 'l', .type = CLI_SIZE, .argument = "L", .help = "behind this layer"},
    {.name = "strength", .type = CLI_REAL, .argument = "X", .value = "4", .help = "how much of it"},
    CLI_CHECKPOINT_OPTION,
    CLI_TOKENIZER_OPTION,
    CLI_JSON_OPTION,
    CLI_END};

const cli_command cli_generate = {
    .name = "generate",
    .group = "Running",
    .summary = "let a model write on from a prompt",
    .usage = "MODEL [TEXT] [OPTION]...",
    .examples =
        "# three stories\nsgatlin generate RUN 'Once upon a time' --samples 3\n"
        "# the same words every time\nsgatlin generate RUN 'The fox was' --greedy --max-tokens 20\n"
        "# without one channel's neurons\n"
        "sgatlin generate RUN 'The fox was' --edit 'layers.1.neurons[channel=0]=0'\n"
        "# one sentence, as JSON\nsgatlin generate RUN 'The fox was' --stop . --seed 7 --json",
    .description =
        "MODEL is a model directory (config.json, model.safetensors, tokenizer.json) or the directory of a training "
        "run. "
        "The model's bos goes in front of the prompt, as in training; without a prompt a text is begun.\n\n"
        "One final line break (LF or CRLF) of --prompt-file belongs to the file, not to the prompt; to end a prompt in "
        "one, "
        "leave an empty line at the file's end or write --prompt $'...\\n'. A byte order mark is left out.\n\n"
        "Text is printed as it comes, on a terminal with control characters written out (\\x1b). Several samples are "
        "computed together and printed in order; sample I of a seed "
        "is the same whatever the number of samples.\n\n"
        "--edit and --toward hold at all positions, of the prompt and of what is written, unless the edit names some; "
        "seeds mean the same as without. Each token is then a run of its own and takes longer.\n\n"
        "--json prints one object a sample: sample, text (without the prompt), ids, reason (eos, stop, length, "
        "context, "
        "interrupted), prompt_tokens (bos included), tokens, seconds.",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .also = "prompt",
    .run = run,
};
