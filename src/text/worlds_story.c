/* Makes a story of the grammar: draws, binds, expands, and sets capitals, articles, quotes and
 * spaces right. */
#include <string.h>

#include "core/arena.h"
#include "text/worlds.h"

enum { ARTICLE_MARK = 1, TRIES = 4, SENTENCES = 128 };

sg_status sgi_story_create(const sgi_worlds *g, sgi_story **out, sg_error *err) {
  *out = NULL;
  sgi_story *s = sgi_alloc(sizeof *s);
  uint32_t *stamps = sgi_alloc(g->entries.n * sizeof *stamps), *used = sgi_alloc(g->alternatives.n * sizeof *used);
  if (!s || !stamps || !used) {
    sgi_free(s);
    sgi_free(stamps);
    sgi_free(used);
    return sgi_fail_memory(err, sizeof *s, "a story of worlds");
  }
  s->g = g;
  s->stamps = stamps;
  s->used = used;
  s->n_used = (uint32_t)g->alternatives.n;
  s->forced = WORLDS_NONE;
  *out = s;
  return SG_OK;
}

void sgi_story_free(sgi_story *s) {
  if (s) sgi_free(s->stamps);
  if (s) sgi_free(s->used);
  sgi_free(s);
}

/* ---- text ------------------------------------------------------------------------------------ */

static void put(sgi_story *s, char c) {
  if (s->n + 2 < sizeof s->text)
    s->text[s->n++] = c;
  else
    s->full = true;
}

static char last_of(const sgi_story *s) { return s->n ? s->text[s->n - 1] : '\n'; }

/* Capitals at the start of sentences and quotes; no space twice, at the edge of a line or before a
 * mark. < and > are quotes; a full stop before > ends the sentence, ! and ? need not ("Really?" she
 * asked). */
static void emit_char(sgi_story *s, char c) {
  if (c == ' ') {
    if (s->sentence_end) s->capital = true;
    s->sentence_end = false;
    if (last_of(s) != ' ' && last_of(s) != '\n') put(s, ' ');
    return;
  }
  if (strchr("\n.,!?>", c) && last_of(s) == ' ') s->n--;
  if (c == '\n') {
    s->capital = true;
    s->sentence_end = false;
    put(s, c);
  } else if (c == '<') {
    put(s, '"');
    s->capital = true;
  } else if (c == '>') {
    s->sentence_end = last_of(s) == '.';
    s->capital = false;
    put(s, '"');
  } else {
    s->sentence_end = c == '.' || c == '!' || c == '?';
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (s->capital && c >= 'a' && c <= 'z') c = (char)(c - 'a' + 'A');
    if (letter) s->capital = false;
    put(s, c);
  }
}

static void emit(sgi_story *s, const char *p, size_t n) {
  for (size_t i = 0; i < n; i++) emit_char(s, p[i]);
}

static void emit_article(sgi_story *s) {
  emit(s, s->g->article, strlen(s->g->article));
  put(s, ARTICLE_MARK); /* the word behind it decides, and is not there yet */
}

static bool in_words(const json_t *words, const char *word, size_t n) {
  for (size_t i = 0; i < json_array_size(words); i++) {
    const json_t *w = json_array_get(words, i);
    if (json_string_length(w) == n && !memcmp(json_string_value(w), word, n)) return true;
  }
  return false;
}

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c; }

