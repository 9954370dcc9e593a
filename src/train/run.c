/* Setting a run up: its directory, tokenizer, data and plan. */
#include "train/run.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/bundle.h"
#include "core/file.h"
#include "core/limits.h"
#include "text/reader.h"
#include "train/run_state.h"

enum { RUN_FORMAT = 1, TOKENIZER_SAMPLE = 24 << 20 };
static const size_t DEFAULT_MEMORY = (size_t)3 << 30;
static const char END_OF_TEXT[] = "<|endoftext|>", PAD[] = "<|pad|>";

/* ---- RUN/config.json ------------------------------------------------------------------------- */

sg_status sgi_run_save_config(const sgi_run *run, sg_error *err) {
  json_t *o = sgi_settings_to_json(&run->settings);
  char hash[24];
  snprintf(hash, sizeof hash, "%016llx", (unsigned long long)sgi_corpus_hash(run->train));
  char *path = sgi_path_join(run->directory, "config.json");
  int bad =
      !o || json_object_set_new(o, "run",
                                json_pack("{s:i, s:s, s:s, s:I, s:I}", "format", RUN_FORMAT, "data", run->data,
                                          "data_hash", hash, "train_documents", (json_int_t)run->plan.train_documents,
                                          "train_tokens", (json_int_t)run->plan.train_tokens));
  if (run->extended) bad |= json_object_set(json_object_get(o, "run"), "extended", run->extended);
  sg_status st = bad || !path ? sgi_fail_memory(err, 4096, "the run's settings") : sgi_json_save(path, o, err);
  json_decref(o);
  sgi_free(path);
  return st;
}

static sg_status load_config(sgi_run *run, sg_error *err) {
  char *path = sgi_path_join(run->directory, "config.json"), data[4096];
  if (!path) return sgi_fail_memory(err, strlen(run->directory), "a path");
  json_t *o = NULL;
  const json_t *about = NULL;
  sgi_assignments a = {0};
  size_t format;
  sg_status st = sgi_json_load(path, &o, err);
  if (!st) st = sgi_json_object(o, path, "run", &about, err);
  if (!st) st = sgi_json_size(about, path, "format", RUN_FORMAT, RUN_FORMAT, &format, err);
  if (!st) st = sgi_json_string(about, path, "data", data, sizeof data, err);
  if (!st && json_is_array(json_object_get(about, "extended")))
    run->extended = json_incref(json_object_get(about, "extended"));
  if (!st && !run->data && !(run->data = sgi_strdup(data))) st = sgi_fail_memory(err, sizeof data, "a path");
  if (!st) {
    json_object_del(o, "run");
    st = sgi_assign(&a, "data.line_ends", "as-is", path, err); /* unless it says otherwise */
    if (!st) st = sgi_assign(&a, "data.held_out", "0", path, err);
    if (!st) st = sgi_assign(&a, "data.missing_shards", "allow", path, err);
    if (!st) st = sgi_assign(&a, "train.parts", "1", path, err);
  }
  if (!st) st = sgi_assign_json(&a, o, path, err);
  if (!st) st = sgi_settings_resolve(&a, &run->settings, err);
  sgi_assignments_free(&a);
  json_decref(o);
  sgi_free(path);
  return st;
}

/* ---- tokenizer ------------------------------------------------------------------------------- */

static bool tokenizer_progress(void *user, size_t done, size_t wanted) {
  const sgi_run *run = user;
  if (run->events.work) run->events.work(run->events.user, "training a tokenizer", done, wanted);
  return !run->events.stop || !run->events.stop(run->events.user);
}

typedef struct sample {
  char *bytes;
  size_t used, count, lengths_fit, documents_fit;
  size_t *lengths;
  const char **documents;
} sample;

