/* map.h: a map of a recording's circuits with the place of each point, and where a prompt's
 * circuits would lie on it. */
#ifndef SGI_REPORT_MAP_H
#define SGI_REPORT_MAP_H

#include "prompt.h"
#include "recorded.h"

/* The circuits that are shown, in the order of their positions. */
typedef struct sgi_map_points {
  sg_top_token *tokens; /* (n_tokens) most frequent */
  size_t n_tokens, n;
  uint32_t *positions; /* (n) of the recording */
  int32_t *label;      /* (n) place in tokens */
} sgi_map_points;
/* Those of the `top` most frequent tokens of the first documents (0: all). Free in any case. */
sg_status sgi_map_find(const sgi_record_reader *r, size_t top, size_t documents, bool by_target, sgi_map_points *out,
                       sg_error *err);
void sgi_map_points_free(sgi_map_points *p);

/* As sg_map_request has them. */
typedef struct sgi_map_form {
  size_t neighbors, epochs;
  double min_dist;
  uint64_t seed;
  bool (*progress)(void *user, const char *what, size_t done, size_t wanted);
  void *user;
} sgi_map_form;
/* xy (n,2), the caller's. */
sg_status sgi_map_lay_out(const sgi_record_reader *r, size_t slot, size_t channel, const sgi_map_points *at,
                          const sgi_map_form *form, float *xy, sg_error *err);

/* Of each position of the prompt the nearest circuit of the map into near (p->count), the caller's;
 * its position SIZE_MAX where there is none. */
sg_status sgi_map_locate(const sgi_prompt *p, const sgi_record_reader *r, size_t slot, size_t channel,
                         const sgi_map_points *at, bool (*progress)(void *user, size_t done, size_t wanted), void *user,
                         sg_neighbor *near, sg_error *err);

#endif
