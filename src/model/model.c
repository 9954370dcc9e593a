#include "model/model.h"

#include <stdio.h>
#include <string.h>

#include "core/arena.h"
#include "core/json.h"
#include "core/rng.h"
#include "core/safetensors.h"
#include "ffn/beside.h"
#include "model/config.h"
#include "model/finite.h"
#include "model/pools.h"
#include "model/weights.h"

/* ---- making and freeing ---------------------------------------------------------------------- */

sg_status sgi_model_table(const sg_config *c, sgi_table *t, sg_error *err) {
  sgi_layer *layers;
  sg_status st = sgi_layers_make(c, t, &layers, err);
  sgi_free(layers);
  return st;
}

sg_status sgi_model_shell(const sg_config *c, sg_model **out, sg_error *err) {
  *out = NULL;
  sg_status st = sg_config_check(c, err);
  if (st) return st;
  sg_model *m = sgi_alloc(sizeof *m);
  if (!m) return sgi_fail_memory(err, sizeof *m, "a model");
  m->config = *c;
  st = sgi_layers_make(c, &m->table, &m->layers, err);
  if (!st) st = sgi_plan_make(c, m->layers, &m->plan, err);
  if (!st) {
    m->w = sgi_alloc(m->table.count * sizeof *m->w);
    m->weights = sgi_alloc(m->table.count * sizeof *m->weights);
    if (!m->w || !m->weights) st = sgi_fail_memory(err, m->table.count * sizeof *m->weights, "a model's tensors");
  }
  if (st)
    sg_model_free(m);
  else
    *out = m;
  return st;
}

void sgi_model_point(sg_model *m) {
  for (size_t i = 0; i < m->table.count; i++) {
    const sgi_weight *w = &m->weights[i];
    m->w[i] = w->dtype == SGI_F32 ? sgi_f32(w) : NULL;
  }
  for (size_t l = 0; l < m->config.num_layers; l++) {
    sgi_sublayer *both[] = {&m->layers[l].attention, &m->layers[l].feedforward};
    for (size_t k = 0; k < 2; k++)
      for (size_t i = 0; i < both[k]->n_tensors; i++) {
        both[k]->w[i] = m->w[both[k]->row[i]];
        both[k]->weight[i] = &m->weights[both[k]->row[i]];
      }
  }
}

sg_status sgi_model_set_form(sg_model *m, const char *form, size_t ode_steps, sg_error *err) {
  sg_config c = m->config;
  sgi_plan plan;
  snprintf(c.layer_form, sizeof c.layer_form, "%s", form);
  c.ode_steps = ode_steps;
  sg_status st = strlen(form) < sizeof c.layer_form
                     ? sgi_form_check(&c, err)
                     : sgi_fail(err, SG_ERR_ARG, "layer_form \"%.40s\" is too long", form);
  if (!st) st = sgi_config_check_groups(&c, err);
  if (!st) st = sgi_plan_make(&c, m->layers, &plan, err);
  if (st) return st;
  sgi_plan_deinit(&m->plan);
  m->plan = plan;
  m->config = c;
  for (size_t l = 0; l < c.num_layers; l++) sgi_config_view(&c, l, &m->layers[l].config);
  return SG_OK;
}

static sg_status make_arena(sg_model *m, sg_error *err) {
  size_t bytes = m->table.floats * sizeof(float); /* checked row by row as the table grew */
  m->arena = sgi_alloc(bytes);
  return m->arena ? SG_OK : sgi_fail_memory(err, bytes, "a model's weights");
}

static void point_into_arena(sg_model *m) {
  for (size_t i = 0; i < m->table.count; i++) {
    const sgi_row *row = &m->table.rows[i];
    size_t width = row->dims[row->n_dims - 1];
    m->weights[i] = sgi_weight_floats(row->aside ? NULL : m->arena + row->offset, row->count / width, width);
  }
  sgi_model_point(m);
}

