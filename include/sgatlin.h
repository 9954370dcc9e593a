/* sgatlin.h: the public interface, in reading order: version, status; a model: configuration,
 * model, loading, generation; text, training, evaluation; reading, recordings, facts, each in parts
 * of its own. docs/library.md walks through it with a program. One file, as callers in other
 * languages make their side from it.
 *
 * Rules that hold everywhere
 * - A function that can fail returns sg_status (0 or negative) and takes a last argument
 *   `sg_error *err`: the caller's struct, filled with the code and one sentence (file, place,
 *   expected, found, what to do). NULL is allowed.
 * - Every pointer is *borrowed* (valid until the named call), the *caller's buffer* (with a
 *   count), or *new* (with the function that frees it). Free functions take NULL. Elsewhere NULL
 *   is allowed only where it is said.
 * - The library never prints, exits or aborts, keeps no global state that a caller can see, and
 *   opens no network connection. Two models in two threads give what each gives alone.
 * - The matrix products of oneDNN keep data below the stack pointer: a signal handler that runs
 *   on a thread while it computes would overwrite it. Block signals on such threads, or give
 *   handlers a stack of their own (sigaltstack, SA_ONSTACK).
 * - Arrays are row-major float32, shapes stand in comments in the letters of docs/method.md:
 *   B batch, T sequence length, n = B*T token rows, D d_model, V vocabulary, H heads, L layers,
 *   F hidden width or neurons of a pool, C channels, K neurons chosen per channel (top_k),
 *   Q key width.
 */
#ifndef SGATLIN_H
#define SGATLIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define SG_API __attribute__((visibility("default")))
#define SG_PRINTF(f, a) __attribute__((format(printf, f, a)))
#else
#define SG_API
#define SG_PRINTF(f, a)
#endif

/* ---- version --------------------------------------------------------------------------------- */

/* Number of the binary interface. It changes where a program that was compiled with an older header
 * could misread this library: a struct that a caller fills or reads changes, a function takes other
 * arguments or means something else. What is only added does not change it. A program loaded at run
 * time compares the function with the macro it was made with (unit/test_library.c). */
#define SG_ABI_VERSION 6
SG_API int sg_abi_version(void);

/* "0.1.0 (0123456789ab)": version and commit. Borrowed for ever. */
SG_API const char *sg_version_text(void);

/* ---- status ---------------------------------------------------------------------------------- */

/* X(name, value, text): the one list of codes; values are pinned. */
#define SG_STATUS_LIST(X) \
  X(SG_OK, 0, "no error") \
  X(SG_ERR_ARG, -1, "invalid argument or setting") \
  X(SG_ERR_MEMORY, -2, "out of memory") \
  X(SG_ERR_IO, -3, "file could not be read or written") \
  X(SG_ERR_FORMAT, -4, "file is corrupt or of the wrong form") \
  X(SG_ERR_UNSUPPORTED, -5, "feature is not supported") \
  X(SG_ERR_SPACE, -6, "no space left") \
  X(SG_ERR_NUMERIC, -7, "a number is NaN or infinite") \
  X(SG_ERR_CANCELLED, -8, "cancelled") \
  X(SG_ERR_INTERNAL, -9, "internal error")

typedef enum sg_status {
#define SG_STATUS_ENUM(name, value, text) name = value,
  SG_STATUS_LIST(SG_STATUS_ENUM)
#undef SG_STATUS_ENUM
} sg_status;

enum { SG_ERROR_TEXT = 480 };

typedef struct sg_error {
  sg_status code;
  char text[SG_ERROR_TEXT]; /* one sentence, NUL-terminated, never cut inside a UTF-8 character */
} sg_error;

/* Text of a code, borrowed for ever; "unknown status" for any other value. */
SG_API const char *sg_status_text(sg_status code);

/* ---- model configuration --------------------------------------------------------------------- */

enum { SG_NAME = 32 };

/* Limits of a model whose layers differ. */
enum { SG_MAX_FEEDFORWARDS = 16, SG_MAX_LISTED_LAYERS = 256, SG_MAX_ODE_STEPS = 16 };

/* What a feedforward layer may have beside its kind; all zero: nothing (docs/method.md, options of
 * a feedforward layer). */
typedef struct sg_options {
  char gates[SG_NAME]; /* "" or "jumprelu": of the top_k candidates of a channel those above its threshold act */
  double bandwidth;    /* of the thresholds' gradient */
  size_t sink_mlp;     /* hidden width of an MLP beside the kind whose maps all layers share; 0: none */
  size_t always_on;    /* neurons beside the kind that act at every token, without a score; 0: none */
  char always_on_activation[SG_NAME]; /* of these: gelu, identity, relu, relu2 or swish; "" where there are none */
  size_t bias;                        /* 1: a constant is added to what a neuron reads (peer) */
  /* Metarouter: pools, each with a router and neurons of its own; how many run, 1 or more; "token"
   * or "sequence"; positions of a document that a choice by sequence is made of; layers that share
   * a choice, 0: 1 by token, all by sequence. */
  size_t meta_experts, meta_top_k;
  char meta_choice[SG_NAME];
  size_t meta_prefix, meta_group;
} sg_options;

/* A feedforward layer that is not the one of the configuration itself: same fields, same
 * meaning. */
typedef struct sg_feedforward {
  char kind[SG_NAME], router[SG_NAME], activation[SG_NAME];
  size_t num_neurons, num_channels, top_k, key_dim;
  sg_options options;
  char decomposition[SG_NAME];
  size_t num_experts, expert_dim, router_group;
} sg_feedforward;

/* Sublayers of a layer, as bits. */
enum { SG_ATTENTION = 1, SG_FEEDFORWARD = 2 };

/* In what a layer differs from the configuration's own; all zero: in nothing. */
typedef struct sg_layer {
  uint8_t feedforward;     /* 0: the configuration's; v: feedforwards[v - 1] */
  uint8_t absent;          /* sublayers that the layer does not have (SG_ATTENTION, SG_FEEDFORWARD) */
  uint8_t pruned;          /* sublayers that were taken out of a trained model */
  uint16_t attention_as;   /* 0: tensors of its own; k: those of layer k - 1, which comes before it */
  uint16_t feedforward_as; /* likewise */
} sg_layer;

/* What config.json of a model directory says (docs/formats.md). Plain struct: fill it by hand, by
 * preset or by file; every function that takes one checks it. Zero in what follows key_dim: layers
 * that are all alike, one behind the other. */
typedef struct sg_config {
  size_t vocab_size;   /* V */
  size_t hidden_size;  /* D */
  size_t head_dim;     /* d_head, even */
  size_t num_heads;    /* H */
  size_t num_layers;   /* L */
  size_t max_position; /* T the model was made for */
  double rms_norm_eps; /* 1e-6 */
  double rope_theta;   /* 1e4 */
  int32_t bos_id, eos_id, pad_id;
  char feedforward[SG_NAME]; /* kind: a name sg_feedforward_name gives */
  char router[SG_NAME];      /* "" where the kind has none */
  char activation[SG_NAME];
  size_t num_neurons;          /* F */
  size_t num_channels;         /* C (moe: experts), 0 where the kind has none */
  size_t top_k;                /* K, 0 where the kind has none */
  size_t key_dim;              /* Q, 0 where the kind has none */
  char decomposition[SG_NAME]; /* monet: "horizontal" or "vertical"; "" where the kind has none */
  size_t num_experts;          /* monet: sub-experts N an axis, N^2 composed; their neurons are counted from it */
  size_t expert_dim;           /* monet: m, the hidden width of a composed expert */
  size_t router_group;         /* layers that share a router; 0: 1 */
  size_t layer;                /* a layer's own configuration, as readers are given it: its number; else 0 */
  size_t n_feedforwards;
  sg_feedforward feedforwards[SG_MAX_FEEDFORWARDS];
  sg_layer layers[SG_MAX_LISTED_LAYERS]; /* later layers are like the configuration says */
  char layer_form[SG_NAME];              /* "" or a name sg_layer_form_name gives (docs/method.md, layer forms) */
  size_t ode_steps;                      /* steps of a form that has them; 0: 1 */
  sg_options options;                    /* of the feedforward layer */
  size_t pool_neurons, pool_top_k;       /* a layer's own configuration, with a metarouter: F and K of one pool, where
                                            num_neurons and top_k are those of all; else 0 */
  char norm[SG_NAME]; /* "" or "rms"; "none": streams pass the norms of sublayers and of the end as they are */
  char attention_sink[SG_NAME]; /* "" or "logit": a learned logit a head in every row's softmax, without a value */
} sg_config;

/* Name of the i-th feedforward kind, NULL past the last. Borrowed for ever. */
SG_API const char *sg_feedforward_name(size_t i);

/* Name of the i-th layer form, NULL past the last; the first is the default. Borrowed for ever. */
SG_API const char *sg_layer_form_name(size_t i);

/* Reads and checks DIR/config.json. */
SG_API sg_status sg_config_load(const char *directory, sg_config *out, sg_error *err);

/* SG_OK if a model of these sizes can be made; otherwise the field, its value and what is
 * allowed. */
SG_API sg_status sg_config_check(const sg_config *config, sg_error *err);

/* ---- model ----------------------------------------------------------------------------------- */

/* Weights and their names. Read-only after load or init for all but training. */
typedef struct sg_model sg_model;

/* One row of the model's tensor table. */
typedef struct sg_tensor {
  const char *name; /* "model.layers.3.mlp.experts.w_in", borrowed from the model */
  int n_dims;       /* 1..4 */
  size_t dims[4];
  size_t count;      /* product of dims */
  bool decay;        /* weight decay applies (docs/method.md, optimizer) */
  bool state;        /* statistics that training keeps: no parameter, no gradient */
  const float *data; /* NULL where it is stored in another type: sg_model_read */
  const char *type;  /* "float32", "bf16", "f16", "int8" or "int4", borrowed for ever */
  size_t bytes;      /* of what is stored, scales included */
} sg_tensor;

/* New model with the reference's initialisation (method: initialisation): sg_model_free. */
SG_API sg_status sg_model_create(const sg_config *config, uint64_t seed, sg_model **out, sg_error *err);

/* Opens a model directory (config.json, model.safetensors). The weights are mapped, not read: any
 * size opens in milliseconds. Every tensor must be there with the right shape and in a type that
 * computes (docs/formats.md, weights in fewer bytes), and none besides. New: sg_model_free. */
SG_API sg_status sg_model_load(const char *directory, sg_model **out, sg_error *err);
SG_API void sg_model_free(sg_model *model);

/* Writes DIR/config.json and DIR/model.safetensors, each whole or not at all. */
SG_API sg_status sg_model_save(const sg_model *model, const char *directory, sg_error *err);

SG_API const sg_config *sg_model_config(const sg_model *model); /* borrowed from model */
SG_API size_t sg_model_tensor_count(const sg_model *model);
/* Tensor i in the order of the file; name and data are borrowed from model. Zeroed past the
 * last. */
