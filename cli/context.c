#include "context.h"

void cli_context_warn(const sg_config *config, size_t T) {
  char text[SGI_CONTEXT_TEXT];
  if (sgi_context_text(config, T, text)) cli_result_warning("%s", text);
}

sg_status cli_context_check(const cli_call *c, const sg_config *config, size_t T, sg_error *err) {
  if (T <= config->max_position) return SG_OK;
  if (!cli_flag(c, "beyond-context"))
    return sgi_context_fail(config, T, "use fewer, or ask for it with --beyond-context", err);
  cli_context_warn(config, T);
  return SG_OK;
}
