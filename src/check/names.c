/* names.c: a file of names: SQLite's pages, the tables, every row. */
#include "check/inside.h"
#include "core/arena.h"
#include "core/file.h"
#include "names/names.h"

static sg_status count(void *user, const sgi_named *row, sg_error *err) {
  (void)row;
  (void)err;
  ++*(size_t *)user;
  return SG_OK;
}

sg_status sgi_check_names(sgi_checks *c, const char *path, const sg_model *m, sg_error *err) {
  sg_names *n = NULL;
  sgi_names_model of = {{0}};
  sg_error why = {0};
  size_t all = 0, labels = 0, names = 0;
  if (m) of = sgi_names_model_of(m);
  sg_status st = sgi_names_open(path, m ? &of : NULL, false, &n, &why);
  if (!st) st = sgi_names_each(n, count, &all, &why);
  if (!st) st = sgi_names_count(n, &labels, &names, &why);
  if (!st)
    sgi_checks_say(c, path, "names", SG_OK, "%zu neurons, %zu labels, %zu names; of the model with the hash %s", all,
                   labels, names, sgi_names_of(n)->hash);
  sg_names_close(n);
  return sgi_check_took(c, path, "names", st, &why, err);
}

sg_status sgi_check_names_beside(sgi_checks *c, const char *directory, const sg_model *m, sg_error *err) {
  char *path = sgi_path_join(directory, SG_NAMES_FILE);
  if (!path) return sgi_fail_memory(err, 1, "a path");
  sg_status st = sgi_is_file(path) ? sgi_check_names(c, path, m, err) : SG_OK;
  sgi_free(path);
  return st;
}