SG_API sg_tensor sg_model_tensor(const sg_model *model, size_t i);
/* Elements [first, first + count) of tensor i, one row behind the other, as float32 into out
 * (count), however they are stored. SG_ERR_ARG where it has no such elements. */
SG_API sg_status sg_model_read(const sg_model *model, size_t i, size_t first, size_t count, float *out, sg_error *err);
/* A model directory with the weights in fewer bytes (docs/formats.md, weights in fewer bytes). */
typedef struct sg_quantize_request {
  const char *to;    /* "bf16", "f16", "int8", "int4" or "float32" */
  const char *only;  /* names of tensors, with * and ?, several with commas; NULL: every map and pool */
  size_t group_size; /* int8, int4: columns that share a scale, even; 0: all of a row */
  bool clip_mse;     /* int4: the scale of least squared error */
  bool (*progress)(void *user, double done, double wanted); /* NULL, or false to stop */
  void *user;
} sg_quantize_request;
typedef struct sg_quantized {
  size_t tensors, of;   /* changed, that could be */
  size_t before, after; /* bytes of all weights */
} sg_quantized;
/* Writes DIRECTORY/model.safetensors and config.json; what is not chosen stays as it is stored.
 * SG_ERR_NUMERIC names the tensor where a number has no place in the type. */
SG_API sg_status sg_model_quantize(const sg_model *model, const sg_quantize_request *request, const char *directory,
                                   sg_quantized *out, sg_error *err);
SG_API size_t sg_model_parameter_count(const sg_model *model); /* elements of all tensors */

/* Forward FLOPs (matrix products, 2 per multiply-add) of one sequence of seq_len, output head not
 * counted (docs/method.md, FLOPs). */
SG_API sg_status sg_config_flops(const sg_config *config, size_t seq_len, uint64_t *flops, sg_error *err);

/* ---- loading --------------------------------------------------------------------------------- */

typedef struct sg_open_request {
  const char *path;       /* a model directory, or the directory of a training run */
  const char *checkpoint; /* of a run: "latest", "best" or a name such as "step-00000100"; NULL: latest. A checkpoint
                           * that is named must be whole; of a model directory it says nothing */
  bool allow_nonfinite;   /* take weights that are NaN or infinite; nothing that is computed is then checked */
  /* Told of each checkpoint newer than the one taken that is not whole, and why. NULL allowed */
  void (*skipped)(void *user, const char *name, const char *reason);
  void *user;
} sg_open_request;

/* sg_model_load of the model directory that a path means: the path itself, or a checkpoint of the
 * run there. *directory (NULL allowed) is new, that directory: sg_buffer_free. *out is new:
 * sg_model_free. SG_ERR_IO where path is neither, SG_ERR_FORMAT where no checkpoint is whole.
 * Source: docs/formats.md, run. */
SG_API sg_status sg_model_open(const sg_open_request *request, sg_model **out, char **directory, sg_error *err);

/* ---- generation ------------------------------------------------------------------------------ */

/* Continues token sequences one token at a time; keys and values of what came before are kept, so
 * that a token costs the same work wherever it stands (but for attention). One generator is one
 * thread's; several may share a model. */
typedef struct sg_generator sg_generator;

/* How a token is chosen from the logits, in this order: divide by temperature, keep the top_k most
 * likely, of these the fewest whose share reaches top_p, of these the ones at least min_p times as
 * likely as the best; draw one by what is left. Ties go to the smaller id. All zero: greedy. */
typedef struct sg_sampling {
  double temperature; /* 0: the most likely token, whatever else is set */
  size_t top_k;       /* 0: all */
  double top_p;       /* in (0, 1]; 0 and 1: all */
  double min_p;       /* in [0, 1] */
  uint64_t seed;      /* the draw depends on seed, number of the stream and position alone */
  size_t first;       /* number of the generator's first stream */
} sg_sampling;

/* For `streams` sequences that share a beginning and grow together, up to `context` positions each
 * (0: the model's max_position; more is allowed, though no such position was seen in training). All
 * memory is taken here. model is borrowed. New: sg_generator_free. */
SG_API sg_status sg_generator_create(const sg_model *model, size_t streams, size_t context, sg_generator **out,
                                     sg_error *err);
SG_API void sg_generator_free(sg_generator *g);

/* Positions that are left. */
SG_API size_t sg_generator_room(const sg_generator *g);

/* Starts anew. */
SG_API void sg_generator_reset(sg_generator *g);

/* Appends the same n ids to every stream (the beginning: bos, then the prompt), in parts of bounded
 * memory. Only before the first sg_generator_step since create or reset. More than the room is
 * SG_ERR_ARG and changes nothing. */
SG_API sg_status sg_generator_feed(sg_generator *g, const int32_t *ids, size_t n, sg_error *err);

/* Logits (V) of a stream for the position behind its last id. Borrowed until the next feed, step or
 * reset; NULL before the first. */
SG_API const float *sg_generator_logits(const sg_generator *g, size_t stream);

/* Chooses the next id of every stream into ids (streams). Nothing is appended, and asking again
 * gives the same. */
SG_API sg_status sg_generator_choose(sg_generator *g, const sg_sampling *settings, int32_t *ids, sg_error *err);

/* Appends ids[i] to stream i. Computes with one thread or with all that OpenMP gives the caller, as
 * has been quicker; the bits are the same. */
SG_API sg_status sg_generator_step(sg_generator *g, const int32_t *ids, sg_error *err);

/* ---- text ------------------------------------------------------------------------------------ */

/* A byte-level BPE tokenizer in the form of Hugging Face's tokenizer.json. Immutable after load:
 * any number of threads may encode with one. */
typedef struct sg_tokenizer sg_tokenizer;

/* Reads tokenizer.json (docs/formats.md lists what is supported). An unsupported feature is
 * SG_ERR_UNSUPPORTED, its key and value named. New: sg_tokenizer_free. */
SG_API sg_status sg_tokenizer_load(const char *path, sg_tokenizer **out, sg_error *err);
SG_API void sg_tokenizer_free(sg_tokenizer *tok);

/* sg_tokenizer_load of a tokenizer.json, or of the one in a directory, for a model: one with more
 * ids than the model has is SG_ERR_FORMAT. New: sg_tokenizer_free. */
SG_API sg_status sg_tokenizer_open(const char *path, const sg_model *model, sg_tokenizer **out, sg_error *err);

/* Writes tokenizer.json whole or not at all. */
SG_API sg_status sg_tokenizer_save(const sg_tokenizer *tok, const char *path, sg_error *err);

/* Number of ids (largest id + 1). */
SG_API size_t sg_tokenizer_vocab_size(const sg_tokenizer *tok);

/* Id of a special token by its text ("<|endoftext|>", "<|pad|>"), or -1. */
SG_API int32_t sg_tokenizer_special(const sg_tokenizer *tok, const char *text);

/* Encodes bytes[0..n) (UTF-8; broken sequences become U+FFFD) to ids. Special tokens in the text
 * become their ids. Linear in n. *ids is new (*count of them): sg_buffer_free. */
SG_API sg_status sg_tokenizer_encode(const sg_tokenizer *tok, const char *bytes, size_t n, int32_t **ids, size_t *count,
                                     sg_error *err);

/* Text of ids: all bytes joined, each maximal broken UTF-8 part as U+FFFD; skip_special leaves
 * special tokens out. An id outside the vocabulary is SG_ERR_ARG. *text is new (*n bytes and a
 * final NUL): sg_buffer_free. */
SG_API sg_status sg_tokenizer_decode(const sg_tokenizer *tok, const int32_t *ids, size_t count, bool skip_special,
                                     char **text, size_t *n, sg_error *err);

/* Raw bytes of one token (specials: their text), borrowed until sg_tokenizer_free; NULL for an id
 * outside the vocabulary. */
SG_API const char *sg_tokenizer_token_bytes(const sg_tokenizer *tok, int32_t id, size_t *n);

typedef struct sg_tokenizer_training {
  size_t vocab_size;          /* wanted number of ids, special tokens included */
  bool full_alphabet;         /* all 256 byte characters (true), or only those seen */
  bool nfkc, prefix_space;    /* normalizer NFKC; ByteLevel(add_prefix_space) */
  const char *const *special; /* first ids in this order */
  size_t n_special;
  /* Called now and then with merges done and wanted; returning false cancels. NULL allowed. */
  bool (*progress)(void *user, size_t done, size_t wanted);
  void *user;
} sg_tokenizer_training;

/* Trains on documents (one training sequence each): golden-equal to Hugging Face's BpeTrainer, ties
 * to the smallest (left id, right id). New: sg_tokenizer_free. */
SG_API sg_status sg_tokenizer_train(const sg_tokenizer_training *settings, const char *const *documents,
                                    const size_t *lengths, size_t n_documents, sg_tokenizer **out, sg_error *err);

/* How text files become documents. */
typedef struct sg_text_form {
  bool blank_lines; /* .txt: split at blank lines; false: at "<|endoftext|>" */
  bool keep_cr;     /* .txt: CRLF stays CRLF, as runs read text that were begun before it was read as LF */
  char field[64];   /* .jsonl: the string field of each line; "" for "text" */
} sg_text_form;

/* Frees what a function above handed out as new buffer. */
SG_API void sg_buffer_free(void *buffer);

/* Writes the built-in corpus *worlds* into directory: train.txt, valid.txt (no story in common;
 * TinyStories form), topics.jsonl, labels.json, facts.json, corpus.json (docs/worlds.md). Equal
 * n_stories and seed give equal bytes on any machine. */
SG_API sg_status sg_worlds_write(const char *directory, size_t n_stories, uint64_t seed, sg_error *err);

/* ---- training -------------------------------------------------------------------------------- */

/* One step, on its batch (docs/method.md, training). */
enum { SG_AUX_NUMBERS = 12 };
typedef struct sg_step {
  double loss, accuracy, perplexity, perplexity_last_token; /* of this batch, before the update */
  double grad_norm;                                         /* of this batch, before clipping */
  double param_norm;                                        /* of all weights, after the step */
  double lr;                                                /* of the update that ended this step, else of the next */
  size_t targets;                                           /* counted tokens */
  double total;               /* loss and what is added to it (train.aux.*): what the gradient is of */
  double aux[SG_AUX_NUMBERS]; /* in the order of sg_aux_name; NaN where the model has nothing of the kind */
} sg_step;

/* Name of the i-th number beside the loss ("sparsity", "mean_active"; docs/method.md, auxiliary
 * losses); NULL past the last. Borrowed for ever. */
SG_API const char *sg_aux_name(size_t i);

typedef struct sg_train_line {
  uint64_t step, steps, tokens; /* done; wanted; targets counted so far */
  sg_step last;
  double tokens_per_second, seconds, seconds_left; /* a running mean; of training so far; to the end at that pace */
} sg_train_line;

/* Losses over held-out rows (docs/method.md, evaluation). */
typedef struct sg_evaluation {
  double loss, accuracy, perplexity, perplexity_last_token; /* nats; share of the targets; exp of losses */
  double standard_error;                                    /* of loss; over units */
  uint64_t tokens, rows, batches;
  uint64_t units; /* rows; of windows their documents, unless there is only one */
} sg_evaluation;

