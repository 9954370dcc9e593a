/* neighbors.h: exact nearest circuits of a recording by cosine distance of their sparse gates, and
 * the places where given neurons fire together. Both read the inverted index alone.
 *
 * A circuit's vector has one coordinate per (channel, neuron), the raw score where the neuron was
 * chosen and 0 elsewhere. Two circuits that share no neuron have a distance of exactly 1; a shared
 * neuron whose scores differ in sign can make it larger. Sums are in double in the order of the
 * query's entries: equal circuits have a distance of exactly 0. */
#ifndef SGI_NEIGHBORS_H
#define SGI_NEIGHBORS_H

#include "read/recording.h"

#define SGI_ALL_CHANNELS SG_ALL_CHANNELS

typedef sg_neighbor sgi_neighbor;

/* A search holds what a query needs for one slot and channel (or all): 8 bytes a position. One
 * thread at a time calls it. */
typedef sg_search sgi_search;
/* skip_input: positions that read this token are no neighbours (-1: none; golden README no. 28 asks
 * for 0). rec is borrowed. A recording without index is SG_ERR_ARG. New: sgi_search_free. */
sg_status sgi_search_create(const sgi_recording *rec, size_t slot, size_t channel, int32_t skip_input, sgi_search **out,
                            sg_error *err);
void sgi_search_free(sgi_search *s);

/* The n nearest to the circuit at position, itself left out, nearest first, of equal distances the
 * lower position first. out (n); *found may be less than n in a small recording. */
sg_status sgi_search_nearest(sgi_search *s, size_t position, size_t n, sgi_neighbor *out, size_t *found, sg_error *err);
/* The same for a circuit (C,K) from elsewhere, such as a prompt's: no position is left out.
 * SG_ERR_ARG where an index is no unit of the pool. */
sg_status sgi_search_nearest_to(sgi_search *s, const int32_t *index, const float *score, size_t n, sgi_neighbor *out,
                                size_t *found, sg_error *err);
/* From now on only these positions (n) are neighbours. */
sg_status sgi_search_among(sgi_search *s, const uint32_t *positions, size_t n, sg_error *err);
/* Distances to all positions (n_positions), the position itself too. */
void sgi_search_distances(sgi_search *s, size_t position, double *distance);

/* ---- neurons that fire together -------------------------------------------------------------- */

typedef sg_neuron_id sgi_neuron;
typedef sg_together sgi_together;

sg_status sgi_fire_together(const sgi_recording *rec, size_t slot, const sgi_neuron *units, size_t n_units,
                            sgi_together *out, sg_error *err);

#endif
