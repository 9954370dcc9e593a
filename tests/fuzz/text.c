/* text.c: tokenizer files and what they make of text; documents out of text files. */
#include <stdio.h>
#include <string.h>

#include "core/arena.h"
#include "fuzz/target.h"
#include "text/reader.h"

/* ---- tokenizer.json ---------------------------------------------------------------------- */

static uint64_t encode(const sg_tokenizer *t, const char *text, size_t n) {
  int32_t *ids = NULL;
  size_t count, length;
  char *back = NULL;
  sg_error err = {0};
  if (sg_tokenizer_encode(t, text, n, &ids, &count, &err)) return 0;
  for (size_t i = 0; i < count; i++)
    fuzz_expect(ids[i] >= 0 && (size_t)ids[i] < sg_tokenizer_vocab_size(t), "an id outside the vocabulary");
  fuzz_expect(!sg_tokenizer_decode(t, ids, count, false, &back, &length, &err), "its own ids can not be decoded");
  fuzz_expect(strlen(back) <= length && back[length] == 0, "a text without an end");
  uint64_t sum = fuzz_mix(fuzz_mix(0, ids, count * sizeof *ids), back, length);
  sg_buffer_free(ids);
  sg_buffer_free(back);
  return sum;
}

static void run_tokenizer(const uint8_t *data, size_t n, fuzz_outcome *out) {
  static const char probe[] = "The dog's  caf\xC3\xA9\n\n 12345 \xEF\xAC\x81ne \xE3\x80\x80<|endoftext|> x_y\t\xFF ok ";
  sg_tokenizer *t;
  const char *path = fuzz_file("tokenizer.json", data, n);
  snprintf(out->path, sizeof out->path, "%s", path);
  out->status = sg_tokenizer_load(path, &t, &out->err);
  if (out->status) return;
  out->meaning = encode(t, probe, sizeof probe - 1);
  encode(t, (const char *)data, n < 4096 ? n : 4096);
  for (size_t i = 0; i < sg_tokenizer_vocab_size(t) && i < 2000; i++) {
    size_t length;
    const char *bytes = sg_tokenizer_token_bytes(t, (int32_t)i, &length);
    if (bytes) out->meaning = fuzz_mix(out->meaning, bytes, length);
  }
  fuzz_expect(!sg_tokenizer_token_bytes(t, -1, &n) && !sg_tokenizer_token_bytes(t, INT32_MAX, &n),
              "a token that is none");
  sg_tokenizer_free(t);
}

/* ---- documents --------------------------------------------------------------------------- */

/* The first byte says which kind of file the rest is. */
static void run_reader(const uint8_t *data, size_t n, fuzz_outcome *out) {
  static const char *const names[] = {"x.txt", "x.jsonl", "x.txt.gz", "x.txt.zst", "x.jsonl.gz", "x.jsonl.zst"};
  if (!n) return;
  unsigned how = data[0];
  const char *path = fuzz_file(names[how % SGI_COUNT(names)], data + 1, n - 1);
  sgi_reader *r;
  snprintf(out->path, sizeof out->path, "%s", path);
  out->status = sgi_reader_open(path, how >> 4 & 1, NULL, &r, &out->err);
  if (out->status) return;
  if (how >> 5 & 1) sgi_reader_keep_space(r);
  const char *text = NULL;
  size_t length, total = 0;
  do {
    out->status = sgi_reader_next(r, &text, &length, &out->err);
    if (out->status || !text) break;
    fuzz_expect(length <= SGI_DOCUMENT_MAX, "a document beyond the limit");
    out->meaning = fuzz_mix(out->meaning, text, length);
    total += length;
  } while (total < (32u << 20)); /* a packed bomb may go on for long */
  if (out->status) {             /* a failure is final */
    sg_error err = {0};
    fuzz_expect(sgi_reader_next(r, &text, &length, &err) == out->status, "a failure is forgotten");
  }
  sgi_reader_close(r);
}

const fuzz_target fuzz_tokenizer = {"tokenizer", NULL, run_tokenizer};
const fuzz_target fuzz_reader = {"reader", NULL, run_reader};