/* What a run will take, known before its first step. */
typedef struct sg_train_plan {
  size_t parameters;
  uint64_t steps, epoch_steps, updates;
  double flops_per_step; /* forward and backward, 3 * forward * batch */
  size_t memory;         /* bytes, the whole process */
  size_t micro_batch;
  size_t checkpoint_bytes;
  double seconds; /* of all steps and evaluations: with `timed`, by steps of small models on this machine; else 0 */
  uint64_t train_documents, train_tokens, valid_documents, valid_tokens;
  uint64_t cut_tokens, valid_cut_tokens; /* beyond the rows: in no batch, in no evaluation */
  double batch_tokens;                   /* tokens of a batch, mean over an epoch, padding not counted */
  double epochs; /* tokens that the steps use, in times of all tokens of the text: what no row holds is not used */
  size_t batch_size, seq_len;      /* rows of a batch, tokens of a row */
  bool packed;                     /* documents lie one behind the other in rows; else one a row */
  size_t pool_weights, pool_bytes; /* weights of pools trained as int4, and all bytes that they take; 0: none */
} sg_train_plan;

/* Who watches. Any may be NULL. All are called from the thread that trains, one after the other;
 * texts and structs are borrowed for the call. */
typedef struct sg_train_events {
  void *user;
  void (*note)(void *user, const char *text);                                /* one sentence for people */
  void (*work)(void *user, const char *what, uint64_t done, uint64_t total); /* set-up that takes long */
  void (*step)(void *user, const sg_train_line *line);                       /* each step */
  void (*evaluated)(void *user, uint64_t step, const sg_evaluation *e);
  void (*saved)(void *user, const char *name); /* name of a checkpoint that is whole */
  void (*row)(void *user, const char *json);   /* each line of metrics.jsonl once it is written, without its end */
  bool (*stop)(void *user); /* asked between steps and in set-up; true: save and end with SG_ERR_CANCELLED */
  /* Once all is set up and before the first step: the plan, and the model with the vocabulary of
   * its tokenizer. */
  void (*planned)(void *user, const sg_train_plan *plan, const sg_config *model);
} sg_train_events;

/* Several processes that train one model (docs/scaling.md): sg_train, called by all of them alike.
 * How bytes get from one to the other is a transport that the caller brings along; mpirun's comes
 * with the command (mpi/). It does what it is asked or ends all processes: a rank that is gone, or
 * that others have waited for too long, is no error that anybody could go on from, so exchanges
 * return nothing. `self` is what sg_ranks has. */
struct sg_ranks;
typedef struct sg_transport {
  /* Room for this many messages under way at a time, in numbered slots; false: memory is out. */
  bool (*reserve)(void *self, size_t slots);
  /* Begin; data stays as it is until the slot is done. Between two ranks messages arrive in the
   * order in which they were sent. */
  void (*send)(void *self, size_t slot, size_t to, const void *data, size_t bytes);
  void (*receive)(void *self, size_t slot, size_t from, void *data, size_t bytes);
  /* Whether a slot's message is through; whoever asks also moves what else is under way. */
  bool (*done)(void *self, size_t slot);
  void (*wait)(void *self, size_t slot);
  /* all (count blocks of bytes): what each rank gave. */
  void (*gather)(void *self, const void *mine, void *all, size_t bytes);
  /* Floats [bounds[r], bounds[r+1]) of rank r to all; x is everybody's own copy. */
  void (*share)(void *self, float *x, const size_t *bounds);
  /* What this rank is about, for messages; limited: it says so again within the time that a rank
   * may be silent. Text that lasts. */
  void (*about)(void *self, const char *what, bool limited);
  /* "rank 3 (node7, process 1234)" */
  void (*name)(void *self, size_t rank, char *out, size_t size);
  /* Those of the same colour among themselves, in the order of their ranks; false: no room. They
   * end with the whole. */
  bool (*split)(void *self, size_t colour, struct sg_ranks *out);
} sg_transport;

typedef struct sg_ranks {
  const sg_transport *transport; /* NULL where count is 1 */
  void *self;
  size_t rank, count; /* rank 0 reads and writes files for all, and only its events need be watched */
  size_t local;       /* ranks on this machine, which share its memory; 0: 1 */
  uint64_t sent;      /* bytes that this rank has sent to others by exchanges of weights and gradients */
} sg_ranks;

typedef struct sg_train_request {
  const char *run;        /* directory of the run, made if it is not there; one that holds a run is SG_ERR_ARG */
  const char *data;       /* directory with train.* and valid.*, or a file; NULL with resume: as recorded */
  const char *tokenizer;  /* tokenizer.json; NULL: one is trained on the data */
  const char *settings;   /* JSON text as a run's config.json has it; NULL: {} */
  const char *const *set; /* n_set texts "train.steps=100", which win over settings; sg_setting_key names the keys */
  size_t n_set;
  bool resume;    /* go on from the newest whole checkpoint, to the same bits; without settings and set */
  uint64_t steps; /* with resume: of the whole run, more than it had; 0: as recorded */
  bool plan_only; /* nothing is written but the token cache of the data; run may be NULL */
  /* bytes, of the whole process; 0: 3 GB, or three quarters of what the machine has if that is
   * less */
  size_t max_memory;
  sg_train_events events;
  const char *settings_name;    /* what errors call settings ("my.json"); NULL: "settings" */
  const char *const *set_names; /* (n_set) what errors call each of set ("--lr"); an entry or all NULL: its text */
  bool timed;                   /* some steps of small models are made first, for plan.seconds */
  sg_ranks *ranks;              /* borrowed; NULL: one process */
  size_t channel_ranks;         /* of so many ranks each computes its channels of the same rows; 0: 1 */
} sg_train_request;

typedef struct sg_train_result {
  sg_train_plan plan;
  uint64_t step;            /* done so far */
  char checkpoint[64];      /* name of the newest one that is whole; "" for none */
  sg_evaluation evaluation; /* the last of this call; rows 0: there was none */
  double loss_with_buffer;  /* of that, with what buffers of int4 pools held; NaN: not made */
  char first_words[48];     /* that a document of its text begins with, for a first try; "": it has none */
} sg_train_result;

/* A training run in a directory (docs/formats.md, run): to its end, or until stop says so, which
 * saves a checkpoint and returns SG_ERR_CANCELLED; the same request with resume then goes on, and
 * ends with the weights, to the last bit, of a run that was never stopped. out (NULL allowed) is
 * filled as far as the run came, after failures too. One writer of a run directory at a time: a
 * second one is SG_ERR_IO. Wrong settings are SG_ERR_ARG with the key. */
SG_API sg_status sg_train(const sg_train_request *request, sg_train_result *out, sg_error *err);

/* The settings that a request (settings, set) comes to, over those of its preset: JSON text as
 * sg_train_request.settings takes it, indented, every key; what data decides (the vocabulary, steps
 * of an epoch) is open. *json is new: sg_buffer_free. */
SG_API sg_status sg_train_settings(const sg_train_request *request, char **json, sg_error *err);

/* The i-th key that settings have, with a few words about it; NULL past the last. Borrowed for
 * ever. */
SG_API const char *sg_setting_key(size_t i, const char **help);
/* The key that a word of the field stands for ("lr", "batch-size"), or a key without its group;
 * NULL: not known. Borrowed for ever. */
SG_API const char *sg_setting_word(const char *word);

/* ---- evaluation ------------------------------------------------------------------------------ */

typedef enum sg_eval_method {
  SG_EVAL_TOKENS, /* one mean over all counted tokens, perplexity = exp(loss) */
  SG_EVAL_BATCHES /* the reference's: plain means of each metric over whole batches (golden README no. 15) */
} sg_eval_method;

/* Rows that are made of a text. */
typedef enum sg_eval_rows {
  SG_EVAL_ROWS_AUTO, /* PAD where each document fits one row, else WINDOWS */
  SG_EVAL_PAD,       /* one document a row, cut at its end */
  SG_EVAL_PACK,      /* documents one behind the other, cut into rows */
  SG_EVAL_WINDOWS    /* every document whole, in windows that overlap; each token counts once */
} sg_eval_rows;

typedef struct sg_evaluate_request {
  const char *data;              /* .txt or .jsonl, plain, .zst or .gz, or a directory of such; NULL: targets */
  const sg_tokenizer *tokenizer; /* that reads it */
  sg_text_form form;
  sg_eval_rows rows;
  size_t seq_len; /* tokens of a row; 0: what the model was made for */
  size_t stride;  /* WINDOWS: tokens between their begins; 0: half a window */
  /* (B,T) without data: rows of ids, each row's first input is the model's bos; padding is not
   * counted */
  const int32_t *targets;
  size_t B, T;
  uint64_t max_rows; /* WINDOWS: rounded up to whole documents; 0: all */
  sg_eval_method method;
  size_t batch_rows; /* BATCHES: rows of a batch; an incomplete last one is dropped */
  size_t max_bytes;  /* of a pass; 0: 1 GiB */
  /* done of wanted, for "tokenising" (bytes) and "evaluating" (rows); false cancels. NULL
   * allowed */
  bool (*progress)(void *user, const char *what, uint64_t done, uint64_t wanted);
  void *user;
} sg_evaluate_request;

/* Loss, accuracy and perplexities of a model on held-out text or rows (docs/method.md, evaluation).
 * Without row, token or finite result: SG_ERR_ARG, SG_ERR_FORMAT, SG_ERR_NUMERIC. */
SG_API sg_status sg_evaluate(const sg_model *model, const sg_evaluate_request *request, sg_evaluation *out,
                             sg_error *err);

/* ---- reading: runs, edits, sites ------------------------------------------------------------- */

/* A run is one forward pass of a prompt. What it records is a list of patterns over site names,
 * what it changes is a list of edits; both belong to the call, nothing is left in the model.
 *
 * Sites, in the order of computation; each has one row per position, then its axes:
 *   embed                     (T; dim)           residual stream, D wide
 *   layers.L.attn.norm_scale  (T)                1 / rms of the stream, on demand
 *   layers.L.attn.norm        (T; dim)           normed input of attention
 *   layers.L.attn.q           (T; head, dim)     queries after norm and rotary
 *   layers.L.attn.k           (T; head, dim)     keys after norm and rotary
 *   layers.L.attn.v           (T; head, dim)     values
 *   layers.L.attn.pattern     (T; head, source)  weights; a changed row stays as it is, on demand
 *   layers.L.attn.z           (T; head, dim)     mixed values before the output map
 *   layers.L.attn.out         (T; dim)           what attention adds
 *   layers.L.resid_mid        (T; dim)           stream after attention
 *   layers.L.mlp.norm_scale   (T)                1 / rms of the stream, on demand
 *   layers.L.mlp.norm         (T; dim)           normed input of the feedforward layer
 *   layers.L.meta.probabilities (T; pool)          metarouter: softmax over all pools
 *   layers.L.meta.choice      (T; pick)          the pools that run, likeliest first
 *   layers.L.router.scores    (T; channel, slot) scores of the chosen units; a circuit is router.*
 *   layers.L.router.indices   (T; channel, slot) the chosen units, largest score first
 *   layers.L.router.active    (T; channel, slot) with gates: 1 where a chosen unit acts
 *   layers.L.router.g1        (T; channel, expert) monet: gates, first axis, with the router
 *   layers.L.router.g2        (T; channel, expert) monet: gates, second axis
 *   layers.L.gate.logits      (T; channel)       scores of all experts
 *   layers.L.gate.indices     (T; slot)          the chosen experts
 *   layers.L.neurons          (T; channel, slot) what multiplies output rows, of the chosen units
 *   layers.L.neurons          (T; neuron)        the same in dense layers, of every unit
 *   layers.L.neurons          (T; slot, neuron)  the same in moe, of the chosen experts' units
 *   layers.L.always           (T; neuron)        values of always-on neurons
 *   layers.L.sink_mlp.hidden  (T; neuron)        hidden values of the sink MLP
 *   layers.L.sink_mlp.out     (T; dim)           what the sink MLP adds
 *   layers.L.mlp.out          (T; dim)           what the feedforward layer adds
 *   layers.L.resid_post       (T; dim)           stream after the layer
 *   final_norm_scale          (T)                1 / rms of the stream, on demand
 *   final_norm                (T; dim)           input of the output head
 */
