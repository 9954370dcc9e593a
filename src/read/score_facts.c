/* Facts of the corpus worlds in a model's neurons: how few carry one, and whether the attribution
 * says which (docs/reading-facts.md, is it true).
 *
 * Idea. A neuron here is one unit at one position of the prompt. What it does is measured, not
 * read off: it is removed, and everything behind it computed anew. One prompt with 64 different
 * removals is one batch of 64 equal rows whose values are set to 0 by a tap, each row by its own
 * rule (`cut`):
 *
 *   row 0   REMOVE_FIRST 0     all there                 order: by total effect, the largest first,
 *   row 1   REMOVE_FIRST 1     without the best          or shuffled (chance)
 *   row 2   REMOVE_FIRST 2     without the two best
 *   ...     KEEP_FIRST k       the k best alone          REMOVE_ONE k   without the k-th
 *
 *   rank    [ layer | position | channel | unit ] -> place in the order at work, NO_RANK: none
 *   held    [ layer | scores, choice | position | ... ]   what the whole prompt's run chose
 *
 * A row's rule needs one comparison of the unit's rank, so any set of removals costs the same
 * pass.
 *
 * Steps of a fact: look (is it known: the likeliest true answer above the likeliest of another
 * prompt of its type), sg_attribute (total effects), fewest (counts 0 to 16, then 8 to the
 * octave: the least that loses the fact, the least that brings it back), compare_effects
 * (predicted beside true effect of units drawn at random, with the router's choice free and
 * held).
 *
 * Invariants. The tap sees a site's rows in parts; a part's first row says which row of the batch
 * and which position it is. A layer's choice comes before its values, in the same layer: `chosen`
 * is valid from one to the other and forgotten at resid_mid. The order of facts and all random
 * orders are functions of the seed, the same for every model.
 *
 * Not taken. Bisection over the count: the margin need not fall with it, and the least count is
 * asked for. Linear predictions instead of removals: they are what is judged here. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "core/median.h"
#include "ffn/beside.h"
#include "read/score.h"
#include "sgatlin.h"

enum { ROWS = 64, LONGEST = 64, ANSWERS = 16, NO_RANK = INT32_MAX };

/* A prompt and those of its true answers that are one token. */
typedef struct fact {
  int32_t *tokens; /* (n) bos in front */
  size_t n;
  const char *type;
  int32_t *answers; /* (n_answers), true ones */
  size_t n_answers;
} fact;

/* What a row of a batch lets through. */
typedef struct cut {
  enum { REMOVE_FIRST, KEEP_FIRST, REMOVE_ONE } how;
  int32_t rank;
} cut;

typedef struct scorer {
  const sg_model *m;
  const sg_tokenizer *tok;
  const sgi_score_settings *s;
  fact *facts;
  size_t n_facts;
  sgi_pass *pass;
  size_t L, V, channels, pool; /* a unit's key is ((layer * LONGEST + position) * channels + channel) * pool + index */
  int32_t *rank;               /* (keys) place of a unit in the order at work */
  float *logits;               /* (V) */
  /* The fact at work. */
  const fact *f;
  int32_t target, against;
  sg_term *terms; /* neurons with an effect */
  size_t n_terms;
  /* The batch at work. */
  cut cuts[ROWS];
  size_t rows;
  const int32_t *chosen; /* of the layer, seen last */
  size_t chosen_width;
  int32_t *inputs; /* (ROWS,LONGEST) */
  sgi_score_sets sets;
  /* What the whole prompt's run chose, and the scores: (L,2,LONGEST,held_width) words of 4
   * bytes. */
  enum { FREE, NOTE, HOLD } gates;
  char *held;
  size_t held_width;
} scorer;

/* ---- prompts --------------------------------------------------------------------------------- */

static sg_status encode(const scorer *k, const char *prompt, const char *answer, int32_t **ids, size_t *n,
                        sg_error *err) {
  char text[1024];
  snprintf(text, sizeof text, " %s%s%s", prompt, answer ? " " : "", answer ? answer : "");
  return sg_tokenizer_encode(k->tok, text, strlen(text), ids, n, err);
}

/* The one token of an answer behind its prompt; -1 where it takes several (its first alone may be
 * the start of many words). */
