/* cmd_info.c: what a model is made of. */
#include <string.h>

#include "model.h"
#include "report/sizes.h"

static const char *shape(char out[128], const char *first, const size_t *dims, int n) {
  int at = snprintf(out, 128, "[%s", first);
  for (int i = 0; i < n; i++) at += snprintf(out + at, 128 - (size_t)at, "%s%zu", i || *first ? ", " : "", dims[i]);
  snprintf(out + at, 128 - (size_t)at, "]");
  return out;
}

static json_t *dims_json(const size_t *dims, int n) {
  json_t *a = json_array();
  for (int i = 0; i < n; i++) json_array_append_new(a, json_integer((json_int_t)dims[i]));
  return a;
}

/* ---- sites ----------------------------------------------------------------------------------- */

/* A prompt of one token: as many sources. */
static void lengths(const sg_site_info *s, size_t dims[2]) {
  for (int k = 1; k < s->n_dims; k++) dims[k - 1] = s->dims[k] ? s->dims[k] : 1;
}

static sg_status sites_json(const sg_model *m, json_t *o, sg_error *err) {
  sg_site_list *sites;
  sg_status st = sg_site_list_create(m, &sites, err);
  json_t *list = json_array();
  for (size_t i = 0; !st && i < sg_site_list_count(sites); i++) {
    sg_site_info s = sg_site_list_at(sites, i);
    size_t dims[2];
    lengths(&s, dims);
    json_t *axes = json_array();
    for (int k = 1; k < s.n_dims; k++) json_array_append_new(axes, json_string(s.axes[k]));
    json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:b, s:o, s:o}", "name", s.name, "what", s.what, "type",
                                          s.index ? "int32" : "float32", "on_demand", s.on_demand, "axes", axes,
                                          "shape", dims_json(dims, s.n_dims - 1)));
  }
  sg_site_list_free(sites);
  json_object_set_new(o, "sites", list);
  return st;
}

/* ---- output ---------------------------------------------------------------------------------- */

static json_t *config_json(const sg_config *c) {
  json_t *o = json_pack(
      "{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "feedforward", c->feedforward, "router",
      c->router, "activation", c->activation, "num_neurons", (json_int_t)c->num_neurons, "num_channels",
      (json_int_t)c->num_channels, "top_k", (json_int_t)c->top_k, "key_dim", (json_int_t)c->key_dim, "hidden_size",
      (json_int_t)c->hidden_size, "head_dim", (json_int_t)c->head_dim, "num_attention_heads", (json_int_t)c->num_heads,
      "num_hidden_layers", (json_int_t)c->num_layers, "vocab_size", (json_int_t)c->vocab_size, "max_position",
      (json_int_t)c->max_position, "bos_id", (json_int_t)c->bos_id);
  const sg_options *x = &c->options;
  if (*c->attention_sink) json_object_set_new(o, "attention_sink", json_string(c->attention_sink));
  if (x->sink_mlp) json_object_set_new(o, "sink_mlp", json_integer((json_int_t)x->sink_mlp));
  if (x->always_on) json_object_set_new(o, "always_on", json_integer((json_int_t)x->always_on));
  if (x->always_on) json_object_set_new(o, "always_on_activation", json_string(x->always_on_activation));
  if (x->meta_experts)
    json_object_set_new(o, "meta",
                        json_pack("{s:I, s:I, s:s, s:I, s:I}", "experts", (json_int_t)x->meta_experts, "top_k",
                                  (json_int_t)x->meta_top_k, "choice", x->meta_choice, "prefix",
                                  (json_int_t)x->meta_prefix, "group", (json_int_t)x->meta_group));
  if (!*c->decomposition) return o;
  json_object_set_new(o, "decomposition", json_string(c->decomposition));
  json_object_set_new(o, "num_experts", json_integer((json_int_t)c->num_experts));
  json_object_set_new(o, "expert_dim", json_integer((json_int_t)c->expert_dim));
  json_object_set_new(o, "router_group", json_integer((json_int_t)(c->router_group ? c->router_group : 1)));
  return o;
}

/* What the model's tensors are stored as, together: scales count as bytes. */
typedef struct stored_type {
  const char *name;
  size_t tensors, count, bytes;
} stored_type;
enum { MOST_TYPES = 8 };

static size_t stored_types(const sg_model *m, stored_type list[MOST_TYPES]) {
  size_t n = 0;
  for (size_t i = 0; i < sg_model_tensor_count(m); i++) {
    sg_tensor t = sg_model_tensor(m, i);
    size_t at = 0;
    while (at < n && strcmp(list[at].name, t.type)) at++;
    if (at == n) list[n++] = (stored_type){.name = t.type};
    list[at].tensors++;
    list[at].count += t.count;
    list[at].bytes += t.bytes;
  }
  return n;
}

