/* worlds.h: the grammar of the built-in corpus, compiled from the JSON files of data/worlds
 * (format: docs/worlds.md), and the stories it makes. No English word stands in the C files: all of
 * them come from the data. */
#ifndef SGI_WORLDS_H
#define SGI_WORLDS_H

#include "core/base.h"
#include "core/embedded.h"
#include "core/json.h"
#include "core/rng.h"

enum {
  SGI_WORLDS_MIN = 2,
  SGI_WORLDS_MAX = 5000000,  /* stories of one corpus */
  SGI_WORLDS_MIN_WORDS = 60, /* of one story; others are drawn again */
  SGI_WORLDS_MAX_WORDS = 250,
  SGI_WORLDS_VALID_EVERY = 20,
  WORLDS_STEPS = 3,   /* columns in a path: hero.pet.sound and one found through a reference */
  WORLDS_VARS = 32,   /* variables, one bit each in a mask */
  WORLDS_TEXT = 8192, /* bytes of a story before it is given up as too long */
  WORLDS_LIST = 9,    /* entries of one enumeration */
  WORLDS_NONE = UINT32_MAX
};

/* A growing array of equal rows. */
typedef struct worlds_list {
  void *at;
  size_t n, cap, size;
} worlds_list;

/* The new, zeroed last row; NULL when memory is out. Moves the rows. */
void *sgi_worlds_add(worlds_list *l);
static inline void *worlds_row(const worlds_list *l, size_t i) { return (char *)l->at + i * l->size; }

typedef struct worlds_slice {
  const char *p; /* borrowed from a JSON string or the pool */
  uint32_t n;
} worlds_slice;

typedef enum worlds_column_kind { WORLDS_PLAIN, WORLDS_MULTI, WORLDS_TAGS, WORLDS_REF } worlds_column_kind;

typedef struct worlds_column {
  worlds_slice name, other; /* other: the class a reference points into */
  worlds_column_kind kind;
  const char *label;   /* category of its words, NULL for none */
  const char *pattern; /* for empty cells; '*' is the base word. NULL: empty cells are an error */
  const char *instead; /* of a pronoun that would point to somebody else; '*' is the name. NULL: no pronoun */
  uint32_t ref_class;
} worlds_column;

typedef struct worlds_class {
  const char *name, *file;
  const json_t *json;
  const char *as; /* how an entry is named when a pronoun would not do, "the *"; NULL: the base word */
  uint32_t first_column, n_columns, first_entry, n_entries;
} worlds_class;

typedef struct worlds_entry {
  uint32_t class_, first_cell; /* one cell per column */
} worlds_entry;

typedef struct worlds_cell {
  uint32_t first, n; /* strings; a reference: first is the entry */
} worlds_cell;

/* Entries of a class, or those of them that carry a tag. */
typedef struct worlds_subset {
  uint32_t class_, first, n; /* rows of picks */
  worlds_slice tag;
} worlds_subset;

typedef struct worlds_path {
  uint32_t n, columns[WORLDS_STEPS]; /* indexes inside the class of each step */
} worlds_path;

typedef enum worlds_node_kind { NODE_TEXT, NODE_VAR, NODE_DRAW, NODE_RULE, NODE_CHOICE, NODE_ARTICLE } worlds_node_kind;

typedef struct worlds_node {
  uint8_t kind, capital, article, low, high; /* low..high entries enumerated by NODE_DRAW */
  uint32_t what;                             /* variable, subset, rule or choice */
  uint32_t next;                             /* row + 1 of the next node, 0 at the end */
  worlds_path path;
  worlds_slice text;
} worlds_node;

typedef struct worlds_alternative {
  uint32_t weight, first_node, next; /* both row + 1 */
  uint32_t depth;                    /* rules to pass at least; WORLDS_NONE: it never ends */
} worlds_alternative;

typedef struct worlds_choice {
  uint32_t first, total; /* alternative, row + 1; sum of the weights */
} worlds_choice;

typedef struct worlds_rule {
  const char *name, *file;
  const json_t *json;
  uint32_t choice, uses, reached; /* uses: mask of variables, those of the rules inside included once checked */
} worlds_rule;

typedef struct worlds_edge {
  uint32_t from, to; /* rules */
} worlds_edge;

typedef struct worlds_variable {
  const char *name;
  uint32_t class_;
  uint32_t pronoun; /* column that refers to its pronouns; WORLDS_NONE: no person */
} worlds_variable;

typedef struct worlds_bind {
  uint32_t variable, subset; /* subset WORLDS_NONE: the entry at path of the variable source */
  uint32_t source;
  worlds_path path;
} worlds_bind;

typedef struct worlds_plot {
  const char *name;
  uint32_t topic, weight, first_bind, n_binds, first_slot, n_slots; /* slots: choices */
  uint32_t uses, bound, first_edge, n_edges; /* variables named and set; rules named by its slots */
} worlds_plot;

typedef struct worlds_topic {
  const char *name, *file;
  const json_t *json;
  uint32_t weight, first_plot, n_plots, plot_weight;
} worlds_topic;

/* One true sentence that holds in every story of every corpus. */
typedef struct worlds_fact {
  const char *type, *key; /* key: name of the list of all true answers, e.g. "adjectives" */
  uint32_t entry;         /* its noun */
  worlds_cell answers;
  uint32_t answer; /* which of answers */
  char *sentence;  /* new, freed with the grammar */
  size_t prompt;   /* bytes of sentence before the answer, without the space */
} worlds_fact;

