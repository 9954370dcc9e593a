#include "read/coactivation.h"

#include <stdio.h>
#include <string.h>

#include "core/arena.h"
#include "core/safetensors.h"

void sgi_coactivation_row(const sgi_recording *rec, size_t slot, size_t channel, size_t neuron, size_t other,
                          uint32_t *count, int32_t *index) {
  const sgi_recording_info *info = sgi_recording_info_of(rec);
  size_t K = info->slots[slot].top_k;
  sgi_postings list = sgi_recording_postings(rec, slot, channel, neuron);
  memset(count, 0, info->slots[slot].pool * sizeof *count);
  for (size_t i = 0; i < list.count; i++) {
    sgi_recording_acting(rec, slot, list.position[i], index);
    for (size_t k = other * K; k < (other + 1) * K; k++)
      if (index[k] >= 0) count[index[k]]++;
  }
  if (other == channel) count[neuron] = 0;
}

static sg_status write_rows(const sgi_recording *rec, size_t slot, size_t channel, sgi_safetensors_writer *w,
                            sg_error *err) {
  const sgi_recording_info *info = sgi_recording_info_of(rec);
  size_t F = info->slots[slot].pool;
  uint32_t *count = sgi_alloc(F * sizeof *count);
  double *normal = sgi_alloc(F * sizeof *normal);
  int32_t *index = sgi_alloc(info->slots[slot].channels * info->slots[slot].top_k * sizeof *index);
  sg_status st = count && normal && index ? SG_OK : sgi_fail_memory(err, F * sizeof *normal, "a row of counts");
  for (size_t f = 0; f < F && !st; f++) {
    sgi_coactivation_row(rec, slot, channel, f, channel, count, index);
    uint64_t sum = 0;
    for (size_t j = 0; j < F; j++) sum += count[j];
    for (size_t j = 0; j < F; j++) normal[j] = sum ? (double)count[j] / (double)sum : 0;
    st = sgi_safetensors_writer_put(w, 0, f * F * sizeof *count, count, F * sizeof *count, err);
    if (!st) st = sgi_safetensors_writer_put(w, 1, f * F * sizeof *normal, normal, F * sizeof *normal, err);
  }
  if (!st) st = sgi_recording_check(rec, err);
  sgi_free(count);
  sgi_free(normal);
  sgi_free(index);
  return st;
}

sg_status sgi_coactivation_write(const sgi_recording *rec, size_t slot, size_t channel, const char *path,
                                 sg_error *err) {
  const sgi_recording_info *info = sgi_recording_info_of(rec);
  char names[2][SGI_RECORD_NAME];
  const char *what[2] = {"counts", "normalized"};
  if (!sgi_recording_indexed(rec))
    return sgi_fail(err, SG_ERR_ARG, "the recording has no inverted index: record it anew without --no-index");
  if (channel >= info->slots[slot].channels)
    return sgi_fail(err, SG_ERR_ARG, "channel %zu: the recording has channels 0 to %zu", channel,
                    info->slots[slot].channels - 1);
  sgi_tensor t[2];
  for (int i = 0; i < 2; i++) {
    snprintf(names[i], sizeof names[i], "%s.layer%zu.channel%zu", what[i], info->layers[slot], channel);
    t[i] = (sgi_tensor){.name = names[i],
                        .dtype = i ? SGI_F64 : SGI_I32,
                        .n_dims = 2,
                        .dims = {info->slots[slot].pool, info->slots[slot].pool}};
  }
  sgi_safetensors_writer *w;
  sg_status st = sgi_safetensors_writer_open(path, t, 2, NULL, 0, &w, err);
  if (st) return st;
  st = write_rows(rec, slot, channel, w, err);
  if (!st) return sgi_safetensors_writer_close(w, err);
  sgi_safetensors_writer_drop(w);
  return st;
}
