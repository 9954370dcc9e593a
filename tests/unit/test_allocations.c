/* What a training step, a forward pass and a decoded token ask of malloc in all, and of the system:
 * no thread is started in them. The library asks for nothing (test_trainer.c, test_bench.c); oneDNN
 * takes work space for each product and libgomp a team for each region that one thread runs. They
 * give it back: after a step as much is held as before it. malloc and its kin are ours here, and
 * pthread_create, which libgomp calls whenever a region lies in a region. */
#include "support/golden.h"

#include <dlfcn.h>
#include <omp.h>
#include <pthread.h>
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
  size_t threads;
} counts;

static atomic_size_t calls, large, threads;

#pragma GCC visibility push(default) /* or libgomp would not meet it */
int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *), void *arg) {
  int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
  *(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
  atomic_fetch_add(&threads, 1);
  return real(thread, attr, start, arg);
}
#pragma GCC visibility pop

#ifndef __SANITIZE_ADDRESS__
static void heap_took(size_t bytes, size_t held) {
  (void)held;
  atomic_fetch_add(&calls, 1);
  atomic_fetch_add(&large, bytes >= TEAM);
}
#endif
#include "support/heap.h"

static counts counted(void) {
  return (counts){atomic_load(&calls), atomic_load(&large), atomic_load(&heap_held), atomic_load(&threads)};
}

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
  if (after.threads != before.threads)
    fail_msg("%s, %s: starts %zu threads each time", kind, what, after.threads - before.threads);
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
  if (heap_counts && !trained_step.large) fail_msg("%s: no work space was seen: are the calls still counted?", kind);
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
  if (!atomic_load(&threads)) fail_msg("no thread was seen to start: is pthread_create still counted?");
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(a_step_gives_back_what_it_takes)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
