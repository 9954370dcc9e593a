/* recorded.h: a recording of given token rows in a temporary directory, for tests of what reads
 * one. */
#ifndef TEST_RECORDED_H
#define TEST_RECORDED_H

#include "read/record.h"
#include "support/golden.h"

typedef struct recorded_rows {
  const int32_t *ids; /* (n,T) */
  size_t n, T;
} recorded_rows;

/* A request for the rows with test defaults (all layers, F32 values, index). rows is borrowed as
 * long as the request. */
sgi_record_request recorded_request(const sg_model *m, const recorded_rows *rows);
/* Records into directory and opens it; fails the test where that fails. */
sgi_recording *recorded_open(const sgi_record_request *q, const char *directory);

/* A recording without a model: random circuits written straight into shards' form and indexed. C
 * channels of K out of F. Scores are small multiples of 1/4, so that ties are common. */
sgi_recording *recorded_random(const char *directory, size_t documents, size_t length, size_t C, size_t K, size_t F,
                               uint64_t seed);

#endif
