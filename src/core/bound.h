/* bound.h: whether a file that was made from a model was made from this one. */
#ifndef SGI_BOUND_H
#define SGI_BOUND_H

/* SGI_SAME_WEIGHTS: of the configuration the file says nothing; SGI_UNKNOWN: it says nothing at
 * all. */
typedef enum sgi_bound { SGI_BOUND, SGI_SAME_WEIGHTS, SGI_UNKNOWN, SGI_OF_ANOTHER } sgi_bound;

#endif
