/* Writes the corpus worlds: distinct stories in two files, and the ground truth beside them. */
#include "text/worlds.h"

#include <string.h>
#include <xxhash.h>

#include "core/arena.h"
#include "core/file.h"

enum { TRIES = 2000, CHUNK = 1 << 16 };

enum { TRAIN, VALID, TOPICS, N_STREAMS, LABELS = N_STREAMS, FACTS, N_FILES }; /* streams grow story by story */
static const char *const file_names[N_FILES] = {"train.txt", "valid.txt", "topics.jsonl", "labels.json", "facts.json"};

typedef struct output {
  char *path;
  sgi_writer *writer;
  bool closed;
  size_t n;
  char *chunk; /* CHUNK bytes: one write for many stories */
} output;

typedef struct corpus {
  sgi_worlds *grammar;
  sgi_story *story;
  uint64_t *seen; /* hashes of the stories so far, open addressing, 0 empty */
  size_t mask;
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

/* False if a story with this hash was there before. */
static bool remember(corpus *c, uint64_t h) {
  if (!h) h = 1;
  for (size_t i = h & c->mask;; i = (i + 1) & c->mask) {
    if (c->seen[i] == h) return false;
    if (c->seen[i]) continue;
    c->seen[i] = h;
    return true;
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

static sg_status write_stories(corpus *c, size_t n, uint64_t seed, sg_error *err) {
  static const char end[] = "\n<|endoftext|>\n";
  size_t written[2] = {0};
  for (size_t i = 0; i < n; i++) {
    /* Every story has its own stream, so that a longer corpus begins with the stories of a shorter one. */
    c->story->rng = sgi_rng_make(seed, SGI_STREAM_WORLDS, i);
    int tries = 0;
    while (!sgi_story_draw(c->story) || !remember(c, XXH3_64bits(c->story->text, c->story->n)))
      if (++tries == TRIES)
        return sgi_fail(err, SG_ERR_ARG,
                        "worlds: story %zu of %zu: %d draws gave none that is new; ask for fewer stories", i + 1, n,
                        TRIES);
    size_t file = i % SGI_WORLDS_VALID_EVERY == SGI_WORLDS_VALID_EVERY - 1 || (n < SGI_WORLDS_VALID_EVERY && i + 1 == n)
                      ? VALID
                      : TRAIN;
    if (file == TRAIN) sgi_worlds_count_facts(c->grammar, c->story->text, c->story->n, c->fact_counts);
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
    o->path = sgi_path_join(directory, file_names[i]);
    if (!o->path) return sgi_fail_memory(err, strlen(directory), file_names[i]);
    if (i >= N_STREAMS) continue;
    o->chunk = sgi_alloc(CHUNK);
    if (!o->chunk) return sgi_fail_memory(err, CHUNK, file_names[i]);
    sg_status st = sgi_writer_open(o->path, &o->writer, err);
    if (st) return st;
  }
  return SG_OK;
}

static sg_status close_all(corpus *c, sg_error *err) {
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

static sg_status write_corpus(corpus *c, const char *directory, size_t n, uint64_t seed, sg_error *err) {
  sg_status st = sgi_worlds_load(sgi_embedded_files, &c->grammar, err);
  if (!st) st = sgi_story_create(c->grammar, &c->story, err);
  if (st) return st;
  size_t slots = 64;
  while (slots < 2 * n) slots *= 2;
  c->mask = slots - 1;
  c->seen = sgi_alloc(slots * sizeof *c->seen);
  c->fact_counts = sgi_alloc(c->grammar->facts.n * sizeof *c->fact_counts);
  if (!c->seen || !c->fact_counts) return sgi_fail_memory(err, slots * sizeof *c->seen, "the hashes of all stories");
  st = open_all(c, directory, err);
  if (!st) st = write_stories(c, n, seed, err);
  if (!st) st = close_all(c, err);
  if (!st) st = write_json(&c->out[LABELS], sgi_worlds_labels_json(c->grammar), err);
  if (!st) st = write_json(&c->out[FACTS], sgi_worlds_facts_json(c->grammar, c->fact_counts), err);
  return st;
}

sg_status sg_worlds_write(const char *directory, size_t n_stories, uint64_t seed, sg_error *err) {
  if (!directory || n_stories < SGI_WORLDS_MIN || n_stories > SGI_WORLDS_MAX)
    return sgi_fail(err, SG_ERR_ARG, "worlds: a corpus needs a directory and %d to %d stories, not %zu", SGI_WORLDS_MIN,
                    SGI_WORLDS_MAX, n_stories);
  bool made = !sgi_is_directory(directory);
  sg_status st = made ? sgi_make_directory(directory, err) : SG_OK;
  if (st) return st;
  corpus c = {0};
  st = write_corpus(&c, directory, n_stories, seed, err);
  for (size_t i = 0; i < N_FILES; i++) {
    sgi_writer_drop(c.out[i].writer);
    /* A corpus of some new and some old files would be wrong without a sign. */
    if (st && c.out[i].closed) sgi_remove_tree(c.out[i].path, NULL);
    sgi_free(c.out[i].path);
    sgi_free(c.out[i].chunk);
  }
  if (st && made) sgi_remove_tree(directory, NULL);
  sgi_free(c.seen);
  sgi_free(c.fact_counts);
  sgi_story_free(c.story);
  sgi_worlds_free(c.grammar);
  return st;
}
