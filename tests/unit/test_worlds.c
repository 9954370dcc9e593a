/* The corpus worlds: how many stories, words, topics and facts it has, that its ground truth is
 * true of its text, that equal seeds give equal bytes, and that mistakes in a grammar are named.
 * Everything is counted on written files. */
#include <ctype.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>
/* after the four headers it needs */
#include <cmocka.h>

#include "core/arena.h"
#include "core/file.h"
#include "sgatlin.h"
#include "support/text_scratch.h"
#include "text/worlds.h"

enum { STORIES = 20000, DRAWS = 110000, SET = 1 << 19, MAX_FACTS = 2000 };
/* XXH3 of the six files of 300 stories with seed 7, one behind the other: the same on any machine.
 * Grammar changes change it. */
static const uint64_t fixed_hash = UINT64_C(0xab13bfce01be1a52);

static uint64_t seen[SET];

static void forget(void) { memset(seen, 0, sizeof seen); }

/* True if p[0..n) was not there since forget. */
static bool is_new(const char *p, size_t n) {
  uint64_t h = XXH3_64bits(p, n) | 1;
  size_t i = h >> 1 & (SET - 1);
  for (; seen[i]; i = (i + 1) & (SET - 1))
    if (seen[i] == h) return false;
  seen[i] = h;
  return true;
}

static sgi_worlds *load(void) {
  sgi_worlds *g;
  sg_error err = {SG_OK, ""};
  if (sgi_worlds_load(sgi_embedded_files, &g, &err)) fail_msg("%s", err.text);
  return g;
}

static size_t count_words(const char *p, size_t n) {
  size_t words = 0;
  for (size_t i = 0; i < n; i++) words += !isspace((unsigned char)p[i]) && (!i || isspace((unsigned char)p[i - 1]));
  return words;
}

/* ---- what the grammar can say ---------------------------------------------------------------- */

static void test_lexicon(void **state) {
  (void)state;
  static const struct {
    const char *name;
    uint32_t least;
  } classes[] = {{"character", 30}, {"animal", 25}, {"place", 20}, {"food", 20}, {"colour", 10}, {"feeling", 20}};
  sgi_worlds *g = load();
  for (size_t i = 0; i < SGI_COUNT(classes); i++) {
    uint32_t c = sgi_worlds_find_class(g, worlds_slice_of(classes[i].name));
    assert_int_not_equal(c, WORLDS_NONE);
    uint32_t n = ((const worlds_class *)worlds_row(&g->classes, c))->n_entries;
    print_message("%s: %u\n", classes[i].name, n);
    assert_true(n >= classes[i].least);
  }
  print_message("topics: %zu, plots: %zu, facts: %zu\n", g->topics.n, g->plots.n, g->facts.n);
  assert_true(g->topics.n >= 8);
  assert_true(g->facts.n >= 200);
  for (size_t i = 0; i < g->topics.n; i++) assert_true(((const worlds_topic *)worlds_row(&g->topics, i))->n_plots >= 4);
  sgi_worlds_free(g);
}

/* Without the writer, which would reject equal stories. */
static void test_distinct_stories(void **state) {
  (void)state;
  sgi_worlds *g = load();
  sgi_story *s;
  sg_error err;
  assert_int_equal(sgi_story_create(g, &s, &err), SG_OK);
  forget();
  size_t distinct = 0;
  for (uint64_t i = 0; i < DRAWS; i++) {
    s->rng = sgi_rng_make(11, SGI_STREAM_WORLDS, i);
    if (sgi_story_draw(s)) distinct += is_new(s->text, s->n);
  }
  print_message("distinct stories of %d draws: %zu\n", DRAWS, distinct);
  assert_true(distinct >= 100000);
  sgi_story_free(s);
  sgi_worlds_free(g);
}

/* ---- what is written ------------------------------------------------------------------------- */

typedef struct truth {
  const json_t *facts;
  char *topic_line;         /* the next line of topics.jsonl */
  size_t counts[MAX_FACTS]; /* of fact sentences in train.txt */
  size_t n_stories, n_words, shortest, longest, distinct_words, n_topics;
  char topic_names[16][SG_NAME];
} truth;

static const char *text_at(const json_t *o, const char *key) {
  const char *text = json_string_value(json_object_get(o, key));
  assert_non_null(text);
  return text;
}

