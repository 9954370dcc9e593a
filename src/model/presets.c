#include "model/presets.h"

#include <stdio.h>
#include <string.h>

enum { MAX_SCALE = 9, HEAD_DIM = 64 };

/* What the paper sets per kind. The width F is num_neurons of the configuration: on tinystories a number; on
 * slimpajama either the square of root + root_step * s, or D * times / over, cut to a multiple of `multiple`.
 */
typedef struct kind_settings {
  const char *name, *router, *activation;
  size_t top_k, key_dim;
  struct {
    size_t num_neurons, num_channels;
  } tinystories;
  struct {
    size_t root, root_step, times, over, multiple, num_channels;
  } slimpajama;
} kind_settings;

static const kind_settings kinds[] = {
    {"sgatlin", "product_dense", "identity", 8, 128, {1024, 8}, {16, 12, 0, 1, 1, 16}},
    {"peer", "product_key_value", "gelu", 8, 128, {1024, 8}, {32, 24, 0, 1, 1, 16}},
    {"mlp", "", "gelu", 0, 0, {1024, 0}, {0, 0, 8, 3, 256, 0}},
    {"glu", "", "sigmoid", 0, 0, {1024, 0}, {0, 0, 8, 3, 256, 0}},
    {"moe", "", "sigmoid", 2, 0, {1024, 8}, {0, 0, 1, 1, 1, 16}},
};

static const char *const preset_names[] = {
    "tinystories",  "slimpajama;1", "slimpajama;2", "slimpajama;3", "slimpajama;4",
    "slimpajama;5", "slimpajama;6", "slimpajama;7", "slimpajama;8", "slimpajama;9",
};

const char *sgi_preset_name(size_t i) { return i < SGI_COUNT(preset_names) ? preset_names[i] : NULL; }

/* 0 for tinystories, s for slimpajama;s, -1 for any other name. */
static int scale_of(const char *name) {
  for (size_t i = 0; i < SGI_COUNT(preset_names); i++) {
    const char *p = preset_names[i], *q = name;
    while (*p && (*p == *q || (*p == ';' && *q == ':'))) p++, q++;
    if (!*p && !*q) return (int)i;
  }
  return -1;
}

static const kind_settings *find_kind(const char *kind, sg_error *err) {
  const char *names[SGI_COUNT(kinds)];
  char list[128] = "";
  size_t used = 0;
  for (size_t i = 0; i < SGI_COUNT(kinds); i++) {
    if (!strcmp(kinds[i].name, kind)) return &kinds[i];
    names[i] = kinds[i].name;
    int n = snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", names[i]);
    if (n > 0 && used + (size_t)n < sizeof list) used += (size_t)n;
  }
  const char *near = sgi_nearest(kind, names, SGI_COUNT(names));
  sgi_fail(err, SG_ERR_ARG, "no preset has settings for the feedforward kind \"%.64s\": there are %s%s%s%s", kind, list,
           near ? " (did you mean " : "", near ? near : "", near ? "?)" : "");
  return NULL;
}

static sg_config common(const kind_settings *k) {
  sg_config c = {
      .head_dim = HEAD_DIM, .rms_norm_eps = 1e-6, .rope_theta = 1e4, .top_k = k->top_k, .key_dim = k->key_dim};
  snprintf(c.feedforward, sizeof c.feedforward, "%s", k->name);
  snprintf(c.router, sizeof c.router, "%s", k->router);
  snprintf(c.activation, sizeof c.activation, "%s", k->activation);
  return c;
}

static void tinystories(const kind_settings *k, sgi_preset_t *p) {
  sg_config *c = &p->config;
  c->vocab_size = 8192;
  c->hidden_size = 256;
  c->num_layers = 4;
  c->bos_id = c->eos_id = 1;
  c->pad_id = 0;
  c->num_neurons = k->tinystories.num_neurons;
  c->num_channels = k->tinystories.num_channels;
  p->batch_size = 256;
  p->seq_len = 1024;
  p->clip = 2.0;
  p->warmup_steps = 100;
  p->pack = false;
}

static void slimpajama(const kind_settings *k, size_t s, sgi_preset_t *p) {
  sg_config *c = &p->config;
  c->vocab_size = 50258;
  c->hidden_size = 128 * s;
  c->num_layers = 2 * s;
  c->bos_id = c->eos_id = 50256;
  c->pad_id = 0;
  size_t root = k->slimpajama.root + k->slimpajama.root_step * s,
         width = c->hidden_size * k->slimpajama.times / k->slimpajama.over;
  c->num_neurons = root ? root * root : width / k->slimpajama.multiple * k->slimpajama.multiple;
  c->num_channels = k->slimpajama.num_channels;
  p->batch_size = 128;
  p->seq_len = 2048;
  p->clip = 1.0;
  p->warmup_steps = 1000;
  p->pack = true;
}

sg_status sgi_preset(const char *name, const char *kind, sgi_preset_t *out, sg_error *err) {
  int scale = scale_of(name);
  if (scale < 0)
    return sgi_fail(err, SG_ERR_ARG,
                    "unknown preset \"%.64s\": choose tinystories, or slimpajama;s with a scale s from 1 to %d", name,
                    MAX_SCALE);
  const kind_settings *k = find_kind(kind, err);
  if (!k) return SG_ERR_ARG;
  sgi_preset_t p = {.config = common(k),
                    .learning_rate = 1e-3,
                    .weight_decay = 1e-4,
                    .schedule = "warmup_stable_sqrt_decay",
                    .decay_fraction = 0.2};
  if (scale)
    slimpajama(k, (size_t)scale, &p);
  else
    tinystories(k, &p);
  p.config.num_heads = p.config.hidden_size / HEAD_DIM;
  p.config.max_position = p.seq_len;
  *out = p;
  return sg_config_check(&out->config, err);
}
