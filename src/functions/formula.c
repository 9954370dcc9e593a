#include "functions/formula.h"

#include <ctype.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/arena.h"

/* ---- printing -------------------------------------------------------------------------------- */

typedef struct writing {
  char *text;
  size_t n, capacity;
  bool lost;
} writing;

static void put(writing *w, const char *format, ...) SG_PRINTF(2, 3);
static void put(writing *w, const char *format, ...) {
  char part[96];
  va_list ap;
  va_start(ap, format);
  int n = vsnprintf(part, sizeof part, format, ap);
  va_end(ap);
  for (int i = 0; i <= n && i < (int)sizeof part && !w->lost; i++) {
    w->lost = !sgi_room(&w->text, &w->capacity, w->n, 1);
    if (!w->lost) w->text[w->n++] = part[i];
  }
  if (!w->lost) w->n--; /* the NUL is written over */
}

static void put_node(writing *w, const sgi_expert *e, size_t node);

static void put_not(writing *w, const sgi_expert *e, size_t node) {
  put(w, "not (");
  put_node(w, e, node);
  put(w, ")");
}

static void put_inner(writing *w, const sgi_expert *e, size_t node) {
  put(w, "(");
  put_node(w, e, node);
  put(w, ")");
}

static void put_two(writing *w, const sgi_expert *e, const size_t in[2], bool not_a, const char *word, bool not_c) {
  (not_a ? put_not : put_inner)(w, e, in[0]);
  put(w, " %s ", word);
  (not_c ? put_not : put_inner)(w, e, in[1]);
}

/* The sixteen tables, 00 the lowest bit. */
static void put_gate(writing *w, const sgi_expert *e, size_t i) {
  const size_t *in = e->input[i];
  unsigned table = 0;
  for (size_t k = 0; k < 4; k++) table |= (unsigned)(e->table[i][k] > 0.5) << k;
  switch (table) {
    case 0: put(w, "0"); break;
    case 15: put(w, "1"); break;
    case 12: put_node(w, e, in[0]); break;
    case 10: put_node(w, e, in[1]); break;
    case 3: put_not(w, e, in[0]); break;
    case 5: put_not(w, e, in[1]); break;
    case 8: put_two(w, e, in, false, "and", false); break;
    case 4: put_two(w, e, in, false, "and", true); break;
    case 2: put_two(w, e, in, true, "and", false); break;
    case 1: put_two(w, e, in, true, "and", true); break;
    case 14: put_two(w, e, in, false, "or", false); break;
    case 13: put_two(w, e, in, false, "or", true); break;
    case 11: put_two(w, e, in, true, "or", false); break;
    case 7: put_two(w, e, in, true, "or", true); break;
    case 6: put_two(w, e, in, false, "xor", false); break;
    default: put_two(w, e, in, false, "xor", true); break;
  }
}

static void put_node(writing *w, const sgi_expert *e, size_t node) {
  if (node < e->bits)
    put(w, "(z%zu > %.6g)", e->bit_feature[node], e->threshold[node]);
  else
    put_gate(w, e, node - e->bits);
}

static void put_edge(writing *w, const sgi_edge *e, const sgi_grid *g) {
  if (e->form != SGI_SYMBOL_NONE) {
    put(w, " + %.6g*%s(%.6g*z%zu + %.6g)", e->a, sgi_symbol_name(e->form), e->b, e->feature, e->c);
    return;
  }
  if (e->base != 0) put(w, " + %.6g*silu(z%zu)", e->base, e->feature);
  put(w, " + spline(z%zu; %.6g, %.6g; ", e->feature, g->lo, g->hi);
  for (size_t k = 0; k < sgi_grid_coefs(g); k++) put(w, "%s%.6g", k ? ", " : "", e->coef[k]);
  put(w, ")");
}

