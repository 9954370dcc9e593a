#include "context.h"

#include <stdio.h>

sg_status sgi_context_fail(const sg_config *config, size_t T, const char *hint, sg_error *err) {
  return sgi_fail(
      err, SG_ERR_ARG,
      "%zu tokens at a time, but the model was made for %zu (max_position): nothing beyond them was trained; %s", T,
      config->max_position, hint);
}

bool sgi_context_text(const sg_config *config, size_t T, char text[SGI_CONTEXT_TEXT]) {
  snprintf(text, SGI_CONTEXT_TEXT,
           "%zu tokens are read at a time, but the model was made for %zu: what it does beyond them was never trained",
           T, config->max_position);
  return T > config->max_position;
}
