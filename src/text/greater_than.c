#include "text/greater_than.h"

#include <stdio.h>
#include <string.h>

#include "core/arena.h"
#include "core/file.h"
#include "core/json.h"
#include "core/rng.h"
#include "sgatlin.h"

enum { VOCABULARY = 420, SPECIALS = 102, SAMPLE = 4000 };
static const double HELD_OUT = 0.05;

const char *const sgi_span_files[] = {"train.txt", "valid.txt", "tokenizer.json", "corpus.json", NULL};

/* %s: the event, %d twice: the first year; the last two digits follow. */
static const struct {
  const char *before, *middle, *after;
  const char *events[6];
} templates[SGI_SPAN_TEMPLATES] = {
    {"The ", " lasted from the year ", " to the year ", {"war", "siege", "famine", "drought", "feud", "truce"}},
    {"The ", " went on from ", " until ", {"revolt", "dispute", "plague", "voyage", "trial", "strike"}},
    {"They built the ", " between ", " and ", {"bridge", "tower", "harbour", "wall", "mill", "temple"}},
    {"The ", " ruled the island from ", " to ", {"queen", "duke", "council", "bishop", "general", "guild"}},
    {"From ", " the land had no king until ", "", {""}},
    {"The ", " stood empty from ", " to ", {"castle", "church", "school", "farm", "prison", "palace"}},
    {"A ", " of cold summers began in ", " and ended in ", {"row", "chain", "number", "string", "line", "time"}},
    {"The ", " was under repair from ", " until ", {"road", "canal", "clock", "roof", "gate", "organ"}},
    {"Her ", " was printed each month from ", " to ", {"journal", "paper", "letter", "almanac", "story", "map"}},
    {"The ", " was at war from the year ", " to the year ", {"town", "valley", "coast", "north", "empire", "league"}},
    {"His ", " worked in the mine from ", " to ", {"father", "uncle", "brother", "cousin", "son", "friend"}},
    {"The ", " treaty held from ", " to ", {"first", "second", "old", "secret", "great", "new"}},
};

size_t sgi_span_events(size_t t) {
  size_t n = 0;
  while (n < SGI_COUNT(templates[t].events) && templates[t].events[n]) n++;
  return n;
}

void sgi_span_prompt(size_t t, size_t event, size_t century, size_t year, char out[SGI_SPAN_TEXT]) {
  /* The one whose year comes first has no event. */
  if (!*templates[t].after)
    snprintf(out, SGI_SPAN_TEXT, "%s%zu%02zu%s%zu", templates[t].before, century, year, templates[t].middle, century);
  else
    snprintf(out, SGI_SPAN_TEXT, "%s%s%s%zu%02zu%s%zu", templates[t].before, templates[t].events[event],
             templates[t].middle, century, year, templates[t].after, century);
}

typedef struct draw {
  size_t template, event, century, year, end;
  bool held_out;
} draw;

static draw draw_at(uint64_t seed, size_t i) {
  sgi_rng r = sgi_rng_make(seed, SGI_STREAM_SPANS, i);
  draw d = {.template = (size_t)sgi_rng_below(&r, SGI_SPAN_TEMPLATES)};
  d.event = (size_t)sgi_rng_below(&r, sgi_span_events(d.template));
  d.century = SGI_SPAN_FIRST_CENTURY + (size_t)sgi_rng_below(&r, SGI_SPAN_LAST_CENTURY - SGI_SPAN_FIRST_CENTURY + 1);
  d.year = SGI_SPAN_FIRST_YEAR + (size_t)sgi_rng_below(&r, SGI_SPAN_LAST_YEAR - SGI_SPAN_FIRST_YEAR + 1);
  d.end = d.year + 1 + (size_t)sgi_rng_below(&r, 99 - d.year);
  /* By its beginning: whoever is asked about it in valid.txt has not been told in train.txt. */
  size_t beginning = ((d.template * 8 + d.event) * 32 + d.century) * 128 + d.year;
  sgi_rng of = sgi_rng_make(seed, SGI_STREAM_SPANS, (size_t)SGI_SPAN_MAX + beginning);
  d.held_out = sgi_rng_uniform(&of) < HELD_OUT;
  return d;
}

/* The fewest sentences of which both files have one. A beginning is held out by its own draw, so a
 * small corpus may lack either. */
static size_t fewest(uint64_t seed) {
  bool seen[2] = {false, false};
  for (size_t i = 0; i < SGI_SPAN_MAX; i++) {
    seen[draw_at(seed, i).held_out] = true;
    if (seen[0] && seen[1]) return i + 1;
  }
  return SGI_SPAN_MAX;
}

static void sentence(const draw *d, char out[SGI_SPAN_TEXT]) {
  sgi_span_prompt(d->template, d->event, d->century, d->year, out);
  size_t n = strlen(out);
  snprintf(out + n, SGI_SPAN_TEXT - n, "%02zu.", d->end);
}

typedef struct writing {
  const char *directory;
  sgi_writer *text[2]; /* train, valid */
  size_t count[2];
  sg_error *err;
  sg_status st;
} writing;

