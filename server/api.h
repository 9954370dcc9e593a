/* api.h: the explorer's calls: one path, one library call, one answer (docs/http.md). */
#ifndef SGS_API_H
#define SGS_API_H

#include "report/neurons.h"
#include "report/prompt.h"
#include "report/documents.h"
#include "report/functions.h"
#include "report/known_world.h"
#include "report/recorded.h"
#include "report/sizes.h"
#include "report/study_live.h"
#include "report/word.h"
#include "http.h"
#include "opened.h"

enum { API_TOKENS = 512 }; /* of a prompt, or as many as the model was made for (api_most_tokens), unless `beyond` */

/* Transcoders of a model's feedforward layers; set NULL: none. */
typedef struct api_sparse {
  struct sgi_sparse_set *set;
  char *name; /* for the page; no path */
} api_sparse;

/* What `sgatlin explore` serves. Read only while the server runs, names of neurons excepted. */
typedef struct explorer {
  sg_model *model;         /* NULL: a graph from a file is all there is, */
  const opened *graph;     /* then; or */
  sgi_study_view *study;   /* a study is */
  sg_tokenizer *tokenizer; /* NULL: prompts are ids */
  char *name;              /* of the model or the study, for the page; no path */
  api_sparse sparse;       /* of the model */
  struct {
    sg_model *model;
    char *name;
    api_sparse sparse;
  } beside;                       /* a second model of the same tokens; model NULL: none */
  char *metrics;                  /* path of the run's metrics.jsonl; NULL: no run */
  sgi_record_reader *recording;   /* NULL: none */
  sgi_known_world *worlds;        /* NULL: none */
  sgi_doc_file *data;             /* NULL: none */
  char *facts;                    /* path of a file of facts; NULL: none */
  json_t *kept;                   /* answers that took long, by request: api_forget */
  json_t *labels;                 /* of neurons that were asked for, by "layer.channel.index": api_forget */
  sg_names *names;                /* NULL: there is no file yet */
  char *names_path;               /* where it lies, or will */
  char *no_names;                 /* why names cannot be kept; NULL: they can */
  bool names_written;             /* names is open for writing */
  sgi_functions *functions;       /* NULL: none */
  const char *author;             /* of names that the page gives */
  sgi_browser *browser;           /* the list of neurons, once it was asked for: api_forget */
  json_t *examples;               /* texts to begin with; NULL: none */
  void (*warn)(const char *text); /* told what answers do not say, as it names paths; NULL: nobody */
  bool beyond;                    /* prompts may be longer than the model was made for; then answers have a "warning" */
} explorer;

/* One call at work. */
typedef struct api_call {
  explorer *e;
  http_job *job;
  const json_t *body; /* as the document has it: schema_take */
  sgi_prompt p;       /* model, tokenizer, tokens of the request */
} api_call;

typedef sg_status (*api_answer)(api_call *c, json_t **answer, sg_error *err);

/* The handler of http_settings; user is an explorer. */
sg_status api_handle(void *user, http_job *job, json_t **answer, sg_error *err);

/* ---- fields of a request: as openapi.json says, its defaults filled in; what it can not say, as
 * it depends on the model or on other fields, is looked at here -- */

/* A whole number; 0 where absent. */
size_t api_size(const json_t *o, const char *key);
/* The same for an array of so much room: no more than that, whatever the document allows. */
size_t api_within(const json_t *o, const char *key, size_t room);
double api_real(const json_t *o, const char *key);
bool api_flag(const json_t *o, const char *key);
/* Borrowed; NULL where absent. */
const char *api_text(const json_t *o, const char *key);
bool api_has(const json_t *o, const char *key);
/* A whole number below limit; -1 where absent. */
sg_status api_below(const json_t *o, const char *key, size_t limit, ptrdiff_t *out, sg_error *err);
/* A token by its text or "id:N"; fallback where absent. */
sg_status api_token(const api_call *c, const char *key, int32_t fallback, int32_t *out, sg_error *err);
/* st; the key is put in front of what is wrong with its value, so that a page can show it under
 * its field. */
sg_status api_of_field(const char *key, sg_status st, sg_error *err);
/* A token, word or phrase by its text or "id:N,N", as it follows the position; none where absent.
 * sgi_word_free in any case. */
sg_status api_word(const api_call *c, const char *key, size_t position, sgi_word *out, sg_error *err);
/* "edits" that scale neurons, and "steer", a direction; may_lack: neither has to be there. Free in
 * any case. */
