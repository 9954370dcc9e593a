/* texts.c: which text a result is of. Losses on another text do not compare, and nothing else would
 * show it: two copies of a study may lie on machines whose files of one name differ. So every
 * result keeps hashes of the tokens that it was trained on and judged by; results of older versions
 * have none, and are counted. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/base.h"
#include "study/study_state.h"

static const char *const keys[] = {"train_text", "held_out_text"};

const sgi_study_run *sgi_study_other_text(const sgi_study *s, const sgi_run_texts *t, const char **which) {
  for (size_t i = 0; i < s->count; i++) {
    const sgi_study_run *r = &s->runs[i];
    if (!r->told || (r->texts.train == t->train && r->texts.held_out == t->held_out)) continue;
    *which = r->texts.held_out != t->held_out ? "held-out" : "training";
    return r;
  }
  return NULL;
}

size_t sgi_study_untold(const sgi_study *s) {
  size_t n = 0;
  for (size_t i = 0; i < s->count; i++) n += s->runs[i].state != SGI_STUDY_WAITING && !s->runs[i].told;
  return n;
}

/* ---- in result.json -------------------------------------------------------------------------- */

void sgi_study_put_texts(const sgi_study_run *r, json_t *o) {
  const uint64_t hashes[] = {r->texts.train, r->texts.held_out};
  for (size_t i = 0; i < SGI_COUNT(keys) && r->told; i++)
    json_object_set_new(o, keys[i], json_sprintf("%016" PRIx64, hashes[i]));
}

static sg_status read_hash(const json_t *o, const char *path, const char *key, uint64_t *out, sg_error *err) {
  char text[24];
  sg_status st = sgi_json_string(o, path, key, text, sizeof text, err);
  if (st) return st;
  *out = strtoull(text, NULL, 16);
  return strlen(text) == 16 && strspn(text, "0123456789abcdef") == 16
             ? SG_OK
             : sgi_fail(err, SG_ERR_FORMAT, "%s: %s is \"%s\": expected 16 hexadecimal digits", path, key, text);
}

sg_status sgi_study_read_texts(const sgi_study *s, sgi_study_run *r, const json_t *o, const char *path, sg_error *err) {
  sgi_run_texts t;
  const char *which;
  r->told = false;
  if (!json_object_get(o, keys[0]) && !json_object_get(o, keys[1])) return SG_OK;
  sg_status st = read_hash(o, path, keys[0], &t.train, err);
  if (!st) st = read_hash(o, path, keys[1], &t.held_out, err);
  if (st) return st;
  const sgi_study_run *other = sgi_study_other_text(s, &t, &which);
  if (other)
    return sgi_fail(err, SG_ERR_FORMAT,
                    "%s: is of another %s text than the result of run %s: their losses do not compare; move one of the "
                    "two run directories away",
                    path, which, other->name);
  r->texts = t;
  r->told = true;
  return SG_OK;
}

/* ---- before there is a result ---------------------------------------------------------------- */

sg_status sgi_study_same_text(const sgi_study *s, const sgi_study *copy, const char *directory, sg_error *err) {
  const char *which;
  for (size_t i = 0; i < copy->count; i++) {
    const sgi_study_run *r = &copy->runs[i], *mine = r->told ? sgi_study_other_text(s, &r->texts, &which) : NULL;
    if (mine)
      return sgi_fail(err, SG_ERR_ARG,
                      "%s: its run %s is of another %s text than run %s of this study: losses would not compare, and "
                      "nothing is taken; all copies need the same files",
                      directory, r->name, which, mine->name);
  }
  return SG_OK;
}

sg_status sgi_study_own_text(const sgi_study *s, const sgi_run_texts *t, sg_error *err) {
  const char *which;
  const sgi_study_run *other = sgi_study_other_text(s, t, &which);
  if (!other) return SG_OK;
  return sgi_fail(
      err, SG_ERR_ARG,
      "%s: its %s text is another one than that of run %s, which has ended: losses would not compare; put the "
      "text back, or begin another study",
      s->data, which, other->name);
}
