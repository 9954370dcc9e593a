/* joint.h: neurons changed together in a network that something else holds. */
#ifndef SGI_JOINT_H
#define SGI_JOINT_H

#include "read/frozen.h"

/* sg_joint_create of a network that hold (NULL: nothing) holds in another way: edits then scale
 * what stands there, channel 0. */
sg_status sgi_joint_create(const sg_model *m, const sg_attribute_request *r, const sg_edit *edits, size_t n_edits,
                           const sgi_hold *hold, sg_joint **out, sg_error *err);

#endif
