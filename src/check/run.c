/* run.c: a run directory: settings, tokenizer, metrics, every checkpoint and the pointers to
 * them. */
#include <stdio.h>
#include <string.h>

#include "check/inside.h"
#include "core/arena.h"
#include "core/bundle.h"
#include "core/json.h"
#include "train/checkpoint.h"
#include "train/settings.h"

enum { METRICS = 1 << 30 };

static sg_status check_settings(sgi_checks *c, const char *path, sg_error *err) {
  json_t *o = NULL;
  sgi_assignments a = {0};
  sgi_settings s;
  sg_error why = {0};
  sg_status st = sgi_json_load(path, &o, &why);
  if (!st) json_object_del(o, "run");
  if (!st) st = sgi_assign_json(&a, o, path, &why);
  if (!st) st = sgi_settings_resolve(&a, &s, &why);
  sgi_assignments_free(&a);
  json_decref(o);
  if (st == SG_ERR_ARG) why.code = st = SG_ERR_FORMAT; /* what a file says is no mistake of the command line */
  if (!st) sgi_checks_say(c, path, "settings", SG_OK, "a %s of %zu layers", s.model.feedforward, s.model.num_layers);
  return sgi_check_took(c, path, "settings", st, &why, err);
}

/* One JSON object a line; a line that a power cut tore is the last one and is cut off by resume. */
static sg_status check_metrics(sgi_checks *c, const char *path, sg_error *err) {
  char *text = NULL;
  size_t n = 0, lines = 0;
  sg_error why = {0};
  sg_status st = sgi_read_file(path, METRICS, &text, &n, &why);
  for (size_t at = 0, end; !st && at < n; at = end + 1) {
    const char *newline = memchr(text + at, '\n', n - at);
    char where[480];
    json_t *o = NULL;
    end = newline ? (size_t)(newline - text) : n;
    snprintf(where, sizeof where, "%.440s, line %zu", path, ++lines);
    if (newline) st = sgi_json_parse(text + at, end - at, where, &o, &why);
    json_decref(o);
  }
  sgi_free(text);
  if (!st) sgi_checks_say(c, path, "metrics", SG_OK, "%zu lines", lines);
  return sgi_check_took(c, path, "metrics", st, &why, err);
}

/* "latest" and "best" name a checkpoint that is there. */
static sg_status check_pointer(sgi_checks *c, const char *parent, const char *name, sg_error *err) {
  char *path = sgi_path_join(parent, name), *text = NULL, *target = NULL;
  size_t n = 0;
  sg_error why = {0};
  sg_status st = path ? SG_OK : sgi_fail_memory(&why, strlen(parent), "a path");
  if (!st && !sgi_is_file(path)) {
    sgi_free(path);
    return SG_OK;
  }
  if (!st) st = sgi_read_file(path, 256, &text, &n, &why);
  if (!st) text[strcspn(text, "\r\n")] = '\0';
  if (!st && !(target = sgi_path_join(parent, text))) st = sgi_fail_memory(&why, n, "a path");
  if (!st && (strncmp(text, SGI_CHECKPOINT_PREFIX, strlen(SGI_CHECKPOINT_PREFIX)) || strchr(text, '/') ||
              !sgi_is_directory(target)))
    st = sgi_fail(&why, SG_ERR_FORMAT, "%s: names \"%.60s\", which is no checkpoint here", path, text);
  if (!st) sgi_checks_say(c, path, "pointer", SG_OK, "%s", text);
  st = sgi_check_took(c, path, "pointer", st, &why, err);
  sgi_free(path);
  sgi_free(text);
  sgi_free(target);
  return st;
}

typedef struct each {
  sgi_checks *c;
  const char *parent;
  size_t n;
} each;

static sg_status checkpoint(void *user, const char *name, sg_error *err) {
  each *e = user;
  char *path = sgi_path_join(e->parent, name);
  if (!path) return sgi_fail_memory(err, strlen(name), "a path");
  e->n++;
  sg_status st = sgi_check_model(e->c, path, err);
  sgi_free(path);
  if (!st && e->c->go_on && !e->c->go_on(e->c->user)) st = sgi_fail(err, SG_ERR_CANCELLED, "stopped");
  return st;
}

sg_status sgi_check_run(sgi_checks *c, const char *directory, sg_error *err) {
  static const char *const names[] = {"config.json", "tokenizer.json", "metrics.jsonl", "checkpoints"};
  enum { CONFIG, TOKENIZER, METRICS_FILE, CHECKPOINTS, N };
  char *path[N] = {0};
  sg_status st = SG_OK;
  for (size_t i = 0; i < N && !st; i++)
    if (!(path[i] = sgi_path_join(directory, names[i]))) st = sgi_fail_memory(err, strlen(directory), "a path");
  if (!st) st = check_settings(c, path[CONFIG], err);
  if (!st) st = sgi_check_tokenizer(c, path[TOKENIZER], err);
  if (!st && sgi_is_file(path[METRICS_FILE])) st = check_metrics(c, path[METRICS_FILE], err);
  each e = {.c = c, .parent = path[CHECKPOINTS]};
  if (!st) st = sgi_bundle_each(path[CHECKPOINTS], SGI_CHECKPOINT_PREFIX, checkpoint, &e, err);
  if (!st && !e.n) sgi_checks_say(c, path[CHECKPOINTS], "checkpoints", SG_OK, "none yet");
  if (!st) st = check_pointer(c, path[CHECKPOINTS], "latest", err);
  if (!st) st = check_pointer(c, path[CHECKPOINTS], "best", err);
  if (!st) st = sgi_check_names_beside(c, directory, NULL, err); /* of whichever checkpoint was labelled */
  for (size_t i = 0; i < N; i++) sgi_free(path[i]);
  return st;
}