static sg_status sample_add(sample *s, const char *text, size_t n, sg_error *err) {
  if (!sgi_room(&s->lengths, &s->lengths_fit, s->count, sizeof *s->lengths) ||
      !sgi_room(&s->documents, &s->documents_fit, s->count, sizeof *s->documents))
    return sgi_fail_memory(err, 2 * s->count * sizeof *s->lengths, "text for the tokenizer");
  memcpy(s->bytes + s->used, text, n);
  s->documents[s->count] = s->bytes + s->used;
  s->lengths[s->count++] = n;
  s->used += n;
  return SG_OK;
}

static sg_status read_sample(const sgi_run *run, const char *path, sample *s, sg_error *err) {
  char **files = NULL;
  size_t n_files = 0;
  s->bytes = sgi_alloc(TOKENIZER_SAMPLE);
  if (!s->bytes) return sgi_fail_memory(err, TOKENIZER_SAMPLE, "text for the tokenizer");
  sg_status st = sgi_text_files(path, run->settings.field, NULL, &files, &n_files, err);
  for (size_t i = 0; i < n_files && !st && s->used < TOKENIZER_SAMPLE; i++) {
    sgi_reader *r = NULL;
    const char *text = NULL;
    size_t n = 0;
    st = sgi_reader_open(files[i], !strcmp(run->settings.split, "blank-lines"), run->settings.field, &r, err);
    if (!st && !strcmp(run->settings.line_ends, "as-is")) sgi_reader_keep_cr(r);
    while (!st && !(st = sgi_reader_next(r, &text, &n, err)) && text && n <= TOKENIZER_SAMPLE - s->used)
      st = sample_add(s, text, n, err);
    sgi_reader_close(r);
    if (text) break; /* the sample is full */
  }
  sgi_text_files_free(files, n_files);
  return st;
}

/* Trained on the first 24 MB of the training text: padding 0, end of text 1, all bytes, as the
 * built-in presets expect. Equal text gives an equal tokenizer, so a dry run need not keep it. */
static sg_status train_tokenizer(sgi_run *run, const char *path, sg_error *err) {
  static const char *const special[] = {PAD, END_OF_TEXT};
  sample s = {0};
  sg_status st = read_sample(run, path, &s, err);
  sg_tokenizer_training t = {.vocab_size = run->settings.tokenizer_vocab_size ? run->settings.tokenizer_vocab_size
                                                                              : run->settings.model.vocab_size,
                             .full_alphabet = true,
                             .nfkc = true,
                             .prefix_space = true,
                             .special = special,
                             .n_special = SGI_COUNT(special),
                             .progress = tokenizer_progress,
                             .user = run};
  if (!st && !s.count) st = sgi_fail(err, SG_ERR_FORMAT, "%s: holds no document", path);
  if (!st)
    sgi_run_note(run, "training a tokenizer of %zu tokens on %.1f MB of text", t.vocab_size, (double)s.used / 1e6);
  if (!st) st = sg_tokenizer_train(&t, s.documents, s.lengths, s.count, &run->tokenizer, err);
  sgi_free(s.bytes);
  sgi_free(s.documents);
  sgi_free(s.lengths);
  return st;
}

static sg_status get_tokenizer(sgi_run *run, const char *given, const char *train_path, sg_error *err) {
  if (run->resume) return sg_tokenizer_load(run->tokenizer_path, &run->tokenizer, err);
  return given ? sg_tokenizer_load(given, &run->tokenizer, err) : train_tokenizer(run, train_path, err);
}

static sg_status keep_tokenizer(const sgi_run *run, const char *given, sg_error *err) {
  return given ? sgi_copy_file(given, run->tokenizer_path, SGI_TOKENIZER_BYTES, err)
               : sg_tokenizer_save(run->tokenizer, run->tokenizer_path, err);
}

/* Ids that the tokenizer fixes. Without a padding token one more id is made, which no text can
 * hold. */
