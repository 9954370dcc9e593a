/* bench_tokenizer.c: MB/s of encoding. bench_tokenizer TOKENIZER.json FILE.txt [THREADS [ROUNDS]]:
 * the documents of FILE (cut at
 * "<|endoftext|>") are encoded by that many threads; the best of the rounds is printed as JSON. The
 * peer is peers/tokenizer_hf.py, which cuts and counts alike. */
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "text/reader.h"

typedef struct documents {
  char **text;
  size_t *lengths, n, bytes;
} documents;

static int fail(const sg_error *err) {
  fprintf(stderr, "bench_tokenizer: %s\n", err->text);
  return 1;
}

static sg_status read_documents(const char *path, documents *d, sg_error *err) {
  sgi_reader *r;
  const char *text;
  size_t n, size = 0;
  sg_status st = sgi_reader_open(path, false, NULL, &r, err);
  if (st) return st;
  while (!(st = sgi_reader_next(r, &text, &n, err)) && text) {
    if (d->n == size) {
      size = 2 * size + 1024;
      d->text = realloc(d->text, size * sizeof *d->text);
      d->lengths = realloc(d->lengths, size * sizeof *d->lengths);
    }
    d->text[d->n] = malloc(n);
    if (!d->text[d->n]) abort();
    memcpy(d->text[d->n], text, n);
    d->lengths[d->n++] = n;
    d->bytes += n;
  }
  sgi_reader_close(r);
  return st;
}

/* Seconds of one pass; *ids: how many ids there were. */
static double encode_all(const sg_tokenizer *t, const documents *d, size_t *ids) {
  size_t total = 0;
  double start = sgi_now();
#pragma omp parallel for schedule(dynamic, 64) reduction(+ : total)
  for (size_t i = 0; i < d->n; i++) {
    int32_t *out;
    size_t n;
    if (sg_tokenizer_encode(t, d->text[i], d->lengths[i], &out, &n, NULL)) abort();
    total += n;
    sg_buffer_free(out);
  }
  *ids = total;
  return sgi_now() - start;
}

int main(int argc, char **argv) {
  sg_error err = {0};
  sg_tokenizer *t;
  documents d = {0};
  if (argc < 3) return fprintf(stderr, "usage: bench_tokenizer TOKENIZER.json FILE [THREADS [ROUNDS]]\n"), 2;
  int threads = argc > 3 ? atoi(argv[3]) : 1, rounds = argc > 4 ? atoi(argv[4]) : 5;
  omp_set_num_threads(threads);
  if (sg_tokenizer_load(argv[1], &t, &err) || read_documents(argv[2], &d, &err)) return fail(&err);
  double best = 1e300;
  size_t ids = 0;
  for (int i = 0; i < rounds; i++) {
    double s = encode_all(t, &d, &ids);
    if (s < best) best = s;
  }
  printf("{\"what\":\"sgatlin\",\"threads\":%d,\"bytes\":%zu,\"ids\":%zu,\"mb_per_s\":%.1f}\n", threads, d.bytes, ids,
         (double)d.bytes / best / 1e6);
  for (size_t i = 0; i < d.n; i++) free(d.text[i]);
  free(d.text);
  free(d.lengths);
  sg_tokenizer_free(t);
  return 0;
}
