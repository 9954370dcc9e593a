/* Writes the corpus worlds: distinct stories in two files, and the ground truth beside them. */
#include "text/worlds.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#include "core/arena.h"
#include "core/file.h"

enum { TRIES = 2000, CHUNK = 1 << 16, WATCH_EVERY = 512, WORD = 64, MAX_DISTINCT = 1 << 15 };

enum { TRAIN, VALID, TOPICS, N_STREAMS, LABELS = N_STREAMS, FACTS, CORPUS, N_FILES }; /* streams grow story by story */
const char *const sgi_worlds_files[] = {"train.txt",   "valid.txt", "topics.jsonl", "labels.json", "facts.json",
                                        "corpus.json", NULL};
const char sgi_worlds_part[] = "corpus.part.json";

typedef struct output {
  char *path;
  sgi_writer *writer;
  bool closed;
  size_t n;
  char *chunk; /* CHUNK bytes: one write for many stories */
} output;

/* A set of hashes, open addressing, 0 empty. */
typedef struct hashes {
  uint64_t *at;
  size_t mask, n;
} hashes;

typedef struct corpus {
  sgi_worlds *grammar;
  sgi_story *story;
  hashes stories, words; /* so far; words in small letters */
  size_t n_words;
  uint32_t *fact_counts;
  output out[N_FILES];
} corpus;

static sg_status flush(output *o, sg_error *err) {
  sg_status st = o->n ? sgi_writer_write(o->writer, o->chunk, o->n, err) : SG_OK;
  o->n = 0;
  return st;
}

static sg_status append(output *o, const char *p, size_t n, sg_error *err) {
  while (n) {
    size_t part = n < CHUNK - o->n ? n : CHUNK - o->n;
    memcpy(o->chunk + o->n, p, part);
    o->n += part;
    p += part;
    n -= part;
    if (o->n < CHUNK) continue;
    sg_status st = flush(o, err);
    if (st) return st;
  }
  return SG_OK;
}

/* An empty set for up to n hashes. */
static sg_status make_set(hashes *set, size_t n, const char *what, sg_error *err) {
  size_t slots = 64;
  while (slots < 2 * n) slots *= 2;
  set->mask = slots - 1;
  set->at = sgi_alloc(slots * sizeof *set->at);
  return set->at ? SG_OK : sgi_fail_memory(err, slots * sizeof *set->at, what);
}

/* False if it was there before. */
static bool insert(hashes *set, uint64_t h) {
  if (!h) h = 1;
  for (size_t i = h & set->mask;; i = (i + 1) & set->mask) {
    if (set->at[i] == h) return false;
    if (set->at[i]) continue;
    set->at[i] = h;
    set->n++;
    return true;
  }
}

/* The words of a text are its runs of letters; those beyond what the set holds are not counted as
 * distinct. */
static void count_words(corpus *c, const char *text, size_t n) {
  char word[WORD];
  size_t size = 0;
  for (size_t i = 0; i <= n; i++) {
    char small = i < n && text[i] >= 'A' && text[i] <= 'Z' ? (char)(text[i] - 'A' + 'a') : text[i];
    if (i < n && small >= 'a' && small <= 'z') {
      if (size < sizeof word) word[size++] = small;
    } else if (size) {
      c->n_words++;
      if (c->words.n <= c->words.mask / 2) insert(&c->words, XXH3_64bits(word, size));
      size = 0;
    }
  }
}

static sg_status write_topic(corpus *c, size_t file, size_t index, sg_error *err) {
  const sgi_story *s = c->story;
  const worlds_topic *t = worlds_row(&c->grammar->topics, s->topic);
  const worlds_plot *p = worlds_row(&c->grammar->plots, s->plot);
  worlds_slice hero = worlds_word(c->grammar, s->vars[c->grammar->hero]);
  json_t *line = json_pack("{ss sI ss ss ss%}", "split", file == TRAIN ? "train" : "valid", "story", (json_int_t)index,
                           "topic", t->name, "plot", p->name, "character", hero.p, (size_t)hero.n);
  char *text = line ? sgi_json_text(line) : NULL;
  sg_status st = text ? append(&c->out[TOPICS], text, strlen(text), err) : sgi_fail_memory(err, 128, "topics.jsonl");
  if (!st) st = append(&c->out[TOPICS], "\n", 1, err);
  sgi_free(text);
  json_decref(line);
  return st;
}