static sg_status answer_token(const scorer *k, const fact *f, const char *prompt, const char *answer, int32_t *token,
                              sg_error *err) {
  int32_t *ids = NULL;
  size_t n = 0;
  sg_status st = encode(k, prompt, answer, &ids, &n, err);
  bool one = !st && n == f->n && !memcmp(ids, f->tokens + 1, (f->n - 1) * sizeof *ids);
  *token = one && ids[n - 1] >= 0 && (size_t)ids[n - 1] < k->V ? ids[n - 1] : -1;
  sg_buffer_free(ids);
  return st;
}

static sg_status new_fact(scorer *k, const json_t *row, const char *prompt, fact *f, sg_error *err) {
  int32_t *ids = NULL;
  size_t n = 0;
  *f = (fact){.type = json_string_value(json_object_get(row, "type"))};
  sg_status st = encode(k, prompt, NULL, &ids, &n, err);
  if (!st && n + 1 <= LONGEST) {
    f->tokens = sgi_alloc((n + 1) * sizeof *f->tokens);
    f->answers = sgi_alloc(ANSWERS * sizeof *f->answers);
    if (!f->tokens || !f->answers) {
      st = sgi_fail(err, SG_ERR_MEMORY, "out of memory for facts");
    } else {
      f->tokens[0] = k->m->config.bos_id;
      memcpy(f->tokens + 1, ids, n * sizeof *ids);
      f->n = n + 1;
    }
  }
  sg_buffer_free(ids);
  return st;
}

static sg_status add_row(scorer *k, json_t *index, const json_t *row, sg_error *err) {
  const char *prompt = json_string_value(json_object_get(row, "prompt")),
             *answer = json_string_value(json_object_get(row, "answer"));
  if (!prompt || !answer || !json_is_string(json_object_get(row, "type")))
    return sgi_fail(err, SG_ERR_FORMAT, "facts.json: a fact needs the texts type, prompt and answer");
  const json_t *known = json_object_get(index, prompt);
  size_t at = known ? (size_t)json_integer_value(known) : k->n_facts;
  fact *f = &k->facts[at];
  sg_status st = SG_OK;
  if (!known) {
    st = new_fact(k, row, prompt, f, err);
    k->n_facts++;
    json_object_set_new(index, prompt, json_integer((json_int_t)at));
  }
  int32_t token = -1;
  if (!st && f->n && f->n_answers < ANSWERS) st = answer_token(k, f, prompt, answer, &token, err);
  if (!st && token >= 0) f->answers[f->n_answers++] = token;
  return st;
}

static sg_status read_facts(scorer *k, const sgi_truth *truth, sg_error *err) {
  size_t i, n = json_array_size(truth->facts);
  json_t *row, *index = json_object();
  k->facts = sgi_alloc((n + 1) * sizeof *k->facts);
  sg_status st = k->facts && index ? SG_OK : sgi_fail_memory(err, n * sizeof *k->facts, "facts");
  if (!st) json_array_foreach(truth->facts, i, row) {
      st = add_row(k, index, row, err);
      if (st) break;
    }
  json_decref(index);
  return st;
}

/* ---- runs with units removed ----------------------------------------------------------------- */

static size_t key_of(const scorer *k, size_t layer, size_t t, size_t channel, size_t unit) {
  return ((layer * LONGEST + t) * k->channels + channel) * k->pool + unit;
}

static bool removed(const cut *c, int32_t rank) {
  if (c->how == REMOVE_ONE) return rank == c->rank;
  return (rank < c->rank) == (c->how == REMOVE_FIRST);
}

static void edit_row(const scorer *k, const sgi_site *s, size_t row, float *data) {
  bool two = sgi_site_row_of(s->id)->n_axes == 2;
  size_t b = row / k->f->n, t = row % k->f->n;
  size_t width = two ? s->dims[1] : s->dims[0], slots = two ? s->dims[0] : 1;
  if (b >= k->rows) return;
  const int32_t *chosen = k->chosen ? k->chosen + row * k->chosen_width : NULL;
  for (size_t a = 0; a < slots; a++)
    for (size_t e = 0; e < width; e++) {
      /* With a router: channel a, chosen unit. Experts: the a-th chosen one, its unit e. Dense:
       * unit e. */
      size_t channel = chosen && k->chosen_width == slots * width ? a : chosen ? (size_t)chosen[a] : 0;
      size_t unit = chosen && k->chosen_width == slots * width ? (size_t)chosen[a * width + e] : e;
      if (removed(&k->cuts[b], k->rank[key_of(k, (size_t)s->layer, t, channel, unit)])) data[a * width + e] = 0;
    }
}

