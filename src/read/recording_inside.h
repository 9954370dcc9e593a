/* recording_inside.h: what a recording is made of: recording.c opens it, recording_read.c reads and
 * checks. */
#ifndef SGI_RECORDING_INSIDE_H
#define SGI_RECORDING_INSIDE_H

#include <stdatomic.h>

#include "core/safetensors.h"
#include "read/kept.h"
#include "read/record_beside.h"
#include "read/recording.h"

/* One layer of one shard. */
typedef struct layer_part {
  const void *index; /* (n,C,K) int16 or int32 */
  const float *score;
  const void *value; /* NULL, or float16 or float32 */
} layer_part;

typedef struct shard {
  sgi_safetensors *file;
  size_t first, count; /* positions */
  const int32_t *input, *target, *document, *place, *predictions;
  layer_part *layers; /* (n_layers) */
} shard;

typedef struct layer_index {
  sgi_safetensors *file;
  const uint64_t *start; /* (C*F + 1) */
  const uint32_t *position;
  const float *score;
  const double *norms;     /* (C+1, n_positions) */
  atomic_uchar *looked_at; /* (C*F) 1: the list was checked and is sound */
} layer_index;

/* The first number of a file that was out of bounds; found by any thread. */
typedef struct damage {
  atomic_int state; /* 0: none yet, 1: being written, 2: there */
  char text[SG_ERROR_TEXT];
} damage;

struct sg_recording {
  char *directory, *model;
  sgi_recording_info info;
  size_t *layers;
  sgi_slot *slots;
  bool half;   /* float16 values */
  bool valued; /* some circuit has them */
  size_t n_shards;
  shard *shards;
  layer_part *parts;      /* (n_shards, n_layers) */
  size_t *document_first; /* (n_documents + 1) */
  bool indexed;
  layer_index *index; /* (n_layers) */
  damage *damage;
  sgi_safetensors *kept_file;
  sgi_kept *kept; /* (n_kept) */
  size_t n_kept;
  sgi_recorded_beside *beside; /* (n_beside) by layer */
  size_t n_beside;
};

sg_status sgi_recording_open_kept(sgi_recording *r, const json_t *o, const char *where, sg_error *err);
sg_status sgi_recording_open_beside(sgi_recording *r, const json_t *o, const char *where, sg_error *err);
/* The shard that a position lies in, and its row there. */
const shard *sgi_recording_shard(const sgi_recording *r, size_t position, size_t *row);
/* The tensor of that type and shape, or NULL with err filled. */
const void *sgi_recording_tensor(const sgi_safetensors *f, const char *name, sgi_dtype dtype, size_t d0, size_t d1,
                                 size_t d2, sg_error *err);
/* The part of that name, which must be there. */
sg_status sgi_recording_part(const sgi_recording *r, const char *name, sgi_safetensors **out, sg_error *err);
/* Marks the recording as damaged. */
void sgi_recording_spoil(const sgi_recording *r, const sgi_safetensors *file, const char *format, ...) SG_PRINTF(3, 4);

/* Indices are int32. */
static inline bool wide(const sgi_slot *z) { return z->pool > (size_t)INT16_MAX + 1; }

#endif
