/* command.h: the command line, for tests that hold the server's answers against it. */
#ifndef TEST_COMMAND_H
#define TEST_COMMAND_H

#include <jansson.h>

/* Path of the command: build/sgatlin, or what SGATLIN says. */
const char *command_path(void);
/* Runs it quietly with these arguments, through the shell; it has to end with 0. */
void command_run(const char *arguments);
/* The same; the JSON document that it prints. New: json_decref. */
json_t *command(const char *arguments);

#endif
