/* weights.h: the files that hold a model's weights: model.safetensors, or the shards that
 * model.safetensors.index.json names. Maps and pools of F32, BF16, F16, int8 and int4 are used
 * where they lie; F64, and gains and biases of any type, become float32 once at opening. The only
 * place that knows how a file names what it stores (docs/formats.md, weights in fewer bytes). */
#ifndef SGI_WEIGHTS_H
#define SGI_WEIGHTS_H

#include "core/table.h"
#include "math/weight.h"

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
/* "F32", or the types of its tensors in the file as "BF16, F32". */
const char *sgi_weights_types(const sgi_weights *w);

/* The tensor of a row of the table: NAME, or NAME.q8 or NAME.q4 with NAME.scale; borrowed until
 * close. *parts: of how many tensors of the files it is made. */
sg_status sgi_weights_get(sgi_weights *w, const sgi_row *row, sgi_weight *out, size_t *parts, sg_error *err);
/* Whether that is the name of a tensor of the table, or of a part of one. */
bool sgi_weights_belongs(const sgi_table *table, const char *name);

/* The tensors that a file has for rows of a table stored as weights (count) say: what writers of
 * safetensors need; the data are borrowed. New: sgi_free(*out), which holds the names, too. */
sg_status sgi_weights_describe(const sgi_table *table, const sgi_weight *weights, sgi_tensor **out, size_t *count,
                               sg_error *err);
/* Writes them to path. */
sg_status sgi_weights_save(const sgi_table *table, const sgi_weight *weights, const char *path, sg_error *err);
/* The key of a file's metadata that says how many columns share a scale. */
#define SGI_GROUP_SIZE "group_size"

/* What tells the weights' bytes where they all lie in one file as they are used (file.h); else
 * NULL. */
const sgi_file_id *sgi_weights_id(const sgi_weights *w);

#endif
