/* A recording, opened and read (docs/formats-recording.md has the bytes).
 *
 * Idea. A recording is larger than memory, and whoever asks wants a few places of it: one
 * position's circuit, one neuron's positions. So nothing is read; files are mapped, checked once,
 * and answers are pointers into the maps.
 *
 *   positions      0 ........... 70k .......... 140k ....       over all documents, in order
 *   shards         [ shard 0     ][ shard 1     ][ ...          found by bisection over `first`
 *   in a shard     input target document place predictions      arrays (n) and (n,5)
 *                  per recorded layer: index, score, value      (n,C,K) each
 *   documents      ^first[0] ^first[1] ...                made here from `document` and `place`
 *
 *   index of a layer (made by record_index.c)
 *     start        [ list 0 | list 1 | ... | list C*F ]         a list a neuron, up to the next
 *     position     [ 3 9 17 | 4 9 | ...                ]        ascending in a list
 *     score        [ . .  . | . . | ...                ]        beside it
 *     norms        (C+1, positions)                             squared lengths, for cosines
 *
 * A *slot* is the place of a layer among the recorded ones; users say layers, sgi_recording_slot
 * turns one into the other. `parts` is one block (n_shards, n_layers): a shard's `layers` points
 * into it.
 *
 * Invariants, all checked when it is opened, because files are hostile and nothing is checked
 * again: types and shapes of every tensor; shards add up to `positions`; documents are numbered
 * without a gap and places count from 0 within each; starts of lists ascend and end at positions
 * * C * K. What is not checked there is bounded where it is used: a neuron's index against the
 * pool, a position of an index list against n_positions (both cost a look at every entry).
 *
 * Opening without the index (sgi_recording_open_shards) is for who makes the index.
 *
 * Not taken. One file for all: a full disk would then cost the whole recording, not its last
 * shard. Reading shards into memory: a map needs no more than what is looked at. */
#include "read/recording.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/arena.h"
#include "core/manifest.h"
#include "ffn/meta.h"
#include "read/recording_inside.h"

enum { MAX_SHARDS = 1 << 20, MAX_VOCABULARY = 1 << 25, HASHED = 64 << 20 };

void sgi_record_shard_name(char out[SGI_RECORD_NAME], size_t number) {
  snprintf(out, SGI_RECORD_NAME, "shard-%05zu.safetensors", number);
}
void sgi_record_index_name(char out[SGI_RECORD_NAME], size_t layer) {
  snprintf(out, SGI_RECORD_NAME, "index-layer-%zu.safetensors", layer);
}
void sgi_record_tensor_name(char out[SGI_RECORD_NAME], size_t layer, const char *what) {
  snprintf(out, SGI_RECORD_NAME, "layers.%zu.%s", layer, what);
}

const sgi_recording_info *sgi_recording_info_of(const sgi_recording *r) { return &r->info; }

sg_status sgi_recording_slot(const sgi_recording *r, size_t layer, size_t *slot, sg_error *err) {
  for (size_t s = 0; s < r->info.n_layers; s++)
    if (r->layers[s] == layer) return *slot = s, SG_OK;
  char list[160];
  size_t n = 0;
  if (!r->info.n_layers)
    return sgi_fail(err, SG_ERR_ARG, "%s holds neurons alone and no circuits: its model has no router", r->directory);
  list[0] = 0;
  for (size_t s = 0; s < r->info.n_layers && n + 24 < sizeof list; s++)
    n += (size_t)snprintf(list + n, sizeof list - n, "%s%zu", s ? ", " : "", r->layers[s]);
  return sgi_fail(err, SG_ERR_ARG, "layer %zu was not recorded; %s holds layers %s", layer, r->directory, list);
}

bool sgi_recording_neurons(const sgi_recording *r, const sg_model *m, size_t slot) {
  const sgi_sublayer *s = sgi_feedforward_of(m, r->layers[slot]);
  if (!s) return false;
  const sgi_site_row *choice = sgi_site_row_of(sgi_ffn_site(s->ffn, SGI_SITE_CHOICE));
  const sgi_slot *z = &r->slots[slot];
  return choice->holds == SGI_AXIS_NEURON && z->channels == s->config->num_channels &&
         z->pool == s->config->num_neurons;
}

typedef struct size_pair {
  const char *what;
  size_t recorded, model;
} size_pair;

