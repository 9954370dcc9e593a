#include "compare/sparse_state.h"

#include <stdio.h>
#include <string.h>

#include "core/bundle.h"
#include "core/manifest.h"
#include "core/safetensors.h"

#define CHECKPOINTS "checkpoints"
#define PREFIX "step-"
static const char *const parts[SGI_SPARSE_PARTS] = {"W_e", "b_e", "W_d", "b_d", "log_theta"};
enum { TENSORS = 3 * SGI_SPARSE_PARTS + 1, NAME = 48 };

void sgi_sparse_state_forget(sgi_sparse_of *l, size_t j) {
  const sgi_sparse_form *f = &l->layer.form;
  sgi_sparse_arrays *all[] = {&l->m, &l->v};
  for (size_t i = 0; i < 2; i++) {
    memset(all[i]->at[SGI_SPARSE_W_E] + j * f->in, 0, f->in * sizeof(float));
    memset(all[i]->at[SGI_SPARSE_W_D] + j * f->out, 0, f->out * sizeof(float));
    all[i]->at[SGI_SPARSE_B_E][j] = 0;
    if (all[i]->at[SGI_SPARSE_LOG_THETA]) all[i]->at[SGI_SPARSE_LOG_THETA][j] = 0;
  }
}

/* ---- settings -------------------------------------------------------------------------------- */

static json_t *hash_json(uint64_t h) {
  char text[SGI_HASH_TEXT];
  snprintf(text, sizeof text, "%016llx", (unsigned long long)h);
  return json_string(text);
}

/* Everything that fixes the bits of the result. */
static json_t *settings(const sgi_sparse_trainer *t) {
  const sgi_sparse_train_request *r = &t->r;
  const sgi_sparse_form *f = &r->form;
  json_t *o = json_pack("{s:s, s:s, s:s, s:I, s:I, s:f, s:b, s:b}", "site", sgi_sparse_site_name(r->site), "activation",
                        sgi_sparse_activations[f->activation], "decoder", sgi_sparse_decoders[f->decoder], "features",
                        (json_int_t)f->features, "top_k", (json_int_t)f->top_k, "lambda", f->lambda, "frozen_encoder",
                        f->frozen, "mse_norm", f->mse_norm);
  json_t *layers = json_array();
  for (size_t k = 0; k < r->n_layers; k++) json_array_append_new(layers, json_integer((json_int_t)r->layers[k]));
  json_t *more = json_pack("{s:I, s:I, s:I, s:I, s:f, s:f, s:I, s:b, s:I}", "seq_len", (json_int_t)r->seq_len,
                           "batch_size", (json_int_t)r->batch, "buffer", (json_int_t)r->buffer, "steps",
                           (json_int_t)t->steps, "learning_rate", r->lr, "weight_decay", r->decay, "dead_window",
                           (json_int_t)t->window, "resample", r->resample, "seed", (json_int_t)r->seed);
  if (o && more) json_object_update(o, more);
  json_decref(more);
  json_object_set_new(o, "train_layers", layers);
  json_object_set_new(o, "data_hash", hash_json(sgi_corpus_hash(r->corpus)));
  if (o && !sgi_binding_write(r->model, o)) {
    json_decref(o);
    o = NULL;
  }
  return o;
}

/* ---- checkpoints ----------------------------------------------------------------------------- */

typedef struct listing {
  sgi_tensor t[TENSORS];
  char name[TENSORS][NAME];
  size_t n;
} listing;

static void add(listing *x, const char *set, const char *part, sgi_dtype type, size_t count, const void *data) {
  snprintf(x->name[x->n], NAME, "%s.%s", set, part);
  x->t[x->n] = (sgi_tensor){.name = x->name[x->n], .dtype = type, .n_dims = 1, .dims = {count}, .data = data};
  x->n++;
}

static void list_of(const sgi_sparse_of *l, listing *x) {
  static const char *const sets[] = {"w", "m", "v"};
  const sgi_sparse_arrays *all[] = {&l->layer.p, &l->m, &l->v};
  x->n = 0;
  for (size_t i = 0; i < 3; i++)
    for (int k = 0; k < SGI_SPARSE_PARTS; k++) {
      size_t n = sgi_sparse_count(&l->layer.form, (sgi_sparse_part)k);
      if (n) add(x, sets[i], parts[k], SGI_F32, n, all[i]->at[k]);
    }
  add(x, "fired", "rows", SGI_U64, l->layer.form.features, l->fired);
}

static char *layer_file(const char *directory, size_t layer) {
  char name[NAME];
  snprintf(name, sizeof name, "layer-%zu.safetensors", layer);
  return sgi_path_join(directory, name);
}

