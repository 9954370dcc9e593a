/* superposition.h: whether neurons that fire together do what neither does alone, as a document. */
#ifndef SGI_REPORT_SUPERPOSITION_H
#define SGI_REPORT_SUPERPOSITION_H

#include "recorded.h"

typedef struct sgi_superposition_request {
  const sg_model *model;
  const sg_recording *recording;
  size_t slot; /* of the recorded layer */
  size_t min_together;
  double min_lift;
  size_t max_pairs, max_places; /* tested; run of each, 0: all */
  bool shuffled;                /* the control */
  uint64_t seed;
  bool (*progress)(void *user, size_t done, size_t total); /* positions; false stops; NULL allowed */
  void *user;
} sgi_superposition_request;

/* {layer, positions, scored_pairs, mean_excess, interval, p, mean_signed, pairs: [{neurons,
 * together, alone, lift, places, score, null, excess, signed, signed_null, joint_only}], sets:
 * [{neurons, together, effect, sum_of_effects}], settings}. New reference. */
sg_status sgi_superposition_report(const sgi_superposition_request *request, json_t **out, sg_error *err);

#endif
