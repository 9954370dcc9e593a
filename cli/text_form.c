#include "text_form.h"

sg_status cli_text_form(const cli_call *c, sg_text_form *form, json_t **own, sg_error *err) {
  return sgi_text_form_of(c->args[0], cli_string(c, "split"), cli_string(c, "field"), form, own, err);
}
