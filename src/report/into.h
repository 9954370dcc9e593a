/* into.h: true direct effects on one neuron of a prompt, as a document. */
#ifndef SGI_REPORT_INTO_H
#define SGI_REPORT_INTO_H

#include "prompt.h"

/* {layer, channel, index, position, token, value, count, edges: [{kind, position, linear, value,
 * effect, layer, head, channel, index}]}, the top edges of all count, for the neuron that neuron
 * names by layer, channel, index and position. linear is the edge's share of the neuron's value,
 * value what it loses of it in truth, effect what the logit loses. New reference. */
sg_status sgi_into_report(const sgi_prompt *p, const sg_attribute_request *request, const sg_attribution *a,
                          const sg_term *neuron, size_t top, json_t **out, sg_error *err);

#endif