/* Replaces the marks by the tail of the article or nothing, counts words. */
static void finish(sgi_story *s) {
  char *text = s->text, raw[WORLDS_TEXT];
  while (s->n && (last_of(s) == ' ' || last_of(s) == '\n')) s->n--;
  memcpy(raw, text, s->n);
  size_t n = s->n, out = 0, words = 0;
  raw[n] = 0;
  for (size_t i = 0; i < n; i++) {
    if (raw[i] == ARTICLE_MARK) {
      const char *word = raw + i + 1;
      while (*word == ' ' || *word == '"') word++;
      size_t size = 0;
      char low[32];
      while (size < sizeof low &&
             ((word[size] >= 'a' && word[size] <= 'z') || (word[size] >= 'A' && word[size] <= 'Z')))
        low[size] = lower(word[size]), size++;
      bool vowel = size && strchr(s->g->vowels, low[0]);
      if (in_words(s->g->with, low, size)) vowel = true;
      if (in_words(s->g->without, low, size)) vowel = false;
      for (const char *t = s->g->tail; vowel && *t; t++) {
        if (out < sizeof s->text - 1)
          text[out++] = *t;
        else
          s->full = true;
      }
      continue;
    }
    bool space = raw[i] == ' ' || raw[i] == '\n';
    if (!space && (!i || raw[i - 1] == ' ' || raw[i - 1] == '\n')) words++;
    if (out < sizeof s->text - 1)
      text[out++] = raw[i];
    else
      s->full = true;
  }
  text[out] = 0;
  s->n = out;
  s->words = words;
}

/* ---- drawing --------------------------------------------------------------------------------- */

/* An entry that the story has not used, if there is one, and in any case none of the n in not[]. */
static uint32_t draw(sgi_story *s, uint32_t subset, const uint32_t * not, uint32_t n) {
  const worlds_subset *set = worlds_row(&s->g->subsets, subset);
  const uint32_t *picks = (const uint32_t *)s->g->picks.at + set->first;
  uint32_t i = 0;
  for (int k = 0; k < TRIES; k++) {
    i = (uint32_t)sgi_rng_below(&s->rng, set->n);
    if (s->stamps[picks[i]] != s->stamp) break;
  }
  for (uint32_t k = 0; k < set->n && s->stamps[picks[i]] == s->stamp; k++) i = (i + 1) % set->n;
  for (uint32_t k = 0; k < n;) /* the grammar is checked: the subset has more than n entries */
    if (not [k++] == picks[i]) i = (i + 1) % set->n, k = 0;
  s->stamps[picks[i]] = s->stamp;
  return picks[i];
}

static const worlds_cell *cell_at(const sgi_worlds *g, uint32_t entry, uint32_t column) {
  const worlds_entry *e = worlds_row(&g->entries, entry);
  return worlds_row(&g->cells, e->first_cell + column);
}

static bool is_reference(const sgi_worlds *g, uint32_t entry, uint32_t column) {
  const worlds_class *c = worlds_row(&g->classes, ((const worlds_entry *)worlds_row(&g->entries, entry))->class_);
  return ((const worlds_column *)worlds_row(&g->columns, c->first_column + column))->kind == WORLDS_REF;
}

/* Follows references; returns the entry they end in, and the cell unless the path ends in a
 * reference. */
static uint32_t follow(const sgi_worlds *g, uint32_t entry, const worlds_path *path, const worlds_cell **cell) {
  *cell = NULL;
  for (uint32_t i = 0; i < path->n; i++) {
    *cell = cell_at(g, entry, path->columns[i]);
    if (!is_reference(g, entry, path->columns[i])) break;
    entry = (*cell)->first;
    *cell = NULL;
  }
  return entry;
}

static void emit_entry(sgi_story *s, uint32_t entry, const worlds_path *path) {
  const worlds_cell *cell;
  entry = follow(s->g, entry, path, &cell);
  if (!cell) cell = cell_at(s->g, entry, 0);
  uint32_t i = 0;
  if (cell->n > 1) i = s->forced < cell->n ? s->forced : (uint32_t)sgi_rng_below(&s->rng, cell->n);
  const worlds_slice *text = worlds_row(&s->g->strings, cell->first + i);
  emit(s, text->p, text->n);
}

/* Puts base into pattern in place of '*'. */
static void emit_pattern(sgi_story *s, const char *pattern, worlds_slice base) {
  for (const char *p = pattern; *p; p++) {
    if (*p == '*')
      emit(s, base.p, base.n);
    else
      emit_char(s, *p);
  }
}

