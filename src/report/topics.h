/* topics.h: do the pools that metarouters choose go with what a text is about? As JSON. */
#ifndef SGI_REPORT_TOPICS_H
#define SGI_REPORT_TOPICS_H

#include "core/base.h"
#include "core/json.h"

typedef struct sgi_topics_request {
  const char *path;         /* text: a file, or a directory all of whose files are meant */
  const sg_text_form *form; /* how it is read */
  /* What a document's topic is: "topic", what topics.jsonl beside a .txt says (docs/worlds.md);
   * "file", the name of its file; else a string field of its line in a .jsonl, by its name or a way
   * through objects ("meta.redpajama_set_name"). NULL: topic where there is a topics.jsonl, else
   * source. */
  const char *by;
  size_t documents; /* of each file, at most; 0: all */
  size_t seq_len;   /* documents are cut here */
  size_t permutations;
  uint64_t seed;
  bool (*progress)(void *user, size_t done, size_t wanted); /* false cancels; NULL allowed */
  void *user;
} sgi_topics_request;

/* {by, documents, without_topic, tokens, permutations, topics: [name], topic_documents: [n], gates:
 * [{layer, layers, choice, pools, tokens, documents: {mi, null, topic_entropy, separation, p,
 * purity, counts: [[n by pool] by topic]}}]} (docs/method-reading.md, topics). SG_ERR_UNSUPPORTED
 * where no layer has a metarouter. */
sg_status sgi_topics_json(const sg_model *model, const sg_tokenizer *tokenizer, const sgi_topics_request *r,
                          json_t **out, sg_error *err);

#endif
