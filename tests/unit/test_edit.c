/* Edits: what they change, in text and at work; runs leave nothing in the model. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/model.h"
#include "ffn/beside.h"
#include "support/prompts.h"
#include "support/near.h"

enum { T = 7 };

static void parses(void **state) {
  (void)state;
  sg_edit e;
  assert_sg_ok(sg_edit_parse("layers.3.neurons[pos=5,channel=2,neuron=17]=0", &e, err));
  assert_string_equal(e.site, "layers.3.neurons");
  assert_int_equal(e.n_axes, 3);
  assert_string_equal(e.axes[2].name, "neuron");
  assert_int_equal(e.axes[2].first, 17);
  assert_true(e.op == SG_EDIT_SET && e.value == 0);
  assert_sg_ok(sg_edit_parse("layers.*.attn.z [ pos=-3..-1 , head=0..1 ] *= -2.5e-1 ", &e, err));
  assert_string_equal(e.site, "layers.*.attn.z");
  assert_true(e.op == SG_EDIT_SCALE && e.value == -0.25 && e.axes[0].first == -3 && e.axes[0].last == -1);
  assert_sg_ok(sg_edit_parse("embed*=2", &e, err));
  assert_true(!strcmp(e.site, "embed") && e.op == SG_EDIT_SCALE);
  assert_sg_ok(sg_edit_parse("layers.*=1", &e, err)); /* scales the site "layers." of no model */
  assert_true(e.op == SG_EDIT_SCALE);
  assert_sg_ok(sg_edit_parse("resid+=0.5", &e, err));
  assert_true(e.op == SG_EDIT_ADD && e.value == 0.5);
  assert_sg_ok(sg_edit_parse("resid-=0.5", &e, err));
  assert_true(e.op == SG_EDIT_ADD && e.value == -0.5);
  assert_sg_ok(sg_edit_parse("layers.0.router.*[pos=5]=@other:-2", &e, err));
  assert_true(e.op == SG_EDIT_TAKE && e.from_other_pos && e.from_pos == -2 && !strcmp(e.from_name, "other"));
  assert_sg_ok(sg_edit_parse("layers.*.router.*=@other", &e, err));
  assert_true(e.op == SG_EDIT_TAKE && !strcmp(e.site, "layers.*.router.*"));
  static const char *const bad[] = {"",
                                    "=1",
                                    "embed",
                                    "embed=",
                                    "embed=x",
                                    "embed[pos]=1",
                                    "embed[]=1",
                                    "embed[pos=]=1",
                                    "embed[pos=1=1",
                                    "embed[pos=1]",
                                    "embed[pos=1]1",
                                    "embed=1 2",
                                    "embed=@",
                                    "embed=@a:",
                                    "embed=inf",
                                    "embed=nan",
                                    "embed[pos=1,]=1",
                                    "embed[pos=99999999999]=1",
                                    "embed[a=1,a=1,a=1,a=1,a=1,a=1,a=1]=1"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    if (sg_edit_parse(bad[i], &e, NULL) != SG_ERR_ARG) fail_msg("\"%s\" was taken", bad[i]);
}

static sg_run *run(const sg_model *m, const int32_t *tokens, const char *const *record, size_t n_record,
                   const sg_edit *edits, size_t n_edits) {
  sg_run *r;
  sg_run_request q = {
      .tokens = tokens, .count = T, .record = record, .n_record = n_record, .edits = edits, .n_edits = n_edits};
  assert_sg_ok(sg_run_create(m, &q, &r, err));
  return r;
}

static sg_edit parsed(const char *text) {
  sg_edit e;
  assert_sg_ok(sg_edit_parse(text, &e, err));
  return e;
}

static sg_site site(const sg_run *r, const char *name) {
  sg_site s;
  if (!sg_run_find(r, name, &s)) fail_msg("%s was not recorded", name);
  return s;
}

static const char *const all[] = {"*"};

