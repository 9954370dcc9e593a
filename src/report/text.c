#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/file.h"
#include "data/data.h"
#include "text/reader.h"

/* ---- which text ------------------------------------------------------------------------------ */

static void note(const sgi_text_watch *watch, const char *format, ...) SG_PRINTF(2, 3);
static void note(const sgi_text_watch *watch, const char *format, ...) {
  char text[1024];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  if (watch && watch->note) watch->note(watch->user, text);
}

static bool stopped(const sgi_text_watch *watch) { return watch && watch->stopped && watch->stopped(watch->user); }

static sg_status take_split(const char *given, const char *split, char **out, sg_error *err) {
  sg_error e = {0};
  sg_status st = sgi_is_directory(given) ? sgi_find_split(given, split, out, &e) : SG_ERR_IO;
  if (st && st != SG_ERR_IO) return sgi_fail(err, st, "%s", e.text);
  if (st) *out = sgi_strdup(given);
  return *out ? SG_OK : sgi_fail_memory(err, strlen(given), "a path");
}

/* {"data": PATH, ...} of the run's config.json and the part that it holds out; NULL where model is
 * no run. New reference. */
static sg_status run_of(const char *model, json_t **run, double *held_out, sg_error *err) {
  char *path = sgi_path_join(model, "config.json");
  json_t *o = NULL;
  *run = NULL;
  *held_out = 0;
  if (!path) return sgi_fail_memory(err, strlen(model), "a path");
  sg_status st = sgi_is_file(path) ? sgi_json_load(path, &o, err) : SG_OK;
  if (json_is_string(json_object_get(json_object_get(o, "run"), "data"))) {
    *run = json_incref(json_object_get(o, "run"));
    *held_out = json_number_value(json_object_get(json_object_get(o, "data"), "held_out"));
  }
  json_decref(o);
  sgi_free(path);
  return st;
}

/* Only a lack of memory is an error here: what is wrong with the run its reader tells. */
sg_status sgi_text_own(const char *model, bool *own, sg_error *err) {
  sg_error why = {0};
  json_t *run;
  double share;
  sg_status st = run_of(model, &run, &share, &why);
  *own = !st && run;
  json_decref(run);
  return st == SG_ERR_MEMORY ? sgi_fail(err, st, "%s", why.text) : SG_OK;
}

char *sgi_text_directory(const char *model) {
  json_t *run;
  double share;
  const char *data = run_of(model, &run, &share, NULL) ? NULL : json_string_value(json_object_get(run, "data"));
  char *out = data && sgi_is_directory(data) ? sgi_strdup(data) : NULL;
  json_decref(run);
  return out;
}

static sg_status take_own(const sgi_text_asked *q, const sgi_text_watch *watch, const json_t *run, double share,
                          sgi_text *out, sg_error *err) {
  const char *data = json_string_value(json_object_get(run, "data"));
  bool file = sgi_is_file(data);
  if (file && share > 0 && share < 1) {
    out->held_out = share;
    out->path = sgi_strdup(data);
    if (!out->path) return sgi_fail_memory(err, strlen(data), "a path");
    note(watch, "text: the last %.3g %% of %s, which the run held out", 100 * share, data);
    return SG_OK;
  }
  sg_error e = {0};
  if (!file && !sgi_find_split(data, "valid", &out->path, &e)) {
    note(watch, "text: %s, the run's own", out->path);
    return SG_OK;
  }
  return sgi_fail(err, SG_ERR_ARG, "%s holds no text of its own back (%s%s): give one with --%s", q->model,
                  file ? data : e.text, file ? " is a single file, all of it trained on" : "", q->option);
}

sg_status sgi_text_find(const sgi_text_asked *q, const sgi_text_watch *watch, sgi_text *out, sg_error *err) {
  json_t *run = NULL;
  double share;
  *out = (sgi_text){0};
  if (q->given) return take_split(q->given, q->split, &out->path, err);
  sg_status st = run_of(q->model, &run, &share, err);
  if (!st && !run)
    st = sgi_fail(err, SG_ERR_ARG, "%s is no training run with a text of its own: give one with --%s", q->model,
                  q->option);
  if (!st) st = take_own(q, watch, run, share, out, err);
  json_decref(run);
  return st;
}

void sgi_text_free(sgi_text *t) {
  sgi_free(t->path);
  *t = (sgi_text){0};
}

