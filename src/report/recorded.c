#include "recorded.h"

#include <string.h>

#include "core/file.h"
#include "read/kept.h"
#include "read/excerpt.h"
#include "read/recording.h"

sg_status sgi_record_reader_open(const char *directory, sgi_record_reader *out, sg_error *err) {
  *out = (sgi_record_reader){.directory = directory};
  sg_status st = sg_recording_open(directory, &out->rec, err);
  if (st) return st;
  out->info = sg_recording_describe(out->rec);
  size_t n = out->info.n_layers;
  if (!(out->slots = sgi_alloc((n + 1) * sizeof *out->slots))) return sgi_fail_memory(err, n, "recorded layers");
  for (size_t s = 0; s < n && !st; s++) st = sg_recording_layer(out->rec, out->info.layers[s], &out->slots[s], err);
  if (st) return st;
  char *path = sgi_path_join(directory, "tokenizer.json");
  if (!path) return sgi_fail_memory(err, strlen(directory), "a path");
  if (sgi_is_file(path)) st = sg_tokenizer_load(path, &out->tok, err);
  if (!st && out->tok && sg_tokenizer_vocab_size(out->tok) > out->info.vocab_size)
    st =
        sgi_fail(err, SG_ERR_FORMAT, "%s has %zu ids, the recorded model's vocabulary %zu: they do not belong together",
                 path, sg_tokenizer_vocab_size(out->tok), out->info.vocab_size);
  sgi_free(path);
  return st;
}

void sgi_record_reader_close(sgi_record_reader *r) {
  sg_recording_close(r->rec);
  sgi_free(r->slots);
  sg_tokenizer_free(r->tok);
}

sg_status sgi_record_reader_circuits(const sgi_record_reader *r, sg_error *err) {
  size_t slot;
  return r->info.n_layers ? SG_OK : sgi_recording_slot(r->rec, 0, &slot, err);
}

bool sgi_record_reader_layer(const sgi_record_reader *r, size_t i, size_t *layer, bool *circuits) {
  for (size_t l = 0, slot = 0; l < r->info.model_layers; l++) {
    *circuits = slot < r->info.n_layers && r->info.layers[slot] == l;
    slot += *circuits;
    if ((*circuits || sgi_recording_kept(r->rec, l)) && !i--) return *layer = l, true;
  }
  return false;
}

size_t sgi_record_reader_channels(const sgi_record_reader *r) {
  size_t most = 0;
  for (size_t s = 0; s < r->info.n_layers; s++)
    if (r->slots[s].channels > most) most = r->slots[s].channels;
  return most;
}

static sgi_excerpt_form form(bool names) { return names ? SGI_EXCERPT_NAMES : SGI_EXCERPT_TEXT; }

json_t *sgi_recorded_token(const sgi_record_reader *r, int32_t id, bool names) {
  sgi_bytes b = {0};
  json_t *o = NULL;
  if (r->tok && !sgi_excerpt_token(r->tok, id, form(names), &b, NULL)) o = sgi_report_text(b.data ? b.data : "", b.n);
  sgi_bytes_deinit(&b);
  return o ? o : json_null();
}

json_t *sgi_recorded_excerpt(const sgi_record_reader *r, size_t position, size_t width, bool names) {
  sgi_bytes b = {0};
  json_t *o = NULL;
  if (r->tok && !sgi_excerpt(r->rec, r->tok, position, width, form(names), &b, NULL))
    o = sgi_report_text(b.data ? b.data : "", b.n);
  sgi_bytes_deinit(&b);
  return o ? o : json_null();
}

sg_status sgi_recorded_slot(const sg_recording *rec, size_t layer, size_t *slot, sg_error *err) {
  return sgi_recording_slot(rec, layer, slot, err);
}

sg_recorded sgi_recorded_at(const sg_recording *rec, size_t position) { return sgi_recording_at(rec, position); }

void sgi_recorded_document(const sg_recording *rec, size_t document, size_t *first, size_t *count) {
  sgi_recording_document(rec, document, first, count);
}

sg_status sgi_recorded_check(const sg_recording *rec, sg_error *err) { return sgi_recording_check(rec, err); }
