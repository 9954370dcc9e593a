#include "own_text.h"

#include <string.h>

#include "core/file.h"
#include "core/json.h"
#include "text/reader.h"
#include "text_form.h"

/* A directory that has the split means the split; else all its files. */
static sg_status take_split(const char *given, const char *split, char **out, sg_error *err) {
  sg_error e = {0};
  sg_status st = sgi_is_directory(given) ? sgi_find_split(given, split, out, &e) : SG_ERR_IO;
  if (st && st != SG_ERR_IO) return sgi_fail(err, st, "%s", e.text);
  if (st) *out = sgi_strdup(given);
  return *out ? SG_OK : sgi_fail_memory(err, strlen(given), "a path");
}

/* {"data": PATH, ...} of the run's config.json and the part that it holds out; NULL where args[0]
 * is no run. New reference. */
static sg_status run_of(const cli_call *c, json_t **run, double *held_out, sg_error *err) {
  char *path = sgi_path_join(c->args[0], "config.json");
  json_t *o = NULL;
  *run = NULL;
  *held_out = 0;
  if (!path) return sgi_fail_memory(err, strlen(c->args[0]), "a path");
  sg_status st = sgi_is_file(path) ? sgi_json_load(path, &o, err) : SG_OK;
  if (json_is_string(json_object_get(json_object_get(o, "run"), "data"))) {
    *run = json_incref(json_object_get(o, "run"));
    *held_out = json_number_value(json_object_get(json_object_get(o, "data"), "held_out"));
  }
  json_decref(o);
  sgi_free(path);
  return st;
}

/* Only a lack of memory is an error here: what is wrong with the run its reader tells. */
sg_status cli_text_own(const cli_call *c, bool *own, sg_error *err) {
  sg_error why = {0};
  json_t *run;
  double share;
  sg_status st = run_of(c, &run, &share, &why);
  *own = !st && run;
  json_decref(run);
  return st == SG_ERR_MEMORY ? sgi_fail(err, st, "%s", why.text) : SG_OK;
}

char *cli_text_directory(const cli_call *c) {
  json_t *run;
  double share;
  const char *data = run_of(c, &run, &share, NULL) ? NULL : json_string_value(json_object_get(run, "data"));
  char *out = data && sgi_is_directory(data) ? sgi_strdup(data) : NULL;
  json_decref(run);
  return out;
}

static sg_status take_own(const cli_call *c, const char *option, const json_t *run, double share, cli_text *out,
                          sg_error *err) {
  const char *data = json_string_value(json_object_get(run, "data"));
  bool file = sgi_is_file(data);
  if (file && share > 0 && share < 1) {
    out->held_out = share;
    out->path = sgi_strdup(data);
    if (!out->path) return sgi_fail_memory(err, strlen(data), "a path");
    cli_note("text: the last %.3g %% of %s, which the run held out", 100 * share, data);
    return SG_OK;
  }
  sg_error e = {0};
  if (!file && !sgi_find_split(data, "valid", &out->path, &e)) {
    cli_note("text: %s, the run's own", out->path);
    return SG_OK;
  }
  return sgi_fail(err, SG_ERR_ARG, "%s holds no text of its own back (%s%s): give one with --%s", c->args[0],
                  file ? data : e.text, file ? " is a single file, all of it trained on" : "", option);
}

sg_status cli_text_find(const cli_call *c, const char *option, const char *split, cli_text *out, sg_error *err) {
  const char *given = cli_string(c, option);
  json_t *run = NULL;
  double share;
  *out = (cli_text){0};
  if (given) return take_split(given, split, &out->path, err);
  sg_status st = run_of(c, &run, &share, err);
  if (!st && !run)
    st = sgi_fail(err, SG_ERR_ARG, "%s is no training run with a text of its own: give one with --%s", c->args[0],
                  option);
  if (!st) st = take_own(c, option, run, share, out, err);
  json_decref(run);
  return st;
}

sg_status cli_text_needs(const sg_tokenizer *tokenizer, const char *directory, sg_error *err) {
  return tokenizer ? SG_OK : sgi_fail(err, SG_ERR_ARG, "%s has no tokenizer.json, which reading text needs", directory);
}

void cli_text_free(cli_text *t) {
  sgi_free(t->path);
  *t = (cli_text){0};
}

static bool goes_on(void *unused, uint64_t done, uint64_t total) {
  (void)unused, (void)done, (void)total;
  return !cli_stop;
}

sg_status cli_text_open(const cli_text *t, const sgi_text_form *form, const sg_tokenizer *tok, int32_t eos,
                        sgi_progress progress, void *user, sgi_corpus **out, sg_error *err) {
  sg_status st = sgi_corpus_open(t->path, form, tok, eos, progress ? progress : goes_on, user, out, err);
  if (!st && t->held_out > 0) st = sgi_corpus_take_part(*out, SGI_HELD_OUT, t->held_out, err);
  if (st) return st;
  cli_text_notes(sgi_corpus_notes(*out));
  return sgi_corpus_documents(*out) ? SG_OK : sgi_fail(err, SG_ERR_FORMAT, "%s: holds no document", t->path);
}

sg_status cli_text_corpus(const cli_call *c, const char *split, const sg_tokenizer *tok, int32_t eos,
                          sgi_progress progress, void *user, cli_text *text, sgi_corpus **out, sg_error *err) {
  sgi_text_form form;
  json_t *own = NULL;
  sg_status st = cli_text_form(c, &form, &own, err);
  json_decref(own);
  if (!st) st = cli_text_find(c, "data", split, text, err);
  return st ? st : cli_text_open(text, &form, tok, eos, progress, user, out, err);
}