sg_status sgi_text_needs(const sg_tokenizer *tokenizer, const char *directory, sg_error *err) {
  return tokenizer ? SG_OK : sgi_fail(err, SG_ERR_ARG, "%s has no tokenizer.json, which reading text needs", directory);
}

/* ---- its form -------------------------------------------------------------------------------- */

static sg_status run_settings(const char *run, char **path, json_t **own, sg_error *err) {
  *own = NULL;
  *path = NULL;
  if (!run) return SG_OK;
  if (!(*path = sgi_path_join(run, "config.json"))) return sgi_fail_memory(err, 0, "a path");
  json_t *o = NULL;
  sg_status st = sgi_is_file(*path) ? sgi_json_load(*path, &o, err) : SG_OK;
  if (json_object_get(o, "run")) *own = json_incref(json_object_get(o, "data"));
  json_decref(o);
  return st;
}

/* A run that does not say how lines end was begun before CRLF was read as LF. */
static bool as_is(const json_t *own) {
  const char *text = json_string_value(json_object_get(own, "line_ends"));
  return !text || !strcmp(text, "as-is");
}

sg_status sgi_text_form_of(const char *model, const char *split, const char *field, sg_text_form *form, json_t **own,
                           sg_error *err) {
  char *path, text[64];
  *form = (sg_text_form){.blank_lines = split && !strcmp(split, "blank-lines")};
  sg_status st = run_settings(model, &path, own, err);
  if (!st && *own && !split && !(st = sgi_json_string(*own, path, "split", text, sizeof text, err)))
    form->blank_lines = !strcmp(text, "blank-lines");
  if (!st && *own) form->keep_cr = as_is(*own);
  if (!st && *own && !field) st = sgi_json_string(*own, path, "field", form->field, sizeof form->field, err);
  if (!st && field && strlen(field) >= sizeof form->field)
    st = sgi_fail(err, SG_ERR_ARG, "--field: at most %zu bytes", sizeof form->field - 1);
  if (!st && field) memcpy(form->field, field, strlen(field) + 1);
  sgi_free(path);
  return st;
}

/* ---- its tokens ------------------------------------------------------------------------------ */

sg_status sgi_text_encode(const sgi_text *t, const sg_text_form *form, const sg_tokenizer *tok, int32_t eos,
                          const sgi_text_watch *watch, sgi_corpus **out, sg_error *err) {
  static const sgi_text_watch nobody;
  const sgi_text_watch *w = watch ? watch : &nobody;
  sg_status st = sgi_corpus_open(t->path, form, tok, eos, w->progress, w->user, out, err);
  if (!st && t->held_out > 0) st = sgi_corpus_take_part(*out, SGI_HELD_OUT, t->held_out, err);
  if (st) return st;
  if (w->note) sgi_text_notes_say(sgi_corpus_notes(*out), w->note, w->user);
  return SG_OK;
}

sg_status sgi_text_open(const sgi_text *t, const sg_text_form *form, const sg_tokenizer *tok, int32_t eos,
                        const sgi_text_watch *watch, sgi_corpus **out, sg_error *err) {
  sg_status st = sgi_text_encode(t, form, tok, eos, watch, out, err);
  if (st) return st;
  return sgi_corpus_documents(*out) ? SG_OK : sgi_fail(err, SG_ERR_FORMAT, "%s: holds no document", t->path);
}

sg_status sgi_text_complete(const sgi_text *t, const sg_text_form *form, const char *otherwise, sg_error *err) {
  return sgi_text_whole(t->path, form->field, otherwise, err);
}

void sgi_text_close(sgi_corpus *c) { sgi_corpus_close(c); }
size_t sgi_text_documents(const sgi_corpus *c) { return sgi_corpus_documents(c); }
uint64_t sgi_text_tokens(const sgi_corpus *c) { return sgi_corpus_tokens(c); }

int32_t sgi_text_end(const sg_tokenizer *tok) {
  int32_t id = sg_tokenizer_special(tok, "<|endoftext|>");
  return id < 0 ? sg_tokenizer_special(tok, "</s>") : id;
}

/* ---- rows ------------------------------------------------------------------------------------ */