static sg_status take_ids(sgi_run *run, sg_error *err) {
  sg_config *c = &run->settings.model;
  c->vocab_size = sg_tokenizer_vocab_size(run->tokenizer);
  c->eos_id = c->bos_id = sg_tokenizer_special(run->tokenizer, END_OF_TEXT);
  if (c->eos_id < 0) c->eos_id = c->bos_id = sg_tokenizer_special(run->tokenizer, "</s>");
  if (c->eos_id < 0)
    return sgi_fail(err, SG_ERR_UNSUPPORTED, "the tokenizer has no special token %s (or </s>) to end documents with",
                    END_OF_TEXT);
  c->pad_id = sg_tokenizer_special(run->tokenizer, PAD);
  if (c->pad_id < 0) c->pad_id = (int32_t)c->vocab_size++;
  return SG_OK;
}

/* ---- data ------------------------------------------------------------------------------------ */

typedef struct corpus_work {
  const sgi_run *run;
  const char *what;
} corpus_work;

static bool corpus_progress(void *user, uint64_t done, uint64_t total) {
  const corpus_work *w = user;
  const sgi_run_events *e = &w->run->events;
  if (e->work) e->work(e->user, w->what, done, total);
  return !e->stop || !e->stop(e->user);
}

static void say(void *user, const char *text) { sgi_run_note(user, "%s", text); }

static sg_status open_corpus(sgi_run *run, const char *path, const char *what, sgi_corpus **out, sg_error *err) {
  const sgi_settings *s = &run->settings;
  sgi_text_form form = {.blank_lines = !strcmp(s->split, "blank-lines"), .keep_cr = !strcmp(s->line_ends, "as-is")};
  snprintf(form.field, sizeof form.field, "%s", s->field);
  corpus_work w = {run, what};
  sg_status st = sgi_corpus_open(path, &form, run->tokenizer, s->model.eos_id, corpus_progress, &w, out, err);
  if (st) return st;
  sgi_text_notes_say(sgi_corpus_notes(*out), say, run);
  return sgi_corpus_documents(*out) ? SG_OK : sgi_fail(err, SG_ERR_FORMAT, "%s: holds no document", path);
}

static sg_status make_batchers(sgi_run *run, sg_error *err) {
  sg_status st = sgi_run_choose_rows(run, err);
  if (st) return st;
  const sgi_settings *s = &run->settings;
  sgi_batcher_settings b = {.rows = !strcmp(s->rows, "pack") ? SGI_ROWS_PACK : SGI_ROWS_PAD,
                            .B = s->batch_size,
                            .T = s->seq_len,
                            .bos = s->model.bos_id,
                            .pad = s->model.pad_id,
                            .shuffle = true,
                            .seed = s->seed};
  st = sgi_batcher_create(run->train, &b, &run->batches, err);
  if (st || !run->valid) return st;
  b.B = 1;
  b.rows = run->valid_packed ? SGI_ROWS_PACK : SGI_ROWS_PAD;
  b.shuffle = false;
  st = sgi_batcher_create(run->valid, &b, &run->held_out, err);
  if (st) return st;
  run->held_out_rows = sgi_batcher_batches(run->held_out);
  uint64_t wanted = s->eval_batches * (uint64_t)s->batch_size;
  if (wanted && wanted < run->held_out_rows) run->held_out_rows = wanted;
  return SG_OK;
}

/* A directory's train.* and valid.*, or a single file, which is both. */
static sg_status find_texts(sgi_run *run, char **train, char **valid, sg_error *err) {
  sg_error missing = {0};
  if (sgi_is_stream(run->data))
    return sgi_fail(err, SG_ERR_ARG,
                    "--data %s: training needs a file: a resumed run reads its text again; write it to train.txt of a "
                    "directory",
                    run->data);
  if (sgi_is_file(run->data)) {
    bool part = run->settings.held_out > 0;
    *train = sgi_strdup(run->data);
    if (part) *valid = sgi_strdup(run->data);
    return *train && (*valid || !part) ? SG_OK : sgi_fail_memory(err, strlen(run->data), "a path");
  }
  sg_status st = sgi_find_split(run->data, "train", train, err);
  if (!st && sgi_find_split(run->data, "valid", valid, &missing)) {
    if (missing.code != SG_ERR_IO) st = sgi_fail(err, missing.code, "%s", missing.text);
    sgi_run_note(run, "%s has no valid.*: nothing will be evaluated", run->data);
  }
  return st;
}

