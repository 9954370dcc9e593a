#include "into.h"

#include <stdio.h>
#include <string.h>

#include "prompt.h"
#include "report/attribution.h"
#include "core/number.h"

sg_status cli_into_parse(cli_into *x, const char *text, sg_error *err) {
  static const char ends[] = "::@";
  char part[4][24];
  int32_t *to[] = {&x->neuron.layer, &x->neuron.channel, &x->neuron.index, &x->neuron.position};
  if (!text) return SG_OK;
  const char *at = text;
  bool right = true;
  for (size_t i = 0; i < SGI_COUNT(part) && right; i++) {
    size_t n = i + 1 < SGI_COUNT(part) ? strcspn(at, (char[]){ends[i], 0}) : strlen(at);
    uint64_t number = 0;
    right = n < sizeof part[i] && (i + 1 == SGI_COUNT(part) || at[n]);
    if (!right) break;
    memcpy(part[i], at, n);
    part[i][n] = 0;
    right = sgi_number_whole(part[i], &number) && number <= INT32_MAX;
    *to[i] = (int32_t)number;
    at += n + 1;
  }
  x->asked = right;
  return right ? SG_OK
               : sgi_fail(err, SG_ERR_ARG, "--into %.40s: write layer:channel:number@position, such as 2:0:44@3", text);
}

sg_status cli_into_run(cli_into *x, const sg_model *m, const sg_attribute_request *r, const sg_attribution *a,
                       sg_error *err) {
  if (!x->asked) return SG_OK;
  sg_attribute_request q = *r;
  q.target = a->target;
  sgi_exact_base b;
  sg_status st = sgi_exact_begin(&b, m, &q, err);
  if (!st) st = sgi_exact_edges(&b, &x->neuron, &x->edges, &x->count, err);
  sgi_exact_end(&b);
  for (size_t i = 0; i < a->neurons.count && !st; i++) {
    const sg_term *t = &a->neurons.terms[i];
    if (t->layer == x->neuron.layer && t->channel == x->neuron.channel && t->index == x->neuron.index &&
        t->position == x->neuron.position)
      x->neuron = *t;
  }
  return st;
}

void cli_into_print(const cli_into *x, const sgi_prompt *p, size_t top) {
  if (!x->asked) return;
  size_t shown = x->count < top ? x->count : top;
  printf("\n%sInto layer %d channel %d neuron %d at position %d, %s%s, value %+.5f: %zu of %zu edges\n",
         cli_color(stdout, CLI_BOLD), x->neuron.layer, x->neuron.channel, x->neuron.index, x->neuron.position,
         sgi_token_shown(p, p->tokens[x->neuron.position]).s, cli_color(stdout, CLI_PLAIN), x->neuron.value, shown,
         x->count);
  cli_table *t = cli_table_begin("rrrll");
  static const char *const heads[] = {"effect", "on its value", "linear", "from", ""};
  for (size_t i = 0; i < SGI_COUNT(heads); i++) cli_cell(t, "%s", heads[i]);
  for (size_t i = 0; i < shown; i++) {
    const sgi_exact_edge *e = &x->edges[i];
    cli_cell(t, "%+.5f", e->effect);
    cli_cell(t, "%+.5f", x->neuron.value - e->value);
    cli_cell(t, "%+.5f", e->source.effect);
    cli_cell(t, "%s", sgi_term_kind(&e->source));
    if (e->source.kind == SG_TERM_HEAD)
      cli_cell(t, "layer %d head %d", e->source.layer, e->source.head);
    else if (e->source.kind == SG_TERM_NEURON)
      cli_cell(t, "layer %d channel %d neuron %d", e->source.layer, e->source.channel, e->source.index);
    else
      cli_cell(t, "%s", "");
  }
  cli_table_end(t);
}

void cli_into_json(const cli_into *x, const sgi_prompt *p, size_t top, json_t *o) {
  if (!x->asked) return;
  json_t *edges = json_array();
  for (size_t i = 0; i < x->count && i < top; i++) {
    const sgi_exact_edge *e = &x->edges[i];
    json_t *one = json_pack("{ss si so so so}", "kind", sgi_term_kind(&e->source), "position", (int)e->source.position,
                            "linear", sgi_report_real(e->source.effect), "value",
                            sgi_report_real(x->neuron.value - e->value), "effect", sgi_report_real(e->effect));
    if (e->source.layer >= 0) json_object_set_new(one, "layer", json_integer(e->source.layer));
    if (e->source.kind == SG_TERM_HEAD) json_object_set_new(one, "head", json_integer(e->source.head));
    if (e->source.kind == SG_TERM_NEURON) {
      json_object_set_new(one, "channel", json_integer(e->source.channel));
      json_object_set_new(one, "index", json_integer(e->source.index));
    }
    json_array_append_new(edges, one);
  }
  const sg_term *n = &x->neuron;
  json_object_set_new(
      o, "into",
      json_pack("{si si si si so so sI so}", "layer", (int)n->layer, "channel", (int)n->channel, "index", (int)n->index,
                "position", (int)n->position, "token", sgi_token_json(p, p->tokens[n->position]), "value",
                sgi_report_real(n->value), "count", (json_int_t)x->count, "edges", edges));
}

void cli_into_free(cli_into *x) { sgi_free(x->edges); }