static sg_status add_row(sgi_text_rows *r, size_t *room, const sg_config *c, const int32_t *ids, size_t n,
                         sg_error *err) {
  if (r->B == *room) {
    size_t more = *room ? 2 * *room : 16, old = *room * r->T * sizeof *r->targets, bytes;
    if (!sgi_size_mul(more * sizeof *r->targets, r->T, &bytes))
      return sgi_fail(err, SG_ERR_ARG, "--seq-len is too large");
    int32_t *p = sgi_realloc(r->targets, old, bytes);
    if (!p) return sgi_fail(err, SG_ERR_MEMORY, "out of memory");
    r->targets = p;
    *room = more;
  }
  int32_t *row = r->targets + r->B++ * r->T;
  for (size_t i = 0; i < r->T; i++) row[i] = i < n ? ids[i] : i == n ? c->eos_id : c->pad_id;
  return SG_OK;
}

/* What is read so far, and of what. */
typedef struct reading {
  sgi_text_rows *rows;
  const sgi_prompt *p;
  const sg_text_form *form;
  size_t room, tokens, max_tokens;
  const sgi_text_watch *watch;
} reading;

static sg_status read_file(reading *w, const char *path, sg_error *err) {
  const sgi_prompt *p = w->p;
  size_t T = w->rows->T;
  sgi_reader *reader = NULL;
  sg_status st = sgi_reader_open(path, w->form->blank_lines, *w->form->field ? w->form->field : NULL, &reader, err);
  if (!st && w->form->keep_cr) sgi_reader_keep_cr(reader);
  while (!st && w->tokens < w->max_tokens && !stopped(w->watch)) {
    const char *text;
    size_t n, count = 0;
    int32_t *ids = NULL;
    st = sgi_reader_next(reader, &text, &n, err);
    if (st || !text) break;
    st = sg_tokenizer_encode(p->tokenizer, text, n, &ids, &count, err);
    for (size_t i = 0; i < count && !st; i++)
      if ((size_t)ids[i] >= sg_model_config(p->model)->vocab_size)
        st = sgi_fail(err, SG_ERR_FORMAT, "%s: the tokenizer gives id %d, the model knows %zu", p->directory, ids[i],
                      sg_model_config(p->model)->vocab_size);
    if (!st) st = add_row(w->rows, &w->room, sg_model_config(p->model), ids, count < T ? count : T, err);
    w->tokens += count < T ? count + 1 : T;
    sg_buffer_free(ids);
  }
  sgi_reader_close(reader);
  return st;
}

/* Of the end of a file the tokens are read that a run's own cache has. */
static sg_status read_part(reading *w, const sgi_text *text, sg_error *err) {
  const sg_config *c = sg_model_config(w->p->model);
  sgi_corpus *corpus = NULL;
  sg_status st = sgi_text_open(text, w->form, w->p->tokenizer, c->eos_id, w->watch, &corpus, err);
  for (size_t i = 0, n, T = w->rows->T; !st && i < sgi_corpus_documents(corpus) && w->tokens < w->max_tokens; i++) {
    const int32_t *ids = sgi_corpus_document(corpus, i, &n);
    if (n && ids[n - 1] == c->eos_id) n--;
    st = add_row(w->rows, &w->room, c, ids, n < T ? n : T, err);
    w->tokens += n < T ? n + 1 : T;
  }
  sgi_corpus_close(corpus);
  return st;
}

sg_status sgi_text_rows_read(sgi_text_rows *r, const sgi_prompt *p, const sgi_text *text, const sg_text_form *form,
                             size_t T, size_t max_tokens, const sgi_text_watch *watch, sg_error *err) {
  *r = (sgi_text_rows){.T = T};
  reading w = {r, p, form, 0, 0, max_tokens, watch};
  char **files = NULL;
  size_t n = 0;
  sg_status st = sgi_text_needs(p->tokenizer, p->directory, err);
  if (st) return st;
  if (text->held_out > 0) return read_part(&w, text, err);
  st = sgi_text_files(text->path, form->field, NULL, &files, &n, err);
  for (size_t i = 0; i < n && !st; i++) st = read_file(&w, files[i], err);
  sgi_text_files_free(files, n);
  if (!st && !r->B) st = sgi_fail(err, SG_ERR_FORMAT, "%s holds no document", text->path);
  return st;
}

void sgi_text_rows_free(sgi_text_rows *r) {
  sgi_free(r->targets);
  *r = (sgi_text_rows){0};
}
