#include "text/pretokenize.h"

#include "text/category.h"
#include "text/unicode.h"

typedef struct cutting {
  const sgi_cut *cuts;
  size_t n_cuts;
  sgi_matcher *m;
  const char *text, *seen;
  sgi_piece piece;
  void *user;
} cutting;

/* One cut at work: elements (matches and what lies between) come in order, pieces leave. */
typedef struct cutter {
  const cutting *all;
  size_t depth;
  bool held, held_match; /* the element before waits for what comes: [begin, end) */
  size_t begin, end;
} cutter;

static sgi_found run(const cutting *all, size_t depth, size_t begin, size_t end);

static sgi_found leave(cutter *c, size_t begin, size_t end) {
  return begin < end ? run(c->all, c->depth + 1, begin, end) : SGI_FOUND;
}

static sgi_found let_go(cutter *c) {
  bool held = c->held;
  c->held = false;
  return held ? leave(c, c->begin, c->end) : SGI_FOUND;
}

static sgi_found hold(cutter *c, size_t begin, size_t end, bool match) {
  sgi_found f = let_go(c);
  c->held = true;
  c->held_match = match;
  c->begin = begin;
  c->end = end;
  return f;
}

static sgi_found element(cutter *c, size_t begin, size_t end, bool match) {
  const sgi_cut *cut = &c->all->cuts[c->depth];
  match ^= cut->invert;
  switch (cut->behavior) {
    case SGI_ISOLATED: return leave(c, begin, end);
    case SGI_REMOVED: return match ? SGI_FOUND : leave(c, begin, end);
    case SGI_CONTIGUOUS:
      if (!c->held || c->held_match != match) return hold(c, begin, end, match);
      c->end = end;
      return SGI_FOUND;
    case SGI_MERGED_WITH_PREVIOUS:
      if (!match || !c->held || c->held_match) return hold(c, begin, end, match);
      c->end = end;
      c->held_match = true;
      return SGI_FOUND;
    case SGI_MERGED_WITH_NEXT: break;
  }
  if (match) return hold(c, begin, end, true);
  if (c->held) begin = c->begin;
  c->held = false;
  return leave(c, begin, end);
}

static sgi_found by_pattern(cutter *c, const sgi_pattern *p, size_t begin, size_t end) {
  sgi_matcher own = *c->all->m; /* where this cut stands; cuts behind it use the same context */
  const char *text = c->all->seen + begin;
  size_t n = end - begin, from, to, done = 0;
  sgi_found f = SGI_FOUND, found;
  sgi_pattern_start(&own);
  for (;;) {
    own.steps = c->all->m->steps;
    found = sgi_pattern_next(p, &own, text, n, &from, &to);
    c->all->m->steps = own.steps;
    if (found != SGI_FOUND) break;
    if (from > done) f = element(c, begin + done, begin + from, false);
    if (f == SGI_FOUND) f = element(c, begin + from, begin + to, true);
    if (f != SGI_FOUND) return f;
    done = to;
  }
  if (found != SGI_FOUND_NONE) return found;
  return done < n ? element(c, begin + done, end, false) : SGI_FOUND;
}

static sgi_found by_class(cutter *c, bool (*in)(uint32_t), size_t begin, size_t end) {
  const char *text = c->all->text;
  size_t done = begin;
  sgi_found f = SGI_FOUND;
  for (size_t at = begin, length; at < end && f == SGI_FOUND; at += length) {
    uint32_t point;
    length = sgi_utf8_next(text + at, end - at, &point);
    if (!in(point)) continue;
    if (at > done) f = element(c, done, at, false);
    if (f == SGI_FOUND) f = element(c, at, at + length, true);
    done = at + length;
  }
  return f == SGI_FOUND && done < end ? element(c, done, end, false) : f;
}

static sgi_found run(const cutting *all, size_t depth, size_t begin, size_t end) {
  if (depth == all->n_cuts) return all->piece(all->user, begin, end);
  const sgi_cut *cut = &all->cuts[depth];
  cutter c = {.all = all, .depth = depth};
  sgi_found f = cut->kind == SGI_CUT_PATTERN  ? by_pattern(&c, cut->pattern, begin, end)
                : cut->kind == SGI_CUT_DIGITS ? by_class(&c, sgi_is_digit, begin, end)
                                              : by_class(&c, sgi_is_punctuation, begin, end);
  return f == SGI_FOUND ? let_go(&c) : f;
}

sgi_found sgi_cut_text(const sgi_cut *cuts, size_t n_cuts, sgi_matcher *m, const char *text, const char *seen,
                       size_t begin, size_t end, sgi_piece piece, void *user) {
  const cutting all = {cuts, n_cuts, m, text, seen, piece, user};
  return begin < end ? run(&all, 0, begin, end) : SGI_FOUND;
}