/* An edit without effect gives the run without edits, to the bit; recording every site too. */
static void harmless(const sg_model *m, const char *name, ref_random *r) {
  int32_t tokens[T];
  float *a = ref_alloc(m->config.vocab_size, sizeof *a), *b = ref_alloc(m->config.vocab_size, sizeof *b);
  random_prompt(m, r, tokens, T);
  sg_edit e[] = {parsed("layers.*.neurons*=1"), parsed("layers.*.attn.pattern*=1"), parsed("embed+=0")};
  sg_run *plain = run(m, tokens, NULL, 0, NULL, 0), *edited = run(m, tokens, all, 1, e, 3);
  for (size_t t = 0; t < T; t++) {
    assert_sg_ok(sg_run_logits(plain, (ptrdiff_t)t, a, err));
    assert_sg_ok(sg_run_logits(edited, (ptrdiff_t)t - T, b, err));
    if (memcmp(a, b, m->config.vocab_size * sizeof *a)) fail_msg("%s: logits of position %zu differ", name, t);
  }
  size_t neurons = 0, patterns = 0;
  for (size_t l = 0; l < m->config.num_layers; l++) {
    const sgi_sublayer *s = sgi_feedforward_of(m, l);
    if (s) neurons += s->ffn->routes ? s->ffn->unit_count(s->config) : s->config->num_neurons;
    if (sgi_attention_of(m, l)) patterns += m->config.num_heads * T;
  }
  assert_int_equal(sg_run_edit_hits(edited, 0), T * neurons);
  assert_int_equal(sg_run_edit_hits(edited, 1), T * patterns);
  sg_run_free(plain);
  sg_run_free(edited);
  free(a), free(b);
}

/* Zeroing what a layer's neurons give leaves its biases alone; the neurons of a position are the
 * whole sublayer there. */
static void zeroed(const sg_model *m, const char *name, ref_random *r) {
  int32_t tokens[T];
  const sg_config *view;
  char text[64], name_[SG_SITE_NAME];
  size_t l = some_feedforward(m, r, &view);
  random_prompt(m, r, tokens, T);
  snprintf(text, sizeof text, "layers.%zu.neurons[pos=-2]=0", l);
  snprintf(name_, sizeof name_, "layers.%zu.mlp.out", l);
  sg_edit e[1 + SGI_BESIDE_PARTS] = {parsed(text)};
  size_t edits = 1;
  for (int part = 0; part < SGI_BESIDE_PARTS; part++) {
    if (!sgi_beside_neurons(view, (sgi_beside)part)) continue;
    snprintf(text, sizeof text, "layers.%zu.%s[pos=-2]=0", l, sgi_site_row_of(sgi_beside_site((sgi_beside)part))->name);
    e[edits++] = parsed(text);
  }
  sg_run *a = run(m, tokens, all, 1, NULL, 0), *b = run(m, tokens, all, 1, e, edits);
  sg_site out = site(b, name_), before = site(a, name_);
  size_t D = m->config.hidden_size;
  bool bias = false;
  const sgi_sublayer *s = sgi_feedforward_of(m, l);
  for (size_t i = 0; i < s->n_tensors; i++)
    bias = bias || strstr(m->table.rows[s->row[i]].name, "down_proj.bias") ||
           strstr(m->table.rows[s->row[i]].name, "moe.b");
  double norm = 0;
  for (size_t d = 0; d < D; d++) norm += fabs((double)out.data[(T - 2) * D + d]);
  if (bias != (norm > 0)) fail_msg("%s: the layer gives %g without its neurons", name, norm);
  assert_memory_equal(out.data, before.data, (T - 2) * D * sizeof(float));                   /* earlier positions */
  assert_memory_equal(out.data + (T - 1) * D, before.data + (T - 1) * D, D * sizeof(float)); /* same layer, later one */
  if (l) {
    snprintf(name_, sizeof name_, "layers.%zu.resid_post", l - 1);
    assert_memory_equal(site(a, name_).data, site(b, name_).data, T * D * sizeof(float));
  }
  sg_run_free(a);
  sg_run_free(b);
}

