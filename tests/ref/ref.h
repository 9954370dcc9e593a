/* ref.h: the reference. The whole model once more, written from the formulas alone
 * (docs/method.md), in double, with plain loops and one function per formula: slow, and short
 * enough to be checked by reading. It shares no code with src/. Beside it, what the gradient tests
 * need: random numbers, central differences, and a judge of float32 gradients.
 *
 * Shapes as in sgatlin.h; n token rows. Mistakes of a test (a tensor missing, memory out) end the
 * program with a message. */
#ifndef TEST_REF_H
#define TEST_REF_H

#include "sgatlin.h"

/* ---- weights, in double, by name (ref_model.c) ----------------------------------------------- */

typedef struct ref_tensor {
  char name[128];
  uint64_t hash; /* of the name */
  int n_dims;
  size_t dims[4], count;
  double *data; /* may be changed between runs: that is how differences are taken */
} ref_tensor;

typedef struct ref_model {
  sg_config config;
  ref_tensor *tensors;
  size_t count;
  double *gates[2]; /* monet: (n,C,N) of the router that ran last, for the layers that share it */
  int32_t *index;   /* kinds that choose neurons: (n,C,K) likewise, and their scores */
  double *score;
  double *pools;                 /* metarouter: (n,M) p of the gate that ran last, likewise */
  int32_t *picks;                /* (n,k) and its choice */
  const struct ref_batch *batch; /* while it runs; NULL: all rows are one document */
} ref_model;

/* Copies the tensors. New: ref_close. */
ref_model *ref_open(const sg_config *c, const sg_tensor *tensors, size_t count);
/* The same from a model: all its tensors. New: ref_close. */
ref_model *ref_open_model(const sg_model *m);
void ref_close(ref_model *m);
/* The tensor named prefix + name. */
ref_tensor *ref_find(const ref_model *m, const char *prefix, const char *name);

/* ---- optimizers (ref_optim.c) ---------------------------------------------------------------- */

/* One update of one weight. value: the optimizer's settings in its order; t = 1, 2, ...; decay
 * multiplies lr and w. False: there is no formula of this name. */
typedef struct ref_update {
  const char *optimizer;
  const double *value;
  double lr, decay, grad_scale, t;
} ref_update;
bool ref_optimizer(const ref_update *u, double g, double *w, double moment[2]);

/* ---- training in int4 (ref_int4.c) ----------------------------------------------------------- */

/* A row of D weights s (q + a / A) and what is kept of it. */
typedef struct ref_int4 {
  int q[64], a[64]; /* at most 64 weights */
  double s, v, ms, vs, c;
} ref_int4;
/* What one update is told: rate with its factor, rate of the scale in times of it, A; element of
 * the tensor that the row begins with, `count` elements of it in all, the update's number, and the
 * words of the random generator by counter. */
typedef struct ref_int4_update {
  double lr, scale_lr;
  int A;
  size_t first, count;
  uint64_t number, (*word)(void *user, uint64_t counter);
  void *user;
} ref_int4_update;
/* One update with gradient g (D). Returns how near a decision came to going the other way, so that
 * a test can tell rounding from a mistake. */
double ref_int4_step(ref_int4 *row, const ref_int4_update *u, const double *g, size_t D);

/* ---- formulas (ref_ops.c) -------------------------------------------------------------------- */

/* y (n,out) = x (n,in) W^T, W (out,in). Returns the multiply-adds. */
uint64_t ref_linear(double *y, const double *x, const double *w, size_t n, size_t in, size_t out);
double ref_dot(const double *a, const double *b, size_t n);
/* y = x / sqrt(mean(x^2) + eps) * g per row. */
void ref_rmsnorm(double *y, const double *x, const double *g, size_t n, size_t D, double eps);
/* Rotary embedding of x (n,H,d) in place, half-split layout; the angle is rounded to float32 as the
 * method has it. */
void ref_rotary(double *x, const int32_t *position, size_t n, size_t H, size_t d, double theta);
/* o (B,T,H,d). Keys and values (B,capacity,H,d); query t stands at key past + t and sees keys
 * starts[b,t] (0 where starts is NULL) to past + t. sinks (H) or NULL: logits that take part in
 * each row's softmax and have no value. */
void ref_attention(double *o, const double *q, const double *k, const double *v, const double *sinks,
                   const int32_t *starts, size_t B, size_t T, size_t past, size_t capacity, size_t H, size_t d);
void ref_softmax(double *x, size_t n); /* in place */
double ref_sigmoid(double x);
double ref_identity(double x);
double ref_gelu(double x); /* tanh form */
double ref_relu(double x);
double ref_swish(double x);
/* g sigmoid(1.702 g) (l + 1) with g = min(gate, 7), l = clip(linear, -7, 7). */
double ref_glu(double gate, double linear);
/* index (k) of the largest of x (n), descending, of equal ones the lower index first. */
void ref_top_k(int32_t *index, const double *x, size_t n, size_t k);
/* -log softmax(logits)[target]. */
double ref_nll(const double *logits, int32_t target, size_t V);

