/* sparse_set.h: the sparse MLPs of some layers of one model, as they lie on disk
 * (docs/formats-sparse.md): layer-L/cfg.json and sae_weights.safetensors with SAELens's names and
 * layouts, sparse.json with what is ours: site, penalty, the model's hash, the run. */
#ifndef SGI_SPARSE_SET_H
#define SGI_SPARSE_SET_H

#include "compare/sparse_mlp.h"
#include "compare/sparse_place.h"
#include "core/json.h"
#include "read/binding.h"

#define SGI_SPARSE_JSON "sparse.json"
enum { SGI_SPARSE_VERSION = 1, SGI_SPARSE_LAYER_NAME = 32 };

typedef struct sgi_sparse_layer {
  size_t layer;
  sgi_sparse_form form;
  sgi_sparse_arrays p;
} sgi_sparse_layer;

typedef struct sgi_sparse_set {
  char *directory;
  sgi_sparse_site site;
  size_t n, largest;    /* largest: M of any layer */
  sgi_sparse_layer *at; /* ascending by layer */
  sgi_binding of;
  char *model;   /* the path as it was given then */
  json_t *about; /* sparse.json */
  void *memory;
} sgi_sparse_set;

extern const char *const sgi_sparse_activations[]; /* "relu", "topk", "jumprelu" */
extern const char *const sgi_sparse_decoders[];    /* "unit", "weighted", "free" */

/* Reads a directory whole: sizes, names, numbers that are not finite are refused by name. New:
 * sgi_sparse_set_free. */
sg_status sgi_sparse_set_open(const char *directory, sgi_sparse_set **out, sg_error *err);
void sgi_sparse_set_free(sgi_sparse_set *s);
/* Which of its layers is that of the model; SG_ERR_ARG naming those there are. */
sg_status sgi_sparse_set_find(const sgi_sparse_set *s, size_t layer, size_t *out, sg_error *err);
/* Its sizes and layers are such as model m has, whatever the weights (n of places is set). */
sg_status sgi_sparse_set_places(const sgi_sparse_set *s, const sg_model *m, sgi_sparse_place *places, sg_error *err);
/* Every file as sparse.json says: bytes and hashes. */
sg_status sgi_sparse_set_verify(const char *directory, sg_error *err);

/* Writes directory/layer-L of one sparse MLP. */
sg_status sgi_sparse_layer_save(const char *directory, const sgi_sparse_layer *l, sgi_sparse_site site,
                                const char *model, sg_error *err);
/* Adds "files" (name, bytes, xxh3) of the layers to about and writes sparse.json, last of all. */
sg_status sgi_sparse_set_save(const char *directory, const sgi_sparse_layer *layers, size_t n, json_t *about,
                              sg_error *err);

#endif
