#include "model/identity.h"

#include <xxhash.h>

#include "core/known_hash.h"
#include "model/weights.h"

uint64_t sgi_model_hash(const sg_model *m) {
  static const char KIND[] = "weights";
  uint64_t h = 0;
  const sgi_file_id *id = m->file && !m->arena ? sgi_weights_id(m->file) : NULL;
  if (id && sgi_known_hash(id, KIND, &h)) return h;
  h = 0;
  for (size_t i = 0; i < m->table.count; i++)
    h = XXH3_64bits_withSeed(m->w[i], m->table.rows[i].count * sizeof(float), h);
  if (id) sgi_keep_hash(id, KIND, h);
  return h;
}
