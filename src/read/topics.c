#include "read/topics.h"

#include <stdio.h>
#include <string.h>

#include "core/arena.h"
#include "core/file.h"

typedef struct topics {
  const char *split;
  size_t n;
  int32_t *topic_of;
  json_t *names;
} topics;

static sg_status take(const topics *t, const json_t *row, const char *where, sg_error *err) {
  char split[SG_NAME], topic[64];
  size_t story;
  sg_status st = sgi_json_string(row, where, "split", split, sizeof split, err);
  if (!st) st = sgi_json_string(row, where, "topic", topic, sizeof topic, err);
  if (!st) st = sgi_json_size(row, where, "story", 0, SIZE_MAX / 2, &story, err);
  if (st || strcmp(split, t->split) || story >= t->n) return st;
  json_t *id = json_object_get(t->names, topic);
  if (!id) {
    id = json_integer((json_int_t)json_object_size(t->names));
    if (json_object_set_new(t->names, topic, id)) return sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  }
  t->topic_of[story] = (int32_t)json_integer_value(id);
  return SG_OK;
}

sg_status sgi_topics_load(const char *directory, const char *split, size_t n, int32_t *topic_of, json_t *names,
                          sg_error *err) {
  const topics t = {split, n, topic_of, names};
  char *path = sgi_path_join(directory, "topics.jsonl"), *text = NULL;
  size_t bytes = 0;
  sg_status st =
      path ? sgi_read_file(path, (size_t)1 << 30, &text, &bytes, err) : sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  for (size_t i = 0; i < n; i++) topic_of[i] = -1;
  for (size_t at = 0, line = 1; at < bytes && !st; line++) {
    const char *end = memchr(text + at, '\n', bytes - at);
    size_t length = end ? (size_t)(end - text) - at : bytes - at;
    char where[320];
    json_t *row = NULL;
    snprintf(where, sizeof where, "%.255s, line %zu", path, line);
    st = sgi_json_parse(text + at, length, where, &row, err);
    if (!st) st = take(&t, row, where, err);
    json_decref(row);
    at += length + 1;
  }
  sgi_free(path);
  sgi_free(text);
  return st;
}
