#include "text_form.h"

#include <string.h>

#include "core/json.h"

sg_status cli_text_form(const cli_call *c, sg_text_form *form, json_t **own, sg_error *err) {
  return sgi_text_form_of(c->args[0], cli_string(c, "split"), cli_string(c, "field"), form, own, err);
}

sg_status cli_text_form_packs(const cli_call *c, sg_text_form *form, bool *packs, sg_error *err) {
  char text[64];
  json_t *own;
  sg_status st = cli_text_form(c, form, &own, err);
  if (!st && own && !(st = sgi_json_string(own, "config.json: data", "rows", text, sizeof text, err)))
    *packs = !strcmp(text, "pack");
  json_decref(own);
  return st;
}