static json_t *types_json(const sg_model *m) {
  stored_type list[MOST_TYPES];
  json_t *o = json_object();
  for (size_t i = 0, n = stored_types(m, list); i < n; i++)
    json_object_set_new(o, list[i].name,
                        json_pack("{s:I, s:I, s:I}", "tensors", (json_int_t)list[i].tensors, "parameters",
                                  (json_int_t)list[i].count, "bytes", (json_int_t)list[i].bytes));
  return o;
}

static sg_status print_json(const cli_call *call, const cli_model *m, uint64_t flops, int *code, sg_error *err) {
  size_t parts[SGI_PARTS_OF];
  sgi_parameters_by_part(m->model, parts);
  json_t *by_part = json_object(), *o = config_json(sg_model_config(m->model));
  for (size_t i = 0; i < SGI_PARTS_OF; i++)
    json_object_set_new(by_part, sgi_part_of_name((sgi_part_of)i), json_integer((json_int_t)parts[i]));
  json_object_set_new(o, "model", json_string(m->directory));
  json_object_set_new(o, "parameters", json_integer((json_int_t)sg_model_parameter_count(m->model)));
  json_object_set_new(o, "parameters_by_part", by_part);
  json_object_set_new(o, "weight_types", json_string(sgi_model_file_types(m->model)));
  json_object_set_new(o, "weights_by_type", types_json(m->model));
  json_object_set_new(o, "weight_files", json_integer((json_int_t)sgi_model_files(m->model)));
  json_object_set_new(o, "flops_per_sequence", json_integer((json_int_t)flops));
  sg_status st = SG_OK;
  if (cli_flag(call, "tensors")) {
    json_t *list = json_array();
    for (size_t i = 0; i < sg_model_tensor_count(m->model); i++) {
      sg_tensor t = sg_model_tensor(m->model, i);
      json_array_append_new(list, json_pack("{s:s, s:o, s:I, s:b, s:s, s:I}", "name", t.name, "shape",
                                            dims_json(t.dims, t.n_dims), "count", (json_int_t)t.count, "decay", t.decay,
                                            "type", t.type, "bytes", (json_int_t)t.bytes));
    }
    json_object_set_new(o, "tensors", list);
  }
  if (cli_flag(call, "sites")) st = sites_json(m->model, o, err);
  if (st)
    json_decref(o);
  else
    *code = cli_json(o);
  return st;
}

static void row(cli_table *t, const char *name, size_t value) {
  if (!value) return;
  cli_cell(t, "%s", name), cli_cell(t, "%zu", value);
}

static void print_sizes(const cli_model *m, uint64_t flops) {
  const sg_config *c = sg_model_config(m->model);
  size_t parts[SGI_PARTS_OF];
  sgi_parameters_by_part(m->model, parts);
  cli_table *t = cli_table_begin("ll");
  cli_cell(t, "what"), cli_cell(t, "value");
  cli_cell(t, "model"), cli_cell(t, "%s", m->directory);
  cli_cell(t, "feedforward"), cli_cell(t, "%s", c->feedforward);
  if (*c->router) cli_cell(t, "router"), cli_cell(t, "%s", c->router);
  cli_cell(t, "activation"), cli_cell(t, "%s", c->activation);
  row(t, "num_neurons", c->num_neurons);
  row(t, "num_channels", c->num_channels);
  row(t, "top_k", c->top_k);
  row(t, "key_dim", c->key_dim);
  if (*c->decomposition) cli_cell(t, "decomposition"), cli_cell(t, "%s", c->decomposition);
  row(t, "num_experts", c->num_experts);
  row(t, "expert_dim", c->expert_dim);
  row(t, "router_group", c->router_group);
  row(t, "sink_mlp.width", c->options.sink_mlp);
  row(t, "always_on.neurons", c->options.always_on);
  if (c->options.always_on) cli_cell(t, "always_on.activation"), cli_cell(t, "%s", c->options.always_on_activation);
  if (*c->attention_sink) cli_cell(t, "attention_sink"), cli_cell(t, "%s", c->attention_sink);
  if (c->options.meta_experts) {
    cli_cell(t, "metarouter");
    cli_cell(t, "%zu of %zu pools by %s", c->options.meta_top_k, c->options.meta_experts, c->options.meta_choice);
  }
  row(t, "hidden_size", c->hidden_size);
  row(t, "head_dim", c->head_dim);
  row(t, "num_attention_heads", c->num_heads);
  row(t, "num_hidden_layers", c->num_layers);
  row(t, "vocab_size", c->vocab_size);
  row(t, "max_position", c->max_position);
  size_t all = sg_model_parameter_count(m->model);
  cli_cell(t, "parameters"), cli_cell(t, "%zu", all);
  for (size_t i = 0; i < SGI_PARTS_OF; i++) {
    cli_cell(t, "  %s", sgi_part_of_name((sgi_part_of)i));
    cli_cell(t, "%zu (%.1f %%)", parts[i], 100 * (double)parts[i] / (double)all);
  }
  stored_type list[MOST_TYPES];
  size_t types = stored_types(m->model, list), files = sgi_model_files(m->model);
  for (size_t i = 0; i < types; i++) {
    cli_cell(t, "weights, %s", list[i].name);
    cli_cell(t, "%zu bytes, %zu tensors, %.2f bits a weight", list[i].bytes, list[i].tensors,
             8 * (double)list[i].bytes / (double)list[i].count);
  }
  cli_cell(t, "files"), cli_cell(t, "%zu (%s)", files, sgi_model_file_types(m->model));
  cli_cell(t, "FLOPs of a sequence"), cli_cell(t, "%s", cli_count((double)flops).s);
  cli_table_end(t);
}

