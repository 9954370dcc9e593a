#include "report/topics.h"

#include <stdio.h>
#include <string.h>

#include "core/arena.h"
#include "core/file.h"
#include "read/pool_choice.h"
#include "read/separation.h"
#include "read/topics.h"
#include "report/report.h"
#include "text/reader.h"

typedef struct reading {
  const sgi_topics_request *r;
  const sg_tokenizer *tokenizer;
  sgi_pool_counter *counter;
  const char *by;
  json_t *names;     /* topic -> number */
  int32_t *topic;    /* (documents) of those that are counted */
  size_t room;       /* entries that fit */
  int32_t *by_story; /* of topics.jsonl, (stories) */
  size_t stories, without, tokens;
  uint64_t bytes, done; /* of all files, and of those before */
} reading;

/* ---- whose topic ----------------------------------------------------------------------------- */

static const char *last_part(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

/* The directory that a file lies in. New: sgi_free. */
static char *directory_of(const char *path) {
  if (sgi_is_directory(path)) return sgi_strdup(path);
  size_t n = (size_t)(last_part(path) - path);
  char *out = sgi_strdup(n ? path : ".");
  if (out && n) out[n - 1] = '\0';
  if (out && n == 1) snprintf(out, 2, "/");
  return out;
}

static bool has_topics(const char *path) {
  char *directory = directory_of(path), *file = directory ? sgi_path_join(directory, "topics.jsonl") : NULL;
  bool has = file && sgi_is_file(file);
  sgi_free(directory);
  sgi_free(file);
  return has;
}

static bool is_text(const char *path) { return strstr(last_part(path), ".txt") != NULL; }

/* topics.jsonl of the split that the file's name says up to its first dot. */
static sg_status read_stories(reading *w, const char *path, sg_error *err) {
  const size_t MOST = w->r->documents ? w->r->documents : (size_t)1 << 22;
  char split[SG_NAME] = "";
  size_t n = strcspn(last_part(path), ".");
  char *directory = directory_of(path);
  if (!directory) return sgi_fail_memory(err, strlen(path), "a path");
  snprintf(split, sizeof split, "%.*s", (int)(n < SG_NAME ? n : SG_NAME - 1), last_part(path));
  sgi_free(w->by_story);
  w->stories = MOST;
  w->by_story = sgi_alloc(MOST * sizeof *w->by_story);
  sg_status st = w->by_story ? sgi_topics_load(directory, split, MOST, w->by_story, w->names, err)
                             : sgi_fail_memory(err, MOST * sizeof *w->by_story, "topics");
  sgi_free(directory);
  return st;
}

/* -1: it has none. */
static sg_status number_of(reading *w, const char *name, int32_t *out, sg_error *err) {
  *out = -1;
  if (!name) return SG_OK;
  json_t *id = json_object_get(w->names, name);
  if (!id) {
    id = json_integer((json_int_t)json_object_size(w->names));
    if (json_object_set_new(w->names, name, id))
      return sgi_fail(err, SG_ERR_FORMAT, "a topic (%s) is no text in UTF-8", w->by);
  }
  *out = (int32_t)json_integer_value(id);
  return SG_OK;
}

/* ---- documents ------------------------------------------------------------------------------- */

static sg_status count(reading *w, const char *text, size_t n, int32_t topic, sg_error *err) {
  size_t documents = sgi_pool_counter_documents(w->counter), length = 0;
  int32_t *ids = NULL;
  if (topic < 0) return w->without++, SG_OK;
  if (!sgi_room(&w->topic, &w->room, documents, sizeof *w->topic))
    return sgi_fail_memory(err, 2 * documents * sizeof *w->topic, "topics");
  sg_status st = sg_tokenizer_encode(w->tokenizer, text, n, &ids, &length, err);
  if (!st) st = sgi_pool_counter_add(w->counter, ids, length, err);
  sg_buffer_free(ids);
  w->topic[documents] = topic;
  w->tokens += length + 1 < w->r->seq_len ? length + 1 : w->r->seq_len;
  return st;
}

static sg_status watch(const reading *w, const sgi_reader *file, sg_error *err) {
  size_t done = (size_t)(w->done + sgi_reader_position(file));
  if (!w->r->progress || w->r->progress(w->r->user, done, (size_t)w->bytes)) return SG_OK;
  return sgi_fail(err, SG_ERR_CANCELLED, "stopped");
}

static sg_status read_file(reading *w, const char *path, sg_error *err) {
  const sg_text_form *form = w->r->form;
  sgi_reader *file = NULL;
  bool stories = !strcmp(w->by, "topic") && is_text(path);
  int32_t topic = -1;
  if (is_text(path) && !stories && strcmp(w->by, "file"))
    return sgi_fail(err, SG_ERR_ARG,
                    "%s has no lines with a field \"%s\": --by topic needs a topics.jsonl beside it, --by file takes "
                    "its name",
                    path, w->by);
  sg_status st = stories ? read_stories(w, path, err) : SG_OK;
  if (!st) st = sgi_reader_open(path, form->blank_lines, *form->field ? form->field : NULL, &file, err);
  if (!st && form->keep_cr) sgi_reader_keep_cr(file);
  if (!st && !strcmp(w->by, "file")) st = number_of(w, last_part(path), &topic, err);
  for (size_t i = 0; !st && (!w->r->documents || i < w->r->documents); i++) {
    const char *text;
    size_t n;
    st = sgi_reader_next(file, &text, &n, err);
    if (st || !text) break;
    if (stories)
      topic = i < w->stories ? w->by_story[i] : -1;
    else if (strcmp(w->by, "file"))
      st = number_of(w, sgi_reader_label(file, w->by), &topic, err);
    if (!st) st = count(w, text, n, topic, err);
    if (!st) st = watch(w, file, err);
  }
  if (!st) w->done += sgi_reader_stamp(file).size;
  sgi_reader_close(file);
  return st;
}

static sg_status read_all(reading *w, sg_error *err) {
  char **files = NULL;
  size_t n = 0;
  sg_status st = sgi_text_files(w->r->path, w->r->form->field, NULL, &files, &n, err);
  for (size_t i = 0; i < n && !st; i++) {
    sgi_reader *file;
    st = sgi_reader_open(files[i], false, NULL, &file, err);
    if (st) break;
    w->bytes += sgi_reader_stamp(file).size;
    sgi_reader_close(file);
  }
  for (size_t i = 0; i < n && !st; i++) st = read_file(w, files[i], err);
  sgi_text_files_free(files, n);
  if (!st && !sgi_pool_counter_documents(w->counter))
    st = sgi_fail(err, SG_ERR_FORMAT, "%s: none of %zu documents has a topic (--by %s)", w->r->path, w->without, w->by);
  return st;
}

/* ---- the answer ------------------------------------------------------------------------------ */

static json_t *counts_json(const sgi_choices *c, bool by_document, double *room) {
  sgi_separation_bits(c, NULL, by_document, room);
  json_t *rows = json_array();
  for (size_t t = 0; t < c->topics; t++) {
    json_t *row = json_array();
    for (size_t e = 0; e < c->choices; e++)
      json_array_append_new(row, json_integer((json_int_t)room[t * c->choices + e]));
    json_array_append_new(rows, row);
  }
  return rows;
}

static json_t *separation_json(const sgi_separation *s, json_t *counts) {
  return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "mi", sgi_report_real(s->mi), "null",
                   sgi_report_real(s->null), "topic_entropy", sgi_report_real(s->entropy), "separation",
                   sgi_report_real(s->separation), "p", sgi_report_real(s->p), "purity", sgi_report_real(s->purity),
                   "counts", counts);
}

