/* generate.c: sequences that grow token by token on a cache of keys and values (sgatlin.h,
 * generation). */
#include <omp.h>
#include <string.h>

#include "model/pass.h"
#include "model/sample.h"

enum { PART = 256 }; /* positions of the beginning that are computed at a time */

/* A step of a small model is over before threads have met, and on a busy machine each meeting costs
 * milliseconds; a large one is bound by memory that several threads read faster. So steps are
 * timed, TRIAL each with one thread and with all, and the quicker way is kept for a while, longer
 * each time it proves right. The bits are the same either way. */
enum { TRIAL = 4, WAIT = 32, MOST_WAIT = 1024 };

typedef struct tempo {
  bool alone;     /* the way that is kept */
  size_t at;      /* steps since the trial began */
  size_t wait;    /* steps from a trial to the next */
  double took[2]; /* by the way that is kept, by the other */
} tempo;

static bool alone_now(const tempo *t) { return t->alone != (t->at >= TRIAL && t->at < 2 * TRIAL); }

static void note_time(tempo *t, double seconds) {
  if (t->at < 2 * TRIAL) t->took[t->at / TRIAL] += seconds;
  if (++t->at == 2 * TRIAL) {
    bool other = t->took[1] < t->took[0];
    t->alone = t->alone != other;
    t->wait = other || !t->wait ? WAIT : 2 * t->wait < MOST_WAIT ? 2 * t->wait : MOST_WAIT;
  } else if (t->at > 2 * TRIAL && t->at >= 2 * TRIAL + t->wait) {
    *t = (tempo){.alone = t->alone, .wait = t->wait};
  }
}

struct sg_generator {
  const sg_model *model;
  sgi_cache cache;
  sgi_pass *begin, *step;    /* one sequence by up to PART positions; all streams by one */
  float *logits;             /* (streams, V), or (1, V) while all are alike */
  sgi_candidate *candidates; /* (V) */
  char *block;
  bool any, apart; /* there are logits; the streams have got ids of their own */
  tempo tempo;
};

static sg_status layout(sg_generator *g, sgi_arena *a, sg_error *err) {
  const sg_config *c = &g->model->config;
  size_t n = 0;
  bool ok = sgi_size_mul(g->model->plan.n_attention, g->cache.streams, &n) && sgi_size_mul(n, g->cache.capacity, &n) &&
            sgi_size_mul(n, c->num_heads * c->head_dim, &n);
  if (!ok) n = SIZE_MAX / sizeof(float);
  g->cache.k = SGI_TAKE(a, n, float);
  g->cache.v = SGI_TAKE(a, n, float);
  g->cache.past_of_layers = SGI_TAKE(a, sgi_cache_past(&g->model->plan, &g->cache, g->model->plan.n_steps), float);
  if (!sgi_size_mul(g->cache.streams, c->vocab_size, &n)) n = SIZE_MAX / sizeof(float);
  g->logits = SGI_TAKE(a, n, float);
  g->candidates = SGI_TAKE(a, c->vocab_size, sgi_candidate);
  return a->used == SIZE_MAX ? sgi_fail_memory(err, SIZE_MAX, "the keys and values of a context") : SG_OK;
}

static sg_status set_up(sg_generator *g, sg_error *err) {
  sgi_arena a = {0};
  sg_status st = layout(g, &a, err);
  if (st) return st;
  g->block = sgi_alloc(a.used);
  if (!g->block) return sgi_fail_memory(err, a.used, "the keys and values of a context");
  a = (sgi_arena){.base = g->block, .size = a.used};
  st = layout(g, &a, err);
  size_t part = g->cache.capacity < PART ? g->cache.capacity : PART;
  if (!st) st = sgi_pass_create_cached(g->model, 1, part, &g->cache, &g->begin, err);
  if (!st) st = sgi_pass_create_cached(g->model, g->cache.streams, 1, &g->cache, &g->step, err);
  return st;
}

sg_status sg_generator_create(const sg_model *m, size_t streams, size_t context, sg_generator **out, sg_error *err) {
  *out = NULL;
  if (!context) context = m->config.max_position;
  if (!streams || context > INT32_MAX)
    return sgi_fail(err, SG_ERR_ARG,
                    "%zu streams of %zu positions: there must be at least one, of at most %d positions", streams,
                    context, INT32_MAX);
  sg_generator *g = sgi_alloc(sizeof *g);
  if (!g) return sgi_fail_memory(err, sizeof *g, "a generator");
  *g = (sg_generator){.model = m, .cache = {.streams = streams, .capacity = context}};
  sg_status st = set_up(g, err);
  if (st)
    sg_generator_free(g);
  else
    *out = g;
  return st;
}

void sg_generator_free(sg_generator *g) {
  if (!g) return;
  sgi_pass_free(g->begin);
  sgi_pass_free(g->step);
  sgi_free(g->block);
  sgi_free(g);
}

void sgi_generator_profile(sg_generator *g, sgi_profile *profile) { sgi_pass_profile(g->step, profile); }

size_t sg_generator_room(const sg_generator *g) { return g->cache.capacity - g->cache.past; }

void sg_generator_reset(sg_generator *g) {
  g->cache.past = 0;
  g->any = g->apart = false;
}

