#include "corpus_place.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>

#include "core/file.h"

sg_status sgi_place_empty(const char *directory, bool *is, sg_error *err) {
  DIR *d = opendir(directory);
  *is = true;
  if (!d) return errno == ENOMEM ? sgi_fail_memory(err, strlen(directory), "a look into a directory") : SG_OK;
  for (const struct dirent *e; *is && (e = readdir(d));)
    *is = !strcmp(e->d_name, ".") || !strcmp(e->d_name, "..") || strstr(e->d_name, ".json.tmp-");
  closedir(d);
  return SG_OK;
}

sg_status sgi_place_corpus(const char *directory, const char *file, const char *corpus, json_t **out, sg_error *err) {
  char *path = sgi_path_join(directory, file);
  json_t *o = NULL;
  sg_error why = {0};
  *out = NULL;
  if (!path) return sgi_fail_memory(err, strlen(directory), "a path");
  if (sgi_is_file(path) && sgi_json_load(path, &o, &why)) o = NULL;
  sgi_free(path);
  if (why.code == SG_ERR_MEMORY) return *err = why, SG_ERR_MEMORY;
  const char *name = json_string_value(json_object_get(o, "corpus"));
  if (name && !strcmp(name, corpus))
    *out = o;
  else
    json_decref(o);
  return SG_OK;
}
