#include "text/reader.h"

#include <string.h>

#include "core/arena.h"
#include "text/json_line.h"
#include "text/unicode.h"

enum {
  FIRST_SIZE = 1 << 20,
  LINE_VALUES = 1 << 20, /* values in one JSON line: what jansson builds of a line stays below 100 MB */
};

struct sgi_reader {
  char *path, *field; /* path: as errors name it */
  bool stream;        /* standard input */
  bool jsonl, blank_lines;
  bool keep_space, marked; /* marked: text[at] stands behind a mark */
  bool crlf;               /* of a .txt: its lines end in CRLF, which is read as LF */
  sgi_text_notes notes;
  sgi_unpack *source;
  /* unpacked text: text[at..n) is not handed out yet, no document ends in text[at..scan) */
  char *text;
  size_t at, scan, n, size;
  bool text_end;
  uint64_t base; /* byte of the unpacked text that text[0] is */
  uint64_t line; /* .jsonl: number of the line just read */
  json_t *object;
  sg_error failure;
};

/* ---- the text buffer ------------------------------------------------------------------------- */

/* Unpacks more behind text[n). The buffer is filled whole each time and doubles, so that looking at
 * its tail again after each fill stays linear. Only called when no document ends in text[at..n). */
static sg_status fill(sgi_reader *r, sg_error *err) {
  size_t kept = r->n - r->at;
  if (kept > SGI_DOCUMENT_MAX) {
    unsigned long long byte = r->base + r->at;
    if (r->jsonl)
      return sgi_fail(err, SG_ERR_FORMAT, "%s: line %llu, which begins at byte %llu, is longer than %zu MB", r->path,
                      (unsigned long long)r->line + 1, byte, SGI_DOCUMENT_MAX >> 20);
    return sgi_fail(
        err, SG_ERR_FORMAT,
        "%s: the document that begins at byte %llu is longer than %zu MB; documents are split at %s", r->path, byte,
        SGI_DOCUMENT_MAX >> 20,
        r->blank_lines ? "blank lines here" : "\"" SGI_DOCUMENT_MARK "\" here, blank lines can be asked for");
  }
  if (kept > r->size / 2) {
    char *more = sgi_alloc(2 * r->size);
    if (!more) return sgi_fail_memory(err, 2 * r->size, "a document");
    memcpy(more, r->text + r->at, kept);
    sgi_free(r->text);
    r->text = more, r->size *= 2;
  } else {
    memmove(r->text, r->text + r->at, kept);
  }
  r->base += r->at;
  r->scan -= r->at;
  r->n = kept;
  r->at = 0;
  size_t room = r->size - r->n, got = 0;
  sg_status st = sgi_unpack_read(r->source, r->text + r->n, room, &got, err);
  if (st) return st;
  r->n += got;
  r->text_end = got < room;
  return SG_OK;
}

static bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/* Where the document that begins at `at` ends, and where the next one may begin. False: more text
 * is needed. */
static bool end_at_mark(sgi_reader *r, size_t *end, size_t *next) {
  enum { K = sizeof SGI_DOCUMENT_MARK - 1 };
  const char *p = memmem(r->text + r->scan, r->n - r->scan, SGI_DOCUMENT_MARK, K);
  if (p) {
    *end = (size_t)(p - r->text);
    *next = *end + K;
    return true;
  }
  if (r->n - r->scan >= K) r->scan = r->n - (K - 1);
  return false;
}

static bool end_at_blank_line(sgi_reader *r, size_t *end, size_t *next) {
  while (r->scan < r->n) {
    const char *p = memchr(r->text + r->scan, '\n', r->n - r->scan);
    if (!p) {
      r->scan = r->n;
      return false;
    }
    size_t line = (size_t)(p - r->text), q = line + 1;
    while (q < r->n && r->text[q] != '\n' && is_space(r->text[q])) q++;
    if (q == r->n) { /* perhaps blank: the line break is looked at again */
      r->scan = line;
      return false;
    }
    if (r->text[q] == '\n') {
      *end = line;
      *next = q + 1;
      return true;
    }
    r->scan = q;
  }
  return false;
}

static bool end_at_line(sgi_reader *r, size_t *end, size_t *next) {
  const char *p = memchr(r->text + r->scan, '\n', r->n - r->scan);
  if (!p) {
    r->scan = r->n;
    return false;
  }
  *end = (size_t)(p - r->text);
  *next = *end + 1;
  return true;
}

static void drop_space(const sgi_reader *r, size_t *begin, size_t *end) {
  while (*begin < *end && is_space(r->text[*begin])) ++*begin;
  while (*end > *begin && is_space(r->text[*end - 1])) --*end;
}