static sg_status same_sizes(const size_pair *pairs, size_t n, const char *name, sg_error *err) {
  for (size_t k = 0; k < n; k++)
    if (pairs[k].recorded != pairs[k].model)
      return sgi_fail(err, SG_ERR_ARG, "%s was recorded from another model: it had %zu %s, this one has %zu", name,
                      pairs[k].recorded, pairs[k].what, pairs[k].model);
  return SG_OK;
}

sg_status sgi_recording_bind(const sgi_recording *r, const sg_model *m, const char *name, sgi_bound *bound,
                             sg_error *err) {
  const sgi_recording_info *i = &r->info;
  const sg_config *c = &m->config;
  *bound = SGI_UNKNOWN;
  if (i->n_layers && !sgi_model_chooses(m))
    return sgi_fail(err, SG_ERR_ARG, "%s holds circuits, and this model's feedforward kind (%s) has none", name,
                    c->feedforward);
  const size_pair whole[] = {{"layers", i->model_layers, c->num_layers},
                             {"tokens in its vocabulary", i->vocab_size, c->vocab_size}};
  sg_status st = same_sizes(whole, SGI_COUNT(whole), name, err);
  for (size_t s = 0; s < i->n_layers && !st; s++) {
    sgi_gates g = {0}; /* a layer without any has none of these */
    sgi_layer_gates(m, i->layers[s], &g);
    const size_pair layer[] = {{"channels", i->slots[s].channels, g.channels},
                               {"neurons a pool", i->slots[s].pool, g.pool},
                               {"neurons chosen a channel", i->slots[s].top_k, g.top_k}};
    st = same_sizes(layer, SGI_COUNT(layer), name, err);
  }
  for (size_t k = 0; k < r->n_kept && !st; k++) {
    const sgi_sublayer *f = sgi_feedforward_of(m, r->kept[k].layer);
    const size_pair layer[] = {{"channels", r->kept[k].channels, f ? sgi_unit_channels(f->config) : 1},
                               {"neurons in a layer", r->kept[k].neurons, f ? f->config->num_neurons : 0}};
    st = same_sizes(layer, SGI_COUNT(layer), name, err);
  }
  return st ? st : sgi_binding_compare(&i->of, m, name, i->model, bound, err);
}

/* ---- opening --------------------------------------------------------------------------------- */

/* The tensor `name` of f with this type and shape; NULL with err filled otherwise. */
const void *sgi_recording_tensor(const sgi_safetensors *f, const char *name, sgi_dtype dtype, size_t d0, size_t d1,
                                 size_t d2, sg_error *err) {
  const sgi_tensor *t = sgi_safetensors_find(f, name);
  size_t dims[] = {d0, d1, d2};
  int n_dims = d2 ? 3 : d1 ? 2 : 1;
  bool right = t && t->dtype == dtype && t->n_dims == n_dims;
  for (int i = 0; right && i < n_dims; i++) right = t->dims[i] == dims[i];
  if (right && t->data) return t->data;
  sgi_fail(err, SG_ERR_FORMAT, "%s: tensor %s is %s: expected %s of shape [%zu%s%zu%s%zu]; record it anew",
           sgi_safetensors_path(f), name, t ? "of another type or shape" : "missing", sgi_dtype_name(dtype), d0,
           d1 ? ", " : " ", d1, d2 ? ", " : " ", d2);
  return NULL;
}

static sg_status open_layer(const sgi_recording *r, shard *s, size_t slot, sg_error *err) {
  char name[SGI_RECORD_NAME];
  const sgi_slot *z = &r->slots[slot];
  size_t C = z->channels, K = z->top_k;
  layer_part *p = &s->layers[slot];
  sgi_record_tensor_name(name, r->layers[slot], "router.indices");
  if (!(p->index = sgi_recording_tensor(s->file, name, wide(z) ? SGI_I32 : SGI_I16, s->count, C, K, err)))
    return SG_ERR_FORMAT;
  sgi_record_tensor_name(name, r->layers[slot], "router.scores");
  if (!(p->score = sgi_recording_tensor(s->file, name, SGI_F32, s->count, C, K, err))) return SG_ERR_FORMAT;
  sgi_record_tensor_name(name, r->layers[slot], "meta.probabilities");
  if (z->pools && !sgi_recording_tensor(s->file, name, SGI_F32, s->count, z->pools, 0, err)) return SG_ERR_FORMAT;
  sgi_record_tensor_name(name, r->layers[slot], "meta.choice");
  if (z->pools && !sgi_recording_tensor(s->file, name, SGI_I32, s->count, z->picks, 0, err)) return SG_ERR_FORMAT;
  if (!z->has_values) return SG_OK;
  sgi_record_tensor_name(name, r->layers[slot], "neurons");
  p->value = sgi_recording_tensor(s->file, name, r->half ? SGI_F16 : SGI_F32, s->count, C, K, err);
  return p->value ? SG_OK : SG_ERR_FORMAT;
}