static uint32_t pronouns_of(const sgi_story *s, uint32_t variable) {
  const worlds_variable *v = worlds_row(&s->g->variables, variable);
  return cell_at(s->g, s->vars[variable], v->pronoun)->first;
}

/* A pronoun points to the person of its kind who was named last; at the start of a sentence, to the
 * person named last. */
static bool points_elsewhere(const sgi_story *s, uint32_t variable) {
  for (uint32_t v = 0; v < s->g->variables.n; v++)
    if (v != variable && s->named[v] > s->named[variable] &&
        (s->capital || pronouns_of(s, v) == pronouns_of(s, variable)))
      return true;
  return false;
}

static void emit_variable(sgi_story *s, const worlds_node *node) {
  const sgi_worlds *g = s->g;
  const worlds_variable *v = worlds_row(&g->variables, node->what);
  const worlds_class *c = worlds_row(&g->classes, v->class_);
  const char *instead = NULL;
  if (v->pronoun != WORLDS_NONE && node->path.n == 2 && node->path.columns[0] == v->pronoun) {
    const worlds_column *to = worlds_row(&g->columns, c->first_column + v->pronoun);
    const worlds_class *pronouns = worlds_row(&g->classes, to->ref_class);
    instead = ((const worlds_column *)worlds_row(&g->columns, pronouns->first_column + node->path.columns[1]))->instead;
  }
  if (instead && points_elsewhere(s, node->what)) {
    worlds_slice name = worlds_word(g, s->vars[node->what]);
    const char *star = strchr(instead, '*');
    emit_pattern(s, c->as ? c->as : "*", name);
    if (star) emit(s, star + 1, strlen(star + 1));
  } else {
    emit_entry(s, s->vars[node->what], &node->path);
  }
  if (v->pronoun != WORLDS_NONE && (instead || !node->path.n)) s->named[node->what] = ++s->clock;
}

static void expand(sgi_story *s, uint32_t choice, uint32_t depth);

static void expand_node(sgi_story *s, const worlds_node *node, uint32_t depth) {
  if (node->capital) s->capital = true;
  switch ((worlds_node_kind)node->kind) {
    case NODE_TEXT: emit(s, node->text.p, node->text.n); break;
    case NODE_ARTICLE: emit_article(s); break;
    case NODE_VAR: emit_variable(s, node); break;
    case NODE_RULE:
      /* A rule behind a closed quote begins a sentence, whatever mark stood in the quote. */
      if (s->n >= 2 && last_of(s) == ' ' && s->text[s->n - 2] == '"') s->capital = true;
      expand(s, ((const worlds_rule *)worlds_row(&s->g->rules, node->what))->choice, depth + 1);
      break;
    case NODE_CHOICE: expand(s, node->what, depth); break;
    case NODE_DRAW: {
      uint32_t n = node->low + (uint32_t)sgi_rng_below(&s->rng, node->high - node->low + 1U);
      uint32_t drawn[WORLDS_LIST];
      for (uint32_t i = 0; i < n; i++) {
        const char *between = !i ? "" : i + 1 == n ? s->g->and_ : s->g->comma;
        emit(s, between, strlen(between));
        if (node->article) {
          emit_article(s);
          emit_char(s, ' ');
        }
        drawn[i] = draw(s, node->what, drawn, i);
        emit_entry(s, drawn[i], &node->path);
      }
      break;
    }
  }
}

static uint32_t weighted_alternative(sgi_story *s, const worlds_choice *c) {
  uint32_t left = c->total > 1 ? (uint32_t)sgi_rng_below(&s->rng, c->total) : 0, at = c->first - 1;
  for (;;) {
    const worlds_alternative *a = worlds_row(&s->g->alternatives, at);
    if (left < a->weight) return at;
    left -= a->weight;
    at = a->next - 1;
  }
}