/* The line breaks (LF or CRLF) that belong to the mark in front and to the one behind, if there is
 * one. */
static void drop_breaks(sgi_reader *r, bool mark_behind, size_t *begin, size_t *end) {
  const char *t = r->text;
  if (r->marked && *end - *begin >= 2 && t[*begin] == '\r' && t[*begin + 1] == '\n') ++*begin;
  if (r->marked && *begin < *end && t[*begin] == '\n') ++*begin;
  if (mark_behind && *end > *begin && t[*end - 1] == '\n') {
    --*end;
    if (*end > *begin && t[*end - 1] == '\r') --*end;
  }
  r->marked = mark_behind;
}

/* CRLF to LF, in place: the bytes were taken already. */
static size_t drop_cr(char *text, size_t n) {
  char *cr = memchr(text, '\r', n);
  if (!cr) return n;
  size_t to = (size_t)(cr - text);
  for (size_t i = to; i < n; i++)
    if (text[i] != '\r' || i + 1 == n || text[i + 1] != '\n') text[to++] = text[i];
  return to;
}

/* The next raw document or line without white space around it; *text NULL at the end. */
static sg_status next_piece(sgi_reader *r, const char **text, size_t *n, sg_error *err) {
  for (;;) {
    size_t end, next;
    /* White space in front goes at once, so that it never counts as part of a long document. Lines
     * are counted and keep theirs. */
    while (!r->jsonl && !r->keep_space && r->at < r->n && is_space(r->text[r->at])) r->at++;
    if (r->scan < r->at) r->scan = r->at;
    bool found = r->jsonl         ? end_at_line(r, &end, &next)
                 : r->blank_lines ? end_at_blank_line(r, &end, &next)
                                  : end_at_mark(r, &end, &next);
    if (!found) {
      if (!r->text_end) {
        sg_status st = fill(r, err);
        if (st) return st;
        continue;
      }
      if (r->at == r->n) {
        *text = NULL;
        return SG_OK;
      }
      end = next = r->n;
    }
    size_t begin = r->at;
    r->at = r->scan = next;
    r->line++;
    if (r->keep_space)
      drop_breaks(r, found, &begin, &end);
    else
      drop_space(r, &begin, &end);
    if (end - begin > SGI_DOCUMENT_MAX) {
      r->at = begin;
      r->line--;
      return fill(r, err);
    }
    if (end == begin) continue;
    *text = r->text + begin;
    *n = end - begin;
    return SG_OK;
  }
}

/* A document of a .txt. */
static void read_text(const sgi_raw_form *f, char *piece, size_t n, uint64_t byte, sgi_raw_text *out) {
  size_t first = 0;
  out->broken = sgi_utf8_broken(piece, n, &first);
  out->broken_at = byte + first;
  out->text = piece;
  out->n = f->crlf ? drop_cr(piece, n) : n;
}

/* ---- JSON lines ------------------------------------------------------------------------------ */

/* Commas and brackets outside strings: a bound on the values in a line, before anything is built of
 * it. */
static size_t count_values(const char *text, size_t n) {
  size_t count = 0;
  bool inside = false;
  for (size_t i = 0; i < n; i++) {
    char c = text[i];
    if (inside && c == '\\')
      i++;
    else if (c == '"')
      inside = !inside;
    else if (!inside && (c == ',' || c == '[' || c == '{'))
      count++;
  }
  return count;
}

static sg_status fail_field(const sgi_raw_form *f, uint64_t line, json_t *object, const char *found, sg_error *err) {
  char keys[160] = "";
  const char *key;
  json_t *value;
  json_object_foreach(object, key, value) {
    if (!json_is_string(value) || strlen(keys) + strlen(key) + 6 > sizeof keys) continue;
    strcat(strcat(strcat(keys, *keys ? ", \"" : "\""), key), "\"");
  }
  return sgi_fail(err, SG_ERR_FORMAT,
                  "%s: line %llu: field \"%s\" is %s, expected a string; string fields of this line: %s", f->path,
                  (unsigned long long)line, f->field, found, *keys ? keys : "none");
}

static sg_status fail_array(const char *path, uint64_t line, sg_error *err) {
  return sgi_fail(err, SG_ERR_FORMAT,
                  "%s: line %llu: not a JSON object but an array; expected JSON lines, one object a line (jq -c '.[]' "
                  "FILE.json > FILE.jsonl makes them)",
                  path, (unsigned long long)line);
}

