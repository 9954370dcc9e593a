/* pattern_translate.c: a regular expression of a tokenizer.json, which Hugging Face's library gives
 * to Oniguruma with Ruby's rules, as PCRE2 writes it. Constructs that the two read alike are
 * copied, ^ and $ (Ruby's are those of lines), \v and \u are written otherwise; all that has
 * another meaning there, or might have, is refused: a split that silently did something else would
 * give other ids. */
#include <stdio.h>

#include "text/pattern.h"
#include "text/unicode.h"

enum { MAX_GROUPS = 64, MAX_REPEAT = 1000 };

/* What a part of a class or an escape stands for. */
typedef enum part { NOTHING, ONE_CHARACTER, SET, RANGE } part;

typedef struct group {
  bool look, any_case; /* a look-around; letters of either case match */
} group;

typedef struct translation {
  const char *text, *where;
  size_t n, at;
  sgi_bytes *out;
  sg_error *err;
  group groups[MAX_GROUPS];
  size_t depth;
  bool repeatable; /* a quantifier may stand here */
  uint32_t before; /* the literal just before, 0: none */
} translation;

static sg_status refuse(const translation *t, size_t at, const char *what) {
  return sgi_fail(t->err, SG_ERR_UNSUPPORTED, "%s: byte %zu of the pattern: %s is not supported", t->where, at, what);
}

static sg_status put(translation *t, const char *text) {
  return sgi_bytes_add(t->out, text, strlen(text)) ? SG_OK : sgi_fail_memory(t->err, t->n, "a pattern");
}

static sg_status put_point(translation *t, uint32_t c) {
  char text[16];
  bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
  snprintf(text, sizeof text, plain ? "%c" : "\\x{%X}", (int)c);
  return put(t, text);
}

static char next(const translation *t, size_t k) { return t->at + k < t->n ? t->text[t->at + k] : '\0'; }
static bool follows(const translation *t, const char *text) {
  size_t n = strlen(text);
  return t->n - t->at >= n && !memcmp(t->text + t->at, text, n);
}

/* ---- escapes ------------------------------------------------------------------------- */

static sg_status hexadecimal(translation *t, size_t begin, size_t digits, uint32_t *c) {
  *c = 0;
  for (size_t k = 0; k < digits; k++) {
    char d = t->at < t->n ? t->text[t->at++] : '\0';
    int value = d >= '0' && d <= '9' ? d - '0' : (d | 32) >= 'a' && (d | 32) <= 'f' ? (d | 32) - 'a' + 10 : -1;
    if (value < 0) return refuse(t, begin, "an escape without its digits");
    *c = *c << 4 | (uint32_t)value;
  }
  return *c > 0x10FFFF || (*c >= 0xD800 && *c < 0xE000) ? refuse(t, begin, "an escape of no character") : SG_OK;
}

static sg_status code_point(translation *t, size_t begin, char kind, uint32_t *c) {
  if (kind == 'u') return hexadecimal(t, begin, 4, c);
  if (next(t, 0) != '{') {
    sg_status st = hexadecimal(t, begin, 2, c);
    return !st && *c > 0x7F ? refuse(t, begin, "an escape of a byte") : st;
  }
  size_t digits = 0;
  for (t->at++; digits < 6 && next(t, digits) && next(t, digits) != '}';) digits++;
  sg_status st = digits && next(t, digits) == '}' ? hexadecimal(t, begin, digits, c)
                                                  : refuse(t, begin, "an escape without its digits");
  t->at++;
  return st;
}

/* \p{Lu}, \P{L}, \p{^L}: a general category by its short name, or the long name of a first letter.
 */
static sg_status category(translation *t, size_t begin, char kind) {
  static const char *const names[] = {"L",  "Lu", "Ll", "Lt", "Lm", "Lo", "M",  "Mn", "Mc", "Me", "N",  "Nd",
                                      "Nl", "No", "P",  "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "S",  "Sm",
                                      "Sc", "Sk", "So", "Z",  "Zs", "Zl", "Zp", "C",  "Cc", "Cf", "Cn", "Co"};
  static const char *const long_names[] = {"Letter", "Mark", "Number", "Punctuation", "Symbol", "Separator", "Other"};
  const char *end = next(t, 0) == '{' ? memchr(t->text + t->at, '}', t->n - t->at) : NULL;
  if (!end) return refuse(t, begin, "a property without braces");
  bool not = next(t, 1) == '^';
  const char *name = t->text + t->at + 1 + not ;
  size_t n = (size_t)(end - name);
  char found[16] = "";
  for (size_t i = 0; i < SGI_COUNT(names); i++)
    if (strlen(names[i]) == n && !memcmp(names[i], name, n)) snprintf(found, sizeof found, "%s", names[i]);
  for (size_t i = 0; i < SGI_COUNT(long_names); i++)
    if (strlen(long_names[i]) == n && !memcmp(long_names[i], name, n))
      snprintf(found, sizeof found, "%c", "LMNPSZC"[i]);
  if (!*found) return refuse(t, begin, "a property that is no general category");
  char text[24];
  snprintf(text, sizeof text, "\\%c{%s}", not == (kind == 'P') ? 'p' : 'P', found);
  t->at = (size_t)(end - t->text) + 1;
  return put(t, text);
}

