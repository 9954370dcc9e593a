/* The only file that includes oneDNN. */
#include "math/gemm.h"

#include <omp.h>
#include <oneapi/dnnl/dnnl.h>
#include <stdatomic.h>
#include <string.h>

#include "core/arena.h"
#include "math/gemv.h"
#include "math/transpose.h"

/* Tiles are chosen by (m, n) alone: about 8 of them, none narrower than 64, so that two to eight
 * threads are busy and every thread count computes the same tiles. Each tile packs its own
 * operands: 16 of them cost up to 6% more. */
enum { TILES = 8, TILE_LEAST = 128, TILE_STEP = 16 };

static size_t round_up(size_t x, size_t step) { return (x + step - 1) / step * step; }

void sgi_gemm_tile(size_t m, size_t n, size_t *tm, size_t *tn) {
  *tm = m;
  *tn = n;
  while (((m + *tm - 1) / *tm) * ((n + *tn - 1) / *tn) < TILES) {
    bool rows = *tm >= *tn;
    size_t *t = rows ? tm : tn;
    if (*t < 2 * TILE_LEAST) break;
    *t = round_up((*t + 1) / 2, TILE_STEP);
  }
}

sg_status sgi_gemm1(bool ta, bool tb, size_t m, size_t n, size_t k, float alpha, const float *a, size_t lda,
                    const float *b, size_t ldb, float beta, float *c, size_t ldc) {
  if (!m || !n) return SG_OK;
  int threads = omp_get_max_threads();
  omp_set_num_threads(
      1); /* of this thread only: outside a parallel region oneDNN would cut long sums by the number of threads */
  dnnl_status_t st = dnnl_sgemm(ta ? 'T' : 'N', tb ? 'T' : 'N', (dnnl_dim_t)m, (dnnl_dim_t)n, (dnnl_dim_t)k, alpha, a,
                                (dnnl_dim_t)lda, b, (dnnl_dim_t)ldb, beta, c, (dnnl_dim_t)ldc);
  omp_set_num_threads(threads);
  return st == dnnl_success ? SG_OK : st == dnnl_out_of_memory ? SG_ERR_MEMORY : SG_ERR_INTERNAL;
}

static atomic_int making;

bool sgi_gemm_making(void) { return atomic_load(&making) > 0; }

/* oneDNN 2.6 has three families of kernels and makes each when it is first needed: one product for
 * each. */
static sg_status make_kernels(void) {
  static const struct {
    bool tb;
    size_t m, n;
  } products[] = {{false, 1, 1}, {true, 2, 1}, {false, 2, 2}};
  float a[2] = {0}, b[2] = {0}, c[4];
  sg_status st = SG_OK;
  atomic_fetch_add(&making, 1);
  for (size_t i = 0; i < SGI_COUNT(products) && !st; i++) {
    size_t m = products[i].m, n = products[i].n;
    st = sgi_gemm1(false, products[i].tb, m, n, 1, 1, a, 1, b, products[i].tb ? 1 : n, 0, c, n);
  }
  atomic_fetch_sub(&making, 1);
  return st;
}

sg_status sgi_gemm_ready(sg_error *err) {
  enum { KERNEL_BYTES = 16 << 20 };
  static atomic_bool ready;
  if (atomic_load(&ready)) return SG_OK;
  void *room = sgi_alloc(KERNEL_BYTES); /* not used: that it could be had is what counts */
  if (!room) return sgi_fail_memory(err, KERNEL_BYTES, "the kernels of oneDNN");
  sgi_free(room);
  sg_status st = make_kernels();
  if (st) return sgi_fail(err, st, "oneDNN computes no product: %s", sg_status_text(st));
  atomic_store(&ready, true);
  return SG_OK;
}

sg_status sgi_gemm(bool ta, bool tb, size_t m, size_t n, size_t k, const float *a, size_t lda, const float *b,
                   size_t ldb, float beta, float *c, size_t ldc) {
  if (!m || !n) return SG_OK;
  if (!k) { /* an empty sum, which oneDNN leaves undone */
    for (size_t i = 0; i < m && beta == 0; i++) memset(c + i * ldc, 0, n * sizeof *c);
    return SG_OK;
  }
  if (m <= SGI_GEMV_ROWS && !ta && tb && beta == 0) {
    sgi_gemv(c, ldc, a, lda, b, ldb, m, k, n);
    return SG_OK;
  }
  size_t tm, tn;
  sgi_gemm_tile(m, n, &tm, &tn);
  size_t rows = (m + tm - 1) / tm, columns = (n + tn - 1) / tn, tiles = rows * columns;
  atomic_int worst = SG_OK;
#pragma omp parallel for schedule(dynamic, 1) if (tiles > 1)
  for (size_t t = 0; t < tiles; t++) {
    size_t i = t / columns * tm, j = t % columns * tn;
    size_t mi = m - i < tm ? m - i : tm, nj = n - j < tn ? n - j : tn;
    sg_status st = sgi_gemm1(ta, tb, mi, nj, k, 1, ta ? a + i : a + i * lda, lda, tb ? b + j * ldb : b + j, ldb, beta,
                             c + i * ldc + j, ldc);
    if (st) atomic_store(&worst, st);
  }
  return (sg_status)atomic_load(&worst);
}