/* One neuron at a position by its number: exactly its contribution goes. */
static void one_neuron(const sg_model *m, const char *name, ref_random *r) {
  int32_t tokens[T];
  random_prompt(m, r, tokens, T);
  sg_run *a = run(m, tokens, all, 1, NULL, 0);
  sg_site indices;
  if (!sg_run_find(a, "layers.0.router.indices", &indices)) {
    sg_run_free(a);
    return;
  }
  size_t C = indices.dims[1], K = indices.dims[2], D = m->config.hidden_size, pos = ref_below(r, T),
         c = ref_below(r, C);
  size_t k = ref_below(r, K), at = (pos * C + c) * K + k;
  char text[120];
  snprintf(text, sizeof text, "layers.0.neurons[pos=%zu,channel=%zu,neuron=%d]=0", pos, c, indices.index[at]);
  sg_edit e = parsed(text);
  sg_run *b = run(m, tokens, all, 1, &e, 1);
  assert_int_equal(sg_run_edit_hits(b, 0), 1);
  float value = site(a, "layers.0.neurons").data[at];
  sgi_unit u;
  assert_true(sgi_feedforward_of(m, 0)->ffn->unit_at(sgi_feedforward_of(m, 0)->config,
                                                     sgi_feedforward_of(m, 0)->weight + SGI_T_OWN, c,
                                                     (size_t)indices.index[at], &u));
  for (size_t d = 0; d < D; d++) {
    double gone = (double)site(a, "layers.0.mlp.out").data[pos * D + d] - site(b, "layers.0.mlp.out").data[pos * D + d];
    if (fabs(gone - value * sgi_slice_at(&u.out, d)) > 1e-5)
      fail_msg("%s: %g is gone, not %g", name, gone, value * sgi_slice_at(&u.out, d));
  }
  sg_run_free(b);
  snprintf(text, sizeof text, "layers.0.neurons[pos=%zu,channel=%zu,neuron=-1]=0", pos, c);
  e = parsed(text);
  b = run(m, tokens, NULL, 0, &e, 1);
  assert_int_equal(sg_run_edit_hits(b, 0), 0); /* not chosen: nothing happens */
  sg_run_free(a);
  sg_run_free(b);
}

/* Everything taken from another run makes its logits; a circuit taken changes the position's output
 * to the other's gates. */
static void taken(const sg_model *m, const char *name, ref_random *r) {
  int32_t x[T], y[T];
  float *a = ref_alloc(m->config.vocab_size, sizeof *a), *b = ref_alloc(m->config.vocab_size, sizeof *b);
  random_prompt(m, r, x, T);
  random_prompt(m, r, y, T);
  sg_run *other = run(m, y, all, 1, NULL, 0);
  sg_edit e = parsed("embed=@y");
  e.from = other;
  sg_run *p = run(m, x, NULL, 0, &e, 1);
  assert_sg_ok(sg_run_logits(p, -1, a, err));
  assert_sg_ok(sg_run_logits(other, -1, b, err));
  if (memcmp(a, b, m->config.vocab_size * sizeof *a))
    fail_msg("%s: the other's embedding does not make its logits", name);
  sg_run_free(p);
  /* Knockout of an edge: the head's output is what is left of the pattern. */
  size_t l = 0;
  while (!sgi_attention_of(m, l)) l++;
  char text[96], names[3][SG_SITE_NAME];
  static const char *const parts[] = {"attn.pattern", "attn.v", "attn.z"};
  for (size_t i = 0; i < 3; i++) snprintf(names[i], SG_SITE_NAME, "layers.%zu.%s", l, parts[i]);
  snprintf(text, sizeof text, "%s[pos=4,head=1,source=2]=0", names[0]);
  sg_edit cut[] = {parsed(text)};
  p = run(m, x, all, 1, cut, 1);
  size_t d = m->config.head_dim, H = m->config.num_heads;
  sg_site pattern = site(p, names[0]), v = site(p, names[1]), z = site(p, names[2]);
  assert_int_equal(sg_run_edit_hits(p, 0), 1);
  assert_true(pattern.data[(4 * H + 1) * T + 2] == 0);
  for (size_t i = 0; i < d; i++) {
    double want = 0;
    for (size_t s = 0; s < T; s++) want += (double)pattern.data[(4 * H + 1) * T + s] * v.data[(s * H + 1) * d + i];
    near("want", want, z.data[(4 * H + 1) * d + i], 1e-5);
  }
  sg_run_free(p);
  sg_run_free(other);
  free(a), free(b);
}

static void each(void **state) {
  (void)state;
  each_model(harmless);
  each_model(zeroed);
  each_model(one_neuron);
  each_model(taken);
}

