#include "check/check.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/arena.h"
#include "core/file.h"
#include "core/safetensors.h"
#include "core/half.h"
#include "functions/set.h"

void sgi_checks_say(sgi_checks *c, const char *path, const char *what, sg_status status, const char *format, ...) {
  char text[SG_ERROR_TEXT];
  va_list ap;
  va_start(ap, format);
  vsnprintf(text, sizeof text, format, ap);
  va_end(ap);
  c->looked++;
  if (status) c->wrong++;
  if (status && !c->first) c->first = status;
  c->found(c->user, path, what, status, text);
}

void sgi_checks_fail(sgi_checks *c, const char *path, const char *what, const sg_error *err) {
  sgi_checks_say(c, path, what, err->code, "%s", err->text);
}

/* ---- kinds ----------------------------------------------------------------------------------- */

static bool ends(const char *path, const char *with) {
  size_t n = strlen(path), m = strlen(with);
  return n >= m && !strcmp(path + n - m, with);
}

static bool holds(const char *directory, const char *name) {
  char *path = sgi_path_join(directory, name);
  bool there = path && (sgi_is_file(path) || sgi_is_directory(path));
  sgi_free(path);
  return there;
}

sgi_checked sgi_check_kind(const char *path) {
  if (sgi_is_file(path)) {
    if (ends(path, ".tokens")) return SGI_CHECK_TOKENS;
    if (ends(path, ".sqlite")) return SGI_CHECK_NAMES;
    if (ends(path, "tokenizer.json")) return SGI_CHECK_TOKENIZER;
    if (ends(path, ".json")) return SGI_CHECK_JSON;
    if (sgi_function_set_is(path)) return SGI_CHECK_FUNCTIONS;
    return ends(path, ".safetensors") ? SGI_CHECK_TENSORS : SGI_CHECK_NOTHING;
  }
  if (holds(path, "recording.json")) return SGI_CHECK_RECORDING;
  if (holds(path, "sparse.json")) return SGI_CHECK_SPARSE;
  if (holds(path, "checkpoints")) return SGI_CHECK_RUN;
  if (holds(path, "config.json") || holds(path, "model.safetensors") || holds(path, "MANIFEST.json"))
    return SGI_CHECK_MODEL;
  return ends(path, ".sgatlin") || holds(path, ".sgatlin") ? SGI_CHECK_CACHES : SGI_CHECK_NOTHING;
}

const char *sgi_check_name(sgi_checked kind) {
  static const char *const names[] = {"nothing known", "model",   "run",   "recording",   "token cache", "token caches",
                                      "tokenizer",     "tensors", "names", "sparse MLPs", "functions",   "JSON"};
  return names[kind];
}

/* ---- tensors and tokenizers ------------------------------------------------------------------ */

static double number_at(const sgi_tensor *t, size_t i) {
  uint16_t half;
  uint32_t bits;
  float x;
  switch (t->dtype) {
    case SGI_F32: return (double)((const float *)t->data)[i];
    case SGI_F64: return ((const double *)t->data)[i];
    case SGI_F16: return (double)sgi_from_half(((const uint16_t *)t->data)[i]);
    case SGI_BF16:
      memcpy(&half, (const char *)t->data + 2 * i, sizeof half);
      bits = (uint32_t)half << 16;
      memcpy(&x, &bits, sizeof x);
      return (double)x;
    default: return 0;
  }
}

sg_status sgi_check_tensors(sgi_checks *c, const char *path, sg_error *err) {
  sgi_safetensors *f = NULL;
  sg_error why = {0};
  size_t numbers = 0, wrong = 0;
  if (sgi_safetensors_open(path, &f, &why)) {
    if (why.code == SG_ERR_MEMORY) return sgi_fail(err, why.code, "%s", why.text);
    sgi_checks_fail(c, path, "tensors", &why);
    return SG_OK;
  }
  for (size_t k = 0; k < sgi_safetensors_count(f); k++) {
    const sgi_tensor *t = sgi_safetensors_at(f, k);
    size_t i = 0;
    while (i < t->count && isfinite(number_at(t, i))) i++;
    numbers += t->count;
    if (i == t->count) continue;
    if (!wrong++)
      sgi_checks_say(c, path, "numbers", SG_ERR_FORMAT, "tensor %.100s: element %zu of %zu is NaN or infinite", t->name,
                     i, t->count);
  }
  sgi_checks_say(c, path, "tensors", SG_OK, "%zu tensors, %zu numbers%s", sgi_safetensors_count(f), numbers,
                 wrong ? "" : ", all finite");
  sgi_safetensors_close(f);
  return SG_OK;
}

/* All bytes can be written, and text comes back as it was. */
static sg_status round_trip(const sg_tokenizer *tok, size_t *n, sg_error *err) {
  static const char probe[] = "The 1 cat's caf\xC3\xA9 (x_y)\n\tsaid: \"\xE6\x97\xA5\xE6\x9C\xAC \xF0\x9F\x98\x80\".";
  int32_t *ids = NULL;
  char *text = NULL;
  size_t bytes = 0;
  sg_status st = sg_tokenizer_encode(tok, probe, sizeof probe - 1, &ids, n, err);
  for (size_t i = 0; i < *n && !st; i++)
    if (ids[i] < 0 || (size_t)ids[i] >= sg_tokenizer_vocab_size(tok))
      st = sgi_fail(err, SG_ERR_FORMAT, "a text gets the id %d, outside the vocabulary of %zu", ids[i],
                    sg_tokenizer_vocab_size(tok));
  if (!st) st = sg_tokenizer_decode(tok, ids, *n, false, &text, &bytes, err);
  sg_buffer_free(ids);
  sg_buffer_free(text);
  return st;
}

sg_status sgi_check_tokenizer(sgi_checks *c, const char *path, sg_error *err) {
  sg_tokenizer *tok = NULL;
  sg_error why = {0};
  size_t n = 0;
  sg_status st = sg_tokenizer_load(path, &tok, &why);
  if (!st) st = round_trip(tok, &n, &why);
  if (st == SG_ERR_MEMORY) {
    sg_tokenizer_free(tok);
    return sgi_fail(err, st, "%s", why.text);
  }
  if (st)
    sgi_checks_fail(c, path, "tokenizer", &why);
  else
    sgi_checks_say(c, path, "tokenizer", SG_OK, "%zu ids; a probe of five scripts is %zu tokens",
                   sg_tokenizer_vocab_size(tok), n);
  sg_tokenizer_free(tok);
  return SG_OK;
}
