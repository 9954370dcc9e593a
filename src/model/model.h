/* model.h: weights, their table and the layers that use them.
 *
 * A model is a list of layers, a layer has up to two sublayers, and a sublayer says for each tensor
 * it uses which *row* of the table that is. Layers may name the same row (tied), be of another kind
 * or size than their neighbours, or lack a sublayer; nobody finds a weight by arithmetic. The steps
 * of a pass (steps.h) are made from the layers once. */
#ifndef SGI_MODEL_H
#define SGI_MODEL_H

#include "core/table.h"
#include "ffn/ffn.h"
#include "model/config.h"
#include "model/steps.h"

enum { SGI_ROW_EMBED = 0 };

struct sg_model {
  sg_config config;
  sgi_table table;     /* the embedding, each layer's own rows, the final norm */
  sgi_layer *layers;   /* (config.num_layers) */
  sgi_plan plan;       /* the steps of a pass */
  sgi_weight *weights; /* each row as it is stored */
  const float **w;     /* data of each row; NULL where it is not float32 */
  float *arena;        /* owns the weights (row i at arena + rows[i].offset), NULL where they are mapped */
  /* pools trained as int4 (pools.h), whose rows of the table are `aside`: owned; else NULL */
  struct sgi_pools *pools;
  void *file; /* sgi_weights that owns what was read, or NULL */
  /* Of a copy to train with (low.h): whose masters it is made of, and its bf16 numbers, row i at
   * halves + rows[i].offset; else NULL. */
  const struct sg_model *master;
  uint16_t *halves;
  bool watched; /* read from files: what is computed from them must be finite (finite.h) */
};

static inline size_t sgi_final_norm_row(const struct sg_model *m) { return m->table.count - 1; }
/* The layer's attention or feedforward; NULL where it has none. */
static inline const sgi_sublayer *sgi_attention_of(const struct sg_model *m, size_t layer) {
  return m->layers[layer].attention.ops ? &m->layers[layer].attention : NULL;
}
static inline const sgi_sublayer *sgi_feedforward_of(const struct sg_model *m, size_t layer) {
  return m->layers[layer].feedforward.ops ? &m->layers[layer].feedforward : NULL;
}
/* The first layer's sublayer that uses a row, and the number of the tensor there; NULL for rows
 * outside layers. */
const sgi_sublayer *sgi_row_user(const struct sg_model *m, size_t row, size_t *tensor);
/* SG_ERR_ARG where the model has no such layer, SG_ERR_UNSUPPORTED where it has no feedforward. */
sg_status sgi_feedforward_find(const struct sg_model *m, size_t layer, const sgi_sublayer **out, sg_error *err);
/* Sizes (index, score and value NULL) of what a layer's feedforward chooses; false where it chooses
 * nothing. */
bool sgi_layer_gates(const struct sg_model *m, size_t layer, sgi_gates *out);
/* The largest of any layer: channels (at least 1), neurons, and values that one row of a site of
 * its router or units may have. */
typedef struct sgi_largest {
  size_t channels, neurons, entries;
  size_t beside; /* neurons of a part beside a kind (ffn/beside.h) */
} sgi_largest;
sgi_largest sgi_model_largest(const struct sg_model *m);
/* Some layer's feedforward chooses its units. */
bool sgi_model_chooses(const struct sg_model *m);

/* The table of a checked config. The only place that spells tensor names' prefixes. */
sg_status sgi_model_table(const sg_config *c, sgi_table *t, sg_error *err);
/* A model without weights: config, layers, table, steps; w points to nothing yet. */
sg_status sgi_model_shell(const sg_config *c, struct sg_model **out, sg_error *err);
/* Every map, pool and key that starts with random numbers starts as a plain normal instead: how the
 * authors of a kind have started theirs (docs/method.md, initialisation). Before the model is
 * filled. */
void sgi_table_start_normal(sgi_table *t, double sigma);
/* A model whose arena is zero. */
sg_status sgi_model_blank(const sg_config *c, struct sg_model **out, sg_error *err);
/* The same with all pools aside and without data (pools.h makes them). */
sg_status sgi_model_blank_aside(const sg_config *c, struct sg_model **out, sg_error *err);
/* All rows of the arena as sg_model_create fills them. */
void sgi_model_fill_arena(struct sg_model *m, uint64_t seed);
/* Elements [from, from + n) of row r as sg_model_create fills them: for whoever holds a part. */
void sgi_model_fill(const sgi_row *row, size_t r, uint64_t seed, size_t from, size_t n, float *out);
/* sg_model_load; allow takes weights that are NaN or infinite, and then nothing that is computed is
 * watched. */
sg_status sgi_model_load(const char *directory, bool allow_nonfinite, struct sg_model **out, sg_error *err);
/* Replaces mapped weights by a copy in an arena, so that they can be trained. */
sg_status sgi_model_own(struct sg_model *m, sg_error *err);
/* Other weights stand behind the rows from now on: w and every sublayer follow m->weights. */
void sgi_model_point(struct sg_model *m);
/* Runs the model's layers in another form; before any pass is made. */
sg_status sgi_model_set_form(struct sg_model *m, const char *form, size_t ode_steps, sg_error *err);
/* A token's row of the embedding. */
static inline sgi_slice sgi_embedding_of(const struct sg_model *m, size_t token) {
  return sgi_weight_row(&m->weights[SGI_ROW_EMBED], token);
}
/* As sg_model_save, into a directory that may already hold other files. */
sg_status sgi_model_save_config(const struct sg_model *m, const char *directory, sg_error *err);

#endif