/* ---- blocks of bf16 -------------------------------------------------------------------------- */

/* Of one size, so that four primitives serve every product: two orders of each operand. */
enum { BF16_SCRATCH = 128 << 10 /* bytes */ };
typedef struct bf16_form {
  dnnl_memory_desc_t a, b, c, scratch;
  dnnl_primitive_t product;
} bf16_form;
static bf16_form bf16_forms[2][2];
static dnnl_engine_t bf16_engine;

const char *sgi_gemm_bf16_instructions(void) {
  int isa = (int)dnnl_get_effective_cpu_isa();
  bool amx = (isa & dnnl_cpu_isa_avx512_core_amx) == dnnl_cpu_isa_avx512_core_amx;
  bool bf16 = (isa & dnnl_cpu_isa_avx512_core_bf16) == dnnl_cpu_isa_avx512_core_bf16;
  return amx ? "amx" : bf16 ? "avx512_bf16" : NULL;
}

static dnnl_status_t make_form(bool ta, bool tb, bf16_form *f) {
  enum { M = SGI_BF16_ROWS, N = SGI_BF16_COLUMNS, K = SGI_BF16_INNER };
  dnnl_primitive_attr_t own_scratch = NULL;
  dnnl_primitive_desc_t described = NULL;
  dnnl_matmul_desc_t d;
  dnnl_status_t st = dnnl_memory_desc_init_by_tag(&f->a, 2, (dnnl_dims_t){M, K}, dnnl_bf16, ta ? dnnl_ba : dnnl_ab);
  if (!st) st = dnnl_memory_desc_init_by_tag(&f->b, 2, (dnnl_dims_t){K, N}, dnnl_bf16, tb ? dnnl_ba : dnnl_ab);
  if (!st) st = dnnl_memory_desc_init_by_tag(&f->c, 2, (dnnl_dims_t){M, N}, dnnl_f32, dnnl_ab);
  if (!st) st = dnnl_matmul_desc_init(&d, &f->a, &f->b, NULL, &f->c);
  if (!st) st = dnnl_primitive_attr_create(&own_scratch);
  if (!st) st = dnnl_primitive_attr_set_scratchpad_mode(own_scratch, dnnl_scratchpad_mode_user);
  if (!st) st = dnnl_primitive_desc_create(&described, &d, own_scratch, bf16_engine, NULL);
  if (!st) f->scratch = *dnnl_primitive_desc_query_md(described, dnnl_query_scratchpad_md, 0);
  if (!st && dnnl_memory_desc_get_size(&f->scratch) > BF16_SCRATCH) st = dnnl_unimplemented;
  if (!st) st = dnnl_primitive_create(&f->product, described);
  dnnl_primitive_desc_destroy(described);
  dnnl_primitive_attr_destroy(own_scratch);
  return st;
}

sg_status sgi_gemm_bf16_ready(sg_error *err) {
  static atomic_bool ready;
  if (atomic_load(&ready)) return SG_OK;
  int threads = omp_get_max_threads();
  omp_set_num_threads(1); /* a block is one thread's */
  dnnl_status_t st = bf16_engine ? dnnl_success : dnnl_engine_create(&bf16_engine, dnnl_cpu, 0);
  for (int i = 0; i < 4 && !st; i++)
    if (!bf16_forms[i / 2][i % 2].product) st = make_form(i / 2, i % 2, &bf16_forms[i / 2][i % 2]);
  omp_set_num_threads(threads);
  if (st) return sgi_fail(err, SG_ERR_INTERNAL, "oneDNN makes no product of bf16 blocks (its status %d)", (int)st);
  atomic_store(&ready, true);
  return SG_OK;
}

