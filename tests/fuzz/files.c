/* files.c: files of tensors, manifests, graphs. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "../server/opened.h"
#include "core/arena.h"
#include "core/manifest.h"
#include "core/safetensors.h"
#include "fuzz/target.h"

static void take_path(fuzz_outcome *out, const char *path) { snprintf(out->path, sizeof out->path, "%s", path); }

/* ---- safetensors ------------------------------------------------------------------------- */

static uint64_t one_tensor(const sgi_safetensors *f, size_t i, size_t *bytes) {
  const sgi_tensor *t = sgi_safetensors_at(f, i);
  size_t count = 1, all;
  for (int k = 0; k < t->n_dims; k++) fuzz_expect(sgi_size_mul(count, t->dims[k], &count), "a shape overflows");
  fuzz_expect(count == t->count, "count is not the product of the shape");
  fuzz_expect(sgi_size_mul(count, sgi_dtype_size(t->dtype), &all) && all == t->bytes, "bytes are not count * size");
  fuzz_expect(t->count == 0 || t->data, "a tensor without data");
  fuzz_expect(sgi_safetensors_find(f, t->name) == t, "a tensor is not found by its name");
  if (t->count) fuzz_expect((uintptr_t)t->data % sgi_dtype_size(t->dtype) == 0, "data is not aligned");
  *bytes += t->bytes;
  uint64_t sum = fuzz_mix((uint64_t)t->dtype, t->name, strlen(t->name));
  sum = fuzz_mix(sum, t->dims, (size_t)t->n_dims * sizeof *t->dims);
  return fuzz_mix(sum, t->data, t->bytes); /* every byte is read */
}

static void run_safetensors(const uint8_t *data, size_t n, fuzz_outcome *out) {
  const char *path = fuzz_file("x.safetensors", data, n);
  sgi_safetensors *f;
  take_path(out, path);
  out->status = sgi_safetensors_open(path, &f, &out->err);
  if (out->status) return;
  size_t bytes = 0;
  for (size_t i = 0; i < sgi_safetensors_count(f); i++) out->meaning += one_tensor(f, i, &bytes); /* in any order */
  const char *format = sgi_safetensors_metadata(f, "format");
  if (format) out->meaning = fuzz_mix(out->meaning, format, strlen(format));
  fuzz_expect(bytes <= n, "more data than the file has");
  sgi_safetensors_close(f);
}

/* ---- manifests --------------------------------------------------------------------------- */

static void begin_bundle(void) {
  char path[300];
  snprintf(path, sizeof path, "%s/bundle", fuzz_directory());
  mkdir(path, 0700);
  fuzz_file("bundle/a.txt", (const uint8_t *)"first\n", 6);
  fuzz_file("bundle/b.txt", (const uint8_t *)"second\n", 7);
}

static void run_bundle(const uint8_t *data, size_t n, fuzz_outcome *out) {
  char directory[300];
  take_path(out, fuzz_file("bundle/MANIFEST.json", data, n));
  snprintf(directory, sizeof directory, "%s/bundle", fuzz_directory());
  out->status = sgi_manifest_verify(directory, NULL, false, &out->err);
  /* whatever is accepted names files of the directory with what they hold, so there is one meaning
   */
}

/* ---- graphs ------------------------------------------------------------------------------ */

static void run_graph(const uint8_t *data, size_t n, fuzz_outcome *out) {
  const char *path = fuzz_file("g.json", data, n);
  opened o = {0};
  take_path(out, path);
  out->status = opened_load(&o, path, &out->err);
  if (!out->status) {
    char *text = json_dumps(o.file, JSON_COMPACT | JSON_SORT_KEYS);
    fuzz_expect(text && o.name, "an accepted graph can not be written");
    out->meaning = fuzz_mix(0, text, strlen(text));
    free(text);
  }
  opened_deinit(&o);
}

const fuzz_target fuzz_safetensors = {"safetensors", NULL, run_safetensors};
const fuzz_target fuzz_bundle = {"bundle", begin_bundle, run_bundle};
const fuzz_target fuzz_graph = {"graph", NULL, run_graph};