typedef enum sg_edit_op {
  SG_EDIT_SET,   /* x = value, or value * vector along the last axis */
  SG_EDIT_SCALE, /* x = x * value */
  SG_EDIT_ADD,   /* x = x + value, or + value * vector */
  SG_EDIT_TAKE   /* x = the same element of another run */
} sg_edit_op;

enum { SG_EDIT_AXES = 6, SG_SITE_NAME = 64 };

/* Elements first..last of an axis: "pos" (negative: from the end), or one of the site's, or
 * "neuron" and "channel" where a chosen unit's index decides. */
typedef struct sg_edit_axis {
  char name[12];
  ptrdiff_t first, last;
} sg_edit_axis;

struct sg_run;
typedef struct sg_edit {
  char site[SG_SITE_NAME]; /* pattern over names, '*' and '?' */
  sg_edit_axis axes[SG_EDIT_AXES];
  size_t n_axes; /* an element is edited that lies in all of them */
  sg_edit_op op;
  double value;
  const float *vector; /* NULL, or vector_count = length of the site's last axis; borrowed */
  size_t vector_count;
  const struct sg_run *from; /* SG_EDIT_TAKE: a run that recorded the site; borrowed */
  char from_name[SG_NAME];   /* what the text form calls it */
  bool from_other_pos;       /* take position from_pos instead of the same one */
  ptrdiff_t from_pos;
} sg_edit;

/* The text form (docs/reading.md, edits): SITE[AXIS=N,AXIS=A..B] OP, OP one of =NUMBER *=NUMBER
 * +=NUMBER -=NUMBER =@NAME
 * =@NAME:POS. Fills all of out but vector and from. */
SG_API sg_status sg_edit_parse(const char *text, sg_edit *out, sg_error *err);

typedef struct sg_run_request {
  const int32_t *tokens; /* inputs as they stand: the caller has put bos in front */
  size_t count;
  const char *const *record; /* n_record patterns over site names */
  size_t n_record;
  const sg_edit *edits; /* applied in this order at every site they match */
  size_t n_edits;
  size_t max_bytes;                                         /* of recorded sites; 0: 1 GiB */
  bool (*progress)(void *user, size_t done, size_t wanted); /* layers; false cancels. NULL allowed */
  void *user;
} sg_run_request;

typedef struct sg_site {
  const char *name;
  int n_dims;
  size_t dims[3];       /* (T, axes...) */
  size_t count;         /* product */
  const float *data;    /* NULL where the site holds indices */
  const int32_t *index; /* NULL where it holds numbers */
  const char *axes[3];  /* names of dims: "pos", then the site's own; borrowed for ever */
} sg_site;

/* The sites of a model, without a run of a prompt. */
typedef struct sg_site_info {
  const char *name;    /* "layers.0.neurons", borrowed from the list */
  const char *what;    /* a few words, borrowed for ever */
  int n_dims;          /* 1..3, as sg_site has them */
  size_t dims[3];      /* 0: as long as the prompt */
  const char *axes[3]; /* "pos" first; borrowed for ever */
  bool index;          /* int32 units of a layer, else float32 */
  bool on_demand;      /* made only where it is named */
} sg_site_info;
typedef struct sg_site_list sg_site_list;

/* All sites that a run of this model can record, in the order of computation (found by a pass over
 * one token). New: sg_site_list_free. */
SG_API sg_status sg_site_list_create(const sg_model *model, sg_site_list **out, sg_error *err);
SG_API void sg_site_list_free(sg_site_list *list);
SG_API size_t sg_site_list_count(const sg_site_list *list);
/* Zeroed past the last. */
SG_API sg_site_info sg_site_list_at(const sg_site_list *list, size_t i);

typedef struct sg_run sg_run;

/* model is borrowed until sg_run_free, the request for the call. An edit or record pattern that
 * matches no site is SG_ERR_ARG. New: sg_run_free. */
SG_API sg_status sg_run_create(const sg_model *model, const sg_run_request *request, sg_run **out, sg_error *err);
SG_API void sg_run_free(sg_run *run);
SG_API size_t sg_run_length(const sg_run *run);         /* T */
SG_API const int32_t *sg_run_tokens(const sg_run *run); /* (T), borrowed from run */
/* What was recorded, after edits; borrowed from run. sg_run_site: zeroed past the last.
 * sg_run_find: false, *out untouched, where the site was not recorded. */
SG_API size_t sg_run_site_count(const sg_run *run);
SG_API sg_site sg_run_site(const sg_run *run, size_t i);
SG_API bool sg_run_find(const sg_run *run, const char *name, sg_site *out);
/* Elements that edit i changed or confirmed: 0 where, say, its neuron was not chosen, and past the
 * last edit. */
SG_API size_t sg_run_edit_hits(const sg_run *run, size_t i);
/* logits (V) at a position into the caller's buffer; negative positions count from the end. A
 * position outside the prompt is SG_ERR_ARG. */
SG_API sg_status sg_run_logits(const sg_run *run, ptrdiff_t position, float *logits, sg_error *err);
/* logits (T,V) of all positions into the caller's buffer. A row may differ from sg_run_logits' in
 * its last bit: products of many rows sum in another order than those of one. */
SG_API sg_status sg_run_logits_all(const sg_run *run, float *logits, sg_error *err);

/* Logit lens: logits (V), into the caller's buffer, that the final norm and the output head make of
 * one position (negative: from the end) of a residual stream that a run of this model recorded
 * (embed, layers.L.resid_mid, layers.L.resid_post). Of the last layer's resid_post they are
 * sg_run_logits, bit for bit. SG_ERR_ARG for a site of another width or of indices
 * (docs/reading.md). */
SG_API sg_status sg_lens(const sg_model *model, const sg_site *site, ptrdiff_t position, float *logits, sg_error *err);

/* ---- reading: rows, losses, gradients -------------------------------------------------------- */

/* Rows of equal length through a model: logits, losses, gradients. */
typedef struct sg_gradient {
  const char *name; /* of a tensor, as sg_model_tensor names it */
  float *data;      /* (count) the caller's buffer: assigned */
  size_t count;     /* must be the tensor's */
} sg_gradient;

typedef struct sg_rows_request {
  size_t B, T;
  const int32_t *inputs;        /* (B,T) as they stand; NULL: targets one to the right, the model's bos in front */
  const int32_t *targets;       /* (B,T) what is to come at each position; the pad id is not counted. NULL: no loss */
  float *logits;                /* (B,T,V) the caller's, or NULL */
  float *nll;                   /* (B,T) -log p of each target, padding too; the caller's, or NULL */
  const sg_gradient *gradients; /* n_gradients: d loss / d tensor */
  size_t n_gradients;
  size_t max_bytes;                                         /* of a pass; rows are computed in parts; 0: 1 GiB */
  bool (*progress)(void *user, size_t done, size_t wanted); /* layers of all parts; false cancels. NULL allowed */
  void *user;
} sg_rows_request;

/* Over the counted targets (docs/method.md, loss): mean negative log likelihood in nats, share
 * whose target has the largest logit, exp(loss), and exp of the mean loss at each row's last
 * counted target. */
typedef struct sg_loss {
  double loss, accuracy, perplexity, perplexity_last_token;
  size_t targets;
} sg_loss;

/* One pass forwards, and backwards where gradients are asked for. out: NULL where there are no
 * targets; buffers are the caller's and hold nothing of use after a failure. SG_ERR_ARG where nll
 * or gradients are asked for without targets, no target counts, an id lies outside the vocabulary,
 * or a gradient's name or count is no tensor's. Equal to `trace --grad`, bit for bit. */
SG_API sg_status sg_rows_run(const sg_model *model, const sg_rows_request *request, sg_loss *out, sg_error *err);

/* The token that follows the request's tokens under its edits, chosen as sg_generator_choose
 * chooses: of one seed, number (settings->first) and position the same draw. Every call is a whole
 * run, as an edit may reach any position. */
SG_API sg_status sg_edit_choose(const sg_model *model, const sg_run_request *request, const sg_sampling *settings,
                                int32_t *id, sg_error *err);

/* ---- reading: attribution -------------------------------------------------------------------- */

/* Attribution of one logit, or of a difference of two, with gates, attention patterns and norm
 * scales held: the network is then linear, and the effects add up to the logit but for rounding
 * (docs/method-reading.md). */
typedef enum sg_term_kind {
  SG_TERM_EMBED, /* the input token at `position` */
  /* head of a layer: what it moves from `source` (direct: to the read position; total: to all
     positions) */
  SG_TERM_HEAD,
  SG_TERM_NEURON, /* layer, channel, index, position; value multiplies its output row */
  SG_TERM_BIAS    /* layer, position: the layer's biases (total effects: those inside its units too) */
} sg_term_kind;

typedef struct sg_term {
  sg_term_kind kind;
  int32_t layer, head, channel, index; /* -1 where the kind has none */
  int32_t position, source;
  double value;  /* neuron: its value; head: the attention weight (total: 0) */
  double effect; /* on the logit (difference) */
} sg_term;

/* A list of terms, largest |effect| first. */
typedef struct sg_terms {
  sg_term *terms;
  size_t count;
  double sum, sum_abs, residue; /* residue = sum - target_logit, where the terms are a whole */
} sg_terms;

typedef struct sg_attribution {
  size_t position;         /* where the logit is read */
  int32_t target, against; /* against -1: none */
  double target_logit;     /* of the forward pass: logit of target, less that of against */
  sg_terms direct;         /* embedding, heads, neurons, biases of the read position: a whole */
  sg_terms inputs;         /* total effects of the embedded tokens and of biases: a whole */
  sg_terms neurons; /* total effects of all neurons, at all positions up to the read one; no whole: paths are counted in
                     * each neuron that they pass */
  sg_terms heads;   /* total effects of heads by source; likewise */
} sg_attribution;