sg_status sgi_gemm_bf16_block(bool ta, bool tb, const uint16_t *a, const uint16_t *b, float *c) {
  const bf16_form *f = &bf16_forms[ta][tb];
  _Alignas(64) char scratch[BF16_SCRATCH];
  const dnnl_memory_desc_t *const described[] = {&f->a, &f->b, &f->c, &f->scratch};
  void *const data[] = {(void *)a, (void *)b, c, scratch};
  static const int places[] = {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST, DNNL_ARG_SCRATCHPAD};
  dnnl_exec_arg_t args[4] = {{0, NULL}};
  dnnl_stream_t stream = NULL;
  int threads = omp_get_max_threads();
  omp_set_num_threads(1);
  dnnl_status_t st = dnnl_stream_create(&stream, bf16_engine, dnnl_stream_default_flags);
  for (size_t i = 0; i < SGI_COUNT(args) && !st; i++) {
    args[i].arg = places[i];
    st = dnnl_memory_create(&args[i].memory, described[i], bf16_engine, data[i]);
  }
  if (!st) st = dnnl_primitive_execute(f->product, stream, SGI_COUNT(args), args);
  if (!st) st = dnnl_stream_wait(stream);
  for (size_t i = 0; i < SGI_COUNT(args); i++)
    if (args[i].memory) dnnl_memory_destroy(args[i].memory);
  if (stream) dnnl_stream_destroy(stream);
  omp_set_num_threads(threads);
  return st == dnnl_success ? SG_OK : st == dnnl_out_of_memory ? SG_ERR_MEMORY : SG_ERR_INTERNAL;
}

enum { COPY_STEP = 64 };

void sgi_linear_scratch(size_t n, size_t in, size_t out, sgi_arena *a) {
  size_t across = in * sgi_stride(out), along = out * sgi_stride(in);
  if (n >= SGI_COPY_ROWS) SGI_TAKE(a, across > along ? across : along, float);
}

void sgi_linear_pack(float *wt, const float *w, size_t in, size_t out) {
  size_t ld = sgi_stride(out);
#pragma omp parallel for schedule(static) if (out * in > 65536)
  for (size_t j = 0; j < out; j += COPY_STEP)
    sgi_transpose(wt + j, ld, w + j * in, in, out - j < COPY_STEP ? out - j : COPY_STEP, in);
}

sg_status sgi_linear(float *y, size_t ldy, const float *x, size_t ldx, const float *w, size_t n, size_t in, size_t out,
                     sgi_arena scratch) {
  double at = sgi_work_begin(scratch.profile);
  sg_status st;
  if (n < SGI_COPY_ROWS || !scratch.base) {
    st = sgi_gemm(false, true, n, out, in, x, ldx, w, in, 0, y, ldy);
  } else {
    float *wt = SGI_TAKE(&scratch, in * sgi_stride(out), float);
    sgi_linear_pack(wt, w, in, out);
    st = sgi_gemm(false, false, n, out, in, x, ldx, wt, sgi_stride(out), 0, y, ldy);
  }
  sgi_work(scratch.profile, at, sgi_product_flops(n, in, out), sgi_product_bytes(n, in, out));
  return st;
}

sg_status sgi_linear_dx(float *dx, size_t lddx, const float *dy, size_t lddy, const float *w, size_t n, size_t in,
                        size_t out, float beta, sgi_arena scratch) {
  double at = sgi_work_begin(scratch.profile);
  size_t ld = sgi_stride(in);
  if (n >= SGI_COPY_ROWS && scratch.base && ld != in) {
    float *copy = SGI_TAKE(&scratch, out * ld, float);
#pragma omp parallel for schedule(static) if (out * in > 65536)
    for (size_t j = 0; j < out; j++) memcpy(copy + j * ld, w + j * in, in * sizeof *w);
    w = copy;
  } else {
    ld = in;
  }
  sg_status st = sgi_gemm(false, false, n, in, out, dy, lddy, w, ld, beta, dx, lddx);
  sgi_work(scratch.profile, at, sgi_product_flops(n, in, out), sgi_product_bytes(n, in, out));
  return st;
}

sg_status sgi_linear_dw(float *dw, const float *dy, size_t lddy, const float *x, size_t ldx, size_t n, size_t in,
                        size_t out, sgi_profile *profile) {
  double at = sgi_work_begin(profile);
  sg_status st = sgi_gemm(true, false, out, in, n, dy, lddy, x, ldx, 1, dw, in);
  sgi_work(profile, at, sgi_product_flops(n, in, out), sgi_product_bytes(n, in, out));
  return st;
}

sg_status sgi_gemm_yardstick(size_t m, size_t n, size_t k, const float *x, const float *w, float *y) {
  dnnl_dim_t rows = (dnnl_dim_t)m, out = (dnnl_dim_t)n, in = (dnnl_dim_t)k;
  dnnl_status_t st = dnnl_sgemm('N', 'T', rows, out, in, 1, x, in, w, in, 0, y, out);
  return st == dnnl_success ? SG_OK : st == dnnl_out_of_memory ? SG_ERR_MEMORY : SG_ERR_INTERNAL;
}
