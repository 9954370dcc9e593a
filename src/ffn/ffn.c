/* The list of feedforward kinds, one line each, and nothing else. */
#include "ffn/ffn.h"

#include <stdio.h>
#include <string.h>

extern const sgi_ffn_ops sgi_ffn_sgatlin, sgi_ffn_peer, sgi_ffn_mlp, sgi_ffn_glu, sgi_ffn_moe;

static const sgi_ffn_ops *const kinds[] = {
    &sgi_ffn_sgatlin, &sgi_ffn_peer, &sgi_ffn_mlp, &sgi_ffn_glu, &sgi_ffn_moe,
};

const sgi_ffn_ops *sgi_ffn_at(size_t i) { return i < SGI_COUNT(kinds) ? kinds[i] : NULL; }

const char *sg_feedforward_name(size_t i) { return i < SGI_COUNT(kinds) ? kinds[i]->name : NULL; }

const sgi_ffn_ops *sgi_ffn_find(const char *name, sg_error *err) {
  char list[160] = "";
  size_t used = 0;
  for (size_t i = 0; i < SGI_COUNT(kinds); i++) {
    if (!strcmp(kinds[i]->name, name)) return kinds[i];
    int k = snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", kinds[i]->name);
    if (k > 0 && used + (size_t)k < sizeof list) used += (size_t)k;
  }
  sgi_fail(err, SG_ERR_ARG, "unknown feedforward kind \"%s\": choose one of %s", name, list);
  return NULL;
}
