#include "worlds.h"

#include <stdio.h>
#include <string.h>

#include "core/file.h"
#include "corpus_place.h"
#include "report.h"
#include "text/worlds.h"

_Static_assert((int)SGI_STORIES_MIN == (int)SGI_WORLDS_MIN && (int)SGI_STORIES_MAX == (int)SGI_WORLDS_MAX, "limits");

/* What this command wrote about a corpus, or about one that it was killed in; *out is NULL where
 * there is none. */
static sg_status old_corpus(const char *directory, json_t **out, sg_error *err) {
  const char *const files[] = {"corpus.json", sgi_worlds_part};
  sg_status st = SG_OK;
  *out = NULL;
  for (size_t i = 0; i < SGI_COUNT(files) && !st && !*out; i++) {
    st = sgi_place_corpus(directory, files[i], "worlds", out, err);
    if (st || json_is_string(json_object_get(*out, "seed"))) continue;
    json_decref(*out);
    *out = NULL;
  }
  return st;
}

static void seed_text(uint64_t seed, char out[24]) { snprintf(out, 24, "%llu", (unsigned long long)seed); }

sg_status sgi_worlds_check_directory(const sgi_worlds_request *q, sg_error *err) {
  bool empty;
  json_t *old = NULL;
  if (q->force) return SG_OK;
  sg_status st = sgi_place_empty(q->directory, &empty, err);
  if (st || empty) return st;
  st = old_corpus(q->directory, &old, err);
  if (st) return st;
  if (!old)
    return sgi_fail(err, SG_ERR_IO, "%s holds other files and no corpus worlds; --force writes into it", q->directory);
  char seed[24];
  seed_text(q->seed, seed);
  const char *was = json_string_value(json_object_get(old, "seed"));
  json_int_t stories = json_integer_value(json_object_get(old, "stories"));
  if ((uint64_t)stories != q->stories || strcmp(was, seed))
    st = sgi_fail(err, SG_ERR_IO, "%s holds worlds of %lld stories with seed %s; --force replaces it", q->directory,
                  (long long)stories, was);
  json_decref(old);
  return st;
}

static json_t *files_json(const char *directory) {
  json_t *files = json_object();
  for (size_t i = 0; sgi_worlds_files[i]; i++) {
    char *path = sgi_path_join(directory, sgi_worlds_files[i]);
    if (path) json_object_set_new(files, sgi_worlds_files[i], sgi_report_text(path, strlen(path)));
    sgi_free(path);
  }
  return files;
}

sg_status sgi_worlds_run(const sgi_worlds_request *q, json_t **out, sg_error *err) {
  sgi_worlds_summary s;
  const sgi_worlds_watch watch = {q->progress, q->stop, q->user};
  char seed[24];
  seed_text(q->seed, seed);
  sg_status st = sgi_worlds_write(q->directory, q->stories, q->seed, &watch, &s, err);
  if (st) return st;
  *out = json_pack("{sI ss sI sI sI sI so}", "stories", (json_int_t)s.stories, "seed", seed, "words",
                   (json_int_t)s.words, "distinct_words", (json_int_t)s.distinct_words, "topics", (json_int_t)s.topics,
                   "facts", (json_int_t)s.facts, "files", files_json(q->directory));
  return sgi_report_whole(out, "what was written", err);
}
