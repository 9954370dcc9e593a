#include "core/arena.h"
#include "read/recording.h"
#include "read/usage.h"

sg_status sgi_recording_usage(const sgi_recording *r, size_t slot, sgi_usage_result_t *out, sg_error *err) {
  const sgi_recording_info *info = sgi_recording_info_of(r);
  size_t m = info->slots[slot].channels * info->slots[slot].top_k, longest = 0, first, n;
  for (size_t d = 0; d < info->n_documents; d++) {
    sgi_recording_document(r, d, &first, &n);
    if (n > longest) longest = n;
  }
  sgi_usage *u = NULL;
  sg_status st = sgi_usage_create(info->slots[slot].pool, info->slots[slot].channels, info->slots[slot].top_k,
                                  info->slots[slot].pool_per_channel, &u, err);
  int32_t *index = sgi_alloc(longest * m * sizeof *index);
  int32_t *active = sgi_alloc(longest * m * sizeof *active);
  float *score = sgi_alloc(m * sizeof *score);
  bool *keep = sgi_alloc(longest);
  if (!st && (!index || !keep || !active || !score))
    st = sgi_fail_memory(err, longest * m * sizeof *index, "usage counts");
  for (size_t d = 0; d < info->n_documents && !st; d++) {
    sgi_recording_document(r, d, &first, &n);
    for (size_t t = 0; t < n; t++) {
      sgi_recording_circuit(r, slot, first + t, index + t * m, score);
      for (size_t i = 0; i < m; i++) active[t * m + i] = sgi_recording_acts(&info->slots[slot], score[i]);
      keep[t] = sgi_recording_at(r, first + t).target != info->pad;
    }
    st = sgi_usage_add(u, index, active, n, keep, err);
  }
  if (!st) st = sgi_recording_check(r, err);
  if (!st) st = sgi_usage_result(u, out, err);
  sgi_usage_free(u);
  sgi_free(index);
  sgi_free(active);
  sgi_free(score);
  sgi_free(keep);
  return st;
}
