/* Purity of nearest circuits. A circuit is a list of (key, value) entries; a query is spread over
 * all keys once, so that each comparison costs the entries of one circuit. */
#include <math.h>
#include <string.h>

#include "core/arena.h"
#include "read/score.h"

enum { ROWS = 8 }; /* stories of a pass */

/* Circuits of one layer in one form. */
typedef struct circuits {
  size_t n, width, keys; /* entries each, and how many keys there are */
  int32_t *key;          /* (n,width) */
  float *value, *norm;   /* (n,width), (n) */
} circuits;

typedef struct collector {
  const sgi_score_words *w;
  circuits *layers; /* (L,SGI_SCORE_FORMS) */
  size_t L;
  const sg_model *model;
  bool routed;
  size_t first_story, stories, at, end; /* positions of w of these stories: [at, end) */
  const int32_t *chosen;                /* of the layer, seen last: (n, C*K) */
} collector;

static circuits *circuits_of(collector *k, ptrdiff_t layer, int form) {
  return &k->layers[(size_t)layer * SGI_SCORE_FORMS + (size_t)form];
}

static sg_status make(circuits *x, size_t n, size_t width, size_t keys, sg_error *err) {
  if (x->key) return SG_OK;
  size_t entries;
  if (!sgi_size_mul(n, width, &entries) || entries > SIZE_MAX / 16)
    return sgi_fail(err, SG_ERR_ARG, "too many entries to compare");
  *x = (circuits){n, width, keys, sgi_alloc(entries * 4 + 4), sgi_alloc(entries * 4 + 4), sgi_alloc(n * 4 + 4)};
  return x->key && x->value && x->norm ? SG_OK : sgi_fail_memory(err, entries * 8, "circuits");
}

/* Keys of a layer's chosen unit: its number in the pool, behind those of the channels before where
 * each has its own. */
typedef struct pools {
  size_t F;
  bool own;
} pools;
static pools pools_of(const collector *k, ptrdiff_t layer) {
  sgi_gates g;
  const sgi_sublayer *s = sgi_feedforward_of(k->model, (size_t)layer);
  bool chooses = sgi_layer_gates(k->model, (size_t)layer, &g);
  return (pools){s ? s->config->num_neurons : 0, chooses && g.pool_per_channel};
}

/* Rows of a float site at the labelled positions. chosen NULL: the keys are the entries' own
 * places. */
static sg_status take_as(collector *k, const sgi_site *s, ptrdiff_t layer, int form, const int32_t *chosen,
                         sg_error *err) {
  size_t width = sgi_site_width(s), K = s->dims[1];
  pools p = pools_of(k, layer);
  circuits *x = circuits_of(k, layer, form);
  sg_status st = make(x, k->w->n, width, chosen ? (p.own ? s->dims[0] * p.F : p.F) : width, err);
  for (size_t i = k->at; i < k->end && !st; i++) {
    const sgi_labelled *at = &k->w->at[i];
    size_t row = (at->story - k->first_story) * k->w->T + at->position;
    if (row < s->first || row >= s->first + s->n) continue;
    memcpy(x->value + i * width, (const float *)s->data + (row - s->first) * width, width * sizeof *x->value);
    for (size_t e = 0; e < width; e++)
      x->key[i * width + e] = chosen ? (int32_t)(p.own ? e / K * p.F : 0) + chosen[row * width + e] : (int32_t)e;
  }
  return st;
}

static sg_status take(collector *k, const sgi_site *s, int form, const int32_t *chosen, sg_error *err) {
  return take_as(k, s, s->layer, form, chosen, err);
}

/* The stream that a feedforward reads: behind its layer's attention, or, where it reads beside that
 * or there is none, what comes into the layer. */
static sg_status take_stream(collector *k, const sgi_site *s, sg_error *err) {
  ptrdiff_t layer = s->layer + (s->id != SGI_SITE_RESID_MID); /* the embedding's layer is -1 */
  if (layer >= (ptrdiff_t)k->L || !sgi_feedforward_of(k->model, (size_t)layer)) return SG_OK;
  return take_as(k, s, layer, SGI_SCORE_STREAM, NULL, err);
}