static json_t *state_json(const sgi_sparse_trainer *t) {
  json_t *layers = json_array();
  for (size_t k = 0; k < t->r.n_layers; k++)
    json_array_append_new(layers, json_pack("{s:f, s:I}", "bandwidth", t->of[k].layer.form.bandwidth, "active",
                                            (json_int_t)t->of[k].loss.active));
  return json_pack("{s:s, s:I, s:f, s:o, s:o}", "format", "sgatlin-sparse-state", "done", (json_int_t)t->done,
                   "seconds", t->seconds, "layers", layers, "settings", settings(t));
}

static sg_status save_files(const sgi_sparse_trainer *t, const char *directory, sg_error *err) {
  sg_status st = SG_OK;
  for (size_t k = 0; k < t->r.n_layers && !st; k++) {
    listing x;
    list_of(&t->of[k], &x);
    char *path = layer_file(directory, t->r.layers[k]);
    st = path ? sgi_safetensors_save(path, x.t, x.n, NULL, 0, err) : sgi_fail_memory(err, NAME, "a path");
    sgi_free(path);
  }
  json_t *o = st ? NULL : state_json(t);
  char *path = sgi_path_join(directory, "state.json");
  if (!st) st = o && path ? sgi_json_save(path, o, err) : sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  json_decref(o);
  sgi_free(path);
  return st;
}

sg_status sgi_sparse_state_save(const sgi_sparse_trainer *t, sg_error *err) {
  char name[NAME];
  sgi_bundle *b = NULL;
  snprintf(name, sizeof name, PREFIX "%08llu", (unsigned long long)t->done);
  char *parent = sgi_path_join(t->r.directory, CHECKPOINTS);
  sg_status st = parent ? sgi_bundle_begin(parent, name, &b, err) : sgi_fail_memory(err, NAME, "a path");
  if (!st && (st = save_files(t, sgi_bundle_path(b), err))) {
    sgi_bundle_drop(b);
    b = NULL;
  }
  if (!st) st = sgi_bundle_commit(b, NULL, err);
  if (!st) st = sgi_bundle_prune(parent, PREFIX, 1, NULL, 0, err);
  sgi_free(parent);
  return st;
}

static sg_status verify(const char *path, sg_error *err) {
  static const char *const required[] = {"state.json", NULL};
  return sgi_manifest_verify(path, required, false, err);
}

static sg_status same_settings(const sgi_sparse_trainer *t, const json_t *then, const char *where, sg_error *err) {
  json_t *now = settings(t);
  const char *key;
  const json_t *v;
  sg_status st = now ? SG_OK : sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  if (!st && !json_is_object(then)) st = sgi_fail(err, SG_ERR_FORMAT, "%s has no settings", where);
  json_object_foreach(now, key, v) {
    if (!st && !json_equal(v, json_object_get(then, key)))
      st = sgi_fail(err, SG_ERR_ARG,
                    "%s was trained with another %s: a run goes on with the settings, the model and the text that it "
                    "began with",
                    where, key);
  }
  json_decref(now);
  return st;
}

static sg_status load_layer(sgi_sparse_of *l, const char *directory, sg_error *err) {
  sgi_safetensors *f = NULL;
  listing x;
  list_of(l, &x);
  char *path = layer_file(directory, l->layer.layer);
  sg_status st = path ? sgi_safetensors_open(path, &f, err) : sgi_fail_memory(err, NAME, "a path");
  for (size_t i = 0; i < x.n && !st; i++) {
    const sgi_tensor *t = sgi_safetensors_find(f, x.name[i]);
    if (!t || t->dtype != x.t[i].dtype || t->count != x.t[i].dims[0])
      st = sgi_fail(err, SG_ERR_FORMAT, "%s: tensor %s is not as the settings ask", path, x.name[i]);
    else
      memcpy((void *)(uintptr_t)x.t[i].data, t->data, t->bytes);
  }
  sgi_safetensors_close(f);
  sgi_free(path);
  return st;
}

static sg_status load(sgi_sparse_trainer *t, const char *directory, sg_error *err) {
  json_t *o = NULL;
  char *path = sgi_path_join(directory, "state.json");
  sg_status st = path ? sgi_json_load(path, &o, err) : sgi_fail_memory(err, NAME, "a path");
  if (!st) st = same_settings(t, json_object_get(o, "settings"), path, err);
  if (!st) st = sgi_json_u64(o, path, "done", &t->done, err);
  if (!st) st = sgi_json_real(o, path, "seconds", 0, 1e18, &t->seconds, err);
  const json_t *layers = json_object_get(o, "layers");
  if (!st && (!t->done || t->done > t->steps || json_array_size(layers) != t->r.n_layers))
    st = sgi_fail(err, SG_ERR_FORMAT, "%s: %llu steps of %zu layers, expected 1 to %llu of %zu", path,
                  (unsigned long long)t->done, json_array_size(layers), (unsigned long long)t->steps, t->r.n_layers);
  for (size_t k = 0; k < t->r.n_layers && !st; k++) {
    const json_t *l = json_array_get(layers, k);
    st = sgi_json_real(l, path, "bandwidth", 0, 1e30, &t->of[k].layer.form.bandwidth, err);
    if (!st) st = sgi_json_size(l, path, "active", 0, SIZE_MAX / 2, &t->of[k].loss.active, err);
    if (!st) st = load_layer(&t->of[k], directory, err);
  }
  t->begun = !st;
  json_decref(o);
  sgi_free(path);
  return st;
}

