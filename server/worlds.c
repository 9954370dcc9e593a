#include "worlds.h"

#include <string.h>

#include "core/arena.h"
#include "core/file.h"
#include "core/json.h"

static sg_status load(const char *directory, const char *name, json_t **out, sg_error *err) {
  char *path = sgi_path_join(directory, name);
  sg_status st = path ? sgi_json_load(path, out, err) : sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  sgi_free(path);
  return st;
}

/* The split whose stories are the recording's documents, one by one: what its text is called up to the first dot. */
static sg_status split_of(worlds *w, const cli_reading *r, sg_error *err) {
  json_t *o = NULL;
  sg_status st = load(r->directory, "recording.json", &o, err);
  const char *data = json_string_value(json_object_get(o, "data")), *slash = data ? strrchr(data, '/') : NULL;
  if (data) snprintf(w->split, sizeof w->split, "%s", slash ? slash + 1 : data);
  w->split[strcspn(w->split, ".")] = 0;
  json_decref(o);
  return st;
}

static sg_status take_topic(worlds *w, const json_t *row, const char *where, sg_error *err) {
  char split[SG_NAME], topic[64];
  size_t story;
  sg_status st = sgi_json_string(row, where, "split", split, sizeof split, err);
  if (!st) st = sgi_json_string(row, where, "topic", topic, sizeof topic, err);
  if (!st) st = sgi_json_size(row, where, "story", 0, SIZE_MAX / 2, &story, err);
  if (st || strcmp(split, w->split) || story >= w->n_stories) return st;
  json_t *id = json_object_get(w->topics, topic);
  if (!id) {
    id = json_integer((json_int_t)json_object_size(w->topics));
    if (json_object_set_new(w->topics, topic, id)) return sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  }
  w->topic_of[story] = (int32_t)json_integer_value(id);
  return SG_OK;
}

static sg_status read_topics(worlds *w, const char *directory, sg_error *err) {
  char *path = sgi_path_join(directory, "topics.jsonl"), *text = NULL;
  size_t n = 0;
  sg_status st =
      path ? sgi_read_file(path, (size_t)1 << 30, &text, &n, err) : sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  for (size_t at = 0, line = 1; at < n && !st; line++) {
    const char *end = memchr(text + at, '\n', n - at);
    size_t length = end ? (size_t)(end - text) - at : n - at;
    char where[320];
    json_t *row = NULL;
    snprintf(where, sizeof where, "%.255s, line %zu", path, line);
    st = sgi_json_parse(text + at, length, where, &row, err);
    if (!st) st = take_topic(w, row, where, err);
    json_decref(row);
    at += length + 1;
  }
  sgi_free(path);
  sgi_free(text);
  return st;
}

sg_status worlds_load(worlds *w, const char *directory, const cli_reading *recording, sg_error *err) {
  *w = (worlds){.topics = json_object()};
  sg_status st = load(directory, "labels.json", &w->labels, err);
  if (!st && !json_is_object(w->labels))
    st = sgi_fail(err, SG_ERR_FORMAT, "%s: expected an object in labels.json, as 'data worlds' writes it", directory);
  if (!st && recording) st = split_of(w, recording, err);
  if (st || !*w->split) return st;
  w->n_stories = recording->info->n_documents;
  w->topic_of = sgi_alloc((w->n_stories + 1) * sizeof *w->topic_of);
  if (!w->topic_of || !w->topics) return sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  for (size_t i = 0; i < w->n_stories; i++) w->topic_of[i] = -1;
  st = read_topics(w, directory, err);
  if (!json_object_size(w->topics)) {
    sgi_free(w->topic_of);
    w->topic_of = NULL;
  }
  return st;
}

void worlds_deinit(worlds *w) {
  json_decref(w->labels);
  json_decref(w->topics);
  sgi_free(w->topic_of);
  *w = (worlds){0};
}

const char *worlds_category(const worlds *w, const char *word) {
  char copy[64];
  while (*word == ' ') word++;
  size_t n = strlen(word);
  while (n && word[n - 1] == ' ') n--;
  if (!n || n >= sizeof copy) return NULL;
  memcpy(copy, word, n);
  copy[n] = 0;
  const json_t *list = json_object_get(w->labels, copy);
  if (!list && copy[0] >= 'A' && copy[0] <= 'Z') {
    copy[0] = (char)(copy[0] - 'A' + 'a');
    list = json_object_get(w->labels, copy);
  }
  return json_array_size(list) == 1 ? json_string_value(json_array_get(list, 0)) : NULL;
}
