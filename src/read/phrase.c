/* A word as target: docs/method-reading.md, words.
 *
 * Idea. A token of a word is foretold at its own position, after those before it, and its logit
 * there is an exact sum like any other. So the word's is the sum of these sums: nothing new is
 * approximated. One frozen network of prompt and word serves all its tokens, since what comes later
 * changes nothing before it. A word that speaks against it is another continuation and has a run of
 * its own; up to the read position the two runs are one, and their terms of one place are added.
 *
 *   tokens    [ prompt up to p | phrase but its last | other phrase but its last ]
 *   read at     p, p+1, ...      <- run 0: the first two parts     run 1: first and third
 *
 * Invariant. A term's place names one activation: the same (kind, layer, head, unit, position,
 * source) of two tokens of one run is one activation that does something for both. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "read/attribute.h"
#include "read/run.h"
#include "read/verify.h"

typedef struct branch {
  const int32_t *target;
  size_t n;
  bool against;
  int32_t *tokens; /* (count) prompt up to p, then target but its last */
  size_t count;
  size_t shift; /* a position above p is so much further in the answer's tokens */
} branch;

typedef struct work {
  const sg_model *m;
  const sg_phrase_request *r;
  sg_phrase *p;
  branch branches[2];
  size_t n_branches;
  size_t at;           /* of the read position */
  size_t done, wanted; /* layers, of all runs and tokens */
} work;

/* ---- the runs -------------------------------------------------------------------------------- */

static sg_status check_phrase(const sg_model *m, const char *what, const int32_t *ids, size_t n, sg_error *err) {
  if (n > SG_PHRASE_MOST)
    return sgi_fail(err, SG_ERR_ARG, "%s has %zu tokens: a phrase has at most %d", what, n, SG_PHRASE_MOST);
  for (size_t i = 0; i < n; i++)
    if (ids[i] < 0 || (size_t)ids[i] >= m->config.vocab_size)
      return sgi_fail(err, SG_ERR_ARG, "token id %d is outside the vocabulary of %zu", ids[i], m->config.vocab_size);
  return SG_OK;
}

static sg_status make_branch(const work *w, branch *b, sg_error *err) {
  size_t trunk = w->at + 1;
  b->count = trunk + b->n - 1;
  b->tokens = sgi_alloc(b->count * sizeof *b->tokens);
  if (!b->tokens) return sgi_fail_memory(err, b->count * sizeof *b->tokens, "a phrase");
  memcpy(b->tokens, w->r->tokens, trunk * sizeof *b->tokens);
  if (b->n > 1) memcpy(b->tokens + trunk, b->target, (b->n - 1) * sizeof *b->tokens);
  return SG_OK;
}

static sg_status make_branches(work *w, sg_error *err) {
  const sg_phrase_request *r = w->r;
  sg_status st = sgi_prompt_check(w->m, r->tokens, r->count, err);
  if (!st) st = sgi_prompt_position(r->position, r->count, &w->at, err);
  if (!st && !r->n_target) st = sgi_fail(err, SG_ERR_ARG, "a phrase has at least one token");
  if (!st) st = check_phrase(w->m, "the target", r->target, r->n_target, err);
  if (!st) st = check_phrase(w->m, "the phrase against it", r->against, r->n_against, err);
  if (st) return st;
  w->branches[0] = (branch){.target = r->target, .n = r->n_target};
  w->branches[1] = (branch){.target = r->against, .n = r->n_against, .against = true, .shift = r->n_target - 1};
  w->n_branches = r->n_against ? 2 : 1;
  for (size_t i = 0; i < w->n_branches && !st; i++) st = make_branch(w, &w->branches[i], err);
  w->wanted = w->m->config.num_layers * (2 * w->n_branches + r->n_target + r->n_against);
  return st;
}

/* The answer's tokens: of the first run, then what the second has of its own. */
static sg_status all_tokens(work *w, sg_error *err) {
  sg_phrase *p = w->p;
  const branch *a = &w->branches[0], *b = &w->branches[1];
  size_t own = w->n_branches > 1 ? b->count - w->at - 1 : 0;
  p->count = a->count + own;
  p->n_parts = a->n + b->n;
  p->n_target = a->n;
  p->tokens = sgi_alloc(p->count * sizeof *p->tokens);
  p->parts = sgi_alloc(p->n_parts * sizeof *p->parts);
  if (!p->tokens || !p->parts) return sgi_fail_memory(err, p->n_parts * sizeof *p->parts, "a phrase");
  memcpy(p->tokens, a->tokens, a->count * sizeof *p->tokens);
  if (own) memcpy(p->tokens + a->count, b->tokens + w->at + 1, own * sizeof *p->tokens);
  return SG_OK;
}

