/* batcher.c: batch i of a corpus as a pure function of i. Random order comes from a permutation that needs
 * no table; PACK keeps where each document of the epoch's order begins in the stream: 8 bytes per
 * document. */
#include <limits.h>
#include <string.h>

#include "core/arena.h"
#include "core/rng.h"
#include "data/data.h"

struct sgi_batcher {
  const sgi_corpus *corpus;
  sgi_batcher_settings set;
  size_t n;         /* documents */
  uint64_t batches; /* per epoch */
  /* PACK: the j-th document of the epoch's order is tokens [begins[j], begins[j+1]) of the epoch's stream */
  uint64_t *begins;
  uint64_t epoch; /* that begins is of */
};

/* Number of the document at place j of an epoch's order. */
static size_t ordered(const sgi_batcher *b, uint64_t epoch, size_t j) {
  return b->set.shuffle ? sgi_rng_permute(b->set.seed, SGI_STREAM_SHUFFLE, epoch, b->n, j) : j;
}

static void prepare_epoch(sgi_batcher *b, uint64_t epoch) {
  uint64_t *begins = b->begins;
  size_t n = b->n;
#pragma omp parallel for schedule(static) if (n > 4096)
  for (size_t j = 0; j < n; j++) {
    size_t length;
    sgi_corpus_document(b->corpus, ordered(b, epoch, j), &length);
    begins[j + 1] = length;
  }
  begins[0] = 0;
  for (size_t j = 0; j < n; j++) begins[j + 1] += begins[j];
  b->epoch = epoch;
}

sg_status sgi_batcher_create(const sgi_corpus *corpus, const sgi_batcher_settings *settings, sgi_batcher **out,
                             sg_error *err) {
  *out = NULL;
  size_t B = settings->B, T = settings->T, cells, bytes, n = sgi_corpus_documents(corpus);
  if (!B || !T || T > INT32_MAX || !sgi_size_mul(B, T, &cells) || !sgi_size_mul(cells, sizeof(int32_t), &bytes))
    return sgi_fail(err, SG_ERR_ARG,
                    "batches of %zu rows of %zu tokens cannot be made; both must be at least 1 and fit in memory", B,
                    T);
  bool pack = settings->rows == SGI_ROWS_PACK;
  uint64_t tokens = sgi_corpus_tokens(corpus), rows = pack ? tokens / T : n;
  if (rows < B)
    return sgi_fail(err, SG_ERR_ARG,
                    "the text has %zu documents with %llu tokens, %llu %s of %zu tokens: fewer than the "
                    "batch of %zu; use a smaller "
                    "batch%s or more text",
                    n, (unsigned long long)tokens, (unsigned long long)rows,
                    pack ? "packed rows" : "rows (one a document)", T, B, pack ? ", shorter rows" : "");
  sgi_batcher *b = sgi_alloc(sizeof *b);
  if (!b) return sgi_fail_memory(err, sizeof *b, "batches");
  *b = (sgi_batcher){.corpus = corpus, .set = *settings, .n = n, .batches = rows / B};
  if (pack) {
    if (!sgi_size_mul(n + 1, sizeof *b->begins, &bytes) || !(b->begins = sgi_alloc(bytes))) {
      sgi_free(b);
      return sgi_fail_memory(err, bytes, "the order of the documents");
    }
    prepare_epoch(b, 0);
  }
  *out = b;
  return SG_OK;
}

void sgi_batcher_free(sgi_batcher *b) {
  if (!b) return;
  sgi_free(b->begins);
  sgi_free(b);
}

uint64_t sgi_batcher_batches(const sgi_batcher *b) { return b->batches; }

/* One document: cut at T or filled with pad. */
static void pad_row(const sgi_batcher *b, size_t document, int32_t *inputs, int32_t *targets) {
  size_t T = b->set.T, n;
  const int32_t *ids = sgi_corpus_document(b->corpus, document, &n);
  if (n > T) n = T;
  memcpy(targets, ids, n * sizeof *ids);
  for (size_t t = n; t < T; t++) targets[t] = b->set.pad;
  inputs[0] = b->set.bos;
  memcpy(inputs + 1, targets, (T - 1) * sizeof *targets);
}

/* Tokens [row*T, row*T + T) of the epoch's stream. A document that began in an earlier row goes on: its
 * first input here is the token before, which stands in that row. */
static void pack_row(const sgi_batcher *b, uint64_t epoch, uint64_t row, int32_t *inputs, int32_t *targets,
                     int32_t *starts) {
  size_t T = b->set.T, t = 0, low = 0, high = b->n;
  uint64_t first = row * T;
  while (high - low > 1) { /* the document at place `low` holds the first token: begins[low] <= first < begins[high] */
    size_t mid = low + (high - low) / 2;
    if (b->begins[mid] <= first)
      low = mid;
    else
      high = mid;
  }
  size_t k = first - b->begins[low]; /* tokens of it in earlier rows */
  for (size_t j = low; t < T; j++) {
    size_t n;
    const int32_t *ids = sgi_corpus_document(b->corpus, ordered(b, epoch, j), &n);
    size_t count = n - k < T - t ? n - k : T - t;
    inputs[t] = k ? ids[k - 1] : b->set.bos;
    memcpy(inputs + t + 1, ids + k, (count - 1) * sizeof *ids);
    memcpy(targets + t, ids + k, count * sizeof *ids);
    if (starts)
      for (size_t i = 0; i < count; i++) starts[t + i] = (int32_t)t;
    t += count;
    k = 0;
  }
}

void sgi_batcher_get(sgi_batcher *b, uint64_t i, int32_t *inputs, int32_t *targets, int32_t *starts) {
  size_t B = b->set.B, T = b->set.T;
  uint64_t epoch = i / b->batches, row = i % b->batches * B;
  if (b->set.rows == SGI_ROWS_PACK && b->set.shuffle && epoch != b->epoch) prepare_epoch(b, epoch);
  for (size_t r = 0; r < B; r++) {
    size_t at = r * T;
    if (b->set.rows == SGI_ROWS_PACK) {
      pack_row(b, epoch, row + r, inputs + at, targets + at, starts ? starts + at : NULL);
    } else {
      pad_row(b, ordered(b, epoch, row + r), inputs + at, targets + at);
      if (starts) memset(starts + at, 0, T * sizeof *starts);
    }
  }
}
