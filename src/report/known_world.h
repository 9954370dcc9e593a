/* known_world.h: what the corpus worlds knows of itself, for the page: categories of words, topics
 * of stories, facts. */
#ifndef SGI_REPORT_KNOWN_WORLD_H
#define SGI_REPORT_KNOWN_WORLD_H

#include "recorded.h"

typedef struct sgi_known_world {
  json_t *labels;    /* word -> list of categories; NULL: none */
  json_t *topics;    /* name -> number */
  int32_t *topic_of; /* (n_stories) of the recorded split, -1 where none is told; NULL where nothing is known */
  size_t n_stories;
  char split[SG_NAME]; /* the recorded text's name up to its first dot: train of train.txt; "" without recording */
} sgi_known_world;

/* labels.json and topics.jsonl ({"split", "story", "topic"} a line: the topic of the story-th
 * document of SPLIT.txt) of a directory such as `data worlds` writes; recording may be NULL.
 * sgi_known_world_deinit in any case. */
sg_status sgi_known_world_load(sgi_known_world *w, const char *directory, const sgi_record_reader *recording,
                               sg_error *err);
void sgi_known_world_deinit(sgi_known_world *w);
/* The one category of a word, blanks around it left out, as it stands or with a small first letter;
 * NULL where there is none or several. Borrowed. */
const char *sgi_known_world_category(const sgi_known_world *w, const char *word);

#endif