typedef struct sgi_worlds {
  worlds_list roots, pool; /* json_t *, char *: what slices are borrowed from */
  worlds_list columns, classes, entries, cells, strings, subsets, picks;
  worlds_list nodes, alternatives, choices, rules, edges, variables;
  worlds_list topics, plots, binds, slots;
  worlds_list facts, fact_slots; /* fact_slots: uint32_t, open addressing, fact + 1 */
  const char *comma, *and_;      /* between the entries of an enumeration */
  const char *article, *tail;    /* "a", and the "n" that follows it before a vowel */
  const char *vowels;
  const json_t *with, *without; /* words that take the tail, or not, against their first letter */
  uint32_t max_depth, topic_weight, hero;
} sgi_worlds;

/* Compiles and checks the grammar that worlds.json among files lists. A mistake is SG_ERR_FORMAT
 * and names file and rule. New: sgi_worlds_free. */
sg_status sgi_worlds_load(const sgi_embedded_file *files, sgi_worlds **out, sg_error *err);
void sgi_worlds_free(sgi_worlds *g);

/* Parts of loading, one file each. where is put into messages. */
sg_status sgi_worlds_classes(sgi_worlds *g, sg_error *err);
uint32_t sgi_worlds_find_variable(const sgi_worlds *g, worlds_slice name);
uint32_t sgi_worlds_find_class(const sgi_worlds *g, worlds_slice name);
sg_status sgi_worlds_subset(sgi_worlds *g, const char *where, uint32_t class_, worlds_slice tag, uint32_t *out,
                            sg_error *err);
/* dotted: "pet.sound" or "" for the base word. *last is the class that the path ends in when it
 * ends in a reference. */
sg_status sgi_worlds_path(sgi_worlds *g, const char *where, uint32_t class_, worlds_slice dotted, worlds_path *out,
                          uint32_t *last, sg_error *err);
/* Compiles a string or an array of strings; adds its variables to *uses and its rules as edges from
 * `rule`. */
sg_status sgi_worlds_choice(sgi_worlds *g, const char *where, const json_t *text, uint32_t rule, uint32_t *uses,
                            uint32_t *out, sg_error *err);
sg_status sgi_worlds_check(sgi_worlds *g, sg_error *err);
sg_status sgi_worlds_facts(sgi_worlds *g, const json_t *index, sg_error *err);
worlds_slice worlds_slice_of(const char *text);
bool worlds_same(worlds_slice a, worlds_slice b);

/* One generator's state. */
typedef struct sgi_story {
  const sgi_worlds *g;
  sgi_rng rng;
  uint32_t vars[WORLDS_VARS];         /* entries */
  uint32_t *stamps, stamp;            /* (n_entries): entries used in this story carry its stamp */
  uint32_t *used, n_used;             /* the same for alternatives, the first n_used of them */
  uint32_t named[WORLDS_VARS], clock; /* when a person was last named in this story, 0: not yet */
  uint32_t forced;                    /* WORLDS_NONE, or which of several values a path gives */
  uint32_t topic, plot;
  bool full, capital, sentence_end;
  size_t n, words;
  char text[WORLDS_TEXT]; /* n bytes and a NUL */
} sgi_story;

/* *out is new: sgi_story_free. */
sg_status sgi_story_create(const sgi_worlds *g, sgi_story **out, sg_error *err);
void sgi_story_free(sgi_story *s);
/* Draws a story from s->rng, which the caller sets. False if it does not have
 * SGI_WORLDS_MIN_WORDS..MAX words or says a sentence twice. */
bool sgi_story_draw(sgi_story *s);
/* Expands one choice with vars as they are set (facts). */
void sgi_story_expand(sgi_story *s, uint32_t choice);
worlds_slice worlds_word(const sgi_worlds *g, uint32_t entry);

/* The next sentence from *at on, from its capital letter to its mark, which *at is put behind; n is
 * 0 after the last one. What begins in the middle of another (said Tom.) is none. */
worlds_slice sgi_worlds_sentence(const char *text, size_t n, size_t *at);
/* Adds 1 to counts[f] for each fact whose sentence stands in text. */
void sgi_worlds_count_facts(const sgi_worlds *g, const char *text, size_t n, uint32_t *counts);
/* New references; NULL when memory is out. */
json_t *sgi_worlds_labels_json(const sgi_worlds *g);
json_t *sgi_worlds_facts_json(const sgi_worlds *g, const uint32_t *counts);

/* ---- the corpus ------------------------------------------------------------------------------ */

typedef struct sgi_worlds_summary {
  size_t stories, words, distinct_words, topics, facts;
} sgi_worlds_summary;

typedef struct sgi_worlds_watch {
  void (*progress)(void *user, size_t done, size_t total);
  bool (*stop)(void *user);
  void *user;
} sgi_worlds_watch;

/* sg_worlds_write that can be watched and stopped (SG_ERR_CANCELLED), with what corpus.json says.
 * Both may be NULL. */
sg_status sgi_worlds_write(const char *directory, size_t n_stories, uint64_t seed, const sgi_worlds_watch *watch,
                           sgi_worlds_summary *summary, sg_error *err);
extern const char
    *const sgi_worlds_files[]; /* names of the files written, NULL at the end; corpus.json is written last */
/* is there while a corpus is being written, with what corpus.json will say of seed and stories */
extern const char sgi_worlds_part[];

#endif
