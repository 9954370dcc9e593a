#include "label.h"

#include <pwd.h>
#include <string.h>
#include <unistd.h>

#include "core/file.h"

char *cli_names_path(const cli_call *c) {
  const char *given = cli_string(c, "names");
  return given ? sgi_strdup(given) : sgi_path_join(c->args[0], SG_NAMES_FILE);
}

sg_status cli_names_open(const cli_call *c, const sg_model *model, bool write, sg_names **out, sg_error *err) {
  char *path = cli_names_path(c);
  *out = NULL;
  sg_status st = path ? sg_names_open(path, model, write, out, err) : sgi_fail_memory(err, 1, "a path");
  sgi_free(path);
  return st;
}

sg_status cli_names_open_if_there(const cli_call *c, const sg_model *model, sg_names **out, sg_error *err) {
  char *path = cli_names_path(c);
  *out = NULL;
  sg_status st = path ? SG_OK : sgi_fail_memory(err, 1, "a path");
  if (!st && (cli_is_set(c, "names") || sgi_is_file(path))) st = cli_names_open(c, model, false, out, err);
  sgi_free(path);
  return st;
}

const char *cli_login(void) {
  static char name[SG_AUTHOR_BYTES];
  const struct passwd *p = getpwuid(geteuid());
  if (p && p->pw_name && strlen(p->pw_name) < sizeof name) snprintf(name, sizeof name, "%s", p->pw_name);
  return name;
}
