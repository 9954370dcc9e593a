/* Templates, rules and plots: from JSON to nodes, and the checks that make a story of them
 * impossible to get wrong: every name exists, every rule ends and is used, every plot binds the
 * variables that its text names. */
#include <stdio.h>
#include <string.h>

#include "core/arena.h"
#include "text/worlds.h"

enum { MAX_NESTING = 8, MAX_WEIGHT = 1000 };

typedef struct parser {
  sgi_worlds *g;
  const char *where, *p, *end;
  uint32_t rule, *uses;
  unsigned nesting;
  bool quote; /* inside < > */
  sg_error *err;
} parser;

static sg_status mistake(const parser *q, const char *what, worlds_slice found) {
  return sgi_fail(q->err, SG_ERR_FORMAT, "%s: %s: \"%.*s\"", q->where, what, (int)found.n, found.p);
}

static uint32_t find_rule(const sgi_worlds *g, worlds_slice name) {
  for (uint32_t i = 0; i < g->rules.n; i++)
    if (worlds_same(worlds_slice_of(((const worlds_rule *)worlds_row(&g->rules, i))->name), name)) return i;
  return WORLDS_NONE;
}

uint32_t sgi_worlds_find_variable(const sgi_worlds *g, worlds_slice name) {
  for (uint32_t i = 0; i < g->variables.n; i++)
    if (worlds_same(worlds_slice_of(((const worlds_variable *)worlds_row(&g->variables, i))->name), name)) return i;
  return WORLDS_NONE;
}

static sg_status use_rule(sgi_worlds *g, uint32_t from, uint32_t to, sg_error *err) {
  worlds_edge *e = sgi_worlds_add(&g->edges);
  if (!e) return sgi_fail_memory(err, g->edges.size, "rules of worlds");
  *e = (worlds_edge){from, to};
  return SG_OK;
}

/* {#rule}, {a}, {variable.column}, {class/tag.column}, {2-3 class/tag.column}, {2-3 a class}; a
 * capital first letter of the name asks for a capital in the text. */
static sg_status parse_slot(parser *q, worlds_slice body, worlds_node *node) {
  sgi_worlds *g = q->g;
  worlds_slice whole = body;
  *node = (worlds_node){.low = 1, .high = 1};
  if (body.n == 1 && body.p[0] == 'a') {
    node->kind = NODE_ARTICLE;
    return SG_OK;
  }
  if (body.n && body.p[0] == '#') {
    uint32_t rule = find_rule(g, (worlds_slice){body.p + 1, body.n - 1});
    if (rule == WORLDS_NONE) return mistake(q, "there is no such rule", whole);
    node->kind = NODE_RULE;
    node->what = rule;
    return use_rule(g, q->rule, rule, q->err);
  }
  bool list = body.n && body.p[0] >= '1' && body.p[0] <= '9';
  if (list) {
    node->low = node->high = (uint8_t)(body.p[0] - '0');
    body.p++, body.n--;
    if (body.n > 2 && body.p[0] == '-') {
      node->high = (uint8_t)(body.p[1] - '0');
      body.p += 2, body.n -= 2;
    }
    if (node->high < node->low || node->high > WORLDS_LIST || !body.n || body.p[0] != ' ')
      return mistake(q, "an enumeration is written {2-3 class.column}", whole);
    body.p++, body.n--;
    if (body.n > 2 && !memcmp(body.p, "a ", 2)) {
      node->article = 1;
      body.p += 2, body.n -= 2;
    }
  }
  char lower[64];
  if (!body.n || body.n >= sizeof lower) return mistake(q, "a slot needs a short name", whole);
  memcpy(lower, body.p, body.n);
  if (lower[0] >= 'A' && lower[0] <= 'Z') {
    lower[0] = (char)(lower[0] - 'A' + 'a');
    node->capital = 1;
  }
  const char *dot = memchr(body.p, '.', body.n);
  worlds_slice path = {0};
  uint32_t head = dot ? (uint32_t)(dot - body.p) : body.n;
  if (dot) path = (worlds_slice){dot + 1, body.n - head - 1};
  const char *slash = memchr(body.p, '/', head);
  uint32_t name_size = slash ? (uint32_t)(slash - body.p) : head;
  worlds_slice name = {lower, name_size}, tag = {0};
  if (slash) tag = (worlds_slice){slash + 1, head - name_size - 1};
  uint32_t variable = list || slash ? WORLDS_NONE : sgi_worlds_find_variable(g, name), class_;
  if (variable != WORLDS_NONE) {
    node->kind = NODE_VAR;
    node->what = variable;
    class_ = ((const worlds_variable *)worlds_row(&g->variables, variable))->class_;
    *q->uses |= UINT32_C(1) << variable;
  } else {
    node->kind = NODE_DRAW;
    class_ = sgi_worlds_find_class(g, name);
    if (class_ == WORLDS_NONE) return mistake(q, "there is no such variable or class", whole);
    sg_status st = sgi_worlds_subset(g, q->where, class_, tag, &node->what, q->err);
    if (st) return st;
    const worlds_subset *s = worlds_row(&g->subsets, node->what);
    if (s->n < node->high) return mistake(q, "the class is too small for this enumeration", whole);
  }
  return sgi_worlds_path(g, q->where, class_, path, &node->path, NULL, q->err);
}