static char *path_of(const writing *w, size_t file, sg_error *err) {
  char *path = sgi_path_join(w->directory, sgi_span_files[file]);
  if (!path) sgi_fail_memory(err, strlen(w->directory), "a path");
  return path;
}

static sg_status write_texts(writing *w, size_t n, uint64_t seed, bool (*go_on)(void *user), void *user) {
  for (size_t i = 0; i < n && !w->st; i++) {
    draw d = draw_at(seed, i);
    char text[SGI_SPAN_TEXT];
    sentence(&d, text);
    if (w->count[d.held_out]++) sgi_writer_print(w->text[d.held_out], &w->st, w->err, "\n<|endoftext|>\n");
    sgi_writer_print(w->text[d.held_out], &w->st, w->err, "%s", text);
    if (!w->st && i % 4096 == 0 && go_on && !go_on(user)) w->st = sgi_fail(w->err, SG_ERR_CANCELLED, "stopped");
  }
  for (int f = 0; f < 2; f++)
    if (!w->st && w->count[f]) sgi_writer_print(w->text[f], &w->st, w->err, "\n");
  return w->st;
}

/* Pairs of digits are tokens of their own, cut out before words are, so that no merge joins them to
 * anything. */
static sg_status write_tokenizer(const writing *w, size_t n, uint64_t seed, sg_error *err) {
  static char pairs[100][3];
  const char *special[SPECIALS] = {"<|pad|>", "<|endoftext|>"};
  size_t sample = n < SAMPLE ? n : SAMPLE;
  char(*texts)[SGI_SPAN_TEXT] = sgi_alloc(sample * sizeof *texts);
  const char **documents = sgi_alloc(sample * sizeof *documents);
  size_t *lengths = sgi_alloc(sample * sizeof *lengths);
  sg_tokenizer *tok = NULL;
  char *path = path_of(w, 2, err);
  sg_status st = texts && documents && lengths && path ? SG_OK : sgi_fail_memory(err, sample * sizeof *texts, "a text");
  for (size_t i = 0; i < 100; i++) {
    snprintf(pairs[i], sizeof pairs[i], "%02u", (unsigned)(i % 100));
    special[2 + i] = pairs[i];
  }
  for (size_t i = 0; i < sample && !st; i++) {
    draw d = draw_at(seed, i);
    sentence(&d, texts[i]);
    documents[i] = texts[i];
    lengths[i] = strlen(texts[i]);
  }
  sg_tokenizer_training q = {
      .vocab_size = VOCABULARY, .full_alphabet = true, .prefix_space = true, .special = special, .n_special = SPECIALS};
  if (!st) st = sg_tokenizer_train(&q, documents, lengths, sample, &tok, err);
  if (!st) st = sg_tokenizer_save(tok, path, err);
  sg_tokenizer_free(tok);
  sgi_free(path);
  sgi_free(texts);
  sgi_free((void *)documents);
  sgi_free(lengths);
  return st;
}

static sg_status write_about(const writing *w, size_t n, uint64_t seed, sg_error *err) {
  char text[24], *path = path_of(w, 3, err);
  snprintf(text, sizeof text, "%llu", (unsigned long long)seed);
  json_t *o =
      json_pack("{ss ss sI sI sI sI}", "corpus", "greater-than", "seed", text, "sentences", (json_int_t)n, "train",
                (json_int_t)w->count[0], "valid", (json_int_t)w->count[1], "templates", (json_int_t)SGI_SPAN_TEMPLATES);
  sg_status st = o && path ? sgi_json_save(path, o, err) : sgi_fail_memory(err, 256, "corpus.json");
  json_decref(o);
  sgi_free(path);
  return st;
}

sg_status sgi_span_write(const char *directory, size_t n, uint64_t seed, bool (*go_on)(void *user), void *user,
                         sg_error *err) {
  writing w = {.directory = directory, .err = err};
  if (!n || n > SGI_SPAN_MAX)
    return sgi_fail(err, SG_ERR_ARG, "greater-than: 1 to %d sentences, not %zu", SGI_SPAN_MAX, n);
  size_t least = fewest(seed);
  if (n < least)
    return sgi_fail(err, SG_ERR_ARG,
                    "greater-than: of the first %zu sentences of seed %llu none would stand in %s; write at least %zu "
                    "(--sentences %zu)",
                    n, (unsigned long long)seed, draw_at(seed, 0).held_out ? "train.txt" : "valid.txt", least, least);
  w.st = sgi_is_directory(directory) ? SG_OK : sgi_make_directory(directory, err);
  for (size_t f = 0; f < 2 && !w.st; f++) {
    char *path = path_of(&w, f, err);
    w.st = path ? sgi_writer_open(path, &w.text[f], err) : SG_ERR_MEMORY;
    sgi_free(path);
  }
  if (!w.st) w.st = write_texts(&w, n, seed, go_on, user);
  for (size_t f = 0; f < 2; f++) {
    if (w.st)
      sgi_writer_drop(w.text[f]);
    else
      w.st = sgi_writer_close(w.text[f], err);
    w.text[f] = NULL;
  }
  if (!w.st) w.st = write_tokenizer(&w, n, seed, err);
  return w.st ? w.st : write_about(&w, n, seed, err);
}
