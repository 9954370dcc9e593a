/* sparse.c: sparse MLPs: every file as it was written, every tensor as sparse.json asks. */
#include "compare/sparse_set.h"

#include "check/inside.h"

sg_status sgi_check_sparse(sgi_checks *c, const char *directory, sg_error *err) {
  sgi_sparse_set *s = NULL;
  sg_error why = {0};
  sg_status st = sgi_sparse_set_verify(directory, &why);
  if (!st) sgi_checks_say(c, directory, "hashes", SG_OK, "every file is as sparse.json says");
  st = sgi_check_took(c, directory, "hashes", st, &why, err);
  if (st) return st;
  st = sgi_sparse_set_open(directory, &s, &why);
  if (!st)
    sgi_checks_say(c, directory, "tensors", SG_OK, "%zu layers, every number finite; of the model with the hash %s",
                   s->n, s->of.hash[0] ? s->of.hash : "(none)");
  sgi_sparse_set_free(s);
  return sgi_check_took(c, directory, "tensors", st, &why, err);
}