static void vectors_and_scales(void **state) {
  (void)state;
  sg_model *m;
  assert_sg_ok(sg_model_load("tests/golden/models/sgatlin_product_dense_identity", &m, err));
  int32_t tokens[T] = {1, 5, 9, 13, 17, 21, 25};
  float ones[32];
  for (size_t i = 0; i < 32; i++) ones[i] = (float)i;
  sg_edit e = parsed("layers.0.resid_post[pos=3]+=2");
  e.vector = ones;
  e.vector_count = 32;
  sg_run *a = run(m, tokens, all, 1, NULL, 0), *b = run(m, tokens, all, 1, &e, 1);
  sg_site x = site(a, "layers.0.resid_post"), y = site(b, "layers.0.resid_post");
  for (size_t i = 0; i < 32; i++) assert_true(fabsf(y.data[3 * 32 + i] - x.data[3 * 32 + i] - 2 * (float)i) < 1e-4f);
  sg_run_free(b);
  /* A held norm scale: the normed stream is the stream times it. */
  sg_edit s = parsed("layers.1.mlp.norm_scale[pos=2]=3");
  b = run(m, tokens, all, 1, &s, 1);
  x = site(b, "layers.1.resid_mid"), y = site(b, "layers.1.mlp.norm");
  const float *gain = sgi_feedforward_of(m, 1)->w[SGI_T_NORM];
  for (size_t i = 0; i < 32; i++) assert_true(fabsf(y.data[2 * 32 + i] - 3 * gain[i] * x.data[2 * 32 + i]) < 1e-5f);
  sg_run_free(b);
  sg_run_free(a);
  e.vector_count = 31;
  sg_run_request q = {.tokens = tokens, .count = T, .edits = &e, .n_edits = 1};
  assert_int_equal(sg_run_create(m, &q, &a, NULL), SG_ERR_ARG);
  static const char *const bad[] = {"layers.2.neurons=0",
                                    "layers.0.neurons[head=1]=0",
                                    "layers.0.router.indices*=2",
                                    "layers.0.router.indices=64",
                                    "layers.0.router.indices=-1",
                                    "layers.0.router.indices=0.5",
                                    "layers.0.attn.norm_scale[dim=1]=0",
                                    "embed[nothing=1]=0",
                                    "embed=@nobody",
                                    "layers.0.gate.logits=0"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    e = parsed(bad[i]);
    if (sg_run_create(m, &q, &a, NULL) != SG_ERR_ARG) fail_msg("\"%s\" was taken", bad[i]);
  }
  q = (sg_run_request){.tokens = tokens, .count = T, .record = all, .n_record = 1, .max_bytes = 1000};
  assert_int_equal(sg_run_create(m, &q, &a, NULL), SG_ERR_MEMORY);
  q = (sg_run_request){.tokens = tokens, .count = 0};
  assert_int_equal(sg_run_create(m, &q, &a, NULL), SG_ERR_ARG);
  sg_model_free(m);
}

/* Loss of rows under edits: none, as it is; a zeroed stream, uniform. */
static void losses(void **state) {
  (void)state;
  sg_model *m;
  assert_sg_ok(sg_model_load("tests/golden/models/moe", &m, err));
  int32_t targets[2 * T] = {5, 9, 13, 17, 21, 25, 1, 7, 8, 9, 1, 0, 0, 0};
  sg_edited_loss a, b;
  assert_sg_ok(sg_edit_loss(m, targets, 2, T, NULL, 0, 0, &a, err));
  assert_int_equal(a.targets, 11);
  sg_edit e = parsed("final_norm=0");
  assert_sg_ok(sg_edit_loss(m, targets, 2, T, &e, 1, 80 << 10, &b, err)); /* row by row */
  near("b.loss", b.loss, log((double)m->config.vocab_size), 1e-5);
  assert_int_equal(b.hits, 2 * T * m->config.hidden_size);
  e = parsed("layers.*.neurons[pos=2]=0");
  assert_sg_ok(sg_edit_loss(m, targets, 2, T, &e, 1, 80 << 10, &a, err));
  assert_sg_ok(sg_edit_loss(m, targets, 2, T, &e, 1, 0, &b, err));
  near("a.loss", a.loss, b.loss, 1e-6);
  assert_true(a.hits == b.hits && a.hits == 2 * m->config.num_layers * m->config.top_k * m->config.num_neurons);
  e = parsed("layers.9.neurons=0");
  assert_int_equal(sg_edit_loss(m, targets, 2, T, &e, 1, 0, &b, NULL), SG_ERR_ARG);
  sg_model_free(m);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(parses), cmocka_unit_test(each),
                                     cmocka_unit_test(vectors_and_scales), cmocka_unit_test(losses)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
