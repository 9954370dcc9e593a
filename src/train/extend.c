/* extend.c: a run that goes on longer than it was planned. The number of steps shapes the schedule
 * of the learning rate, so more of them change it from the first update of its decay on: weights
 * that a decay has been at already are not those of a run planned so long, and that is said. */
#include <stdio.h>
#include <string.h>

#include "train/run_state.h"

/* Steps of the last extension that config.json records; 0: none. */
static uint64_t recorded(const sgi_run *run) {
  const json_t *last = json_array_get(run->extended, json_array_size(run->extended) - 1);
  json_int_t to = json_integer_value(json_object_get(last, "to"));
  return to > 0 ? (uint64_t)to : 0;
}

bool sgi_run_may_differ(const sgi_run *run, const char *key) {
  return !strcmp(key, "train.steps") && recorded(run) == run->settings.steps;
}

sg_status sgi_run_extend(sgi_run *run, uint64_t steps, sg_error *err) {
  sgi_settings *s = &run->settings;
  if (!steps || steps == s->steps) return SG_OK;
  if (steps < s->steps)
    return sgi_fail(err, SG_ERR_ARG, "%s: the run has %llu steps; --steps with --resume is for more of them",
                    run->directory, (unsigned long long)s->steps);
  if (!run->extended) run->extended = json_array();
  json_t *one = json_pack("{s:I, s:I}", "from", (json_int_t)s->steps, "to", (json_int_t)steps);
  if (json_array_append_new(run->extended, one)) return sgi_fail_memory(err, 64, "the run's settings");
  run->extended_from = s->steps;
  s->steps = steps;
  return SG_OK;
}

static sgi_schedule schedule_of(const sgi_run *run, uint64_t steps) {
  return sgi_run_trainer_settings(&run->settings, steps).schedule;
}

void sgi_run_say_extension(const sgi_run *run) {
  uint64_t done = run->state.updates, first = 0, from = run->extended_from, to = run->settings.steps;
  if (!from) return;
  sgi_schedule old = schedule_of(run, from), new = schedule_of(run, to);
  bool checked = !sgi_schedule_check(&old, NULL);
  while (checked && first < done && sgi_schedule_at(&old, first) == sgi_schedule_at(&new, first)) first++;
  sgi_run_note(run,
               "extended from %llu to %llu steps; schedule %s over all of them: the next update has learning rate %.3g",
               (unsigned long long)from, (unsigned long long)to, run->settings.schedule, sgi_schedule_at(&new, done));
  if (first == done)
    sgi_run_note(
        run, "so far the rate was that of a run of %llu steps: the weights will be the same as its, to the last bit",
        (unsigned long long)to);
  else
    sgi_run_note(
        run,
        "it was %.3g at the last one: %llu of the %llu updates so far had a rate that a run of %llu steps would "
        "not have had, so the weights will not be the same as its",
        sgi_schedule_at(&old, done - 1), (unsigned long long)(done - first), (unsigned long long)done,
        (unsigned long long)to);
}