static bool further(void *user, size_t done, size_t wanted) {
  work *w = user;
  (void)wanted;
  return !w->r->progress || w->r->progress(w->r->user, w->done + done, w->wanted);
}

static sg_status read_branch(work *w, const branch *b, sg_phrase_part *parts, sg_error *err) {
  sgi_frozen f = {0};
  size_t L = w->m->config.num_layers;
  sg_status st = sgi_frozen_init_watched(&f, w->m, b->tokens, b->count, w->r->max_bytes, further, w, err);
  w->done += 2 * L;
  for (size_t i = 0; i < b->n && !st; i++) {
    sg_phrase_part *x = &parts[i];
    *x = (sg_phrase_part){.token = b->target[i], .against = b->against, .position = w->at + i + (i ? b->shift : 0)};
    st = sgi_attribute_held(&f, w->at + i, x->token, -1, further, w, &x->log_probability, &x->own, err);
    w->done += L;
  }
  sgi_frozen_deinit(&f);
  return st;
}

/* ---- the sum --------------------------------------------------------------------------------- */

static int by_place(const void *a, const void *b) {
  const sg_term *x = a, *y = b;
  const int32_t kx[] = {(int32_t)x->kind, x->layer, x->position, x->head, x->channel, x->index, x->source};
  const int32_t ky[] = {(int32_t)y->kind, y->layer, y->position, y->head, y->channel, y->index, y->source};
  for (size_t i = 0; i < SGI_COUNT(kx); i++)
    if (kx[i] != ky[i]) return kx[i] < ky[i] ? -1 : 1;
  return 0;
}

static void shift_place(const work *w, const branch *b, sg_term *t) {
  if ((size_t)t->position > w->at) t->position += (int32_t)b->shift;
  if ((size_t)t->source > w->at) t->source += (int32_t)b->shift;
}

static const sg_terms *list_of(const sg_attribution *a, size_t which) {
  const sg_terms *const lists[] = {&a->direct, &a->inputs, &a->neurons, &a->heads};
  return lists[which];
}

/* Terms of one place become one; what a head moves in all is told by its source, wherever it is
 * read. */
static sg_status add_up(work *w, size_t which, sg_terms *out, sg_error *err) {
  const sg_phrase *p = w->p;
  size_t room = 1, n = 0;
  for (size_t i = 0; i < p->n_parts; i++) room += list_of(p->parts[i].own, which)->count;
  out->terms = sgi_alloc(room * sizeof *out->terms);
  if (!out->terms) return sgi_fail_memory(err, room * sizeof *out->terms, "terms of a phrase");
  for (size_t i = 0; i < p->n_parts; i++) {
    const branch *b = &w->branches[p->parts[i].against];
    const sg_terms *l = list_of(p->parts[i].own, which);
    for (size_t k = 0; k < l->count; k++) {
      sg_term t = l->terms[k];
      shift_place(w, b, &t);
      if (which == 3) t.position = (int32_t)w->at;
      if (b->against) t.effect = -t.effect;
      out->terms[n++] = t;
    }
  }
  qsort(out->terms, n, sizeof *out->terms, by_place);
  for (size_t i = 0; i < n; i++) {
    bool same = out->count && !by_place(&out->terms[out->count - 1], &out->terms[i]);
    if (same)
      out->terms[out->count - 1].effect += out->terms[i].effect;
    else
      out->terms[out->count++] = out->terms[i];
  }
  qsort(out->terms, out->count, sizeof *out->terms, sgi_term_order);
  for (size_t i = 0; i < out->count; i++) {
    out->sum += out->terms[i].effect;
    out->sum_abs += fabs(out->terms[i].effect);
  }
  if (which < 2) out->residue = out->sum - p->sum.target_logit;
  return SG_OK;
}

static sg_status sum_up(work *w, sg_error *err) {
  sg_phrase *p = w->p;
  sg_attribution *s = &p->sum;
  s->position = w->at;
  s->target = w->r->target[0];
  s->against = w->r->n_against ? w->r->against[0] : -1;
  for (size_t i = 0; i < p->n_parts; i++) {
    const sg_phrase_part *x = &p->parts[i];
    s->target_logit += x->against ? -x->own->target_logit : x->own->target_logit;
    *(x->against ? &p->against_log_probability : &p->log_probability) += x->log_probability;
  }
  sg_terms *lists[] = {&s->direct, &s->inputs, &s->neurons, &s->heads};
  sg_status st = SG_OK;
  for (size_t i = 0; i < SGI_COUNT(lists) && !st; i++) st = add_up(w, i, lists[i], err);
  return st;
}

static void end(work *w) {
  for (size_t i = 0; i < SGI_COUNT(w->branches); i++) sgi_free(w->branches[i].tokens);
}

