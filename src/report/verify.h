/* verify.h: whether what lies on disk is what was written, and this machine computes as it should:
 * what `verify` does with a list of paths. */
#ifndef SGI_REPORT_VERIFY_H
#define SGI_REPORT_VERIFY_H

#include "core/json.h"

typedef struct sgi_verify_request {
  const char *const *paths; /* each a model, run, recording, cache, ...: what it is, is seen from what lies there */
  size_t n;
  bool machine; /* also kernels and products against plain loops */
  /* Reads a JSON file that is none of the library's own: a graph. */
  sg_status (*graph)(void *user, const char *path, sg_error *err);
  /* One thing was looked at: SG_OK and what was found, or what is wrong. */
  void (*found)(void *user, const char *path, const char *what, sg_status status, const char *text);
  bool (*go_on)(void *user); /* false ends it with SG_ERR_CANCELLED */
  void *user;
} sgi_verify_request;

typedef struct sgi_verified {
  size_t looked, wrong;
  sg_status first; /* failure; SG_OK: all is well */
} sgi_verified;

/* What is wrong is told and counted; a path that is nothing of all that, a lack of memory and the
 * end by go_on are errors. */
sg_status sgi_verify_paths(const sgi_verify_request *request, sgi_verified *out, sg_error *err);

/* {path, check, ok, text}: one thing that was looked at. New reference. */
json_t *sgi_verified_json(const char *path, const char *what, sg_status status, const char *text);

#endif