/* The escape at at, behind its backslash at begin. *c of ONE_CHARACTER, which is not put out yet; a
 * SET is. */
static sg_status escape(translation *t, part *kind, uint32_t *c) {
  static const char controls[] = "rntfave", values[] = "\r\n\t\f\a\v\033";
  size_t begin = t->at++;
  if (t->at == t->n) return refuse(t, begin, "a backslash at the end");
  char e = t->text[t->at];
  const char *control = strchr(controls, e);
  *kind = ONE_CHARACTER;
  if ((unsigned char)e >= 0x80) {
    t->at += sgi_utf8_next(t->text + t->at, t->n - t->at, c);
    return SG_OK;
  }
  t->at++;
  if (control) return *c = (unsigned char)values[control - controls], SG_OK;
  if (e == 'x' || e == 'u') return code_point(t, begin, e, c);
  if (e == 'p' || e == 'P') return *kind = SET, category(t, begin, e);
  if (e == 's' || e == 'S' || e == 'd' || e == 'D') return *kind = SET, put(t, (char[]){'\\', e, '\0'});
  char what[8] = {'\\', e};
  bool letter = (e >= '0' && e <= '9') || (e >= 'A' && e <= 'Z') || (e >= 'a' && e <= 'z');
  *c = (unsigned char)e;
  return letter ? refuse(t, begin, what) : SG_OK;
}

/* ---- classes ------------------------------------------------------------------------- */

/* One character or set of a class; a character is not put out yet. */
static sg_status class_part(translation *t, part *kind, uint32_t *c) {
  if (next(t, 0) == '\\') return escape(t, kind, c);
  if (next(t, 0) == '[') return refuse(t, t->at, next(t, 1) == ':' ? "[:...:]" : "a class in a class");
  if (follows(t, "&&")) return refuse(t, t->at, "&&");
  *kind = ONE_CHARACTER;
  t->at += sgi_utf8_next(t->text + t->at, t->n - t->at, c);
  return SG_OK;
}

/* Behind a character: the rest of a range, if it is one. */
static sg_status class_range(translation *t, uint32_t first, part *kind) {
  uint32_t last;
  size_t at = t->at;
  sg_status st = put_point(t, first);
  if (st || next(t, 0) != '-' || next(t, 1) == ']' || t->at + 1 == t->n) return st;
  t->at++;
  if ((st = class_part(t, kind, &last))) return st;
  if (*kind != ONE_CHARACTER || last < first) return refuse(t, at, "a range that does not end in a later character");
  *kind = RANGE;
  return (st = put(t, "-")) ? st : put_point(t, last);
}

static sg_status class(translation *t) {
  size_t begin = t->at++;
  part before = NOTHING;
  sg_status st = put(t, "[");
  if (!st && next(t, 0) == '^') t->at++, st = put(t, "^");
  if (!st && next(t, 0) == ']') return refuse(t, t->at, "] as the first of a class");
  while (!st && t->at < t->n && t->text[t->at] != ']') {
    part kind;
    uint32_t c = 0;
    bool hyphen = t->text[t->at] == '-', last = next(t, 1) == ']';
    if (hyphen && !last && before != NOTHING) return refuse(t, t->at, "a hyphen behind a range or a set");
    st = class_part(t, &kind, &c);
    if (!st && kind == ONE_CHARACTER) st = class_range(t, c, &kind);
    before = kind;
  }
  if (!st && t->at == t->n) return refuse(t, begin, "a class without its end");
  t->at++;
  t->repeatable = true;
  return st ? st : put(t, "]");
}

/* ---- groups, quantifiers, literals --------------------------------------------------- */

static sg_status open_group(translation *t) {
  static const struct {
    const char *text;
    bool look;
    int any_case; /* -1: as outside */
  } kinds[] = {{"(?:", 0, -1},  {"(?=", 1, -1},  {"(?!", 1, -1}, {"(?>", 0, -1},
               {"(?<=", 1, -1}, {"(?<!", 1, -1}, {"(?i:", 0, 1}, {"(?-i:", 0, 0}};
  if (t->depth + 1 == MAX_GROUPS) return refuse(t, t->at, "a group that deep");
  group inner = {.any_case = t->groups[t->depth].any_case};
  const char *text = next(t, 1) == '?' ? NULL : "(";
  for (size_t i = 0; i < SGI_COUNT(kinds) && !text; i++) {
    if (!follows(t, kinds[i].text)) continue;
    text = kinds[i].text;
    inner.look = kinds[i].look;
    if (kinds[i].any_case >= 0) inner.any_case = kinds[i].any_case;
  }
  if (!text) return refuse(t, t->at, "a group that begins so");
  t->groups[++t->depth] = inner;
  t->at += strlen(text);
  t->repeatable = false;
  return put(t, text);
}