/* A single file is two texts: what is trained on, and its end. */
static sg_status part_file(sgi_run *run, sg_error *err) {
  double share = run->settings.held_out;
  if (!sgi_is_file(run->data)) return SG_OK;
  if (!(share > 0)) {
    sgi_run_note(run, "%s is a single file, and data.held_out is 0: nothing will be evaluated", run->data);
    return SG_OK;
  }
  sg_status st = sgi_corpus_take_part(run->train, SGI_FOR_TRAINING, share, err);
  if (!st) st = sgi_corpus_take_part(run->valid, SGI_HELD_OUT, share, err);
  if (st) return sgi_error_prefix(err, st, "%s", run->data);
  sgi_run_note(run,
               "%s is a single file: its last %.3g %% (tokens: %llu) are held out, the %llu before them trained on "
               "(--set data.held_out=PART; a directory with train.* and valid.* has both)",
               run->data, 100 * share, (unsigned long long)sgi_corpus_tokens(run->valid),
               (unsigned long long)sgi_corpus_tokens(run->train));
  return SG_OK;
}

/* Before anything is made of the text. */
static sg_status refuse_gaps(const sgi_run *run, const char *path, sg_error *err) {
  const sgi_settings *s = &run->settings;
  if (!path || strcmp(s->missing_shards, "refuse")) return SG_OK;
  return sgi_text_whole(path, s->field, "train without (--set data.missing_shards=allow)", err);
}

static sg_status open_data(sgi_run *run, const char *given_tokenizer, sg_error *err) {
  char *train = NULL, *valid = NULL;
  sg_status st = find_texts(run, &train, &valid, err);
  if (!st) st = refuse_gaps(run, train, err);
  if (!st) st = refuse_gaps(run, valid, err);
  if (!st) st = get_tokenizer(run, given_tokenizer, train, err);
  if (!st) st = take_ids(run, err);
  if (!st) st = open_corpus(run, train, "tokenising the training text", &run->train, err);
  if (!st && valid) st = open_corpus(run, valid, "tokenising the held-out text", &run->valid, err);
  if (!st) st = part_file(run, err);
  if (!st) st = make_batchers(run, err);
  sgi_free(train);
  sgi_free(valid);
  return st;
}

/* ---- open and close -------------------------------------------------------------------------- */

static char *absolute(const char *path) {
  char *real = realpath(path, NULL), *copy = sgi_strdup(real ? real : path);
  free(real);
  return copy;
}

static sg_status lock(sgi_run *run, sg_error *err) {
  run->made = !sgi_is_directory(run->directory);
  sg_status st = sgi_make_directory(run->directory, err);
  if (!st) st = sgi_lock_directory(run->directory, &run->lock, err);
  run->locked = !st;
  if (!st) st = sgi_remove_temporaries(run->directory, (const char *const[]){"config.json", "tokenizer.json"}, 2, err);
  return st;
}

static sg_status prepare_directory(sgi_run *run, sg_error *err) {
  char *config = sgi_path_join(run->directory, "config.json");
  if (!config) return sgi_fail_memory(err, strlen(run->directory), "a path");
  bool there = sgi_is_file(config);
  sg_status st = SG_OK;
  if (run->resume && !there)
    st = sgi_fail(err, SG_ERR_IO, "%s: there is no run to resume (config.json is missing)", run->directory);
  else if (!run->dry)
    st = lock(run, err);
  if (!st && !run->resume && !run->dry && sgi_is_file(config))
    st = sgi_fail(err, SG_ERR_ARG, "%s already holds a run: resume it with --resume, or choose another directory",
                  run->directory);
  sgi_free(config);
  return st;
}

/* What this process has of the model, once the vocabulary is known. */
static sg_status split_channels(sgi_run *run, sg_error *err) {
  run->local = run->settings.model;
  size_t N = sgi_ranks_count(run->who.channels), me = sgi_ranks_me(run->who.channels);
  return N == 1 ? SG_OK : sgi_split_make(&run->settings.model, me, N, &run->split, &run->local, err);
}

