#include "into.h"

#include <stdio.h>
#include <string.h>

#include "prompt.h"
#include "core/number.h"
#include "report/into.h"

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

sg_status cli_into_run(cli_into *x, const sgi_prompt *p, const sg_attribute_request *r, const sg_attribution *a,
                       size_t top, sg_error *err) {
  return x->asked ? sgi_into_report(p, r, a, &x->neuron, top, &x->found, err) : SG_OK;
}

void cli_into_print(const cli_into *x, const sgi_prompt *p) {
  if (!x->asked) return;
  const json_t *edges = json_object_get(x->found, "edges");
  json_t *e;
  size_t i;
  printf("\n%sInto layer %d channel %d neuron %d at position %d, %s%s, value %+.5f: %zu of %zu edges\n",
         cli_color(stdout, CLI_BOLD), x->neuron.layer, x->neuron.channel, x->neuron.index, x->neuron.position,
         sgi_token_shown(p, p->tokens[x->neuron.position]).s, cli_color(stdout, CLI_PLAIN),
         sgi_field_real(x->found, "value"), json_array_size(edges), sgi_field_size(x->found, "count"));
  cli_table *t = cli_table_begin("rrrll");
  static const char *const heads[] = {"effect", "on its value", "linear", "from", ""};
  for (i = 0; i < SGI_COUNT(heads); i++) cli_cell(t, "%s", heads[i]);
  json_array_foreach((json_t *)edges, i, e) {
    cli_cell(t, "%+.5f", sgi_field_real(e, "effect"));
    cli_cell(t, "%+.5f", sgi_field_real(e, "value"));
    cli_cell(t, "%+.5f", sgi_field_real(e, "linear"));
    cli_cell(t, "%s", sgi_field_word(e, "kind"));
    if (json_object_get(e, "head"))
      cli_cell(t, "layer %zu head %zu", sgi_field_size(e, "layer"), sgi_field_size(e, "head"));
    else if (json_object_get(e, "index"))
      cli_neuron_cell(t, p, (int)sgi_field_size(e, "layer"), (int)sgi_field_size(e, "channel"),
                      (int)sgi_field_size(e, "index"));
    else
      cli_cell(t, "%s", "");
  }
  cli_table_end(t);
}

void cli_into_json(const cli_into *x, json_t *o) {
  if (x->asked) json_object_set(o, "into", x->found);
}

void cli_into_free(cli_into *x) { json_decref(x->found); }