static sg_status blank(const sg_config *c, bool aside, sg_model **out, sg_error *err) {
  sg_status st = sgi_model_shell(c, out, err);
  if (st) return st;
  if (aside) sgi_table_set_aside(&(*out)->table);
  st = make_arena(*out, err);
  if (!st) {
    point_into_arena(*out);
  } else {
    sg_model_free(*out);
    *out = NULL;
  }
  return st;
}

sg_status sgi_model_blank(const sg_config *c, sg_model **out, sg_error *err) { return blank(c, false, out, err); }
sg_status sgi_model_blank_aside(const sg_config *c, sg_model **out, sg_error *err) { return blank(c, true, out, err); }

sg_status sgi_model_own(sg_model *m, sg_error *err) {
  if (m->arena) return SG_OK;
  sg_status st = make_arena(m, err);
  if (st) return st;
  for (size_t i = 0; i < m->table.count; i++) sgi_weight_to_float(m->arena + m->table.rows[i].offset, &m->weights[i]);
  point_into_arena(m);
  sgi_weights_close(m->file);
  m->file = NULL;
  m->watched = false; /* training has its own watch */
  return SG_OK;
}

void sg_model_free(sg_model *m) {
  if (!m) return;
  sgi_weights_close(m->file);
  sgi_free(m->arena);
  sgi_pools_free(m->pools);
  sgi_free(m->halves);
  sgi_free(m->w);
  sgi_free(m->weights);
  sgi_free(m->layers);
  sgi_plan_deinit(&m->plan);
  sgi_table_deinit(&m->table);
  sgi_free(m);
}

/* ---- initialisation -------------------------------------------------------------------------- */

/* Standard deviation of a standard normal cut at +-2. */
static const double CUT_SIGMA = 0.87962566103423978;

/* A block of elements has its own stream, so blocks may be filled in any order by any thread. */
enum { INIT_BLOCK = 4096 };

static void fill_block(float *w, size_t n, const sgi_row *row, sgi_rng rng) {
  for (size_t i = 0; i < n; i++) switch (row->init) {
      case SGI_INIT_ZERO: w[i] = 0; break;
      case SGI_INIT_ONE: w[i] = 1; break;
      case SGI_INIT_NORMAL: w[i] = (float)(row->sigma * sgi_rng_normal(&rng)); break;
      case SGI_INIT_LECUN: w[i] = (float)(row->sigma / CUT_SIGMA * sgi_rng_truncated(&rng, 2)); break;
      case SGI_INIT_TRUNCATED: w[i] = (float)(row->sigma * sgi_rng_truncated(&rng, 2)); break;
    }
}

void sgi_model_fill(const sgi_row *row, size_t r, uint64_t seed, size_t from, size_t n, float *out) {
  float block[INIT_BLOCK];
  for (size_t b = from / INIT_BLOCK; b * INIT_BLOCK < from + n; b++) {
    size_t at = b * INIT_BLOCK, first = at < from ? from : at,
           end = at + INIT_BLOCK < from + n ? at + INIT_BLOCK : from + n;
    fill_block(block, end - at, row, sgi_rng_make(seed, SGI_STREAM_INIT, ((uint64_t)r << 40) | b));
    memcpy(out + (first - from), block + (first - at), (end - first) * sizeof *out);
  }
}

void sgi_table_start_normal(sgi_table *t, double sigma) {
  for (size_t i = 0; i < t->count; i++) {
    sgi_row *row = &t->rows[i];
    if (row->init == SGI_INIT_ZERO || row->init == SGI_INIT_ONE) continue;
    row->init = SGI_INIT_NORMAL;
    row->sigma = sigma;
  }
}

void sgi_model_fill_arena(sg_model *m, uint64_t seed) {
  for (size_t r = 0; r < m->table.count; r++) {
    const sgi_row *row = &m->table.rows[r];
    size_t blocks = (sgi_row_floats(row) + INIT_BLOCK - 1) / INIT_BLOCK;
#pragma omp parallel for schedule(static) if (blocks > 8)
    for (size_t b = 0; b < blocks; b++) {
      size_t at = b * INIT_BLOCK, n = row->count - at < INIT_BLOCK ? row->count - at : INIT_BLOCK;
      fill_block(m->arena + row->offset + at, n, row, sgi_rng_make(seed, SGI_STREAM_INIT, ((uint64_t)r << 40) | b));
    }
  }
}

