/* facts.h: known facts as JSON: what the explorer answers of them. */
#ifndef SGI_REPORT_FACTS_H
#define SGI_REPORT_FACTS_H

#include "prompt.h"

/* Facts of a file that was read: sg_facts_load without the file; listed. */
sg_status sgi_facts_of(const json_t *file, const char *type, sg_facts **out, sg_error *err);
/* {"before", "after", "types", "type", "nouns": [{"noun", "answers", "single"}]}: single where noun
 * and first answer are tokens of p's tokenizer, as patched runs want them. type: that was asked
 * for; NULL: the first. *out is new. */
sg_status sgi_facts_report(const sgi_prompt *p, const json_t *file, const sg_facts *f, const char *type, json_t **out,
                           sg_error *err);

/* Facts of text files: nouns, and a largest set of them that share no adjective. */
typedef struct sgi_mine_request {
  const char *const *paths; /* files and directories */
  size_t n;
  const char *field; /* of .jsonl; NULL: text */
  bool blank_lines;
  size_t min_count;
  uint64_t effort;   /* bound of the search for the set; sg_facts_distinct */
  const char *truth; /* facts.json to compare with; NULL: none */
  void (*all_read)(void *user);
  void (*say)(void *user, const char *text);                  /* then: what was mended and passed over */
  bool (*read)(void *user, const char *path, uint64_t bytes); /* of that file; false ends it */
  void *user;
} sgi_mine_request;
typedef struct sgi_mined {
  sg_facts *facts; /* listed */
  size_t documents;
  size_t *distinct, n_distinct; /* nouns of the set, ascending */
  bool proven;
  bool compared;
  size_t pairs, true_pairs, known, found; /* mined, of them true; true facts, of them mined */
} sgi_mined;
/* sgi_mined_deinit in any case. */
sg_status sgi_mine(const sgi_mine_request *request, sgi_mined *out, sg_error *err);
void sgi_mined_deinit(sgi_mined *m);
/* What 'facts patch' reads; with what was found of them: documents, min_count, distinct, ...,
 * truth. New references. */
json_t *sgi_mined_facts(const sgi_mined *m);
json_t *sgi_mined_json(const sgi_mined *m, size_t min_count);

#endif
