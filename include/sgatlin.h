/* sgatlin.h: the public interface, in reading order: status, model configuration, model, text, data,
 * training, running.
 *
 * Rules that hold everywhere
 * - A function that can fail returns sg_status (0 or negative) and takes a last argument `sg_error *err`: the
 *   caller's struct, filled with the code and one sentence (file, place, expected, found, what to do). NULL is
 *   allowed.
 * - Every pointer is *borrowed* (valid until the named call), the *caller's buffer* (with a count), or *new* (with
 *   the function that frees it). Free functions take NULL.
 * - The library never prints, exits or aborts, keeps no global state that a caller can see, and opens no network
 *   connection. Two models in two threads give what each gives alone.
 * - Arrays are row-major float32, shapes stand in comments in the letters of docs/method.md:
 *   B batch, T sequence length, n = B*T token rows, D d_model, V vocabulary, H heads, L layers, F hidden width or
 *   neurons of a pool, C channels, K neurons chosen per channel (top_k), Q key width.
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

/* ---- status ---------------------------------------------------------------------------------------------- */

/* X(name, value, text): the one list of codes; values are pinned. */
#define SG_STATUS_LIST(X)                                      \
  X(SG_OK, 0, "no error")                                      \
  X(SG_ERR_ARG, -1, "invalid argument or setting")             \
  X(SG_ERR_MEMORY, -2, "out of memory")                        \
  X(SG_ERR_IO, -3, "file could not be read or written")        \
  X(SG_ERR_FORMAT, -4, "file is corrupt or of the wrong form") \
  X(SG_ERR_UNSUPPORTED, -5, "feature is not supported")        \
  X(SG_ERR_SPACE, -6, "no space left")                         \
  X(SG_ERR_NUMERIC, -7, "a number is NaN or infinite")         \
  X(SG_ERR_CANCELLED, -8, "cancelled")                         \
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

/* Text of a code, borrowed for ever. */
SG_API const char *sg_status_text(sg_status code);

/* ---- model configuration ----------------------------------------------------------------------------------- */

enum { SG_NAME = 32 };

/* What config.json of a model directory says (docs/formats.md). Plain struct: fill it by hand, by preset or by
 * file; every function that takes one checks it. */
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
  size_t num_neurons;  /* F */
  size_t num_channels; /* C (moe: experts), 0 where the kind has none */
  size_t top_k;        /* K, 0 where the kind has none */
  size_t key_dim;      /* Q, 0 where the kind has none */
} sg_config;

/* Name of the i-th feedforward kind, NULL past the last. Borrowed for ever. */
SG_API const char *sg_feedforward_name(size_t i);

/* Reads and checks DIR/config.json. */
SG_API sg_status sg_config_load(const char *directory, sg_config *out, sg_error *err);

/* SG_OK if a model of these sizes can be made; otherwise the field, its value and what is allowed. */
SG_API sg_status sg_config_check(const sg_config *config, sg_error *err);

/* ---- model -------------------------------------------------------------------------------------------------- */

/* Weights and their names. Read-only after load or init for all but training. */
typedef struct sg_model sg_model;

/* One row of the model's tensor table. */
typedef struct sg_tensor {
  const char *name; /* "model.layers.3.mlp.experts.w_in", borrowed from the model */
  int n_dims;       /* 1..4 */
  size_t dims[4];
  size_t count; /* product of dims */
  bool decay;   /* weight decay applies (systems.md 3) */
  const float *data;
} sg_tensor;

/* New model with the reference's initialisation (method: initialisation): sg_model_free. */
SG_API sg_status sg_model_create(const sg_config *config, uint64_t seed, sg_model **out, sg_error *err);

/* Opens a model directory (config.json, model.safetensors). The weights are mapped, not read: any size opens in
 * milliseconds. Every tensor must be there with the right shape and type, and none besides. New: sg_model_free. */