static json_t *read_json(const char *name) {
  json_t *value;
  sg_error err = {SG_OK, ""};
  if (sgi_json_load(scratch_path(name), &value, &err)) fail_msg("%s", err.text);
  return value;
}

/* "The NOUN was ADJECTIVE." in exactly this form must be one of the facts. */
static void check_qualities(const json_t *known, const char *story) {
  for (const char *p = story; (p = strstr(p, "The ")); p += 4) {
    size_t noun = strspn(p + 4, "abcdefghijklmnopqrstuvwxyz");
    if (strncmp(p + 4 + noun, " was ", 5) != 0) continue;
    const char *adj = p + 9 + noun;
    size_t n = strspn(adj, "abcdefghijklmnopqrstuvwxyz");
    if (!n || adj[n] != '.') continue;
    char sentence[128];
    snprintf(sentence, sizeof sentence, "%.*s", (int)(adj + n + 1 - p), p);
    if (!json_object_get(known, sentence)) fail_msg("\"%s\" is no fact", sentence);
  }
}

static void check_topic(truth *t, const char *file, const char *story) {
  char *end = strchr(t->topic_line, '\n');
  assert_non_null(end);
  *end = 0;
  json_t *line;
  sg_error err;
  assert_int_equal(sgi_json_parse(t->topic_line, strlen(t->topic_line), "topics.jsonl", &line, &err), SG_OK);
  t->topic_line = end + 1;
  const char *split = text_at(line, "split"), *topic = text_at(line, "topic");
  assert_string_equal(split, file);
  if (!strstr(story, text_at(line, "character"))) fail_msg("no %s in: %s", text_at(line, "character"), story);
  assert_true(*text_at(line, "plot"));
  size_t i = 0;
  while (i < t->n_topics && strcmp(t->topic_names[i], topic) != 0) i++;
  if (i == t->n_topics) snprintf(t->topic_names[t->n_topics++], SG_NAME, "%.31s", topic);
  json_decref(line);
}

static void check_story(truth *t, char *story, const json_t *known, bool train) {
  size_t n = strlen(story), words = count_words(story, n);
  assert_null(strchr(story, '\n'));
  assert_true(is_new(story, n)); /* in neither file */
  t->n_stories++;
  if (words < t->shortest) t->shortest = words;
  if (words > t->longest) t->longest = words;
  check_qualities(known, story);
  for (size_t i = 0; train && i < json_array_size(t->facts); i++) { /* slow but plain; every 20th story is enough */
    if (t->n_stories % 20) break;
    const char *sentence = text_at(json_array_get(t->facts, i), "sentence");
    for (const char *p = story; (p = strstr(p, sentence)); p++) t->counts[i]++;
  }
}

/* The next story of a file, ended by a NUL; NULL at the end. Each is a line with a line of the end
 * mark behind it. */
static char *next_story(char **at, size_t *left) {
  static const char mark[] = "<|endoftext|>\n";
  const size_t size = sizeof mark - 1;
  char *story = *at, *end = *left ? memchr(story, '\n', *left) : NULL;
  if (!*left) return NULL;
  assert_non_null(end);
  assert_true(*left - (size_t)(end + 1 - story) >= size);
  assert_memory_equal(end + 1, mark, size);
  *end = 0;
  *at = end + 1 + size;
  *left -= (size_t)(*at - story);
  return story;
}

static void check_file(truth *t, const char *name, const json_t *known, const char *split) {
  char path[64];
  snprintf(path, sizeof path, "a/%s.txt", name);
  size_t n;
  char *text = scratch_read(path, &n), *p = text;
  for (char *story; (story = next_story(&p, &n));) check_story(t, story, known, !strcmp(split, "train"));
  free(text);
}

/* The lines of topics.jsonl are in the order of writing; those of one split are in the order of its
 * file. */
static void check_topics(truth *t, const char *name, const char *split) {
  char path[64];
  size_t n, m;
  snprintf(path, sizeof path, "a/%s.txt", name);
  char *text = scratch_read(path, &n), *p = text, *lines = scratch_read("a/topics.jsonl", &m), *out = lines, key[32];
  snprintf(key, sizeof key, "{\"split\":\"%s\"", split);
  for (char *line = lines, *end; (end = memchr(line, '\n', m - (size_t)(line - lines))); line = end + 1)
    if (!strncmp(line, key, strlen(key))) {
      size_t size = (size_t)(end + 1 - line);
      memmove(out, line, size);
      out += size;
    }
  *out = 0;
  t->topic_line = lines;
  for (char *story; (story = next_story(&p, &n));) check_topic(t, split, story);
  assert_int_equal(*t->topic_line, 0);
  free(text);
  free(lines);
}

