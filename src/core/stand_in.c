#include "core/stand_in.h"

#include <string.h>
#include <strings.h>

static bool begins(const char *data, size_t n, const char *with) {
  size_t m = strlen(with);
  return n >= m && !memcmp(data, with, m);
}

static bool begins_any_case(const char *data, size_t n, const char *with) {
  size_t m = strlen(with);
  return n >= m && !strncasecmp(data, with, m);
}

static sg_status say(const char *path, const char *what, const char *remedy, sg_error *err) {
  return sgi_fail(err, SG_ERR_FORMAT, "%s: is %s: %s", path, what, remedy);
}

sg_status sgi_stand_in_pointer(const char *path, const void *data, size_t n, sg_error *err) {
  static const char *const lfs[] = {"version https://git-lfs.github.com/spec/",
                                    "version https://hawser.github.com/spec/"};
  for (size_t i = 0; i < SGI_COUNT(lfs); i++)
    if (begins(data, n, lfs[i]))
      return say(path, "a pointer of Git LFS, not the file itself",
                 "fetch the file with 'git lfs pull', or download it", err);
  if (begins(data, n, "/annex/objects/"))
    return say(path, "a pointer of git-annex, not the file itself", "fetch the file with 'git annex get'", err);
  return SG_OK;
}

/* Past a byte order mark and white space. */
static void skip_blank(const char **at, size_t *n) {
  if (begins(*at, *n, "\xEF\xBB\xBF")) *at += 3, *n -= 3;
  while (*n && strchr(" \t\r\n", **at)) ++*at, --*n;
}

sg_status sgi_stand_in(const char *path, const void *data, size_t n, sg_error *err) {
  static const struct {
    const char *magic, *what;
  } formats[] = {{"PK\3\4", "a zip archive (such as a PyTorch checkpoint)"},
                 {"\x80\x02", "a Python pickle (such as a PyTorch checkpoint)"},
                 {"\x80\x04", "a Python pickle"},
                 {"GGUF", "a GGUF file"},
                 {"\x89HDF", "an HDF5 file"},
                 {"\x93NUMPY", "a NumPy array"},
                 {"\x1f\x8b", "compressed with gzip"},
                 {"\x28\xb5\x2f\xfd", "compressed with zstd"}};
  static const char *const answers[] = {"Entry not found", "Invalid username or password", "Access to model",
                                        "404: Not Found",  "Repository not found",         "{\"error\":"};
  sg_status st = sgi_stand_in_pointer(path, data, n, err);
  if (st) return st;
  for (size_t i = 0; i < SGI_COUNT(formats); i++)
    if (begins(data, n, formats[i].magic)) return say(path, formats[i].what, "another format is expected here", err);
  const char *at = data;
  skip_blank(&at, &n);
  if (begins_any_case(at, n, "<!doctype") || begins_any_case(at, n, "<html") || begins_any_case(at, n, "<?xml") ||
      begins_any_case(at, n, "<head") || begins_any_case(at, n, "<error"))
    return say(path, "a web page, not the file itself", "download the file, not the page that shows it", err);
  for (size_t i = 0; i < SGI_COUNT(answers); i++)
    if (begins_any_case(at, n, answers[i]))
      return say(path, "a server's answer of an error, not the file itself", "download the file again", err);
  return SG_OK;
}
