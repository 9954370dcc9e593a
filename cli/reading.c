#include "reading.h"

#include <stdlib.h>
#include <string.h>

sg_status cli_bind(const cli_call *c, const sg_recording *rec, const char *name, const sg_model *model, sg_error *err) {
  sgi_bound bound;
  sg_status st = sgi_recording_bind(rec, model, name, &bound, err);
  if (st) return st;
  if (bound == SGI_UNKNOWN) cli_note("%s does not say which model it was made from: it is taken to be this one", name);
  if (bound == SGI_SAME_WEIGHTS)
    cli_note("%s does not say which config.json it was made with: it is taken to be this model's", name);
  if (bound != SGI_OF_ANOTHER) return SG_OK;
  char why[SG_ERROR_TEXT];
  snprintf(why, sizeof why, "%.330s", err->text);
  if (!cli_flag(c, "force"))
    return sgi_fail(err, SG_ERR_ARG, "%s. Record this model (sgatlin record), name the other one, or give --force",
                    why);
  cli_warn("%s. What follows mixes two models", why);
  return SG_OK;
}

int cli_reading_json(const sg_recording *rec, json_t *value) {
  sg_error err = {0};
  if (!rec || !sgi_recorded_check(rec, &err)) return cli_json(value);
  json_decref(value);
  return cli_fail(&err);
}

int cli_reading_end(const sg_recording *rec, int code) {
  sg_error err = {0};
  return !code && rec && sgi_recorded_check(rec, &err) ? cli_fail(&err) : code;
}

sg_status cli_reading_layer(const cli_call *c, const sgi_record_reader *r, size_t *slot, sg_error *err) {
  sg_status st = sgi_record_reader_circuits(r, err);
  if (st) return st;
  *slot = r->info.n_layers - 1;
  return cli_is_set(c, "layer") ? sgi_recorded_slot(r->rec, cli_size(c, "layer"), slot, err) : SG_OK;
}

/* Digits up to the first other character; false where there is none or the number is too large. */
static bool number(const char **at, size_t *out) {
  char *end;
  if (**at < '0' || **at > '9') return false;
  unsigned long long v = strtoull(*at, &end, 10);
  *at = end;
  *out = (size_t)v;
  return v <= INT32_MAX;
}

sg_status cli_reading_channel(const cli_call *c, const sgi_record_reader *r, size_t slot, size_t *channel,
                              sg_error *err) {
  const char *text = cli_string(c, "channel");
  *channel = SG_ALL_CHANNELS;
  if (!strcmp(text, "all")) return SG_OK;
  if (number(&text, channel) && !*text && *channel < r->slots[slot].channels) return SG_OK;
  return sgi_fail(err, SG_ERR_ARG, "--channel %s: expected \"all\" or 0 to %zu", cli_string(c, "channel"),
                  r->slots[slot].channels - 1);
}

static int ascending(const void *a, const void *b) {
  size_t x = *(const size_t *)a, y = *(const size_t *)b;
  return (x > y) - (x < y);
}

static sg_status bad_list(const char *text, const char *what, sg_error *err) {
  return sgi_fail(err, SG_ERR_ARG, "--%s %s: expected numbers such as 0,2,5-7", what, text);
}

sg_status cli_number_list(const char *text, const char *what, size_t **out, size_t *n, sg_error *err) {
  enum { MOST = 4096 };
  *n = 0;
  *out = sgi_alloc(MOST * sizeof **out);
  if (!*out) return sgi_fail_memory(err, MOST * sizeof **out, "a list");
  for (const char *at = text;;) {
    size_t from, to;
    if (!number(&at, &from)) return bad_list(text, what, err);
    to = from;
    if (*at == '-' && (at++, !number(&at, &to))) return bad_list(text, what, err);
    if (to < from || to - from >= MOST - *n) return bad_list(text, what, err);
    for (size_t i = from; i <= to; i++) (*out)[(*n)++] = i;
    if (!*at) break;
    if (*at++ != ',') return bad_list(text, what, err);
  }
  qsort(*out, *n, sizeof **out, ascending);
  size_t kept = 0;
  for (size_t i = 0; i < *n; i++)
    if (!kept || (*out)[i] != (*out)[kept - 1]) (*out)[kept++] = (*out)[i];
  *n = kept;
  return SG_OK;
}

sg_status cli_unit_list(const char *text, sg_neuron_id **out, size_t *n, sg_error *err) {
  size_t most = 1;
  for (const char *p = text; *p; p++) most += *p == ',';
  *n = 0;
  *out = sgi_alloc(most * sizeof **out);
  if (!*out) return sgi_fail_memory(err, most * sizeof **out, "a list of neurons");
  for (const char *at = text;;) {
    sg_neuron_id *u = &(*out)[*n];
    bool good = number(&at, &u->channel) && *at++ == ':' && number(&at, &u->neuron);
    if (good) ++*n;
    if (good && !*at) return SG_OK;
    if (!good || *at++ != ',')
      return sgi_fail(err, SG_ERR_ARG, "--neurons %s: expected CHANNEL:NEURON pairs such as 0:17,3:901", text);
  }
}

/* ---- text ------------------------------------------------------------------------------------ */

static char *text_of(json_t *o) {
  const char *s = json_string_value(o);
  char *copy = strdup(s ? s : "");
  if (!copy) cli_no_memory();
  json_decref(o);
  return copy;
}
char *cli_recorded_token_text(const sgi_record_reader *r, int32_t id, bool names) {
  return text_of(sgi_recorded_token(r, id, names));
}
char *cli_recorded_excerpt_text(const sgi_record_reader *r, size_t position, size_t width, bool names) {
  return text_of(sgi_recorded_excerpt(r, position, width, names));
}
