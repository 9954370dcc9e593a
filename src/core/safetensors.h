/* safetensors.h: reading by mapping and writing whole, with every length checked before use
 * (docs/formats.md). */
#ifndef SGI_SAFETENSORS_H
#define SGI_SAFETENSORS_H

#include "core/file.h"

enum { SGI_ST_MAX_DIMS = 8 };

typedef enum sgi_dtype {
  SGI_F32,
  SGI_F64,
  SGI_F16,
  SGI_BF16,
  SGI_I64,
  SGI_I32,
  SGI_I16,
  SGI_I8,
  SGI_U8,
  SGI_U16,
  SGI_U32,
  SGI_U64,
  SGI_BOOL
} sgi_dtype;
const char *sgi_dtype_name(sgi_dtype t); /* "F32" */
size_t sgi_dtype_size(sgi_dtype t);

typedef struct sgi_tensor {
  const char *name;
  sgi_dtype dtype;
  int n_dims;
  size_t dims[SGI_ST_MAX_DIMS];
  size_t count; /* product of dims, 1 for a scalar */
  size_t bytes;
  const void *data; /* aligned to the element (copied at open where the file is not), NULL when count is 0 */
} sgi_tensor;

typedef struct sgi_safetensors sgi_safetensors;

/* Maps path and checks it whole: header <= 100 MB, JSON, known dtypes, offsets sorted without holes
 * or overlap and equal to the file's size, no duplicate names. SG_ERR_FORMAT names the tensor and
 * the byte. */
sg_status sgi_safetensors_open(const char *path, sgi_safetensors **out, sg_error *err);
void sgi_safetensors_close(sgi_safetensors *f); /* NULL allowed */
size_t sgi_safetensors_count(const sgi_safetensors *f);
const sgi_tensor *sgi_safetensors_at(const sgi_safetensors *f, size_t i); /* in order of offset; borrowed until close */
const sgi_tensor *sgi_safetensors_find(const sgi_safetensors *f,
                                       const char *name); /* NULL if there is none; O(1) or log n */
const char *sgi_safetensors_path(const sgi_safetensors *f);
const sgi_file_id *sgi_safetensors_id(const sgi_safetensors *f);                 /* when it was opened; borrowed */
const char *sgi_safetensors_metadata(const sgi_safetensors *f, const char *key); /* NULL if there is none */

/* Writes all tensors with their data. metadata: 2 * n_metadata strings, key and value in turn.
 * Name, dtype, n_dims, dims and data are read; count and bytes need not be set. */
sg_status sgi_safetensors_save(const char *path, const sgi_tensor *tensors, size_t count, const char *const *metadata,
                               size_t n_metadata, sg_error *err);

/* The same for data that comes piece by piece in any order: open with the shapes, put ranges of
 * bytes, close. What was not put is zero. */
typedef struct sgi_safetensors_writer sgi_safetensors_writer;
sg_status sgi_safetensors_writer_open(const char *path, const sgi_tensor *tensors, size_t count,
                                      const char *const *metadata, size_t n_metadata, sgi_safetensors_writer **out,
                                      sg_error *err);
sg_status sgi_safetensors_writer_put(sgi_safetensors_writer *w, size_t tensor, size_t byte_offset, const void *data,
                                     size_t n, sg_error *err);
sg_status sgi_safetensors_writer_close(sgi_safetensors_writer *w, sg_error *err); /* frees w */
void sgi_safetensors_writer_drop(sgi_safetensors_writer *w);

#endif
