/* low_rank.h: a matrix as a product of narrow ones. */
#ifndef SGI_LOW_RANK_H
#define SGI_LOW_RANK_H

#include "core/base.h"

/* up (m,q) down (q,n) is what comes nearest to w (m,n): exactly w, to the last bit, where q is at
 * least m (down is w) or n (up is w), else the largest q singular directions, up = U S, down = V^T
 * (LAPACK). Rows and columns that are not needed are 0. SG_ERR_NUMERIC: NaN or infinity, or no
 * convergence. */
sg_status sgi_low_rank(const float *w, size_t m, size_t n, size_t q, float *up, float *down);

#endif
