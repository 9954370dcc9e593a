/* worlds.h: the built-in corpus written into a directory. */
#ifndef SGI_REPORT_WORLDS_H
#define SGI_REPORT_WORLDS_H

#include "core/json.h"

enum { SGI_STORIES_MIN = 2, SGI_STORIES_MAX = 5000000 };

typedef struct sgi_worlds_request {
  const char *directory;
  size_t stories;
  uint64_t seed;
  bool force; /* also where the directory holds something that writing would lose */
  void (*progress)(void *user, size_t done, size_t total);
  bool (*stop)(void *user);
  void *user;
} sgi_worlds_request;

/* SG_ERR_IO where writing would lose something: the directory is neither new nor empty nor holds
 * the same corpus. */
sg_status sgi_worlds_check_directory(const sgi_worlds_request *request, sg_error *err);
/* {stories, seed, words, distinct_words, topics, facts, files: {NAME: path}} of what was written.
 * New reference. */
sg_status sgi_worlds_run(const sgi_worlds_request *request, json_t **out, sg_error *err);

#endif