static void print_tensors(const sg_model *m) {
  cli_table *t = cli_table_begin("lrrlrl");
  cli_cell(t, "tensor"), cli_cell(t, "shape"), cli_cell(t, "count"), cli_cell(t, "type"), cli_cell(t, "bytes");
  cli_cell(t, "weight decay");
  for (size_t i = 0; i < sg_model_tensor_count(m); i++) {
    sg_tensor x = sg_model_tensor(m, i);
    char text[128];
    cli_cell(t, "%s", x.name), cli_cell(t, "%s", shape(text, "", x.dims, x.n_dims)), cli_cell(t, "%zu", x.count);
    cli_cell(t, "%s", x.type), cli_cell(t, "%zu", x.bytes);
    cli_cell(t, "%s", x.decay ? "yes" : "no");
  }
  cli_table_end(t);
}

static sg_status print_sites(const sg_model *m, sg_error *err) {
  sg_site_list *sites;
  sg_status st = sg_site_list_create(m, &sites, err);
  cli_table *t = cli_table_begin("lllll");
  cli_cell(t, "site"), cli_cell(t, "shape"), cli_cell(t, "axes"), cli_cell(t, "type"), cli_cell(t, "what it is");
  for (size_t i = 0; !st && i < sg_site_list_count(sites); i++) {
    sg_site_info s = sg_site_list_at(sites, i);
    char axes[32] = "n", text[128];
    size_t dims[2];
    lengths(&s, dims);
    for (int k = 1, n = 1; k < s.n_dims; k++) n += snprintf(axes + n, sizeof axes - (size_t)n, ", %s", s.axes[k]);
    cli_cell(t, "%s", s.name), cli_cell(t, "%s", shape(text, "n", dims, s.n_dims - 1));
    cli_cell(t, "%s", axes), cli_cell(t, "%s", s.index ? "int32" : "float32");
    cli_cell(t, "%s%s", s.what, s.on_demand ? "; on demand" : "");
  }
  cli_table_end(t);
  sg_site_list_free(sites);
  return st;
}

static int run(const cli_call *c) {
  sg_error err = {0};
  cli_model m;
  uint64_t flops = 0;
  int code = 0;
  sg_status st = cli_model_open(c, CLI_WITHOUT_TOKENIZER, &m, &err);
  if (!st) st = sg_config_flops(sg_model_config(m.model), sg_model_config(m.model)->max_position, &flops, &err);
  if (!st && cli_flag(c, "json")) {
    st = print_json(c, &m, flops, &code, &err);
  } else if (!st) {
    bool tensors = cli_flag(c, "tensors"), listed = cli_flag(c, "sites");
    if (!tensors && !listed) print_sizes(&m, flops);
    if (tensors) print_tensors(m.model);
    if (tensors && listed) putchar('\n');
    if (listed) st = print_sites(m.model, &err);
  }
  cli_model_close(&m);
  return st ? cli_fail(&err) : code;
}

static const cli_option options[] = {
    {.name = "tensors",
     .type = CLI_FLAG,
     .help = "list the tensors instead: name, shape, count, type, bytes, whether weight decay applies"},
    {.name = "sites", .type = CLI_FLAG, .help = "list the sites of a forward pass instead: what trace --only can name"},
    CLI_CHECKPOINT_OPTION,
    CLI_JSON_OPTION,
    CLI_END};

const cli_command cli_info = {
    .name = "info",
    .group = "Reading",
    .summary = "sizes, parameters, tensors and activation sites of a model",
    .usage = "MODEL [--tensors] [--sites]",
    .examples =
        "# sizes, and where the parameters are\nsgatlin info RUN\n# every activation that can be looked at\nsgatlin "
        "info RUN --sites\n"
        "# all of it for a script\nsgatlin info MODEL --tensors --sites --json",
    .description =
        "MODEL is a model directory or the directory of a training run. Shapes of sites begin with n, the number of "
        "tokens. "
        "FLOPs are of the forward pass of one sequence of max_position tokens without the output head.\n\n"
        "--json keys: model, the sizes, parameters, parameters_by_part (embedding, attention, feedforward, norms), "
        "flops_per_sequence; with --tensors tensors (name, shape, count, decay), with --sites sites (name, what, type, "
        "on_demand, and without n axes and shape).",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