/* Sites come in the order scores, indices, neurons; the scores wait for their indices. */
static sg_status visit(void *user, const sgi_site *s, sg_error *err) {
  collector *k = user;
  if (s->id == SGI_SITE_EMBED || s->id == SGI_SITE_RESID_MID || s->id == SGI_SITE_RESID_POST)
    return take_stream(k, s, err);
  if (s->layer < 0) return SG_OK;
  if (s->id == SGI_SITE_MLP_NORM) k->chosen = NULL; /* what every feedforward layer begins with */
  if (s->id == SGI_SITE_ROUTER_SCORES) return take(k, s, SGI_SCORE_GATES, NULL, err);
  if (s->id == SGI_SITE_ROUTER_INDICES) {
    circuits *x = circuits_of(k, s->layer, SGI_SCORE_GATES);
    size_t K = s->dims[1];
    pools p = pools_of(k, s->layer);
    k->routed = true;
    k->chosen = s->data;
    x->keys = p.own ? s->dims[0] * p.F : p.F;
    for (size_t i = k->at; i < k->end; i++) {
      size_t row = (k->w->at[i].story - k->first_story) * k->w->T + k->w->at[i].position;
      for (size_t e = 0; e < x->width; e++)
        x->key[i * x->width + e] = (int32_t)(p.own ? e / K * p.F : 0) + k->chosen[row * x->width + e];
    }
    return SG_OK;
  }
  if (sgi_site_row_of(s->id)->role == SGI_SITE_VALUES) return take(k, s, SGI_SCORE_VALUES, k->chosen, err);
  return SG_OK;
}

static sg_status collect(collector *k, const sg_model *m, const sgi_truth *truth, const sgi_score_settings *s,
                         sg_error *err) {
  sgi_pass *p = NULL;
  sg_status st = sgi_pass_create(m, ROWS, k->w->T, false, &p, err);
  for (size_t i = 0; i < truth->n_stories && k->end < k->w->n && !st; i += ROWS) {
    k->first_story = i;
    k->stories = truth->n_stories - i < ROWS ? truth->n_stories - i : ROWS;
    k->at = k->end;
    while (k->end < k->w->n && k->w->at[k->end].story < i + k->stories) k->end++;
    sgi_batch batch = {.B = k->stories, .T = k->w->T, .inputs = k->w->inputs + i * k->w->T};
    st = sgi_score_go_on(s, err);
    if (!st) st = sgi_pass_forward(p, &batch, &(sgi_tap){.visit = visit, .user = k, .err = err}, err);
  }
  sgi_pass_free(p);
  return st;
}

/* ---- neighbours ------------------------------------------------------------------------------ */

static void spread(const circuits *x, size_t i, float *wide, float sign) {
  for (size_t e = 0; e < x->width; e++) wide[x->key[i * x->width + e]] += sign * x->value[i * x->width + e];
}

static float dot(const circuits *x, size_t i, const float *wide) {
  const int32_t *key = x->key + i * x->width;
  const float *value = x->value + i * x->width;
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (size_t e = 0; e < x->width; e++) sum += value[e] * wide[key[e]];
  return sum;
}

static void clear(const circuits *x, size_t i, float *wide) {
  for (size_t e = 0; e < x->width; e++) wide[x->key[i * x->width + e]] = 0;
}

/* near (K): positions of other words in other stories, nearest first, equal ones in order;
 * UINT32_MAX where there are fewer. */
static void nearest(const circuits *x, const sgi_score_words *w, size_t i, size_t K, float *wide, uint32_t *near,
                    float *similar) {
  for (size_t k = 0; k < K; k++) near[k] = UINT32_MAX;
  spread(x, i, wide, 1);
  size_t found = 0;
  for (size_t j = 0; j < x->n; j++) {
    if (w->at[j].story == w->at[i].story || w->at[j].word == w->at[i].word) continue;
    float scale = x->norm[i] * x->norm[j], c = scale > 0 ? dot(x, j, wide) / scale : 0;
    if (found == K && !(c > similar[K - 1])) continue;
    size_t at = found < K ? found++ : K - 1;
    for (; at && c > similar[at - 1]; at--) {
      similar[at] = similar[at - 1];
      near[at] = near[at - 1];
    }
    similar[at] = c;
    near[at] = (uint32_t)j;
  }
  clear(x, i, wide);
}

static sg_status find_neighbours(circuits *x, const sgi_score_words *w, size_t K, uint32_t *near, sg_error *err) {
  float *wide = sgi_alloc((x->keys + K + 1) * sizeof *wide);
  if (!wide) return sgi_fail_memory(err, x->keys * sizeof *wide, "a circuit");
  for (size_t i = 0; i < x->n; i++) {
    spread(x, i, wide, 1);
    x->norm[i] = sqrtf(fmaxf(dot(x, i, wide), 0));
    clear(x, i, wide);
  }
  for (size_t i = 0; i < x->n; i++) nearest(x, w, i, K, wide, near + i * K, wide + x->keys);
  sgi_free(wide);
  return SG_OK;
}

/* ---- purity ---------------------------------------------------------------------------------- */

typedef struct labels {
  uint32_t *word, *story; /* category of each word, topic of each used story; permuted or not */
} labels;

