/* topics.h: topics.jsonl of a corpus: lines {"split": S, "story": N, "topic": T}
 * (docs/worlds.md). */
#ifndef SGI_TOPICS_H
#define SGI_TOPICS_H

#include "core/json.h"

/* topic_of (n): the number of each story's topic in that split, -1 where the file has none. names:
 * an object, filled: topic to number, in the order met. Stories from n on are passed over. */
sg_status sgi_topics_load(const char *directory, const char *split, size_t n, int32_t *topic_of, json_t *names,
                          sg_error *err);

#endif
