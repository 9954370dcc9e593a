#include "read/binding.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "model/identity.h"

sgi_binding sgi_binding_of(const sg_model *m) {
  sgi_binding b;
  snprintf(b.hash, sizeof b.hash, "%016" PRIx64, sgi_model_hash(m));
  return b;
}

sg_status sgi_binding_read(const json_t *o, const char *where, sgi_binding *out, sg_error *err) {
  *out = (sgi_binding){0};
  if (!json_object_get(o, SGI_BINDING_KEY)) return SG_OK;
  sg_status st = sgi_json_string(o, where, SGI_BINDING_KEY, out->hash, sizeof out->hash, err);
  if (!st && out->hash[0] && strspn(out->hash, "0123456789abcdef") != SGI_HASH_TEXT - 1)
    st = sgi_fail(err, SG_ERR_FORMAT, "%s: %s is \"%s\": expected 16 hexadecimal digits", where, SGI_BINDING_KEY,
                  out->hash);
  return st;
}

sgi_bound sgi_binding_compare(const sgi_binding *file, const sg_model *m, const char *name, const char *made_from,
                              sg_error *err) {
  if (!file->hash[0]) return SGI_UNKNOWN;
  sgi_binding own = sgi_binding_of(m);
  if (!strcmp(own.hash, file->hash)) return SGI_BOUND;
  sgi_fail(err, SG_ERR_ARG,
           "%s was made from another model: its weights had the hash %s, this model's have %s%s%.120s%s", name,
           file->hash, own.hash, *made_from ? " (it was made from " : "", made_from, *made_from ? ")" : "");
  return SGI_OF_ANOTHER;
}
