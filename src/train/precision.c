/* precision.c: which numbers a run's products take (docs/method.md, precision). Settled when a run
 * starts and kept in its config.json, so that a run that goes on elsewhere goes on alike. */
#include <stdio.h>
#include <string.h>

#include "math/bf16.h"
#include "train/run_state.h"

bool sgi_settings_settle_precision(sgi_settings *s) {
  if (!strcmp(s->precision, "auto")) snprintf(s->precision, sizeof s->precision, sgi_bf16_gains() ? "bf16" : "float32");
  return !strcmp(s->precision, "bf16");
}

void sgi_run_choose_precision(sgi_run *run) {
  bool asked = !strcmp(run->settings.precision, "auto"), bf16 = sgi_settings_settle_precision(&run->settings);
  if (asked && !bf16)
    sgi_run_note(run,
                 "precision: float32, because this processor's bf16 products are no faster (train.precision=bf16 "
                 "takes them nevertheless)");
  else if (asked)
    sgi_run_note(run, "precision: bf16 (%s), because this processor's bf16 products are the faster ones",
                 sgi_bf16_path());
  else if (bf16 && !strcmp(sgi_bf16_path(), "emulated"))
    sgi_run_note(run,
                 "precision: bf16 emulated by float32 products of rounded numbers, which is no faster: this "
                 "processor has no bf16 products that are");
}
