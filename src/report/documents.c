#include "documents.h"

#include <string.h>

#include "core/arena.h"
#include "core/file.h"
#include "text/reader.h"

/* Where more would be remembered, every second place is forgotten: 1 MB, and a walk of stride
 * documents at most to any other. */
enum { PLACES = 65536, LOOK = 256 };

/* Remembers where the next document begins, if it is one of those. */
static void remember(sgi_doc_file *d) {
  if (d->next % d->stride || d->next / d->stride != d->n_places) return;
  if (d->n_places == PLACES) {
    for (size_t i = 0; 2 * i < PLACES; i++) d->places[i] = d->places[2 * i];
    d->n_places = PLACES / 2;
    d->stride *= 2;
  }
  if (d->next % d->stride == 0) d->places[d->n_places++] = sgi_reader_tell(d->reader);
}

sg_status sgi_documents_next(sgi_doc_file *d, const char **text, size_t *n, size_t *number, sg_error *err) {
  remember(d);
  sg_status st = sgi_reader_next(d->reader, text, n, err);
  if (st) return st;
  if (!*text) {
    d->ended |= d->next >= d->total;
    return SG_OK;
  }
  *number = d->next++;
  if (d->next > d->total) d->total = d->next;
  return SG_OK;
}

/* The reader stands before the nearest remembered place, unless it stands between that and the
 * document already. */
static sg_status approach(sgi_doc_file *d, size_t number, sg_error *err) {
  size_t place = number / d->stride < d->n_places ? number / d->stride : d->n_places - 1;
  if (d->next <= number && d->next >= place * d->stride) return SG_OK;
  d->next = place * d->stride;
  return sgi_reader_seek(d->reader, d->places[place], err);
}

sg_status sgi_documents_at(sgi_doc_file *d, size_t number, sgi_documents_watch watch, void *user, const char **text,
                           size_t *n, sg_error *err) {
  size_t at = 0;
  *text = NULL;
  if (d->ended && number >= d->total) return SG_OK;
  sg_status st = approach(d, number, err);
  for (size_t i = 1; !st; i++) {
    st = sgi_documents_next(d, text, n, &at, err);
    if (st || !*text || at == number) return st;
    double part = d->bytes ? (double)sgi_reader_position(d->reader) / (double)d->bytes : 1;
    if (i % LOOK == 0 && watch && !watch(user, part)) return sgi_fail(err, SG_ERR_CANCELLED, "stopped");
  }
  return st;
}

sg_status sgi_documents_open(sgi_doc_file *d, const char *path, const sg_text_form *form, sg_error *err) {
  const char *slash = strrchr(path, '/'), *text = NULL;
  size_t n = 0, number;
  *d = (sgi_doc_file){.stride = 1, .name = sgi_strdup(slash ? slash + 1 : path), .path = sgi_strdup(path)};
  d->places = sgi_alloc(PLACES * sizeof *d->places);
  if (!d->name || !d->path || !d->places) return sgi_fail_memory(err, PLACES * sizeof *d->places, "documents");
  sg_status st = sgi_reader_open(d->path, form->blank_lines, form->field, &d->reader, err);
  if (!st && form->keep_cr) sgi_reader_keep_cr(d->reader);
  if (!st) d->bytes = sgi_reader_stamp(d->reader).size;
  if (!st) st = sgi_documents_next(d, &text, &n, &number, err);
  if (!st && !text) st = sgi_fail(err, SG_ERR_FORMAT, "%s holds no document", path);
  return st;
}

void sgi_documents_close(sgi_doc_file *d) {
  sgi_reader_close(d->reader);
  sgi_free(d->places);
  sgi_free(d->name);
  sgi_free(d->path);
  *d = (sgi_doc_file){0};
}

uint64_t sgi_documents_position(const sgi_doc_file *d) { return sgi_reader_position(d->reader); }
