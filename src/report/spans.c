#include "spans.h"

#include <string.h>

#include "core/file.h"
#include "corpus_place.h"
#include "text/greater_than.h"

static json_t *about(const char *directory, sg_error *err) {
  char *path = sgi_path_join(directory, "corpus.json");
  json_t *o = NULL;
  if (!path)
    sgi_fail_memory(err, strlen(directory), "a path");
  else if (sgi_json_load(path, &o, err))
    o = NULL;
  sgi_free(path);
  return o;
}

sg_status sgi_spans_check_directory(const char *directory, sg_error *err) {
  bool empty;
  json_t *old = NULL;
  sg_status st = sgi_place_empty(directory, &empty, err);
  if (st || empty) return st;
  st = sgi_place_corpus(directory, "corpus.json", "greater-than", &old, err);
  if (!st && !old)
    st = sgi_fail(err, SG_ERR_IO, "%s holds other files and no corpus greater-than; --force writes into it", directory);
  json_decref(old);
  return st;
}

sg_status sgi_spans_write_json(const char *directory, size_t sentences, uint64_t seed, bool (*go_on)(void *user),
                               void *user, json_t **out, sg_error *err) {
  sg_status st = sgi_span_write(directory, sentences, seed, go_on, user, err);
  if (!st && !(*out = about(directory, err))) st = err->code ? err->code : SG_ERR_MEMORY;
  return st;
}