static void edit_beside(const scorer *k, const sgi_site *s, size_t row, float *data) {
  size_t b = row / k->f->n, t = row % k->f->n, layer = (size_t)s->layer;
  size_t channel = sgi_beside_channel(&k->m->layers[layer].config, sgi_beside_of_site(s->id));
  for (size_t e = 0; e < s->dims[0] && b < k->rows; e++)
    if (removed(&k->cuts[b], k->rank[key_of(k, layer, t, channel, e)])) data[e] = 0;
}

/* Notes a router's site of a run of one row, or puts the noted one into every row. */
static sg_status hold(scorer *k, const sgi_site *s, bool indices, sg_error *err) {
  size_t T = k->f->n, width = sgi_site_width(s) * 4;
  if (k->gates == FREE) return SG_OK;
  if (width > k->held_width * 4 || s->first || s->n != k->rows * T)
    return sgi_fail(err, SG_ERR_INTERNAL, "%s of layer %td has an unexpected shape", sgi_site_row_of(s->id)->name,
                    s->layer);
  char *kept = k->held + ((size_t)s->layer * 2 + indices) * LONGEST * k->held_width * 4;
  if (k->gates == NOTE) memcpy(kept, s->data, T * width);
  for (size_t r = 0; r < k->rows && k->gates == HOLD; r++) memcpy((char *)s->data + r * T * width, kept, T * width);
  return SG_OK;
}

static sg_status visit(void *user, const sgi_site *s, sg_error *err) {
  scorer *k = user;
  sgi_site_role role = sgi_site_row_of(s->id)->role;
  bool indices = role == SGI_SITE_CHOICE;
  if (indices || role == SGI_SITE_SCORES) {
    sg_status st = hold(k, s, indices, err);
    if (st) return st;
  }
  if (s->id == SGI_SITE_MLP_NORM) k->chosen = NULL; /* what every feedforward layer begins with */
  if (indices) {
    k->chosen = s->data;
    k->chosen_width = sgi_site_width(s);
  }
  bool beside = sgi_beside_of_site(s->id) != SGI_BESIDE_PARTS;
  if (role != SGI_SITE_VALUES && !beside) return SG_OK;
  size_t width = sgi_site_width(s);
  for (size_t i = 0; i < s->n; i++) (beside ? edit_beside : edit_row)(k, s, s->first + i, (float *)s->data + i * width);
  return SG_OK;
}

/* margin (rows): logit of the fact's answer less that of the best wrong one, in each row's run. */
static sg_status run(scorer *k, size_t rows, double *margin, sg_error *err) {
  size_t T = k->f->n;
  k->rows = rows;
  for (size_t r = 0; r < rows; r++) memcpy(k->inputs + r * T, k->f->tokens, T * sizeof *k->inputs);
  sgi_tap tap = {.visit = visit, .user = k, .err = err};
  sg_status st = sgi_pass_forward(k->pass, &(sgi_batch){.B = rows, .T = T, .inputs = k->inputs}, &tap, err);
  for (size_t r = 0; r < rows && !st; r++) {
    st = sgi_pass_logits(k->pass, r * T + T - 1, 1, k->logits, err);
    margin[r] = (double)k->logits[k->target] - k->logits[k->against];
  }
  return st;
}

/* ---- which facts are known ------------------------------------------------------------------- */

static bool is_answer(const fact *f, int32_t token) {
  for (size_t a = 0; a < f->n_answers; a++)
    if (f->answers[a] == token) return true;
  return false;
}

/* target: the likeliest true answer; against: the likeliest answer of another prompt of the
 * type. */