typedef struct sg_attribute_request {
  const int32_t *tokens; /* (count), bos in front */
  size_t count;
  ptrdiff_t position;      /* negative: from the end; -1 is the prediction of the next token */
  int32_t target, against; /* target -1: the token of largest logit; against -1: none */
  size_t max_bytes;        /* 0: 4 GiB */
  bool (*progress)(void *user, size_t done, size_t wanted); /* layers, forth and back; false cancels. NULL allowed */
  void *user;
} sg_attribute_request;

/* New: sg_attribution_free. */
SG_API sg_status sg_attribute(const sg_model *model, const sg_attribute_request *request, sg_attribution **out,
                              sg_error *err);
SG_API void sg_attribution_free(sg_attribution *a);

/* SG_ERR_INTERNAL when a residue exceeds 1e-5 of the sum of absolute terms (inputs: of the larger
 * of both sums). */
SG_API sg_status sg_attribution_check(const sg_attribution *a, sg_error *err);

/* The true effect of a neuron beside its linear one: the prompt is run again with the neuron's
 * value at 0. */
typedef struct sg_true_effect {
  double linear;     /* its total effect as given */
  double effect;     /* logit (difference) with it, less without it */
  double gates_held; /* the same with every later layer's gates held at the prompt's (equal to effect in dense kinds) */
  double rerouting;  /* effect - gates_held: the part made by gates that changed */
  size_t gates_changed; /* chosen units, of all layers and positions, that gave way to others */
} sg_true_effect;

/* of the first n terms (neurons) of a list; out (n) is the caller's. */
SG_API sg_status sg_verify_terms(const sg_model *model, const sg_attribute_request *request, const sg_attribution *a,
                                 const sg_term *terms, size_t n, sg_true_effect *out, sg_error *err);

/* A word or a phrase as target: tokens that follow the read position one after the other. The
 * model is run along them, and token i's logit is read where it is foretold; the sum of these
 * logits (less those of another phrase, of its own run) is explained by the sum of each token's own
 * attribution, so nothing is left out for a phrase either (docs/method-reading.md, words).
 * Positions of terms: of the prompt up to the read one, then of the phrase's tokens but the last,
 * then of the other phrase's: `tokens` of the answer. */
enum { SG_PHRASE_MOST = 64 }; /* tokens of a phrase */
typedef struct sg_phrase_part {
  int32_t token;
  bool against;           /* of the other phrase: its logit counts negative */
  size_t position;        /* where it is read, of `tokens` */
  double log_probability; /* natural, of this token after those before it */
  sg_attribution *own;    /* of its logit alone; positions are those of its own run */
} sg_phrase_part;

typedef struct sg_phrase {
  int32_t *tokens; /* (count) */
  size_t count;
  sg_phrase_part *parts; /* (n_parts) the phrase's, then the other's */
  size_t n_parts, n_target;
  double log_probability, against_log_probability; /* of each as a whole; 0 where there is none */
  sg_attribution sum; /* position the first read; target, against first tokens; lists of all tokens together */
} sg_phrase;

typedef struct sg_phrase_request {
  const int32_t *tokens; /* (count), bos in front; what lies behind the position is left out */
  size_t count;
  ptrdiff_t position;
  const int32_t *target, *against;                          /* ids */
  size_t n_target, n_against;                               /* 1 or more; 0: none */
  size_t max_bytes;                                         /* 0: 4 GiB */
  bool (*progress)(void *user, size_t done, size_t wanted); /* layers; false cancels. NULL allowed */
  void *user;
} sg_phrase_request;

/* New: sg_phrase_free. */
SG_API sg_status sg_attribute_phrase(const sg_model *model, const sg_phrase_request *request, sg_phrase **out,
                                     sg_error *err);
SG_API void sg_phrase_free(sg_phrase *p);
/* sg_attribution_check of every token and of the sum. */
SG_API sg_status sg_phrase_check(const sg_phrase *p, sg_error *err);
/* sg_verify_terms for terms of p->sum.neurons: every run in which the neuron acts is run again. */
SG_API sg_status sg_phrase_verify(const sg_model *model, const sg_phrase_request *request, const sg_phrase *p,
                                  const sg_term *terms, size_t n, sg_true_effect *out, sg_error *err);

/* ---- reading: exact effects, minimal sets ---------------------------------------------------- */

/* True effects of every neuron and head of a prompt, each as if the prompt were run once more with
 * that neuron's value, or that head's output, at 0 at that position. Runs differ from the prompt's
 * own only above the layer and from the position on, so all are made beside each other on what they
 * share (docs/method-reading.md, exact effects). */
typedef struct sg_exact_effect {
  sg_term term;  /* neuron, or head at `position`; its linear total effect beside it */
  double effect; /* logit (difference) with it, less without it; 0 where nothing of it reaches the logit */
} sg_exact_effect;

typedef struct sg_exact_list {
  sg_exact_effect *at; /* (count) largest |effect| first */
  size_t count;
  double sum_abs;   /* of the true effects */
  double rerouting; /* sum of |effect - linear| / sum_abs: what linear attribution misses, as gates, patterns and norm
                       scales change; 0 where sum_abs is */
  double rank;      /* Spearman's correlation of linear and true effects that are not both 0; 0 where there is none */
} sg_exact_list;

typedef struct sg_exact {
  size_t position;
  int32_t target, against;
  double target_logit;
  sg_exact_list neurons, heads;
  size_t left_out; /* neurons that fired and were not asked for */
} sg_exact;

typedef struct sg_exact_request {
  sg_attribute_request prompt; /* max_bytes: half for the prompt's own run, half for variants; progress: variants */
  size_t most;                 /* neurons of largest linear total effect; 0: all that fired */
  const sg_term *only;         /* (n_only) these neurons, by layer, position, channel and index; NULL: any */
  size_t n_only;
  bool no_heads;
} sg_exact_request;

/* New: sg_exact_free. SG_ERR_UNSUPPORTED for forms that attribution does not read, SG_ERR_ARG where
 * one of `only` did not fire. */
SG_API sg_status sg_exact_create(const sg_model *model, const sg_exact_request *request, sg_exact **out, sg_error *err);
SG_API void sg_exact_free(sg_exact *exact);

/* The smallest sets of neurons (and heads) that decide an answer: of target, that its logit is the
 * largest at the position; of target against another token, that it is the larger of the two. keep:
 * with all other neurons silent (value 0, or their mean, whatever is chosen then) the answer
 * stands; lose: with these silent it falls. Found greedily by true effect, then made smaller by
 * true runs until no single member can be left out (docs/method-reading.md, minimal sets). */
typedef struct sg_minimal_set {
  bool found;          /* there is one: an answer may stand with everything silent */
  sg_exact_effect *at; /* (count) by true effect, as it is alone */
  size_t count;
  double margin; /* of the verified run: logit less the largest other one, or the one it is against */
  size_t first;  /* members before any was left out again */
} sg_minimal_set;

typedef struct sg_minimal {
  size_t position;
  int32_t target, against;
  size_t population;     /* neurons that fired (and heads, by position) up to the position */
  double margin, silent; /* as it is; with the whole population silent */
  sg_minimal_set keep, lose;
  size_t runs; /* true runs of the prompt that it took */
} sg_minimal;

/* What neurons and heads do on average over rows of tokens, to put in the place of what is taken
 * out: a neuron's value counts as 0 where it was not chosen. */
typedef struct sg_means sg_means;
typedef struct sg_means_request {
  const int32_t *tokens; /* (rows,T), bos in front; padding behind is not counted */
  size_t rows, T;
  size_t max_bytes;                                         /* of a pass; 0: 1 GiB */
  bool (*progress)(void *user, size_t done, size_t wanted); /* rows; false cancels. NULL allowed */
  void *user;
} sg_means_request;
/* New: sg_means_free; the model is borrowed. SG_ERR_UNSUPPORTED for kinds whose units have no
 * output row, for layers with neurons beside their kind (sink_mlp, always_on) and for layer forms
 * that run a layer more than once; SG_ERR_ARG for ids outside the vocabulary. */
SG_API sg_status sg_means_create(const sg_model *model, const sg_means_request *request, sg_means **out, sg_error *err);
SG_API void sg_means_free(sg_means *means);

typedef struct sg_minimal_request {
  sg_attribute_request prompt; /* progress: done runs of those known to come */
  bool heads;                  /* heads by position are of the population, too; else they all run */
  const sg_means *means;       /* of the model: what is silent does what it does on average; NULL: nothing (0) */
} sg_minimal_request;

/* New: sg_minimal_free. SG_ERR_ARG where the answer does not stand to begin with. */
SG_API sg_status sg_minimal_create(const sg_model *model, const sg_minimal_request *request, sg_minimal **out,
                                   sg_error *err);
SG_API void sg_minimal_free(sg_minimal *minimal);

/* ---- reading: neurons changed together ------------------------------------------------------- */

/* Neurons scaled together, gates, attention patterns and norm scales held: exact for any factors,
 * as each neuron's value is what it was plus what the others below push into it. Edits scale
 * neurons (or set them to 0) by pos, channel and neuron. */
enum { SG_JOINT_MOST = 256 }; /* chosen neurons that the edits may meet */
typedef struct sg_joint {
  size_t position;
  int32_t target, against;
  sg_term *neurons; /* (count) lower layers first; effect: the total effect of each alone */
  size_t count;
  double *scale;  /* (count) by the edits */
  double *effect; /* (count) on the logit (difference), per unit of value */
  double *links;  /* (count,count) [i,j]: what one unit of neuron i's value adds to neuron j's */
} sg_joint;
/* New: sg_joint_free. SG_ERR_ARG where an edit is of another form, or too many neurons are met. */
SG_API sg_status sg_joint_create(const sg_model *model, const sg_attribute_request *request, const sg_edit *edits,
                                 size_t n_edits, sg_joint **out, sg_error *err);
/* Change of the logit (difference) by factors scale (count); NULL: the edits'. */
SG_API sg_status sg_joint_change(const sg_joint *joint, const double *scale, double *out, sg_error *err);
SG_API void sg_joint_free(sg_joint *joint);

/* ---- reading: graphs ------------------------------------------------------------------------- */

/* Attribution graph: an edge is the direct effect of one node on another's input (through the
 * residual stream and attention, not through another neuron), gates, patterns and norm scales held.
 * All edges into a node add up to its input exactly; there are no error nodes. Pruned by influence
 * on the logits (docs/method-reading.md, graph). */
typedef enum sg_node_kind { SG_NODE_TOKEN, SG_NODE_BIAS, SG_NODE_NEURON, SG_NODE_LOGIT, SG_NODE_ERROR } sg_node_kind;

typedef struct sg_node {
  sg_node_kind kind;
  int32_t layer; /* tokens -1, logits L */
  int32_t position;
  int32_t channel, index; /* neurons, else -1 */
  int32_t token;          /* tokens and logits, else -1 */
  double value;           /* neuron: what multiplies its output row; logit: the forward pass's logit */
  double input;       /* neuron: value less its own constant; logit: value. What all edges into the node add up to */
  double edges_sum;   /* what they do add up to, before pruning */
  double edges_abs;   /* sum of their absolute weights */
  double probability; /* logits */
  double influence;   /* on the logits, before pruning */
  double cumulative;  /* share of all influence in nodes at least as influential */
} sg_node;

