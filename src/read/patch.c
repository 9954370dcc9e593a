/* Patched runs: what gates, neurons or the embedding of one position carry (golden README no.
 * 33). */
#include <math.h>
#include <string.h>

#include "core/rng.h"
#include "model/pass.h"
#include "read/fact_prompts.h"

enum { ROWS = 64 };                        /* prompts run at a time */
enum { SCORES, CHOICES, VALUES, NOTHING }; /* what of a site is patched */

typedef struct patcher {
  const sg_model *model;
  const sg_intervention_request *request;
  sg_interventions *out;
  sgi_pass *pass;
  size_t L, V, width;  /* width: of the widest site that is patched */
  size_t span;         /* most patched positions of a prompt */
  char *kept[NOTHING]; /* (n_prompts,L,span,width) numbers of 4 bytes at each prompt's patched positions;
                          NULL: not patched */
  /* The batch at work. */
  size_t rows, T;
  size_t prompt[ROWS], source[ROWS]; /* of each row: whose tokens, and whose run it is patched from */
  const bool *set;                   /* (L) layers to patch; NULL: none */
  bool keep;                         /* what each row's patched positions have */
  bool met;                          /* a site of the kind was seen */
  int32_t *tokens;                   /* (ROWS,T) */
  float *logits;                     /* (V) */
  size_t done, wanted;
} patcher;

static const sg_fact_prompt *prompt_of_row(const patcher *p, size_t row) { return &p->out->prompts[p->prompt[row]]; }

/* The patched positions of a prompt: first, and how many. */
static size_t patched_at(const patcher *p, const sg_fact_prompt *prompt, size_t *n) {
  *n = p->request->at_last ? 1 : prompt->n_subject;
  return p->request->at_last ? prompt->length - 1 : prompt->subject;
}

static int part_of(const patcher *p, const sgi_site *s) {
  const sgi_site_row *row = sgi_site_row_of(s->id);
  bool neurons = p->request->what == SG_PATCH_NEURONS;
  if (p->request->what == SG_PATCH_EMBEDDING) return s->id == SGI_SITE_EMBED ? VALUES : NOTHING;
  if (row->role == SGI_SITE_VALUES) return neurons ? VALUES : NOTHING;
  bool expert = s->id == SGI_SITE_GATE_LOGITS || row->chosen_by == SGI_SITE_GATE_INDICES;
  if (row->chosen_by != SGI_SITE_ROUTER_INDICES && !(neurons && expert)) return NOTHING;
  return row->role == SGI_SITE_SCORES ? SCORES : row->role == SGI_SITE_CHOICE ? CHOICES : NOTHING;
}

/* Plain runs keep what their patched positions have; patched runs get that of another prompt. */
static sg_status visit(void *user, const sgi_site *s, sg_error *err) {
  patcher *p = user;
  int part = part_of(p, s);
  if (part == NOTHING) return SG_OK;
  p->met = true;
  size_t width = sgi_site_width(s), layer = s->layer < 0 ? 0 : (size_t)s->layer, n;
  if (width > p->width || !p->kept[part])
    return sgi_fail(err, SG_ERR_INTERNAL, "%s of layer %td has an unexpected shape", sgi_site_row_of(s->id)->name,
                    s->layer);
  if (!p->keep && !(p->set && (s->layer < 0 || p->set[layer]))) return SG_OK;
  for (size_t r = 0; r < p->rows; r++) {
    size_t first = r * p->T + patched_at(p, prompt_of_row(p, r), &n);
    size_t at = ((p->keep ? p->prompt[r] : p->source[r]) * p->L + layer) * p->span * p->width;
    for (size_t i = first; i < first + n; i++, at += p->width) {
      if (i < s->first || i >= s->first + s->n) continue;
      char *kept = p->kept[part] + at * 4, *live = (char *)s->data + (i - s->first) * width * 4;
      memcpy(p->keep ? kept : live, p->keep ? live : kept, width * 4);
    }
  }
  return SG_OK;
}

/* Runs the rows whose prompts, sources and tokens are filled in. */
static sg_status run_batch(patcher *p, size_t rows, const bool *set, bool keep, sg_error *err) {
  p->rows = rows;
  p->set = set;
  p->keep = keep;
  p->met = false;
  sgi_tap tap = {.visit = visit, .user = p, .err = err};
  sg_status st = sgi_pass_forward(p->pass, &(sgi_batch){.B = rows, .T = p->T, .inputs = p->tokens}, &tap, err);
  if (!st && !p->met)
    st = sgi_fail(
        err, SG_ERR_UNSUPPORTED,
        "feedforward kind %s has no router: gates can be patched in kinds with router.scores and router.indices, "
        "neurons in every kind",
        p->model->config.feedforward);
  p->done += rows;
  if (!st && p->request->progress && !p->request->progress(p->request->user, p->done, p->wanted))
    st = sgi_fail(err, SG_ERR_CANCELLED, "stopped after %zu of %zu runs", p->done, p->wanted);
  return st;
}