static sg_status gate_json(const reading *w, const sgi_gate_counts *g, json_t *list, sg_error *err) {
  size_t n = sgi_pool_counter_documents(w->counter), K = json_object_size(w->names);
  sgi_choices c = {.documents = n, .choices = g->pools, .topics = K, .count = g->count, .topic = w->topic};
  double *room = sgi_alloc((K + 1) * (g->pools + 1) * sizeof *room);
  int32_t *order = sgi_alloc(n * sizeof *order);
  json_t *o = json_pack("{s:I, s:I, s:s, s:I}", "layer", (json_int_t)g->layer, "layers", (json_int_t)g->layers,
                        "choice", g->choice, "pools", (json_int_t)g->pools);
  sg_status st = room && order ? SG_OK : sgi_fail_memory(err, n * sizeof *order, "permutations of topics");
  for (int by_document = 0; by_document < 2 && !st; by_document++) {
    sgi_separation s;
    sgi_separation_measure(&c, by_document, w->r->permutations, w->r->seed, order, room, &s);
    json_object_set_new(o, by_document ? "documents" : "tokens",
                        separation_json(&s, counts_json(&c, by_document, room)));
  }
  json_array_append_new(list, o);
  sgi_free(room);
  sgi_free(order);
  return st;
}

static sg_status answer(const reading *w, json_t **out, sg_error *err) {
  size_t n_gates, n = sgi_pool_counter_documents(w->counter);
  const sgi_gate_counts *gates = sgi_pool_counter_gates(w->counter, &n_gates);
  json_t *topics = json_array(), *documents = json_array(), *list = json_array();
  const char *name;
  json_t *id;
  sg_status st = SG_OK;
  json_object_foreach(w->names, name, id) {
    size_t has = 0;
    for (size_t i = 0; i < n; i++) has += w->topic[i] == (int32_t)json_integer_value(id);
    json_array_append_new(topics, json_string(name));
    json_array_append_new(documents, json_integer((json_int_t)has));
  }
  for (size_t g = 0; g < n_gates && !st; g++) st = gate_json(w, &gates[g], list, err);
  *out = json_pack("{s:s, s:I, s:I, s:I, s:I, s:o, s:o, s:o}", "by", w->by, "documents", (json_int_t)n, "without_topic",
                   (json_int_t)w->without, "tokens", (json_int_t)w->tokens, "permutations",
                   (json_int_t)w->r->permutations, "topics", topics, "topic_documents", documents, "gates", list);
  if (st) {
    json_decref(*out);
    *out = NULL;
  }
  return st;
}

sg_status sgi_topics_json(const sg_model *model, const sg_tokenizer *tokenizer, const sgi_topics_request *r,
                          json_t **out, sg_error *err) {
  reading w = {.r = r, .tokenizer = tokenizer, .by = r->by, .names = json_object()};
  *out = NULL;
  if (!w.by) w.by = has_topics(r->path) ? "topic" : "source";
  sg_status st = sgi_pool_counter_create(model, r->seq_len, &w.counter, err);
  if (!st) st = read_all(&w, err);
  if (!st) st = answer(&w, out, err);
  sgi_pool_counter_free(w.counter);
  sgi_free(w.topic);
  sgi_free(w.by_story);
  json_decref(w.names);
  return st;
}