static sg_status set_up(sgi_run *run, const sgi_run_request *r, sg_error *err) {
  sg_status st = prepare_directory(run, err);
  if (!st && run->resume) st = load_config(run, err);
  if (!st && run->resume) st = sgi_run_extend(run, r->steps, err);
  if (!st && !run->data)
    st = sgi_fail(err, SG_ERR_ARG,
                  "training needs text: name a file, or a directory with train.* and valid.* (--data PATH)");
  char *own = NULL;
  if (!st) st = sgi_run_place_from(run, r->tokenizer, &own, err);
  const char *tokenizer = own ? own : r->tokenizer;
  if (!st) st = open_data(run, tokenizer, err);
  if (!st) sgi_run_choose_precision(run);
  if (!st) st = split_channels(run, err);
  if (!st) st = sgi_run_make_plan(run, err);
  if (!st) sgi_run_say_pools(run);
  if (!st && !run->resume && !run->dry) st = keep_tokenizer(run, tokenizer, err);
  sgi_free(own);
  return st || run->resume || run->dry ? st : sgi_run_save_config(run, err); /* from here on it is a run */
}

/* A rank other than the lead: what the lead has settled is read from the run. */
static sg_status follow(sgi_run *run, const sgi_run_request *r, sg_error *err) {
  run->resume = true;
  sg_status st = load_config(run, err);
  if (!st) st = sgi_run_extend(run, r->steps, err);
  if (!st) st = open_data(run, NULL, err);
  if (!st) st = split_channels(run, err);
  if (!st) st = sgi_run_make_plan(run, err);
  run->resume = r->resume;
  return st;
}

/* All ranks train on the same text. */
static sg_status same_text(const sgi_run *run, sg_error *err) {
  uint64_t hash = sgi_corpus_hash(run->train), lead = hash;
  sgi_ranks_tell(run->ranks, &lead, sizeof lead);
  return lead == hash ? SG_OK
                      : sgi_fail(err, SG_ERR_ARG, "%s: the training text is not the one that rank 0 has", run->data);
}

/* Ranks d N .. d N + N - 1 compute the same rows, each its channels of them. */
static sg_status make_groups(sgi_run *run, size_t N, sg_error *err) {
  sg_ranks *r = run->ranks;
  run->who = (sgi_trainer_ranks){.all = r, .rows = r};
  if (N < 2) return SG_OK;
  if (sgi_ranks_count(r) % N || N > SGI_MAX_SUMMED)
    return sgi_fail(err, SG_ERR_ARG,
                    "--channel-ranks is %zu: it must divide the number of ranks, %zu, and be at most %d (mpirun -n "
                    "starts ranks)",
                    N, sgi_ranks_count(r), SGI_MAX_SUMMED);
  if (!r->transport->split(r->self, r->rank % N, &run->groups[0]) ||
      !r->transport->split(r->self, r->rank / N, &run->groups[1]))
    return sgi_fail(err, SG_ERR_INTERNAL, "groups of ranks cannot be made");
  run->who = (sgi_trainer_ranks){r, &run->groups[0], &run->groups[1], &run->split};
  return SG_OK;
}

static sg_status set_up_all(sgi_run *run, const sgi_run_request *r, sg_error *err) {
  bool lead = sgi_ranks_lead(run->ranks);
  sgi_ranks_about(run->ranks, "setting up the run", false);
  sg_status st = make_groups(run, r->channel_ranks, err); /* fails alike everywhere */
  if (st) return st;
  st = lead ? set_up(run, r, err) : SG_OK;
  if (sgi_ranks_count(run->ranks) == 1 || run->dry) return st;
  st = sgi_ranks_agree(run->ranks, st, err);
  if (!st && !lead) st = follow(run, r, err);
  st = sgi_ranks_agree(run->ranks, st, err);
  if (!st) st = sgi_ranks_agree(run->ranks, same_text(run, err), err);
  return st;
}

