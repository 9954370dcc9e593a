#include "open.h"

#include <string.h>

#include "core/arena.h"
#include "core/file.h"
#include "train/checkpoint.h"

sg_status sgi_open_directory(const sg_open_request *q, char **directory, sg_error *err) {
  const sgi_skipped tell = {q->skipped, q->user};
  return sgi_model_locate(q->path, q->checkpoint, q->skipped ? &tell : NULL, directory, err);
}

sg_status sgi_whole_directory(const char *directory, bool was_there, sg_status st) {
  if (st && !was_there) sgi_remove_tree(directory, NULL);
  return st;
}

sg_status sgi_copy_tokenizer(const char *from_directory, const char *to_directory, sg_error *err) {
  char *from = sgi_path_join(from_directory, "tokenizer.json"), *to = sgi_path_join(to_directory, "tokenizer.json");
  sg_status st = from && to ? SG_OK : sgi_fail_memory(err, strlen(to_directory) + 20, "a path");
  if (!st && sgi_is_file(from)) st = sgi_copy_file(from, to, SGI_TOKENIZER_BYTES, err);
  sgi_free(from);
  sgi_free(to);
  return st;
}
