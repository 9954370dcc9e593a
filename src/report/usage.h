/* usage.h: how many neurons of layers with gates act at a token. */
#ifndef SGI_REPORT_USAGE_H
#define SGI_REPORT_USAGE_H

#include "recorded.h"

/* [{layer, candidates, tokens, mean_active, sd, least, most, flops, flops_of_all, histogram,
 * correlation_with_loss}] of the recorded layers that have gates, losses by model (the one that was
 * recorded); none is SG_ERR_ARG. progress: documents; false stops; NULL allowed. New reference. */
sg_status sgi_active_report(const sgi_record_reader *r, const sg_model *model,
                            bool (*progress)(void *user, size_t done, size_t total), void *user, json_t **out,
                            sg_error *err);

#endif
