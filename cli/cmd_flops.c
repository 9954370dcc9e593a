/* cmd_flops.c: what presets cost before anything is made. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "core/number.h"
#include "report/flops.h"

static const double default_budgets[] = {1e17, 1e18, 1e19};

static json_t *steps_json(const sgi_cost *e, double budget) {
  uint64_t steps;
  if (!sgi_cost_steps(e, budget, &steps)) return json_null();
  return json_pack("{s:o, s:o, s:o}", "n_steps", cli_json_count(steps), "n_tokens",
                   cli_json_count((unsigned __int128)steps * e->batch * e->seq_len), "n_flops",
                   cli_json_count((unsigned __int128)3 * e->forward * e->batch * steps));
}

static json_t *entry_json(const sgi_cost *e, const double *budgets, size_t n) {
  const sg_config *c = &e->config;
  json_t *o =
      json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I}", "name", e->name, "kind", c->feedforward, "d_model",
                (json_int_t)c->hidden_size, "d_head", (json_int_t)c->head_dim, "n_heads", (json_int_t)c->num_heads,
                "n_layers", (json_int_t)c->num_layers, "num_neurons", (json_int_t)c->num_neurons);
  json_object_set_new(o, "num_channels", cli_json_count(c->num_channels)); /* 0 where the kind has none */
  json_object_set_new(o, "top_k", cli_json_count(c->top_k));
  json_object_set_new(o, "key_dim", cli_json_count(c->key_dim));
  if (*c->decomposition) {
    json_object_set_new(o, "num_experts", cli_json_count(c->num_experts));
    json_object_set_new(o, "expert_dim", cli_json_count(c->expert_dim));
  }
  if (*c->router) json_object_set_new(o, "router", json_string(c->router));
  json_object_set_new(o, "activation", json_string(c->activation));
  json_object_set_new(o, "vocab_size", cli_json_count(c->vocab_size));
  json_object_set_new(o, "seq_len", cli_json_count(e->seq_len));
  json_object_set_new(o, "batch_size", cli_json_count(e->batch));
  json_object_set_new(o, "forward_flops_per_sequence", cli_json_count(e->forward));
  json_object_set_new(o, "head_flops_per_sequence", cli_json_count(e->head));
  json_object_set_new(o, "parameters", cli_json_count(e->parameters));
  json_t *steps = json_object();
  for (size_t i = 0; i < n; i++) {
    char key[32];
    snprintf(key, sizeof key, "%g", budgets[i]);
    char *plus = strchr(key, '+'); /* 1e+17 is written 1e17 */
    if (plus) memmove(plus, plus + 1, strlen(plus));
    json_object_set_new(steps, key, steps_json(e, budgets[i]));
  }
  json_object_set_new(o, "steps", steps);
  return o;
}

static void heading(cli_table *t, const double *budgets, size_t n) {
  static const char *const names[] = {"preset", "D", "L", "F", "C", "K", "T", "batch", "FLOPs/sequence", "parameters"};
  for (size_t i = 0; i < SGI_COUNT(names); i++) cli_cell(t, "%s", names[i]);
  for (size_t i = 0; i < n; i++) cli_cell(t, "steps at %g", budgets[i]);
}

static void row(cli_table *t, const sgi_cost *e, const double *budgets, size_t n) {
  const sg_config *c = &e->config;
  cli_cell(t, "%s", e->name);
  const size_t sizes[] = {
      c->hidden_size,  c->num_layers, c->num_experts ? c->num_experts * c->expert_dim : c->num_neurons,
      c->num_channels, c->top_k,      e->seq_len,
      e->batch};
  for (size_t i = 0; i < SGI_COUNT(sizes); i++) sizes[i] ? cli_cell(t, "%zu", sizes[i]) : cli_cell(t, "-");
  cli_cell(t, "%" PRIu64, e->forward);
  cli_cell(t, "%zu", e->parameters);
  for (size_t i = 0; i < n; i++) {
    uint64_t steps;
    if (!sgi_cost_steps(e, budgets[i], &steps))
      cli_cell(t, "-");
    else
      cli_cell(t, "%" PRIu64, steps);
  }
}

typedef struct sink {
  json_t *list;
  cli_table *table;
  const double *budgets;
  size_t n;
} sink;

