#include "train/split.h"

#include "ffn/beside.h"

sg_status sgi_split_make(const sg_config *whole, size_t index, size_t count, sgi_split *out, sg_config *local,
                         sg_error *err) {
  *out = (sgi_split){.index = index, .count = count, .config = *whole};
  *local = *whole;
  if (!sgi_ffn_of(whole)->sparse || !sgi_config_alike(whole))
    return sgi_fail(err, SG_ERR_UNSUPPORTED,
                    "--channel-ranks needs layers that are all alike and whose channels add up; here they are %s%s",
                    whole->feedforward, sgi_config_alike(whole) ? "" : " and differ");
  if (sgi_beside_units(whole))
    return sgi_fail(err, SG_ERR_UNSUPPORTED,
                    "--channel-ranks shares a layer's channels out, and feedforward.%s stands beside them: leave one "
                    "of the two out",
                    whole->options.sink_mlp ? "sink_mlp" : "always_on");
  if (whole->options.gates[0])
    return sgi_fail(err, SG_ERR_UNSUPPORTED,
                    "--channel-ranks and feedforward.gates.kind = \"%s\": how many are to act is counted over all "
                    "channels of a layer, which lie in several processes",
                    whole->options.gates);
  if (whole->options.meta_experts)
    return sgi_fail(
        err, SG_ERR_UNSUPPORTED,
        "--channel-ranks and feedforward.meta.experts = %zu: a metarouter weighs whole pools, whose channels "
        "can not lie in several processes",
        whole->options.meta_experts);
  if (!count || whole->num_channels % count)
    return sgi_fail(err, SG_ERR_ARG, "--channel-ranks is %zu: it must divide feedforward.num_channels = %zu", count,
                    whole->num_channels);
  local->num_channels /= count;
  sg_status st = sg_config_check(local, err);
  return st ? st : sgi_model_table(whole, &out->table, err);
}

void sgi_split_deinit(sgi_split *s) { sgi_table_deinit(&s->table); }

bool sgi_split_is_part(const sgi_split *s, const sgi_table *local, size_t i) {
  return s && s->table.rows[i].count != local->rows[i].count;
}

size_t sgi_split_place(const sgi_split *s, const sgi_table *local, size_t i, size_t index, size_t at, size_t *run) {
  const sgi_row *part = &local->rows[i];
  if (!sgi_split_is_part(s, local, i)) {
    *run = part->count - at;
    return at;
  }
  const sgi_row *whole = &s->table.rows[i];
  size_t inner = part->count; /* of the slice, on the axis that differs and below it */
  for (int k = 0; part->dims[k] == whole->dims[k]; k++) inner /= part->dims[k];
  *run = inner - at % inner;
  return at / inner * inner * s->count + index * inner + at % inner;
}

sg_status sgi_split_create(const sgi_split *s, const sg_config *local, uint64_t seed, sg_model **out, sg_error *err) {
  sg_status st = sgi_model_blank(local, out, err);
  if (st) return st;
  sg_model *m = *out;
  for (size_t i = 0; i < m->table.count; i++)
    for (size_t run, at = 0; at < m->table.rows[i].count; at += run) {
      size_t place = sgi_split_place(s, &m->table, i, s->index, at, &run);
      sgi_model_fill(&s->table.rows[i], i, seed, place, run, m->arena + m->table.rows[i].offset + at);
    }
  return SG_OK;
}

void sgi_split_copy(const sgi_split *s, sg_model *slice, const sg_model *whole) {
  for (size_t i = 0; i < slice->table.count; i++)
    for (size_t run, at = 0; at < slice->table.rows[i].count; at += run) {
      size_t place = sgi_split_place(s, &slice->table, i, s->index, at, &run);
      sgi_weight_read(slice->arena + slice->table.rows[i].offset + at, &whole->weights[i], place, run);
    }
}
