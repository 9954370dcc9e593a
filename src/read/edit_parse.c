/* The text form of an edit: SITE [ "[" AXIS=RANGE { "," AXIS=RANGE } "]" ] OPERATION
 * (docs/reading.md, edits). */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base.h"

typedef struct parser {
  const char *text, *at;
  sg_error *err;
} parser;

static sg_status wrong(const parser *p, const char *expected) {
  return sgi_fail(p->err, SG_ERR_ARG, "edit \"%.120s\": expected %s at \"%.40s\"", p->text, expected,
                  *p->at ? p->at : "the end");
}

static void skip_space(parser *p) { p->at += strspn(p->at, " \t"); }

static sg_status integer(parser *p, ptrdiff_t *out) {
  char *end;
  errno = 0;
  long long v = strtoll(p->at, &end, 10);
  if (end == p->at || errno || v > INT32_MAX || v < INT32_MIN) return wrong(p, "a whole number");
  p->at = end;
  *out = (ptrdiff_t)v;
  return SG_OK;
}

static sg_status number(parser *p, double *out) {
  char *end;
  double v = strtod(p->at, &end);
  if (end == p->at || !isfinite(v)) return wrong(p, "a number");
  p->at = end;
  *out = v;
  return SG_OK;
}

static sg_status word(parser *p, char *out, size_t size, const char *letters, const char *what) {
  size_t n = strspn(p->at, letters);
  if (!n || n >= size) return wrong(p, what);
  memcpy(out, p->at, n);
  out[n] = 0;
  p->at += n;
  return SG_OK;
}

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define NAME_LETTERS LOWER "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"

static sg_status one_axis(parser *p, sg_edit *e) {
  if (e->n_axes == SG_EDIT_AXES) return wrong(p, "no more axes");
  sg_edit_axis *a = &e->axes[e->n_axes++];
  skip_space(p);
  sg_status st = word(p, a->name, sizeof a->name, LOWER, "an axis (pos, dim, head, source, channel, slot, neuron)");
  if (st) return st;
  if (*p->at != '=') return wrong(p, "\"=\" after the axis");
  p->at++;
  st = integer(p, &a->first);
  a->last = a->first;
  if (!st && !strncmp(p->at, "..", 2)) {
    p->at += 2;
    st = integer(p, &a->last);
  }
  skip_space(p);
  return st;
}

static sg_status operation(parser *p, sg_edit *e) {
  double sign = 1;
  if (!strncmp(p->at, "=@", 2)) {
    p->at += 2;
    e->op = SG_EDIT_TAKE;
    sg_status st = word(p, e->from_name, sizeof e->from_name, NAME_LETTERS, "the name of a run");
    if (st || *p->at != ':') return st;
    p->at++;
    e->from_other_pos = true;
    return integer(p, &e->from_pos);
  }
  if (*p->at == '=')
    e->op = SG_EDIT_SET;
  else if (!strncmp(p->at, "*=", 2))
    e->op = SG_EDIT_SCALE;
  else if (!strncmp(p->at, "+=", 2))
    e->op = SG_EDIT_ADD;
  else if (!strncmp(p->at, "-=", 2))
    e->op = SG_EDIT_ADD, sign = -1;
  else
    return wrong(p, "=NUMBER, *=NUMBER, +=NUMBER, -=NUMBER or =@NAME");
  p->at += *p->at == '=' ? 1 : 2;
  sg_status st = number(p, &e->value);
  e->value *= sign;
  return st;
}

/* The operation may start with '*', which a site pattern may hold as well: before "=@" it belongs
 * to the site, else to it. */
static size_t site_length(const char *text) {
  size_t bracket = strcspn(text, "[");
  if (text[bracket]) return bracket;
  const char *equal = strrchr(text, '=');
  if (!equal) return strlen(text);
  size_t n = (size_t)(equal - text);
  return n && equal[1] != '@' && strchr("*+-", text[n - 1]) ? n - 1 : n;
}

sg_status sg_edit_parse(const char *text, sg_edit *out, sg_error *err) {
  *out = (sg_edit){0};
  parser p = {text, text, err};
  size_t n = site_length(text);
  while (n && text[n - 1] == ' ') n--;
  if (!n || n >= sizeof out->site) return wrong(&p, "a site (layers.3.neurons)");
  memcpy(out->site, text, n);
  p.at += n;
  skip_space(&p);
  sg_status st = SG_OK;
  if (*p.at == '[') {
    do {
      p.at++;
      st = one_axis(&p, out);
    } while (!st && *p.at == ',');
    if (st) return st;
    if (*p.at != ']') return wrong(&p, "\",\" or \"]\"");
    p.at++;
    skip_space(&p);
  }
  st = operation(&p, out);
  if (st) return st;
  skip_space(&p);
  return *p.at ? wrong(&p, "nothing more") : SG_OK;
}
