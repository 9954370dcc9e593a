/* routes_model.c: the model itself and the run that made it. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api.h"
#include "core/json.h"
#include "report/feature.h"
#include "report/sizes.h"
#include "version.h"

static json_t *recording_json(const sgi_record_reader *r) {
  if (!r) return json_null();
  json_t *layers = json_array();
  for (size_t i = 0; i < r->info.n_layers; i++)
    json_array_append_new(layers, json_integer((json_int_t)r->info.layers[i]));
  return json_pack("{sI sI so sI}", "positions", (json_int_t)r->info.n_positions, "documents",
                   (json_int_t)r->info.n_documents, "layers", layers, "channels",
                   (json_int_t)sgi_record_reader_channels(r));
}

/* Why the map has no topics; null where it has. */
static json_t *no_topics(const explorer *e) {
  if (!e->recording || (e->worlds && e->worlds->topic_of)) return json_null();
  if (!e->worlds)
    return json_string("topics of documents and categories of words come from a directory given with --worlds");
  return json_sprintf(
      "topics.jsonl of --worlds has no line of the split \"%s\", which is what the recorded text is called",
      e->worlds->split);
}

static json_t *model_json(const api_call *c, const sg_model *m, const char *name) {
  if (!m) return json_null();
  const sg_config *k = sg_model_config(m);
  sgi_sizes most = sgi_largest_sizes(m); /* layers may differ */
  return json_pack("{ss ss ss ss sI sI sI sI sI sI sI sI sI so}", "name", name, "feedforward", k->feedforward, "router",
                   k->router, "activation", k->activation, "layers", (json_int_t)k->num_layers, "heads",
                   (json_int_t)k->num_heads, "width", (json_int_t)k->hidden_size, "vocabulary",
                   (json_int_t)k->vocab_size, "neurons", (json_int_t)most.neurons, "channels",
                   (json_int_t)(most.chooses ? most.channels : 0), "top_k", (json_int_t)k->top_k, "max_position",
                   (json_int_t)k->max_position, "parameters", (json_int_t)sg_model_parameter_count(m), "bos",
                   sgi_token_json(&c->p, k->bos_id));
}

static json_t *beside_json(const api_call *c) {
  const explorer *e = c->e;
  if (!e->beside.model) return json_null();
  return json_pack("{so so}", "model", model_json(c, e->beside.model, e->beside.name), "sparse",
                   sgi_sparse_json(e->beside.sparse.set, e->beside.sparse.name));
}

sg_status api_info(api_call *c, json_t **answer, sg_error *err) {
  *answer = json_pack("{ss ss sI sb sb sb sb ss? ss? ss? so so sb sO? so so so}", "version", SGI_VERSION, "commit",
                      SGI_COMMIT, "max_tokens", (json_int_t)api_most_tokens(c), "tokenizer", c->p.tokenizer != NULL,
                      "run", c->e->metrics != NULL, "worlds", c->e->worlds != NULL, "facts", c->e->facts != NULL,
                      "file", c->e->graph ? c->e->graph->name : NULL, "study", c->e->study ? c->e->name : NULL, "data",
                      c->e->data ? c->e->data->name : NULL, "recording", recording_json(c->e->recording), "no_topics",
                      no_topics(c->e), "names", c->p.model != NULL, "examples", c->e->examples, "model",
                      model_json(c, c->p.model, c->e->name), "sparse",
                      sgi_sparse_json(c->e->sparse.set, c->e->sparse.name), "beside", beside_json(c));
  if (*answer && !c->e->examples && json_object_set_new(*answer, "examples", json_array())) {
    json_decref(*answer);
    *answer = NULL;
  }
  return *answer ? SG_OK : sgi_fail(err, SG_ERR_MEMORY, "out of memory");
}

sg_status api_file(api_call *c, json_t **answer, sg_error *err) {
  sg_status st = SG_OK;
  if (!c->e->graph)
    st = sgi_fail(err, SG_ERR_ARG, "no graph was opened: start the explorer with a graph's file in place of a model");
  if (!st && !(*answer = json_pack("{ss sO}", "name", c->e->graph->name, "file", c->e->graph->file)))
    st = sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  return st;
}

