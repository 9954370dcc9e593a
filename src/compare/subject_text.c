#include "compare/subject_text.h"

#include <ctype.h>
#include <string.h>

#include "core/arena.h"

/* Subjects of prompts, each once, and the tokens met in documents that name them. */
typedef struct reading {
  sgi_subjects *s;
  const sg_tokenizer *tok;
  size_t V, n;
  const sgi_subject **name; /* (n) a prompt that has the subject's tokens */
  size_t *first, *next;     /* (V), (n): subjects by their first token; SIZE_MAX ends a list */
  bool *met;                /* (n,V) */
  bool *here;               /* (n) the document names it */
  size_t *documents;        /* (n) that do */
} reading;

static size_t length(const sgi_subject *p) { return p->end - p->first; }

static sg_status begin(reading *r, const sg_model *m, sg_error *err) {
  sgi_subjects *s = r->s;
  bool *listed = sgi_alloc(s->n_names + 1);
  r->V = m->config.vocab_size;
  r->name = sgi_alloc((s->n + 1) * sizeof(const sgi_subject *));
  r->first = sgi_alloc(r->V * sizeof *r->first);
  r->next = sgi_alloc((s->n + 1) * sizeof *r->next);
  sg_status st =
      listed && r->name && r->first && r->next ? SG_OK : sgi_fail_memory(err, s->n * 16 + r->V * 8, "subjects");
  for (size_t v = 0; v < r->V && !st; v++) r->first[v] = SIZE_MAX;
  for (size_t i = 0; i < s->n && !st; i++) {
    const sgi_subject *p = &s->at[i];
    if (listed[p->who]) continue;
    listed[p->who] = true;
    size_t *head = &r->first[p->tokens[p->first]];
    r->next[r->n] = *head;
    *head = r->n;
    r->name[r->n++] = p;
  }
  sgi_free(listed);
  if (st) return st;
  if (r->n && r->V > SIZE_MAX / r->n) return sgi_fail_memory(err, SIZE_MAX, "tokens of documents");
  r->met = sgi_alloc(r->n * r->V + 1);
  r->here = sgi_alloc(r->n + 1);
  r->documents = sgi_alloc((r->n + 1) * sizeof *r->documents);
  return r->met && r->here && r->documents ? SG_OK : sgi_fail_memory(err, r->n * r->V, "tokens of documents");
}

static void end(reading *r) {
  sgi_free((void *)r->name);
  sgi_free(r->first);
  sgi_free(r->next);
  sgi_free(r->met);
  sgi_free(r->here);
  sgi_free(r->documents);
}

/* Whether the word goes on in a token. */
static bool goes_on(const reading *r, int32_t token) {
  size_t n = 0;
  const char *bytes = sg_tokenizer_token_bytes(r->tok, token, &n);
  return bytes && n && (isalnum((unsigned char)bytes[0]) || (bytes[0] & 0x80));
}

static bool stands(const reading *r, const sgi_subject *p, const int32_t *ids, size_t n) {
  size_t k = length(p);
  return k <= n && !memcmp(ids, p->tokens + p->first, k * sizeof *ids) && (k == n || !goes_on(r, ids[k]));
}

/* Whether the document names any. */
static bool read_document(reading *r, const int32_t *ids, size_t n) {
  bool any = false;
  memset(r->here, 0, r->n);
  for (size_t t = 0; t < n; t++) {
    if (ids[t] < 0 || (size_t)ids[t] >= r->V) continue;
    for (size_t i = r->first[ids[t]]; i != SIZE_MAX; i = r->next[i])
      if (!r->here[i] && stands(r, r->name[i], ids + t, n - t)) r->here[i] = any = true;
  }
  for (size_t i = 0; i < r->n && any; i++) {
    if (!r->here[i]) continue;
    r->documents[i]++;
    for (size_t t = 0; t < n; t++)
      if (ids[t] >= 0 && (size_t)ids[t] < r->V) r->met[i * r->V + (size_t)ids[t]] = true;
  }
  return any;
}

/* What was met with subject i, as its attributes. */
static sg_status list(reading *r, size_t i, const bool *stop, sg_error *err) {
  const sgi_subject *p = r->name[i];
  bool *met = r->met + i * r->V;
  size_t n = 0;
  for (size_t t = p->first; t < p->end; t++) met[p->tokens[t]] = false;
  for (size_t v = 0; v < r->V; v++) n += met[v] && !stop[v];
  int32_t *ids = sgi_alloc((n + 1) * sizeof *ids);
  if (!ids) return sgi_fail_memory(err, n * sizeof *ids, "attributes");
  n = 0;
  for (size_t v = 0; v < r->V; v++)
    if (met[v] && !stop[v]) ids[n++] = (int32_t)v;
  sgi_free(r->s->attributes[p->who]);
  r->s->attributes[p->who] = ids;
  r->s->n_attributes[p->who] = n;
  return SG_OK;
}

sg_status sgi_subjects_read_text(sgi_subjects *s, const sg_model *m, const sg_tokenizer *tok, const bool *stop,
                                 const sgi_subject_text *text, sgi_subject_named *out, sg_error *err) {
  reading r = {.s = s, .tok = tok};
  size_t known = 0;
  *out = (sgi_subject_named){0};
  sg_status st = begin(&r, m, err);
  for (size_t d = 0; d < text->documents && !st; d++) {
    size_t n;
    const int32_t *ids = text->document(text->source, d, &n);
    out->documents += read_document(&r, ids, n);
    if (text->go_on && !text->go_on(text->user)) st = sgi_fail(err, SG_ERR_CANCELLED, "stopped");
  }
  for (size_t i = 0; i < r.n && !st; i++) {
    if ((st = list(&r, i, stop, err)) || !r.documents[i]) continue;
    out->subjects++;
    out->tokens += (double)s->n_attributes[r.name[i]->who];
  }
  if (out->subjects) out->tokens /= (double)out->subjects;
  for (size_t i = 0; i < s->n && !st; i++) known += s->at[i].known && s->n_attributes[s->at[i].who];
  if (!st && !known)
    st = sgi_fail(err, SG_ERR_ARG,
                  "%s: none of its %zu documents names a subject whose fact the model knows: is it a text about these "
                  "subjects?",
                  text->path, text->documents);
  end(&r);
  return st;
}
