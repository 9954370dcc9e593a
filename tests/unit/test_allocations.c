/* What a training step, a forward pass and a decoded token ask of malloc in all. The library asks
 * for nothing (test_trainer.c, test_bench.c); oneDNN takes work space for each product and libgomp
 * a team for each region that one thread runs. They give it back: after a step as much is held as
 * before it. malloc and its kin are ours here. */
#include "support/golden.h"

#include <errno.h>
#include <malloc.h>
#include <omp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/pass.h"
#include "model/presets.h"
#include "train/trainer.h"

enum { B = 4, T = 64, TEAM = 4096 /* bytes; what libgomp asks for is smaller, oneDNN's work space larger */ };

typedef struct counts {
  size_t calls, large, held; /* of all sizes, of at least TEAM bytes; bytes not given back */
} counts;

#ifdef __SANITIZE_ADDRESS__
static counts counted(void) { return (counts){0}; } /* malloc is the sanitizer's */
static const bool counting = false;
#else
static const bool counting = true;
static atomic_size_t calls, large, held;

static counts counted(void) { return (counts){atomic_load(&calls), atomic_load(&large), atomic_load(&held)}; }

static void *noted(void *p) {
  if (!p) return NULL;
  size_t n = malloc_usable_size(p);
  atomic_fetch_add(&calls, 1);
  atomic_fetch_add(&large, n >= TEAM);
  atomic_fetch_add(&held, n);
  return p;
}

extern void *__libc_malloc(size_t n), *__libc_calloc(size_t n, size_t size), *__libc_realloc(void *p, size_t n);
extern void *__libc_memalign(size_t align, size_t n), __libc_free(void *p);

#pragma GCC visibility push(default) /* or oneDNN would not meet them */
void *malloc(size_t n) { return noted(__libc_malloc(n)); }
void *calloc(size_t n, size_t size) { return noted(__libc_calloc(n, size)); }
void *aligned_alloc(size_t align, size_t n) { return noted(__libc_memalign(align, n)); }
void *memalign(size_t align, size_t n) { return noted(__libc_memalign(align, n)); }
int posix_memalign(void **p, size_t align, size_t n) {
  *p = noted(__libc_memalign(align, n));
  return *p ? 0 : ENOMEM;
}
void *realloc(void *p, size_t n) {
  atomic_fetch_sub(&held, p ? malloc_usable_size(p) : 0);
  return noted(__libc_realloc(p, n));
}
void free(void *p) {
  atomic_fetch_sub(&held, p ? malloc_usable_size(p) : 0);
  __libc_free(p);
}
#pragma GCC visibility pop
#endif

static sg_config small(const char *kind) {
  sgi_preset_t p;
  assert_sg_ok(sgi_preset("tinystories", kind, &p, err));
  p.config.vocab_size = 600;
  p.config.hidden_size = 128;
  p.config.num_heads = 2;
  p.config.num_layers = 2;
  return p.config;
}

typedef struct work {
  sgi_trainer *trainer;
  sgi_pass *pass;
  sg_generator *generator;
  int32_t ids[B * T];
} work;

static void train(work *w) {
  sgi_step step;
  assert_sg_ok(sgi_trainer_step(w->trainer, w->ids, w->ids, NULL, &step, err));
}

static void forward(work *w) {
  sgi_metrics sum = {0};
  sgi_batch b = {B, T, w->ids, w->ids, NULL};
  assert_sg_ok(sgi_pass_forward(w->pass, &b, NULL, err));
  assert_sg_ok(sgi_pass_loss(w->pass, &sum, NULL, 0, err));
}

static void decode(work *w) { assert_sg_ok(sg_generator_step(w->generator, w->ids, err)); }

/* The fourth run: what is made once for ever is there then. */
static counts measure(const char *kind, const char *what, void (*run)(work *), work *w) {
  for (int i = 0; i < 3; i++) run(w);
  counts before = counted();
  run(w);
  counts after = counted();
  if (after.held != before.held)
    fail_msg("%s, %s: holds %zu bytes before and %zu after", kind, what, before.held, after.held);
  after.calls -= before.calls;
  after.large -= before.large;
  if (getenv("SGATLIN_TEST_VERBOSE"))
    printf("%-8s %-8s %zu calls of malloc, %zu of them for %d bytes or more\n", kind, what, after.calls, after.large,
           TEAM);
  return after;
}

static void check(const char *kind) {
  sg_config c = small(kind);
  sgi_trainer_settings s = sgi_trainer_defaults(B, T);
  work w;
  sg_model *m, *trained;
  for (int32_t i = 0; i < B * T; i++) w.ids[i] = 3 + (7 * i) % 590;
  assert_sg_ok(sg_model_create(&c, 1, &m, err));
  assert_sg_ok(sg_model_create(&c, 1, &trained, err));
  assert_sg_ok(sgi_trainer_create(trained, &s, &w.trainer, err));
  assert_sg_ok(sgi_pass_create(m, B, T, false, &w.pass, err));
  assert_sg_ok(sg_generator_create(m, 1, T, &w.generator, err));
  assert_sg_ok(sg_generator_feed(w.generator, w.ids, 4, err));
  counts trained_step = measure(kind, "training", train, &w);
  measure(kind, "forward", forward, &w);
  counts token = measure(kind, "decoding", decode, &w);
  if (counting && !trained_step.large) fail_msg("%s: no work space was seen: are the calls still counted?", kind);
  assert_int_equal(token.large, 0); /* a token needs no work space: its products have one row */
  sg_generator_free(w.generator);
  sgi_pass_free(w.pass);
  sgi_trainer_free(w.trainer);
  sg_model_free(m);
}

static void a_step_gives_back_what_it_takes(void **state) {
  (void)state;
  const char *kind;
  omp_set_num_threads(2);
  for (size_t i = 0; (kind = sg_feedforward_name(i)); i++) check(kind);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(a_step_gives_back_what_it_takes)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