static sg_status look(scorer *k, const fact *f, bool *known, sg_error *err) {
  *known = false;
  if (!f->n_answers) return SG_OK;
  k->f = f;
  k->target = k->against = f->answers[0];
  k->cuts[0] = (cut){REMOVE_ONE, -1};
  double margin;
  sg_status st = run(k, 1, &margin, err);
  if (st) return st;
  bool wrong = false;
  for (size_t a = 0; a < f->n_answers; a++)
    if (k->logits[f->answers[a]] > k->logits[k->target]) k->target = f->answers[a];
  for (size_t i = 0; i < k->n_facts; i++) {
    const fact *g = &k->facts[i];
    for (size_t a = 0; a < g->n_answers && !strcmp(g->type, f->type); a++) {
      if (is_answer(f, g->answers[a]) || (wrong && k->logits[g->answers[a]] <= k->logits[k->against])) continue;
      k->against = g->answers[a];
      wrong = true;
    }
  }
  *known = wrong && k->logits[k->target] > k->logits[k->against];
  return SG_OK;
}

/* ---- how few neurons ------------------------------------------------------------------------- */

static int by_effect(const void *a, const void *b) {
  const sg_term *x = a, *y = b;
  if (x->effect != y->effect) return x->effect > y->effect ? -1 : 1;
  if (x->layer != y->layer) return x->layer - y->layer;
  if (x->position != y->position) return x->position - y->position;
  return x->channel != y->channel ? x->channel - y->channel : x->index - y->index;
}

static size_t term_key(const scorer *k, const sg_term *t) {
  return key_of(k, (size_t)t->layer, (size_t)t->position, (size_t)t->channel, (size_t)t->index);
}

static void set_ranks(scorer *k) {
  size_t keys = key_of(k, k->L, 0, 0, 0);
  for (size_t i = 0; i < keys; i++) k->rank[i] = NO_RANK;
  for (size_t i = 0; i < k->n_terms; i++) k->rank[term_key(k, &k->terms[i])] = (int32_t)i;
}

/* Counts that are tried: 0 to 16 one by one, then 8 to the octave, then all. */
static size_t grid(size_t all, size_t *counts, size_t room) {
  size_t n = 0;
  for (size_t c = 0; c < all && n + 1 < room; c += c < 16 ? 1 : ((size_t)1 << (63 - __builtin_clzll(c))) / 8)
    counts[n++] = c;
  counts[n++] = all;
  return n;
}

/* The smallest count of the first units, in the order of the ranks, whose removal loses the fact
 * (how REMOVE_FIRST) or whose presence alone gives it back (KEEP_FIRST); one more than there are
 * where none does. */
static sg_status fewest(scorer *k, int how, double *count, sg_error *err) {
  enum { POINTS = 256 };
  size_t counts[POINTS], n = grid(k->n_terms, counts, POINTS);
  *count = (double)k->n_terms + 1;
  for (size_t i = 0; i < n; i += ROWS) {
    double margin[ROWS];
    size_t rows = n - i < ROWS ? n - i : ROWS;
    for (size_t r = 0; r < rows; r++) {
      k->cuts[r].how = how;
      k->cuts[r].rank = (int32_t)counts[i + r];
    }
    sg_status st = run(k, rows, margin, err);
    if (st) return st;
    for (size_t r = 0; r < rows; r++)
      if ((margin[r] > 0) == (how == KEEP_FIRST)) {
        *count = (double)counts[i + r];
        return SG_OK;
      }
  }
  return SG_OK;
}

static void shuffle_terms(scorer *k, sgi_rng *r) {
  for (size_t i = k->n_terms; i > 1; i--) {
    size_t j = sgi_rng_below(r, i);
    sg_term t = k->terms[i - 1];
    k->terms[i - 1] = k->terms[j];
    k->terms[j] = t;
  }
}

typedef struct lists {
  double *broken, *broken_chance, *restored, *restored_chance; /* (facts) */
  double *predicted, *truth, *work;                            /* (units), (units), (2*units) */
} lists;

