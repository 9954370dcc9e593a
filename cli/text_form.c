#include "text_form.h"

#include <string.h>

#include "core/file.h"
#include "core/json.h"

static sg_status run_settings(const char *run, char **path, json_t **own, sg_error *err) {
  *own = NULL;
  if (!(*path = sgi_path_join(run, "config.json"))) return sgi_fail_memory(err, 0, "a path");
  json_t *o = NULL;
  sg_status st = sgi_is_file(*path) ? sgi_json_load(*path, &o, err) : SG_OK;
  if (json_object_get(o, "run")) *own = json_incref(json_object_get(o, "data"));
  json_decref(o);
  return st;
}

/* A run that does not say how lines end was begun before CRLF was read as LF. */
static bool as_is(const json_t *own) {
  const char *text = json_string_value(json_object_get(own, "line_ends"));
  return !text || !strcmp(text, "as-is");
}

static void say(void *unused, const char *text) {
  (void)unused;
  cli_note("%s", text);
}

void cli_text_notes(const sgi_text_notes *notes) { sgi_text_notes_say(notes, say, NULL); }

sg_status cli_text_form(const cli_call *c, sgi_text_form *form, json_t **own, sg_error *err) {
  const char *split = cli_string(c, "split"), *field = cli_string(c, "field");
  char *path, text[64];
  *form = (sgi_text_form){.blank_lines = split && !strcmp(split, "blank-lines")};
  sg_status st = run_settings(c->args[0], &path, own, err);
  if (!st && *own && !split && !(st = sgi_json_string(*own, path, "split", text, sizeof text, err)))
    form->blank_lines = !strcmp(text, "blank-lines");
  if (!st && *own) form->keep_cr = as_is(*own);
  if (!st && *own && !field) st = sgi_json_string(*own, path, "field", form->field, sizeof form->field, err);
  if (!st && field && strlen(field) >= sizeof form->field)
    st = sgi_fail(err, SG_ERR_ARG, "--field: at most %zu bytes", sizeof form->field - 1);
  if (!st && field) memcpy(form->field, field, strlen(field) + 1);
  sgi_free(path);
  return st;
}