/* Past the grammar's depth limit the shortest alternative is taken, so every story ends. */
static void expand(sgi_story *s, uint32_t choice, uint32_t depth) {
  const worlds_choice *c = worlds_row(&s->g->choices, choice);
  const worlds_alternative *a = NULL;
  if (depth >= s->g->max_depth) {
    for (uint32_t i = c->first; i; i = ((const worlds_alternative *)worlds_row(&s->g->alternatives, i - 1))->next) {
      const worlds_alternative *b = worlds_row(&s->g->alternatives, i - 1);
      if (!a || b->depth < a->depth) a = b;
    }
  } else {
    for (int k = 0; k < TRIES; k++) { /* a story says things in different ways */
      uint32_t at = weighted_alternative(s, c);
      a = worlds_row(&s->g->alternatives, at);
      if (at >= s->n_used || c->total == a->weight) break;
      bool again = s->used[at] == s->stamp;
      s->used[at] = s->stamp;
      if (!again) break;
    }
  }
  for (uint32_t i = a->first_node; i && !s->full;) {
    const worlds_node *node = worlds_row(&s->g->nodes, i - 1);
    expand_node(s, node, depth);
    i = node->next;
  }
}

static void start(sgi_story *s) {
  s->n = 0;
  s->full = s->sentence_end = false;
  s->capital = true;
  if (!++s->stamp) {
    memset(s->stamps, 0, s->g->entries.n * sizeof *s->stamps);
    memset(s->used, 0, s->n_used * sizeof *s->used);
    s->stamp = 1;
  }
  memset(s->named, 0, sizeof s->named);
  s->clock = 0;
}

void sgi_story_expand(sgi_story *s, uint32_t choice) {
  start(s);
  expand(s, choice, 0);
  finish(s);
}

static uint32_t weighted(sgi_story *s, const worlds_list *rows, uint32_t first, uint32_t total, size_t weight_offset) {
  uint32_t left = (uint32_t)sgi_rng_below(&s->rng, total), i = first;
  for (;; i++) {
    uint32_t weight;
    memcpy(&weight, (const char *)worlds_row(rows, i) + weight_offset, sizeof weight);
    if (left < weight) return i;
    left -= weight;
  }
}

/* Some sentence stands there twice. */
static bool repeats_itself(const sgi_story *s) {
  worlds_slice all[SENTENCES];
  size_t at = 0, n = 0;
  for (worlds_slice one; (one = sgi_worlds_sentence(s->text, s->n, &at)).n; all[n++] = one) {
    if (n == SENTENCES) return true; /* more than WORLDS_MAX_WORDS allow in plain prose */
    for (size_t i = 0; i < n; i++)
      if (worlds_same(all[i], one)) return true;
  }
  return false;
}

bool sgi_story_draw(sgi_story *s) {
  const sgi_worlds *g = s->g;
  start(s);
  s->topic = weighted(s, &g->topics, 0, g->topic_weight, offsetof(worlds_topic, weight));
  const worlds_topic *t = worlds_row(&g->topics, s->topic);
  s->plot = weighted(s, &g->plots, t->first_plot, t->plot_weight, offsetof(worlds_plot, weight));
  const worlds_plot *p = worlds_row(&g->plots, s->plot);
  for (uint32_t i = 0; i < p->n_binds; i++) {
    const worlds_bind *b = worlds_row(&g->binds, p->first_bind + i);
    const worlds_cell *cell;
    uint32_t entry =
        b->subset != WORLDS_NONE ? draw(s, b->subset, NULL, 0) : follow(g, s->vars[b->source], &b->path, &cell);
    s->stamps[entry] = s->stamp;
    s->vars[b->variable] = entry;
  }
  for (uint32_t i = 0; i < p->n_slots; i++) {
    emit_char(s, ' ');
    s->capital = true;
    expand(s, *(const uint32_t *)worlds_row(&g->slots, p->first_slot + i), 0);
  }
  finish(s);
  return !s->full && s->words >= SGI_WORLDS_MIN_WORDS && s->words <= SGI_WORLDS_MAX_WORDS && !repeats_itself(s);
}
