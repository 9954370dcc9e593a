#include "core/manifest.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/arena.h"
#include "core/known_hash.h"
#include "core/stand_in.h"

enum { FORMAT = 1 };

static sg_status hash_file(const char *path, bool known, uint64_t *bytes, char hex[17], sg_error *err) {
  uint64_t hash = 0;
  sg_status st = (known ? sgi_hash_file_known : sgi_hash_file)(path, bytes, &hash, err);
  snprintf(hex, 17, "%016" PRIx64, hash);
  return st;
}

sg_status sgi_manifest_make(const char *directory, char *const *names, size_t n,
                            bool (*progress)(void *user, size_t done), void *user, json_t **out, sg_error *err) {
  json_t *files = json_array();
  sg_status st = SG_OK;
  for (size_t i = 0; i < n && !st; i++) {
    char *path = sgi_path_join(directory, names[i]), hex[17];
    uint64_t bytes = 0;
    st = path ? hash_file(path, false, &bytes, hex, err) : sgi_fail_memory(err, SGI_MANIFEST_NAME, "a path");
    if (!st && json_array_append_new(
                   files, json_pack("{s:s, s:I, s:s}", "name", names[i], "bytes", (json_int_t)bytes, "xxh3", hex)))
      st = sgi_fail_memory(err, 256, "a manifest");
    sgi_free(path);
    if (!st && progress && !progress(user, i + 1)) st = sgi_fail(err, SG_ERR_CANCELLED, "stopped");
  }
  *out = json_pack("{s:i, s:o}", "format", FORMAT, "files", files);
  return !st && !*out ? sgi_fail_memory(err, 256, "a manifest") : st;
}

/* A small file may be what stands in for the right one. */
static sg_status other_size(const char *path, uint64_t have, uint64_t bytes, sg_error *err) {
  enum { SMALL = 64 << 10 };
  char *text = NULL;
  size_t n = 0;
  sg_status st =
      have <= SMALL && !sgi_read_file(path, SMALL, &text, &n, NULL) ? sgi_stand_in(path, text, n, err) : SG_OK;
  sgi_free(text);
  return st ? st
            : sgi_fail(err, SG_ERR_FORMAT, "%s: has %" PRIu64 " bytes, MANIFEST.json says %" PRIu64, path, have, bytes);
}

static sg_status verify_entry(const char *directory, const json_t *o, const char *where, bool known, sg_error *err) {
  char name[SGI_MANIFEST_NAME], want[32], hex[17];
  uint64_t bytes, have = 0;
  sg_status st = sgi_json_string(o, where, "name", name, sizeof name, err);
  if (!st) st = sgi_json_u64(o, where, "bytes", &bytes, err);
  if (!st) st = sgi_json_string(o, where, "xxh3", want, sizeof want, err);
  if (!st && (!*name || strchr(name, '/') || !strcmp(name, "..") || !strcmp(name, ".")))
    st = sgi_fail(err, SG_ERR_FORMAT, "%s: \"%s\" is no plain file name", where, name);
  if (st) return st;
  char *path = sgi_path_join(directory, name);
  st = path ? SG_OK : sgi_fail_memory(err, SGI_MANIFEST_NAME, "a path");
  if (!st && !sgi_is_file(path)) st = sgi_fail(err, SG_ERR_FORMAT, "%s: is missing, MANIFEST.json lists it", path);
  if (!st) st = hash_file(path, known, &have, hex, err);
  if (!st && have != bytes) st = other_size(path, have, bytes, err);
  if (!st && strcmp(hex, want))
    st = sgi_fail(err, SG_ERR_FORMAT, "%s: its content is not what MANIFEST.json says (damaged)", path);
  sgi_free(path);
  return st;
}

static bool lists(const json_t *files, const char *name) {
  for (size_t i = 0; i < json_array_size(files); i++) {
    const char *have = json_string_value(json_object_get(json_array_get(files, i), "name"));
    if (have && !strcmp(have, name)) return true;
  }
  return false;
}

static sg_status verify_all(const char *directory, const char *path, const json_t *o, const char *const *required,
                            bool known, sg_error *err) {
  const json_t *files = json_object_get(o, "files");
  size_t format;
  sg_status st = sgi_json_size(o, path, "format", FORMAT, FORMAT, &format, err);
  if (!st && (!json_is_array(files) || !json_array_size(files)))
    st = sgi_fail(err, SG_ERR_FORMAT, "%s: files must be a list with an entry for each file", path);
  for (; !st && required && *required; required++)
    if (!lists(files, *required))
      st = sgi_fail(err, SG_ERR_FORMAT, "%s: does not list %s: the directory is not complete", path, *required);
  for (size_t i = 0; !st && i < json_array_size(files); i++)
    st = verify_entry(directory, json_array_get(files, i), path, known, err);
  return st;
}

sg_status sgi_manifest_verify(const char *directory, const char *const *required, bool known, sg_error *err) {
  char *path = sgi_path_join(directory, SGI_MANIFEST);
  json_t *o = NULL;
  if (!path) return sgi_fail_memory(err, strlen(directory), "a path");
  sg_status st = sgi_is_file(path)
                     ? sgi_json_load(path, &o, err)
                     : sgi_fail(err, SG_ERR_FORMAT, "%s: is missing: the directory was never finished", path);
  if (!st) st = verify_all(directory, path, o, required, known, err);
  json_decref(o);
  sgi_free(path);
  return st;
}

static sg_status glance(const char *directory, const char *where, const json_t *o, const char *except, uint64_t *left,
                        sg_error *err) {
  char name[SGI_MANIFEST_NAME];
  uint64_t bytes;
  sgi_file_id id;
  sg_status st = sgi_json_string(o, where, "name", name, sizeof name, err);
  if (!st) st = sgi_json_u64(o, where, "bytes", &bytes, err);
  if (st || !strcmp(name, except)) return st;
  if (bytes <= *left) {
    *left -= bytes;
    return verify_entry(directory, o, where, false, err);
  }
  char *path = strchr(name, '/') ? NULL : sgi_path_join(directory, name);
  if (!path) return sgi_fail_memory(err, sizeof name, "a path");
  st = sgi_identify_file(path, &id, err);
  if (!st && id.size != bytes)
    st = sgi_fail(err, SG_ERR_FORMAT, "%s: has %" PRIu64 " bytes, MANIFEST.json says %" PRIu64, path, id.size, bytes);
  sgi_free(path);
  return st;
}

sg_status sgi_manifest_glance(const char *directory, const char *except, uint64_t most, sg_error *err) {
  char *path = sgi_path_join(directory, SGI_MANIFEST);
  json_t *o = NULL;
  if (!path) return sgi_fail_memory(err, strlen(directory), "a path");
  sg_status st = sgi_is_file(path) ? sgi_json_load(path, &o, err) : SG_OK;
  const json_t *files = json_object_get(o, "files");
  for (size_t i = 0; !st && i < json_array_size(files); i++)
    st = glance(directory, path, json_array_get(files, i), except, &most, err);
  json_decref(o);
  sgi_free(path);
  return st;
}