const float *sg_generator_logits(const sg_generator *g, size_t stream) {
  if (!g->any || stream >= g->cache.streams) return NULL;
  return g->logits + (g->apart ? stream : 0) * g->model->config.vocab_size;
}

static sg_status check_ids(const sg_generator *g, const int32_t *ids, size_t n, sg_error *err) {
  size_t V = g->model->config.vocab_size;
  for (size_t i = 0; i < n; i++)
    if (ids[i] < 0 || (size_t)ids[i] >= V)
      return sgi_fail(err, SG_ERR_ARG, "id %d (number %zu) is outside the vocabulary of %zu", ids[i], i, V);
  return SG_OK;
}

sg_status sg_generator_feed(sg_generator *g, const int32_t *ids, size_t n, sg_error *err) {
  if (g->apart)
    return sgi_fail(err, SG_ERR_ARG, "the streams have parted: one beginning for all comes before any step");
  if (!n) return SG_OK;
  if (n > sg_generator_room(g))
    return sgi_fail(err, SG_ERR_ARG, "%zu tokens do not fit the %zu positions that are left of a context of %zu", n,
                    sg_generator_room(g), g->cache.capacity);
  sg_status st = check_ids(g, ids, n, err);
  size_t start = g->cache.past, T = 0;
  for (size_t i = 0; i < n && !st; i += T) {
    T = n - i < PART ? n - i : PART;
    st = sgi_pass_forward(g->begin, &(sgi_batch){.B = 1, .T = T, .inputs = ids + i}, NULL, err);
    if (!st) g->cache.past += T;
  }
  if (!st) st = sgi_pass_logits(g->begin, T - 1, 1, g->logits, err);
  if (st)
    g->cache.past = start;
  else
    g->any = true;
  return st;
}

/* Every stream gets what the first has. */
static void part(sg_generator *g) {
  const sgi_cache *kv = &g->cache;
  const sg_config *c = &g->model->config;
  size_t W = c->num_heads * c->head_dim, row = kv->capacity * W;
  for (size_t l = 0; l < g->model->plan.n_attention; l++)
    for (size_t b = 1; b < kv->streams; b++) {
      memcpy(kv->k + (l * kv->streams + b) * row, kv->k + l * kv->streams * row, kv->past * W * sizeof *kv->k);
      memcpy(kv->v + (l * kv->streams + b) * row, kv->v + l * kv->streams * row, kv->past * W * sizeof *kv->v);
    }
  for (size_t i = 0; i < g->model->plan.n_steps; i++) {
    size_t each = sgi_step_past(&g->model->plan.steps[i], kv->capacity);
    float *past = kv->past_of_layers + sgi_cache_past(&g->model->plan, kv, i);
    for (size_t b = 1; b < kv->streams; b++) memcpy(past + b * each, past, each * sizeof *past);
  }
  g->apart = true;
}

static sg_status compute(sg_generator *g, const int32_t *ids, sg_error *err) {
  size_t B = g->cache.streams;
  sg_status st = sgi_pass_forward(g->step, &(sgi_batch){.B = B, .T = 1, .inputs = ids}, NULL, err);
  return st ? st : sgi_pass_logits(g->step, 0, B, g->logits, err);
}

static sg_status compute_in_tempo(sg_generator *g, const int32_t *ids, sg_error *err) {
  int threads = omp_get_max_threads(); /* of this thread: what a caller has chosen stays as it was */
  if (threads == 1) return compute(g, ids, err);
  double began = sgi_now();
  if (alone_now(&g->tempo)) omp_set_num_threads(1);
  sg_status st = compute(g, ids, err);
  omp_set_num_threads(threads);
  note_time(&g->tempo, sgi_now() - began);
  return st;
}

sg_status sg_generator_step(sg_generator *g, const int32_t *ids, sg_error *err) {
  size_t B = g->cache.streams;
  sg_status st = check_ids(g, ids, B, err);
  if (st) return st;
  if (!sg_generator_room(g))
    return sgi_fail(err, SG_ERR_ARG, "the context of %zu positions is full", g->cache.capacity);
  if (!g->apart) part(g);
  g->any = false;
  st = compute_in_tempo(g, ids, err);
  if (st) return st;
  g->cache.past++;
  g->any = true;
  return SG_OK;
}

sg_status sg_generator_choose(sg_generator *g, const sg_sampling *s, int32_t *ids, sg_error *err) {
  sg_status st = sgi_sampling_check(s, err);
  if (!st && !g->any) st = sgi_fail(err, SG_ERR_ARG, "there is no token yet to continue from: feed one (bos) first");
  for (size_t b = 0; b < g->cache.streams && !st; b++) {
    sgi_rng r = sgi_rng_make(s->seed, SGI_STREAM_SAMPLE, s->first + b);
    r.counter = g->cache.past;
    ids[b] = sgi_sample(s, sg_generator_logits(g, b), g->model->config.vocab_size, sgi_rng_uniform(&r), g->candidates);
    if (ids[b] < 0)
      st = sgi_fail(err, SG_ERR_NUMERIC, "stream %zu, position %zu: the logits are NaN or infinite", b, g->cache.past);
  }
  return st;
}
