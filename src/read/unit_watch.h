/* unit_watch.h: the values of all neurons of a forward pass, one by one, of any kind: a tap that
 * tells layer, row, channel and index of each (golden sites of docs/reading.md, neurons). */
#ifndef SGI_UNIT_WATCH_H
#define SGI_UNIT_WATCH_H

#include "model/pass.h"

typedef struct sgi_unit_watch {
  /* A neuron's value at a row of the batch; of chosen ones only where they were chosen. From one
   * thread, by layer. */
  void (*value)(void *user, size_t layer, size_t row, size_t channel, size_t index, float value);
  void *user;
  /* The watch's own: */
  int32_t *chosen; /* (rows,width) units of the layer seen last */
  size_t room;     /* entries */
  bool experts;
} sgi_unit_watch;

/* sgi_tap.visit, with a sgi_unit_watch as user. Rows that are NaN or infinite are SG_ERR_NUMERIC
 * with the layer. */
sg_status sgi_unit_watch_visit(void *watch, const sgi_site *site, sg_error *err);
void sgi_unit_watch_deinit(sgi_unit_watch *w);

#endif