SG_API sg_status sg_model_load(const char *directory, sg_model **out, sg_error *err);
SG_API void sg_model_free(sg_model *model);

/* Writes DIR/config.json and DIR/model.safetensors, each whole or not at all. */
SG_API sg_status sg_model_save(const sg_model *model, const char *directory, sg_error *err);

SG_API const sg_config *sg_model_config(const sg_model *model); /* borrowed from model */
SG_API size_t sg_model_tensor_count(const sg_model *model);
SG_API sg_tensor sg_model_tensor(const sg_model *model, size_t i);
SG_API size_t sg_model_parameter_count(const sg_model *model);

/* Forward FLOPs (matrix products, 2 per multiply-add) of one sequence of seq_len, output head not counted (systems.md 3). */
SG_API sg_status sg_config_flops(const sg_config *config, size_t seq_len, uint64_t *flops, sg_error *err);

/* ---- text ------------------------------------------------------------------------------------------------ */

/* A byte-level BPE tokenizer in the form of Hugging Face's tokenizer.json. Immutable after load: any number of threads may
 * encode with one. */
typedef struct sg_tokenizer sg_tokenizer;

/* Reads tokenizer.json (docs/formats.md lists what is supported). An unsupported feature is SG_ERR_UNSUPPORTED, its key and
 * value named. New: sg_tokenizer_free. */
SG_API sg_status sg_tokenizer_load(const char *path, sg_tokenizer **out, sg_error *err);
SG_API void sg_tokenizer_free(sg_tokenizer *tok);

/* Writes tokenizer.json whole or not at all. */
SG_API sg_status sg_tokenizer_save(const sg_tokenizer *tok, const char *path, sg_error *err);

/* Number of ids (largest id + 1). */
SG_API size_t sg_tokenizer_vocab_size(const sg_tokenizer *tok);

/* Id of a special token by its text ("<|endoftext|>", "<|pad|>"), or -1. */
SG_API int32_t sg_tokenizer_special(const sg_tokenizer *tok, const char *text);

/* Encodes bytes[0..n) (UTF-8; broken sequences become U+FFFD) to ids. Special tokens in the text become their ids. Linear in n.
 * *ids is new (*count of them): sg_buffer_free. */
SG_API sg_status sg_tokenizer_encode(const sg_tokenizer *tok, const char *bytes, size_t n, int32_t **ids, size_t *count,
                                     sg_error *err);

/* Text of ids: all bytes joined, each maximal broken UTF-8 part as U+FFFD; skip_special leaves special tokens out. An id
 * outside the vocabulary is SG_ERR_ARG. *text is new (*n bytes and a final NUL): sg_buffer_free. */
SG_API sg_status sg_tokenizer_decode(const sg_tokenizer *tok, const int32_t *ids, size_t count, bool skip_special,
                                     char **text, size_t *n, sg_error *err);

/* Raw bytes of one token (specials: their text), borrowed until sg_tokenizer_free; NULL for an id outside the vocabulary. */
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

/* Trains on documents (one training sequence each): golden-equal to Hugging Face's BpeTrainer, ties to the smallest (left id,
 * right id). New: sg_tokenizer_free. */
SG_API sg_status sg_tokenizer_train(const sg_tokenizer_training *settings, const char *const *documents,
                                    const size_t *lengths, size_t n_documents, sg_tokenizer **out, sg_error *err);

/* Frees what a function above handed out as new buffer. */
SG_API void sg_buffer_free(void *buffer);

/* Writes the built-in corpus *worlds* into directory: train.txt, valid.txt (no story in common; TinyStories form),
 * topics.jsonl, labels.json, facts.json, corpus.json (docs/worlds.md). Equal n_stories and seed give equal bytes on any machine. */
SG_API sg_status sg_worlds_write(const char *directory, size_t n_stories, uint64_t seed, sg_error *err);

#ifdef __cplusplus
}
#endif
#endif /* SGATLIN_H */
