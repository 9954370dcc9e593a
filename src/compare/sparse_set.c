#include "compare/sparse_set.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/file.h"
#include "core/safetensors.h"

const char *const sgi_sparse_activations[] = {"relu", "topk", "jumprelu"};
const char *const sgi_sparse_decoders[] = {"unit", "weighted", "free"};

static const size_t MOST_FEATURES = (size_t)1 << 24, MOST_WIDTH = (size_t)1 << 20;
static const char *const tensors[SGI_SPARSE_PARTS] = {"W_enc", "b_enc", "W_dec", "b_dec", "threshold"};

static void layer_name(char out[SGI_SPARSE_LAYER_NAME], size_t layer) {
  snprintf(out, SGI_SPARSE_LAYER_NAME, "layer-%zu", layer);
}

/* ---- reading --------------------------------------------------------------------------------- */

static sg_status word(const json_t *o, const char *where, const char *key, const char *const *words, size_t n,
                      size_t *out, sg_error *err) {
  char text[64];
  sg_status st = sgi_json_string(o, where, key, text, sizeof text, err);
  if (st) return st;
  for (*out = 0; *out < n; ++*out)
    if (!strcmp(words[*out], text)) return SG_OK;
  return sgi_fail(err, SG_ERR_FORMAT, "%s: %s is \"%s\", which is none that is known", where, key, text);
}

static sg_status read_form(const json_t *o, const char *where, sgi_sparse_form *f, sg_error *err) {
  size_t activation, decoder;
  sg_status st = word(o, where, "activation", sgi_sparse_activations, 3, &activation, err);
  if (!st) st = word(o, where, "decoder", sgi_sparse_decoders, 3, &decoder, err);
  if (!st) st = sgi_json_size(o, where, "d_in", 1, MOST_WIDTH, &f->in, err);
  if (!st) st = sgi_json_size(o, where, "d_out", 1, MOST_WIDTH, &f->out, err);
  if (!st) st = sgi_json_size(o, where, "features", 1, MOST_FEATURES, &f->features, err);
  if (!st) st = sgi_json_size(o, where, "top_k", 0, f->features, &f->top_k, err);
  if (!st) st = sgi_json_real(o, where, "lambda", 0, 1e30, &f->lambda, err);
  if (!st) st = sgi_json_bool(o, where, "frozen_encoder", &f->frozen, err);
  if (st) return st;
  f->activation = (sgi_sparse_activation)activation;
  f->decoder = (sgi_sparse_decoder)decoder;
  if (f->activation == SGI_SPARSE_TOPK && !f->top_k)
    return sgi_fail(err, SG_ERR_FORMAT, "%s: top_k is 0 where topk keeps at least 1", where);
  return SG_OK;
}

static sg_status read_part(sgi_sparse_layer *l, const sgi_safetensors *f, sgi_sparse_part k, sg_error *err) {
  const sgi_tensor *t = sgi_safetensors_find(f, tensors[k]);
  size_t M = l->form.features, in = l->form.in, n = sgi_sparse_count(&l->form, k);
  const char *where = sgi_safetensors_path(f);
  bool map = k == SGI_SPARSE_W_E || k == SGI_SPARSE_W_D;
  size_t rows = k == SGI_SPARSE_W_E ? in : k == SGI_SPARSE_B_D ? l->form.out : M;
  if (!n) return SG_OK;
  if (!t) return sgi_fail(err, SG_ERR_FORMAT, "%s: no tensor %s", where, tensors[k]);
  if (t->dtype != SGI_F32 || t->n_dims != 1 + map || t->count != n || t->dims[0] != rows)
    return sgi_fail(err, SG_ERR_FORMAT, "%s: tensor %s has not the type F32 and the %zu numbers that sparse.json asks",
                    where, tensors[k], n);
  const float *w = t->data;
  for (size_t i = 0; i < n; i++) {
    float x = w[i];
    if (!isfinite(x))
      return sgi_fail(err, SG_ERR_FORMAT, "%s: tensor %s: element %zu is NaN or infinite", where, tensors[k], i);
    if (k == SGI_SPARSE_LOG_THETA && !(x > 0))
      return sgi_fail(err, SG_ERR_FORMAT, "%s: tensor %s: element %zu is %g, expected above 0", where, tensors[k], i,
                      (double)x);
    l->p.at[k][k == SGI_SPARSE_W_E ? i % M * in + i / M : i] = k == SGI_SPARSE_LOG_THETA ? logf(x) : x;
  }
  return SG_OK;
}

