/* Kinds by name. */
#include "ffn/ffn.h"

#include <stdio.h>
#include <string.h>

#include "ffn/kinds.h"

#define DECLARED(name) extern const sgi_ffn_ops sgi_ffn_##name;
SGI_KINDS(DECLARED)
#define LISTED(name) &sgi_ffn_##name,
static const sgi_ffn_ops *const kinds[] = {SGI_KINDS(LISTED)};

const sgi_ffn_ops *sgi_ffn_at(size_t i) { return i < SGI_COUNT(kinds) ? kinds[i] : NULL; }

const char *sg_feedforward_name(size_t i) { return i < SGI_COUNT(kinds) ? kinds[i]->name : NULL; }

const sgi_ffn_ops *sgi_ffn_of(const sg_config *c) {
  for (size_t i = 0; i < SGI_COUNT(kinds); i++)
    if (!strcmp(kinds[i]->name, c->feedforward)) return kinds[i];
  return NULL;
}

size_t sgi_unit_channels(const sg_config *c) {
  const sgi_ffn_ops *kind = sgi_ffn_of(c);
  return c->num_channels && !(kind && kind->joined) ? c->num_channels : 1;
}

const sgi_ffn_ops *sgi_ffn_find(const char *name, sg_error *err) {
  const char *names[SGI_COUNT(kinds)];
  char list[160] = "";
  size_t used = 0;
  for (size_t i = 0; i < SGI_COUNT(kinds); i++) {
    if (!strcmp(kinds[i]->name, name)) return kinds[i];
    names[i] = kinds[i]->name;
    int k = snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", kinds[i]->name);
    if (k > 0 && used + (size_t)k < sizeof list) used += (size_t)k;
  }
  const char *near = sgi_nearest(name, names, SGI_COUNT(names));
  sgi_fail(err, SG_ERR_ARG, "unknown feedforward kind \"%.64s\": choose one of %s%s%s%s", name, list,
           near ? " (did you mean " : "", near ? near : "", near ? "?)" : "");
  return NULL;
}