sg_status sgi_recording_part(const sgi_recording *r, const char *name, sgi_safetensors **out, sg_error *err) {
  char *path = sgi_path_join(r->directory, name);
  if (!path) return sgi_fail_memory(err, strlen(r->directory), "a path");
  sg_status st = SG_OK;
  if (!sgi_is_file(path))
    st = sgi_fail(err, SG_ERR_FORMAT,
                  "%s is missing: the recording was not finished; run the same record command again", path);
  if (!st) st = sgi_safetensors_open(path, out, err);
  sgi_free(path);
  return st;
}

static sg_status open_shard(sgi_recording *r, size_t i, size_t first, size_t count, sg_error *err) {
  char name[SGI_RECORD_NAME];
  shard *s = &r->shards[i];
  *s = (shard){.first = first, .count = count, .layers = r->parts + i * r->info.n_layers};
  sgi_record_shard_name(name, i);
  sg_status st = sgi_recording_part(r, name, &s->file, err);
  if (st) return st;
  const struct {
    const char *name;
    const int32_t **to;
    size_t width;
  } plain[] = {{"input", &s->input, 0},
               {"target", &s->target, 0},
               {"document", &s->document, 0},
               {"place", &s->place, 0},
               {"predictions", &s->predictions, SGI_RECORD_PREDICTIONS}};
  for (size_t k = 0; k < SGI_COUNT(plain); k++)
    if (!(*plain[k].to = sgi_recording_tensor(s->file, plain[k].name, SGI_I32, count, plain[k].width, 0, err)))
      return SG_ERR_FORMAT;
  for (size_t k = 0; k < r->info.n_layers && !st; k++) st = open_layer(r, s, k, err);
  return st;
}

/* Where documents begin, from the shards' own numbers, which must ascend. */
static sg_status place_documents(sgi_recording *r, sg_error *err) {
  size_t next = 0;
  for (size_t i = 0; i < r->n_shards; i++)
    for (size_t k = 0; k < r->shards[i].count; k++) {
      const shard *s = &r->shards[i];
      int32_t d = s->document[k], place = s->place[k];
      bool begins = place == 0 && d >= 0 && (size_t)d == next;
      bool goes_on =
          next && place > 0 && (size_t)d == next - 1 && s->first + k - r->document_first[next - 1] == (size_t)place;
      if ((!begins && !goes_on) || (begins && next == r->info.n_documents))
        return sgi_fail(err, SG_ERR_FORMAT, "%s: document or place of position %zu is out of order",
                        sgi_safetensors_path(s->file), k);
      if (begins) r->document_first[next++] = s->first + k;
    }
  if (next != r->info.n_documents)
    return sgi_fail(err, SG_ERR_FORMAT, "%s: %zu documents where recording.json says %zu", r->directory, next,
                    r->info.n_documents);
  r->document_first[next] = r->info.n_positions;
  return SG_OK;
}

static sg_status open_shards(sgi_recording *r, const json_t *o, const char *where, sg_error *err) {
  const json_t *list = json_object_get(o, "shards");
  r->n_shards = json_array_size(list);
  size_t bytes;
  if (!r->n_shards || r->n_shards > MAX_SHARDS ||
      !sgi_size_mul(r->n_shards * sizeof *r->parts, r->info.n_layers + 1, &bytes))
    return sgi_fail(err, SG_ERR_FORMAT, "%s: shards must be a list of 1 to %d entries", where, MAX_SHARDS);
  r->shards = sgi_alloc(r->n_shards * sizeof *r->shards);
  r->parts = sgi_alloc(bytes);
  if (!r->shards || !r->parts) return sgi_fail_memory(err, bytes, "a recording");
  size_t first = 0;
  for (size_t i = 0; i < r->n_shards; i++) {
    size_t count;
    sg_status st = sgi_json_size(json_array_get(list, i), where, "positions", 1, UINT32_MAX, &count, err);
    if (!st) st = open_shard(r, i, first, count, err);
    if (st) return st;
    first += count;
  }
  if (first != r->info.n_positions)
    return sgi_fail(err, SG_ERR_FORMAT, "%s: the shards hold %zu positions, \"positions\" says %zu", where, first,
                    r->info.n_positions);
  r->document_first = sgi_alloc((r->info.n_documents + 1) * sizeof *r->document_first);
  if (!r->document_first) return sgi_fail_memory(err, r->info.n_documents * sizeof *r->document_first, "a recording");
  return place_documents(r, err);
}

