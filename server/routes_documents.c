/* routes_documents.c: documents of a text file as prompts: lists of them, forwards and backwards,
 * with a text in them; one to read. */
#include <string.h>

#include "api.h"

enum { START_BYTES = 160, BLOCK = 4096, TEXT_BYTES = 48 << 10, BEFORE = 400 };

static sg_status data_of(const api_call *c, sgi_doc_file **out, sg_error *err) {
  *out = c->e->data;
  return *out ? SG_OK : sgi_fail(err, SG_ERR_ARG, "no text is open: start the explorer with --data");
}

static bool tick(void *user, double part) {
  const api_call *c = user;
  http_job_progress(c->job, part < 1 ? part : 1, "reading the text");
  return !http_job_cancelled(c->job);
}

/* The file may have changed under us: what went wrong is told without its path. */
static sg_status plain_error(const sgi_doc_file *d, sg_status st, sg_error *err) {
  if (!st || st == SG_ERR_CANCELLED || st == SG_ERR_MEMORY || !err) return st;
  char text[SG_ERROR_TEXT];
  memcpy(text, err->text, sizeof text);
  size_t n = strlen(d->path);
  return sgi_fail(err, SG_ERR_ARG, "%s%s", strncmp(text, d->path, n) ? "" : d->name,
                  strncmp(text, d->path, n) ? "the text could not be read" : text + n);
}

static json_t *total_json(const sgi_doc_file *d) { return d->ended ? json_integer((json_int_t)d->total) : json_null(); }

static bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/* The largest number of bytes up to n that ends between two characters. */
static size_t whole_characters(const char *text, size_t n) {
  while (n && ((unsigned char)text[n] & 0xC0) == 0x80) n--;
  return n;
}

/* ---- lists ----------------------------------------------------------------------------------- */

typedef struct query {
  sgi_doc_file *d;
  const char *find; /* NULL: every document */
  size_t from, count;
  bool back;
} query;

static bool fits(const query *q, const char *text, size_t n) {
  return !q->find || memmem(text, n, q->find, strlen(q->find)) != NULL;
}

/* {"number", "bytes", "start"}: the first line, or a piece of the text around what was looked
 * for. */
static json_t *row_json(const query *q, const char *text, size_t n, size_t number) {
  const char *hit = q->find ? memmem(text, n, q->find, strlen(q->find)) : NULL;
  size_t from = hit && (size_t)(hit - text) > START_BYTES / 2 ? (size_t)(hit - text) - START_BYTES / 2 : 0, length;
  size_t to = n - from > START_BYTES ? from + START_BYTES : n;
  while (from && from < n && ((unsigned char)text[from] & 0xC0) == 0x80) from++;
  to = to < n ? whole_characters(text, to) : n;
  char *clean = to > from ? sgi_report_clean(text + from, to - from, &length) : NULL;
  json_t *o =
      clean ? json_pack("{sI sI ss}", "number", (json_int_t)number, "bytes", (json_int_t)n, "start", clean) : NULL;
  sgi_free(clean);
  return o;
}

/* Documents [from, to) that fit; the first `count` of them, or the last with `last`. */
static sg_status collect(const api_call *c, const query *q, size_t from, size_t to, bool last, json_t *list,
                         sg_error *err) {
  for (size_t i = from; i < to && (last || json_array_size(list) < q->count); i++) {
    const char *text;
    size_t n;
    sg_status st = sgi_documents_at(q->d, i, tick, (void *)(uintptr_t)c, &text, &n, err);
    if (st || !text) return st;
    if (i % 64 == 0 && http_job_cancelled(c->job)) return sgi_fail(err, SG_ERR_CANCELLED, "stopped");
    if (i % 4096 == 0) tick((void *)(uintptr_t)c, (double)sgi_documents_position(q->d) / (double)(q->d->bytes + 1));
    if (!fits(q, text, n)) continue;
    if (json_array_append_new(list, row_json(q, text, n, i))) return sgi_fail(err, SG_ERR_MEMORY, "out of memory");
    if (last && json_array_size(list) > q->count) json_array_remove(list, 0);
  }
  return SG_OK;
}

/* Backwards: block after block that a remembered place begins (both numbers are powers of two);
 * nearest first. A search reads larger ones. */
static sg_status collect_back(const api_call *c, const query *q, json_t *list, sg_error *err) {
  const char *text;
  size_t n, end = q->from;
  sg_status st = end ? sgi_documents_at(q->d, end, tick, (void *)(uintptr_t)c, &text, &n, err) : SG_OK;
  if (!st && q->d->ended && end >= q->d->total) end = q->d->total - 1;
  size_t size = q->find && q->d->stride < BLOCK ? BLOCK : q->d->stride;
  for (end++; end && !st && json_array_size(list) < q->count;) {
    size_t begin = (end - 1) / size * size;
    json_t *block = json_array();
    st = collect(c, q, begin, end, true, block, err);
    for (size_t i = json_array_size(block); i-- && json_array_size(list) < q->count;)
      json_array_append(list, json_array_get(block, i));
    json_decref(block);
    end = begin;
  }
  return st;
}

