/* bench.h: the time of a layer's neurons as rows of a matrix and as functions, side by side
 * (docs/method-functions.md, speed). */
#ifndef SGI_FUNCTION_BENCH_H
#define SGI_FUNCTION_BENCH_H

#include "functions/layer.h"

typedef struct sgi_function_bench_request {
  const sgi_function_layer *layer; /* with at least one function */
  size_t units;     /* of a pool: 0, as many as the layer has; more are its functions over and over, each at its own
                     * place */
  size_t rows;      /* tokens of a round */
  double seconds;   /* of processor time, about, for both together */
  const char *file; /* pools lie there, mapped; removed at the end */
  uint64_t seed;
  bool (*progress)(void *user, size_t done, size_t wanted);
  void *user;
} sgi_function_bench_request;

/* Processor seconds of a token, means over rounds that alternate; of the steps of functions. */
typedef struct sgi_function_bench {
  size_t units, rounds, tokens;
  double matrix, functions, features, values, outputs;
  size_t bytes_matrix, bytes_functions, read_matrix, read_functions; /* in all; of a token */
  double difference; /* largest, of a packed function to the expert it was made of, over the values' largest */
} sgi_function_bench;

sg_status sgi_function_bench_run(const sgi_function_bench_request *r, sgi_function_bench *out, sg_error *err);

#endif
