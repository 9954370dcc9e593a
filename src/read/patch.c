/* Patched runs: what the gates of one position carry (golden README no. 33). */
#include <math.h>
#include <string.h>

#include "model/pass.h"
#include "read/fact_prompts.h"

enum { ROWS = 64 }; /* prompts run at a time */

typedef struct patcher {
  const sg_model *model;
  const sg_intervention_request *request;
  sg_interventions *out;
  sgi_pass *pass;
  size_t L, V, width; /* width: largest C*K of a layer */
  float *scores;      /* (n_prompts,L,width) at each prompt's patched position */
  int32_t *indices;
  /* The batch at work. */
  size_t first, rows, T; /* prompts or pairs from first on */
  const bool *set;       /* (L) layers to patch, NULL in plain runs */
  bool met;              /* a router's site was seen */
  int32_t *tokens;       /* (ROWS,T) */
  float *logits;         /* (V) */
  size_t done, wanted;
} patcher;

static const sg_fact_prompt *prompt_of_row(const patcher *p, size_t row) {
  size_t at = p->first + row;
  return &p->out->prompts[p->set ? p->out->pairs[at][0] : at];
}

/* The row of a site that the patch is about. */
static char *patched_row(const patcher *p, const sgi_site *s, size_t row, size_t width) {
  const sg_fact_prompt *prompt = prompt_of_row(p, row);
  size_t position = p->request->at_last ? prompt->length - 1 : prompt->subject;
  return (char *)s->data + (row * p->T + position) * width * 4;
}

/* Plain runs keep the gates of their patched position; patched runs get those of the counterfactual
 * prompt. */
static sg_status visit(void *user, const sgi_site *s, sg_error *err) {
  patcher *p = user;
  const sgi_site_row *row = sgi_site_row_of(s->id);
  bool score = row->role == SGI_SITE_SCORES, choice = row->role == SGI_SITE_CHOICE;
  if ((!score && !choice) || row->chosen_by != SGI_SITE_ROUTER_INDICES) return SG_OK;
  p->met = true;
  size_t width = sgi_site_width(s);
  if (width > p->width || s->n != p->rows * p->T)
    return sgi_fail(err, SG_ERR_INTERNAL, "%s of layer %td has an unexpected shape", row->name, s->layer);
  size_t layer = (size_t)s->layer;
  for (size_t r = 0; r < p->rows; r++) {
    if (p->set && !p->set[layer]) continue;
    size_t prompt = p->set ? p->out->pairs[p->first + r][1] : p->first + r, at = (prompt * p->L + layer) * p->width;
    char *kept = score ? (char *)(p->scores + at) : (char *)(p->indices + at), *live = patched_row(p, s, r, width);
    if (p->set)
      memcpy(live, kept, width * 4);
    else
      memcpy(kept, live, width * 4);
  }
  return SG_OK;
}

/* Runs `rows` prompts or pairs of equal length from `first` on. */
static sg_status run_batch(patcher *p, size_t first, size_t rows, const bool *set, sg_error *err) {
  p->first = first;
  p->rows = rows;
  p->set = set;
  p->T = prompt_of_row(p, 0)->length;
  for (size_t r = 0; r < rows; r++) memcpy(p->tokens + r * p->T, prompt_of_row(p, r)->tokens, p->T * sizeof *p->tokens);
  p->met = false;
  sgi_tap tap = {.visit = visit, .user = p, .err = err};
  sg_status st = sgi_pass_forward(p->pass, &(sgi_batch){.B = rows, .T = p->T, .inputs = p->tokens}, &tap, err);
  if (!st && !p->met)
    st = sgi_fail(
        err, SG_ERR_UNSUPPORTED,
        "feedforward kind %s has no router: gates can be patched in kinds with router.scores and router.indices",
        p->model->config.feedforward);
  p->done += rows;
  if (!st && p->request->progress && !p->request->progress(p->request->user, p->done, p->wanted))
    st = sgi_fail(err, SG_ERR_CANCELLED, "stopped after %zu of %zu runs", p->done, p->wanted);
  return st;
}

