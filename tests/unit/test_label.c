/* Labels of neurons: what they name is what the card's plain numbers say, by loops over all tokens;
 * their text is safe to print. */
#include <math.h>
#include <string.h>

#include "model/model.h"
#include "read/label.h"
#include "read/record.h"
#include "support/prompts.h"

static bool special(const sg_config *c, size_t v) {
  return (int64_t)v == c->bos_id || (int64_t)v == c->eos_id || (int64_t)v == c->pad_id;
}

/* Every neuron of a model's first and last layer: no token moves more, in either direction, than
 * the ones that are named. */
static void writes_of(const char *directory) {
  sg_model *m;
  assert_sg_ok(sg_model_load(directory, &m, err));
  const sg_config *c = &m->layers[0].config;
  size_t V = c->vocab_size, channels = sgi_unit_channels(c);
  float *v = ref_alloc(4 * V, sizeof *v);
  for (size_t u = 0; u < 24; u++) {
    size_t layer = u % 2 ? c->num_layers - 1 : 0, channel = u % channels, index = (7 * u) % c->num_neurons;
    sg_neuron_view view = {v, v + V, v + 2 * V, v + 3 * V};
    sgi_label l;
    assert_sg_ok(sg_neuron_read(m, layer, channel, index, &view, err));
    assert_sg_ok(sgi_label_make(m, NULL, NULL, layer, channel, index, &l, err));
    assert_false(l.recorded);
    assert_true(l.n_reads >= 1 && l.n_writes >= 1);
    double most = 0, sign = 1;
    for (size_t t = 0; t < V; t++) {
      double x = view.value ? fabs((double)view.value[t]) : (double)view.reads[t];
      if (!special(c, t) && x > most) most = x;
    }
    double first = view.value ? (double)view.value[l.reads[0]] : (double)view.reads[l.reads[0]];
    assert_true(fabs(first) == most);
    if (view.value && first < 0) sign = -1;
    for (size_t i = 0; i < l.n_writes; i++) {
      double named = sign * (double)view.writes[l.writes[i]];
      assert_true(l.raises[i] ? named > 0 : named < 0);
      for (size_t t = 0; t < V; t++) {
        double x = sign * (double)view.writes[t];
        assert_true(special(c, t) || (l.raises[i] ? x <= named : x >= named));
      }
    }
  }
  free(v);
  sg_model_free(m);
}

static void from_weights(void **state) {
  (void)state;
  writes_of("tests/golden/models/sgatlin_product_dense_identity");
  writes_of("tests/golden/models/peer");
  writes_of("tests/golden/models/mlp");
  writes_of("tests/golden/models/moe");
}

static void refused(void **state) {
  (void)state;
  sg_model *m;
  sgi_label l;
  assert_sg_ok(sg_model_load("tests/golden/models/peer", &m, err));
  assert_int_equal(sgi_label_make(m, NULL, NULL, 0, 0, 1u << 30, &l, NULL), SG_ERR_ARG);
  assert_int_equal(sgi_label_make(m, NULL, NULL, 99, 0, 0, &l, NULL), SG_ERR_ARG);
  sg_model_free(m);
}

/* Text: controls and broken bytes are written out, the blank in front of a word is left out, and
 * nothing is cut inside a character. */
static void text(void **state) {
  (void)state;
  sg_tokenizer *tok;
  char out[SG_LABEL_BYTES];
  assert_sg_ok(sg_tokenizer_load("tests/golden/gpt2/tokenizer.json", &tok, err));
  sgi_label l = {.reads = {373, 318}, .n_reads = 2, .writes = {17141, 198}, .raises = {true, false}, .n_writes = 2};
  sgi_label_text(&l, tok, out);
  assert_string_equal(out, "was, is | soup +, \\x0a -");
  sgi_label blank = {.reads = {373}, .n_reads = 1, .writes = {220}, .raises = {true}, .n_writes = 1};
  sgi_label_text(&blank, tok, out);
  assert_string_equal(out, "was | \xe2\x90\xa3 +");
  for (int32_t id = 0; id < 50257; id++) {
    sgi_label any = {.reads = {id, id, id}, .n_reads = 3, .writes = {id, id}, .n_writes = 2};
    sgi_label_text(&any, tok, out);
    assert_true(memchr(out, 0, sizeof out) && strlen(out) > 0);
    for (const char *p = out; *p; p++) assert_true((unsigned char)*p >= ' ' && *p != 0x7f);
  }
  sgi_label_text(&l, NULL, out);
  assert_string_equal(out, "#373, #318 | #17141 +, #198 -");
  sg_tokenizer_free(tok);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(from_weights), cmocka_unit_test(refused), cmocka_unit_test(text)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