static sg_status parse_choice(parser *q, uint32_t *out);

/* Nodes up to the end, or to '|' or ')' inside parentheses. *first is row + 1, 0 for nothing. */
static sg_status parse_sequence(parser *q, uint32_t *first) {
  uint32_t last = 0;
  *first = 0;
  while (q->p < q->end && !(q->nesting && (*q->p == '|' || *q->p == ')'))) {
    worlds_node node = {0};
    sg_status st = SG_OK;
    if (*q->p == '{') {
      const char *close = memchr(q->p, '}', (size_t)(q->end - q->p));
      worlds_slice body = {q->p + 1, close ? (uint32_t)(close - q->p - 1) : 0};
      if (!close) return mistake(q, "a slot is not closed by }", (worlds_slice){q->p, (uint32_t)(q->end - q->p)});
      st = parse_slot(q, body, &node);
      q->p = close + 1;
    } else if (*q->p == '(') {
      node.kind = NODE_CHOICE;
      q->p++;
      q->nesting++;
      if (q->nesting > MAX_NESTING) return mistake(q, "parentheses are nested too deep", (worlds_slice){q->p, 0});
      st = parse_choice(q, &node.what);
      if (!st && (q->p >= q->end || *q->p != ')'))
        return mistake(q, "a parenthesis is not closed", (worlds_slice){q->p, 0});
      q->p++;
      q->nesting--;
    } else {
      node.kind = NODE_TEXT;
      node.text.p = q->p;
      for (; q->p < q->end && !strchr(q->nesting ? "{(|)" : "{(", *q->p); q->p++) {
        if (strchr("})|\"", *q->p)) return mistake(q, "this sign opens or closes nothing", (worlds_slice){q->p, 1});
        if ((*q->p == '<') == q->quote && strchr("<>", *q->p))
          return mistake(q, "< and > must take turns", (worlds_slice){node.text.p, (uint32_t)(q->end - node.text.p)});
        if (*q->p == '<' || *q->p == '>') q->quote = !q->quote;
      }
      node.text.n = (uint32_t)(q->p - node.text.p);
    }
    if (st) return st;
    worlds_node *row = sgi_worlds_add(&q->g->nodes);
    if (!row) return sgi_fail_memory(q->err, q->g->nodes.size, "nodes of worlds");
    *row = node;
    uint32_t id = (uint32_t)q->g->nodes.n;
    if (last) ((worlds_node *)worlds_row(&q->g->nodes, last - 1))->next = id;
    if (!last) *first = id;
    last = id;
  }
  return SG_OK;
}

/* One alternative, "3*text" for weight 3, put behind *last (row + 1) of the choice. */
static sg_status parse_alternative(parser *q, worlds_choice *choice, uint32_t *last) {
  uint32_t weight = 0;
  const char *p = q->p;
  for (; p < q->end && *p >= '0' && *p <= '9' && weight < MAX_WEIGHT; p++) weight = 10 * weight + (uint32_t)(*p - '0');
  if (p > q->p && p < q->end && *p == '*') {
    q->p = p + 1;
    if (!weight || weight > MAX_WEIGHT) return mistake(q, "a weight is 1 to 1000", (worlds_slice){q->p, 0});
  } else {
    weight = 1;
  }
  bool quote = q->quote;
  uint32_t first;
  sg_status st = parse_sequence(q, &first);
  if (st) return st;
  if (q->quote != quote)
    return mistake(q, "< and > must be closed in one alternative", (worlds_slice){p, (uint32_t)(q->p - p)});
  worlds_alternative *row = sgi_worlds_add(&q->g->alternatives);
  if (!row) return sgi_fail_memory(q->err, q->g->alternatives.size, "alternatives of worlds");
  *row = (worlds_alternative){weight, first, 0, WORLDS_NONE};
  uint32_t id = (uint32_t)q->g->alternatives.n;
  if (*last)
    ((worlds_alternative *)worlds_row(&q->g->alternatives, *last - 1))->next = id;
  else
    choice->first = id;
  *last = id;
  choice->total += weight;
  return SG_OK;
}

static sg_status add_choice(sgi_worlds *g, worlds_choice made, uint32_t *out, sg_error *err) {
  worlds_choice *row = sgi_worlds_add(&g->choices);
  if (!row) return sgi_fail_memory(err, g->choices.size, "choices of worlds");
  *row = made;
  *out = (uint32_t)g->choices.n - 1;
  return SG_OK;
}

static sg_status parse_choice(parser *q, uint32_t *out) {
  worlds_choice made = {0};
  uint32_t last = 0;
  for (;;) {
    sg_status st = parse_alternative(q, &made, &last);
    if (st) return st;
    if (q->p >= q->end || *q->p != '|') break;
    q->p++;
  }
  return add_choice(q->g, made, out, q->err);
}

