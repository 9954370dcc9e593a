/* set.h: the functions of some layers of one model, as they lie on disk (docs/formats.md,
 * functions): one safetensors file, written whole, bound to its model. */
#ifndef SGI_FUNCTION_SET_H
#define SGI_FUNCTION_SET_H

#include "core/json.h"
#include "functions/layer.h"
#include "read/binding.h"

#define SGI_FUNCTIONS_KEY "sgatlin_functions"
enum { SGI_FUNCTIONS_VERSION = 1 };

typedef struct sgi_function_set {
  char *path, *model; /* model: its path as it was given then */
  size_t n;
  sgi_function_layer *at; /* ascending by layer */
  sgi_binding of;
  json_t *about; /* the metadata's object */
} sgi_function_set;

/* The file says of itself that it is one. */
bool sgi_function_set_is(const char *path);
/* Reads and checks everything: types, lengths, ranges, numbers that are not finite. New:
 * sgi_function_set_free. */
sg_status sgi_function_set_open(const char *path, sgi_function_set **out, sg_error *err);
void sgi_function_set_free(sgi_function_set *s);
/* SG_ERR_ARG naming those there are. */
sg_status sgi_function_set_find(const sgi_function_set *s, size_t layer, const sgi_function_layer **out, sg_error *err);
/* Its sizes are those of model m. */
sg_status sgi_function_set_fits(const sgi_function_set *s, const sg_model *m, sg_error *err);

/* about: what else the metadata shall say; format, version and the layers' sizes are added. */
sg_status sgi_function_set_save(const char *path, const sgi_function_layer *layers, size_t n, json_t *about,
                                sg_error *err);

#endif
