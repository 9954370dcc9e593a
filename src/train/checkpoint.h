/* checkpoint.h: a trainer as a directory that is complete or not there (core/bundle.h), and back,
 * to the last bit. */
#ifndef SGI_CHECKPOINT_H
#define SGI_CHECKPOINT_H

#include "core/json.h"
#include "train/trainer.h"

#define SGI_CHECKPOINT_PREFIX "step-"
enum { SGI_TOKENIZER_BYTES = 256 << 20 }; /* of a tokenizer.json that is copied, at most */

/* What else a run has to know to go on as if it had never stopped. */
typedef struct sgi_progress_state {
  uint64_t step, updates;
  uint64_t tokens;        /* counted targets so far */
  double flops, seconds;  /* of training so far */
  uint64_t data_hash;     /* of the training tokens: another corpus is refused */
  uint64_t metrics_bytes; /* length of metrics.jsonl: what came later is cut off */
  double best_loss;       /* of the best checkpoint; infinite before the first evaluation */
  char best[64];          /* its name, "" for none */
  bool evaluation_due;    /* the step's evaluation was not finished: a resumed run makes it first */
} sgi_progress_state;

/* Writes RUN/checkpoints/step-NNNNNNNN (config.json, model.safetensors, tokenizer.json,
 * optimizer.safetensors, train_state.json, settings.json, MANIFEST.json) and points `latest` at it;
 * name (64 bytes) gets the directory's name. tokenizer is the file to copy, settings what the run
 * was told; NULL: none. Of several ranks all call it: the lead writes, the others give it what they
 * keep of the optimizer. */
sg_status sgi_checkpoint_save(const char *run, const sgi_trainer *t, const sgi_progress_state *state,
                              const char *tokenizer, const json_t *settings, char name[64], sg_error *err);

/* The settings that a checkpoint was made with: new reference, NULL where it is older than
 * settings.json. */
sg_status sgi_checkpoint_settings(const char *directory, json_t **out, sg_error *err);

/* Whether all files are there as they were written (core/manifest.h); all are read. */
sg_status sgi_checkpoint_verify(const char *directory, sg_error *err);

/* Fills t's weights, moments, counts and state from a complete checkpoint directory of the same
 * architecture and settings. */
sg_status sgi_checkpoint_load(const char *directory, sgi_trainer *t, sgi_progress_state *state, sg_error *err);

/* Bytes of one checkpoint on disk, with this many arrays of the trainer beside the weights. */
size_t sgi_checkpoint_bytes(size_t floats, size_t parts, size_t pools);

/* Told of each checkpoint that is newer than the one taken and not whole, with what is wrong with
 * it. */
typedef struct sgi_skipped {
  void (*skipped)(void *user, const char *name, const char *reason);
  void *user;
} sgi_skipped;

/* The model directory that path means: path itself, or the newest complete checkpoint of the run at
 * path (which: "latest", "best" or a step's name; NULL: latest). A checkpoint that was named must
 * be whole, in whichever way it was named. tell may be NULL. New: sgi_free. */
sg_status sgi_model_locate(const char *path, const char *which, const sgi_skipped *tell, char **out, sg_error *err);

#endif