char *sgi_formula_text(const sgi_expert *e, const sgi_grid *g) {
  writing w = {0};
  put(&w, "%.6g", e->bias);
  for (size_t i = 0; i < e->edges; i++) put_edge(&w, &e->edge[i], g);
  for (size_t i = e->gates - e->outputs; i < e->gates; i++) {
    put(&w, " + %.6g*[", e->gamma[i]);
    put_node(&w, e, e->bits + i);
    put(&w, "]");
  }
  if (w.lost) {
    sgi_free(w.text);
    return NULL;
  }
  return w.text;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* A formula is a program of a small stack: terms add to a sum, logic stands in front of its
 * term. */
enum { DEEPEST = 64, MOST_FEATURES = 1 << 16 };

typedef enum op_kind { NUMBER, SILU, SPLINE, CALL, LOGIC, BIT, CONSTANT, NOT, AND, XOR, OR } op_kind;

typedef struct op {
  op_kind kind;
  sgi_symbol_form form;
  size_t feature;
  double a, b, c;      /* SPLINE: lo, hi; BIT, CONSTANT: b */
  size_t first, count; /* SPLINE: coefficients */
} op;

struct sgi_formula {
  op *ops;
  size_t n, capacity, features, terms;
  double *coefs;
  size_t n_coefs, coef_capacity;
};

typedef struct reading {
  const char *text;
  size_t n, at, depth;
  sgi_formula *f;
  sg_error *err;
  sg_status st;
} reading;

static void wrong(reading *r, const char *expected) {
  char found[24] = "the end";
  if (r->at < r->n) {
    size_t k = r->n - r->at < 12 ? r->n - r->at : 12;
    snprintf(found, sizeof found, "\"%.*s\"", (int)k, r->text + r->at);
    for (char *p = found; *p; p++)
      if (!isprint((unsigned char)*p)) *p = '?';
  }
  if (!r->st)
    r->st = sgi_fail(r->err, SG_ERR_FORMAT, "formula: character %zu is %s, expected %s", r->at + 1, found, expected);
}

static void skip(reading *r) {
  while (r->at < r->n && (r->text[r->at] == ' ' || r->text[r->at] == '\n' || r->text[r->at] == '\t')) r->at++;
}

static bool peek(reading *r, const char *word) {
  size_t k = strlen(word);
  skip(r);
  return !r->st && r->n - r->at >= k && !memcmp(r->text + r->at, word, k);
}

static bool take(reading *r, const char *word) {
  if (!peek(r, word)) return false;
  r->at += strlen(word);
  return true;
}

static void need(reading *r, const char *word, const char *expected) {
  if (!take(r, word)) wrong(r, expected);
}

/* At most 31 characters, so that strtod sees an end. */
static double number(reading *r) {
  char part[32], *end;
  size_t k = 0;
  skip(r);
  while (r->at + k < r->n && k < sizeof part - 1 && strchr("+-.0123456789eE", r->text[r->at + k])) {
    part[k] = r->text[r->at + k];
    k++;
  }
  part[k] = 0;
  double x = strtod(part, &end);
  if (end == part || !isfinite(x)) {
    wrong(r, "a finite number");
    return 0;
  }
  r->at += (size_t)(end - part);
  return x;
}

static size_t feature(reading *r) {
  size_t x = 0, k = 0;
  need(r, "z", "a feature z0, z1, ...");
  while (!r->st && r->at < r->n && isdigit((unsigned char)r->text[r->at]) && k++ < 6)
    x = x * 10 + (size_t)(r->text[r->at++] - '0');
  if (!k || x >= MOST_FEATURES) wrong(r, "the number of a feature below 65536");
  if (!r->st && x >= r->f->features) r->f->features = x + 1;
  return x;
}

static void add(reading *r, op o) {
  if (r->st) return;
  if (!sgi_room(&r->f->ops, &r->f->capacity, r->f->n, sizeof o))
    r->st = sgi_fail_memory(r->err, r->f->n * sizeof o, "a formula");
  else
    r->f->ops[r->f->n++] = o;
}

static void logic(reading *r, int level);

static void logic_word(reading *r) {
  if (r->depth++ >= DEEPEST) wrong(r, "fewer brackets within each other");
  if (r->st) return;
  if (take(r, "not")) {
    logic_word(r);
    add(r, (op){.kind = NOT});
  } else if (peek(r, "1") || peek(r, "0")) {
    add(r, (op){.kind = CONSTANT, .b = r->text[r->at++] == '1'});
  } else if (peek(r, "z")) {
    size_t f = feature(r);
    need(r, ">", "\">\"");
    add(r, (op){.kind = BIT, .feature = f, .b = number(r)});
  } else {
    need(r, "(", "a bit (zF > number), not, 0, 1 or a bracket");
    logic(r, 0);
    need(r, ")", "\")\"");
  }
  r->depth--;
}

static void logic(reading *r, int level) {
  static const char *const words[] = {"or", "xor", "and"};
  static const op_kind kinds[] = {OR, XOR, AND};
  if (level == 3) {
    logic_word(r);
    return;
  }
  logic(r, level + 1);
  while (take(r, words[level])) {
    logic(r, level + 1);
    add(r, (op){.kind = kinds[level]});
  }
}

static void spline(reading *r) {
  op o = {.kind = SPLINE, .first = r->f->n_coefs};
  o.feature = feature(r);
  need(r, ";", "\";\"");
  o.a = number(r);
  need(r, ",", "\",\"");
  o.b = number(r);
  need(r, ";", "\";\"");
  do {
    double x = number(r);
    if (r->st) return;
    if (!sgi_room(&r->f->coefs, &r->f->coef_capacity, r->f->n_coefs, sizeof x)) {
      r->st = sgi_fail_memory(r->err, r->f->n_coefs * sizeof x, "a formula");
      return;
    }
    r->f->coefs[r->f->n_coefs++] = x;
    o.count++;
  } while (take(r, ","));
  need(r, ")", "\",\" or \")\"");
  if (!r->st && (o.count < 4 || o.count > SGI_MOST_COEFS || !(o.b > o.a)))
    r->st = sgi_fail(r->err, SG_ERR_FORMAT,
                     "formula: a spline of %zu coefficients over [%g, %g], expected 4 to %d and an interval", o.count,
                     o.a, o.b, SGI_MOST_COEFS);
  add(r, o);
}

#define NAME_AND_COMMA(id, name, complexity) name ", "
static void call(reading *r, double a) {
  size_t k = 0;
  skip(r);
  while (r->at + k < r->n && r->text[r->at + k] != '(' && k < 8) k++;
  if (k == 4 && !memcmp(r->text + r->at, "silu", 4)) {
    r->at += k;
    need(r, "(", "\"(\"");
    add(r, (op){.kind = SILU, .a = a, .feature = feature(r)});
    need(r, ")", "\")\"");
    return;
  }
  sgi_symbol_form form = sgi_symbol_find(r->text + r->at, k);
  if (form == SGI_SYMBOL_NONE) {
    wrong(r, "a known function (" SGI_SYMBOLS(NAME_AND_COMMA) "silu) or \"[\"");
    return;
  }
  r->at += k;
  op o = {.kind = CALL, .form = form, .a = a};
  need(r, "(", "\"(\"");
  o.b = number(r);
  need(r, "*", "\"*\"");
  o.feature = feature(r);
  need(r, "+", "\"+\"");
  o.c = number(r);
  need(r, ")", "\")\"");
  add(r, o);
}
#undef NAME_AND_COMMA

static void term(reading *r) {
  r->f->terms++;
  if (take(r, "spline(")) {
    spline(r);
    return;
  }
  double a = number(r);
  if (!take(r, "*")) {
    add(r, (op){.kind = NUMBER, .a = a});
  } else if (take(r, "[")) {
    logic(r, 0);
    need(r, "]", "\"]\"");
    add(r, (op){.kind = LOGIC, .a = a});
  } else {
    call(r, a);
  }
}

sg_status sgi_formula_parse(const char *text, size_t n, sgi_formula **out, sg_error *err) {
  *out = NULL;
  sgi_formula *f = sgi_alloc(sizeof *f);
  if (!f) return sgi_fail_memory(err, sizeof *f, "a formula");
  reading r = {.text = text, .n = n, .f = f, .err = err};
  do term(&r);
  while (!r.st && take(&r, "+"));
  skip(&r);
  if (r.at < n) wrong(&r, "\" + \" or the end");
  if (r.st)
    sgi_formula_free(f);
  else
    *out = f;
  return r.st;
}

void sgi_formula_free(sgi_formula *f) {
  if (!f) return;
  sgi_free(f->ops);
  sgi_free(f->coefs);
  sgi_free(f);
}

size_t sgi_formula_features(const sgi_formula *f) { return f->features; }
size_t sgi_formula_terms(const sgi_formula *f) { return f->terms; }

static double spline_value(const sgi_formula *f, const op *o, double z) {
  sgi_grid g = {o->a, o->b, o->count - 3};
  double w[4], sum = 0;
  size_t j = sgi_grid_at(&g, z, w, NULL);
  for (size_t k = 0; k < 4; k++) sum += w[k] * f->coefs[o->first + j + k];
  return sum;
}

/* The stack never holds more than an operand for each open bracket and level: four of each of
 * DEEPEST. */
double sgi_formula_value(const sgi_formula *f, const float *z) {
  bool stack[4 * DEEPEST + 8];
  size_t top = 0;
  double sum = 0;
  for (size_t i = 0; i < f->n; i++) {
    const op *o = &f->ops[i];
    double x = o->kind == SILU || o->kind == SPLINE || o->kind == CALL || o->kind == BIT ? (double)z[o->feature] : 0;
    switch (o->kind) {
      case NUMBER: sum += o->a; break;
      case SILU: sum += o->a * sgi_silu(x); break;
      case SPLINE: sum += spline_value(f, o, x); break;
      case CALL: sum += o->a * sgi_symbol_value(o->form, o->b * x + o->c); break;
      case LOGIC: sum += o->a * stack[--top]; break;
      case BIT: stack[top++] = x > o->b; break;
      case CONSTANT: stack[top++] = o->b > 0; break;
      case NOT: stack[top - 1] = !stack[top - 1]; break;
      case AND: top--, stack[top - 1] = stack[top - 1] && stack[top]; break;
      case XOR: top--, stack[top - 1] = stack[top - 1] != stack[top]; break;
      case OR: top--, stack[top - 1] = stack[top - 1] || stack[top]; break;
    }
  }
  return sum;
}
