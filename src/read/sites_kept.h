/* sites_kept.h: what a tap sees, kept under the sites' full names. A site's rows may come at once
 * or in any number of visits, between those of other sites. */
#ifndef SGI_SITES_KEPT_H
#define SGI_SITES_KEPT_H

#include "ffn/tap.h"

typedef struct sgi_kept_site {
  ptrdiff_t layer;
  sgi_site_id id;
  size_t step, stage;
  char name[SG_SITE_NAME];
  sg_site site; /* its name is set where it is handed out */
  void *data;
} sgi_kept_site;

typedef struct sgi_kept_sites {
  size_t T, bytes, max_bytes; /* rows of a site; bytes of all data so far, and at most */
  sgi_kept_site *at;
  size_t count, capacity;
} sgi_kept_sites;

/* Copies the visit's rows. SG_ERR_MEMORY where max_bytes do not hold the whole site. */
sg_status sgi_kept_visit(sgi_kept_sites *k, const sgi_site *site, sg_error *err);
void sgi_kept_deinit(sgi_kept_sites *k);

#endif
