#include "read/origins.h"

#include <stdio.h>
#include <string.h>

#include "core/arena.h"
#include "text/reader.h"

static sg_status find(sgi_origins *s, const char *name, uint16_t *out, sg_error *err) {
  char cut[SGI_ORIGIN_NAME];
  snprintf(cut, sizeof cut, "%s", name ? name : "");
  for (size_t i = 0; i < s->n; i++)
    if (!strcmp(s->list[i].name, cut)) return *out = (uint16_t)i, SG_OK;
  if (s->n == SGI_MAX_ORIGINS)
    return sgi_fail(err, SG_ERR_UNSUPPORTED, "more than %d sources: is that a field with a name for each document?",
                    SGI_MAX_ORIGINS);
  if (!sgi_room(&s->list, &s->list_fit, s->n, sizeof *s->list)) return sgi_fail_memory(err, sizeof *s->list, "sources");
  memcpy(s->list[s->n].name, cut, sizeof cut);
  *out = (uint16_t)s->n++;
  return SG_OK;
}

static sg_status add_document(sgi_origins *s, const char *name, sg_error *err) {
  if (!sgi_room(&s->of, &s->of_fit, s->documents, sizeof *s->of))
    return sgi_fail_memory(err, 2 * s->documents * sizeof *s->of, "sources of documents");
  return find(s, name, &s->of[s->documents++], err);
}

static sg_status read_file(const char *path, const sgi_text_form *form, const char *field, bool (*stop)(void *user),
                           void *user, sgi_origins *s, bool *any, sg_error *err) {
  sgi_reader *r = NULL;
  const char *text = NULL;
  size_t n;
  sg_status st = sgi_reader_open(path, form->blank_lines, form->field, &r, err);
  if (!st && form->keep_cr) sgi_reader_keep_cr(r);
  while (!st && !(st = sgi_reader_next(r, &text, &n, err)) && text) {
    const char *name = sgi_reader_label(r, field);
    *any |= name != NULL;
    st = add_document(s, name, err);
    if (!st && stop && stop(user)) st = sgi_fail(err, SG_ERR_CANCELLED, "stopped");
  }
  sgi_reader_close(r);
  return st;
}

sg_status sgi_origins_read(const char *path, const sgi_text_form *form, const char *field, bool (*stop)(void *user),
                           void *user, sgi_origins *out, sg_error *err) {
  char **files = NULL;
  size_t n = 0;
  bool any = false;
  *out = (sgi_origins){0};
  if (sgi_is_stream(path))
    return sgi_fail(err, SG_ERR_ARG, "losses by %s need a file: its lines are read a second time", field);
  sg_status st = sgi_text_files(path, form->field, NULL, &files, &n, err);
  for (size_t i = 0; i < n && !st; i++) st = read_file(files[i], form, field, stop, user, out, &any, err);
  sgi_text_files_free(files, n);
  if (!st && !any) st = sgi_fail(err, SG_ERR_ARG, "%s: no document has a string field \"%s\"", path, field);
  if (st) sgi_origins_deinit(out);
  return st;
}

void sgi_origins_deinit(sgi_origins *s) {
  sgi_free(s->list);
  sgi_free(s->of);
  *s = (sgi_origins){0};
}

sg_status sgi_origins_add(sgi_origins *s, const sgi_corpus *corpus, const sgi_batcher *rows, const double *row_nll,
                          const double *row_targets, uint64_t n_rows, sg_error *err) {
  size_t documents = sgi_corpus_documents(corpus), before = s->documents - documents;
  if (documents > s->documents)
    return sgi_fail(err, SG_ERR_ARG, "the text has %zu documents now, and had %zu: was it changed?", s->documents,
                    documents);
  uint64_t last = UINT64_MAX;
  for (uint64_t i = 0, first, end; i < n_rows; i++) {
    uint64_t unit = sgi_batcher_unit(rows, i, &first, &end);
    sgi_origin *x = &s->list[s->of[before + unit]];
    x->nll += row_nll[i];
    x->tokens += row_targets[i];
    x->documents += unit != last && row_targets[i] > 0;
    last = unit;
  }
  return SG_OK;
}
