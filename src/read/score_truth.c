/* What the corpus worlds says of itself, and the labelled words of its stories as tokens. */
#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "core/file.h"
#include "read/score.h"
#include "read/topics.h"
#include "text/reader.h"

enum { MAX_LINE = 1 << 16 };

static sg_status load(const char *directory, const char *name, json_t **out, sg_error *err) {
  char *path = sgi_path_join(directory, name);
  if (!path) return sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  sg_status st = sgi_json_load(path, out, err);
  sgi_free(path);
  return st;
}

static sg_status read_stories(sgi_truth *t, const char *directory, size_t max, sg_error *err) {
  char *path = NULL;
  sgi_reader *r = NULL;
  sg_status st = sgi_find_split(directory, "valid", &path, err);
  if (!st) st = sgi_reader_open(path, false, NULL, &r, err);
  while (!st && t->n_stories < max) {
    const char *text;
    size_t n;
    st = sgi_reader_next(r, &text, &n, err);
    if (st || !text) break;
    char *copy = sgi_alloc(n + 1);
    if (!copy) {
      st = sgi_fail_memory(err, n, "a story");
      break;
    }
    memcpy(copy, text, n);
    t->stories[t->n_stories++] = (sgi_truth_story){copy, n, UINT32_MAX};
  }
  sgi_reader_close(r);
  sgi_free(path);
  return st;
}

/* Number of name in the object ids, the next one where it is new. */
static uint32_t number_of(json_t *ids, const char *name) {
  json_t *id = json_object_get(ids, name);
  if (id) return (uint32_t)json_integer_value(id);
  size_t next = json_object_size(ids);
  json_object_set_new(ids, name, json_integer((json_int_t)next));
  return (uint32_t)next;
}

static sg_status read_topics(sgi_truth *t, const char *directory, sg_error *err) {
  json_t *names = json_object();
  int32_t *topic_of = sgi_alloc((t->n_stories + 1) * sizeof *topic_of);
  sg_status st = names && topic_of ? sgi_topics_load(directory, "valid", t->n_stories, topic_of, names, err)
                                   : sgi_fail_memory(err, t->n_stories * sizeof *topic_of, "topics");
  t->n_topics = json_object_size(names);
  for (size_t i = 0; i < t->n_stories && !st; i++) {
    if (topic_of[i] < 0)
      st = sgi_fail(err, SG_ERR_FORMAT, "%s/topics.jsonl: story %zu of the split valid has no topic", directory, i);
    t->stories[i].topic = (uint32_t)topic_of[i];
  }
  sgi_free(topic_of);
  json_decref(names);
  return st;
}

sg_status sgi_truth_load(sgi_truth *t, const char *directory, size_t max_stories, sg_error *err) {
  *t = (sgi_truth){0};
  if (max_stories > 1000000)
    return sgi_fail(err, SG_ERR_ARG, "%zu stories are too many: a million at most", max_stories);
  t->stories = sgi_alloc((max_stories + 1) * sizeof *t->stories);
  if (!t->stories) return sgi_fail_memory(err, max_stories * sizeof *t->stories, "stories");
  sg_status st = load(directory, "labels.json", &t->labels, err);
  if (!st) st = load(directory, "facts.json", &t->facts, err);
  if (!st && (!json_is_object(t->labels) || !json_is_array(t->facts)))
    st = sgi_fail(err, SG_ERR_FORMAT,
                  "%s: expected an object in labels.json and an array in facts.json, as 'data worlds' writes them",
                  directory);
  if (!st) st = read_stories(t, directory, max_stories, err);
  if (!st) st = read_topics(t, directory, err);
  if (!st && t->n_stories < 2)
    st = sgi_fail(err, SG_ERR_ARG, "%s has %zu unseen stories: 2 are needed at least", directory, t->n_stories);
  return st;
}

void sgi_truth_deinit(sgi_truth *t) {
  json_decref(t->labels);
  json_decref(t->facts);
  for (size_t i = 0; i < t->n_stories; i++) sgi_free(t->stories[i].text);
  sgi_free(t->stories);
  *t = (sgi_truth){0};
}

/* ---- labelled words -------------------------------------------------------------------------- */

typedef struct finder {
  sgi_score_words *w;
  const sgi_truth *truth;
  const sg_tokenizer *tok;
  json_t *words, *categories; /* name -> number */
  const sgi_score_settings *s;
} finder;

static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

/* The one category of a word, as it stands or with a small first letter; NULL where there is none
 * or several. */
static const char *category_of(const finder *f, char *word) {
  const json_t *list = json_object_get(f->truth->labels, word);
  if (!list && *word >= 'A' && *word <= 'Z') {
    *word = (char)(*word - 'A' + 'a');
    list = json_object_get(f->truth->labels, word);
  }
  return json_array_size(list) == 1 ? json_string_value(json_array_get(list, 0)) : NULL;
}

static bool note_word(finder *f, uint32_t story, size_t position, char *word) {
  const char *category = category_of(f, word);
  if (!category) return true;
  sgi_score_words *w = f->w;
  if (!sgi_room(&w->at, &w->room, w->n, sizeof *w->at)) return false;
  w->at[w->n++] = (sgi_labelled){.story = story,
                                 .position = (uint32_t)position,
                                 .word = number_of(f->words, word),
                                 .category = number_of(f->categories, category)};
  return true;
}

/* Letters of the tokens in a row; a word belongs to the token of its last letter. The last word of
 * a row may have been cut: only what another token follows is looked at. */
