#include "read/record_beside.h"

#include <math.h>

#include "core/arena.h"
#include "core/half.h"
#include "ffn/beside.h"
#include "read/recording_inside.h"

static const sgi_site_id sites[SGI_RECORDED_BESIDE] = {SGI_SITE_ALWAYS, SGI_SITE_SINK_OUT};
static const char *const keys[SGI_RECORDED_BESIDE] = {"always", "sink_mlp"};

enum { MOST = 1 << 20 };

bool sgi_recorded_beside_of(const sg_model *m, size_t layer, sgi_recorded_beside *out) {
  const sgi_sublayer *s = sgi_feedforward_of(m, layer);
  *out = (sgi_recorded_beside){.layer = layer};
  if (!s) return false;
  out->width[SGI_RECORDED_ALWAYS] = sgi_beside_neurons(s->config, SGI_ALWAYS_ON);
  out->width[SGI_RECORDED_SINK] = sgi_beside_neurons(s->config, SGI_SINK_MLP) ? s->config->hidden_size : 0;
  return sgi_recorded_beside_tensors(out) > 0;
}

const char *sgi_recorded_beside_name(size_t part) { return sgi_site_row_of(sites[part])->name; }

json_t *sgi_recorded_beside_json(const sgi_recorded_beside *list, size_t n) {
  json_t *a = json_array();
  int bad = !a;
  for (size_t i = 0; i < n; i++) {
    json_t *o = json_pack("{s:I}", "layer", (json_int_t)list[i].layer);
    for (size_t part = 0; part < SGI_RECORDED_BESIDE; part++)
      if (list[i].width[part]) bad |= json_object_set_new(o, keys[part], json_integer((json_int_t)list[i].width[part]));
    bad |= json_array_append_new(a, o);
  }
  if (!bad) return a;
  json_decref(a);
  return NULL;
}

/* ---- reading --------------------------------------------------------------------------------- */

static const void *tensor_of(const sgi_recording *r, const shard *s, const sgi_recorded_beside *b, size_t part,
                             sg_error *err) {
  char name[SGI_RECORD_NAME];
  sgi_record_tensor_name(name, b->layer, sgi_recorded_beside_name(part));
  return sgi_recording_tensor(s->file, name, r->half ? SGI_F16 : SGI_F32, s->count, b->width[part], 0, err);
}

static sg_status read_one(const sgi_recording *r, const json_t *o, const char *where, size_t least,
                          sgi_recorded_beside *b, sg_error *err) {
  sg_status st = sgi_json_size(o, where, "layer", least, r->info.model_layers - 1, &b->layer, err);
  for (size_t part = 0; part < SGI_RECORDED_BESIDE && !st; part++)
    if (json_object_get(o, keys[part])) st = sgi_json_size(o, where, keys[part], 1, MOST, &b->width[part], err);
  if (!st && !sgi_recorded_beside_tensors(b))
    st = sgi_fail(err, SG_ERR_FORMAT, "%s: beside: layer %zu has neither always nor sink_mlp", where, b->layer);
  for (size_t i = 0; i < r->n_shards && !st; i++)
    for (size_t part = 0; part < SGI_RECORDED_BESIDE && !st; part++)
      if (b->width[part] && !tensor_of(r, &r->shards[i], b, part, err)) st = SG_ERR_FORMAT;
  return st;
}

/* Types and shapes, once; values when they are used. */
sg_status sgi_recording_open_beside(sgi_recording *r, const json_t *o, const char *where, sg_error *err) {
  const json_t *all = json_object_get(o, "beside"), *list = json_object_get(all, "layers");
  char type[8] = "";
  size_t n = json_array_size(list);
  if (!all) return SG_OK;
  sg_status st = sgi_json_string(all, where, "values", type, sizeof type, err);
  if (!st && strcmp(type, "F16") && strcmp(type, "F32"))
    st = sgi_fail(err, SG_ERR_FORMAT, "%s: beside: values is \"%s\": expected \"F16\" or \"F32\"", where, type);
  if (!st && r->info.n_layers && r->half != !strcmp(type, "F16") && r->valued)
    st = sgi_fail(err, SG_ERR_FORMAT, "%s: beside: values is \"%s\", of circuits it is another type", where, type);
  if (!st && (!n || n > r->info.model_layers))
    st = sgi_fail(err, SG_ERR_FORMAT, "%s: beside must list 1 to %zu layers", where, r->info.model_layers);
  if (!st && !(r->beside = sgi_alloc(n * sizeof *r->beside)))
    st = sgi_fail_memory(err, n * sizeof *r->beside, "a recording");
  if (!st) r->half = !strcmp(type, "F16");
  for (size_t i = 0; i < n && !st; i++) {
    st = read_one(r, json_array_get(list, i), where, i ? r->beside[i - 1].layer + 1 : 0, &r->beside[i], err);
    if (!st) r->n_beside++;
  }
  return st;
}

const sgi_recorded_beside *sgi_recording_beside(const sgi_recording *r, size_t layer) {
  for (size_t i = 0; i < r->n_beside; i++)
    if (r->beside[i].layer == layer) return &r->beside[i];
  return NULL;
}

bool sgi_recording_beside_values(const sgi_recording *r, size_t layer, size_t part, size_t position, float *out) {
  const sgi_recorded_beside *b = sgi_recording_beside(r, layer);
  if (!b || !b->width[part]) return false;
  size_t row, width = b->width[part];
  const shard *s = sgi_recording_shard(r, position, &row);
  const void *data = tensor_of(r, s, b, part, NULL);
  for (size_t i = row * width, k = 0; k < width; i++, k++) {
    out[k] = r->half ? sgi_from_half(((const uint16_t *)data)[i]) : ((const float *)data)[i];
    if (isfinite(out[k])) continue;
    sgi_recording_spoil(r, s->file, "layer %zu: %s at position %zu is not finite", layer,
                        sgi_recorded_beside_name(part), row);
    out[k] = 0;
  }
  return true;
}
