/* places.h: places of a recording as JSON: what `neighbors --json` prints and the explorer's calls
 * answer. */
#ifndef SGATLIN_CLI_PLACES_H
#define SGATLIN_CLI_PLACES_H

#include "prompt.h"
#include "reading.h"

enum { CLI_EXCERPT_WIDTH = 5 };

/* The nth place (from 1) where text ends; SG_ERR_ARG says how often it was recorded. */
sg_status cli_find_place(const cli_reading *r, const char *text, size_t nth, size_t *position, sg_error *err);

/* New; NULL when memory is out. reference: tokens by their names. */
json_t *cli_place_json(const cli_reading *r, size_t position, bool reference);
/* query: of cli_place_json, or {"tokens", "position"} of a prompt; taken over. */
json_t *cli_neighbors_json(const cli_reading *r, size_t slot, size_t channel, json_t *query, const sgi_neighbor *list,
                           size_t n, double seconds, bool reference);
/* The nearest to a position of the prompt (tokens of p); n may be more than the recording has. list
 * (n). */
sg_status cli_prompt_nearest(const cli_prompt *p, size_t position, const cli_reading *r, size_t slot, sgi_search *s,
                             size_t n, sgi_neighbor *list, size_t *found, sg_error *err);
json_t *cli_together_json(const cli_reading *r, size_t slot, const sgi_neuron *units, size_t n_units,
                          const sgi_together *t, size_t n, bool reference);

#endif
