/* The transcoders of tests/golden/comparison/transcoders.safetensors: three layers from 24 numbers
 * to 24, as tests of sparse MLPs and of circuits read them. */
#ifndef TESTS_SUPPORT_TRANSCODERS_H
#define TESTS_SUPPORT_TRANSCODERS_H

#include "compare/sparse_set.h"

extern const char *const golden_parts[SGI_SPARSE_PARTS]; /* their names in golden files */

/* features: of each layer. New: its `at` and `memory` by sgi_free. */
sgi_sparse_set golden_transcoders(size_t features);

#endif