static void count_distinct_words(truth *t, json_t *labels) {
  forget();
  const char *names[] = {"a/train.txt", "a/valid.txt"};
  for (size_t f = 0; f < SGI_COUNT(names); f++) {
    size_t n;
    char *text = scratch_read(names[f], &n);
    for (char *p = text; *p; p++) *p = (char)tolower((unsigned char)*p);
    for (char *p = strtok(text, " \n.,!?\":'<|>"); p; p = strtok(NULL, " \n.,!?\":'<|>"))
      t->distinct_words += is_new(p, strlen(p));
    free(text);
  }
  size_t unused = 0;
  const char *word;
  json_t *value;
  json_object_foreach(labels, word, value) {
    char low[64];
    snprintf(low, sizeof low, "%s", word);
    for (char *p = low; *p; p++) *p = (char)tolower((unsigned char)*p);
    assert_null(strchr(word, ' '));
    assert_true(json_array_size(value) > 0);
    if (is_new(low, strlen(low))) unused++;
  }
  print_message("labelled words: %zu, of them in no story: %zu\n", json_object_size(labels), unused);
  assert_true(unused <= 5); /* rare plurals */
}

static void check_facts(const truth *t) {
  size_t rarest = SIZE_MAX, several = 0, sampled = 0, all = 0;
  for (size_t i = 0; i < json_array_size(t->facts); i++) {
    const json_t *f = json_array_get(t->facts, i);
    const char *answer = text_at(f, "answer"), *sentence = text_at(f, "sentence"), *prompt = text_at(f, "prompt");
    size_t n = strlen(prompt);
    assert_memory_equal(sentence, prompt, n);
    assert_int_equal(sentence[n], ' ');
    assert_memory_equal(sentence + n + 1, answer, strlen(answer));
    assert_null(strpbrk(answer, " ."));
    assert_non_null(strstr(sentence, text_at(f, "noun")));
    several += json_array_size(json_object_get(f, "adjectives")) > 1;
    size_t count = (size_t)json_integer_value(json_object_get(f, "occurrences"));
    if (count < rarest) rarest = count;
    all += count;
    sampled += t->counts[i];
  }
  print_message("facts: %zu; the rarest stands there %zu times, %zu belong to nouns with several adjectives\n",
                json_array_size(t->facts), rarest, several);
  assert_true(rarest >= 30);
  assert_true(several >= 100);
  /* The 20th part of the stories, counted here, against the file's counts: within 5 %. */
  assert_true(sampled * 20 > all - all / 20 && sampled * 20 < all + all / 20);
}

static void test_corpus(void **state) {
  (void)state;
  scratch_begin();
  sgi_worlds_summary summary;
  sg_error err = {SG_OK, ""};
  if (sgi_worlds_write(scratch_path("a"), STORIES, 5, NULL, &summary, &err)) fail_msg("%s", err.text);
  json_t *facts = read_json("a/facts.json"), *labels = read_json("a/labels.json"), *known = json_object();
  assert_true(json_array_size(facts) >= 200 && json_array_size(facts) <= MAX_FACTS);
  for (size_t i = 0; i < json_array_size(facts); i++)
    json_object_set_new(known, text_at(json_array_get(facts, i), "sentence"), json_true());
  static truth t;
  t = (truth){.facts = facts, .shortest = SIZE_MAX};
  forget();
  check_file(&t, "train", known, "train");
  assert_int_equal(t.n_stories, STORIES - STORIES / 20);
  check_file(&t, "valid", known, "valid");
  assert_int_equal(t.n_stories, STORIES);
  check_topics(&t, "train", "train");
  check_topics(&t, "valid", "valid");
  count_distinct_words(&t, labels);
  print_message("%zu stories of %zu to %zu words, %zu distinct words, %zu topics\n", t.n_stories, t.shortest, t.longest,
                t.distinct_words, t.n_topics);
  assert_true(t.shortest >= 60 && t.longest <= 250);
  assert_true(t.distinct_words >= 1500);
  assert_true(t.n_topics >= 8);
  assert_int_equal(summary.stories, STORIES);
  assert_int_equal(summary.topics, t.n_topics);
  assert_int_equal(summary.facts, json_array_size(facts));
  assert_true(summary.distinct_words >= 1500);
  check_facts(&t);
  json_decref(known);
  json_decref(labels);
  json_decref(facts);
  scratch_end();
}