static sg_status has_study(const api_call *c, sg_error *err) {
  if (c->e->study) return SG_OK;
  return sgi_fail(err, SG_ERR_ARG,
                  "no study was opened: start the explorer with its directory (sgatlin explore STUDY)");
}

/* Its errors name paths. */
static sg_status say_unread(const api_call *c, sg_status st, const sg_error *why, sg_error *err) {
  if (!st) return SG_OK;
  if (st == SG_ERR_MEMORY) return sgi_fail(err, st, "out of memory");
  if (st == SG_ERR_CANCELLED) return sgi_fail(err, st, "%s", why->text);
  if (c->e->warn) c->e->warn(why->text);
  return sgi_fail(err, st, "the study can not be read; the terminal says why");
}

sg_status api_study(api_call *c, json_t **answer, sg_error *err) {
  sg_error why = {0};
  sg_status st = has_study(c, err);
  if (st) return st;
  return say_unread(c, sgi_study_view_look(c->e->study, api_size(c->body, "since"), answer, &why), &why, err);
}

static bool resampling(void *user, double part) {
  const api_call *c = user;
  http_job_progress(c->job, part, "resampling seeds and documents");
  return !http_job_cancelled(c->job);
}

sg_status api_factors(api_call *c, json_t **answer, sg_error *err) {
  sg_error why = {0};
  sg_status st = has_study(c, err);
  if (st) return st;
  return say_unread(c, sgi_study_view_factors(c->e->study, resampling, c, answer, &why), &why, err);
}

/* ---- metrics --------------------------------------------------------------------------------- */

enum { METRICS_PART = 256 << 10 };

/* Up to METRICS_PART bytes of the file from offset; *size is the file's length. */
static sg_status read_part(const char *path, size_t offset, char *buffer, size_t *n, size_t *size, sg_error *err) {
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  struct stat s;
  ssize_t got = -1;
  if (fd >= 0 && !fstat(fd, &s) && S_ISREG(s.st_mode)) {
    *size = (size_t)s.st_size;
    got = pread(fd, buffer, METRICS_PART, (off_t)offset);
  }
  if (fd >= 0) close(fd);
  *n = got > 0 ? (size_t)got : 0;
  return got >= 0 ? SG_OK : sgi_fail(err, SG_ERR_IO, "metrics.jsonl of the run could not be read");
}

/* Whole lines of the part, parsed; *used is where the first unfinished one begins. A line that is
 * no object is left out. */
static json_t *lines_of(const char *text, size_t n, size_t *used) {
  json_t *a = json_array();
  *used = 0;
  for (size_t at = 0; at < n;) {
    const char *end = memchr(text + at, '\n', n - at);
    if (!end) break;
    json_t *line = json_loadb(text + at, (size_t)(end - text) - at, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_object(line)) json_array_append(a, line);
    json_decref(line);
    at = *used = (size_t)(end - text) + 1;
  }
  return a;
}

sg_status api_metrics(api_call *c, json_t **answer, sg_error *err) {
  size_t from = api_size(c->body, "from"), n = 0, size = 0, used = 0;
  if (!c->e->metrics) return sgi_fail(err, SG_ERR_ARG, "this model was not opened from a run: it has no curves");
  char *buffer = sgi_alloc(METRICS_PART);
  if (!buffer) return sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  sg_status st = read_part(c->e->metrics, from, buffer, &n, &size, err);
  json_t *lines = st ? NULL : lines_of(buffer, n, &used);
  sgi_free(buffer);
  if (st) return st;
  /* A line longer than a part would hold the reader up for ever. */
  if (!used && n == METRICS_PART) used = n;
  *answer =
      json_pack("{so sI sb}", "lines", lines, "next", (json_int_t)(from + used), "more", used && from + used < size);
  return *answer ? SG_OK : sgi_fail(err, SG_ERR_MEMORY, "out of memory");
}