/* A start that failed leaves no directory that was not there before. */
static void undo(sgi_run *run) {
  if (run->made && run->locked) sgi_remove_tree(run->directory, NULL);
  sgi_run_close(run);
}

sg_status sgi_run_open(const sgi_run_request *r, const sgi_run_events *events, sgi_run **out, sg_error *err) {
  *out = NULL;
  sgi_run *run = sgi_alloc(sizeof *run);
  if (!run) return sgi_fail_memory(err, sizeof *run, "a run");
  run->settings = r->settings;
  run->resume = r->resume;
  run->evaluated_at = UINT64_MAX;
  run->loss_with_buffer = NAN;
  run->state.best_loss = INFINITY;
  run->ranks = r->ranks;
  size_t share = r->ranks && r->ranks->local ? r->ranks->local : 1; /* ranks of this machine */
  run->max_memory = r->max_memory ? r->max_memory : sgi_memory_default(DEFAULT_MEMORY * share) / share;
  run->dry = r->dry_run;
  const char *directory = r->run ? r->run : "";
  run->directory = sgi_strdup(directory);
  run->data = !r->data ? NULL : sgi_is_stream(r->data) ? sgi_strdup(r->data) : absolute(r->data);
  run->tokenizer_path = sgi_path_join(directory, "tokenizer.json");
  run->metrics_path = sgi_path_join(directory, "metrics.jsonl");
  run->log_path = sgi_path_join(directory, "log.txt");
  if (events) run->events = *events;
  sg_status st = run->directory && (run->data || !r->data) && run->tokenizer_path && run->metrics_path && run->log_path
                     ? set_up_all(run, r, err)
                     : sgi_fail_memory(err, strlen(directory), "a run");
  if (st)
    undo(run);
  else
    *out = run;
  return st;
}

void sgi_run_close(sgi_run *run) {
  if (!run) return;
  sgi_evaluator_free(run->evaluator);
  if (run->trainer) sgi_usage_list_free(run->trainer->model, run->usage);
  sgi_trainer_free(run->trainer);
  sgi_batcher_free(run->batches);
  sgi_batcher_free(run->held_out);
  sgi_corpus_close(run->train);
  sgi_corpus_close(run->valid);
  sg_tokenizer_free(run->tokenizer);
  if (run->locked) sgi_unlock(&run->lock);
  sgi_split_deinit(&run->split);
  json_decref(run->extended);
  sgi_free(run->inputs);
  sgi_free(run->targets);
  sgi_free(run->starts);
  sgi_free(run->directory);
  sgi_free(run->data);
  sgi_free(run->tokenizer_path);
  sgi_free(run->metrics_path);
  sgi_free(run->log_path);
  sgi_free(run);
}

sg_status sgi_run_make_tokenizer(const sgi_settings *settings, const char *data, const char *path,
                                 const sgi_run_events *events, sg_error *err) {
  sgi_run *run = sgi_alloc(sizeof *run);
  char *train = NULL, *valid = NULL;
  if (!run) return sgi_fail_memory(err, sizeof *run, "a run");
  run->settings = *settings;
  if (events) run->events = *events;
  run->data = absolute(data);
  sg_status st = run->data ? find_texts(run, &train, &valid, err) : sgi_fail_memory(err, strlen(data), "a path");
  if (!st) st = train_tokenizer(run, train, err);
  if (!st) st = sg_tokenizer_save(run->tokenizer, path, err);
  sgi_free(train);
  sgi_free(valid);
  sgi_run_close(run);
  return st;
}

const sgi_run_plan *sgi_run_plan_of(const sgi_run *run) { return &run->plan; }
const sgi_settings *sgi_run_settings(const sgi_run *run) { return &run->settings; }
double sgi_run_seconds(const sgi_run *run) { return run->state.seconds; }
const sgi_evaluation *sgi_run_evaluation(const sgi_run *run) { return &run->last_evaluation; }