static sg_status count_neurons(scorer *k, lists *l, sgi_score *out, sgi_rng *r, sg_error *err) {
  size_t at = out->measured, need = at - (size_t)out->alone;
  qsort(k->terms, k->n_terms, sizeof *k->terms, by_effect);
  set_ranks(k);
  sg_status st = fewest(k, REMOVE_FIRST, &l->broken[at], err);
  if (!st) st = fewest(k, KEEP_FIRST, &l->restored[need], err);
  if (st) return st;
  shuffle_terms(k, r);
  set_ranks(k);
  st = fewest(k, REMOVE_FIRST, &l->broken_chance[at], err);
  if (st) return st;
  if (l->restored[need] > 0) return fewest(k, KEEP_FIRST, &l->restored_chance[need], err);
  out->alone++;
  return SG_OK;
}

/* ---- is the attribution true ----------------------------------------------------------------- */

/* truth: the margin with each of the first n terms' units less that without it. */
static sg_status true_effects(scorer *k, size_t n, int gates, double *truth, sg_error *err) {
  double whole;
  k->cuts[0] = (cut){REMOVE_ONE, -1};
  k->gates = NOTE;
  sg_status st = run(k, 1, &whole, err);
  k->gates = gates;
  for (size_t i = 0; i < n && !st; i += ROWS) {
    size_t rows = n - i < ROWS ? n - i : ROWS;
    for (size_t b = 0; b < rows; b++) k->cuts[b] = (cut){REMOVE_ONE, (int32_t)(i + b)};
    st = run(k, rows, truth + i, err);
  }
  k->gates = FREE;
  for (size_t i = 0; i < n; i++) truth[i] = whole - truth[i];
  return st;
}

static double permuted_correlation(scorer *k, const lists *l, size_t n, sgi_rng *r) {
  double sum = 0;
  for (size_t p = 0; p < k->s->permutations; p++) {
    for (size_t i = n; i > 1; i--) {
      size_t j = sgi_rng_below(r, i);
      double t = l->predicted[i - 1];
      l->predicted[i - 1] = l->predicted[j];
      l->predicted[j] = t;
    }
    sum += sgi_rank_correlation(l->predicted, l->truth, n, l->work);
  }
  return sum / (double)k->s->permutations;
}

/* Of units drawn at random (the terms are shuffled): total effect in the frozen network beside the
 * true one. Adds to out. */
static sg_status compare_effects(scorer *k, lists *l, sgi_rng *r, sgi_score *out, sg_error *err) {
  size_t n = k->n_terms < k->s->units ? k->n_terms : k->s->units;
  for (size_t i = 0; i < n; i++) l->predicted[i] = k->terms[i].effect;
  sg_status st = true_effects(k, n, HOLD, l->truth, err);
  if (st) return st;
  out->faithful_held += sgi_rank_correlation(l->predicted, l->truth, n, l->work);
  st = true_effects(k, n, FREE, l->truth, err);
  if (st) return st;
  out->faithful += sgi_rank_correlation(l->predicted, l->truth, n, l->work);
  out->faithful_chance += permuted_correlation(k, l, n, r);
  return SG_OK;
}

/* ---- one model ------------------------------------------------------------------------------- */

static sg_status measure(scorer *k, lists *l, sgi_score *out, sgi_rng *r, sg_error *err) {
  sg_attribute_request q = {
      .tokens = k->f->tokens, .count = k->f->n, .position = -1, .target = k->target, .against = k->against};
  sg_attribution *a;
  sg_status st = sg_attribute(k->m, &q, &a, err);
  if (st) return st;
  k->terms = a->neurons.terms;
  k->n_terms = 0;
  for (size_t i = 0; i < a->neurons.count; i++)
    if (k->terms[i].effect != 0) k->terms[k->n_terms++] = k->terms[i];
  if (k->n_terms > 2) {
    st = count_neurons(k, l, out, r, err);
    if (!st) st = compare_effects(k, l, r, out, err);
    out->units += (double)k->n_terms;
    out->measured++;
  }
  sg_attribution_free(a);
  k->terms = NULL;
  if (!st && k->sets.n < k->s->sets) st = sgi_score_sets_add(&k->sets, q.tokens, q.count, k->target, k->against, err);
  return st;
}

