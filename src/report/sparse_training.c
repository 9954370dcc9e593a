#include <string.h>

#include "compare/sparse_train.h"
#include "sparse.h"

typedef struct job {
  const sgi_sparse_training *t;
  sgi_sparse_train_request r;
  size_t *layers; /* own list, where all are meant */
  sgi_sparse_trainer *trainer;
} job;

/* Place of a word in a list; SG_ERR_ARG where it is none. */
static sg_status word_in(const char *const *words, size_t n, const char *word, const char *what, size_t *out,
                         sg_error *err) {
  for (*out = 0; *out < n; ++*out)
    if (!strcmp(words[*out], word)) return SG_OK;
  return sgi_fail(err, SG_ERR_ARG, "\"%.40s\" is no %s of sparse MLPs", word, what);
}

static sg_status read_form(const sgi_sparse_training *t, sgi_sparse_form *f, sg_error *err) {
  size_t activation, decoder;
  sg_status st =
      word_in(sgi_sparse_activations, SGI_SPARSE_JUMPRELU + 1, t->activation, "activation", &activation, err);
  if (!st) st = word_in(sgi_sparse_decoders, SGI_DECODER_FREE + 1, t->decoder, "decoder", &decoder, err);
  if (st) return st;
  *f = (sgi_sparse_form){.features = t->features,
                         .activation = (sgi_sparse_activation)activation,
                         .decoder = (sgi_sparse_decoder)decoder,
                         .top_k = t->top_k,
                         .lambda = t->lambda,
                         .frozen = t->frozen_encoder,
                         .mse_norm = t->mse_norm};
  return SG_OK;
}

/* All layers that have the site. */
static sg_status find_layers(job *j, sg_error *err) {
  size_t L = sg_model_config(j->t->model)->num_layers;
  j->layers = sgi_alloc(L * sizeof *j->layers);
  if (!j->layers) return sgi_fail_memory(err, L * sizeof *j->layers, "a list of layers");
  j->r.layers = j->layers;
  sgi_sparse_place place;
  for (size_t l = 0; l < L; l++)
    if (!sgi_sparse_place_of(j->t->model, j->r.site, l, &place, NULL)) j->layers[j->r.n_layers++] = l;
  return j->r.n_layers ? SG_OK : sgi_sparse_place_of(j->t->model, j->r.site, 0, &place, err); /* why not */
}

static bool progress(void *user, const sgi_sparse_train_progress *p) {
  const sgi_sparse_training *t = ((const job *)user)->t;
  return !t->progress || t->progress(t->user, p->what, p->step, p->steps, p->mse, p->l0);
}

static sg_status prepare(job *j, sg_error *err) {
  const sgi_sparse_training *t = j->t;
  j->r = (sgi_sparse_train_request){.model = t->model,
                                    .model_path = t->model_path,
                                    .data_path = t->data_path,
                                    .corpus = t->corpus,
                                    .site = sgi_sparse_site_find(t->site),
                                    .layers = t->layers,
                                    .n_layers = t->layers ? t->n_layers : 0,
                                    .seq_len = t->seq_len,
                                    .batch = t->batch,
                                    .buffer = t->buffer,
                                    .steps = t->steps,
                                    .lr = t->learning_rate,
                                    .decay = t->weight_decay,
                                    .dead_window = t->dead_window,
                                    .resample = t->resample,
                                    .seed = t->seed,
                                    .checkpoint_every = t->checkpoint_every,
                                    .max_bytes = t->max_bytes,
                                    .directory = t->directory,
                                    .resume = t->resume,
                                    .progress = progress,
                                    .user = j};
  if (j->r.site == SGI_PLACES) return sgi_fail(err, SG_ERR_ARG, "\"%.40s\" is no place of sparse MLPs", t->site);
  if (t->sae && j->r.site == SGI_PLACE_MLP) j->r.site = SGI_PLACE_MLP_OUT;
  sg_status st = read_form(t, &j->r.form, err);
  if (!st && !t->layers) st = find_layers(j, err);
  return st ? st : sgi_sparse_trainer_create(&j->r, &j->trainer, err);
}

sg_status sgi_sparse_train_report(const sgi_sparse_training *t, uint64_t *done, json_t **out, sg_error *err) {
  job j = {.t = t};
  *out = NULL;
  *done = 0;
  sg_status st = prepare(&j, err);
  if (!st) {
    if (t->begun) t->begun(t->user, sgi_sparse_trainer_done(j.trainer));
    st = sgi_sparse_train(j.trainer, out, err);
    *done = sgi_sparse_trainer_done(j.trainer);
  }
  sgi_sparse_trainer_free(j.trainer);
  sgi_free(j.layers);
  return st;
}