sg_status sg_attribute_phrase(const sg_model *m, const sg_phrase_request *r, sg_phrase **out, sg_error *err) {
  *out = NULL;
  work w = {.m = m, .r = r, .p = sgi_alloc(sizeof *w.p)};
  if (!w.p) return sgi_fail_memory(err, sizeof *w.p, "a phrase");
  sg_status st = make_branches(&w, err);
  if (!st) st = all_tokens(&w, err);
  if (!st) st = read_branch(&w, &w.branches[0], w.p->parts, err);
  if (!st && w.n_branches > 1) st = read_branch(&w, &w.branches[1], w.p->parts + w.p->n_target, err);
  if (!st) st = sum_up(&w, err);
  end(&w);
  if (st)
    sg_phrase_free(w.p);
  else
    *out = w.p;
  return st;
}

void sg_phrase_free(sg_phrase *p) {
  if (!p) return;
  for (size_t i = 0; p->parts && i < p->n_parts; i++) sg_attribution_free(p->parts[i].own);
  sg_terms *lists[] = {&p->sum.direct, &p->sum.inputs, &p->sum.neurons, &p->sum.heads};
  for (size_t i = 0; i < SGI_COUNT(lists); i++) sgi_free(lists[i]->terms);
  sgi_free(p->parts);
  sgi_free(p->tokens);
  sgi_free(p);
}

/* Tokens of one place cancel where two phrases are compared, so the sum is held to what its tokens
 * may miss together. */
sg_status sg_phrase_check(const sg_phrase *p, sg_error *err) {
  double direct = 0, total = 0;
  for (size_t i = 0; i < p->n_parts; i++) {
    const sg_attribution *a = p->parts[i].own;
    sg_status st = sg_attribution_check(a, err);
    if (st) return st;
    direct += a->direct.sum_abs;
    total += fmax(a->direct.sum_abs, a->inputs.sum_abs);
  }
  sg_attribution whole = p->sum;
  whole.direct.sum_abs = direct;
  whole.inputs.sum_abs = total;
  return sg_attribution_check(&whole, err);
}

/* ---- run again ------------------------------------------------------------------------------- */

/* The term as its run knows it; false where it is not in this run. */
static bool in_branch(const work *w, const branch *b, const sg_term *t, sg_term *own) {
  *own = *t;
  size_t position = (size_t)t->position;
  if (position > w->at) {
    if (position <= w->at + b->shift) return false;
    position -= b->shift;
  }
  own->position = own->source = (int32_t)position;
  return position < b->count;
}

static sg_status verify_branch(work *w, const branch *b, const sg_term *terms, size_t n, sg_true_effect *out,
                               sg_error *err) {
  sgi_read *reads = sgi_alloc(b->n * sizeof *reads);
  sg_term *own = sgi_alloc((n + 1) * sizeof *own);
  size_t *which = sgi_alloc((n + 1) * sizeof *which), found = 0;
  sg_true_effect *truth = sgi_alloc((n + 1) * sizeof *truth);
  sg_status st =
      reads && own && which && truth ? SG_OK : sgi_fail_memory(err, n * sizeof *truth, "true effects of a phrase");
  for (size_t i = 0; i < b->n && !st; i++) reads[i] = (sgi_read){w->at + i, b->target[i], b->against ? -1 : 1};
  for (size_t i = 0; i < n && !st; i++)
    if (in_branch(w, b, &terms[i], &own[found])) which[found++] = i;
  sgi_reading r = {
      .tokens = b->tokens, .count = b->count, .max_bytes = w->r->max_bytes, .reads = reads, .n_reads = b->n};
  if (!st && found) st = sgi_verify(w->m, &r, own, found, truth, err);
  for (size_t i = 0; i < found && !st; i++) {
    sg_true_effect *x = &out[which[i]];
    x->effect += truth[i].effect;
    x->gates_held += truth[i].gates_held;
    x->rerouting += truth[i].rerouting;
    x->gates_changed += truth[i].gates_changed;
  }
  sgi_free(reads);
  sgi_free(own);
  sgi_free(which);
  sgi_free(truth);
  return st;
}

sg_status sg_phrase_verify(const sg_model *m, const sg_phrase_request *r, const sg_phrase *p, const sg_term *terms,
                           size_t n, sg_true_effect *out, sg_error *err) {
  work w = {.m = m, .r = r, .p = (sg_phrase *)(uintptr_t)p};
  sg_status st = make_branches(&w, err);
  for (size_t i = 0; i < n && !st; i++) out[i] = (sg_true_effect){.linear = terms[i].effect};
  for (size_t i = 0; i < w.n_branches && !st; i++) st = verify_branch(&w, &w.branches[i], terms, n, out, err);
  end(&w);
  return st;
}
