/* speed.h: how fast this machine trains and runs a model, beside what it allows: what `bench`
 * measures of one kind or one saved model. */
#ifndef SGI_REPORT_SPEED_H
#define SGI_REPORT_SPEED_H

#include "report.h"

typedef struct sgi_speed_request {
  const char *path, *checkpoint; /* a saved model or run; NULL: random weights of the next three */
  const char *kind, *preset;     /* preset NULL: tinystories */
  const char *const *set;        /* n_set settings "KEY=VALUE" */
  size_t n_set;
  size_t batch_size, seq_len, rounds; /* seq_len 0: the model's, at most 1024 */
  bool cpu_time, forward_only;
  uint64_t seed;
  void (*skipped)(void *user, const char *name, const char *reason); /* checkpoints that are not whole; NULL allowed */
  void (*begun)(void *user, const char *kind, size_t rounds);
  bool (*progress)(void *user, size_t done, size_t rounds); /* false stops */
  void *user;
} sgi_speed_request;

/* The object that `bench --json` lists (its help tells the keys). New reference. */
sg_status sgi_speed_report(const sgi_speed_request *request, json_t **out, sg_error *err);

#endif