/* ---- bytes ----------------------------------------------------------------------------------- */

static uint64_t hash_of(const char *directory) {
  XXH3_state_t *x = XXH3_createState();
  XXH3_64bits_reset(x);
  for (size_t i = 0; sgi_worlds_files[i]; i++) {
    char name[64];
    size_t n;
    snprintf(name, sizeof name, "%s/%s", directory, sgi_worlds_files[i]);
    char *data = scratch_read(name, &n);
    XXH3_64bits_update(x, data, n);
    free(data);
  }
  uint64_t h = XXH3_64bits_digest(x);
  XXH3_freeState(x);
  return h;
}

static void test_equal_bytes(void **state) {
  (void)state;
  scratch_begin();
  sg_error err;
  assert_int_equal(sg_worlds_write(scratch_path("a"), 300, 7, &err), SG_OK);
  assert_int_equal(sg_worlds_write(scratch_path("b"), 300, 7, &err), SG_OK);
  assert_int_equal(sg_worlds_write(scratch_path("c"), 300, 8, &err), SG_OK);
  uint64_t a = hash_of("a");
  assert_true(a == hash_of("b"));
  assert_true(a != hash_of("c"));
  if (a != fixed_hash) fail_msg("the corpus has changed: its hash is 0x%016llx", (unsigned long long)a);
  /* A longer corpus begins like a shorter one. */
  assert_int_equal(sg_worlds_write(scratch_path("d"), 600, 7, &err), SG_OK);
  size_t n, m;
  char *shorter = scratch_read("a/train.txt", &n), *longer = scratch_read("d/train.txt", &m);
  assert_true(m > n);
  assert_memory_equal(shorter, longer, n);
  free(shorter);
  free(longer);
  scratch_end();
}

static void test_arguments(void **state) {
  (void)state;
  sg_error err;
  assert_int_equal(sg_worlds_write(NULL, 10, 0, &err), SG_ERR_ARG);
  assert_int_equal(sg_worlds_write("x", 1, 0, &err), SG_ERR_ARG);
  assert_int_equal(sg_worlds_write("x", SIZE_MAX, 0, &err), SG_ERR_ARG);
}

/* ---- a small grammar, right and wrong -------------------------------------------------------- */

#define INDEX \
  "{\"files\":[\"t.json\"],\"variables\":{\"hero\":\"person\",\"friend\":\"person\"},\"hero\":\"hero\",\"comma\":\", " \
  "\"," \
  "\"and\":\" and \",\"article\":\"a\",\"tail\":\"n\",\"vowels\":\"aeiou\",\"max_depth\":4,\"facts\":[]}"
#define CLASSES \
  "\"classes\":{\"pronouns\":{\"columns\":[\"he\",\"him\",\"his\"],\"instead\":{\"he\":\"*\",\"him\":\"*\",\"his\":" \
  "\"*'s\"},\"entries\":[\"she|her|her\",\"he|him|his\"]},\"person\":{\"columns\":[\"name\",\"pronoun>pronouns\"," \
  "\"kind#\"]," \
  "\"entries\":[\"Ann|she|one\",\"Eve|she|two\",\"Bob|he|man\"]}}"

static sg_status load_text(const char *index, const char *topic, sgi_worlds **g, sg_error *err) {
  const sgi_embedded_file files[] = {{"worlds.json", (const unsigned char *)index, strlen(index)},
                                     {"t.json", (const unsigned char *)topic, strlen(topic)},
                                     {NULL, NULL, 0}};
  return sgi_worlds_load(files, g, err);
}

/* The story of a topic with one plot, with friend a woman (two) or a man. */
static void expect_story(const char *friend, const char *slot, const char *want) {
  char topic[2000];
  snprintf(topic, sizeof topic,
           "{\"topic\":\"t\",\"weight\":1," CLASSES
           ",\"rules\":{},\"plots\":[{\"name\":\"p\",\"bind\":[\"hero=person/one\",\"friend=person/"
           "%s\"],\"slots\":[\"%s\"]}]}",
           friend, slot);
  sgi_worlds *g;
  sgi_story *s;
  sg_error err = {SG_OK, ""};
  if (load_text(INDEX, topic, &g, &err)) fail_msg("%s", err.text);
  assert_int_equal(sgi_story_create(g, &s, &err), SG_OK);
  s->rng = sgi_rng_make(1, SGI_STREAM_WORLDS, 0);
  assert_false(sgi_story_draw(s)); /* too short for a corpus */
  assert_string_equal(s->text, want);
  sgi_story_free(s);
  sgi_worlds_free(g);
}

