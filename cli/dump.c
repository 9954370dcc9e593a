/* dump.c: man pages and completions from the table of commands. */
#include "cli.h"

#include <string.h>

int cli_dump(int n, char **argv) {
  (void)argv;
  if (n != 1) return cli_failed(SG_ERR_ARG, "--dump needs: man DIR, completion SHELL, or commands");
  for (size_t i = 0; i < cli_command_count(); i++) puts(cli_command_at(i)->name);
  return 0;
}