static sg_status read_layers(sgi_recording *r, const json_t *o, const char *where, sg_error *err) {
  const json_t *list = json_object_get(o, "layers");
  sgi_recording_info *info = &r->info;
  info->n_layers = json_array_size(list);
  size_t least = json_object_get(o, "neurons") ? 0 : 1;
  if (!json_is_array(list) || info->n_layers < least || info->n_layers > info->model_layers)
    return sgi_fail(err, SG_ERR_FORMAT, "%s: layers must list %zu to %zu layers", where, least, info->model_layers);
  r->layers = sgi_alloc((info->n_layers + 1) * sizeof *r->layers);
  if (!r->layers) return sgi_fail_memory(err, info->n_layers * sizeof *r->layers, "a recording");
  info->layers = r->layers;
  for (size_t i = 0; i < info->n_layers; i++) {
    const json_t *v = json_array_get(list, i);
    json_int_t l = json_integer_value(v);
    if (!json_is_integer(v) || l < 0 || (size_t)l >= info->model_layers || (i && (size_t)l <= r->layers[i - 1]))
      return sgi_fail(err, SG_ERR_FORMAT, "%s: layers must ascend and lie below %zu", where, info->model_layers);
    r->layers[i] = (size_t)l;
  }
  return SG_OK;
}

/* Sizes of one layer, out of the recording's own object or of an entry of "sizes". */
static sg_status read_slot(const json_t *o, const char *where, sgi_slot *z, bool *half, sg_error *err) {
  char value[8] = "";
  size_t cells;
  sg_status st = sgi_json_size(o, where, "channels", 1, INT32_MAX, &z->channels, err);
  if (!st) st = sgi_json_size(o, where, "top_k", 1, 4096, &z->top_k, err);
  if (!st) st = sgi_json_size(o, where, "pool", 1, INT32_MAX, &z->pool, err);
  if (!st) st = sgi_json_bool(o, where, "pool_per_channel", &z->pool_per_channel, err);
  if (!st) st = sgi_json_string(o, where, "values", value, sizeof value, err);
  if (st) return st;
  if (strcmp(value, "none") && strcmp(value, "F16") && strcmp(value, "F32"))
    return sgi_fail(err, SG_ERR_FORMAT, "%s: values is \"%s\": expected \"F16\", \"F32\" or \"none\"", where, value);
  z->has_values = strcmp(value, "none") != 0;
  *half = *half || !strcmp(value, "F16");
  if (z->top_k > z->pool)
    return sgi_fail(err, SG_ERR_FORMAT, "%s: top_k is %zu, more than the pool of %zu", where, z->top_k, z->pool);
  z->thresholds = NULL;
  z->pools = z->picks = 0;
  if (json_object_get(o, "pools") || json_object_get(o, "picks")) {
    st = sgi_json_size(o, where, "pools", 1, SGI_META_MOST, &z->pools, err);
    if (!st) st = sgi_json_size(o, where, "picks", 1, z->pools, &z->picks, err);
    if (st) return st;
    if (z->pool % z->pools || z->top_k % z->picks)
      return sgi_fail(err, SG_ERR_FORMAT, "%s: %zu pools can not make up a pool of %zu, nor %zu picks top_k %zu", where,
                      z->pools, z->pool, z->picks, z->top_k);
  }
  if (!sgi_size_mul(z->channels, z->pool, &cells) || !sgi_size_mul(z->channels, z->top_k, &cells) || cells > INT32_MAX)
    return sgi_fail(err, SG_ERR_FORMAT, "%s: channels x top_k is too large", where);
  return SG_OK;
}