static void test_text(void **state) {
  (void)state;
  expect_story("man", "{hero} met {friend}. {hero.he} gave {friend.him} {hero.his} hat.",
               "Ann met Bob. Ann gave him her hat.");
  expect_story("two", "{hero} met {friend}. {hero.he} gave {friend.him} {hero.his} hat.",
               "Ann met Eve. Ann gave Eve Ann's hat.");
  expect_story("two", "{hero} ran. {hero.he} met {friend}, and {friend.he} laughed.",
               "Ann ran. She met Eve, and she laughed.");
  expect_story("two", "{a} apple , {a} pear and {a} {hero}.", "An apple, a pear and an Ann.");
  expect_story("two", "<come here!> said {hero}. <why?> asked {friend}. <run.> they ran.",
               "\"Come here!\" said Ann. \"Why?\" asked Eve. \"Run.\" They ran.");
  expect_story("two", "{1 person} sat.", "Bob sat."); /* the others are in the story already */
  expect_story("two", "{3 person} sat.", "Bob, Eve and Ann sat.");
}

static void test_mistakes(void **state) {
  (void)state;
  static const struct {
    const char *rules, *bind, *slot, *say[3];
  } wrong[] = {
      {"\"r\":[\"x\",\"{nobody}\"]", "hero=person", "{#r}", {"t.json: rule \"r\", alternative 2", "nobody", NULL}},
      {"\"r\":[\"{#s}\"]", "hero=person", "{#r}", {"t.json: rule \"r\"", "no such rule", "#s"}},
      {"\"r\":[\"{#r}\"]", "hero=person", "{#r}", {"t.json: rule \"r\" never ends", NULL, NULL}},
      {"\"r\":[\"x\"]", "hero=person", "x", {"t.json: rule \"r\" is used by no plot", NULL, NULL}},
      {"\"r\":[\"x\"]", "friend=person", "{#r}", {"t.json: plot \"p\" does not bind the hero", NULL, NULL}},
      {"\"r\":[\"{friend}\"]", "hero=person", "{#r}", {"t.json: plot \"p\"", "\"friend\"", "rule \"r\""}},
      {"\"r\":[\"<x\"]", "hero=person", "{#r}", {"t.json: rule \"r\"", "< and >", NULL}},
      {"\"r\":[\"(a|b\"]", "hero=person", "{#r}", {"t.json: rule \"r\"", "not closed", NULL}},
      {"\"r\":[\"{hero\"]", "hero=person", "{#r}", {"t.json: rule \"r\"", "not closed by }", NULL}},
      {"\"r\":[\"{9 person}\"]", "hero=person", "{#r}", {"t.json: rule \"r\"", "too small", NULL}},
      {"\"r\":[\"{hero.size}\"]", "hero=person", "{#r}", {"t.json: rule \"r\"", "no column", "size"}},
      {"\"r\":[\"{hero.kind}\"]", "hero=person", "{#r}", {"t.json: rule \"r\"", "holds tags", NULL}},
      {"\"r\":[\"x\"]", "hero=person/none", "{#r}", {"t.json: plot \"p\"", "none", NULL}},
      {"\"r\":[\"x\"]", "hero=pronouns", "{#r}", {"t.json: plot \"p\"", "does not give a person", NULL}},
      {"\"r\":[7]", "hero=person", "{#r}", {"t.json: rule \"r\"", "array of strings", NULL}},
      {"\"r\":[\"x\"]", "hero=person", "{#r} {", {"t.json: plot \"p\", slot 1", NULL, NULL}},
  };
  for (size_t i = 0; i < SGI_COUNT(wrong); i++) {
    char topic[2000];
    snprintf(topic, sizeof topic,
             "{\"topic\":\"t\",\"weight\":1," CLASSES
             ",\"rules\":{%s},\"plots\":[{\"name\":\"p\",\"bind\":[\"%s\"],\"slots\":[\"%s\"]}]}",
             wrong[i].rules, wrong[i].bind, wrong[i].slot);
    sgi_worlds *g;
    sg_error err = {SG_OK, ""};
    assert_int_equal(load_text(INDEX, topic, &g, &err), SG_ERR_FORMAT);
    assert_null(g);
    for (size_t k = 0; k < 3 && wrong[i].say[k]; k++)
      if (!strstr(err.text, wrong[i].say[k])) fail_msg("case %zu: no \"%s\" in: %s", i, wrong[i].say[k], err.text);
  }
}