sg_status sg_model_create(const sg_config *config, uint64_t seed, sg_model **out, sg_error *err) {
  sg_status st = sgi_model_blank(config, out, err);
  if (!st) sgi_model_fill_arena(*out, seed);
  return st;
}

/* ---- files ----------------------------------------------------------------------------------- */

static sg_status map_weights(sg_model *m, const char *directory, sg_error *err) {
  sgi_weights *files = NULL;
  const char *path;
  sg_status st = sgi_weights_open(directory, &files, err);
  m->file = files;
  size_t used = 0, parts = 0;
  for (size_t i = 0; i < m->table.count && !st; i++, used += parts)
    st = sgi_weights_get(files, &m->table.rows[i], &m->weights[i], &parts, err);
  for (size_t i = 0; !st && sgi_weights_count(files) != used && i < sgi_weights_count(files); i++) {
    const char *name = sgi_weights_at(files, i, &path)->name;
    if (!sgi_weights_belongs(&m->table, name))
      st = sgi_fail(err, SG_ERR_FORMAT, "%s: tensor %.100s does not belong to this architecture", path, name);
  }
  if (!st && sgi_weights_count(files) != used)
    st = sgi_fail(err, SG_ERR_FORMAT,
                  "%s: has %zu tensors where the model is made of %zu: some are there in more than one type",
                  sgi_weights_path(files), sgi_weights_count(files), used);
  if (!st) sgi_model_point(m);
  return st;
}

/* All weights where they are few, else the passes look at what they make. */
static sg_status watch(sg_model *m, sg_error *err) {
  m->watched = true;
  return m->table.floats <= SGI_FINITE_BYTES / sizeof(float) ? sgi_model_check_finite(m, err) : SG_OK;
}

sg_status sg_model_load(const char *directory, sg_model **out, sg_error *err) {
  return sgi_model_load(directory, false, out, err);
}

sg_status sgi_model_load(const char *directory, bool allow_nonfinite, sg_model **out, sg_error *err) {
  *out = NULL;
  sg_config c;
  sg_status st = sg_config_load(directory, &c, err);
  if (st) return st;
  sg_model *m = NULL;
  st = sgi_model_shell(&c, &m, err);
  if (st) return st;
  st = map_weights(m, directory, err);
  if (!st && !allow_nonfinite) st = watch(m, err);
  if (st)
    sg_model_free(m);
  else
    *out = m;
  return st;
}

sg_status sgi_model_save_config(const sg_model *m, const char *directory, sg_error *err) {
  char *path = sgi_path_join(directory, "config.json");
  json_t *o = sgi_config_to_json(&m->config);
  sg_status st =
      path && o ? sgi_json_save(path, o, err) : sgi_fail_memory(err, strlen(directory) + 20, "a model's files");
  json_decref(o);
  sgi_free(path);
  return st;
}

sg_status sg_model_save(const sg_model *m, const char *directory, sg_error *err) {
  sg_status st = sgi_make_directory(directory, err);
  if (st) return st;
  char *weights = sgi_path_join(directory, "model.safetensors");
  if (!weights) st = sgi_fail_memory(err, strlen(directory) + 20, "a model's files");
  if (!st) st = sgi_weights_save(&m->table, m->weights, weights, err);
  if (!st) st = sgi_model_save_config(m, directory, err);
  sgi_free(weights);
  return st;
}

/* ---- looking --------------------------------------------------------------------------------- */

const sgi_sublayer *sgi_row_user(const sg_model *m, size_t row, size_t *tensor) {
  for (size_t l = 0; l < m->config.num_layers; l++) {
    const sgi_sublayer *both[] = {&m->layers[l].attention, &m->layers[l].feedforward};
    for (size_t k = 0; k < 2; k++)
      for (size_t i = 0; i < both[k]->n_tensors; i++)
        if (both[k]->row[i] == row) return *tensor = i, both[k];
  }
  return NULL;
}