static sg_status read_line(const sgi_raw_form *f, const char *line, size_t n, uint64_t number, sgi_raw_text *out,
                           sg_error *err) {
  unsigned long long shown = number;
  if (count_values(line, n) > LINE_VALUES)
    return sgi_fail(err, SG_ERR_FORMAT, "%s: line %llu has more than %d values", f->path, shown, LINE_VALUES);
  json_error_t e;
  sgi_line_mended mended = {0};
  out->object = sgi_json_line(line, n, &mended, &e);
  if (!out->object) {
    if (json_error_code(&e) == json_error_out_of_memory) return sgi_fail_memory(err, n, "a line of JSON");
    return sgi_fail(err, SG_ERR_FORMAT, "%s: line %llu, byte %d of it: %s; expected one JSON object a line", f->path,
                    shown, e.position, e.text);
  }
  out->broken = mended.broken, out->halves = mended.halves;
  if (json_is_array(out->object)) return fail_array(f->path, number, err);
  if (!json_is_object(out->object))
    return sgi_fail(err, SG_ERR_FORMAT, "%s: line %llu: not a JSON object; expected {\"%s\": \"...\"}", f->path, shown,
                    f->field);
  const json_t *value = json_object_get(out->object, f->field);
  if (!json_is_string(value)) return fail_field(f, number, out->object, value ? "no string" : "missing", err);
  if (!json_string_length(value)) return SG_OK;
  out->text = json_string_value(value);
  out->n = json_string_length(value);
  return SG_OK;
}

/* ---- pieces ---------------------------------------------------------------------------------- */

sgi_raw_form sgi_reader_form(const sgi_reader *r) { return (sgi_raw_form){r->path, r->field, r->jsonl, r->crlf}; }

sg_status sgi_reader_next_raw(sgi_reader *r, sgi_raw *out, sg_error *err) {
  const char *text;
  *out = (sgi_raw){0};
  if (!r->failure.code && !next_piece(r, &text, &out->n, &r->failure)) {
    if (!text) return SG_OK;
    out->text = r->text + (text - r->text);
    out->byte = r->base + (uint64_t)(text - r->text);
    out->line = r->line;
    return SG_OK;
  }
  *out = (sgi_raw){0};
  if (err) *err = r->failure;
  return r->failure.code;
}

sg_status sgi_raw_read(const sgi_raw_form *f, const sgi_raw *p, sgi_raw_text *out, sg_error *err) {
  *out = (sgi_raw_text){0};
  if (f->jsonl) return read_line(f, p->text, p->n, p->line, out, err);
  read_text(f, p->text, p->n, p->byte, out);
  return SG_OK;
}

void sgi_raw_note(const sgi_raw_form *f, const sgi_raw *p, const sgi_raw_text *text, sgi_text_notes *notes) {
  if (!text->broken && !text->halves) return;
  if (f->jsonl) {
    sgi_text_notes_mended(notes, f->path, p->line, text->broken, text->halves);
    return;
  }
  sgi_text_notes now = {.broken = text->broken, .broken_at = text->broken_at};
  sgi_note_name(f->path, now.broken_file);
  sgi_text_notes_add(notes, &now);
}

const char *sgi_reader_label(const sgi_reader *r, const char *field) {
  const json_t *at = r->object, *whole = json_object_get(at, field);
  if (whole) return json_string_value(whole);
  for (const char *dot; at && (dot = strchr(field, '.')); field = dot + 1) {
    char name[128];
    if ((size_t)(dot - field) >= sizeof name) return NULL;
    memcpy(name, field, (size_t)(dot - field));
    name[dot - field] = '\0';
    at = json_object_get(at, name);
  }
  return json_string_value(json_object_get(at, field));
}

/* ---- open, next, close ----------------------------------------------------------------------- */

/* A stream that begins with an object is JSON lines. Its first line must be whole, unless it is
 * longer than the buffer: text may begin with a brace as well. */
static bool begins_as_lines(const sgi_reader *r) {
  size_t at = r->at;
  while (at < r->n && is_space(r->text[at])) at++;
  if (at == r->n || r->text[at] != '{') return false;
  const char *end = memchr(r->text + at, '\n', r->n - at);
  if (!end && !r->text_end) return true;
  json_error_t e;
  sgi_line_mended mended = {0};
  size_t length = end ? (size_t)(end - r->text) - at : r->n - at;
  json_t *o =
      count_values(r->text + at, length) <= LINE_VALUES ? sgi_json_line(r->text + at, length, &mended, &e) : NULL;
  bool lines = json_is_object(o);
  json_decref(o);
  return lines;
}

