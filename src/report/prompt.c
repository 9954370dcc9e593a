#include "prompt.h"

#include <stdlib.h>
#include <string.h>

#include "read/run.h"
#include "text/unicode.h"

enum { SHOWN_BYTES = 64 };

sg_status sgi_prompt_encode(const sgi_prompt *p, const char *text, bool no_bos, int32_t **tokens, size_t *count,
                            sg_error *err) {
  if (!p->tokenizer)
    return sgi_fail(err, SG_ERR_ARG, "%s has no tokenizer.json: give token ids instead of text",
                    p->directory ? p->directory : "the model");
  int32_t *ids = NULL;
  size_t n = 0;
  sg_status st = sg_tokenizer_encode(p->tokenizer, text, strlen(text), &ids, &n, err);
  if (st) return st;
  size_t bos = no_bos ? 0 : 1;
  *tokens = sgi_alloc((n + bos + 1) * sizeof **tokens);
  if (*tokens) {
    if (bos) (*tokens)[0] = sg_model_config(p->model)->bos_id;
    if (n) memcpy(*tokens + bos, ids, n * sizeof *ids);
    *count = n + bos;
  } else {
    st = sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  }
  sg_buffer_free(ids);
  return st;
}

sg_status sgi_prompt_at(const sgi_prompt *p, ptrdiff_t position, size_t *out, sg_error *err) {
  return sgi_prompt_position(position, p->count, out, err);
}

/* "\" m\", \"ac\", ...": the tokens of a text, as far as there is room. */
static void list_tokens(const sgi_prompt *p, const int32_t *ids, size_t n, char *out, size_t size) {
  size_t k = 0;
  out[0] = 0;
  for (size_t i = 0; i < n; i++) {
    sgi_shown one = sgi_token_shown(p, ids[i]);
    if (k + strlen(one.s) + 8 > size) {
      snprintf(out + k, size - k, ", ...");
      break;
    }
    k += (size_t)snprintf(out + k, size - k, "%s%s", i ? ", " : "", one.s);
  }
}

sg_status sgi_prompt_token(const sgi_prompt *p, const char *text, int32_t *id, sg_error *err) {
  size_t V = sg_model_config(p->model)->vocab_size;
  if (!*text) return sgi_fail(err, SG_ERR_ARG, "an empty text is no token: name one by its text, or by number as id:N");
  if (!strncmp(text, "id:", 3)) {
    char *end;
    long v = strtol(text + 3, &end, 10);
    if (end == text + 3 || *end || v < 0 || (size_t)v >= V)
      return sgi_fail(err, SG_ERR_ARG, "\"%s\" is no token: ids go from 0 to %zu", text, V - 1);
    *id = (int32_t)v;
    return SG_OK;
  }
  size_t pieces = 0;
  char list[160] = "";
  for (int space = 0; space < 2; space++) {
    char *with = NULL;
    if (!(with = sgi_alloc(strlen(text) + 2))) return sgi_fail(err, SG_ERR_MEMORY, "out of memory");
    snprintf(with, strlen(text) + 2, "%s%s", space ? " " : "", text);
    int32_t *ids = NULL;
    size_t n = 0;
    sg_status st = sgi_prompt_encode(p, with, true, &ids, &n, err);
    if (!st && n == 1) *id = ids[0];
    pieces = n;
    if (!st && n > 1) list_tokens(p, ids, n, list, sizeof list);
    sgi_free(with);
    sgi_free(ids);
    if (st || n == 1) return st;
  }
  return sgi_fail(err, SG_ERR_ARG, "\"%.80s\" is %zu tokens, not one: choose one of them (%s), or a number as id:N",
                  text, pieces, list);
}

char *sgi_token_text(const sgi_prompt *p, int32_t id) {
  char number[16];
  snprintf(number, sizeof number, "#%d", id);
  if (!p->tokenizer) return sgi_strdup(number);
  char *text = NULL;
  size_t n;
  if (sg_tokenizer_decode(p->tokenizer, &id, 1, false, &text, &n, NULL)) return sgi_strdup(number);
  char *copy = sgi_strdup(text);
  sg_buffer_free(text);
  return copy;
}

/* Written out: \n, \t, \r; other control characters and bytes that are no UTF-8 as \x1b. Otherwise
 * the character as it is. */
static size_t shown_character(const char *at, size_t n, char out[16]) {
  uint32_t c;
  size_t length = sgi_utf8_next(at, n, &c), k = 0;
  if (c == '\n' || c == '\t' || c == '\r') {
    out[k++] = '\\';
    out[k++] = c == '\n' ? 'n' : c == '\t' ? 't' : 'r';
  } else if (c == SGI_BROKEN || c < 0x20 || (c >= 0x7f && c < 0xa0)) {
    for (size_t i = 0; i < length; i++, k += 4) snprintf(out + k, 5, "\\x%02x", (unsigned char)at[i]);
  } else {
    memcpy(out, at, length);
    k = length;
  }
  out[k] = 0;
  return length;
}

sgi_shown sgi_token_shown(const sgi_prompt *p, int32_t id) {
  sgi_shown out = {"\""};
  char number[16];
  size_t n = 0, k = 1;
  const char *bytes = p->tokenizer ? sg_tokenizer_token_bytes(p->tokenizer, id, &n) : NULL;
  if (!bytes) n = (size_t)snprintf(number, sizeof number, "#%d", id), bytes = number;
  for (size_t i = 0; i < n;) {
    char one[16];
    i += shown_character(bytes + i, n - i, one);
    size_t room = strlen(one);
    if (k + room + 2 >= sizeof out.s) break; /* whole characters only */
    memcpy(out.s + k, one, room);
    k += room;
  }
  out.s[k++] = '"';
  out.s[k] = 0;
  return out;
}

json_t *sgi_token_json(const sgi_prompt *p, int32_t id) {
  if (id < 0) return json_null();
  char *text = sgi_token_text(p, id);
  json_t *o = json_pack("{si so}", "id", (int)id, "text", sgi_report_text(text ? text : "", text ? strlen(text) : 0));
  size_t n = 0;
  const char *bytes = p->tokenizer ? sg_tokenizer_token_bytes(p->tokenizer, id, &n) : NULL;
  if (text && bytes && n < SHOWN_BYTES && strstr(text, "\xef\xbf\xbd") &&
      (strlen(text) != n || memcmp(text, bytes, n))) {
    char hex[2 * SHOWN_BYTES + 1];
    for (size_t i = 0; i < n; i++) snprintf(hex + 2 * i, 3, "%02x", (unsigned char)bytes[i]);
    json_object_set_new(o, "bytes", json_string(hex));
  }
  sgi_free(text);
  return o;
}

json_t *sgi_prompt_json(const sgi_prompt *p) {
  json_t *a = json_array();
  for (size_t i = 0; i < p->count; i++) json_array_append_new(a, sgi_token_json(p, p->tokens[i]));
  return a;
}
