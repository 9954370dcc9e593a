/* open.h: what a path of a model means, without opening it, and what goes along with a copy. */
#ifndef SGI_REPORT_OPEN_H
#define SGI_REPORT_OPEN_H

#include "core/base.h"

/* The model directory that request->path means: itself, or a checkpoint of the run there
 * (sg_model_open). New: sgi_free. */
sg_status sgi_open_directory(const sg_open_request *request, char **directory, sg_error *err);

/* tokenizer.json of one directory into another, where there is one. */
sg_status sgi_copy_tokenizer(const char *from_directory, const char *to_directory, sg_error *err);
/* st, after a directory that was not there before could not be finished: nothing of it stays. */
sg_status sgi_whole_directory(const char *directory, bool was_there, sg_status st);

#endif
