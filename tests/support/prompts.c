#include "support/prompts.h"

#include <stdio.h>
#include <string.h>

#include "model/model.h"
#include "support/small.h"

static void shake(sg_model *m, ref_random *r) {
  assert_sg_ok(sgi_model_own(m, err));
  for (size_t i = 0; i < m->table.count; i++) {
    const sgi_row *row = &m->table.rows[i];
    if (row->init != SGI_INIT_ONE && row->init != SGI_INIT_ZERO) continue;
    for (size_t k = 0; k < row->count; k++) m->arena[row->offset + k] += (float)(0.3 * ref_normal(r));
  }
}

typedef void use(const sg_model *m, const char *name, ref_random *r);
typedef bool config_at(size_t i, sg_config *out, const char **name);

/* Models made of configurations by number, until there is no more. */
static size_t each_config(config_at *at, uint64_t seed, use *f) {
  sg_config c;
  const char *name;
  size_t i = 0;
  for (; at(i, &c, &name); i++) {
    ref_random r = {.state = seed + i};
    sg_model *m;
    assert_sg_ok(sg_model_create(&c, 7 + i, &m, err));
    shake(m, &r);
    f(m, name, &r);
    sg_model_free(m);
  }
  return i;
}

size_t each_model(void (*f)(const sg_model *m, const char *name, ref_random *r)) {
  char **names = golden_list("tests/golden/models"), path[256];
  size_t count = 0;
  for (size_t i = 0; names[i]; i++) {
    if (strchr(names[i], '.')) continue;
    ref_random r = {.state = 1000 + i};
    sg_model *m;
    snprintf(path, sizeof path, "tests/golden/models/%s", names[i]);
    assert_sg_ok(sg_model_load(path, &m, err));
    shake(m, &r);
    f(m, names[i], &r);
    sg_model_free(m);
    count++;
  }
  golden_free(names);
  return count + each_config(mixed_config, 2000, f);
}

size_t each_form(void (*f)(const sg_model *m, const char *name, ref_random *r)) {
  return each_config(formed_config, 3000, f);
}

size_t some_feedforward(const sg_model *m, ref_random *r, const sg_config **view) {
  size_t l = ref_below(r, m->config.num_layers);
  while (!sgi_feedforward_of(m, l)) l = (l + 1) % m->config.num_layers;
  *view = &m->layers[l].config;
  return l;
}

bool all_linear(const sg_model *m) {
  for (size_t l = 0; l < m->config.num_layers; l++)
    if (sgi_feedforward_of(m, l) && strcmp(m->layers[l].config.activation, "identity")) return false;
  return true;
}

void random_prompt(const sg_model *m, ref_random *r, int32_t *tokens, size_t count) {
  const sg_config *c = sg_model_config(m);
  for (size_t i = 0; i < count; i++) tokens[i] = i ? (int32_t)ref_below(r, c->vocab_size) : c->bos_id;
}
