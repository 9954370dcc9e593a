#include "read/fact_prompts.h"

#include <string.h>

/* Ids of several texts, one behind the other, as one text. New: sg_buffer_free. */
static sg_status encode(const sg_tokenizer *tok, const char *const *parts, size_t n_parts, sgi_bytes *work,
                        int32_t **ids, size_t *count, sg_error *err) {
  work->n = 0;
  for (size_t i = 0; i < n_parts; i++)
    if (!sgi_bytes_add(work, parts[i], strlen(parts[i])))
      return sgi_fail(err, SG_ERR_MEMORY, "out of memory for a prompt");
  return sg_tokenizer_encode(tok, work->data, work->n, ids, count, err);
}

typedef struct maker {
  const sg_facts *f;
  const sg_tokenizer *tok;
  int32_t bos;
  size_t top_answers;
  bool words;
  sgi_bytes text;
} maker;

/* Where the noun's tokens stand in the prompt's ids, bos counted; n_subject 0 where they do not, or
 * are several and words are not asked for. */
static sg_status find_subject(maker *m, const char *noun, const int32_t *ids, size_t n, sg_fact_prompt *p,
                              sg_error *err) {
  int32_t *own = NULL, *head = NULL;
  size_t k = 0, n_head = 0;
  sg_status st = encode(m->tok, (const char *[]){" ", noun}, 2, &m->text, &own, &k, err);
  if (!st) st = encode(m->tok, (const char *[]){" ", m->f->before, noun}, 3, &m->text, &head, &n_head, err);
  bool there = !st && k && (k == 1 || m->words) && n_head >= k && n_head <= n &&
               !memcmp(head + n_head - k, own, k * sizeof *own) && !memcmp(ids + n_head - k, own, k * sizeof *own);
  p->subject = there ? n_head - k + 1 : 0;
  p->n_subject = there ? k : 0;
  sg_buffer_free(own);
  sg_buffer_free(head);
  return st;
}

/* One more answer of n tokens. */
static sg_status add_answer(sg_fact_prompt *p, size_t k, const int32_t *ids, size_t n, sg_error *err) {
  size_t old = p->answer_at[k];
  int32_t *all = sgi_realloc(p->answers, old * sizeof *all, (old + n) * sizeof *all);
  if (!all) return sgi_fail_memory(err, (old + n) * sizeof *all, "answers");
  memcpy(all + old, ids, n * sizeof *ids);
  p->answers = all;
  p->answer_at[k + 1] = old + n;
  return SG_OK;
}

/* Fills p->answers with the first that are one token behind the prompt, or with words any; *n of
 * them. */
static sg_status find_answers(maker *m, size_t noun, const int32_t *ids, size_t count, sg_fact_prompt *p, size_t *n,
                              sg_error *err) {
  sg_fact of = sg_facts_noun(m->f, noun);
  sg_status st = SG_OK;
  *n = 0;
  for (size_t k = 0; k < of.count && *n < m->top_answers && !st; k++) {
    int32_t *full = NULL;
    size_t n_full = 0, most = m->words ? SG_PHRASE_MOST : 1;
    const char *parts[] = {" ", m->f->before, of.text, m->f->after, " ", sg_facts_answer(m->f, noun, k).text};
    st = encode(m->tok, parts, SGI_COUNT(parts), &m->text, &full, &n_full, err);
    if (!st && n_full > count && n_full - count <= most && !memcmp(full, ids, count * sizeof *ids))
      st = add_answer(p, (*n)++, full + count, n_full - count, err);
    sg_buffer_free(full);
  }
  return st;
}

static void deinit(sg_fact_prompt *p) {
  sgi_free(p->tokens);
  sgi_free(p->answers);
  sgi_free(p->answer_at);
}

/* *made is false where the noun or its answers are not single tokens. */
static sg_status make(maker *m, size_t noun, sg_fact_prompt *p, bool *made, sg_error *err) {
  int32_t *ids = NULL;
  size_t n = 0, answers = 0;
  const char *text = sg_facts_noun(m->f, noun).text;
  sg_status st = encode(m->tok, (const char *[]){" ", m->f->before, text, m->f->after}, 4, &m->text, &ids, &n, err);
  *p = (sg_fact_prompt){.noun = noun, .length = n + 1};
  *made = false;
  if (!st) st = find_subject(m, text, ids, n, p, err);
  if (!st && p->n_subject) {
    p->tokens = sgi_alloc((n + 1) * sizeof *p->tokens);
    p->answer_at = sgi_alloc((m->top_answers + 1) * sizeof *p->answer_at);
    if (p->tokens && p->answer_at) {
      p->tokens[0] = m->bos;
      memcpy(p->tokens + 1, ids, n * sizeof *ids);
      st = find_answers(m, noun, ids, n, p, &answers, err);
      *made = answers == m->top_answers;
    } else {
      st = sgi_fail(err, SG_ERR_MEMORY, "out of memory for a prompt");
    }
  }
  if (st || !*made) deinit(p);
  sg_buffer_free(ids);
  return st;
}

sg_status sgi_fact_prompts(const sg_facts *f, const sg_tokenizer *tok, int32_t bos, size_t top_answers, bool words,
                           sg_fact_prompt **prompts, size_t *n, sg_error *err) {
  *prompts = NULL;
  *n = 0;
  if (!top_answers || top_answers > UINT16_MAX)
    return sgi_fail(err, SG_ERR_ARG, "%zu answers a noun: expected 1 or more", top_answers);
  sg_fact_prompt *all = sgi_alloc((f->n_nouns + 1) * sizeof *all);
  if (!all) return sgi_fail_memory(err, f->n_nouns * sizeof *all, "prompts");
  maker m = {f, tok, bos, top_answers, words, {0}};
  sg_status st = SG_OK;
  for (size_t i = 0; i < f->n_nouns && !st; i++) {
    bool made;
    if (sg_facts_noun(f, i).count < top_answers) continue;
    st = make(&m, i, &all[*n], &made, err);
    if (!st && made) ++*n;
  }
  sgi_bytes_deinit(&m.text);
  if (st) {
    sgi_fact_prompts_free(all, *n);
    *n = 0;
    return st;
  }
  *prompts = all;
  return SG_OK;
}

void sgi_fact_prompts_free(sg_fact_prompt *prompts, size_t n) {
  for (size_t i = 0; i < n; i++) deinit(&prompts[i]);
  sgi_free(prompts);
}