typedef struct sg_edge_link {
  size_t source, target; /* of nodes */
  double weight;
  const float *parts; /* (1 + L*H) borrowed from the graph, or NULL: by the last head on the way, 0: none */
} sg_edge_link;

typedef struct sg_graph {
  size_t position, n_layers, n_heads, n_tokens,
      pool;       /* position: the last that an output is read at;  pool F: a neuron's number is channel * F + index */
  sg_node *nodes; /* tokens, then biases and neurons by layer, then logits */
  size_t n_nodes;
  sg_edge_link *edges; /* by target, then largest |weight| first */
  size_t n_edges;
  float *parts; /* of all edges */
  /* What pruning left. */
  size_t all_nodes, explored; /* before it; neurons whose edges were computed */
  double node_share;          /* influence in kept nodes / influence in all nodes */
  double edge_share;          /* influence in kept edges / in all edges between kept nodes */
  double input_share; /* of the logits' normalised input, what kept paths trace back to tokens and biases; 1 unpruned */
  double worst_residue; /* of explored nodes: largest |edges_sum - input| / scale (method-reading, graph) */
  /* Of a graph of a transcoder's features, which stand where a layer's neurons do (channel 0): what
   * they miss of the layer is a node SG_NODE_ERROR. */
  bool features;
  double error_share; /* of the logits' normalised input, what all paths lead back to errors; 0: there are none */
} sg_graph;

typedef struct sg_graph_request {
  const int32_t *tokens; /* (count), bos in front */
  size_t count;
  ptrdiff_t position;
  const int32_t *targets; /* n_targets logits; 0: the most probable tokens until logit_share is reached */
  size_t n_targets;
  const size_t *target_positions; /* (n_targets) where each is read, as of a word's tokens; NULL: at position */
  size_t max_logits;              /* 0: 10 */
  double logit_share;             /* 0: 0.95 */
  double node_threshold;          /* 0: 0.8 */
  double edge_threshold;          /* 0: 0.98 */
  size_t max_nodes;               /* neurons explored at most; 0: 2000 */
  bool heads;                     /* split edges by head */
  size_t max_bytes;               /* 0: 4 GiB */
  bool (*progress)(void *user, size_t done, size_t wanted); /* neurons explored; false cancels. NULL allowed */
  void *user;
} sg_graph_request;

/* New: sg_graph_free. */
SG_API sg_status sg_graph_create(const sg_model *model, const sg_graph_request *request, sg_graph **out, sg_error *err);
SG_API void sg_graph_free(sg_graph *g);

typedef struct sg_graph_labels {
  const char *slug, *scan, *prompt; /* name of the graph and of the model, text of the prompt */
  const char *const *prompt_tokens; /* (n_tokens) texts, UTF-8 */
  const char *const *logit_tokens;  /* texts of the logit nodes in their order */
  double node_threshold;
  const char *const *node_labels; /* (n_nodes) what neurons are called, NULL where nothing; or NULL */
} sg_graph_labels;

/* The form that circuit-tracer's frontend reads, and a picture with labels where they fit and the
 * strongest ways as a sentence; whole or not at all. */
SG_API sg_status sg_graph_save_json(const sg_graph *g, const sg_graph_labels *labels, const char *path, sg_error *err);
SG_API sg_status sg_graph_save_svg(const sg_graph *g, const sg_graph_labels *labels, const char *path, sg_error *err);

/* ---- reading: edits over a text -------------------------------------------------------------- */

/* Mean loss of rows of targets under edits ("pos" counts within a row; the model's bos goes in
 * front of each row, padding is not counted). n_edits 0: of the model as it is. loss: mean negative
 * log likelihood in nats over the counted targets; accuracy: share of them whose target has the
 * largest logit (docs/method.md). max_bytes bounds the memory of the pass; 0: 1 GiB. */
typedef struct sg_edited_loss {
  double loss, accuracy;
  size_t targets;
  size_t hits; /* elements changed, of all edits */
} sg_edited_loss;
SG_API sg_status sg_edit_loss(const sg_model *model, const int32_t *targets, size_t B, size_t T, const sg_edit *edits,
                              size_t n_edits, size_t max_bytes, sg_edited_loss *out, sg_error *err);

/* ---- reading: directions, neurons ------------------------------------------------------------ */

/* A neuron's place: the layer, the channel (0 where channels share one pool), its number there. */
typedef struct sg_neuron_at {
  size_t layer, channel, index;
} sg_neuron_at;

/* What neurons are called: one file beside a model (MODEL/names.sqlite), bound to its weights, with
 * the labels of 'sgatlin label make' and the names that people gave (docs/formats-names.md). Two
 * processes may have it open; a writer waits up to 5 s for another. */
typedef struct sg_names sg_names;
#define SG_NAMES_FILE "names.sqlite"
enum { SG_LABEL_BYTES = 96, SG_NAME_BYTES = 192, SG_AUTHOR_BYTES = 64 }; /* with the NUL */

typedef struct sg_neuron_called {
  bool labelled; /* label is there */
  char label[SG_LABEL_BYTES];
  char name[SG_NAME_BYTES]; /* "" where nobody gave one */
  char author[SG_AUTHOR_BYTES];
  int64_t time; /* seconds since 1970 */
} sg_neuron_called;

/* A file of another model is SG_ERR_ARG with both hashes, damage SG_ERR_FORMAT. write: it may be
 * changed, and is made where it is missing. New: sg_names_close. */
SG_API sg_status sg_names_open(const char *path, const sg_model *model, bool write, sg_names **out, sg_error *err);
SG_API void sg_names_close(sg_names *names);
/* Where nothing is known of a neuron all is zero. */
SG_API sg_status sg_names_find(sg_names *names, sg_neuron_at at, sg_neuron_called *out, sg_error *err);
/* text: one line of UTF-8, "" takes the name away; too long, or with control characters, is
 * SG_ERR_ARG. */
SG_API sg_status sg_names_give(sg_names *names, sg_neuron_at at, const char *name, const char *author, int64_t time,
                               sg_error *err);

/* Directions (D) of the residual stream to steer along, into the caller's buffer: what a neuron
 * writes; the unit vector that raises one logit (over another's, against -1: none) most, g *
 * (E_target - E_against) (docs/method-reading.md). SG_ERR_ARG for an id outside the vocabulary or
 * where that vector is 0. */
SG_API sg_status sg_direction_neuron(const sg_model *model, size_t layer, size_t channel, size_t index, float *out,
                                     sg_error *err);
SG_API sg_status sg_direction_token(const sg_model *model, int32_t target, int32_t against, float *out, sg_error *err);

/* What a neuron reads and writes, from weights alone: through the tied embedding, norm gains
 * applied, each token's embedding scaled as its norm would scale it alone. Arrays (V) are the
 * caller's, NULL to leave out. */
typedef struct sg_neuron_view {
  float *reads;  /* (V) w_in . the token */
  float *opens;  /* (V) score by which the router would choose the neuron; NULL in kinds without a router */
  float *value;  /* (V) reads * opens: the neuron's value at the bare token, before an activation; likewise NULL */
  float *writes; /* (V) logit that one unit of the neuron's value adds, up to the final norm's scale */
} sg_neuron_view;
SG_API sg_status sg_neuron_read(const sg_model *model, size_t layer, size_t channel, size_t index, sg_neuron_view *out,
                                sg_error *err);

/* Virtual weights to and from other neurons through the residual stream: how strongly one unit of a
 * neuron's value, written by an earlier layer, is read by a later one (norm scale left out). */
typedef struct sg_neuron_link {
  int32_t layer, channel, index;
  float weight;
} sg_neuron_link;
/* weight = w_out . (g * w_in') with g the later layer's norm gain (docs/method-reading.md). out (n)
 * is the caller's. The n strongest by |weight|, of earlier neurons (upstream) or later ones; *found
 * of them. */
SG_API sg_status sg_neuron_links(const sg_model *model, size_t layer, size_t channel, size_t index, bool upstream,
                                 size_t n, sg_neuron_link *out, size_t *found, sg_error *err);

/* One neuron along a prompt, as the sites of a run show it. */
typedef struct sg_activation {
  bool chosen;  /* by the router (moe: its expert was); dense kinds: always */
  double score; /* layers.L.router.scores, or gate.logits of its expert; 0 where not chosen and in dense kinds */
  double value; /* layers.L.neurons: what multiplies its output row; 0 where not chosen */
  double input; /* w_in . layers.L.mlp.norm and the bias inside: what the gate acts on, chosen or not */
} sg_activation;
/* out (count) is the caller's. */
SG_API sg_status sg_neuron_activations(const sg_model *model, const int32_t *tokens, size_t count, size_t layer,
                                       size_t channel, size_t index, sg_activation *out, sg_error *err);

/* ---- reading: gate margins ------------------------------------------------------------------- */

/* Gate margins: per layer, position and channel the smallest change (L2) of the residual stream,
 * the norm's scale held, that makes the router choose other neurons: a chosen one gives way to one
 * that was not. distance: least over chosen a, not chosen b of (s_a - s_b) / (r |g * (R_a - R_b)|)
 * (docs/method-reading.md); infinite, loses and wins -1, where no change can. */
typedef struct sg_margin {
  double distance;
  double gap;          /* of the two scores */
  int32_t loses, wins; /* chosen unit that gives way, unit that takes its place */
  double stream;       /* norm of the residual stream there */
} sg_margin;

/* out (L, T, channels) is the caller's; sg_margin_channels gives the number of channels, the most
 * of any layer (0: no layer has a router). Where a layer has fewer, or none, distance is infinite
 * and loses and wins are -1. */
SG_API size_t sg_margin_channels(const sg_model *model);
SG_API sg_status sg_margins(const sg_model *model, const int32_t *tokens, size_t count, sg_margin *out, sg_error *err);
/* The same, telling of the channels of all layers that are done; false cancels. progress may be
 * NULL. */
SG_API sg_status sg_margins_watched(const sg_model *model, const int32_t *tokens, size_t count, sg_margin *out,
                                    bool (*progress)(void *user, size_t done, size_t wanted), void *user,
                                    sg_error *err);

/* ---- recordings: making, opening, circuits --------------------------------------------------- */

/* The circuits of a text on disk (docs/formats-recording.md): which neurons the router chose in
 * each layer at each position, with their scores. Text comes from files or as ids. */
