/* file_target.h: what writing to a path means. Only a regular file or a new name is ever renamed
 * over; what else a path may lead to is written through or refused:
 *
 *   a new name, a regular file      a new file beside it, renamed over it
 *   a symbolic link to one          the same at the link's end: the link stays. A link to nothing
 *                                   is refused
 *   a FIFO, a character device      a stream: the whole content is collected in a file without a
 *   (a terminal, /dev/null), the    name and then copied into it, so that nothing comes of a
 *   command's own /dev/stdout       command that fails
 *   a directory, block device       refused by name
 */
#ifndef SGI_FILE_TARGET_H
#define SGI_FILE_TARGET_H

#include "core/base.h"

/* *real: the name to rename over (new: sgi_free), or NULL for a stream. */
sg_status sgi_target_of(const char *path, char **real, sg_error *err);

/* SG_OK while real is a regular file or not there; looked at once more just before the renaming. */
sg_status sgi_target_still(const char *real, sg_error *err);

/* A descriptor of a file without a name, for a stream's content; < 0 with errno. */
int sgi_target_collect(void);

/* A descriptor to write the stream to. A FIFO that nobody reads is waited for a second. */
sg_status sgi_target_stream(const char *path, int *fd, sg_error *err);

#endif
