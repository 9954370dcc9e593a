/* explored.h: an explorer with all that it can show: a model, a recording, transcoders, functions
 * of neurons, what is known of the text, names, a run's metrics; beside it the same model again. */
#ifndef TEST_EXPLORED_H
#define TEST_EXPLORED_H

#include "../server/api.h"
#include "http/client.h"

#define MODEL "tests/golden/eval/model"
#define TEXT "The old dog sat"

extern http_server *server;
extern explorer shown;
extern sgi_record_reader reading; /* of shown */
extern char *scratch;             /* the folder of rec, tc, F, facts.json and the rest */
extern json_t *document;          /* server/openapi.json */

/* Set-up and end of a group of tests. */
int explored_start(void **state);
int explored_stop(void **state);

/* The call's answer, of this status; body NULL: GET. New: json_decref. */
json_t *ask(const char *path, const char *body, int status);
/* The answer fits the schema that the document names for path and status. */
void assert_fits(const char *path, const char *method, const char *status, const json_t *answer);
void assert_same(const char *what, const json_t *a, const json_t *b);

#endif
