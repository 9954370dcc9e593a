/* presets.h: the paper's settings by name. Data, not behaviour: whatever a preset says can be said
 * in a config as well, and changed afterwards. */
#ifndef SGI_PRESETS_H
#define SGI_PRESETS_H

#include "core/base.h"

typedef struct sgi_preset_t {
  sg_config config;     /* complete and checked; max_position = seq_len */
  size_t batch_size;    /* sequences of one step */
  size_t seq_len;       /* T */
  double learning_rate; /* peak */
  double weight_decay;  /* of one update at the peak */
  double clip;          /* largest global norm of the gradient */
  const char *schedule; /* a name of train/schedule.h; borrowed for ever */
  uint64_t warmup_steps;
  double decay_fraction;
  bool pack; /* rows: documents packed one behind the other; false: one document a row, cut or padded */
} sgi_preset_t;

/* name: "tinystories"; "slimpajama;s" with a scale s from 1 to 9 (':' for ';' is taken too: no
 * shell eats it); or "ladder;DxL", the same family for widths that a laptop trains: D a multiple of
 * 32 up to 1152, L layers. Its sizes are those of slimpajama;s at s = D / 128, also where that is
 * no whole number, and what slimpajama leaves alone shrinks below its scale 2: channels of kinds
 * with a router are D / 8, key width D / 2, heads 32 wide, widths of dense kinds cut to multiples
 * of 16. kind: a feedforward kind the paper has settings for. SG_ERR_ARG names what there is. */
sg_status sgi_preset(const char *name, const char *kind, sgi_preset_t *out, sg_error *err);

/* The i-th name, for lists: "tinystories", "slimpajama;1" ... "slimpajama;9"; NULL past the last.
 * Borrowed for ever. */
const char *sgi_preset_name(size_t i);

#endif