static sg_status read_layer(const sgi_sparse_set *s, sgi_sparse_layer *l, sg_error *err) {
  char name[SGI_SPARSE_LAYER_NAME + 32];
  snprintf(name, sizeof name, "layer-%zu/sae_weights.safetensors", l->layer);
  char *path = sgi_path_join(s->directory, name);
  sgi_safetensors *f = NULL;
  sg_status st = path ? sgi_safetensors_open(path, &f, err) : sgi_fail_memory(err, sizeof name, "a path");
  for (int k = 0; k < SGI_SPARSE_PARTS && !st; k++) st = read_part(l, f, (sgi_sparse_part)k, err);
  sgi_safetensors_close(f);
  sgi_free(path);
  return st;
}

static sg_status read_about(sgi_sparse_set *s, const char *where, sg_error *err) {
  char format[32];
  size_t version, site;
  const json_t *layers = json_object_get(s->about, "layers");
  const char *names[SGI_PLACES];
  for (int i = 0; i < SGI_PLACES; i++) names[i] = sgi_sparse_site_name((sgi_sparse_site)i);
  sg_status st = sgi_json_string(s->about, where, "format", format, sizeof format, err);
  if (!st && strcmp(format, "sgatlin-sparse"))
    st = sgi_fail(err, SG_ERR_FORMAT, "%s: format is \"%s\", expected sgatlin-sparse", where, format);
  if (!st) st = sgi_json_size(s->about, where, "version", 1, SGI_SPARSE_VERSION, &version, err);
  if (!st) st = word(s->about, where, "site", names, SGI_PLACES, &site, err);
  if (st) return st;
  s->site = (sgi_sparse_site)site;
  s->n = json_is_array(layers) ? json_array_size(layers) : 0;
  if (!s->n) return sgi_fail(err, SG_ERR_FORMAT, "%s: layers is no list, or empty", where);
  s->at = sgi_alloc(s->n * sizeof *s->at);
  if (!s->at) return sgi_fail_memory(err, s->n * sizeof *s->at, "a list of layers");
  for (size_t i = 0; i < s->n && !st; i++) {
    const json_t *o = json_array_get(layers, i);
    st = sgi_json_size(o, where, "layer", 0, 1 << 20, &s->at[i].layer, err);
    if (!st) st = read_form(o, where, &s->at[i].form, err);
    if (!st && i && s->at[i].layer <= s->at[i - 1].layer)
      st = sgi_fail(err, SG_ERR_FORMAT, "%s: layers do not ascend", where);
    if (!st && s->at[i].form.features > s->largest) s->largest = s->at[i].form.features;
  }
  return st;
}

static sg_status open_set(sgi_sparse_set *s, const char *where, sg_error *err) {
  sgi_arena a = {0};
  sg_status st = sgi_json_load(where, &s->about, err);
  if (!st) st = read_about(s, where, err);
  if (!st) st = sgi_binding_read(s->about, where, &s->of, err);
  if (st) return st;
  const char *model = json_string_value(json_object_get(s->about, "model"));
  s->model = sgi_strdup(model ? model : "");
  for (size_t i = 0; i < s->n; i++) sgi_sparse_take(&s->at[i].form, &a, &s->at[i].p);
  s->memory = a.used == SIZE_MAX ? NULL : sgi_alloc(a.used);
  if (!s->memory || !s->model) return sgi_fail_memory(err, a.used, "sparse MLPs");
  a = (sgi_arena){.base = s->memory, .size = a.used};
  for (size_t i = 0; i < s->n; i++) sgi_sparse_take(&s->at[i].form, &a, &s->at[i].p);
  for (size_t i = 0; i < s->n && !st; i++) st = read_layer(s, &s->at[i], err);
  return st;
}

sg_status sgi_sparse_set_open(const char *directory, sgi_sparse_set **out, sg_error *err) {
  *out = NULL;
  sgi_sparse_set *s = sgi_alloc(sizeof *s);
  char *where = sgi_path_join(directory, SGI_SPARSE_JSON);
  if (s) s->directory = sgi_strdup(directory);
  sg_status st = s && where && s->directory ? SG_OK : sgi_fail_memory(err, sizeof *s, "sparse MLPs");
  if (!st && !sgi_is_file(where))
    st = sgi_fail(err, SG_ERR_IO,
                  "%s: no %s, so no sparse MLPs of this program lie there (or their training did not "
                  "end: sparse train --resume)",
                  directory, SGI_SPARSE_JSON);
  if (!st) st = open_set(s, where, err);
  sgi_free(where);
  if (st)
    sgi_sparse_set_free(s);
  else
    *out = s;
  return st;
}

void sgi_sparse_set_free(sgi_sparse_set *s) {
  if (!s) return;
  sgi_binding_free(&s->of);
  json_decref(s->about);
  sgi_free(s->directory);
  sgi_free(s->model);
  sgi_free(s->memory);
  sgi_free(s->at);
  sgi_free(s);
}