static sg_status write_stories(corpus *c, size_t n, uint64_t seed, const sgi_worlds_watch *watch, sg_error *err) {
  static const char end[] = "\n<|endoftext|>\n";
  size_t written[2] = {0};
  for (size_t i = 0; i < n; i++) {
    if (watch && i % WATCH_EVERY == 0) {
      if (watch->progress) watch->progress(watch->user, i, n);
      if (watch->stop && watch->stop(watch->user)) return sgi_fail(err, SG_ERR_CANCELLED, "worlds: cancelled");
    }
    /* Every story has its own stream, so that a longer corpus begins with the stories of a shorter
     * one. */
    c->story->rng = sgi_rng_make(seed, SGI_STREAM_WORLDS, i);
    int tries = 0;
    while (!sgi_story_draw(c->story) || !insert(&c->stories, XXH3_64bits(c->story->text, c->story->n)))
      if (++tries == TRIES)
        return sgi_fail(err, SG_ERR_ARG,
                        "worlds: story %zu of %zu: %d draws gave none that is new; ask for fewer stories", i + 1, n,
                        TRIES);
    size_t file = i % SGI_WORLDS_VALID_EVERY == SGI_WORLDS_VALID_EVERY - 1 || (n < SGI_WORLDS_VALID_EVERY && i + 1 == n)
                      ? VALID
                      : TRAIN;
    if (file == TRAIN) sgi_worlds_count_facts(c->grammar, c->story->text, c->story->n, c->fact_counts);
    count_words(c, c->story->text, c->story->n);
    sg_status st = append(&c->out[file], c->story->text, c->story->n, err);
    if (!st) st = append(&c->out[file], end, sizeof end - 1, err);
    if (!st) st = write_topic(c, file, written[file]++, err);
    if (st) return st;
  }
  return SG_OK;
}

/* Takes value. */
static sg_status write_json(output *o, json_t *value, sg_error *err) {
  sg_status st = value ? sgi_json_save(o->path, value, err) : sgi_fail_memory(err, 1, o->path);
  o->closed = !st;
  json_decref(value);
  return st;
}

static sg_status open_all(corpus *c, const char *directory, sg_error *err) {
  for (size_t i = 0; i < N_FILES; i++) {
    output *o = &c->out[i];
    o->path = sgi_path_join(directory, sgi_worlds_files[i]);
    if (!o->path) return sgi_fail_memory(err, strlen(directory), sgi_worlds_files[i]);
    if (i >= N_STREAMS) continue;
    o->chunk = sgi_alloc(CHUNK);
    if (!o->chunk) return sgi_fail_memory(err, CHUNK, sgi_worlds_files[i]);
    sg_status st = sgi_writer_open(o->path, &o->writer, err);
    if (st) return st;
  }
  return SG_OK;
}

/* corpus.json describes a complete corpus: an old one goes before the first file is replaced. */
static sg_status close_all(corpus *c, sg_error *err) {
  sg_status gone = sgi_remove_tree(c->out[CORPUS].path, err);
  if (gone) return gone;
  for (size_t i = 0; i < N_STREAMS; i++) {
    output *o = &c->out[i];
    sg_status st = flush(o, err);
    if (st) return st;
    sgi_writer *w = o->writer;
    o->writer = NULL;
    if ((st = sgi_writer_close(w, err))) return st;
    o->closed = true;
  }
  return SG_OK;
}

static json_t *summary_json(const corpus *c, size_t n, uint64_t seed) {
  char text[24]; /* a number of JSON would lose digits of it elsewhere */
  snprintf(text, sizeof text, "%" PRIu64, seed);
  return json_pack("{ss ss sI sI sI sI sI}", "corpus", "worlds", "seed", text, "stories", (json_int_t)n, "words",
                   (json_int_t)c->n_words, "distinct_words", (json_int_t)c->words.n, "topics",
                   (json_int_t)c->grammar->topics.n, "facts", (json_int_t)c->grammar->facts.n);
}

