/* recording.c: every number of a recording, and that its index says what its shards say. */
#include <string.h>
#include <xxhash.h>

#include "check/inside.h"
#include "core/arena.h"
#include "core/file.h"
#include "core/manifest.h"
#include "read/kept.h"
#include "read/record_beside.h"
#include "read/recording.h"

enum { PART = 4096 }; /* positions between two questions whether to go on */

typedef struct walk {
  sgi_checks *c;
  const sgi_recording *rec;
  const sgi_recording_info *info;
  int32_t *index;
  float *score, *value;
  const char *directory;
} walk;

static bool stopped(const walk *w) { return w->c->go_on && !w->c->go_on(w->c->user); }

/* One entry of a circuit, as a number whose sum over all entries does not depend on their order. */
static uint64_t entry(size_t position, size_t channel, int32_t neuron, float score) {
  struct {
    uint64_t position, channel;
    int32_t neuron;
    float score;
  } e = {position, channel, neuron, score};
  return XXH3_64bits(&e, sizeof e);
}

/* The sum over a slot's circuits. */
static sg_status shards(walk *w, size_t slot, uint64_t *sum, sg_error *err) {
  size_t K = w->info->slots[slot].top_k, m = w->info->slots[slot].channels * K;
  *sum = 0;
  for (size_t p = 0; p < w->info->n_positions; p++) {
    if (p % PART == 0 && stopped(w)) return sgi_fail(err, SG_ERR_CANCELLED, "stopped");
    sgi_recording_circuit(w->rec, slot, p, w->index, w->score);
    sgi_recording_values(w->rec, slot, p, w->value);
    for (size_t i = 0; i < m; i++)
      if (sgi_recording_acts(&w->info->slots[slot], w->score[i])) *sum += entry(p, i / K, w->index[i], w->score[i]);
  }
  return SG_OK;
}

/* The sum over a slot's lists. */
static sg_status lists(const walk *w, size_t slot, uint64_t *sum, sg_error *err) {
  *sum = 0;
  for (size_t c = 0; c < w->info->slots[slot].channels; c++)
    for (size_t f = 0; f < w->info->slots[slot].pool; f++) {
      sgi_postings p = sgi_recording_postings(w->rec, slot, c, f);
      for (size_t k = 0; k < p.count; k++) *sum += entry(p.position[k], c, (int32_t)f, p.score[k]);
      if (f % PART == 0 && stopped(w)) return sgi_fail(err, SG_ERR_CANCELLED, "stopped");
    }
  for (size_t c = 0; c <= w->info->slots[slot].channels; c++)
    for (size_t p = 0; p < w->info->n_positions; p++) sgi_recording_norm(w->rec, slot, c, p);
  return SG_OK;
}

static sg_status check_slot(walk *w, size_t slot, sg_error *err) {
  uint64_t circuits = 0, indexed = 0;
  sg_error why = {0};
  size_t layer = w->info->layers[slot];
  sg_status st = shards(w, slot, &circuits, err);
  if (!st && sgi_recording_indexed(w->rec)) st = lists(w, slot, &indexed, err);
  if (st) return st;
  st = sgi_recording_check(w->rec, &why);
  if (!st && sgi_recording_indexed(w->rec) && circuits != indexed)
    st = sgi_fail(&why, SG_ERR_FORMAT, "%s: the index of layer %zu does not say what the shards say: record anew",
                  w->directory, layer);
  if (!st)
    sgi_checks_say(w->c, w->directory, "circuits", SG_OK, "layer %zu: %zu positions%s", layer, w->info->n_positions,
                   sgi_recording_indexed(w->rec) ? "; the index says what the shards say" : "");
  return sgi_check_took(w->c, w->directory, "circuits", st, &why, err);
}

static sg_status check_positions(walk *w, sg_error *err) {
  sg_error why = {0};
  for (size_t p = 0; p < w->info->n_positions; p++) sgi_recording_at(w->rec, p);
  sg_status st = sgi_recording_check(w->rec, &why);
  if (!st)
    sgi_checks_say(w->c, w->directory, "tokens", SG_OK, "%zu positions of %zu documents", w->info->n_positions,
                   w->info->n_documents);
  return sgi_check_took(w->c, w->directory, "tokens", st, &why, err);
}

