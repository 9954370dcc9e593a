#include "support/recorded.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/rng.h"

static const int32_t *row(const void *source, size_t i, size_t *n) {
  const recorded_rows *r = source;
  *n = r->T;
  return r->ids + i * r->T;
}

sgi_record_request recorded_request(const sg_model *m, const recorded_rows *rows) {
  return (sgi_record_request){.model = m,
                              .documents = {rows->n, row, rows, 1},
                              .seq_len = rows->T,
                              .padding = true,
                              .values = "F32",
                              .index = true};
}

sgi_recording *recorded_open(const sgi_record_request *q, const char *directory) {
  sgi_recorder *r;
  sgi_recording *rec;
  size_t reused;
  assert_sg_ok(sgi_recorder_create(q, &r, err));
  assert_sg_ok(sgi_recorder_run(r, directory, NULL, &reused, err));
  sgi_recorder_free(r);
  assert_sg_ok(sg_recording_open(directory, &rec, err));
  return rec;
}

static void random_circuit(sgi_rng *rng, size_t C, size_t K, size_t F, int16_t *index, float *score) {
  for (size_t c = 0; c < C; c++)
    for (size_t k = 0; k < K; k++) {
      size_t f;
      bool taken;
      do { /* low numbers are more popular, as in trained models */
        double u = sgi_rng_uniform(rng);
        f = (size_t)(u * u * (double)F);
        taken = false;
        for (size_t j = 0; j < k; j++) taken |= index[c * K + j] == (int16_t)f;
      } while (taken);
      index[c * K + k] = (int16_t)f;
      score[c * K + k] = (float)((int)sgi_rng_below(rng, 9) - 3) / 4;
    }
}

sgi_recording *recorded_random(const char *directory, size_t documents, size_t length, size_t C, size_t K, size_t F,
                               uint64_t seed) {
  size_t n = documents * length, m = C * K;
  int32_t *plain = calloc(n * 9, sizeof *plain);
  int16_t *index = calloc(n * m, sizeof *index);
  float *score = calloc(n * m, sizeof *score);
  sgi_rng rng = sgi_rng_make(seed, 0, 0);
  for (size_t p = 0; p < n; p++) {
    plain[p] = (int32_t)sgi_rng_below(&rng, 50);
    plain[n + p] = (int32_t)sgi_rng_below(&rng, 50);
    plain[2 * n + p] = (int32_t)(p / length);
    plain[3 * n + p] = (int32_t)(p % length);
    random_circuit(&rng, C, K, F, index + p * m, score + p * m);
  }
  const sgi_tensor t[] = {
      {.name = "input", .dtype = SGI_I32, .n_dims = 1, .dims = {n}, .data = plain},
      {.name = "target", .dtype = SGI_I32, .n_dims = 1, .dims = {n}, .data = plain + n},
      {.name = "document", .dtype = SGI_I32, .n_dims = 1, .dims = {n}, .data = plain + 2 * n},
      {.name = "place", .dtype = SGI_I32, .n_dims = 1, .dims = {n}, .data = plain + 3 * n},
      {.name = "predictions", .dtype = SGI_I32, .n_dims = 2, .dims = {n, 5}, .data = plain + 4 * n},
      {.name = "layers.0.router.indices", .dtype = SGI_I16, .n_dims = 3, .dims = {n, C, K}, .data = index},
      {.name = "layers.0.router.scores", .dtype = SGI_F32, .n_dims = 3, .dims = {n, C, K}, .data = score}};
  char path[4096];
  snprintf(path, sizeof path, "%s/shard-00000.safetensors", directory);
  assert_sg_ok(sgi_safetensors_save(path, t, SGI_COUNT(t), NULL, 0, err));
  json_t *o = json_pack(
      "{s:s, s:i, s:s, s:I, s:I, s:i, s:b, s:i, s:[i], s:I, s:I, s:I, s:b, s:s, s:b, s:i, s:i, s:i, s:[{s:I}]}",
      "format", "sgatlin-recording", "version", 1, "model", "", "documents", (json_int_t)documents, "positions",
      (json_int_t)n, "seq_len", (int)length, "padding", 0, "model_layers", 1, "layers", 0, "channels", (json_int_t)C,
      "top_k", (json_int_t)K, "pool", (json_int_t)F, "pool_per_channel", 1, "values", "none", "index", 1, "vocab_size",
      50, "bos", 1, "pad", 0, "shards", "positions", (json_int_t)n);
  assert_non_null(o);
  snprintf(path, sizeof path, "%s/recording.json", directory);
  assert_sg_ok(sgi_json_save(path, o, err));
  json_decref(o);
  free(plain);
  free(index);
  free(score);
  sgi_recording *shards, *rec;
  assert_sg_ok(sgi_recording_open_shards(directory, &shards, err));
  snprintf(path, sizeof path, "%s/index-layer-0.safetensors", directory);
  assert_sg_ok(sgi_record_index(shards, path, 0, n * K * 8 + F * 8, err)); /* one channel a round */
  sg_recording_close(shards);
  assert_sg_ok(sg_recording_open(directory, &rec, err));
  return rec;
}
