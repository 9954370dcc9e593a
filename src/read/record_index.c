/* record_index.c: the inverted index of one layer, by counting sort, in as many rounds over the
 * channels as memory asks for. */
#include <string.h>

#include "core/arena.h"
#include "core/safetensors.h"
#include "read/record.h"

enum { START, POSITION, SCORE, NORMS, N_TENSORS };

typedef struct build {
  const sgi_recording *rec;
  const sgi_recording_info *info;
  size_t slot, group; /* channels of a round */
  int32_t *index;     /* (C,K) of one position */
  float *circuit;
  uint64_t *start;    /* (C*F + 1) */
  uint64_t *next;     /* (group*F) */
  uint32_t *position; /* (group*n*K) */
  float *score;
  double *norm; /* (n) */
  sgi_safetensors_writer *file;
} build;

static sg_status allocate(build *b, size_t max_memory, sg_error *err) {
  size_t C = b->info->slots[b->slot].channels, K = b->info->slots[b->slot].top_k, F = b->info->slots[b->slot].pool,
         n = b->info->n_positions;
  size_t channel = n * K * (sizeof *b->position + sizeof *b->score) + F * sizeof *b->next;
  b->group = max_memory / channel;
  if (b->group < 1) b->group = 1;
  if (b->group > C) b->group = C;
  b->index = sgi_alloc(C * K * sizeof *b->index);
  b->circuit = sgi_alloc(C * K * sizeof *b->circuit);
  b->start = sgi_alloc((C * F + 1) * sizeof *b->start);
  b->next = sgi_alloc(b->group * F * sizeof *b->next);
  b->position = sgi_alloc(b->group * n * K * sizeof *b->position);
  b->score = sgi_alloc(b->group * n * K * sizeof *b->score);
  b->norm = sgi_alloc(n * sizeof *b->norm);
  bool all = b->index && b->circuit && b->start && b->next && b->position && b->score && b->norm;
  return all ? SG_OK : sgi_fail_memory(err, b->group * channel, "the inverted index");
}

/* Entries of the lists: of circuits, those that act. */
static void count(build *b) {
  size_t C = b->info->slots[b->slot].channels, K = b->info->slots[b->slot].top_k, F = b->info->slots[b->slot].pool,
         n = b->info->n_positions;
  for (size_t p = 0; p < n; p++) {
    sgi_recording_circuit(b->rec, b->slot, p, b->index, b->circuit);
    for (size_t i = 0; i < C * K; i++)
      b->start[i / K * F + (size_t)b->index[i] + 1] += sgi_recording_acts(&b->info->slots[b->slot], b->circuit[i]);
  }
  for (size_t i = 0; i < C * F; i++) b->start[i + 1] += b->start[i];
}

/* Lists of channels [c0, c0 + channels). */
static sg_status fill(build *b, size_t c0, size_t channels, sg_error *err) {
  size_t K = b->info->slots[b->slot].top_k, F = b->info->slots[b->slot].pool, n = b->info->n_positions;
  uint64_t base = b->start[c0 * F];
  for (size_t i = 0; i < channels * F; i++) b->next[i] = b->start[c0 * F + i] - base;
  for (size_t p = 0; p < n; p++) {
    sgi_recording_circuit(b->rec, b->slot, p, b->index, b->circuit);
    for (size_t i = c0 * K; i < (c0 + channels) * K; i++) {
      if (!sgi_recording_acts(&b->info->slots[b->slot], b->circuit[i])) continue;
      uint64_t at = b->next[(i / K - c0) * F + (size_t)b->index[i]]++;
      b->position[at] = (uint32_t)p;
      b->score[at] = b->circuit[i];
    }
  }
  size_t entries = b->start[(c0 + channels) * F] - base;
  sg_status st = sgi_safetensors_writer_put(b->file, POSITION, base * sizeof *b->position, b->position,
                                            entries * sizeof *b->position, err);
  if (st) return st;
  return sgi_safetensors_writer_put(b->file, SCORE, base * sizeof *b->score, b->score, entries * sizeof *b->score, err);
}

/* Sums in the order of the circuit's entries, so that equal circuits have a distance of exactly 0.
 * Row C: all channels. */
static sg_status put_norms(build *b, sg_error *err) {
  size_t C = b->info->slots[b->slot].channels, K = b->info->slots[b->slot].top_k, n = b->info->n_positions;
  sg_status st = SG_OK;
  for (size_t c = 0; c <= C && !st; c++) {
    size_t from = c < C ? c * K : 0, to = c < C ? from + K : C * K;
    for (size_t p = 0; p < n; p++) {
      double sum = 0;
      sgi_recording_circuit(b->rec, b->slot, p, NULL, b->circuit);
      for (size_t i = from; i < to; i++) sum += (double)b->circuit[i] * (double)b->circuit[i];
      b->norm[p] = sum;
    }
    st = sgi_safetensors_writer_put(b->file, NORMS, c * n * sizeof *b->norm, b->norm, n * sizeof *b->norm, err);
  }
  return st;
}

static sg_status write_all(build *b, sg_error *err) {
  size_t C = b->info->slots[b->slot].channels, F = b->info->slots[b->slot].pool;
  sg_status st = sgi_safetensors_writer_put(b->file, START, 0, b->start, (C * F + 1) * sizeof *b->start, err);
  for (size_t c = 0; c < C && !st; c += b->group) st = fill(b, c, C - c < b->group ? C - c : b->group, err);
  if (!st) st = put_norms(b, err);
  return st ? st : sgi_recording_check(b->rec, err);
}

sg_status sgi_record_index(const sgi_recording *rec, const char *path, size_t slot, size_t max_memory, sg_error *err) {
  const sgi_recording_info *info = sgi_recording_info_of(rec);
  size_t C = info->slots[slot].channels, n = info->n_positions;
  build b = {.rec = rec, .info = info, .slot = slot};
  sg_status st = allocate(&b, max_memory, err);
  if (!st) count(&b);
  size_t entries = st ? 0 : b.start[C * info->slots[slot].pool];
  const sgi_tensor tensors[N_TENSORS] = {
      [START] = {.name = "start", .dtype = SGI_U64, .n_dims = 1, .dims = {C * info->slots[slot].pool + 1}},
      [POSITION] = {.name = "position", .dtype = SGI_U32, .n_dims = 1, .dims = {entries}},
      [SCORE] = {.name = "score", .dtype = SGI_F32, .n_dims = 1, .dims = {entries}},
      [NORMS] = {.name = "norms", .dtype = SGI_F64, .n_dims = 2, .dims = {C + 1, n}}};
  if (!st) st = sgi_safetensors_writer_open(path, tensors, N_TENSORS, NULL, 0, &b.file, err);
  if (!st) {
    st = write_all(&b, err);
    if (st)
      sgi_safetensors_writer_drop(b.file);
    else
      st = sgi_safetensors_writer_close(b.file, err);
  }
  sgi_free(b.index);
  sgi_free(b.circuit);
  sgi_free(b.start);
  sgi_free(b.next);
  sgi_free(b.position);
  sgi_free(b.score);
  sgi_free(b.norm);
  return st;
}