sg_status sgi_sparse_set_find(const sgi_sparse_set *s, size_t layer, size_t *out, sg_error *err) {
  for (*out = 0; *out < s->n; ++*out)
    if (s->at[*out].layer == layer) return SG_OK;
  return sgi_fail(err, SG_ERR_ARG, "%s holds no sparse MLP of layer %zu: it has %zu, layers %zu to %zu", s->directory,
                  layer, s->n, s->at[0].layer, s->at[s->n - 1].layer);
}

sg_status sgi_sparse_set_places(const sgi_sparse_set *s, const sg_model *m, sgi_sparse_place *places, sg_error *err) {
  sg_status st = SG_OK;
  for (size_t i = 0; i < s->n && !st; i++) {
    const sgi_sparse_form *f = &s->at[i].form;
    st = sgi_sparse_place_of(m, s->site, s->at[i].layer, &places[i], err);
    if (!st && (f->in != m->config.hidden_size || f->out != m->config.hidden_size))
      st = sgi_fail(err, SG_ERR_ARG, "%s: layer %zu reads %zu numbers and writes %zu; the model's stream has %zu",
                    s->directory, s->at[i].layer, f->in, f->out, m->config.hidden_size);
  }
  return st;
}

/* ---- writing --------------------------------------------------------------------------------- */

/* What SAELens calls a site and an architecture. */
static void hook_name(char *out, size_t size, sgi_sparse_site site, size_t layer) {
  static const char *const names[SGI_PLACES] = {"ln2.hook_normalized", "hook_resid_pre", "hook_resid_mid",
                                                "hook_resid_post",     "hook_attn_out",  "ln2.hook_normalized",
                                                "hook_mlp_out"};
  snprintf(out, size, "blocks.%zu.%s", layer, names[site]);
}

static json_t *config(const sgi_sparse_layer *l, sgi_sparse_site site, const char *model) {
  static const char *const sae[] = {"standard", "topk", "jumprelu"};
  static const char *const transcoder[] = {"transcoder", "topk_transcoder", "jumprelu_transcoder"};
  const sgi_sparse_form *f = &l->form;
  char hook[64], hook_out[64];
  hook_name(hook, sizeof hook, site, l->layer);
  hook_name(hook_out, sizeof hook_out, site == SGI_PLACE_MLP ? SGI_PLACE_MLP_OUT : site, l->layer);
  json_t *o = json_pack("{s:s, s:I, s:I, s:s, s:s, s:b, s:s, s:s, s:{s:s, s:s, s:s}}", "architecture",
                        (site == SGI_PLACE_MLP ? transcoder : sae)[f->activation], "d_in", (json_int_t)f->in, "d_sae",
                        (json_int_t)f->features, "dtype", "float32", "device", "cpu", "apply_b_dec_to_input", 0,
                        "normalize_activations", "none", "reshape_activations", "none", "metadata", "model_name", model,
                        "hook_name", hook, "hook_name_out", hook_out);
  if (o && site == SGI_PLACE_MLP) json_object_set_new(o, "d_out", json_integer((json_int_t)f->out));
  if (o && f->activation == SGI_SPARSE_TOPK) {
    json_object_set_new(o, "k", json_integer((json_int_t)f->top_k));
    json_object_set_new(o, "rescale_acts_by_decoder_norm", json_false());
  }
  return o;
}

static sg_status save_tensors(const char *path, const sgi_sparse_layer *l, sg_error *err) {
  const sgi_sparse_form *f = &l->form;
  size_t M = f->features;
  float *w_e = sgi_alloc(M * f->in * sizeof *w_e), *theta = sgi_alloc(M * sizeof *theta);
  if (!w_e || !theta) {
    sgi_free(w_e);
    sgi_free(theta);
    return sgi_fail_memory(err, M * f->in * sizeof *w_e, "an encoder to write");
  }
  for (size_t j = 0; j < M; j++)
    for (size_t d = 0; d < f->in; d++) w_e[d * M + j] = l->p.at[SGI_SPARSE_W_E][j * f->in + d];
  bool jump = f->activation == SGI_SPARSE_JUMPRELU;
  for (size_t j = 0; j < M && jump; j++) theta[j] = expf(l->p.at[SGI_SPARSE_LOG_THETA][j]);
  const sgi_tensor t[] = {{.name = "W_dec", .n_dims = 2, .dims = {M, f->out}, .data = l->p.at[SGI_SPARSE_W_D]},
                          {.name = "W_enc", .n_dims = 2, .dims = {f->in, M}, .data = w_e},
                          {.name = "b_dec", .n_dims = 1, .dims = {f->out}, .data = l->p.at[SGI_SPARSE_B_D]},
                          {.name = "b_enc", .n_dims = 1, .dims = {M}, .data = l->p.at[SGI_SPARSE_B_E]},
                          {.name = "threshold", .n_dims = 1, .dims = {M}, .data = theta}};
  sg_status st = sgi_safetensors_save(path, t, jump ? 5 : 4, NULL, 0, err);
  sgi_free(w_e);
  sgi_free(theta);
  return st;
}

