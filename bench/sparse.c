/* sparse.c: training of transcoders, chunk by chunk, for compare_sparse.py.
 * sparse MODEL TEXT relu|topk|jumprelu PENALTY FEATURES BATCH BUFFER SEQ: for each line on standard
 * input one chunk (its activations and its steps, all layers); answers seconds of processor time
 * and how many features act. Threads by OMP_NUM_THREADS. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compare/sparse_train.h"

static int fail(const sg_error *err) {
  fprintf(stderr, "sparse: %s\n", err->text);
  return 1;
}

int main(int argc, char **argv) {
  sg_error err = {0};
  sg_model *m;
  sg_tokenizer *tok;
  sgi_corpus *corpus;
  sgi_sparse_trainer *t;
  char path[1024], line[64];
  size_t layers[64];
  if (argc < 9)
    return fprintf(stderr, "usage: sparse MODEL TEXT relu|topk|jumprelu PENALTY FEATURES BATCH BUFFER SEQ\n"), 2;
  snprintf(path, sizeof path, "%s/tokenizer.json", argv[1]);
  if (sg_model_load(argv[1], &m, &err) || sg_tokenizer_load(path, &tok, &err)) return fail(&err);
  const sg_config *c = sg_model_config(m);
  if (sgi_corpus_open(argv[2], NULL, tok, c->eos_id, NULL, NULL, &corpus, &err)) return fail(&err);
  sgi_sparse_train_request r = {.model = m,
                                .corpus = corpus,
                                .layers = layers,
                                .n_layers = c->num_layers,
                                .form = {.features = (size_t)atoi(argv[5])},
                                .batch = (size_t)atoi(argv[6]),
                                .buffer = (size_t)atoi(argv[7]),
                                .seq_len = (size_t)atoi(argv[8]),
                                .steps = 1000000,
                                .lr = 1e-3};
  for (size_t l = 0; l < c->num_layers; l++) layers[l] = l;
  for (int a = 0; a < 3; a++)
    if (!strcmp(argv[3], sgi_sparse_activations[a])) r.form.activation = (sgi_sparse_activation)a;
  r.form.lambda = atof(argv[4]);
  r.form.top_k = r.form.activation == SGI_SPARSE_TOPK ? (size_t)atoi(argv[4]) : 0;
  /* lambda is up after 40 chunks. */
  r.steps = 20 * r.buffer * 40;
  if (sgi_sparse_trainer_create(&r, &t, &err)) return fail(&err);
  while (fgets(line, sizeof line, stdin)) {
    double began = sgi_cpu_now(), l0 = 0;
    for (size_t i = 0; i < r.buffer; i++)
      if (sgi_sparse_trainer_step(t, &err)) return fail(&err);
    began = sgi_cpu_now() - began;
    for (size_t k = 0; k < r.n_layers; k++) l0 += sgi_sparse_trainer_loss(t, k)->l0 / (double)r.n_layers;
    printf("%.6f %.3f\n", began, l0);
    fflush(stdout);
  }
  sgi_sparse_trainer_free(t);
  sgi_corpus_close(corpus);
  sg_tokenizer_free(tok);
  sg_model_free(m);
  return 0;
}