static sg_status close_group(translation *t) {
  if (!t->depth) return refuse(t, t->at, ") without (");
  t->repeatable = !t->groups[t->depth--].look;
  t->at++;
  return put(t, ")");
}

static size_t number(const translation *t, size_t *at) {
  size_t value = 0;
  for (; *at < t->n && t->text[*at] >= '0' && t->text[*at] <= '9'; ++*at)
    if (value <= MAX_REPEAT) value = 10 * value + (size_t)(t->text[*at] - '0');
  return value;
}

/* {2}, {2,} or {2,3}; lazy and possessive ones mean something else in Ruby. */
static sg_status braces(translation *t) {
  size_t at = t->at + 1, begin = at, least = number(t, &at), most = least;
  bool digits = at > begin;
  if (at < t->n && t->text[at] == ',') {
    begin = ++at;
    most = number(t, &at);
    if (at == begin) most = MAX_REPEAT;
  }
  if (!digits || at == t->n || t->text[at] != '}' || least > most || most > MAX_REPEAT || !t->repeatable)
    return refuse(t, t->at, "{ that is no count of 0 to 1000");
  at++;
  if (at < t->n && strchr("?+*{", t->text[at])) return refuse(t, at, "a second quantifier");
  if (!sgi_bytes_add(t->out, t->text + t->at, at - t->at)) return sgi_fail_memory(t->err, t->n, "a pattern");
  t->at = at;
  t->repeatable = false;
  return SG_OK;
}

static sg_status quantifier(translation *t) {
  char text[3] = {t->text[t->at]};
  if (!t->repeatable) return refuse(t, t->at, "a quantifier here");
  t->at++;
  if (next(t, 0) == '?' || next(t, 0) == '+') text[1] = t->text[t->at++];
  if (next(t, 0) && strchr("?+*{", next(t, 0))) return refuse(t, t->at, "a second quantifier");
  t->repeatable = false;
  return put(t, text);
}

/* Oniguruma lets one character (the ligature of s and t) match two letters where case does not
 * matter. */
static bool folds_to_one(uint32_t a, uint32_t b) {
  a |= 32, b |= 32;
  return (a == 's' && (b == 's' || b == 't')) || (a == 'f' && (b == 'f' || b == 'i' || b == 'l'));
}

static sg_status literal(translation *t, uint32_t c) {
  bool any_case = t->groups[t->depth].any_case;
  if (any_case && (c >= 0x80 || folds_to_one(t->before, c)))
    return refuse(t, t->at, "this text where case does not matter");
  t->before = c;
  t->repeatable = true;
  return put_point(t, c);
}

static sg_status one(translation *t) {
  part kind;
  uint32_t c;
  size_t out;
  uint32_t before = t->before;
  t->before = 0;
  switch (t->text[t->at]) {
    case '[': return class(t);
    case '(': return open_group(t);
    case ')': return close_group(t);
    case '{': return braces(t);
    case '*':
    case '+':
    case '?': return quantifier(t);
    case '.': return t->at++, t->repeatable = true, put(t, ".");
    case '|': return t->at++, t->repeatable = false, put(t, "|");
    case '^': return t->at++, t->repeatable = false, put(t, "(?m:^)");
    case '$': return t->at++, t->repeatable = false, put(t, "(?m:$)");
    case '\\':
      out = t->at;
      t->repeatable = true;
      sg_status st = escape(t, &kind, &c);
      if (st || kind == SET) return st;
      if (t->groups[t->depth].any_case && c >= 0x80) return refuse(t, out, "this text where case does not matter");
      t->before = before;
      return literal(t, c);
    default:
      t->at += sgi_utf8_next(t->text + t->at, t->n - t->at, &c);
      t->before = before;
      return literal(t, c);
  }
}

sg_status sgi_pattern_translate(const char *text, size_t n, const char *where, sgi_bytes *out, sg_error *err) {
  translation t = {.text = text, .where = where, .n = n, .out = out, .err = err};
  if (!sgi_utf8_valid(text, n) || memchr(text, 0, n)) return refuse(&t, 0, "a text that is no UTF-8");
  sg_status st = SG_OK;
  while (!st && t.at < n) st = one(&t);
  if (!st && t.depth) return refuse(&t, n, "the end inside a group");
  return st;
}
