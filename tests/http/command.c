#include "http/command.h"

#include <stdio.h>
#include <stdlib.h>

#include "support/golden.h"

const char *command_path(void) {
  const char *given = getenv("SGATLIN");
  return given ? given : "build/sgatlin";
}

static char *line_of(const char *arguments) {
  char *line;
  assert_true(asprintf(&line, "%s -q %s", command_path(), arguments) > 0);
  return line;
}

void command_run(const char *arguments) {
  char *line = line_of(arguments);
  if (system(line)) fail_msg("%s failed", line);
  free(line);
}

json_t *command(const char *arguments) {
  char *line = line_of(arguments);
  FILE *f = popen(line, "r");
  assert_non_null(f);
  json_t *o = json_loadf(f, JSON_DISABLE_EOF_CHECK, NULL);
  if (pclose(f) || !o) fail_msg("%s failed", line);
  free(line);
  return o;
}