sg_status sgi_sparse_layer_save(const char *directory, const sgi_sparse_layer *l, sgi_sparse_site site,
                                const char *model, sg_error *err) {
  char name[SGI_SPARSE_LAYER_NAME];
  layer_name(name, l->layer);
  char *folder = sgi_path_join(directory, name);
  char *weights = folder ? sgi_path_join(folder, "sae_weights.safetensors") : NULL;
  char *about = folder ? sgi_path_join(folder, "cfg.json") : NULL;
  json_t *o = config(l, site, model);
  sg_status st = weights && about && o ? SG_OK : sgi_fail_memory(err, sizeof name, "a layer to write");
  if (!st) st = sgi_make_directory(folder, err);
  if (!st) st = save_tensors(weights, l, err);
  if (!st) st = sgi_json_save(about, o, err);
  json_decref(o);
  sgi_free(folder);
  sgi_free(weights);
  sgi_free(about);
  return st;
}

static sg_status hash_file(const char *directory, const char *name, uint64_t *bytes, char hash[SGI_HASH_TEXT],
                           sg_error *err) {
  uint64_t h = 0;
  char *path = sgi_path_join(directory, name);
  sg_status st = path ? sgi_hash_file(path, bytes, &h, err) : sgi_fail_memory(err, strlen(name), "a path");
  snprintf(hash, SGI_HASH_TEXT, "%016llx", (unsigned long long)h);
  sgi_free(path);
  return st;
}

sg_status sgi_sparse_set_save(const char *directory, const sgi_sparse_layer *layers, size_t n, json_t *about,
                              sg_error *err) {
  static const char *const files[] = {"cfg.json", "sae_weights.safetensors"};
  json_t *list = json_array();
  sg_status st = list ? SG_OK : sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  for (size_t i = 0; i < 2 * n && !st; i++) {
    char name[SGI_SPARSE_LAYER_NAME + 32], hash[SGI_HASH_TEXT];
    uint64_t bytes;
    snprintf(name, sizeof name, "layer-%zu/%s", layers[i / 2].layer, files[i % 2]);
    st = hash_file(directory, name, &bytes, hash, err);
    if (!st)
      json_array_append_new(list, json_pack("{s:s, s:I, s:s}", "name", name, "bytes", (json_int_t)bytes, "xxh3", hash));
  }
  if (!st) json_object_set(about, "files", list);
  char *path = st ? NULL : sgi_path_join(directory, SGI_SPARSE_JSON);
  if (!st) st = path ? sgi_json_save(path, about, err) : sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  json_decref(list);
  sgi_free(path);
  return st;
}

static sg_status verify_file(const char *directory, const json_t *o, const char *where, sg_error *err) {
  char name[128], want[SGI_HASH_TEXT], hash[SGI_HASH_TEXT];
  uint64_t bytes, want_bytes;
  sg_status st = sgi_json_string(o, where, "name", name, sizeof name, err);
  if (!st) st = sgi_json_string(o, where, "xxh3", want, sizeof want, err);
  if (!st) st = sgi_json_u64(o, where, "bytes", &want_bytes, err);
  if (!st && (name[0] == '/' || strstr(name, "..")))
    st = sgi_fail(err, SG_ERR_FORMAT, "%s: file %.100s lies outside", where, name);
  if (!st) st = hash_file(directory, name, &bytes, hash, err);
  if (!st && (bytes != want_bytes || strcmp(hash, want)))
    st = sgi_fail(err, SG_ERR_FORMAT, "%s/%s is not what was written: %llu bytes with hash %s, expected %llu and %s",
                  directory, name, (unsigned long long)bytes, hash, (unsigned long long)want_bytes, want);
  return st;
}

sg_status sgi_sparse_set_verify(const char *directory, sg_error *err) {
  char *where = sgi_path_join(directory, SGI_SPARSE_JSON);
  json_t *o = NULL;
  sg_status st = where ? sgi_json_load(where, &o, err) : sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  const json_t *files = json_object_get(o, "files");
  if (!st && !json_array_size(files)) st = sgi_fail(err, SG_ERR_FORMAT, "%s lists no files", where);
  for (size_t i = 0; i < json_array_size(files) && !st; i++)
    st = verify_file(directory, json_array_get(files, i), where, err);
  json_decref(o);
  sgi_free(where);
  return st;
}
