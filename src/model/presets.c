#include "model/presets.h"

#include <stdio.h>
#include <string.h>

#include "core/number.h"
#include "ffn/ffn.h"

enum { MAX_SCALE = 9, HEAD_DIM = 64, SCALE_WIDTH = 128, LADDER_STEP = 32, LADDER_LAYERS = 64, LADDER_KEYS = 128 };

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

/* "ladder;DxL". */
static bool is_ladder(const char *name, size_t *D, size_t *L) {
  static const char start[] = "ladder";
  char width[24];
  uint64_t d, l;
  size_t at = sizeof start - 1;
  if (strncmp(name, start, at) || (name[at] != ';' && name[at] != ':')) return false;
  const char *from = name + at + 1, *x = strchr(from, 'x');
  if (!x || (size_t)(x - from) >= sizeof width) return false;
  snprintf(width, sizeof width, "%.*s", (int)(x - from), from);
  if (!sgi_number_whole(width, &d) || !sgi_number_whole(x + 1, &l)) return false;
  *D = (size_t)d;
  *L = (size_t)l;
  return d && d % LADDER_STEP == 0 && d <= MAX_SCALE * SCALE_WIDTH && l && l <= LADDER_LAYERS;
}

static const sgi_ffn_ops *find_kind(const char *kind, sg_error *err) {
  const sgi_ffn_ops *k = sgi_ffn_find(kind, err);
  if (!k || k->preset.tinystories.num_neurons || k->preset.experts.decomposition) return k;
  sgi_fail(err, SG_ERR_ARG, "no preset has settings for the feedforward kind \"%s\": give all sizes with --set", kind);
  return NULL;
}

static sg_config common(const sgi_ffn_ops *k) {
  sg_config c = {.head_dim = HEAD_DIM,
                 .rms_norm_eps = 1e-6,
                 .rope_theta = 1e4,
                 .top_k = k->preset.top_k,
                 .key_dim = k->preset.key_dim};
  snprintf(c.feedforward, sizeof c.feedforward, "%s", k->name);
  snprintf(c.router, sizeof c.router, "%s", k->preset.router ? k->preset.router : "");
  snprintf(c.activation, sizeof c.activation, "%s", k->default_activation);
  return c;
}

/* Sizes of kinds with sub-experts, at any width. */
static void experts(const sgi_ffn_preset *k, sg_config *c) {
  if (!k->experts.decomposition) return;
  size_t width = c->hidden_size / k->experts.width_over / 2 * 2;
  snprintf(c->decomposition, sizeof c->decomposition, "%s", k->experts.decomposition);
  c->num_experts = k->experts.num_experts;
  c->expert_dim = width ? width : 2;
  c->router_group = k->experts.router_group;
  c->num_neurons = 0;
}

static void tinystories(const sgi_ffn_preset *k, sgi_preset_t *p) {
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

static void slimpajama(const sgi_ffn_preset *k, size_t s, sgi_preset_t *p) {
  sg_config *c = &p->config;
  c->vocab_size = 50258;
  c->hidden_size = 128 * s;
  c->num_layers = 2 * s;
  c->bos_id = c->eos_id = 50256;
  c->pad_id = 0;
  size_t root = k->slimpajama.root + k->slimpajama.root_step * s;
  c->num_neurons = root * root;
  if (!root) { /* kinds with a root have no width: their `over` is 0 */
    size_t width = c->hidden_size * k->slimpajama.times / k->slimpajama.over;
    c->num_neurons = width / k->slimpajama.multiple * k->slimpajama.multiple;
  }
  c->num_channels = k->slimpajama.num_channels;
  p->batch_size = 128;
  p->seq_len = 2048;
  p->clip = 1.0;
  p->warmup_steps = 1000;
  p->pack = true;
}

static void ladder(const sgi_ffn_preset *k, size_t D, size_t L, sgi_preset_t *p) {
  sg_config *c = &p->config;
  c->vocab_size = 2048;
  c->hidden_size = D;
  c->num_layers = L;
  c->bos_id = c->eos_id = 1;
  c->pad_id = 0;
  if (D % HEAD_DIM || D < 2 * SCALE_WIDTH) c->head_dim = LADDER_STEP;
  size_t root = k->slimpajama.root + k->slimpajama.root_step * D / SCALE_WIDTH;
  c->num_neurons = root * root;
  if (!k->slimpajama.root) { /* kinds with a root have no width: their `over` is 0 */
    size_t multiple = D < 2 * SCALE_WIDTH && k->slimpajama.multiple > 16 ? 16 : k->slimpajama.multiple;
    c->num_neurons = D * k->slimpajama.times / k->slimpajama.over / multiple * multiple;
  }
  c->num_channels = k->slimpajama.num_channels;
  if (k->router && c->num_channels > D / 8) c->num_channels = D / 8;
  if (k->router && D / 2 < LADDER_KEYS) c->key_dim = D / 2;
  p->batch_size = 16;
  p->seq_len = 256;
  p->clip = 1.0;
  p->warmup_steps = 100;
  p->pack = true;
}

sg_status sgi_preset(const char *name, const char *kind, sgi_preset_t *out, sg_error *err) {
  int scale = scale_of(name);
  size_t D, L;
  bool rungs = scale < 0 && is_ladder(name, &D, &L);
  if (scale < 0 && !rungs)
    return sgi_fail(err, SG_ERR_ARG,
                    "unknown preset \"%.64s\": choose tinystories, slimpajama;s with a scale s from 1 to %d, or "
                    "ladder;DxL with a width D (a multiple of %d, at most %d) and L layers (at most %d)",
                    name, MAX_SCALE, LADDER_STEP, MAX_SCALE * SCALE_WIDTH, LADDER_LAYERS);
  const sgi_ffn_ops *k = find_kind(kind, err);
  if (!k) return SG_ERR_ARG;
  sgi_preset_t p = {.config = common(k),
                    .learning_rate = 1e-3,
                    .weight_decay = 1e-4,
                    .schedule = "warmup_stable_sqrt_decay",
                    .decay_fraction = 0.2};
  if (rungs)
    ladder(&k->preset, D, L, &p);
  else if (scale)
    slimpajama(&k->preset, (size_t)scale, &p);
  else
    tinystories(&k->preset, &p);
  experts(&k->preset, &p.config);
  p.config.num_heads = p.config.hidden_size / p.config.head_dim;
  p.config.max_position = p.seq_len;
  *out = p;
  return sg_config_check(&out->config, err);
}