static void test_wrong_files(void **state) {
  (void)state;
  sgi_worlds *g;
  sg_error err;
  assert_int_equal(load_text(INDEX, "{", &g, &err), SG_ERR_FORMAT);
  assert_non_null(strstr(err.text, "t.json"));
  assert_int_equal(load_text("{\"files\":[\"u.json\"]}", "{}", &g, &err), SG_ERR_FORMAT);
  assert_non_null(strstr(err.text, "worlds.json"));
  assert_int_equal(load_text(INDEX, "{\"topics\":1}", &g, &err), SG_ERR_FORMAT);
  assert_non_null(strstr(err.text, "topics"));
  const char *person = "{\"classes\":{\"person\":{\"columns\":[\"name\",\"home>place\"],\"entries\":[\"Ann|hut\"]}}}";
  assert_int_equal(load_text(INDEX, person, &g, &err), SG_ERR_FORMAT);
  assert_non_null(strstr(err.text, "t.json: class \"person\""));
}

/* ---- failures -------------------------------------------------------------------------------- */

static void test_out_of_memory(void **state) {
  (void)state;
  scratch_begin();
  const char *path = scratch_path("a");
  sg_error err;
  size_t from = sgi_alloc_count(), all;
  assert_int_equal(sg_worlds_write(path, 100, 1, &err), SG_OK);
  all = sgi_alloc_count() - from;
  assert_true(all > 50);
  uint64_t whole = hash_of("a");
  size_t step = all / 150 + 1, failed = 0;
  for (size_t n = 1; n <= all; n += step) {
    sgi_alloc_fail_at(n, false);
    sg_status st = sg_worlds_write(scratch_path("b"), 100, 1, &err);
    sgi_alloc_fail_at(0, false);
    failed += st == SG_ERR_MEMORY;
    if (st) assert_false(sgi_is_directory(scratch_path("b")));
    if (st) continue;
    assert_true(hash_of("b") == whole);
    assert_int_equal(sgi_remove_tree(scratch_path("b"), &err), SG_OK);
  }
  assert_true(failed > 100);
  scratch_end();
}

static void test_full_disk(void **state) {
  (void)state;
  scratch_begin();
  sg_error err;
  size_t failed = 0;
  for (size_t n = 1; n < 60; n++) {
    sgi_file_fail_at(n, ENOSPC, true);
    sg_status st = sg_worlds_write(scratch_path("a"), 100, 1, &err);
    sgi_file_fail_at(0, 0, false);
    if (!st) break;
    failed++;
    assert_true(err.text[0]);
    assert_int_equal(sgi_remove_tree(scratch_path("a"), &err), SG_OK);
  }
  assert_true(failed > 10);
  assert_int_equal(sg_worlds_write(scratch_path("a"), 100, 1, &err), SG_OK);
  scratch_end();
}

static bool at_once(void *user) {
  (*(size_t *)user)++;
  return true;
}

static void test_cancel(void **state) {
  (void)state;
  scratch_begin();
  sg_error err;
  size_t asked = 0;
  const sgi_worlds_watch watch = {NULL, at_once, &asked};
  assert_int_equal(sgi_worlds_write(scratch_path("a"), 100, 1, &watch, NULL, &err), SG_ERR_CANCELLED);
  assert_int_equal(asked, 1);
  assert_false(sgi_is_directory(scratch_path("a")));
  scratch_end();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_lexicon),     cmocka_unit_test(test_distinct_stories), cmocka_unit_test(test_corpus),
      cmocka_unit_test(test_equal_bytes), cmocka_unit_test(test_arguments),        cmocka_unit_test(test_text),
      cmocka_unit_test(test_mistakes),    cmocka_unit_test(test_wrong_files),      cmocka_unit_test(test_out_of_memory),
      cmocka_unit_test(test_full_disk),   cmocka_unit_test(test_cancel),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
