/* predict.h: predictions side by side. */
#ifndef SGATLIN_CLI_PREDICT_H
#define SGATLIN_CLI_PREDICT_H

#include "predict.h"
#include "prompt.h"
#include "report/continuation.h"

/* The n most probable before and after, side by side; labels and others: further columns (n_after
 * of them). */
void cli_print_predictions(const sgi_prompt *prompt, const sgi_prediction *before, const sgi_prediction *after,
                           const char *const *labels, size_t n_after, size_t n);

#endif
