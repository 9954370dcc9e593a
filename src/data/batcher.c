/* batcher.c: batch i of a corpus as a pure function of i. Random order comes from a permutation
 * that needs no table; PACK keeps where each document of the epoch's order begins in the stream: 8
 * bytes per document. */
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
  /* PACK: the j-th document of the epoch's order is tokens [begins[j], begins[j+1]) of the epoch's
   * stream; WINDOWS: rows */
  uint64_t *begins;
  uint64_t epoch; /* that begins is of */
};

/* Number of the document at place j of an epoch's order. */
static size_t ordered(const sgi_batcher *b, uint64_t epoch, size_t j) {
  return b->set.shuffle ? sgi_rng_permute(b->set.seed, SGI_STREAM_SHUFFLE, epoch, b->n, j) : j;
}

/* Windows of a document of n tokens. */
static uint64_t windows(const sgi_batcher *b, size_t n) {
  size_t T = b->set.T, stride = b->set.stride;
  return n <= T ? 1 : 1 + (n - T + stride - 1) / stride;
}

static void prepare_epoch(sgi_batcher *b, uint64_t epoch) {
  uint64_t *begins = b->begins;
  size_t n = b->n;
#pragma omp parallel for schedule(static) if (n > 4096)
  for (size_t j = 0; j < n; j++) {
    size_t length;
    sgi_corpus_document(b->corpus, ordered(b, epoch, j), &length);
    begins[j + 1] = b->set.rows == SGI_ROWS_WINDOWS ? windows(b, length) : length;
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
  bool pack = settings->rows == SGI_ROWS_PACK, window = settings->rows == SGI_ROWS_WINDOWS;
  if (window && (!settings->stride || settings->stride > T || settings->shuffle))
    return sgi_fail(err, SG_ERR_ARG, "windows of %zu tokens: the stride is %zu, it must be 1 to %zu", T,
                    settings->stride, T);
  uint64_t tokens = sgi_corpus_tokens(corpus), rows = pack ? tokens / T : n;
  if (rows < B)
    return sgi_fail(err, SG_ERR_ARG,
                    "the text has %zu documents with %llu tokens, %llu %s of %zu tokens: fewer than the "
                    "batch of %zu; use %s%s or more text",
                    n, (unsigned long long)tokens, (unsigned long long)rows,
                    pack ? "packed rows" : "rows (one a document)", T, B, B > 1 ? "a smaller batch" : "",
                    pack ? B > 1 ? ", shorter rows" : "shorter rows" : "");
  sgi_batcher *b = sgi_alloc(sizeof *b);
  if (!b) return sgi_fail_memory(err, sizeof *b, "batches");
  *b = (sgi_batcher){.corpus = corpus, .set = *settings, .n = n, .batches = rows / B};
  if (pack || window) {
    if (!sgi_size_mul(n + 1, sizeof *b->begins, &bytes) || !(b->begins = sgi_alloc(bytes))) {
      sgi_free(b);
      return sgi_fail_memory(err, bytes, "the order of the documents");
    }
    prepare_epoch(b, 0);
  }
  if (window) b->batches = b->begins[n] / B;
  *out = b;
  return SG_OK;
}

void sgi_batcher_free(sgi_batcher *b) {
  if (!b) return;
  sgi_free(b->begins);
  sgi_free(b);
}

uint64_t sgi_batcher_batches(const sgi_batcher *b) { return b->batches; }

/* The place j with begins[j] <= at < begins[j+1]. */
static size_t place_of(const sgi_batcher *b, uint64_t at) {
  size_t low = 0, high = b->n;
  while (high - low > 1) {
    size_t mid = low + (high - low) / 2;
    if (b->begins[mid] <= at)
      low = mid;
    else
      high = mid;
  }
  return low;
}

uint64_t sgi_batcher_unit(const sgi_batcher *b, uint64_t row, uint64_t *first, uint64_t *end) {
  bool window = b->set.rows == SGI_ROWS_WINDOWS;
  uint64_t unit = window ? place_of(b, row) : row;
  *first = window ? b->begins[unit] : row;
  *end = window ? b->begins[unit + 1] : row + 1;
  return unit;
}

size_t sgi_batcher_owner(const sgi_batcher *b, uint64_t row, size_t t, size_t *end) {
  size_t T = b->set.T;
  uint64_t first, last;
  *end = T;
  if (b->set.rows != SGI_ROWS_PACK) return sgi_batcher_unit(b, row, &first, &last);
  size_t document = place_of(b, row * T + t);
  if (b->begins[document + 1] - row * T < T) *end = (size_t)(b->begins[document + 1] - row * T);
  return document;
}

const int32_t *sgi_batcher_document(const sgi_batcher *b, uint64_t i, size_t *n) {
  return b->set.rows == SGI_ROWS_WINDOWS ? sgi_corpus_document(b->corpus, i, n) : NULL;
}

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

/* Tokens [row*T, row*T + T) of the epoch's stream. A document that began in an earlier row goes on:
 * its first input here is the token before, which stands in that row. */
static void pack_row(const sgi_batcher *b, uint64_t epoch, uint64_t row, int32_t *inputs, int32_t *targets,
                     int32_t *starts) {
  size_t T = b->set.T, t = 0;
  uint64_t first = row * T;
  size_t low = place_of(b, first);   /* the document that holds the first token */
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

static void window_row(const sgi_batcher *b, uint64_t row, int32_t *inputs, int32_t *targets) {
  size_t T = b->set.T, document = place_of(b, row), n, k = row - b->begins[document];
  if (!k) {
    pad_row(b, document, inputs, targets);
    return;
  }
  const int32_t *ids = sgi_corpus_document(b->corpus, document, &n);
  size_t begin = k * b->set.stride < n - T ? k * b->set.stride : n - T, counted = (k - 1) * b->set.stride + T;
  memcpy(inputs, ids + begin - 1, T * sizeof *ids);
  for (size_t t = 0; t < T; t++) targets[t] = begin + t < counted ? b->set.pad : ids[begin + t];
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
      if (b->set.rows == SGI_ROWS_WINDOWS)
        window_row(b, row + r, inputs + at, targets + at);
      else
        pad_row(b, ordered(b, epoch, row + r), inputs + at, targets + at);
      if (starts) memset(starts + at, 0, T * sizeof *starts);
    }
  }
}
