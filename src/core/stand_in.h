/* stand_in.h: what often lies where a file was meant: a pointer that a clone without large files
 * left, a web page that was downloaded in its place, weights of another format. Recognised from the
 * first bytes, once the file was found not to be what it should. */
#ifndef SGI_STAND_IN_H
#define SGI_STAND_IN_H

#include "core/base.h"

/* Whether [data, data + n), a file's beginning, is such a thing: then err says what lies at path
 * and how to get the file (SG_ERR_FORMAT); otherwise SG_OK. */
sg_status sgi_stand_in(const char *path, const void *data, size_t n, sg_error *err);

/* Only the pointers of Git LFS and git-annex, which no text of anybody begins with: for files that
 * may hold any text. */
sg_status sgi_stand_in_pointer(const char *path, const void *data, size_t n, sg_error *err);

#endif