/* Facts in an order of their own, the same for every model. */
static sg_status measure_all(scorer *k, lists *l, sgi_score *out, sg_error *err) {
  sgi_rng r = sgi_rng_make(k->s->seed, SGI_STREAM_SAMPLE, 2);
  sg_status st = SG_OK;
  for (size_t i = 0; i < k->n_facts && !st; i++) {
    const fact *f = &k->facts[sgi_rng_permute(k->s->seed, SGI_STREAM_SAMPLE, 3, k->n_facts, i)];
    bool known;
    st = sgi_score_go_on(k->s, err);
    if (!st) st = look(k, f, &known, err);
    if (st) break;
    out->prompts += f->n_answers > 0;
    out->known += known;
    if (known && out->measured < k->s->facts) st = measure(k, l, out, &r, err);
  }
  if (st || !out->measured) return st;
  double n = (double)out->measured;
  out->broken = sgi_median(l->broken, out->measured);
  out->broken_chance = sgi_median(l->broken_chance, out->measured);
  size_t need = out->measured - (size_t)out->alone;
  out->restored = sgi_median(l->restored, need);
  out->restored_chance = sgi_median(l->restored_chance, need);
  out->alone /= n;
  out->units /= n;
  out->faithful /= n;
  out->faithful_held /= n;
  out->faithful_chance /= n;
  return SG_OK;
}

static sg_status make_room(scorer *k, lists *l, double **block, sg_error *err) {
  size_t N = k->s->facts + 1, U = k->s->units + ROWS, keys;
  sgi_largest most = sgi_model_largest(k->m);
  k->channels = most.channels + SGI_BESIDE_PARTS;
  k->pool = most.neurons > most.beside ? most.neurons : most.beside;
  if (!sgi_size_mul(k->L * LONGEST, k->channels, &keys) || !sgi_size_mul(keys, k->pool, &keys) || keys > SIZE_MAX / 8 ||
      N > INT32_MAX || U > INT32_MAX)
    return sgi_fail(err, SG_ERR_ARG, "too many neurons, or facts, to measure");
  k->rank = sgi_alloc(keys * sizeof *k->rank);
  k->logits = sgi_alloc(k->V * sizeof *k->logits);
  k->inputs = sgi_alloc(ROWS * LONGEST * sizeof *k->inputs);
  k->held_width = most.entries; /* of scores, indices or experts' logits at most */
  k->held = sgi_alloc(k->L * 2 * LONGEST * k->held_width * 4);
  *block = sgi_alloc((4 * N + 4 * U) * sizeof **block);
  if (!k->rank || !k->logits || !k->inputs || !k->held || !*block)
    return sgi_fail_memory(err, keys * sizeof *k->rank, "ranks of neurons");
  double *b = *block;
  *l = (lists){b, b + N, b + 2 * N, b + 3 * N, b + 4 * N, b + 4 * N + U, b + 4 * N + 2 * U};
  for (size_t i = 0; i < keys; i++) k->rank[i] = NO_RANK;
  size_t longest = 1;
  for (size_t i = 0; i < k->n_facts; i++) longest = k->facts[i].n > longest ? k->facts[i].n : longest;
  return sgi_pass_create(k->m, ROWS, longest, false, &k->pass, err);
}

sg_status sgi_score_facts(const sg_model *m, const sg_tokenizer *tok, const sgi_truth *truth,
                          const sgi_score_settings *s, sgi_score *out, sg_error *err) {
  scorer k = {.m = m, .tok = tok, .s = s, .L = m->config.num_layers, .V = m->config.vocab_size};
  lists l = {0};
  double *block = NULL;
  sg_status st = read_facts(&k, truth, err);
  if (!st) st = make_room(&k, &l, &block, err);
  if (!st) st = sgi_score_sets_begin(&k.sets, m, tok, truth, s->sets, err);
  if (!st) st = measure_all(&k, &l, out, err);
  sgi_score_sets_end(&k.sets, st ? NULL : out);
  for (size_t i = 0; i < k.n_facts; i++) {
    sgi_free(k.facts[i].tokens);
    sgi_free(k.facts[i].answers);
  }
  sgi_free(k.facts);
  sgi_free(k.rank);
  sgi_free(k.logits);
  sgi_free(k.inputs);
  sgi_free(k.held);
  sgi_free(block);
  sgi_pass_free(k.pass);
  return st;
}
