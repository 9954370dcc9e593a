/* places.h: places of a recording as JSON: what `neighbors --json` prints and the explorer's calls
 * answer. */
#ifndef SGI_REPORT_PLACES_H
#define SGI_REPORT_PLACES_H

#include "prompt.h"
#include "recorded.h"

enum { SGI_EXCERPT_WIDTH = 5 };

/* The nth place (from 1) where text ends; SG_ERR_ARG says how often it was recorded. */
sg_status sgi_find_place(const sgi_record_reader *r, const char *text, size_t nth, size_t *position, sg_error *err);

/* New; NULL when memory is out. reference: tokens by their names. */
json_t *sgi_place_json(const sgi_record_reader *r, size_t position, bool reference);
/* query: of sgi_place_json, or {"tokens", "position"} of a prompt; taken over. */
json_t *sgi_neighbors_json(const sgi_record_reader *r, size_t slot, size_t channel, json_t *query,
                           const sg_neighbor *list, size_t n, double seconds, bool reference);
/* The nearest to a position of the prompt (tokens of p); n may be more than the recording has. list
 * (n). */
sg_status sgi_prompt_nearest(const sgi_prompt *p, size_t position, const sgi_record_reader *r, size_t slot,
                             sg_search *s, size_t n, sg_neighbor *list, size_t *found, sg_error *err);
json_t *sgi_together_json(const sgi_record_reader *r, size_t slot, const sg_neuron_id *units, size_t n_units,
                          const sg_together *t, size_t n, bool reference);

#endif