typedef struct sg_record_request {
  const sg_model *model;         /* of a kind that chooses units; others are SG_ERR_ARG */
  const sg_tokenizer *tokenizer; /* reads data, and is copied into the recording; NULL with tokens: none */
  const char *data;              /* .txt or .jsonl, plain, .zst or .gz, or a directory of such; NULL: tokens */
  sg_text_form form;
  const int32_t *tokens; /* document i is tokens[starts[i] .. starts[i + 1]), one token or more, its eos too */
  const size_t *starts;  /* (n_documents + 1), ascending */
  size_t n_documents;
  const char *model_path; /* kept as text, for people; NULL: "" */
  const size_t *layers;   /* n_layers, ascending; 0: all */
  size_t n_layers;
  size_t seq_len;       /* documents are cut here; 0: what the model was made for */
  size_t max_documents; /* 0: all */
  bool padding;         /* fill rows to seq_len with pad and record that, too */
  bool unshifted;       /* feed the tokens as they are, without bos in front */
  const char *values;   /* gated activations: "F16", "F32", "none"; NULL: "F16" */
  bool no_index;        /* leave out the inverted index, which searches need */
  size_t shard_bytes;   /* of one file; 0: 256 MB */
  size_t max_memory;    /* of a batch and of the index while it is made; 0: 512 MB */
  /* done of wanted, for "tokenising" (bytes), "recording" (positions), "indexing" (layers),
   * "hashing" (files); false stops with SG_ERR_CANCELLED. NULL allowed */
  bool (*progress)(void *user, const char *what, uint64_t done, uint64_t wanted);
  void *user;
} sg_record_request;

typedef struct sg_record_plan {
  size_t documents, positions, circuits, shards;
  uint64_t cut_tokens;               /* past seq_len */
  uint64_t shard_bytes, index_bytes; /* of all shards; of all index files */
  uint64_t neuron_bytes;             /* of neurons kept one by one */
  double bytes_per_circuit;          /* of both */
} sg_record_plan;

/* Writes a directory, each file whole or not at all; the same request goes on where an earlier call
 * stopped and ends with the same bytes, another one is SG_ERR_ARG and leaves the directory as it
 * is. directory NULL: the plan alone. out: NULL allowed. */
SG_API sg_status sg_record(const sg_record_request *request, const char *directory, sg_record_plan *out, sg_error *err);

/* A recording, mapped: any size opens in milliseconds. Any number of threads may read one.
 * Positions count over all documents from 0; layers are the model's. What lies outside its bounds
 * in a file is SG_ERR_FORMAT with the place, from every function that looks there. */
typedef struct sg_recording sg_recording;

enum { SG_RECORD_PREDICTIONS = 5 };
#define SG_ALL_CHANNELS SIZE_MAX

/* New: sg_recording_close. One that is not finished is SG_ERR_FORMAT with what is missing. */
SG_API sg_status sg_recording_open(const char *directory, sg_recording **out, sg_error *err);
SG_API void sg_recording_close(sg_recording *rec);

typedef struct sg_recording_info {
  size_t n_positions, n_documents;
  size_t n_layers;      /* recorded ones */
  const size_t *layers; /* (n_layers) their numbers in the model, ascending; borrowed from rec */
  size_t model_layers, seq_len, vocab_size;
  int32_t bos, pad;
  bool padding;           /* positions whose target is padding are there, too */
  bool indexed;           /* the inverted index is there */
  const char *model;      /* the path it was made from; borrowed from rec */
  const char *model_hash; /* 16 hexadecimal digits, "" where it does not say; borrowed from rec */
} sg_recording_info;
SG_API sg_recording_info sg_recording_describe(const sg_recording *rec);

/* SG_ERR_ARG where the recording has other sizes than the model, or was made from another one;
 * *known (NULL allowed) is false where it does not say which. */
SG_API sg_status sg_recording_matches(const sg_recording *rec, const sg_model *model, bool *known, sg_error *err);

typedef struct sg_recorded_layer {
  size_t channels, top_k, pool; /* C, K, F */
  bool pool_per_channel;
  bool has_values;         /* gated activations were recorded */
  const float *thresholds; /* (C), or (pools,C); or NULL: of the chosen units all act; else those whose score passes,
                            * and the score of one that does not act is given as 0. Borrowed from the recording */
  size_t pools, picks;     /* of a metarouter: M and k; unit e F / M and on are those of pool e. 0: there is none */
} sg_recorded_layer;
/* SG_ERR_ARG with the recorded layers where this is none of them, here and below. */
SG_API sg_status sg_recording_layer(const sg_recording *rec, size_t layer, sg_recorded_layer *out, sg_error *err);

typedef struct sg_recorded {
  int32_t input, target;      /* token read, token to come */
  size_t document, place;     /* place: 0 at the document's start */
  const int32_t *predictions; /* (SG_RECORD_PREDICTIONS) ids, best first; borrowed from rec */
} sg_recorded;
SG_API sg_status sg_recording_at(const sg_recording *rec, size_t position, sg_recorded *out, sg_error *err);
/* First position of a document and how many it has. */
SG_API sg_status sg_recording_document(const sg_recording *rec, size_t document, size_t *first, size_t *count,
                                       sg_error *err);

/* The circuit of a layer at a position into the caller's buffers (C,K): chosen units, scores before
 * the activation, gated activations. Any may be NULL; value where none was recorded is
 * SG_ERR_ARG. */
SG_API sg_status sg_recording_circuit(const sg_recording *rec, size_t layer, size_t position, int32_t *index,
                                      float *score, float *value, sg_error *err);

/* Where a neuron was chosen, from the inverted index (SG_ERR_ARG without one); borrowed from
 * rec. */
typedef struct sg_postings {
  size_t count;
  const uint32_t *position; /* (count) ascending */
  const float *score;       /* (count) */
} sg_postings;
SG_API sg_status sg_recording_postings(const sg_recording *rec, size_t layer, size_t channel, size_t neuron,
                                       sg_postings *out, sg_error *err);

/* ---- recordings: neighbours ------------------------------------------------------------------ */

/* Nearest circuits, exactly, by cosine distance of raw scores with one coordinate per (channel,
 * neuron) (golden README no. 28). A search holds what queries need: 8 bytes a
 * position. One thread at a time calls it; several searches may share a recording. */
typedef struct sg_neighbor {
  size_t position;
  double distance; /* 0 .. 2; 1: no neuron in common */
} sg_neighbor;
typedef struct sg_search sg_search;
/* Of one channel or SG_ALL_CHANNELS. skip_input: positions that read this token are no neighbours;
 * -1: none. rec is borrowed until sg_search_free. A recording without index is SG_ERR_ARG. New:
 * sg_search_free. */
SG_API sg_status sg_search_create(const sg_recording *rec, size_t layer, size_t channel, int32_t skip_input,
                                  sg_search **out, sg_error *err);
SG_API void sg_search_free(sg_search *search);
/* The n nearest to the circuit at position, itself left out, nearest first, of equal distances the
 * lower position first, into the caller's out (n); *found may be less. n: 1 to all positions. */
SG_API sg_status sg_search_nearest(sg_search *search, size_t position, size_t n, sg_neighbor *out, size_t *found,
                                   sg_error *err);
/* The same for a circuit (C,K) from elsewhere, such as a run's sites router.indices and
 * router.scores: no position is left out. */
SG_API sg_status sg_search_nearest_to(sg_search *search, const int32_t *index, const float *score, size_t n,
                                      sg_neighbor *out, size_t *found, sg_error *err);
/* From now on only these positions (n) are neighbours. */
SG_API sg_status sg_search_among(sg_search *search, const uint32_t *positions, size_t n, sg_error *err);

typedef struct sg_neuron_id {
  size_t channel, neuron;
} sg_neuron_id;

/* Positions where all of the neurons fire, from the inverted index. */
typedef struct sg_together {
  size_t count;
  double expected;    /* by chance: positions times the product of each one's share of them */
  double lift;        /* count / expected; 0 where nothing is expected */
  uint32_t *position; /* (count) ascending; new: sg_buffer_free */
} sg_together;
SG_API sg_status sg_fire_together(const sg_recording *rec, size_t layer, const sg_neuron_id *neurons, size_t n,
                                  sg_together *out, sg_error *err);

/* count (F), the caller's: at how many positions each neuron of channel `other` fires where
 * (channel, neuron) does; with other == channel its own count is 0 (golden README no. 31). */
SG_API sg_status sg_coactivation_row(const sg_recording *rec, size_t layer, size_t channel, size_t neuron, size_t other,
                                     uint32_t *count, sg_error *err);
/* All rows of a channel: a safetensors file with counts.layer{L}.channel{C} int32 (F,F) and
 * normalized.layer{L}.channel{C} float64 (each row over its sum), whole or not at all. */
SG_API sg_status sg_coactivation_save(const sg_recording *rec, size_t layer, size_t channel, const char *path,
                                      sg_error *err);

/* ---- recordings: groups ---------------------------------------------------------------------- */

/* Sets of neurons that fire together far above chance: greedy cliques, the pair with the largest
 * z-score first. */
typedef struct sg_group_request {
  size_t layer, channel; /* SG_ALL_CHANNELS: neurons of all channels */
  size_t min_count;      /* joint firings a pair, and the whole set, must have; 1 or more */
  double min_lift;       /* of every pair of a set */
  size_t max_size;       /* 2 to SG_GROUP_MAX */
  size_t max_groups;
  bool (*progress)(void *user, size_t done, size_t wanted); /* neurons; false cancels. NULL allowed */
  void *user;
} sg_group_request;
enum { SG_GROUP_MAX = 16 };
typedef struct sg_group {
  size_t size;
  sg_neuron_id units[SG_GROUP_MAX];
  size_t count;              /* positions where all of them fire */
  double expected;           /* if each fired on its own */
  double lift, weakest_pair; /* count / expected; least lift of a pair in the set */
} sg_group;
/* out (max_groups), the caller's; *found of them, in the order found. */
SG_API sg_status sg_coactivation_groups(const sg_recording *rec, const sg_group_request *request, sg_group *out,
                                        size_t *found, sg_error *err);

/* ---- recordings: usage ----------------------------------------------------------------------- */

/* How evenly a layer uses its units. */
typedef struct sg_usage_numbers {
  double min_max_ratio;      /* smallest count over the largest */
  double coeff_of_variation; /* standard deviation (the population's) over the mean */
  double fraction_nonzero;   /* bins used at least once */
  double normalized_entropy; /* in bits, over log2 of the number of bins; 1 for a single bin */
} sg_usage_numbers;
typedef struct sg_usage {
  uint64_t sequences;
  /* The reference's (golden README no. 26): F bins a sequence, in which channels are added up
   * although each may have a pool of its own; padding counts. */
  sg_usage_numbers flat;         /* of the N*F counts of all N sequences as one histogram (they are not added up) */
  sg_usage_numbers per_sequence; /* mean over sequences of each sequence's numbers */
  /* The plain definition: counts added over all sequences, a bin for every unit there is (C*F with
   * a pool per channel, else F), only positions that are kept. All 0 when none was. */
  sg_usage_numbers plain;
  uint64_t choices; /* counted by plain */
} sg_usage;
/* Of a recorded layer, each document a sequence; plain leaves padding out. Of a layer that chooses
 * no neurons plain is of the positions at which each acts (its value is above 0; of an expert's
 * unit: the expert is chosen), padding too; the reference's numbers, sequences and all, are 0. */
SG_API sg_status sg_recording_usage(const sg_recording *rec, size_t layer, sg_usage *out, sg_error *err);

