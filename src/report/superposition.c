#include "superposition.h"

#include "read/superposition.h"

static json_t *units_json(const sgi_super_unit *u, size_t n) {
  json_t *list = json_array();
  for (size_t k = 0; k < n; k++)
    json_array_append_new(list, json_pack("{s:i, s:i}", "channel", u[k].channel, "neuron", u[k].index));
  return list;
}

static json_t *pair_json(const sgi_super_pair *p) {
  json_t *joint = json_array();
  for (size_t k = 0; k < p->n_joint; k++) json_array_append_new(joint, json_integer(p->joint[k]));
  return json_pack("{s:o, s:I, s:[I, I], s:o, s:I, s:o, s:o, s:o, s:o, s:o, s:o}", "neurons", units_json(p->unit, 2),
                   "together", (json_int_t)p->together, "alone", (json_int_t)p->alone[0], (json_int_t)p->alone[1],
                   "lift", sgi_report_real(p->lift), "places", (json_int_t)p->places, "score",
                   sgi_report_real(p->score), "null", sgi_report_real(p->null), "excess", sgi_report_real(p->excess),
                   "signed", sgi_report_real(p->sign), "signed_null", sgi_report_real(p->sign_null), "joint_only",
                   joint);
}

static json_t *result_json(const sgi_superposition *o, const sgi_super_settings *s) {
  json_t *pairs = json_array(), *sets = json_array();
  for (size_t k = 0; k < o->n_pairs; k++) json_array_append_new(pairs, pair_json(&o->pairs[k]));
  for (size_t k = 0; k < o->n_sets; k++)
    json_array_append_new(
        sets, json_pack("{s:o, s:I, s:o, s:o}", "neurons", units_json(o->sets[k].unit, o->sets[k].size), "together",
                        (json_int_t)o->sets[k].together, "effect", sgi_report_real(o->sets[k].mean_effect),
                        "sum_of_effects", sgi_report_real(o->sets[k].mean_sum)));
  json_t *settings = json_pack("{s:I, s:f, s:f, s:I, s:I, s:I, s:b, s:I}", "min_together", (json_int_t)s->min_together,
                               "min_lift", s->min_lift, "null_lift", s->null_lift, "max_pairs",
                               (json_int_t)s->max_pairs, "max_places", (json_int_t)s->max_places, "samples",
                               (json_int_t)s->samples, "shuffled", s->shuffled, "seed", (json_int_t)s->seed);
  json_t *o_json = json_pack("{s:I, s:I, s:I, s:o, s:[o, o], s:o, s:o, s:o, s:o, s:o}", "layer", (json_int_t)o->layer,
                             "positions", (json_int_t)o->positions, "scored_pairs", (json_int_t)o->scored,
                             "mean_excess", sgi_report_real(o->mean_excess), "interval", sgi_report_real(o->low),
                             sgi_report_real(o->high), "p", sgi_report_real(o->p), "mean_signed",
                             sgi_report_real(o->mean_sign), "pairs", pairs, "sets", sets, "settings", settings);
  return o_json;
}

sg_status sgi_superposition_report(const sgi_superposition_request *q, json_t **out, sg_error *err) {
  sgi_super_settings s = sgi_super_usual();
  sgi_superposition o = {0};
  s.min_together = q->min_together;
  s.min_lift = q->min_lift;
  s.max_pairs = q->max_pairs;
  s.max_places = q->max_places;
  s.shuffled = q->shuffled;
  s.seed = q->seed;
  s.progress = q->progress;
  s.user = q->user;
  sg_status st = sgi_superposition_run(q->model, q->recording, q->slot, &s, &o, err);
  if (!st) *out = result_json(&o, &s);
  sgi_superposition_deinit(&o);
  return st ? st : sgi_report_whole(out, "the pairs", err);
}