static sg_status last_logits(patcher *p, size_t row, float *logits, sg_error *err) {
  return sgi_pass_logits(p->pass, row * p->T + p->T - 1, 1, logits, err);
}

static sg_status plain_runs(patcher *p, sg_error *err) {
  sg_interventions *o = p->out;
  sg_status st = SG_OK;
  for (size_t i = 0, n; i < o->n_prompts && !st; i += n) {
    for (n = 1; n < ROWS && i + n < o->n_prompts && o->prompts[i + n].length == o->prompts[i].length;) n++;
    st = run_batch(p, i, n, NULL, err);
    for (size_t r = 0; r < n && !st; r++) st = last_logits(p, r, o->logits + (i + r) * p->V, err);
  }
  return st;
}

/* ---- numbers --------------------------------------------------------------------------------- */

static double logsumexp(const float *logits, const int32_t *ids, size_t n) {
  double max = logits[ids[0]], sum = 0;
  for (size_t i = 1; i < n; i++) max = fmax(max, logits[ids[i]]);
  for (size_t i = 0; i < n; i++) sum += exp((double)logits[ids[i]] - max);
  return max + log(sum);
}

static sg_intervention measure(const sg_interventions *o, const size_t pair[2], const float *patched, size_t V) {
  const sg_fact_prompt *a = &o->prompts[pair[0]], *b = &o->prompts[pair[1]];
  size_t A = o->top_answers;
  const float *clean = o->logits + pair[0] * V, *counter = o->logits + pair[1] * V;
  sg_intervention r = {0};
  r.clean = logsumexp(clean, a->answers, A) - logsumexp(clean, b->answers, A);
  r.counterfactual = logsumexp(counter, a->answers, A) - logsumexp(counter, b->answers, A);
  r.patched = logsumexp(patched, a->answers, A) - logsumexp(patched, b->answers, A);
  r.recovered = (r.clean - r.patched) / (r.clean - r.counterfactual + 1e-8);
  r.rank_flip = r.patched < 0;
  r.correct_clean = r.clean > 0;
  r.correct_counterfactual = r.counterfactual < 0;
  return r;
}

static sg_status patched_runs(patcher *p, size_t set, sg_error *err) {
  sg_interventions *o = p->out;
  const bool *layers = p->request->layers + set * p->L;
  sg_status st = SG_OK;
  for (size_t i = 0, n; i < o->n_pairs && !st; i += n) {
    size_t length = o->prompts[o->pairs[i][0]].length;
    for (n = 1; n < ROWS && i + n < o->n_pairs && o->prompts[o->pairs[i + n][0]].length == length;) n++;
    st = run_batch(p, i, n, layers, err);
    for (size_t r = 0; r < n && !st; r++) {
      size_t at = set * o->n_pairs + i + r;
      float *logits = o->patched_logits ? o->patched_logits + at * p->V : p->logits;
      st = last_logits(p, r, logits, err);
      if (!st) o->results[at] = measure(o, o->pairs[i + r], logits, p->V);
    }
  }
  return st;
}

/* ---- pairs and memory ------------------------------------------------------------------------ */

static bool alike(const sg_fact_prompt *a, const sg_fact_prompt *b) {
  return a->length == b->length && a->subject == b->subject;
}

/* Every two in order, first one way, then the other. pairs NULL: only counts. */
static size_t list_pairs(const sg_interventions *o, size_t (*pairs)[2]) {
  size_t n = 0;
  for (size_t i = 0; i < o->n_prompts; i++)
    for (size_t j = i + 1; j < o->n_prompts; j++) {
      if (!alike(&o->prompts[i], &o->prompts[j])) continue;
      if (pairs) {
        pairs[n][0] = pairs[n + 1][1] = i;
        pairs[n][1] = pairs[n + 1][0] = j;
      }
      n += 2;
    }
  return n;
}

static void *array(size_t a, size_t b, size_t size) {
  size_t n;
  return sgi_size_mul(a, b, &n) && sgi_size_mul(n, size, &n) && sgi_size_add(n, 1, &n) ? sgi_alloc(n) : NULL;
}