static bool alike(const sg_fact_prompt *a, const sg_fact_prompt *b) {
  return a->length == b->length && a->subject == b->subject && a->n_subject == b->n_subject;
}

/* The prompt that a pair's clean run is patched from; SIZE_MAX: there is no third one. */
static size_t source_of(const patcher *p, size_t pair) {
  const sg_interventions *o = p->out;
  size_t found = SIZE_MAX, n = 0;
  if (!p->request->from_another) return o->pairs[pair][1];
  sgi_rng rng = sgi_rng_make(p->request->seed, SGI_STREAM_SAMPLE, 5000 + pair);
  for (size_t i = 0; i < o->n_prompts; i++)
    if (i != o->pairs[pair][0] && i != o->pairs[pair][1] && alike(&o->prompts[i], &o->prompts[o->pairs[pair][0]]) &&
        !sgi_rng_below(&rng, ++n))
      found = i;
  return found;
}

/* A row of the prompt's own tokens, all of which have one length. */
static void fill_row(patcher *p, size_t row, size_t prompt, size_t source) {
  p->prompt[row] = prompt;
  p->source[row] = source;
  p->T = p->out->prompts[prompt].length;
  memcpy(p->tokens + row * p->T, p->out->prompts[prompt].tokens, p->T * sizeof *p->tokens);
}

static sg_status last_logits(patcher *p, size_t row, float *logits, sg_error *err) {
  return sgi_pass_logits(p->pass, row * p->T + p->T - 1, 1, logits, err);
}