static sg_status start(sgi_reader *r, sgi_packing packing, sg_error *err) {
  r->size = FIRST_SIZE;
  if (!r->path || !r->field || !(r->text = sgi_alloc(r->size))) return sgi_fail_memory(err, r->size, "reading text");
  sg_status st = sgi_unpack_open(r->stream ? "-" : r->path, packing, &r->source, err);
  if (st || (st = fill(r, err))) return st;
  if (r->n >= 3 && !memcmp(r->text, "\xEF\xBB\xBF", 3)) r->at = r->scan = 3;
  if (r->n >= 2 && (!memcmp(r->text, "\xFF\xFE", 2) || !memcmp(r->text, "\xFE\xFF", 2)))
    return sgi_fail(err, SG_ERR_FORMAT, "%s: begins with the byte order mark of UTF-16; convert it to UTF-8", r->path);
  if (packing == SGI_BY_CONTENT) r->jsonl = begins_as_lines(r);
  const char *end = memchr(r->text, '\n', r->n); /* as editors do: the first line tells */
  r->crlf = !r->jsonl && end && end > r->text && end[-1] == '\r';
  for (size_t i = r->at; r->jsonl && i < r->n; i++) {
    if (is_space(r->text[i])) continue;
    r->line++;
    if (r->text[i] == '[') return fail_array(r->path, r->line, err);
    r->line--;
    break;
  }
  return SG_OK;
}

sg_status sgi_reader_open(const char *path, bool blank_lines, const char *field, sgi_reader **out, sg_error *err) {
  *out = NULL;
  sgi_packing packing;
  sgi_text_kind kind = sgi_text_ending(path, &packing, NULL);
  if (kind == SGI_TEXT_NONE) {
    if (!sgi_is_stream(path))
      return sgi_fail(err, SG_ERR_ARG, "%s: not a text file by its name; expected %s", path, SGI_TEXT_ENDINGS);
    packing = SGI_BY_CONTENT;
  }
  sgi_reader *r = sgi_alloc(sizeof *r);
  if (!r) return sgi_fail_memory(err, sizeof *r, "reading text");
  r->jsonl = kind == SGI_TEXT_LINES || kind == SGI_TEXT_JSON;
  r->blank_lines = blank_lines;
  r->stream = !strcmp(path, "-");
  r->path = sgi_strdup(r->stream ? "standard input" : path);
  r->field = sgi_strdup(field && *field ? field : "text");
  sg_status st = start(r, packing, err);
  if (st) {
    sgi_reader_close(r);
    return st;
  }
  *out = r;
  return SG_OK;
}

void sgi_reader_keep_space(sgi_reader *r) { r->keep_space = !r->jsonl && !r->blank_lines; }
void sgi_reader_keep_cr(sgi_reader *r) { r->crlf = false; }
const sgi_text_notes *sgi_reader_notes(const sgi_reader *r) { return &r->notes; }

sg_status sgi_reader_next(sgi_reader *r, const char **text, size_t *n, sg_error *err) {
  sgi_raw_form form = sgi_reader_form(r);
  sgi_raw p;
  sgi_raw_text got = {0};
  *text = NULL;
  *n = 0;
  do {
    json_decref(r->object);
    r->object = NULL;
    if (sgi_reader_next_raw(r, &p, NULL) || !p.text) break;
    sgi_raw_read(&form, &p, &got, &r->failure);
    r->object = got.object;
    if (got.object || !r->failure.code) sgi_raw_note(&form, &p, &got, &r->notes);
  } while (!r->failure.code && !got.text); /* a line with an empty text is none */
  if (r->failure.code) {
    if (err) *err = r->failure;
    return r->failure.code;
  }
  if (p.text) *text = got.text, *n = got.n;
  return SG_OK;
}

sgi_reader_place sgi_reader_tell(const sgi_reader *r) { return (sgi_reader_place){r->base + r->at, r->line}; }

sg_status sgi_reader_seek(sgi_reader *r, sgi_reader_place place, sg_error *err) {
  r->failure = (sg_error){0};
  r->at = r->scan = r->n = 0;
  r->base = place.byte;
  r->line = place.line;
  r->text_end = r->marked = false;
  return sgi_unpack_seek(r->source, place.byte, err);
}

uint64_t sgi_reader_position(const sgi_reader *r) { return sgi_unpack_position(r->source); }
sgi_stamp sgi_reader_stamp(const sgi_reader *r) { return sgi_unpack_stamp(r->source); }

void sgi_reader_close(sgi_reader *r) {
  if (!r) return;
  json_decref(r->object);
  sgi_unpack_close(r->source);
  sgi_free(r->text);
  sgi_free(r->path);
  sgi_free(r->field);
  sgi_free(r);
}
