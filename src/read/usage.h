/* usage.h: how evenly a sparse layer uses its units, streamed one sequence at a time in memory that
 * does not grow with their number. Two definitions side by side: the reference's (golden README no.
 * 26), and the plain one. */
#ifndef SGI_USAGE_H
#define SGI_USAGE_H

#include "core/base.h"

typedef sg_usage_numbers sgi_usage_numbers;
typedef sg_usage sgi_usage_result_t;

typedef struct sgi_usage sgi_usage;

/* For layers of C channels with top_k K choices in pools of F units; own_pools: every channel has
 * its own. New: sgi_usage_free. */
sg_status sgi_usage_create(size_t F, size_t C, size_t K, bool own_pools, sgi_usage **out, sg_error *err);
void sgi_usage_free(sgi_usage *u);

/* Adds one sequence: index (T,C,K), of which those count that active (T,C,K; NULL: all) says. keep
 * (T) or NULL: positions that plain counts (not padding). An index outside 0..F-1 is SG_ERR_ARG and
 * nothing is added. No allocation. */
sg_status sgi_usage_add(sgi_usage *u, const int32_t *index, const int32_t *active, size_t T, const bool *keep,
                        sg_error *err);

/* Numbers of what was added so far; no sequence at all is SG_ERR_ARG. */
sg_status sgi_usage_result(const sgi_usage *u, sgi_usage_result_t *out, sg_error *err);

/* Counts (F) of the last sequence, by the reference's definition, and counts (C*F or F) of plain.
 * Borrowed until the next add. */
const uint64_t *sgi_usage_last_counts(const sgi_usage *u);
const uint64_t *sgi_usage_plain_counts(const sgi_usage *u, size_t *bins);

/* The same four numbers of any counts. */
sgi_usage_numbers sgi_usage_of_counts(const uint32_t *count, size_t n);

/* Usage of one recorded layer, each document a sequence; plain leaves padding out. */
sg_status sgi_recording_usage(const sg_recording *r, size_t slot, sgi_usage_result_t *out, sg_error *err);

#endif