static void shuffle(uint32_t *x, size_t n, sgi_rng *r) {
  for (size_t i = n; i > 1; i--) {
    size_t j = sgi_rng_below(r, i);
    uint32_t t = x[i - 1];
    x[i - 1] = x[j];
    x[j] = t;
  }
}

static void pure(const sgi_score_words *w, const uint32_t *near, size_t K, const labels *l, double *category,
                 double *topic) {
  size_t all = 0, same_category = 0, same_topic = 0;
  for (size_t i = 0; i < w->n; i++)
    for (size_t k = 0; k < K && near[i * K + k] != UINT32_MAX; k++, all++) {
      const sgi_labelled *a = &w->at[i], *b = &w->at[near[i * K + k]];
      same_category += l->word[a->word] == l->word[b->word];
      same_topic += l->story[a->used] == l->story[b->used];
    }
  *category += all ? (double)same_category / (double)all : 0;
  *topic += all ? (double)same_topic / (double)all : 0;
}

static void true_labels(labels *l, const sgi_truth *truth, const sgi_score_words *w) {
  memcpy(l->word, w->category, w->n_words * sizeof *l->word);
  for (size_t i = 0; i < w->n_stories; i++) l->story[i] = truth->stories[w->stories[i]].topic;
}

static void measure(const sgi_truth *truth, const sgi_score_words *w, const uint32_t *near, const sgi_score_settings *s,
                    labels *l, sgi_purity *sum) {
  true_labels(l, truth, w);
  pure(w, near, s->neighbours, l, &sum->category, &sum->topic);
  double category = 0, topic = 0;
  sgi_rng r = sgi_rng_make(s->seed, SGI_STREAM_SAMPLE, 1);
  for (size_t p = 0; p < s->permutations; p++) {
    shuffle(l->word, w->n_words, &r);
    shuffle(l->story, w->n_stories, &r);
    pure(w, near, s->neighbours, l, &category, &topic);
  }
  sum->category_chance += category / (double)s->permutations;
  sum->topic_chance += topic / (double)s->permutations;
}

static sg_status score_all(collector *k, const sgi_truth *truth, const sgi_score_settings *s, sgi_score *out,
                           sg_error *err) {
  const sgi_score_words *w = k->w;
  uint32_t *near = sgi_alloc((w->n * s->neighbours + 1) * sizeof *near);
  labels l = {sgi_alloc((w->n_words + 1) * 4), sgi_alloc((w->n_stories + 1) * 4)};
  sg_status st = near && l.word && l.story ? SG_OK : sgi_fail_memory(err, w->n * s->neighbours * 4, "neighbours");
  size_t layers[SGI_SCORE_FORMS] = {0}; /* that have such circuits */
  for (size_t i = 0; i < k->L * SGI_SCORE_FORMS && !st; i++) {
    sgi_purity *sum = &out->purity[i % SGI_SCORE_FORMS];
    if (!k->layers[i].key) continue;
    layers[i % SGI_SCORE_FORMS]++;
    st = sgi_score_go_on(s, err);
    if (!st) st = find_neighbours(&k->layers[i], w, s->neighbours, near, err);
    if (!st) measure(truth, w, near, s, &l, sum);
  }
  sgi_free(near);
  sgi_free(l.word);
  sgi_free(l.story);
  for (size_t f = 0; f < SGI_SCORE_FORMS; f++) {
    double *all[] = {&out->purity[f].category, &out->purity[f].category_chance, &out->purity[f].topic,
                     &out->purity[f].topic_chance};
    for (size_t i = 0; i < SGI_COUNT(all); i++) *all[i] /= (double)(layers[f] ? layers[f] : 1);
  }
  return st;
}

sg_status sgi_score_purity(const sg_model *m, const sgi_truth *truth, const sgi_score_words *w,
                           const sgi_score_settings *s, sgi_score *out, sg_error *err) {
  collector k = {.w = w, .L = m->config.num_layers, .model = m};
  k.layers = sgi_alloc(k.L * SGI_SCORE_FORMS * sizeof *k.layers);
  sg_status st = k.layers ? collect(&k, m, truth, s, err) : sgi_fail_memory(err, k.L * sizeof *k.layers, "circuits");
  if (!st) st = score_all(&k, truth, s, out, err);
  out->positions = w->n;
  out->words = w->n_words;
  out->routed = k.routed;
  if (!st && !k.routed)
    out->purity[SGI_SCORE_GATES] = out->purity[SGI_SCORE_VALUES]; /* a dense kind's gates are its activations */
  for (size_t i = 0; k.layers && i < k.L * SGI_SCORE_FORMS; i++) {
    sgi_free(k.layers[i].key);
    sgi_free(k.layers[i].value);
    sgi_free(k.layers[i].norm);
  }
  sgi_free(k.layers);
  return st;
}
