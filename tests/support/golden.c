#include "support/golden.h"
#include "support/temporary.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

char **golden_list(const char *directory) {
  DIR *d = opendir(directory);
  if (!d) fail_msg("%s: cannot be opened (tests run from the root of the repository)", directory);
  size_t n = 0;
  char **names = calloc(1, sizeof *names);
  for (struct dirent *e; (e = readdir(d));) {
    if (e->d_name[0] == '.') continue;
    names = realloc(names, (n + 2) * sizeof *names);
    names[n++] = strdup(e->d_name);
    names[n] = NULL;
  }
  closedir(d);
  qsort(names, n, sizeof *names, by_name);
  return names;
}

void golden_free(char **names) {
  for (size_t i = 0; names[i]; i++) free(names[i]);
  free(names);
}

char *golden_temporary(void) {
  char *path = malloc(4096);
  if (!test_temporary(path, 4096, "sgatlin-test", false)) fail_msg("%s: cannot be made", path);
  return path;
}

void golden_remove(char *path) {
  sgi_remove_tree(path, NULL);
  free(path);
}

json_t *golden_json(const char *path) {
  json_error_t error;
  json_t *o = json_load_file(path, 0, &error);
  if (!o) fail_msg("%s: %s", path, error.text);
  return o;
}

double golden_tolerance(const char *group, const char *what, const char *measure) {
  json_t *all = golden_json("tests/golden/tolerances.json");
  const json_t *v = json_object_get(json_object_get(all, group), what);
  if (*measure) v = json_object_get(v, measure);
  if (!json_is_number(v)) fail_msg("tolerances.json has no %s / %s / %s", group, what, measure);
  double t = json_number_value(v);
  json_decref(all);
  return t;
}

golden_difference golden_compare(const float *a, const float *expected, size_t count) {
  golden_difference d = {0};
  double largest = 0;
  for (size_t i = 0; i < count; i++) {
    double diff = fabs((double)a[i] - (double)expected[i]), size = fabs((double)expected[i]);
    if (!(diff <= d.abs)) d.abs = diff, d.at = i; /* takes NaN, too */
    if (size > largest) largest = size;
    double rel = size > 0 ? diff / size : (diff > 0 ? INFINITY : 0);
    if (!(rel <= d.rel)) d.rel = rel;
  }
  d.of_max = largest > 0 ? d.abs / largest : (d.abs > 0 ? INFINITY : 0);
  return d;
}