static void add(void *user, const sgi_cost *e) {
  const sink *s = user;
  const double *budgets = e->budget > 0 ? &e->budget : s->budgets;
  size_t n = e->budget > 0 ? 1 : s->n;
  if (s->list)
    json_array_append_new(s->list, entry_json(e, budgets, n));
  else
    row(s->table, e, budgets, n);
}

static sg_status presets(const cli_call *c, sink *s, const char *const *kinds, size_t n_kinds, sg_error *err) {
  size_t n_names;
  const char *const *names = cli_list(c, "preset", &n_names);
  sg_status st = SG_OK;
  for (size_t i = 0; !st && (n_names ? i < n_names : sgi_cost_preset(i) != NULL); i++)
    for (size_t k = 0; !st && (n_kinds ? k < n_kinds : sg_feedforward_name(k) != NULL); k++) {
      sgi_cost e;
      st = sgi_cost_of_preset(n_names ? names[i] : sgi_cost_preset(i), n_kinds ? kinds[k] : sg_feedforward_name(k), &e,
                              err);
      if (!st) add(s, &e);
    }
  return st;
}

static int run(const cli_call *c) {
  sg_error err = {0};
  size_t n_budgets, n_kinds;
  const char *const *given = cli_list(c, "budget", &n_budgets);
  const char *const *kinds = cli_list(c, "kind", &n_kinds);
  double budgets[16];
  if (n_budgets > SGI_COUNT(budgets)) return cli_usage(c, "at most %zu budgets", SGI_COUNT(budgets));
  for (size_t i = 0; i < n_budgets; i++) {
    const char *rest;
    if (!sgi_number_real(given[i], &rest, &budgets[i]) || *rest || !(budgets[i] >= 1 && budgets[i] <= 1e30))
      return cli_usage(c, "--budget %s: expected FLOPs, such as 1e17", given[i]);
  }
  sink s = {.budgets = n_budgets ? budgets : default_budgets, .n = n_budgets ? n_budgets : SGI_COUNT(default_budgets)};
  bool sweep = cli_flag(c, "isoflop");
  if (cli_flag(c, "json")) {
    s.list = json_array();
  } else {
    char align[40] = "lrrrrrrrrr";
    size_t n = sweep ? 1 : s.n;
    memset(align + 10, 'r', n);
    align[10 + n] = 0;
    s.table = cli_table_begin(align);
    if (sweep) {
      heading(s.table, s.budgets, 0);
      cli_cell(s.table, "steps of the budget");
    } else {
      heading(s.table, s.budgets, s.n);
    }
  }
  sg_status st = sweep ? sgi_cost_isoflop(kinds, n_kinds, add, &s, &err) : presets(c, &s, kinds, n_kinds, &err);
  int code = 0;
  if (s.table) cli_table_end(s.table);
  if (st) {
    json_decref(s.list);
    return cli_fail(&err);
  }
  if (s.list) code = cli_json(s.list);
  return code;
}

static const cli_option options[] = {
    {.name = "preset",
     .letter = 'p',
     .type = CLI_LIST,
     .argument = "NAME",
     .value_text = "all",
     .help = "tinystories or slimpajama;1 to slimpajama;9"},
    {.name = "kind",
     .letter = 'k',
     .type = CLI_LIST,
     .argument = "KIND",
     .value_text = "all",
     .help = "feedforward layer, one of" CLI_KINDS},
    {.name = "budget",
     .letter = 'b',
     .type = CLI_LIST,
     .argument = "FLOPS",
     .value_text = "1e17, 1e18, 1e19",
     .help = "training FLOPs to count steps for"},
    {.name = "isoflop", .type = CLI_FLAG, .help = "the budgets, batches and scales of the paper's isoflop study"},
    CLI_JSON_OPTION,
    CLI_END};

const cli_command cli_flops = {
    .name = "flops",
    .group = "Training",
    .summary = "print FLOPs, parameters and steps per budget of the presets",
    .usage = "[--preset NAME]... [--kind KIND]... [--budget FLOPS]...",
    .examples =
        "# all presets and kinds\nsgatlin flops\n# two kinds of one preset at a budget, for a script\nsgatlin flops -p "
        "'slimpajama;2' -k sgatlin -k mlp -b 6e17 --json",
    .description =
        "FLOPs are those of matrix products, 2 per multiply-add, forward, of one sequence; the output head is not "
        "counted (in JSON "
        "it stands beside). A training step costs three times the forward pass of its batch, and a budget pays for "
        "floor(budget / step) steps.",
    .options = options,
    .run = run,
};