enum { API_EDITS = 64, API_EDIT_TEXT = 160 };
typedef struct api_edits {
  char (*texts)[API_EDIT_TEXT]; /* (count) */
  sg_edit *edits;               /* (count) */
  size_t count;
} api_edits;
sg_status api_take_edits(const api_call *c, bool may_lack, api_edits *out, sg_error *err);
void api_edits_free(api_edits *e);
/* Channels that neurons beside a kind have behind its own, and the most neurons of any channel. */
static inline size_t api_beside_channels(const sgi_sizes *most) { return most->beside ? 2 : 0; }
static inline size_t api_most_neurons(const sgi_sizes *most) {
  return most->beside > most->neurons ? most->beside : most->neurons;
}
/* "layer", "channel" and "index" of a neuron of the model; 0 where absent. */
sg_status api_unit(const api_call *c, size_t *layer, size_t *channel, size_t *index, sg_error *err);
/* "layer" of the recording; the last recorded one where absent. */
sg_status api_slot(const api_call *c, size_t *slot, sg_error *err);
/* The answer to this very request, kept from before: new reference, or NULL. The last few are
 * kept. */
json_t *api_kept(const api_call *c);
void api_keep(const api_call *c, json_t *answer);
void api_forget(explorer *e);
/* "beside": the call is about the second model from then on. */
sg_status api_beside(api_call *c, sg_error *err);
/* Transcoders of the model that the call is about, or NULL where they are not wanted; SG_ERR_ARG
 * where there are none. */
sg_status api_features(const api_call *c, bool wanted, const struct sgi_sparse_set **out, sg_error *err);
/* text or ids, and bos, into c->p. */
sg_status api_prompt(api_call *c, sg_error *err);
/* Tokens of the longest prompt, begin token and all. */
size_t api_most_tokens(const api_call *c);
/* "position" of that prompt; the last where absent. */
sg_status api_position(const api_call *c, size_t *out, sg_error *err);
/* The same of another key. */
sg_status api_place_at(const api_call *c, const char *key, size_t *out, sg_error *err);

/* The forward pass of that prompt, which tells how far it is and ends when the client hangs up.
 * sg_run_free. */
sg_status api_run(const api_call *c, const char *const *record, size_t n_record, const sg_edit *edits, size_t n_edits,
                  sg_run **out, sg_error *err);

/* ---- routes ---------------------------------------------------------------------------------- */
sg_status api_info(api_call *c, json_t **answer, sg_error *err);
sg_status api_file(api_call *c, json_t **answer, sg_error *err);
sg_status api_neuron(api_call *c, json_t **answer, sg_error *err);
sg_status api_activation(api_call *c, json_t **answer, sg_error *err);
sg_status api_study(api_call *c, json_t **answer, sg_error *err);
sg_status api_factors(api_call *c, json_t **answer, sg_error *err);
sg_status api_metrics(api_call *c, json_t **answer, sg_error *err);
sg_status api_predict(api_call *c, json_t **answer, sg_error *err);
sg_status api_margins(api_call *c, json_t **answer, sg_error *err);
sg_status api_attribute(api_call *c, json_t **answer, sg_error *err);
sg_status api_minimal(api_call *c, json_t **answer, sg_error *err);
sg_status api_ablate(api_call *c, json_t **answer, sg_error *err);
sg_status api_joint(api_call *c, json_t **answer, sg_error *err);
sg_status api_attention(api_call *c, json_t **answer, sg_error *err);
sg_status api_continue(api_call *c, json_t **answer, sg_error *err);
sg_status api_generate(api_call *c, json_t **answer, sg_error *err);
sg_status api_lens(api_call *c, json_t **answer, sg_error *err);
sg_status api_neighbors(api_call *c, json_t **answer, sg_error *err);
sg_status api_together(api_call *c, json_t **answer, sg_error *err);
sg_status api_fires(api_call *c, json_t **answer, sg_error *err);
sg_status api_map(api_call *c, json_t **answer, sg_error *err);
sg_status api_locate(api_call *c, json_t **answer, sg_error *err);
sg_status api_place(api_call *c, json_t **answer, sg_error *err);
sg_status api_facts(api_call *c, json_t **answer, sg_error *err);
sg_status api_patch(api_call *c, json_t **answer, sg_error *err);
sg_status api_documents(api_call *c, json_t **answer, sg_error *err);
sg_status api_document(api_call *c, json_t **answer, sg_error *err);
sg_status api_graph(api_call *c, json_t **answer, sg_error *err);
sg_status api_labels(api_call *c, json_t **answer, sg_error *err);
sg_status api_name(api_call *c, json_t **answer, sg_error *err);
sg_status api_neurons(api_call *c, json_t **answer, sg_error *err);
sg_status api_directions(api_call *c, json_t **answer, sg_error *err);
sg_status api_recall(api_call *c, json_t **answer, sg_error *err);
sg_status api_feature(api_call *c, json_t **answer, sg_error *err);
sg_status api_scale(api_call *c, json_t **answer, sg_error *err);
sg_status api_superposition(api_call *c, json_t **answer, sg_error *err);

#endif