static sg_status plain_runs(patcher *p, sg_error *err) {
  sg_interventions *o = p->out;
  sg_status st = SG_OK;
  for (size_t i = 0, n; i < o->n_prompts && !st; i += n) {
    for (n = 1; n < ROWS && i + n < o->n_prompts && o->prompts[i + n].length == o->prompts[i].length;) n++;
    for (size_t r = 0; r < n; r++) fill_row(p, r, i + r, i + r);
    st = run_batch(p, n, NULL, true, err);
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

static sg_intervention numbers_of(double clean, double counterfactual, double patched) {
  sg_intervention r = {.clean = clean, .counterfactual = counterfactual, .patched = patched};
  r.recovered = (r.clean - r.patched) / (r.clean - r.counterfactual + 1e-8);
  r.rank_flip = r.patched < 0;
  r.correct_clean = r.clean > 0;
  r.correct_counterfactual = r.counterfactual < 0;
  return r;
}

static sg_intervention measure(const sg_interventions *o, const size_t pair[2], const float *patched, size_t V) {
  const sg_fact_prompt *a = &o->prompts[pair[0]], *b = &o->prompts[pair[1]];
  size_t A = o->top_answers;
  const float *clean = o->logits + pair[0] * V, *counter = o->logits + pair[1] * V;
  return numbers_of(logsumexp(clean, a->answers, A) - logsumexp(clean, b->answers, A),
                    logsumexp(counter, a->answers, A) - logsumexp(counter, b->answers, A),
                    logsumexp(patched, a->answers, A) - logsumexp(patched, b->answers, A));
}

static sg_status patched_runs(patcher *p, size_t set, sg_error *err) {
  sg_interventions *o = p->out;
  const bool *layers = p->request->layers + set * p->L;
  sg_status st = SG_OK;
  for (size_t i = 0, n; i < o->n_pairs && !st; i += n) {
    size_t length = o->prompts[o->pairs[i][0]].length;
    for (n = 1; n < ROWS && i + n < o->n_pairs && o->prompts[o->pairs[i + n][0]].length == length;) n++;
    for (size_t r = 0; r < n; r++) fill_row(p, r, o->pairs[i + r][0], source_of(p, i + r));
    st = run_batch(p, n, layers, false, err);
    for (size_t r = 0; r < n && !st; r++) {
      size_t at = set * o->n_pairs + i + r;
      float *logits = o->patched_logits ? o->patched_logits + at * p->V : p->logits;
      st = last_logits(p, r, logits, err);
      if (!st) o->results[at] = measure(o, o->pairs[i + r], logits, p->V);
    }
  }
  return st;
}

/* ---- words: answers of several tokens -------------------------------------------------------- */

/* The i-th of a pair's runs: along the k-th answer of its clean (own) or counterfactual noun. */
static const int32_t *answer_of(const sg_interventions *o, size_t pair, size_t i, size_t *n) {
  size_t A = o->top_answers, k = i % A;
  const sg_fact_prompt *owner = &o->prompts[o->pairs[pair][i / A]];
  *n = owner->answer_at[k + 1] - owner->answer_at[k];
  return owner->answers + owner->answer_at[k];
}

/* Log probability of ids (n) along a row of the batch, whose prompt is `length` long. */
static sg_status likelihood(patcher *p, size_t row, size_t length, const int32_t *ids, size_t n, double *out,
                            sg_error *err) {
  sg_status st = SG_OK;
  *out = 0;
  for (size_t i = 0; i < n && !st; i++) {
    st = sgi_pass_logits(p->pass, row * p->T + length - 1 + i, 1, p->logits, err);
    double max = -INFINITY, sum = 0;
    for (size_t v = 0; v < p->V && !st; v++) max = fmax(max, (double)p->logits[v]);
    for (size_t v = 0; v < p->V && !st; v++) sum += exp((double)p->logits[v] - max);
    if (!st) *out += (double)p->logits[ids[i]] - max - log(sum);
  }
  return st;
}

/* value (n_pairs, 2 top_answers): of every answer, the clean prompt run along it with the
 * counterfactual prompt's gates in the layers of set; NULL: with its own. Shorter rows are padded
 * behind: nothing looks forward. */
static sg_status along_answers(patcher *p, const bool *set, double *value, sg_error *err) {
  sg_interventions *o = p->out;
  size_t each = 2 * o->top_answers, all = o->n_pairs * each, n;
  sg_status st = SG_OK;
  for (size_t first = 0; first < all && !st; first += ROWS) {
    size_t rows = all - first < ROWS ? all - first : ROWS;
    p->T = 0;
    for (size_t r = 0; r < rows; r++) {
      size_t pair = (first + r) / each;
      p->prompt[r] = o->pairs[pair][0];
      p->source[r] = source_of(p, pair);
      answer_of(o, pair, (first + r) % each, &n);
      size_t T = prompt_of_row(p, r)->length + n - 1;
      if (T > p->T) p->T = T;
    }
    memset(p->tokens, 0, rows * p->T * sizeof *p->tokens);
    for (size_t r = 0; r < rows; r++) {
      const sg_fact_prompt *own = prompt_of_row(p, r);
      const int32_t *ids = answer_of(o, (first + r) / each, (first + r) % each, &n);
      memcpy(p->tokens + r * p->T, own->tokens, own->length * sizeof *ids);
      memcpy(p->tokens + r * p->T + own->length, ids, (n - 1) * sizeof *ids);
    }
    st = run_batch(p, rows, set, false, err);
    for (size_t r = 0; r < rows && !st; r++) {
      const int32_t *ids = answer_of(o, (first + r) / each, (first + r) % each, &n);
      st = likelihood(p, r, prompt_of_row(p, r)->length, ids, n, &value[first + r], err);
    }
  }
  return st;
}

static double sum_of(const double *value, size_t n) {
  double max = value[0], sum = 0;
  for (size_t i = 1; i < n; i++) max = fmax(max, value[i]);
  for (size_t i = 0; i < n; i++) sum += exp(value[i] - max);
  return max + log(sum);
}

static double difference(const double *value, size_t pair, size_t A) {
  return sum_of(value + pair * 2 * A, A) - sum_of(value + pair * 2 * A + A, A);
}

/* A pair and its reverse stand side by side in the list: what one is at its noun is the other's
 * counterfactual with the sign turned. */
static sg_status word_runs(patcher *p, sg_error *err) {
  sg_interventions *o = p->out;
  size_t A = o->top_answers, each = o->n_pairs * 2 * A;
  double *plain = sgi_alloc((2 * each + 1) * sizeof *plain), *patched = plain + each;
  sg_status st = plain ? along_answers(p, NULL, plain, err) : sgi_fail_memory(err, 2 * each * sizeof *plain, "answers");
  for (size_t s = 0; s < o->n_sets && !st; s++) {
    st = along_answers(p, p->request->layers + s * p->L, patched, err);
    for (size_t i = 0; i < o->n_pairs && !st; i++)
      o->results[s * o->n_pairs + i] =
          numbers_of(difference(plain, i, A), -difference(plain, i ^ 1, A), difference(patched, i, A));
  }
  sgi_free(plain);
  return st;
}

/* ---- pairs and memory ------------------------------------------------------------------------ */

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
  size_t longest = 1, answer = 1, runs, along;
  for (size_t i = 0; i < o->n_prompts; i++) {
    const sg_fact_prompt *f = &o->prompts[i];
    longest = f->length > longest ? f->length : longest;
    for (size_t a = 0; a < o->top_answers; a++) {
      size_t n = f->answer_at[a + 1] - f->answer_at[a];
      answer = n > answer ? n : answer;
    }
    size_t n;
    patched_at(p, f, &n);
    p->span = n > p->span ? n : p->span;
  }
  longest += answer - 1;
  o->n_pairs = list_pairs(o, NULL);
  o->n_sets = p->request->n_sets;
  if (!sgi_size_mul(o->n_sets, o->n_pairs, &runs)) return sgi_fail(err, SG_ERR_ARG, "too many runs");
  if (!sgi_size_mul(o->n_pairs * (o->n_sets + 1), 2 * o->top_answers, &along))
    return sgi_fail(err, SG_ERR_ARG, "too many runs");
  p->wanted = o->n_prompts + (p->request->words ? along : runs);
  o->pairs = array(o->n_pairs, 1, sizeof *o->pairs);
  o->results = array(runs, 1, sizeof *o->results);
  o->logits = array(o->n_prompts, p->V, sizeof *o->logits);
  bool keep = p->request->keep_logits && !p->request->words;
  if (keep) o->patched_logits = array(runs, p->V, sizeof *o->patched_logits);
  bool gates = p->request->what != SG_PATCH_EMBEDDING, values = p->request->what != SG_PATCH_GATES, kept = true;
  for (int k = 0; k < NOTHING; k++) {
    if (!(k == VALUES ? values : gates)) continue;
    p->kept[k] = array(o->n_prompts * p->L, p->span * p->width, 4);
    kept &= p->kept[k] != NULL;
  }
  p->tokens = array(ROWS, longest, sizeof *p->tokens);
  p->logits = array(p->V, 1, sizeof *p->logits);
  if (!o->pairs || !o->results || !o->logits || (keep && !o->patched_logits) || !kept || !p->tokens || !p->logits)
    return sgi_fail(err, SG_ERR_MEMORY, "out of memory for %zu patched runs: take fewer nouns", runs);
  list_pairs(o, o->pairs);
  for (size_t i = 0; i < o->n_pairs; i++)
    if (source_of(p, i) == SIZE_MAX)
      return sgi_fail(err, SG_ERR_ARG,
                      "a third noun of the same form is needed for a control, and some pair has none: take more nouns");
  return sgi_pass_create(p->model, ROWS, longest, false, &p->pass, err);
}

/* The tokenizer may know more ids than the model. */
static sg_status check_answers(const patcher *p, sg_error *err) {
  for (size_t i = 0; i < p->out->n_prompts; i++)
    for (size_t a = 0; a < p->out->prompts[i].answer_at[p->out->top_answers]; a++) {
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
  sg_status st = sgi_fact_prompts(r->facts, r->tokenizer, p->model->config.bos_id, r->top_answers, r->words,
                                  &o->prompts, &o->n_prompts, err);
  if (!st && o->n_prompts < 2)
    st = sgi_fail(err, SG_ERR_ARG,
                  "%zu of %zu nouns are %s with %zu %s: at least 2 are needed (%slower the minimum count or take "
                  "fewer answers)",
                  o->n_prompts, sg_facts_count(r->facts), r->words ? "known" : "single tokens", r->top_answers,
                  r->words ? "answers" : "single-token answers", r->words ? "" : "take words of several tokens, too, ");
  if (!st) st = check_answers(p, err);
  if (!st) st = make_room(p, err);
  if (!st) st = plain_runs(p, err);
  if (!st && r->words) return word_runs(p, err);
  for (size_t s = 0; s < r->n_sets && !st; s++) st = patched_runs(p, s, err);
  return st;
}

static size_t width_of(const sg_model *m, sg_patch_what what) {
  size_t width = sgi_model_largest(m).entries;
  if (what == SG_PATCH_EMBEDDING) return m->config.hidden_size;
  for (size_t l = 0; l < m->config.num_layers && what == SG_PATCH_NEURONS; l++) {
    const sgi_sublayer *s = sgi_feedforward_of(m, l);
    size_t units = s ? sgi_ffn_unit_count(s->ffn, s->config) : 0;
    if (units > width) width = units;
  }
  return width;
}

sg_status sg_interventions_run(const sg_model *m, const sg_intervention_request *r, sg_interventions **out,
                               sg_error *err) {
  *out = NULL;
  patcher p = {.model = m,
               .request = r,
               .out = sgi_alloc(sizeof *p.out),
               .L = m->config.num_layers,
               .V = m->config.vocab_size,
               .width = width_of(m, r->what)};
  if (!p.out) return sgi_fail_memory(err, sizeof *p.out, "patched runs");
  p.out->top_answers = r->top_answers;
  sg_status st = run(&p, err);
  sgi_pass_free(p.pass);
  for (int k = 0; k < NOTHING; k++) sgi_free(p.kept[k]);
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
