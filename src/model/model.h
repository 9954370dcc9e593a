/* model.h: weights, their table and who they belong to. */
#ifndef SGI_MODEL_H
#define SGI_MODEL_H

#include "core/table.h"
#include "ffn/ffn.h"

/* Rows of the table: the embedding, L layers of `layer_rows` rows each, the final norm. */
enum { SGI_ROW_EMBED = 0, SGI_ROW_LAYERS = 1 };
/* A layer's rows, from its first. Those of the feedforward kind follow SGI_LAYER_MLP. */
enum {
  SGI_LAYER_NORM1,
  SGI_LAYER_Q,
  SGI_LAYER_K,
  SGI_LAYER_V,
  SGI_LAYER_Q_NORM,
  SGI_LAYER_K_NORM,
  SGI_LAYER_O,
  SGI_LAYER_NORM2,
  SGI_LAYER_MLP
};

struct sg_model {
  sg_config config;
  const sgi_ffn_ops *ffn;
  sgi_table table;
  size_t layer_rows;
  const float **w; /* data of each row */
  float *arena;    /* owns the weights (row i at arena + rows[i].offset), NULL where they are mapped */
  void *file;      /* sgi_weights that owns what was read, or NULL */
  bool watched;    /* read from files: what is computed from them must be finite (finite.h) */
};

static inline size_t sgi_layer_row(const struct sg_model *m, size_t layer, size_t row) {
  return SGI_ROW_LAYERS + layer * m->layer_rows + row;
}
static inline size_t sgi_final_norm_row(const struct sg_model *m) { return m->table.count - 1; }

/* The table of a checked config. The only place that spells tensor names' prefixes. */
sg_status sgi_model_table(const sg_config *c, sgi_table *t, sg_error *err);
/* A model without weights: config, kind, table; w points to nothing yet. */
sg_status sgi_model_shell(const sg_config *c, struct sg_model **out, sg_error *err);
/* A model whose arena is zero. */
sg_status sgi_model_blank(const sg_config *c, struct sg_model **out, sg_error *err);
/* sg_model_load; allow takes weights that are NaN or infinite, and then nothing that is computed is
 * watched. */
sg_status sgi_model_load(const char *directory, bool allow_nonfinite, struct sg_model **out, sg_error *err);
/* Replaces mapped weights by a copy in an arena, so that they can be trained. */
sg_status sgi_model_own(struct sg_model *m, sg_error *err);
/* Writes data (one pointer per row) as float32 safetensors under the rows' names. */
sg_status sgi_table_save(const sgi_table *table, const float *const *data, const char *path, sg_error *err);

#endif
