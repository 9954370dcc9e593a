/* kinds.h: the list of feedforward kinds, one line each, and nothing else. NAME has a file NAME.c
 * with sgi_ffn_NAME. */
#ifndef SGI_KINDS_H
#define SGI_KINDS_H

#define SGI_KINDS(X) \
  X(sgatlin) \
  X(peer) \
  X(mlp) \
  X(glu) \
  X(moe) \
  X(monet)

/* "sgatlin peer mlp ...", for help texts. */
#define SGI_KIND_WORD(name) " " #name
#define SGI_KIND_WORDS SGI_KINDS(SGI_KIND_WORD)

#endif
