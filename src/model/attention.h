/* attention.h: causal attention in blocks of queries. No T x T matrix is kept: backward makes each
 * block's pattern again from its logsumexp (docs/method.md, attention). */
#ifndef SGI_ATTENTION_H
#define SGI_ATTENTION_H

#include "core/arena.h"

/* Rows of width H*d_head. The keys of sequence b are rows [b*capacity, b*capacity + past + T) of k
 * and v; its queries rows [b*T, b*T + T) of q, at positions past .. past + T - 1. starts (B,T),
 * NULL for 0: first key a query sees. */
typedef struct sgi_attention {
  size_t B, T, past, capacity, H, d_head;
  const int32_t *starts;
  const float *sinks; /* (H) logits that take part in every row's sum and have no value; NULL: none */
  bool bf16;          /* q, k and v hold bf16 numbers; so do the other operands of products, p and the gradients */
} sgi_attention;

/* Scratch for max T queries and keys. */
void sgi_attention_scratch(size_t keys, size_t d_head, bool backward, sgi_arena *a);

/* o (n, H*d_head) = softmax(q k^T / sqrt(d_head)) v per head; lse (n,H) = log of the sum of
 * exponentials. */
sg_status sgi_attention_forward(const sgi_attention *s, sgi_arena scratch, float *o, float *lse, const float *q,
                                const float *k, const float *v);
/* dq, dk, dv assigned (past = 0, capacity = T). */
sg_status sgi_attention_backward(const sgi_attention *s, sgi_arena scratch, float *dq, float *dk, float *dv,
                                 const float *o, const float *lse, const float *d_o, const float *q, const float *k,
                                 const float *v);
/* d_sinks (H) += the sinks' gradient; room (n,H). */
void sgi_attention_sinks_backward(const sgi_attention *s, float *d_sinks, float *room, const float *o, const float *lse,
                                  const float *d_o);

/* Unscaled exponentials of a row, relative to max, with their sum: what they must be multiplied by,
 * and in *lse the log of the whole sum. sink NULL: there is none. */
float sgi_attention_part(float sum, float max, const float *sink, float *lse);

/* One query row's pattern (past + i + 1): for sites. With sinks its sum is below 1. */
sg_status sgi_attention_pattern(const sgi_attention *s, size_t b, size_t h, size_t i, float *pattern, const float *q,
                                const float *k);

/* Rotary tables cos, sin (T, d_head/2), angles in float32 as the reference has them (golden README
 * no. 2). */
void sgi_rotary_tables(float *cos, float *sin, size_t T, size_t d_head, double theta);
/* Turns x (n, H*d_head) in place by the rows' positions; back with inverse. */
void sgi_rotary(float *x, const int32_t *position, const float *cos, const float *sin, size_t n, size_t H,
                size_t d_head, bool inverse);

#endif