static sg_status make_room(patcher *p, sg_error *err) {
  sg_interventions *o = p->out;
  size_t longest = 1, runs;
  for (size_t i = 0; i < o->n_prompts; i++) longest = o->prompts[i].length > longest ? o->prompts[i].length : longest;
  o->n_pairs = list_pairs(o, NULL);
  o->n_sets = p->request->n_sets;
  if (!sgi_size_mul(o->n_sets, o->n_pairs, &runs)) return sgi_fail(err, SG_ERR_ARG, "too many runs");
  p->wanted = o->n_prompts + runs;
  o->pairs = array(o->n_pairs, 1, sizeof *o->pairs);
  o->results = array(runs, 1, sizeof *o->results);
  o->logits = array(o->n_prompts, p->V, sizeof *o->logits);
  if (p->request->keep_logits) o->patched_logits = array(runs, p->V, sizeof *o->patched_logits);
  p->scores = array(o->n_prompts * p->L, p->width, sizeof *p->scores);
  p->indices = array(o->n_prompts * p->L, p->width, sizeof *p->indices);
  p->tokens = array(ROWS, longest, sizeof *p->tokens);
  p->logits = array(p->V, 1, sizeof *p->logits);
  if (!o->pairs || !o->results || !o->logits || (p->request->keep_logits && !o->patched_logits) || !p->scores ||
      !p->indices || !p->tokens || !p->logits)
    return sgi_fail(err, SG_ERR_MEMORY, "out of memory for %zu patched runs: take fewer nouns", runs);
  list_pairs(o, o->pairs);
  return sgi_pass_create(p->model, ROWS, longest, false, &p->pass, err);
}

/* The tokenizer may know more ids than the model. */
static sg_status check_answers(const patcher *p, sg_error *err) {
  for (size_t i = 0; i < p->out->n_prompts; i++)
    for (size_t a = 0; a < p->out->top_answers; a++) {
      int32_t id = p->out->prompts[i].answers[a];
      if (id < 0 || (size_t)id >= p->V)
        return sgi_fail(err, SG_ERR_ARG, "token id %d of the tokenizer is outside the model's vocabulary of %zu", id,
                        p->V);
    }
  return SG_OK;
}

static sg_status run(patcher *p, sg_error *err) {
  sg_interventions *o = p->out;
  const sg_intervention_request *r = p->request;
  sg_status st = sgi_fact_prompts(r->facts, r->tokenizer, p->model->config.bos_id, r->top_answers, &o->prompts,
                                  &o->n_prompts, err);
  if (!st && o->n_prompts < 2)
    st = sgi_fail(err, SG_ERR_ARG,
                  "%zu of %zu nouns are single tokens with %zu single-token answers: at least 2 are needed (lower the "
                  "minimum count or take fewer answers)",
                  o->n_prompts, sg_facts_count(r->facts), r->top_answers);
  if (!st) st = check_answers(p, err);
  if (!st) st = make_room(p, err);
  if (!st) st = plain_runs(p, err);
  for (size_t s = 0; s < r->n_sets && !st; s++) st = patched_runs(p, s, err);
  return st;
}

sg_status sg_interventions_run(const sg_model *m, const sg_intervention_request *r, sg_interventions **out,
                               sg_error *err) {
  *out = NULL;
  patcher p = {.model = m,
               .request = r,
               .out = sgi_alloc(sizeof *p.out),
               .L = m->config.num_layers,
               .V = m->config.vocab_size,
               .width = sgi_model_largest(m).entries};
  if (!p.out) return sgi_fail_memory(err, sizeof *p.out, "patched runs");
  p.out->top_answers = r->top_answers;
  sg_status st = run(&p, err);
  sgi_pass_free(p.pass);
  sgi_free(p.scores);
  sgi_free(p.indices);
  sgi_free(p.tokens);
  sgi_free(p.logits);
  if (st)
    sg_interventions_free(p.out);
  else
    *out = p.out;
  return st;
}

void sg_interventions_free(sg_interventions *o) {
  if (!o) return;
  sgi_fact_prompts_free(o->prompts, o->n_prompts);
  sgi_free(o->pairs);
  sgi_free(o->results);
  sgi_free(o->logits);
  sgi_free(o->patched_logits);
  sgi_free(o);
}
