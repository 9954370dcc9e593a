/* bench.h: how fast this machine trains and runs a configuration, beside what its matrix product
 * and its memory allow. */
#ifndef SGI_BENCH_H
#define SGI_BENCH_H

#include "core/profile.h"
#include "ffn/aux.h"
#include "train/int4.h"
#include "train/yardstick.h"

typedef struct sgi_bench_request {
  const sg_config *config;
  const char *directory; /* the saved model of that config, or NULL: random weights */
  size_t batch_size, seq_len, rounds;
  bool cpu_time;                 /* processor time instead of time: for a shared machine, with one thread */
  bool forward_only;             /* no training: less memory, larger models */
  bool bf16;                     /* products of the training step and of the forward pass (docs/method.md, precision) */
  const sgi_int4_settings *int4; /* of random weights' pools, or NULL: float32 */
  const sgi_aux_weights *aux;    /* of training; a saved model's thresholds stay; NULL: as usual */
  uint64_t seed;
  /* Called after each round; false stops (SG_ERR_CANCELLED). NULL allowed. */
  bool (*progress)(void *user, size_t done, size_t rounds);
  void *user;
} sgi_bench_request;

/* Times are medians over the rounds. A round measures everything in turn (matrix product, copy,
 * step, forward pass), so that a machine that slows down slows all of it. 0: not measured. */
typedef struct sgi_bench {
  size_t batch_size, seq_len, rounds, threads, parameters;
  const char *isa;
  const char *precision, *bf16_path; /* of the products; how this processor multiplies bf16 (math/bf16.h) */
  /* oneDNN's float32 product, the best of a square's and of the model's own shapes */
  double gemm_flops_per_second;
  sgi_yardstick_shape gemm_shape; /* which it was */
  double copy_bytes_per_second;   /* read and written, by memcpy of blocks too large for caches */
  double train_seconds;           /* one batch: forward, backward, clipping, update */
  double forward_seconds;         /* one batch, loss included */
  double decode_seconds;          /* one token of one stream on its cache of keys and values, near its beginning */
  double open_seconds;            /* of a saved model: until it is mapped and checked */
  double
      first_token_seconds; /* of a saved model: from opening to the first token's logits, nothing of it mapped before */
  double decode_bytes_per_token; /* weights that it reads: only the chosen neurons or experts of a pool */
  double train_flops_per_token;  /* products, head and the causal half of attention included; backward twice forward */
  double forward_flops_per_token;
  size_t planned_bytes;       /* formula: weights, gradients, moments, activations */
  size_t peak_rss_bytes;      /* what the process took */
  size_t allocations;         /* by the library inside the timed steps */
  sgi_profile train, forward; /* sums over the rounds */
  sgi_profile decode;         /* the same, of `decoded` tokens a round; the clock's own cost shows in small models */
  size_t decoded;
} sgi_bench;

/* Random tokens; a saved model stays mapped from its file for forward passes and decoding, and is
 * copied for training. */
sg_status sgi_bench_run(const sgi_bench_request *r, sgi_bench *out, sg_error *err);

/* FLOPs counted / time, as a share of the matrix product's rate; 0 where not measured. */
double sgi_bench_utilisation(const sgi_bench *b, bool train);
/* Bytes of weights per token / time, as a share of the copy's rate. */
double sgi_bench_decode_share(const sgi_bench *b);
/* The least time a profiled kernel can take here, over the time it took: the larger of FLOPs / gemm
 * and bytes / copy. Above 1 where caches save bytes. *memory: which of the two bounds it. */
double sgi_bench_limit_share(const sgi_bench *b, const sgi_profile *p, size_t kernel, bool *memory);

#endif
