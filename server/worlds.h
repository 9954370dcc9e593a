/* worlds.h: what the corpus worlds knows of itself, for the page: categories of words, topics of
 * stories, facts. */
#ifndef SGS_WORLDS_H
#define SGS_WORLDS_H

#include "report/recorded.h"

typedef struct worlds {
  json_t *labels;    /* word -> list of categories; NULL: none */
  json_t *topics;    /* name -> number */
  int32_t *topic_of; /* (n_stories) of the recorded split, -1 where none is told; NULL where nothing is known */
  size_t n_stories;
  char split[SG_NAME]; /* the recorded text's name up to its first dot: train of train.txt; "" without recording */
} worlds;

/* labels.json and topics.jsonl ({"split", "story", "topic"} a line: the topic of the story-th
 * document of SPLIT.txt) of a directory such as `data worlds` writes; recording may be NULL.
 * worlds_deinit in any case. */
sg_status worlds_load(worlds *w, const char *directory, const sgi_record_reader *recording, sg_error *err);
void worlds_deinit(worlds *w);
/* The one category of a word, blanks around it left out, as it stands or with a small first letter;
 * NULL where there is none or several. Borrowed. */
const char *worlds_category(const worlds *w, const char *word);

#endif