/* Until corpus.json is there a file of its own says whose the others are, so that the same command
 * may go on after a kill. */
static sg_status write_part(const char *directory, const json_t *what, sg_error *err) {
  char *path = sgi_path_join(directory, sgi_worlds_part);
  sg_status st =
      path && what ? sgi_json_save(path, what, err) : sgi_fail_memory(err, strlen(directory), sgi_worlds_part);
  sgi_free(path);
  return st;
}

static void remove_part(const char *directory) {
  char *path = sgi_path_join(directory, sgi_worlds_part);
  if (path) sgi_remove_tree(path, NULL);
  sgi_free(path);
}

static sg_status write_corpus(corpus *c, const char *directory, size_t n, uint64_t seed, const sgi_worlds_watch *watch,
                              sg_error *err) {
  sg_status st = sgi_worlds_load(sgi_embedded_files, &c->grammar, err);
  if (!st) st = sgi_story_create(c->grammar, &c->story, err);
  if (!st) st = make_set(&c->stories, n, "the hashes of all stories", err);
  if (!st) st = make_set(&c->words, MAX_DISTINCT, "the hashes of all words", err);
  if (st) return st;
  c->fact_counts = sgi_alloc(c->grammar->facts.n * sizeof *c->fact_counts);
  if (!c->fact_counts) return sgi_fail_memory(err, c->grammar->facts.n * sizeof *c->fact_counts, "facts of worlds");
  json_t *what = summary_json(c, n, seed);
  st = write_part(directory, what, err);
  json_decref(what);
  if (!st) st = open_all(c, directory, err);
  if (!st) st = write_stories(c, n, seed, watch, err);
  if (!st) st = close_all(c, err);
  if (!st) st = write_json(&c->out[LABELS], sgi_worlds_labels_json(c->grammar), err);
  if (!st) st = write_json(&c->out[FACTS], sgi_worlds_facts_json(c->grammar, c->fact_counts), err);
  if (!st) st = write_json(&c->out[CORPUS], summary_json(c, n, seed), err);
  return st;
}

sg_status sg_worlds_write(const char *directory, size_t n_stories, uint64_t seed, sg_error *err) {
  return sgi_worlds_write(directory, n_stories, seed, NULL, NULL, err);
}

sg_status sgi_worlds_write(const char *directory, size_t n_stories, uint64_t seed, const sgi_worlds_watch *watch,
                           sgi_worlds_summary *summary, sg_error *err) {
  if (!directory || n_stories < SGI_WORLDS_MIN || n_stories > SGI_WORLDS_MAX)
    return sgi_fail(err, SG_ERR_ARG, "worlds: a corpus needs a directory and %d to %d stories, not %zu", SGI_WORLDS_MIN,
                    SGI_WORLDS_MAX, n_stories);
  bool made = !sgi_is_directory(directory);
  sg_status st = made ? sgi_make_directory(directory, err) : SG_OK;
  if (st) return st;
  corpus c = {0};
  st = write_corpus(&c, directory, n_stories, seed, watch, err);
  if (!st && summary)
    *summary = (sgi_worlds_summary){n_stories, c.n_words, c.words.n, c.grammar->topics.n, c.grammar->facts.n};
  for (size_t i = 0; i < N_FILES; i++) {
    sgi_writer_drop(c.out[i].writer);
    /* A corpus of some new and some old files would be wrong without a sign. */
    if (st && c.out[i].closed) sgi_remove_tree(c.out[i].path, NULL);
    sgi_free(c.out[i].path);
    sgi_free(c.out[i].chunk);
  }
  remove_part(directory);
  if (st && made) sgi_remove_tree(directory, NULL);
  sgi_free(c.stories.at);
  sgi_free(c.words.at);
  sgi_free(c.fact_counts);
  sgi_story_free(c.story);
  sgi_worlds_free(c.grammar);
  return st;
}
