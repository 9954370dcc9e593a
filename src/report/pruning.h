/* pruning.h: sublayers taken out by latency and tunability, beside the naive ways to choose them:
 * what `prune` does, as a document and as lines of a figure. */
#ifndef SGI_REPORT_PRUNING_H
#define SGI_REPORT_PRUNING_H

#include "text.h"

enum { SGI_PRUNE_RIVALS = 4, SGI_PRUNE_LINES = 24 };

/* What a method, or a model beside it, reached. */
typedef struct sgi_prune_line {
  char name[48];
  bool point;             /* a model of its own: nothing joins it to the one that is pruned */
  bool *off;              /* (2L) sublayers that are out, as rounds go */
  double *speedup, *loss; /* (n) after each round; loss in nats */
  double dense_loss;      /* before any, at a speed-up of 1 */
  size_t n;
} sgi_prune_line;

typedef struct sgi_pruning {
  const char *name;                              /* of the model in errors */
  const sgi_prompt *p;                           /* the model */
  const sgi_text_rows *calibration, *validation; /* of each the first `rows` */
  size_t rows;
  size_t use, target, distance, method; /* words of --for, --target, --distance, --method by their number */
  bool each, cpu_time, tune_any, last, no_latency;
  double damping;
  size_t candidates;
  uint64_t seed;
  double speedup; /* the end: this reached, or so many gone; 0: not asked for */
  size_t remove;
  bool compare; /* all methods, and rivals beside them; else the method alone, saved to out (NULL: not) */
  const char *const *rivals;
  size_t n_rivals;
  const char *out, *checkpoint; /* checkpoint: of rivals */
  bool allow_nonfinite;
  void (*skipped)(void *user, const char *name, const char *reason);
  /* "timing" or "scoring", done of wanted; NULL: that has ended. False stops. */
  bool (*working)(void *user, const char *what, size_t done, size_t wanted);
  void (*note)(void *user, const char *text); /* after each round; NULL allowed */
  bool (*stopped)(void *user);
  void *user;
} sgi_pruning;

typedef struct sgi_pruned {
  json_t *document; /* of a method; with compare {methods, rivals} */
  sgi_prune_line lines[SGI_PRUNE_LINES];
  size_t n_lines;
} sgi_pruned;

/* sgi_pruned_deinit in any case. */
sg_status sgi_prune_report(const sgi_pruning *request, sgi_pruned *out, sg_error *err);
void sgi_pruned_deinit(sgi_pruned *p);

#endif