sg_status sgi_sparse_state_load(sgi_sparse_trainer *t, sg_error *err) {
  char name[NAME];
  char *parent = sgi_path_join(t->r.directory, CHECKPOINTS);
  if (!parent) return sgi_fail_memory(err, NAME, "a path");
  sg_status st = sgi_bundle_newest(parent, PREFIX, verify, name, sizeof name, NULL, NULL, err);
  if (!st && !name[0]) st = sgi_fail(err, SG_ERR_IO, "%s holds no checkpoint to go on from", t->r.directory);
  char *directory = st ? NULL : sgi_path_join(parent, name);
  if (!st) st = directory ? load(t, directory, err) : sgi_fail_memory(err, NAME, "a path");
  sgi_free(directory);
  sgi_free(parent);
  return st;
}

sg_status sgi_sparse_state_begin(const sgi_sparse_trainer *t, sg_error *err) {
  static const char *const ours[] = {SGI_SPARSE_JSON, CHECKPOINTS};
  if (!t->r.directory) return SG_OK; /* steps alone: a bench, a test */
  for (size_t i = 0; i < SGI_COUNT(ours); i++) {
    char *path = sgi_path_join(t->r.directory, ours[i]);
    if (!path) return sgi_fail_memory(err, NAME, "a path");
    bool there = sgi_is_file(path) || sgi_is_directory(path);
    sgi_free(path);
    if (there)
      return sgi_fail(err, SG_ERR_ARG,
                      "%s already holds %s of sparse MLPs: name another directory, or go on with --resume",
                      t->r.directory, i ? "checkpoints" : "a finished training");
  }
  return sgi_make_directory(t->r.directory, err);
}

/* ---- the finished directory ------------------------------------------------------------------ */

static json_t *layer_json(const sgi_sparse_trainer *t, const sgi_sparse_of *l) {
  const sgi_sparse_form *f = &l->layer.form;
  json_t *o = json_pack("{s:I, s:s, s:s, s:I, s:I, s:I, s:I, s:f, s:b}", "layer", (json_int_t)l->layer.layer,
                        "activation", sgi_sparse_activations[f->activation], "decoder", sgi_sparse_decoders[f->decoder],
                        "d_in", (json_int_t)f->in, "d_out", (json_int_t)f->out, "features", (json_int_t)f->features,
                        "top_k", (json_int_t)f->top_k, "lambda", f->lambda, "frozen_encoder", f->frozen);
  json_t *more = json_pack("{s:f, s:f, s:f, s:f, s:f, s:I}", "lambda_saelens", f->lambda * (double)f->out,
                           "lambda_mean_features", f->lambda * (double)f->features, "bandwidth", f->bandwidth, "mse",
                           l->loss.mse, "l0", l->loss.l0, "dead", (json_int_t)l->dead);
  if (o && more) json_object_update(o, more);
  json_decref(more);
  (void)t;
  return o;
}

static json_t *about_json(const sgi_sparse_trainer *t) {
  json_t *o = json_pack("{s:s, s:i, s:s, s:s, s:f}", "format", "sgatlin-sparse", "version", SGI_SPARSE_VERSION, "model",
                        t->r.model_path ? t->r.model_path : "", "data", t->r.data_path ? t->r.data_path : "", "seconds",
                        t->seconds);
  json_t *more = settings(t), *layers = json_array();
  if (o && more) json_object_update(o, more);
  json_decref(more);
  for (size_t k = 0; k < t->r.n_layers; k++) json_array_append_new(layers, layer_json(t, &t->of[k]));
  json_object_set_new(o, "layers", layers);
  return o;
}

sg_status sgi_sparse_state_finish(const sgi_sparse_trainer *t, json_t **about, sg_error *err) {
  size_t n = t->r.n_layers;
  sg_status st = SG_OK;
  sgi_sparse_layer *list = sgi_alloc(n * sizeof *list);
  json_t *o = about_json(t);
  char *checkpoints = sgi_path_join(t->r.directory, CHECKPOINTS);
  if (!list || !o || !checkpoints) st = sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  for (size_t k = 0; k < n && !st; k++) {
    list[k] = t->of[k].layer;
    st = sgi_sparse_layer_save(t->r.directory, &list[k], t->r.site, t->r.model_path ? t->r.model_path : "", err);
  }
  if (!st) st = sgi_sparse_set_save(t->r.directory, list, n, o, err);
  if (!st) st = sgi_remove_tree(checkpoints, err);
  if (!st && about) *about = json_incref(o);
  json_decref(o);
  sgi_free(list);
  sgi_free(checkpoints);
  return st;
}
