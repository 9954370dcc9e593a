/* recording_kept.c: neurons that a recording keeps one by one: opened and read. */
#include <math.h>
#include <stdio.h>

#include "core/arena.h"
#include "read/recording_inside.h"

static sg_status open_layer(sgi_recording *r, sgi_kept *k, sg_error *err) {
  size_t U = k->channels * k->neurons;
  const struct {
    const char *name;
    sgi_dtype type;
    const void **to;
    size_t width;
  } parts[] = {{"kept.count", SGI_U32, (const void **)&k->count, 0},
               {"kept.sum", SGI_F64, (const void **)&k->sum, 0},
               {"kept.all", SGI_F64, (const void **)&k->all, 0},
               {"kept.low", SGI_F32, (const void **)&k->low, 0},
               {"kept.high", SGI_F32, (const void **)&k->high, 0},
               {"kept.value", SGI_F32, (const void **)&k->value, 2 * SGI_KEPT_EACH},
               {"kept.position", SGI_U32, (const void **)&k->position, 2 * SGI_KEPT_EACH},
               {"kept.histogram", SGI_U32, (const void **)&k->histogram, SGI_KEPT_BINS}};
  for (size_t i = 0; i < SGI_COUNT(parts); i++) {
    char name[SGI_RECORD_NAME];
    sgi_record_tensor_name(name, k->layer, parts[i].name);
    *parts[i].to = sgi_recording_tensor(r->kept_file, name, parts[i].type, U, parts[i].width, 0, err);
    if (!*parts[i].to) return SG_ERR_FORMAT;
  }
  for (size_t u = 0; u < U; u++)
    if (k->count[u] > r->info.n_positions || !isfinite(k->sum[u]) || !isfinite(k->all[u]) || !(k->all[u] >= 0) ||
        !isfinite(k->low[u]) || !isfinite(k->high[u]) || k->low[u] > k->high[u])
      return sgi_fail(err, SG_ERR_FORMAT,
                      "%s: layer %zu: a number of neuron %zu is out of bounds: the file is damaged; record anew",
                      sgi_safetensors_path(r->kept_file), k->layer, u);
  return SG_OK;
}

sg_status sgi_recording_open_kept(sgi_recording *r, const json_t *o, const char *where, sg_error *err) {
  const json_t *neurons = json_object_get(o, "neurons"), *list = json_object_get(neurons, "layers");
  size_t n = json_array_size(list), each;
  if (!neurons) return SG_OK;
  sg_status st = sgi_json_size(neurons, where, "kept", SGI_KEPT_EACH, SGI_KEPT_EACH, &each, err);
  if (!st && (!n || n > r->info.model_layers))
    st = sgi_fail(err, SG_ERR_FORMAT, "%s: neurons must list 1 to %zu layers", where, r->info.model_layers);
  if (!st && !(r->kept = sgi_alloc(n * sizeof *r->kept))) st = sgi_fail_memory(err, n * sizeof *r->kept, "a recording");
  if (!st) st = sgi_recording_part(r, SGI_KEPT_FILE, &r->kept_file, err);
  for (size_t i = 0; i < n && !st; i++) {
    const json_t *one = json_array_get(list, i);
    sgi_kept *k = &r->kept[i];
    st = sgi_json_size(one, where, "layer", i ? r->kept[i - 1].layer + 1 : 0, r->info.model_layers - 1, &k->layer, err);
    if (!st) st = sgi_json_size(one, where, "channels", 1, 1 << 20, &k->channels, err);
    if (!st) st = sgi_json_size(one, where, "neurons", 1, 1 << 26, &k->neurons, err);
    if (!st) st = open_layer(r, k, err);
    if (!st) r->n_kept++;
  }
  return st;
}

const sgi_kept *sgi_recording_kept(const sgi_recording *r, size_t layer) {
  for (size_t i = 0; i < r->n_kept; i++)
    if (r->kept[i].layer == layer) return &r->kept[i];
  return NULL;
}

bool sgi_kept_at(const sgi_recording *r, const sgi_kept *k, size_t unit, int side, size_t i, uint32_t *position,
                 float *value) {
  size_t at = (2 * unit + (size_t)side) * SGI_KEPT_EACH + i;
  if (i >= SGI_KEPT_EACH || k->position[at] == UINT32_MAX) return false;
  *position = k->position[at];
  *value = k->value[at];
  bool falls = !i || fabsf(k->value[at - 1]) >= fabsf(*value);
  if (*position < r->info.n_positions && isfinite(*value) && falls && (side ? *value < 0 : *value > 0)) return true;
  sgi_recording_spoil(r, r->kept_file, "layer %zu neuron %zu: a kept value is %g at position %u", k->layer, unit,
                      (double)*value, *position);
  return false;
}
