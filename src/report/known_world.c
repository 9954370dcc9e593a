#include "known_world.h"

#include <string.h>

#include "core/arena.h"
#include "core/file.h"
#include "core/json.h"
#include "read/topics.h"

static sg_status load(const char *directory, const char *name, json_t **out, sg_error *err) {
  char *path = sgi_path_join(directory, name);
  sg_status st = path ? sgi_json_load(path, out, err) : sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  sgi_free(path);
  return st;
}

/* The split whose stories are the recording's documents, one by one: what its text is called up to
 * the first dot. */
static sg_status split_of(sgi_known_world *w, const sgi_record_reader *r, sg_error *err) {
  json_t *o = NULL;
  sg_status st = load(r->directory, "recording.json", &o, err);
  const char *data = json_string_value(json_object_get(o, "data")), *slash = data ? strrchr(data, '/') : NULL;
  if (data) snprintf(w->split, sizeof w->split, "%s", slash ? slash + 1 : data);
  w->split[strcspn(w->split, ".")] = 0;
  json_decref(o);
  return st;
}

sg_status sgi_known_world_load(sgi_known_world *w, const char *directory, const sgi_record_reader *recording,
                               sg_error *err) {
  *w = (sgi_known_world){.topics = json_object()};
  sg_status st = load(directory, "labels.json", &w->labels, err);
  if (!st && !json_is_object(w->labels))
    st = sgi_fail(err, SG_ERR_FORMAT, "%s: expected an object in labels.json, as 'data worlds' writes it", directory);
  if (!st && recording) st = split_of(w, recording, err);
  if (st || !*w->split) return st;
  w->n_stories = recording->info.n_documents;
  w->topic_of = sgi_alloc((w->n_stories + 1) * sizeof *w->topic_of);
  if (!w->topic_of || !w->topics) return sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  st = sgi_topics_load(directory, w->split, w->n_stories, w->topic_of, w->topics, err);
  if (!json_object_size(w->topics)) {
    sgi_free(w->topic_of);
    w->topic_of = NULL;
  }
  return st;
}

void sgi_known_world_deinit(sgi_known_world *w) {
  json_decref(w->labels);
  json_decref(w->topics);
  sgi_free(w->topic_of);
  *w = (sgi_known_world){0};
}

const char *sgi_known_world_category(const sgi_known_world *w, const char *word) {
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
