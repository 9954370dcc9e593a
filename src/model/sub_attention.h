/* sub_attention.h: what attention's files share: its tensors, and what a step of it keeps.
 * sub_attention.c is the sublayer, sub_attention_vary.c runs that differ from one position on. */
#ifndef SGI_SUB_ATTENTION_H
#define SGI_SUB_ATTENTION_H

#include "model/pass_inside.h"

/* Its tensors, behind the norm. */
enum { SGI_T_Q = SGI_T_OWN, SGI_T_K, SGI_T_V, SGI_T_Q_NORM, SGI_T_K_NORM, SGI_T_O, SGI_T_SINKS };

typedef struct sgi_kept {
  float *q_raw, *k_raw; /* (n,H*d_head) before norm and rotary */
  float *rq, *rk;       /* (n,H) inverse norms of heads */
  float *q, *k, *v;     /* (n,H*d_head) as attention takes them */
  float *o, *lse;       /* (n,H*d_head), (n,H) */
} sgi_kept;

/* Every head has a learned logit in its softmax (docs/method.md, attention). */
static inline bool sgi_has_sinks(const sg_config *c) { return c->attention_sink[0] != 0; }
static inline const float *sgi_sinks_of(const sgi_sublayer *s) {
  return sgi_has_sinks(s->config) ? s->w[SGI_T_SINKS] : NULL;
}

static inline size_t sgi_heads_width(const sg_config *c) { return c->num_heads * c->head_dim; }

static inline void sgi_attention_kept(const sg_config *c, size_t n, sgi_arena *a, sgi_kept *k) {
  size_t W = sgi_heads_width(c), H = c->num_heads;
  k->q_raw = SGI_TAKE(a, n * W, float);
  k->k_raw = SGI_TAKE(a, n * W, float);
  k->rq = SGI_TAKE(a, n * H, float);
  k->rk = SGI_TAKE(a, n * H, float);
  k->q = SGI_TAKE(a, n * W, float);
  k->k = SGI_TAKE(a, n * W, float);
  k->v = SGI_TAKE(a, n * W, float);
  k->o = SGI_TAKE(a, n * W, float);
  k->lse = SGI_TAKE(a, n * H, float);
}

/* sgi_sublayer_ops, vary_room and vary. */
void sgi_attention_vary_room(const sg_config *c, size_t n, size_t keys, sgi_arena *a);
sg_status sgi_attention_vary(sgi_pass *p, const sgi_plan_step *s, const struct sgi_vary *v, sgi_arena room, float *y,
                             const float *xn);

#endif