sg_status sgi_worlds_choice(sgi_worlds *g, const char *where, const json_t *text, uint32_t rule, uint32_t *uses,
                            uint32_t *out, sg_error *err) {
  size_t n = json_is_array(text) ? json_array_size(text) : 1;
  worlds_choice made = {0};
  uint32_t last = 0;
  for (size_t i = 0; i < n; i++) {
    const json_t *item = json_is_array(text) ? json_array_get(text, i) : text;
    if (!json_is_string(item)) break;
    char place[200];
    snprintf(place, sizeof place, "%s, alternative %zu", where, i + 1);
    const char *p = json_string_value(item);
    parser q = {
        .g = g, .where = place, .p = p, .end = p + json_string_length(item), .rule = rule, .uses = uses, .err = err};
    sg_status st = parse_alternative(&q, &made, &last);
    if (st) return st;
    if (i + 1 == n) return add_choice(g, made, out, err);
  }
  return sgi_fail(err, SG_ERR_FORMAT, "%s: expected a string or an array of strings", where);
}

/* ---- checks ---------------------------------------------------------------------------------- */

static uint32_t choice_depth(const sgi_worlds *g, uint32_t choice);

/* Rules that must be passed at least to finish the alternative, from what is known of the rules so
 * far. */
static uint32_t alternative_depth(const sgi_worlds *g, worlds_alternative *a) {
  uint32_t depth = 0;
  for (uint32_t i = a->first_node; i;) {
    const worlds_node *node = worlds_row(&g->nodes, i - 1);
    uint32_t d = 0;
    if (node->kind == NODE_RULE) {
      d = choice_depth(g, ((const worlds_rule *)worlds_row(&g->rules, node->what))->choice);
      if (d != WORLDS_NONE) d++;
    } else if (node->kind == NODE_CHOICE) {
      d = choice_depth(g, node->what);
    }
    if (d > depth) depth = d;
    i = node->next;
  }
  return depth;
}

static uint32_t choice_depth(const sgi_worlds *g, uint32_t choice) {
  const worlds_choice *c = worlds_row(&g->choices, choice);
  uint32_t best = WORLDS_NONE;
  for (uint32_t i = c->first; i;) {
    const worlds_alternative *a = worlds_row(&g->alternatives, i - 1);
    if (a->depth < best) best = a->depth;
    i = a->next;
  }
  return best;
}

/* Follows the rules: how deep they go, which variables they need, which are used at all. */
sg_status sgi_worlds_check(sgi_worlds *g, sg_error *err) {
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t i = 0; i < g->alternatives.n; i++) {
      worlds_alternative *a = worlds_row(&g->alternatives, i);
      uint32_t depth = alternative_depth(g, a);
      if (depth < a->depth) a->depth = depth, changed = true;
    }
    for (size_t i = 0; i < g->edges.n; i++) {
      const worlds_edge *e = worlds_row(&g->edges, i);
      const worlds_rule *to = worlds_row(&g->rules, e->to);
      if (e->from == WORLDS_NONE) {
        ((worlds_rule *)worlds_row(&g->rules, e->to))->reached = 1;
        continue;
      }
      worlds_rule *from = worlds_row(&g->rules, e->from);
      uint32_t uses = from->uses | to->uses;
      if (uses != from->uses) from->uses = uses, changed = true;
    }
    for (size_t i = 0; i < g->edges.n; i++) {
      const worlds_edge *e = worlds_row(&g->edges, i);
      if (e->from == WORLDS_NONE || !((const worlds_rule *)worlds_row(&g->rules, e->from))->reached) continue;
      worlds_rule *to = worlds_row(&g->rules, e->to);
      if (!to->reached) to->reached = 1, changed = true;
    }
  }
  for (uint32_t i = 0; i < g->rules.n; i++) {
    const worlds_rule *r = worlds_row(&g->rules, i);
    if (choice_depth(g, r->choice) == WORLDS_NONE)
      return sgi_fail(err, SG_ERR_FORMAT, "%s: rule \"%s\" never ends: give it an alternative without itself", r->file,
                      r->name);
    if (!r->reached) return sgi_fail(err, SG_ERR_FORMAT, "%s: rule \"%s\" is used by no plot", r->file, r->name);
  }
  for (size_t i = 0; i < g->plots.n; i++) {
    const worlds_plot *p = worlds_row(&g->plots, i);
    const worlds_topic *t = worlds_row(&g->topics, p->topic);
    for (uint32_t k = 0; k <= p->n_edges; k++) {
      const worlds_rule *r = NULL;
      if (k < p->n_edges)
        r = worlds_row(&g->rules, ((const worlds_edge *)worlds_row(&g->edges, p->first_edge + k))->to);
      uint32_t missing = (r ? r->uses : p->uses) & ~p->bound;
      if (!missing) continue;
      const worlds_variable *v = worlds_row(&g->variables, (size_t)__builtin_ctz(missing));
      return sgi_fail(err, SG_ERR_FORMAT, "%s: plot \"%s\" does not bind the variable \"%s\" that %s%s%s needs",
                      t->file, p->name, v->name, r ? "rule \"" : "one of its slots", r ? r->name : "", r ? "\"" : "");
    }
  }
  return SG_OK;
}
