/* weights.h: the files that hold a model's weights: model.safetensors, or the shards that
 * model.safetensors.index.json names. Weights are float32 here, whatever the files' type: F32 is
 * used where it lies, BF16, F16 and F64 are converted once at opening. The only place that knows of
 * either. */
#ifndef SGI_WEIGHTS_H
#define SGI_WEIGHTS_H

#include "core/safetensors.h"

typedef struct sgi_weights sgi_weights;

/* Whether directory holds weights, in one file or in shards. */
bool sgi_weights_there(const char *directory);

/* Opens and checks the files of directory; with an index: each name it lists is in the shard it
 * names, each tensor of a shard is listed with that shard, and shards are files of the directory
 * itself. Where both are there, model.safetensors counts, as in transformers. */
sg_status sgi_weights_open(const char *directory, sgi_weights **out, sg_error *err);
void sgi_weights_close(sgi_weights *w); /* NULL allowed */

size_t sgi_weights_count(const sgi_weights *w);
/* The i-th tensor, and the path of its file; borrowed. By name: NULL if there is none. */
const sgi_tensor *sgi_weights_at(const sgi_weights *w, size_t i, const char **path);
const sgi_tensor *sgi_weights_find(const sgi_weights *w, const char *name, const char **path);
/* The one file, or the index. */
const char *sgi_weights_path(const sgi_weights *w);
size_t sgi_weights_files(const sgi_weights *w);
/* "F32", or the types of its tensors as "BF16, F32". */
const char *sgi_weights_types(const sgi_weights *w);

/* The numbers of t, a tensor of w, as float32 (t->count): borrowed until close. SG_ERR_UNSUPPORTED
 * where its type is none of F32, BF16, F16, F64; SG_ERR_FORMAT where one of F64 has no float32. */
sg_status sgi_weights_numbers(sgi_weights *w, const sgi_tensor *t, const char *path, const float **out, sg_error *err);

/* What tells the weights' bytes where they all lie in one file as they are used (file.h); else
 * NULL. */
const sgi_file_id *sgi_weights_id(const sgi_weights *w);

#endif
