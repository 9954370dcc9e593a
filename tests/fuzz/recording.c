/* recording.c: one file of a recording replaced by the input, the others as they were written. The
 * first byte says which. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/arena.h"
#include "core/file.h"
#include "core/manifest.h"
#include "fuzz/target.h"
#include "read/recording.h"

#define MODEL "tests/golden/eval/model"
int sgatlin_main(int argc, char **argv); /* cli/main.c under another name */

static const char *const names[] = {"recording.json", "shard-00000.safetensors", "index-layer-0.safetensors"};
static char *whole[SGI_COUNT(names)];
static size_t sizes[SGI_COUNT(names)];

static char *in(const char *name) {
  static char path[400];
  snprintf(path, sizeof path, "%s/rec%s%s", fuzz_directory(), *name ? "/" : "", name);
  return path;
}

static void begin_recording(void) {
  static const char text[] = "The dog was happy. Then she smiled.\n<|endoftext|>\nThe cake was sweet.\n<|endoftext|>\n";
  char *data = strdup(fuzz_file("rec.txt", (const uint8_t *)text, sizeof text - 1)), *out = strdup(in(""));
  fflush(NULL);
  pid_t pid = fork(); /* the command starts threads, the fuzzer none */
  if (!pid) {
    setenv("OMP_WAIT_POLICY", "passive", 1);
    char *argv[] = {"sgatlin", "record", MODEL, "--data", data, "-o", out, "-q", "-t", "1", "--layers", "0", NULL};
    int code = sgatlin_main((int)SGI_COUNT(argv) - 1, argv);
    fflush(NULL);
    _exit(code);
  }
  int status = 1;
  waitpid(pid, &status, 0);
  sg_error err = {0};
  fuzz_expect(status == 0, "the recording of the fixtures fails");
  for (size_t i = 0; i < SGI_COUNT(names); i++)
    fuzz_expect(!sgi_read_file(in(names[i]), 16 << 20, &whole[i], &sizes[i], &err), err.text);
  remove(in(SGI_MANIFEST)); /* or nothing behind the hashes would be reached; older recordings have none */
  free(data);
  free(out);
}

static uint64_t look(const sgi_recording *r) {
  const sgi_recording_info *info = sgi_recording_info_of(r);
  size_t n = 0;
  for (size_t s = 0; s < info->n_layers; s++) {
    size_t entries = info->slots[s].channels * info->slots[s].top_k;
    n = entries > n ? entries : n;
  }
  int32_t *index = calloc(n + 1, sizeof *index);
  float *score = calloc(n + 1, sizeof *score);
  uint64_t sum = info->n_positions;
  for (size_t p = 0; p < info->n_positions && p < 200; p++) {
    sgi_recorded at = sgi_recording_at(r, p);
    fuzz_expect(at.document < info->n_documents, "a position outside its documents");
    size_t first, count;
    sgi_recording_document(r, at.document, &first, &count);
    fuzz_expect(first <= p && p - first < count && first + count <= info->n_positions,
                "a document outside the recording");
    for (size_t s = 0; s < info->n_layers; s++) {
      sgi_recording_circuit(r, s, p, index, score);
      n = info->slots[s].channels * info->slots[s].top_k;
      for (size_t i = 0; i < n; i++)
        fuzz_expect(index[i] >= 0 && (size_t)index[i] < info->slots[s].pool, "a neuron outside the pool");
      sum = fuzz_mix(sum, index, n * sizeof *index);
      sgi_recording_values(r, s, p, score);
    }
  }
  for (size_t s = 0; sgi_recording_indexed(r) && s < info->n_layers; s++)
    for (size_t c = 0; c < info->slots[s].channels; c++)
      for (size_t i = 0; i < info->slots[s].pool; i++) {
        sgi_postings x = sgi_recording_postings(r, s, c, i);
        for (size_t k = 0; k < x.count; k++) {
          fuzz_expect(x.position[k] < info->n_positions, "a posting outside the recording");
          sum += (uint64_t)(x.score[k] > 0);
        }
      }
  free(index);
  free(score);
  return sum;
}

static void run_recording(const uint8_t *data, size_t n, fuzz_outcome *out) {
  static size_t replaced = SIZE_MAX;
  if (!n) return;
  size_t which = data[0] % SGI_COUNT(names);
  char name[100], directory[400];
  for (size_t i = 0; replaced != which && i < SGI_COUNT(names); i++) {
    snprintf(name, sizeof name, "rec/%s", names[i]);
    if (i != which) fuzz_file(name, (const uint8_t *)whole[i], sizes[i]);
  }
  replaced = which;
  snprintf(name, sizeof name, "rec/%s", names[which]);
  snprintf(out->path, sizeof out->path, "%s", fuzz_file(name, data + 1, n - 1));
  snprintf(directory, sizeof directory, "%s", in(""));
  sgi_recording *r;
  out->status = sg_recording_open(directory, &r, &out->err);
  if (out->status) return;
  out->meaning = look(r);
  sg_recording_close(r);
}

const fuzz_target fuzz_recording = {"recording", begin_recording, run_recording};
