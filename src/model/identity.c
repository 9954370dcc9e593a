#include "model/identity.h"

#define XXH_STATIC_LINKING_ONLY /* a state on the stack */
#include <xxhash.h>

#include "core/known_hash.h"
#include "model/weights.h"

/* Of the numbers as float32, by pieces where they are stored in another type. */
static uint64_t tensor_hash(const sgi_weight *w, uint64_t seed) {
  enum { PIECE = 4096 };
  size_t count = w->rows * w->width;
  float piece[PIECE];
  XXH3_state_t *state = NULL;
  if (w->dtype == SGI_F32) return XXH3_64bits_withSeed(w->data, count * sizeof(float), seed);
  XXH3_state_t on_stack;
  XXH3_INITSTATE(&on_stack);
  state = &on_stack;
  XXH3_64bits_reset_withSeed(state, seed);
  for (size_t at = 0; at < count; at += PIECE) {
    size_t n = count - at < PIECE ? count - at : PIECE;
    sgi_weight_read(piece, w, at, n);
    XXH3_64bits_update(state, piece, n * sizeof *piece);
  }
  return XXH3_64bits_digest(state);
}

uint64_t sgi_model_hash(const sg_model *m) {
  static const char KIND[] = "weights";
  uint64_t h = 0;
  const sgi_file_id *id = m->file && !m->arena ? sgi_weights_id(m->file) : NULL;
  if (id && sgi_known_hash(id, KIND, &h)) return h;
  h = 0;
  for (size_t i = 0; i < m->table.count; i++) h = tensor_hash(&m->weights[i], h);
  if (id) sgi_keep_hash(id, KIND, h);
  return h;
}
