#include "read/excerpt.h"

#include <stdio.h>
#include <string.h>

#include "text/tokenizer.h"

static bool is_special(const sg_tokenizer *t, int32_t id) {
  return id >= 0 && (size_t)id < t->vocab_size && t->tokens[id].there && t->tokens[id].special;
}

sg_status sgi_excerpt_token(const sg_tokenizer *tok, int32_t id, sgi_excerpt_form form, sgi_bytes *out, sg_error *err) {
  size_t n;
  const char *bytes = sg_tokenizer_token_bytes(tok, id, &n);
  char number[16];
  bool added;
  if (!bytes) {
    snprintf(number, sizeof number, "<%d>", id);
    added = sgi_bytes_add(out, number, strlen(number));
  } else if (form == SGI_EXCERPT_NAMES && !is_special(tok, id)) {
    added = sgi_name_from_bytes(bytes, n, out);
  } else {
    added = sgi_bytes_add(out, bytes, n);
  }
  return added ? SG_OK : sgi_fail_memory(err, out->n + n, "an excerpt");
}

/* The reference removes the text of <|pad|> wherever it stands. */
static void remove_pads(sgi_bytes *out, size_t from) {
  static const char pad[] = "<|pad|>";
  size_t n = sizeof pad - 1, to = from;
  for (size_t i = from; i < out->n;) {
    if (out->n - i >= n && !memcmp(out->data + i, pad, n)) {
      i += n;
      continue;
    }
    out->data[to++] = out->data[i++];
  }
  out->n = to;
}

sg_status sgi_excerpt(const sgi_recording *rec, const sg_tokenizer *tok, size_t position, size_t width,
                      sgi_excerpt_form form, sgi_bytes *out, sg_error *err) {
  size_t first, count, begin = out->n, document = sgi_recording_at(rec, position).document;
  sgi_recording_document(rec, document, &first, &count);
  size_t from = position - first > width ? position - width : first;
  size_t to = first + count - position > width ? position + width + 1 : first + count;
  sg_status st = SG_OK;
  for (size_t p = from; p < to && !st; p++) {
    int32_t id = sgi_recording_at(rec, p).input;
    bool active = p == position;
    if (form == SGI_EXCERPT_TEXT && !active && is_special(tok, id)) continue;
    if (active && !sgi_bytes_add(out, "**", 2)) return sgi_fail_memory(err, out->n, "an excerpt");
    st = sgi_excerpt_token(tok, id, form, out, err);
    if (!st && active && !sgi_bytes_add(out, "**", 2)) return sgi_fail_memory(err, out->n, "an excerpt");
  }
  if (form == SGI_EXCERPT_NAMES) remove_pads(out, begin);
  return st ? st : sgi_recording_check(rec, err);
}