/* Thresholds of gates, one a channel. */
static sg_status read_thresholds(const json_t *o, const char *where, sgi_slot *z, sg_error *err) {
  const json_t *list = json_object_get(o, "thresholds");
  if (!list) return SG_OK;
  size_t n = sgi_recording_thresholds(z);
  if (!json_is_array(list) || json_array_size(list) != n)
    return sgi_fail(err, SG_ERR_FORMAT, "%s: thresholds must list %zu numbers, one a channel%s", where, n,
                    z->pools ? " of each pool" : "");
  float *theta = sgi_alloc(n * sizeof *theta);
  if (!theta) return sgi_fail_memory(err, n * sizeof *theta, "thresholds");
  z->thresholds = theta;
  for (size_t c = 0; c < n; c++) {
    const json_t *v = json_array_get(list, c);
    theta[c] = (float)json_number_value(v);
    if (!json_is_number(v) || !isfinite(theta[c]))
      return sgi_fail(err, SG_ERR_FORMAT, "%s: thresholds[%zu] is no number", where, c);
  }
  return SG_OK;
}

static sg_status read_slots(sgi_recording *r, const json_t *o, const char *where, sg_error *err) {
  sgi_recording_info *info = &r->info;
  const json_t *list = json_object_get(o, "sizes");
  info->slots = r->slots = sgi_alloc((info->n_layers + 1) * sizeof *r->slots);
  if (!r->slots) return sgi_fail_memory(err, info->n_layers * sizeof *r->slots, "a recording");
  if (list && (!json_is_array(list) || json_array_size(list) != info->n_layers))
    return sgi_fail(err, SG_ERR_FORMAT, "%s: sizes must list the %zu recorded layers", where, info->n_layers);
  sg_status st = SG_OK;
  for (size_t i = 0; i < info->n_layers && !st; i++) {
    const json_t *one = list ? json_array_get(list, i) : o;
    st = read_slot(one, where, &r->slots[i], &r->half, err);
    r->valued = r->valued || r->slots[i].has_values;
    if (!st) st = read_thresholds(one, where, &r->slots[i], err);
  }
  return st;
}

static sg_status read_info(sgi_recording *r, const json_t *o, const char *where, sg_error *err) {
  sgi_recording_info *info = &r->info;
  char format[32] = "";
  size_t version;
  sg_status st = sgi_json_string(o, where, "format", format, sizeof format, err);
  if (!st && strcmp(format, "sgatlin-recording"))
    st = sgi_fail(err, SG_ERR_FORMAT, "%s: format is \"%s\": expected \"sgatlin-recording\"", where, format);
  if (!st) st = sgi_json_size(o, where, "version", 1, SGI_RECORD_VERSION, &version, err);
  if (!st) st = sgi_json_size(o, where, "positions", 1, UINT32_MAX, &info->n_positions, err);
  if (!st) st = sgi_json_size(o, where, "documents", 1, info->n_positions, &info->n_documents, err);
  if (!st) st = sgi_json_size(o, where, "model_layers", 1, 65536, &info->model_layers, err);
  if (!st) st = sgi_json_size(o, where, "seq_len", 1, INT32_MAX, &info->seq_len, err);
  if (!st) st = sgi_json_size(o, where, "vocab_size", 1, MAX_VOCABULARY, &info->vocab_size, err);
  if (!st) st = sgi_json_i32(o, where, "bos", 0, INT32_MAX, &info->bos, err);
  if (!st) st = sgi_json_i32(o, where, "pad", -1, INT32_MAX, &info->pad, err);
  if (!st) st = sgi_json_bool(o, where, "padding", &info->padding, err);
  if (!st) st = read_layers(r, o, where, err);
  if (!st) st = read_slots(r, o, where, err);
  if (!st) st = sgi_binding_read(o, where, &info->of, err);
  if (st) return st;
  const char *model = json_string_value(json_object_get(o, "model"));
  r->model = sgi_strdup(model ? model : "");
  info->model = r->model;
  if (!r->model) return sgi_fail_memory(err, 1, "a recording");
  if ((size_t)info->bos >= info->vocab_size || (info->pad >= 0 && (size_t)info->pad >= info->vocab_size))
    return sgi_fail(err, SG_ERR_FORMAT, "%s: bos and pad must lie in the vocabulary of %zu", where, info->vocab_size);
  return SG_OK;
}

