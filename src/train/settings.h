/* settings.h: everything a training run is told, as one table of keys ("train.steps") that files,
 * --set and help share. */
#ifndef SGI_SETTINGS_H
#define SGI_SETTINGS_H

#include "core/json.h"
#include "ffn/aux.h"
#include "train/int4.h"
#include "train/optim.h"

enum { SGI_SETTING_TEXT = 64, SGI_SETTING_PATH = 1024, SGI_SETTING_LAYERS = 8192 };

/* train.init=monet: the deviation that maps start with, as the code released for monet has it. */
#define SGI_START_NORMAL 0.02

typedef struct sgi_settings {
  char preset[SGI_SETTING_TEXT];
  sg_config model;                 /* vocab_size and the special ids come from the tokenizer when the run starts */
  size_t num_attention_heads;      /* 0: hidden_size / head_dim */
  char layers[SGI_SETTING_LAYERS]; /* "layers" of the model's config.json, as JSON; "": all alike */

  uint64_t steps;      /* batches; 0: by flops_budget, else one epoch */
  double flops_budget; /* 0: none; steps = budget / (3 * forward FLOPs of a batch) */
  size_t batch_size, seq_len, grad_accumulation;
  size_t micro_batch;                    /* rows at a time; 0: as many as memory allows */
  size_t parts;                          /* of a batch, summed as a tree (parts.h); 0: settled when the run starts */
  char from[SGI_SETTING_PATH];           /* model or run whose weights it starts with; "": random ones */
  char precision[SGI_SETTING_TEXT];      /* float32 or bf16; "auto" is settled when the run starts */
  char pool_precision[SGI_SETTING_TEXT]; /* float32, or int4 with the settings below (int4.h) */
  sgi_int4_settings int4;                /* on and seed are of a trainer's alone */
  uint64_t seed;

  double learning_rate, weight_decay, clip;
  sgi_optimizer optimizer; /* with its own settings */
  char schedule[SGI_SETTING_TEXT];
  uint64_t warmup_steps;
  double decay_fraction;

  char rows[SGI_SETTING_TEXT];           /* "pad" or "pack"; "auto": as the text is, settled when the run starts */
  char split[SGI_SETTING_TEXT];          /* "endoftext" or "blank-lines" */
  char field[SGI_SETTING_TEXT];          /* of .jsonl lines */
  char line_ends[SGI_SETTING_TEXT];      /* of .txt: "lf", or "as-is" as runs have it that do not say */
  char missing_shards[SGI_SETTING_TEXT]; /* "refuse", or "allow" as runs have it that do not say */
  double held_out;                       /* part of a single file's end that is held out; runs that do not say: 0 */
  size_t tokenizer_vocab_size;           /* of a tokenizer trained for the run; 0: the preset's */

  uint64_t eval_every, checkpoint_every; /* steps; 0: only at the end */
  size_t eval_batches;                   /* held-out batches of one evaluation; 0: all */
  size_t checkpoint_keep;                /* newest checkpoints kept besides the best */
  uint64_t log_every;                    /* steps between lines of metrics.jsonl */

  sgi_aux_weights aux; /* what is added to the loss */
  char init[SG_NAME];  /* "" or "usual"; "monet": maps start as a normal of SGI_START_NORMAL */
  double threshold_lr; /* rate of gates' thresholds in times of learning_rate */
  double gate_dropout; /* probability that a chosen neuron is left out of a step; 0: none */

  bool given_preset, free_batch; /* not kept: somebody named the preset; nobody set train.batch_size */
} sgi_settings;

/* Assignments in the order in which they were given; a later one wins. */
typedef struct sgi_assignments {
  struct sgi_assignment {
    char *key, *value;
    char *where; /* for errors: "--set train.steps=x", "run.json" */
    int rank;
  } * list;
  size_t count, capacity;
  int rank; /* of what is assigned from now on: a file has a lower one than the command line */
} sgi_assignments;

sg_status sgi_assign(sgi_assignments *a, const char *key, const char *value, const char *where, sg_error *err);
/* "key=value"; where NULL: the text itself. */
sg_status sgi_assign_text(sgi_assignments *a, const char *text, const char *where, sg_error *err);
/* Nested objects: {"train": {"steps": 5}} is train.steps=5. */
sg_status sgi_assign_json(sgi_assignments *a, const json_t *object, const char *where, sg_error *err);
void sgi_assignments_free(sgi_assignments *a);

/* The preset of the last assignment of `preset` (tinystories if there is none) for the last
 * feedforward.kind (sgatlin), then all other assignments in order, then the checks that need no
 * data. Sizes under feedforward.* that were given with a lower rank than a kind that changes are
 * left out: they belong to the other kind. Unknown keys are refused with the nearest one. */
sg_status sgi_settings_resolve(const sgi_assignments *a, sgi_settings *out, sg_error *err);

/* train.precision=auto becomes what this processor is faster with (precision.c); whether it is
 * bf16. */
bool sgi_settings_settle_precision(sgi_settings *s);

/* New reference: nested, every key; what resolves to the same settings again. NULL when memory is
 * out. */
json_t *sgi_settings_to_json(const sgi_settings *s);

/* Calls changed for each key whose value in then, what sgi_settings_to_json made earlier, is
 * another one than now's; matters: the training would go another way. Keys that then does not know
 * are passed over: it is older than they are. */
sg_status sgi_settings_compare(const sgi_settings *now, const json_t *then,
                               void (*changed)(void *user, const char *key, const char *then, const char *now,
                                               bool matters),
                               void *user, sg_error *err);

/* Assignments of train.aux.* alone: weights of what is added to a loss that somebody looks at. */
sg_status sgi_settings_aux(const sgi_assignments *a, sgi_aux_weights *out, sg_error *err);

#endif