static bool find_in_story(finder *f, uint32_t story, const int32_t *ids, size_t count) {
  char word[64];
  size_t n = 0;
  for (size_t i = 0; i < count; i++) {
    size_t bytes = 0;
    const char *p = sg_tokenizer_token_bytes(f->tok, ids[i], &bytes);
    bool begins = !p || !bytes || !is_letter(p[0]);
    if (n && begins) {
      word[n < sizeof word ? n : 0] = 0;
      if (n < sizeof word && !note_word(f, story, i, word))
        return false; /* token i - 1 stands at position i, behind bos */
      n = 0;
    }
    for (size_t b = 0; p && b < bytes; b++) {
      if (!is_letter(p[b])) {
        n = 0;
        continue;
      }
      if (n < sizeof word - 1) word[n] = p[b];
      n++;
    }
  }
  return true;
}

static sg_status read_story(finder *f, size_t story, const sg_config *c, sg_error *err) {
  int32_t *ids = NULL, *row = f->w->inputs + story * f->w->T;
  size_t n = 0;
  sg_status st = sg_tokenizer_encode(f->tok, f->truth->stories[story].text, f->truth->stories[story].n, &ids, &n, err);
  if (st) return st;
  if (n > f->w->T - 1) n = f->w->T - 1;
  row[0] = c->bos_id;
  for (size_t t = 1; t < f->w->T; t++) row[t] = t <= n ? ids[t - 1] : c->pad_id;
  if (!find_in_story(f, (uint32_t)story, ids, n)) st = sgi_fail(err, SG_ERR_MEMORY, "out of memory for labelled words");
  sg_buffer_free(ids);
  return st;
}

static int by_place(const void *a, const void *b) {
  const sgi_labelled *x = a, *y = b;
  if (x->story != y->story) return x->story < y->story ? -1 : 1;
  return x->position < y->position ? -1 : x->position > y->position;
}

/* Leaves s->positions of the places found, drawn at random, at most s->per_word of a word; words
 * and stories are numbered anew, so that none is without a place. work (n_words): 0. */
static void draw(sgi_score_words *w, const sgi_score_settings *s, size_t *work) {
  sgi_rng r = sgi_rng_make(s->seed, SGI_STREAM_SAMPLE, 4);
  size_t kept = 0;
  for (size_t i = 0; i < w->n && kept < s->positions; i++) {
    size_t j = i + sgi_rng_below(&r, w->n - i);
    sgi_labelled t = w->at[j];
    w->at[j] = w->at[i];
    w->at[i] = t;
    if (work[t.word] == s->per_word) continue;
    work[t.word]++;
    w->at[i] = w->at[kept];
    w->at[kept++] = t;
  }
  w->n = kept;
  qsort(w->at, w->n, sizeof *w->at, by_place);
  memset(work, 0, w->n_words * sizeof *work);
  w->n_words = w->n_stories = 0;
  for (size_t i = 0; i < w->n; i++) {
    sgi_labelled *p = &w->at[i];
    if (!work[p->word]) {
      w->category[w->n_words] = p->category;
      work[p->word] = ++w->n_words;
    }
    p->word = (uint32_t)work[p->word] - 1;
    if (!w->n_stories || w->stories[w->n_stories - 1] != p->story) w->stories[w->n_stories++] = p->story;
    p->used = (uint32_t)w->n_stories - 1;
  }
}

static sg_status find_all(finder *f, const sg_config *c, sg_error *err) {
  sgi_score_words *w = f->w;
  size_t n = f->truth->n_stories;
  w->inputs = sgi_alloc(n * w->T * sizeof *w->inputs);
  w->stories = sgi_alloc(n * sizeof *w->stories);
  sg_status st = w->inputs && w->stories && f->words && f->categories
                     ? SG_OK
                     : sgi_fail(err, SG_ERR_MEMORY, "out of memory for stories");
  for (size_t i = 0; i < n && !st; i++) st = read_story(f, i, c, err);
  if (st) return st;
  w->n_words = json_object_size(f->words);
  w->n_categories = json_object_size(f->categories);
  size_t *work = sgi_alloc((w->n_words + 1) * sizeof *work);
  w->category = sgi_alloc((w->n_words + 1) * sizeof *w->category);
  if (work && w->category)
    draw(w, f->s, work);
  else
    st = sgi_fail(err, SG_ERR_MEMORY, "out of memory for labelled words");
  sgi_free(work);
  if (!st && (w->n < 2 || w->n_categories < 2))
    st = sgi_fail(err, SG_ERR_ARG, "%zu labelled words of %zu categories were found in the stories: too few to compare",
                  w->n, w->n_categories);
  return st;
}

sg_status sgi_score_words_find(sgi_score_words *w, const sgi_truth *truth, const sg_tokenizer *tok, const sg_config *c,
                               const sgi_score_settings *s, sg_error *err) {
  *w = (sgi_score_words){.T = c->max_position < 2 ? 2 : c->max_position > 512 ? 512 : c->max_position};
  finder f = {.w = w, .truth = truth, .tok = tok, .words = json_object(), .categories = json_object(), .s = s};
  sg_status st = find_all(&f, c, err);
  json_decref(f.words);
  json_decref(f.categories);
  return st;
}

void sgi_score_words_deinit(sgi_score_words *w) {
  sgi_free(w->inputs);
  sgi_free(w->at);
  sgi_free(w->category);
  sgi_free(w->stories);
  *w = (sgi_score_words){0};
}