sg_status sgi_feedforward_find(const sg_model *m, size_t layer, const sgi_sublayer **out, sg_error *err) {
  if (layer >= m->config.num_layers)
    return sgi_fail(err, SG_ERR_ARG, "layer %zu: the model has %zu, from 0", layer, m->config.num_layers);
  *out = sgi_feedforward_of(m, layer);
  return *out ? SG_OK : sgi_fail(err, SG_ERR_UNSUPPORTED, "layer %zu has no feedforward layer", layer);
}

bool sgi_layer_gates(const sg_model *m, size_t layer, sgi_gates *out) {
  const sgi_sublayer *s = sgi_feedforward_of(m, layer);
  *out = (sgi_gates){0};
  if (!s || !s->ffn->gates) return false;
  s->ffn->gates(s->config, 1, (sgi_arena){0}, out); /* sizes only: nothing is behind the pointers */
  out->index = NULL;
  out->score = out->value = NULL;
  return true;
}

sgi_largest sgi_model_largest(const sg_model *m) {
  sgi_largest most = {.channels = 1};
  for (size_t l = 0; l < m->config.num_layers; l++) {
    const sgi_sublayer *s = sgi_feedforward_of(m, l);
    if (!s) continue;
    size_t C = s->config->num_channels, K = s->config->top_k, entries = (C ? C : 1) * (K ? K : 1);
    if (s->config->options.meta_experts > entries) entries = s->config->options.meta_experts;
    if (sgi_unit_channels(s->config) > most.channels) most.channels = sgi_unit_channels(s->config);
    if (s->config->num_neurons > most.neurons) most.neurons = s->config->num_neurons;
    if (entries > most.entries) most.entries = entries;
    for (int part = 0; part < SGI_BESIDE_PARTS; part++) {
      size_t beside = sgi_beside_neurons(s->config, (sgi_beside)part);
      if (beside > most.beside) most.beside = beside;
    }
  }
  return most;
}

bool sgi_model_chooses(const sg_model *m) {
  sgi_gates g;
  for (size_t l = 0; l < m->config.num_layers; l++)
    if (sgi_layer_gates(m, l, &g)) return true;
  return false;
}

const sg_config *sg_model_config(const sg_model *m) { return &m->config; }
size_t sg_model_tensor_count(const sg_model *m) { return m->table.count; }
size_t sg_model_parameter_count(const sg_model *m) { return m->table.parameters; }

sg_tensor sg_model_tensor(const sg_model *m, size_t i) {
  if (i >= m->table.count) return (sg_tensor){0};
  const sgi_row *row = &m->table.rows[i];
  sg_tensor t = {.name = row->name,
                 .n_dims = row->n_dims,
                 .count = row->count,
                 .decay = row->decay,
                 .state = row->state,
                 .data = m->w[i]};
  memcpy(t.dims, row->dims, sizeof t.dims);
  bool any = m->weights[i].data != NULL;
  t.type = any ? sgi_weight_traits(m->weights[i].dtype)->name : "float32";
  t.bytes = any ? sgi_weight_bytes(&m->weights[i]) : row->count * sizeof(float);
  return t;
}

sg_status sg_model_read(const sg_model *m, size_t i, size_t first, size_t count, float *out, sg_error *err) {
  sg_status st = sgi_need(m, "the model", err);
  if (!st) st = sgi_need(out, "out", err);
  if (st) return st;
  if (i >= m->table.count) return sgi_fail(err, SG_ERR_ARG, "tensor %zu: the model has %zu", i, m->table.count);
  size_t all = m->table.rows[i].count;
  if (first > all || count > all - first)
    return sgi_fail(err, SG_ERR_ARG, "tensor %s: elements %zu and on, %zu of them: it has %zu", m->table.rows[i].name,
                    first, count, all);
  sgi_weight_read(out, &m->weights[i], first, count);
  return SG_OK;
}