static sg_status open_index(sgi_recording *r, size_t slot, sg_error *err) {
  char name[SGI_RECORD_NAME];
  const sgi_recording_info *info = &r->info;
  layer_index *x = &r->index[slot];
  sgi_record_index_name(name, r->layers[slot]);
  sg_status st = sgi_recording_part(r, name, &x->file, err);
  if (st) return st;
  const sgi_slot *z = &info->slots[slot];
  size_t lists = z->channels * z->pool, entries = info->n_positions * z->channels * z->top_k;
  const sgi_tensor *listed = sgi_safetensors_find(x->file, "position");
  if (z->thresholds && listed && listed->count < entries) entries = listed->count; /* of what acts */
  x->start = sgi_recording_tensor(x->file, "start", SGI_U64, lists + 1, 0, 0, err);
  if (x->start) x->position = sgi_recording_tensor(x->file, "position", SGI_U32, entries, 0, 0, err);
  if (x->position) x->score = sgi_recording_tensor(x->file, "score", SGI_F32, entries, 0, 0, err);
  if (x->score) x->norms = sgi_recording_tensor(x->file, "norms", SGI_F64, z->channels + 1, info->n_positions, 0, err);
  if (!x->norms) return SG_ERR_FORMAT;
  x->looked_at = sgi_alloc(lists * sizeof *x->looked_at);
  if (!x->looked_at) return sgi_fail_memory(err, lists, "the state of a recording's lists");
  bool right = x->start[0] == 0 && x->start[lists] == entries;
  for (size_t i = 0; right && i < lists; i++) right = x->start[i] <= x->start[i + 1];
  return right ? SG_OK
               : sgi_fail(err, SG_ERR_FORMAT,
                          "%s: the starts of the lists do not ascend: the file is damaged, record anew",
                          sgi_safetensors_path(x->file));
}

static sg_status open_recording(const char *directory, bool with_index, sgi_recording **out, sg_error *err) {
  *out = NULL;
  sgi_recording *r = sgi_alloc(sizeof *r);
  char *where = sgi_path_join(directory, "recording.json");
  json_t *o = NULL;
  sg_status st = SG_OK;
  if (!r || !where || !(r->directory = sgi_strdup(directory)) || !(r->damage = sgi_alloc(sizeof *r->damage)))
    st = sgi_fail_memory(err, sizeof *r, "a recording");
  if (!st && !sgi_is_file(where))
    st = sgi_fail(err, SG_ERR_IO, "%s is not a recording: it has no recording.json (sgatlin record makes one)",
                  directory);
  if (!st) st = sgi_json_load(where, &o, err);
  if (!st) st = read_info(r, o, where, err);
  if (!st) st = open_shards(r, o, where, err);
  if (!st) st = sgi_recording_open_beside(r, o, where, err);
  if (!st) st = sgi_json_bool(o, where, "index", &r->indexed, err);
  if (!st && !(r->index = sgi_alloc((r->info.n_layers + 1) * sizeof *r->index)))
    st = sgi_fail_memory(err, r->info.n_layers * sizeof *r->index, "a recording");
  if (!with_index && r) r->indexed = false;
  if (!st && with_index) st = sgi_recording_open_kept(r, o, where, err);
  for (size_t s = 0; !st && r->indexed && s < r->info.n_layers; s++) st = open_index(r, s, err);
  json_decref(o);
  sgi_free(where);
  if (st)
    sg_recording_close(r);
  else
    *out = r;
  return st;
}

/* recording.json is left out of the hashes: older versions of it lack keys, and all it says is
 * checked against the files. */
sg_status sg_recording_open(const char *directory, sgi_recording **out, sg_error *err) {
  sg_status st = open_recording(directory, true, out, err);
  if (st || !(st = sgi_manifest_glance(directory, "recording.json", HASHED, err))) return st;
  sg_recording_close(*out);
  *out = NULL;
  return st;
}
sg_status sgi_recording_open_shards(const char *directory, sgi_recording **out, sg_error *err) {
  return open_recording(directory, false, out, err);
}

void sg_recording_close(sgi_recording *r) {
  if (!r) return;
  for (size_t i = 0; r->shards && i < r->n_shards; i++) sgi_safetensors_close(r->shards[i].file);
  for (size_t i = 0; r->index && i < r->info.n_layers; i++) {
    sgi_safetensors_close(r->index[i].file);
    sgi_free(r->index[i].looked_at);
  }
  sgi_binding_free(&r->info.of);
  sgi_safetensors_close(r->kept_file);
  sgi_free(r->kept);
  sgi_free(r->beside);
  sgi_free(r->damage);
  sgi_free(r->shards);
  sgi_free(r->parts);
  sgi_free(r->index);
  sgi_free(r->layers);
  for (size_t i = 0; r->slots && i < r->info.n_layers; i++) sgi_free((void *)(uintptr_t)r->slots[i].thresholds);
  sgi_free(r->slots);
  sgi_free(r->document_first);
  sgi_free(r->directory);
  sgi_free(r->model);
  sgi_free(r);
}