/* ---- feedforward layers (ref_ffn.c) ---------------------------------------------------------- */

/* What a layer chose. All pointers may be NULL. C is 1 for moe, whose units are experts. */
typedef struct ref_choice {
  const int32_t *held;    /* (n,C,K) units to take instead of the K of largest score */
  int32_t *index;         /* (n,C,K) units taken */
  double *score;          /* (n,C,K) as the router gives them, before any softmax */
  double *value;          /* (n,C,K) what multiplies the unit's output */
  const double *shift;    /* (n,C,K) added to what gates leave of a score, for differences of it */
  uint64_t decisions;     /* added to: fingerprint of units taken, signs at relu, sides of clamps */
  uint64_t multiply_adds; /* added to: of matrix products */
} ref_choice;

/* gelu, relu, relu2, swish, or identity; signs at relu go into choice (NULL: nowhere). */
double ref_activate(const char *name, double x, ref_choice *choice);

/* What a tensor of a kind should be, said once more than in src/ffn: dims as products of a number
 * and letters of the configuration, "2F D": D, F, C, K, Q, N sub-experts, M width of an expert, and
 * S = sqrt(F), E = D/2, W = M/2, P = N M, R = N W; start: the letter whose root the standard
 * deviation is one over, '0' zeros, '1' a deviation of 1, 'I' ones; decay: weight decay applies. */
typedef struct ref_form {
  const char *name, *dims;
  char start;
  bool decay;
} ref_form;
enum { REF_MOST_FORMS = 18 };
/* The tensors of the config's kind with its router into out, in any order; how many, 0 where the
 * kind has no reference. */
size_t ref_ffn_forms(const sg_config *c, ref_form out[REF_MOST_FORMS]);
/* The kind is defined with the config's router and activation; all others it must refuse. */
bool ref_ffn_takes(const sg_config *c);
/* Value of a factor such as "2F". */
size_t ref_factor(const sg_config *c, const char *text);

/* y (n,D) of the kind that the config names; tensors are named prefix + ... . False where the kind
 * has no reference. */
bool ref_ffn(ref_model *m, const char *prefix, size_t n, double *y, const double *x, ref_choice *choice);

/* ---- the model (ref_model.c) ----------------------------------------------------------------- */

typedef struct ref_batch {
  size_t B, T;
  const int32_t *inputs, *targets; /* (B,T); targets may be NULL */
  const int32_t *starts;           /* (B,T) first visible position, positions count from it; NULL: 0 */
} ref_batch;

typedef struct ref_result {
  double *logits;      /* (n,V) caller's, or NULL */
  double *nll;         /* (n) caller's, or NULL */
  ref_choice *choices; /* (L, evaluations of a layer) caller's, or NULL */
  double loss;         /* sum of nll over targets that are not padding / their number; 0 where there are none */
  size_t targets;
} ref_result;

bool ref_forward(ref_model *m, const ref_batch *b, ref_result *r);
/* How often a layer's sublayers run in a pass. */
size_t ref_evaluations(const sg_config *c);

/* ---- for tests (ref_gradient.c) -------------------------------------------------------------- */

void *ref_alloc(size_t count, size_t size);    /* zeroed; free */
double *ref_doubles(const float *x, size_t n); /* new copy; free */

typedef struct ref_random {
  uint64_t state;
} ref_random;
uint64_t ref_bits(ref_random *r);
size_t ref_below(ref_random *r, size_t n);
double ref_normal(ref_random *r);
void ref_fill(ref_random *r, float *x, size_t n, double mean, double sigma); /* normal */

/* Largest |a - b| over the largest |b|. Not a number where either is, infinite where b is 0 and a
 * is not. */
double ref_difference(const float *a, const double *b, size_t n);

/* A scalar function of arrays that the caller may change; *decisions becomes the fingerprint of its
 * discrete choices. */
typedef double ref_function(void *user, uint64_t *decisions);

typedef struct ref_report {
  double entry;            /* worst |difference quotient - gradient| of an entry, over its tensor's largest gradient */
  double direction;        /* worst along a random direction of signs, over the norm of the tensor's gradient */
  size_t checked, skipped; /* skipped: a discrete choice changed within even the smallest step */
  char worst[160], worst_direction[160];
} ref_report;

/* Judges grad (count) = df / dvalue by central differences: the entries of largest gradient, random
 * ones
 * (`samples` in all, or every one), and two directions. floor: least scale that errors are divided
 * by, for gradients that vanish. Adds to *r. */
void ref_check_gradient(ref_report *r, const char *name, ref_function *f, void *user, double *value, const float *grad,
                        size_t count, size_t samples, double floor);

#endif
