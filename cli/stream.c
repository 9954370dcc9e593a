#include "stream.h"

sg_status cli_stream_show(sgi_stream *s, bool end, sg_error *err) {
  size_t to = sgi_stream_ready(s, end);
  if (to <= s->shown) return SG_OK;
  json_t *clean = sgi_report_text(s->text + s->shown, to - s->shown);
  if (!clean) return sgi_fail_memory(err, to - s->shown, "generated text");
  cli_put_text(json_string_value(clean), json_string_length(clean));
  fflush(stdout);
  json_decref(clean);
  s->shown = to;
  return SG_OK;
}