/* ---- recordings: alignment (CKA) ------------------------------------------------------------- */

/* Linear centred kernel alignment of x (n,a) and y (n,b), columns centred: |y'x|^2 / (|x'x| |y'y|),
 * norms by Frobenius, the denominator at least 1e-12; sums in double. */
SG_API sg_status sg_linear_cka(const float *x, size_t a, const float *y, size_t b, size_t n, double *out,
                               sg_error *err);

typedef struct sg_top_token {
  int32_t id;
  size_t count;
  size_t first; /* first position that reads it */
} sg_top_token;
/* The n most frequent tokens among the inputs (by_target: targets) of the first `documents`
 * documents (0: all), `skip` left out (-1: none), of equal counts the lower id first, into the
 * caller's out (n); *found may be less. */
SG_API sg_status sg_top_tokens(const sg_recording *rec, size_t n, size_t documents, int32_t skip, bool by_target,
                               sg_top_token *out, size_t *found, sg_error *err);
/* CKA between the model's embeddings of those tokens and their gates (raw scores, dense over the
 * pool) at the first position that reads each, of a layer and channel or SG_ALL_CHANNELS. */
SG_API sg_status sg_embedding_cka(const sg_recording *rec, const sg_model *model, size_t layer, size_t channel,
                                  const sg_top_token *tokens, size_t n, double *out, sg_error *err);

/* ---- recordings: maps ------------------------------------------------------------------------ */

/* A two-dimensional map of circuits, or of embeddings, in which like lies near like: UMAP with
 * cosine distance (McInnes et al. 2018). Equal requests give equal bits. */
typedef struct sg_map_request {
  size_t layer, channel;        /* SG_ALL_CHANNELS: all gates of a circuit */
  const sg_model *embedding_of; /* instead of circuits: this model's embeddings of the tokens; NULL: circuits */
  size_t top;                   /* the circuits of the most frequent tokens; 0: 100 */
  size_t documents;             /* of the first documents; 0: all */
  bool by_target;               /* frequent among the tokens to come, not those read */
  size_t neighbors;             /* of a neighbourhood, the point itself among them; 0: 15 */
  double min_dist;              /* 0 to 3: how near points may lie; 0.1 is usual */
  size_t epochs;                /* 0: 500 */
  uint64_t seed;
  bool trust; /* also say how well neighbours are kept, which compares all points */
  /* done of wanted, for "neighbours" (points) and "layout" (epochs); false cancels. NULL allowed */
  bool (*progress)(void *user, const char *what, size_t done, size_t wanted);
  void *user;
} sg_map_request;
typedef struct sg_map {
  size_t n, n_tokens;
  float *xy;            /* (n,2) */
  int32_t *label;       /* (n) place in tokens */
  uint32_t *position;   /* (n) of the recording; NULL for embeddings */
  sg_top_token *tokens; /* (n_tokens) */
  /* Trustworthiness; two values where distances tie. NaN: not asked for, or over 20,000 points. */
  double trust_min, trust_max;
  double seconds; /* of search and layout */
} sg_map;
/* New: sg_map_free. Fewer points than neighbors + 1 are SG_ERR_ARG. */
SG_API sg_status sg_map_create(const sg_recording *rec, const sg_map_request *request, sg_map **out, sg_error *err);
SG_API void sg_map_free(sg_map *map);
/* A picture of its own: points coloured by token, names (n_tokens, UTF-8) in a legend and as
 * titles. Whole or not at all. */
SG_API sg_status sg_map_save_svg(const sg_map *map, const char *const *names, const char *title, const char *path,
                                 sg_error *err);

/* ---- facts ----------------------------------------------------------------------------------- */

/* Sentences "BEFORE NOUN AFTER ANSWER" of one template ("The cake was sweet"): nouns, and how often
 * each answer was said of them. */
typedef struct sg_facts sg_facts;

typedef struct sg_fact {
  const char *text; /* borrowed until facts are added or freed */
  size_t count;
} sg_fact;

/* before and after are copied: what stands around the noun, with its spaces ("The ", " was"). New:
 * sg_facts_free. */
SG_API sg_status sg_facts_create(const char *before, const char *after, sg_facts **out, sg_error *err);
SG_API void sg_facts_free(sg_facts *facts);
/* Facts of a JSON file: facts.json of `sgatlin data worlds`, of which those of one type ("pet",
 * "food"; NULL: qualities), or what `sgatlin facts mine` wrote, which has no types. New:
 * sg_facts_free. */
SG_API sg_status sg_facts_load(const char *path, const char *type, sg_facts **out, sg_error *err);
/* What stands around the noun; borrowed from facts. */
SG_API const char *sg_facts_before(const sg_facts *facts);
SG_API const char *sg_facts_after(const sg_facts *facts);

/* Adds every "the NOUN was ADJECTIVE" of a text of n bytes: both are single words of two or more
 * letters, lower-cased, with nothing but white space between the four words and . , ; : ! ? a
 * quote, a bracket or the end of the text behind them. No parser: "The dog was running." counts,
 * "The dog was very happy." does not. */
SG_API sg_status sg_facts_mine(sg_facts *facts, const char *text, size_t n, sg_error *err);
/* Adds count sentences about noun. */
SG_API sg_status sg_facts_add(sg_facts *facts, const char *noun, const char *answer, size_t count, sg_error *err);

/* Makes the lists that the functions below read, of answers said at least min_count times of a
 * noun: nouns by first appearance, their answers by falling count, equal ones by first appearance.
 * May be called again. */
SG_API sg_status sg_facts_list(sg_facts *facts, size_t min_count, sg_error *err);
SG_API size_t sg_facts_count(const sg_facts *facts); /* nouns */
/* Noun i, its count the number of its answers; answer k of it. {NULL, 0} past the last. */
SG_API sg_fact sg_facts_noun(const sg_facts *facts, size_t i);
SG_API sg_fact sg_facts_answer(const sg_facts *facts, size_t i, size_t k);
/* Leaves only the nouns chosen (n indexes, ascending; others are passed over) in the lists. */
SG_API void sg_facts_select(sg_facts *facts, const size_t *chosen, size_t n);

/* chosen (room for all nouns; *n of them, ascending): a largest set of nouns of which no two share
 * an answer, exact (maximum clique of the graph of nouns that share none). max_work bounds the
 * search in each group of nouns that hang together, in words of bits looked at (0: no bound; 1e9 is
 * a few seconds); where it was reached, *proven is false and the set the best one found. */
SG_API sg_status sg_facts_distinct(const sg_facts *facts, uint64_t max_work, size_t *chosen, size_t *n, bool *proven,
                                   sg_error *err);

/* Patched runs (golden README 33, 34): for every ordered pair of prompts of equal length, the gates
 * that the counterfactual prompt has at one position are put into the clean one's run, in the
 * layers of a set. */
typedef struct sg_fact_prompt {
  size_t noun;       /* of the facts' lists */
  int32_t *tokens;   /* (length) bos, then " BEFORE NOUN AFTER" */
  size_t length;     /* logits are measured at the last position */
  size_t subject;    /* position of the noun's first token */
  size_t n_subject;  /* its tokens; 1 without `words` */
  int32_t *answers;  /* answer k: [answer_at[k], answer_at[k + 1]) */
  size_t *answer_at; /* (top_answers + 1) */
} sg_fact_prompt;

typedef struct sg_intervention {
  double clean, counterfactual,
      patched;      /* logsumexp of the clean prompt's answers less that of the counterfactual one's */
  double recovered; /* (clean - patched) / (clean - counterfactual + 1e-8) */
  bool rank_flip;   /* patched: counterfactual answers above clean ones */
  bool correct_clean, correct_counterfactual;
} sg_intervention;

typedef struct sg_interventions {
  sg_fact_prompt *prompts; /* nouns of one token with top_answers answers of one token */
  size_t n_prompts, top_answers;
  size_t (*pairs)[2]; /* clean, counterfactual: indexes of prompts */
  size_t n_pairs, n_sets;
  sg_intervention *results; /* (n_sets,n_pairs) */
  float *logits;            /* (n_prompts,V) of the plain runs */
  float *patched_logits;    /* (n_sets,n_pairs,V), NULL unless asked for */
} sg_interventions;

/* What of one prompt is put into another's run. GATES: which neurons are chosen, and their scores
 * (kinds with router.scores and router.indices). NEURONS: what neurons are chosen and what they are
 * worth, of any kind. EMBEDDING: what the first layer reads at the patched positions; sets of
 * layers say nothing then. */
typedef enum sg_patch_what { SG_PATCH_GATES, SG_PATCH_NEURONS, SG_PATCH_EMBEDDING } sg_patch_what;

typedef struct sg_intervention_request {
  const sg_facts *facts;
  const sg_tokenizer *tokenizer;
  size_t top_answers; /* 1 or more: the first that are one token */
  const bool *layers; /* (n_sets, L): which layers a set patches */
  size_t n_sets;
  bool at_last; /* patch the measured position instead of the noun's */
  bool keep_logits;
  bool (*progress)(void *user, size_t done, size_t wanted); /* runs; false cancels. NULL allowed */
  void *user;
  /* Nouns and answers of several tokens, too: all positions of the noun are patched, and in place
   * of an answer's logit counts the sum of its tokens' log probabilities, the model run along it
   * (with single tokens the same differences). 2 top_answers runs for a pair and set, and as many
   * more for a pair. */
  bool words;
  sg_patch_what what;
  /* A control: not the counterfactual noun's but those of a third one, drawn for each pair as a
   * function of seed and its number (SG_ERR_ARG where there is no third of the same form). */
  bool from_another;
  uint64_t seed;
} sg_intervention_request;

/* Gates of a kind without a router are SG_ERR_UNSUPPORTED. New: sg_interventions_free. */
SG_API sg_status sg_interventions_run(const sg_model *model, const sg_intervention_request *request,
                                      sg_interventions **out, sg_error *err);
SG_API void sg_interventions_free(sg_interventions *runs);

/* Figures of one set of layers. Where the model does not know both facts of a pair (correct_clean
 * and correct_counterfactual), there is nothing to recover and the denominator may be near 0: such
 * pairs are left out, and counted by pairs - known. recovered and reference_mean differ as a ratio
 * of sums and a mean of ratios do; few pairs can decide the latter. Where no pair is known all
 * figures but pairs, known and reference_mean are NaN. A set past the last is SG_ERR_ARG. */
typedef struct sg_intervention_summary {
  size_t pairs, known;
  double clean, counterfactual, patched; /* means over the known pairs */
  double recovered;                      /* (clean - patched) / (clean - counterfactual) of these means */
  double median_recovered;               /* of the known pairs' own; between the two middle ones of an even number */
  double rank_flip;                      /* share of the known pairs */
  double reference_mean;                 /* of `recovered` over all pairs, known or not */
} sg_intervention_summary;
SG_API sg_status sg_interventions_summary(const sg_interventions *runs, size_t set, sg_intervention_summary *out,
                                          sg_error *err);

#ifdef __cplusplus
}
#endif
#endif /* SGATLIN_H */