static sg_status take_query(const api_call *c, query *q, sg_error *err) {
  q->find = api_text(c->body, "find");
  q->from = api_size(c->body, "from");
  q->count = api_size(c->body, "count");
  q->back = api_flag(c->body, "back");
  return data_of(c, &q->d, err);
}

sg_status api_documents(api_call *c, json_t **answer, sg_error *err) {
  query q = {0};
  sg_status st = take_query(c, &q, err);
  if (st) return st;
  json_t *list = json_array();
  st = q.back ? collect_back(c, &q, list, err) : collect(c, &q, q.from, SIZE_MAX, false, list, err);
  st = plain_error(q.d, st, err);
  if (!st && !(*answer = json_pack("{so sO}", "total", total_json(q.d), "documents", list)))
    st = sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  json_decref(list);
  return st;
}

/* ---- one document ---------------------------------------------------------------------------- */

static sg_status count_tokens(const api_call *c, const char *text, size_t n, size_t *count, sg_error *err) {
  int32_t *ids = NULL;
  sg_status st = sg_tokenizer_encode(c->p.tokenizer, text, n, &ids, count, err);
  sg_buffer_free(ids);
  return st;
}

/* The longest front part that the explorer reads, begin token and all; it ends at a space where one
 * is near. */
static sg_status shorten(const api_call *c, const char *text, size_t *n, size_t *tokens, sg_error *err) {
  size_t low = 0, high = *n, count;
  sg_status st = count_tokens(c, text, *n, tokens, err);
  if (st || *tokens < api_most_tokens(c)) return st;
  while (low < high && !st) { /* the first `low` bytes fit */
    size_t middle = whole_characters(text, low + (high - low + 1) / 2);
    if (middle <= low) break;
    st = count_tokens(c, text, middle, &count, err);
    if (count < api_most_tokens(c))
      low = middle;
    else
      high = middle - 1;
  }
  size_t space = low;
  while (space > 1 && low - space < 40 && !is_space(text[space])) space--;
  *n = space > 1 && is_space(text[space]) ? space : low;
  return st ? st : count_tokens(c, text, *n, tokens, err);
}

static json_t *document_json(const api_call *c, const sgi_doc_file *d, size_t number, const char *text, size_t n,
                             size_t from, sg_error *err) {
  size_t to = n - from > TEXT_BYTES ? whole_characters(text, from + TEXT_BYTES) : n, length, tokens;
  char *clean = sgi_report_clean(text + from, to - from, &length);
  size_t all = length;
  json_t *o = NULL;
  if (!clean)
    sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  else if (!shorten(c, clean, &length, &tokens, err))
    o = json_pack("{sI so ss# sI sI sb sI}", "number", (json_int_t)number, "total", total_json(d), "text", clean,
                  length, "bytes", (json_int_t)n, "from", (json_int_t)from, "cut", from > 0 || to < n || length < all,
                  "tokens", (json_int_t)tokens);
  if (!o && err && !err->code) sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  sgi_free(clean);
  return o;
}

/* Where the text begins that is read: in front, or some words before a hit that would be cut
 * off. */
static size_t begin_of(const api_call *c, const char *text, size_t n, const char *find) {
  size_t room = api_most_tokens(c) / 2, before = room < BEFORE / 2 ? room : BEFORE; /* a token has a byte at least */
  const char *hit = find ? memmem(text, n, find, strlen(find)) : NULL;
  size_t at = hit ? (size_t)(hit - text) : 0;
  if (at <= before) return 0;
  for (size_t from = at - before; from < at; from++)
    if (is_space(text[from])) return from + 1;
  return at;
}

sg_status api_document(api_call *c, json_t **answer, sg_error *err) {
  sgi_doc_file *d = NULL;
  const char *find = api_text(c->body, "find"), *text;
  size_t number = api_size(c->body, "number"), n = 0;
  sg_status st = data_of(c, &d, err);
  if (st) return st;
  st = plain_error(d, sgi_documents_at(d, number, tick, c, &text, &n, err), err);
  if (!st && !text)
    return sgi_fail(err, SG_ERR_ARG, "request: \"number\": the text has %zu documents, from 0 to %zu", d->total,
                    d->total - 1);
  if (st) return st;
  *answer = document_json(c, d, number, text, n, begin_of(c, text, n, find), err);
  return *answer ? SG_OK : err->code;
}