/* Every value that is kept of neurons. */
static sg_status check_kept(walk *w, sg_error *err) {
  size_t neurons = 0, values = 0;
  sg_error why = {0};
  for (size_t l = 0; l < w->info->model_layers; l++) {
    const sgi_kept *k = sgi_recording_kept(w->rec, l);
    uint32_t position;
    float value;
    for (size_t u = 0; k && u < k->channels * k->neurons; u++, neurons++)
      for (int side = 0; side < 2; side++)
        for (size_t i = 0; sgi_kept_at(w->rec, k, u, side, i, &position, &value); i++) values++;
    if (stopped(w)) return sgi_fail(err, SG_ERR_CANCELLED, "stopped");
  }
  if (!neurons) return SG_OK;
  sg_status st = sgi_recording_check(w->rec, &why);
  if (!st) sgi_checks_say(w->c, w->directory, "neurons", SG_OK, "%zu neurons, %zu values kept", neurons, values);
  return sgi_check_took(w->c, w->directory, "neurons", st, &why, err);
}

/* Every value of what stands beside kinds. */
static sg_status check_beside(walk *w, sg_error *err) {
  sg_error why = {0};
  size_t values = 0;
  for (size_t l = 0; l < w->info->model_layers; l++) {
    const sgi_recorded_beside *b = sgi_recording_beside(w->rec, l);
    if (!b) continue;
    float *x = sgi_alloc(sgi_recorded_beside_width(b) * sizeof *x);
    if (!x) return sgi_fail_memory(err, sgi_recorded_beside_width(b) * sizeof *x, "a position's values");
    for (size_t p = 0; p < w->info->n_positions; p++)
      for (size_t part = 0; part < SGI_RECORDED_BESIDE; part++)
        if (sgi_recording_beside_values(w->rec, l, part, p, x)) values += b->width[part];
    sgi_free(x);
    if (stopped(w)) return sgi_fail(err, SG_ERR_CANCELLED, "stopped");
  }
  if (!values) return SG_OK;
  sg_status st = sgi_recording_check(w->rec, &why);
  if (!st) sgi_checks_say(w->c, w->directory, "beside", SG_OK, "%zu values of what stands beside kinds", values);
  return sgi_check_took(w->c, w->directory, "beside", st, &why, err);
}

static sg_status check_all(walk *w, sg_error *err) {
  size_t m = 1; /* entries of the largest circuit */
  for (size_t s = 0; s < w->info->n_layers; s++) {
    const sgi_slot *z = &w->info->slots[s];
    if (z->channels * z->top_k > m) m = z->channels * z->top_k;
  }
  w->index = sgi_alloc(m * sizeof *w->index);
  w->score = sgi_alloc(m * sizeof *w->score);
  w->value = sgi_alloc(m * sizeof *w->value);
  sg_status st = w->index && w->score && w->value ? SG_OK : sgi_fail_memory(err, m * sizeof *w->index, "a circuit");
  if (!st) st = check_positions(w, err);
  for (size_t s = 0; s < w->info->n_layers && !st; s++) st = check_slot(w, s, err);
  if (!st) st = check_kept(w, err);
  if (!st) st = check_beside(w, err);
  sgi_free(w->index);
  sgi_free(w->score);
  sgi_free(w->value);
  return st;
}

static sg_status check_manifest(sgi_checks *c, const char *directory, sg_error *err) {
  static const char *const required[] = {"recording.json", "shard-00000.safetensors", NULL};
  char *path = sgi_path_join(directory, SGI_MANIFEST);
  sg_error why = {0};
  if (!path) return sgi_fail_memory(err, strlen(directory), "a path");
  bool there = sgi_is_file(path);
  sg_status st = there ? sgi_manifest_verify(directory, required, false, &why) : SG_OK;
  if (!st)
    sgi_checks_say(c, directory, "hashes", SG_OK, "%s",
                   there ? "every file is as MANIFEST.json says"
                         : "none: the recording is older than MANIFEST.json (the same record command adds one)");
  sgi_free(path);
  return sgi_check_took(c, directory, "hashes", st, &why, err);
}

sg_status sgi_check_recording(sgi_checks *c, const char *directory, sg_error *err) {
  sgi_recording *rec = NULL;
  sg_error why = {0};
  sg_status st = check_manifest(c, directory, err);
  if (st) return st;
  st = sg_recording_open(directory, &rec, &why);
  if (st) {
    st = sgi_check_took(c, directory, "shapes", st, &why, err);
  } else {
    walk w = {.c = c, .rec = rec, .info = sgi_recording_info_of(rec), .directory = directory};
    sgi_checks_say(c, directory, "shapes", SG_OK, "every tensor as recording.json asks; of the model with the hash %s",
                   w.info->of.hash[0] ? w.info->of.hash : "(none)");
    st = check_all(&w, err);
  }
  sg_recording_close(rec);
  char *tokenizer = st ? NULL : sgi_path_join(directory, "tokenizer.json");
  if (tokenizer && sgi_is_file(tokenizer)) st = sgi_check_tokenizer(c, tokenizer, err);
  sgi_free(tokenizer);
  return st;
}
