#include "support/transcoders.h"

#include <stdio.h>

#include "support/golden.h"

const char *const golden_parts[SGI_SPARSE_PARTS] = {"W_e", "b_e", "W_d", "b_d", "log_theta"};

sgi_sparse_set golden_transcoders(size_t features) {
  sgi_safetensors *f;
  sgi_sparse_set s = {.site = SGI_PLACE_MLP, .n = 3, .largest = features, .directory = "transcoders"};
  sgi_arena a = {0};
  assert_sg_ok(sgi_safetensors_open("tests/golden/comparison/transcoders.safetensors", &f, err));
  s.at = sgi_alloc(s.n * sizeof *s.at);
  for (size_t k = 0; k < s.n; k++) {
    s.at[k] = (sgi_sparse_layer){.layer = k, .form = {.in = 24, .out = 24, .features = features}};
    sgi_sparse_take(&s.at[k].form, &a, &s.at[k].p);
  }
  s.memory = sgi_alloc(a.used);
  a = (sgi_arena){.base = s.memory, .size = a.used};
  for (size_t k = 0; k < s.n; k++) {
    sgi_sparse_take(&s.at[k].form, &a, &s.at[k].p);
    for (int part = 0; part < SGI_SPARSE_LOG_THETA; part++) {
      char name[40];
      snprintf(name, sizeof name, "%zu.%s", k, golden_parts[part]);
      const sgi_tensor *t = sgi_safetensors_find(f, name);
      assert_non_null(t);
      assert_int_equal(t->dtype, SGI_F32);
      for (size_t i = 0; i < t->count; i++)
        s.at[k].p.at[part][i] = ((const float *)t->data)[part == SGI_SPARSE_W_E ? i % 24 * features + i / 24 : i];
    }
  }
  sgi_safetensors_close(f);
  return s;
}
