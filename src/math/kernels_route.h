/* kernels_route.h: the choice of K scores; a part of kernels_impl.h. */

/* One candidate v (with its name) per lane into lists of K that descend; have: elements so far, the same in all lanes.
 * A list below the candidate moves down by one; equals stay in front. */
static inline void insert_lanes(float (*restrict value)[SGI_LANES], int32_t (*restrict name)[SGI_LANES], size_t have,
                                size_t K, const float *restrict v, const int32_t *restrict id) {
  size_t last = have < K ? have : K - 1;
  if (have < K) {
#pragma omp simd
    for (size_t l = 0; l < SGI_LANES; l++) {
      value[last][l] = -__builtin_inff(); /* -inf candidates land here, since they are larger than none */
      name[last][l] = id[l];
    }
  }
  for (size_t k = last; k > 0; k--) {
#pragma omp simd
    for (size_t l = 0; l < SGI_LANES; l++) {
      float here = value[k][l], above = value[k - 1][l], x = v[l];
      int32_t n = x > here ? id[l] : name[k][l];
      name[k][l] = x > above ? name[k - 1][l] : n;
      float y = x > here ? x : here;
      value[k][l] = x > above ? above : y;
    }
  }
#pragma omp simd
  for (size_t l = 0; l < SGI_LANES; l++) {
    int32_t n = v[l] > value[0][l] ? id[l] : name[0][l];
    float y = v[l] > value[0][l] ? v[l] : value[0][l];
    name[0][l] = n;
    value[0][l] = y;
  }
}

static inline bool any_larger(const float *v, const float *least) {
  int any = 0;
#pragma omp simd reduction(| : any)
  for (size_t l = 0; l < SGI_LANES; l++) any |= v[l] > least[l];
  return any;
}

/* value, name (K, lanes) of u (S, stride). */
static inline void top_lanes(float (*value)[SGI_LANES], int32_t (*name)[SGI_LANES], const float *u, size_t stride,
                             size_t lanes, size_t S, size_t K, float factor) {
  float v[SGI_LANES] = {0};
  int32_t id[SGI_LANES];
  for (size_t s = 0; s < S; s++) {
    if (lanes == SGI_LANES)
      memcpy(v, u + s * stride, sizeof v);
    else
      memcpy(v, u + s * stride, lanes * sizeof *v);
#pragma omp simd
    for (size_t l = 0; l < SGI_LANES; l++) {
      v[l] = v[l] == v[l] ? v[l] : -__builtin_inff();
      id[l] = (int32_t)s;
    }
    if (s >= K && s >= 48 && !any_larger(v, value[K - 1])) continue; /* seldom true before */
    insert_lanes(value, name, s, K, v, id);
  }
  for (size_t k = 0; k < K; k++)
#pragma omp simd
    for (size_t l = 0; l < SGI_LANES; l++) value[k][l] *= factor;
}

static inline void choose_pairs_of(float *score, int32_t *index, size_t ld, const float *u0, const float *u1,
                                   size_t stride, size_t lanes, size_t S, size_t K, float factor) {
  float a[SGI_MAX_TOP_K][SGI_LANES], b[SGI_MAX_TOP_K][SGI_LANES], best[SGI_MAX_TOP_K][SGI_LANES], v[SGI_LANES];
  int32_t na[SGI_MAX_TOP_K][SGI_LANES], nb[SGI_MAX_TOP_K][SGI_LANES], unit[SGI_MAX_TOP_K][SGI_LANES], id[SGI_LANES];
  top_lanes(a, na, u0, stride, lanes, S, K, factor);
  top_lanes(b, nb, u1, stride, lanes, S, K, factor);
  size_t have = 0;
  for (size_t i = 0; i < K; i++)
    for (size_t j = 0; (i + 1) * (j + 1) <= K; j++, have++) { /* see sgi_topk_pairs */
#pragma omp simd
      for (size_t l = 0; l < SGI_LANES; l++) {
        v[l] = a[i][l] + b[j][l];
        id[l] = na[i][l] * (int32_t)S + nb[j][l];
      }
      insert_lanes(best, unit, have, K, v, id);
    }
  for (size_t l = 0; l < lanes; l++)
    for (size_t k = 0; k < K; k++) {
      score[l * ld + k] = best[k][l];
      index[l * ld + k] = unit[k][l];
    }
}

static void choose_pairs(float *score, int32_t *index, size_t ld, const float *u0, const float *u1, size_t stride,
                         size_t lanes, size_t S, size_t K, float factor) {
  if (K == 8) /* the usual size, for the compiler to unroll */
    choose_pairs_of(score, index, ld, u0, u1, stride, lanes, S, 8, factor);
  else
    choose_pairs_of(score, index, ld, u0, u1, stride, lanes, S, K, factor);
}

static size_t skip_small(const float *x, size_t i, size_t n, float least) {
  for (; i + SGI_LANES <= n; i += SGI_LANES) {
    int any = 0;
#pragma omp simd reduction(| : any)
    for (size_t l = 0; l < SGI_LANES; l++) any |= !(x[i + l] <= least);
    if (any) break;
  }
  return i;
}
