/* environment.c: variables that begin with SGATLIN_ and mean nothing are refused: who misspells one
 * would else get something other than asked for, without a word. */
#include <string.h>

#include "cli.h"
#include "report/machine.h"

static const char prefix[] = "SGATLIN_";

enum { MAX_NAMES = 512, NAME_BYTES = 96 };

typedef struct known_names {
  char text[MAX_NAMES][NAME_BYTES];
  const char *list[MAX_NAMES];
  size_t count;
} known_names;

static void add_name(known_names *k, const char *name) {
  for (size_t i = 0; i < k->count; i++)
    if (!strcmp(k->list[i], name)) return;
  if (k->count == MAX_NAMES) return;
  snprintf(k->text[k->count], NAME_BYTES, "%s", name);
  k->list[k->count] = k->text[k->count];
  k->count++;
}

static void add_options(known_names *k, const cli_option *o) {
  for (char name[NAME_BYTES]; o && o->name; o++) {
    cli_variable_name(o, name, sizeof name);
    add_name(k, name);
    if (!o->old) continue;
    cli_variable_name(&(cli_option){.name = o->old}, name, sizeof name);
    add_name(k, name);
  }
}

/* Those of every command: a variable may be set for another one. */
static void know_all(known_names *k) {
  add_name(k, "SGATLIN_ISA");
  add_name(k, "SGATLIN_BF16");
  add_options(k, cli_global_options);
  for (size_t i = 0; cli_command_at(i); i++) add_options(k, cli_command_at(i)->options);
}

int cli_check_variables(void) {
  static known_names known; /* larger than a stack frame should be; written by the main thread, once */
  sg_error err = {0};
  if (sgi_machine_check(&err)) return cli_fail(&err);
  for (char **e = environ; e && *e; e++) {
    if (strncmp(*e, prefix, sizeof prefix - 1) || !strncmp(*e, "SGATLIN_TEST_", 13)) continue;
    char name[NAME_BYTES];
    size_t n = strcspn(*e, "=");
    if (!known.count) know_all(&known);
    snprintf(name, sizeof name, "%.*s", (int)(n < sizeof name ? n : sizeof name - 1), *e);
    bool found = false;
    for (size_t i = 0; i < known.count && !found; i++) found = n < sizeof name && !strcmp(known.list[i], name);
    if (found) continue;
    const char *near = sgi_nearest(name, known.list, known.count);
    cli_failed(SG_ERR_ARG, "%s is set, but there is no such option%s%s%s", name, near ? "; did you mean " : "",
               near ? near : "", near ? "?" : "");
    cli_hint("a variable SGATLIN_NAME is the option --name; unset what is not meant for sgatlin");
    return 2;
  }
  return 0;
}
