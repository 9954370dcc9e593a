/* cmd_flops.c: what presets cost before anything is made. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "ffn/kinds.h"
#include "ffn/ffn.h"
#include "model/flops.h"
#include "model/presets.h"
#include "core/number.h"

typedef struct entry {
  char name[96];
  sgi_preset_t preset;
  size_t batch, seq_len, parameters;
  uint64_t forward, head;
} entry;

static const double default_budgets[] = {1e17, 1e18, 1e19};

static sg_status fill(entry *e, sg_error *err) {
  sg_status st = sg_config_flops(&e->preset.config, e->seq_len, &e->forward, err);
  if (!st) st = sgi_config_head_flops(&e->preset.config, e->seq_len, &e->head, err);
  return st ? st : sgi_config_parameters(&e->preset.config, &e->parameters, err);
}

static json_t *steps_json(const entry *e, double budget) {
  uint64_t steps;
  if (sgi_budget_steps(budget, e->forward, e->batch, &steps, NULL)) return json_null();
  return json_pack("{s:o, s:o, s:o}", "n_steps", cli_json_count(steps), "n_tokens",
                   cli_json_count((unsigned __int128)steps * e->batch * e->seq_len), "n_flops",
                   cli_json_count((unsigned __int128)3 * e->forward * e->batch * steps));
}

static json_t *entry_json(const entry *e, const double *budgets, size_t n) {
  const sg_config *c = &e->preset.config;
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

static void row(cli_table *t, const entry *e, const double *budgets, size_t n) {
  const sg_config *c = &e->preset.config;
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
    if (sgi_budget_steps(budgets[i], e->forward, e->batch, &steps, NULL))
      cli_cell(t, "-");
    else
      cli_cell(t, "%" PRIu64, steps);
  }
}

/* "slimpajama;3" of kind mlp is named slimpajama;mlp;3, as in the paper's code. */
static void name_of(entry *e, const char *preset, const char *kind) {
  const char *scale = strpbrk(preset, ";:");
  snprintf(e->name, sizeof e->name, "%.*s;%s%s%s", scale ? (int)(scale - preset) : (int)strlen(preset), preset, kind,
           scale ? ";" : "", scale ? scale + 1 : "");
}

typedef struct sink {
  json_t *list;
  cli_table *table;
  const double *budgets;
  size_t n;
} sink;

static sg_status add(sink *s, entry *e, sg_error *err) {
  sg_status st = fill(e, err);
  if (st) return st;
  if (s->list)
    json_array_append_new(s->list, entry_json(e, s->budgets, s->n));
  else
    row(s->table, e, s->budgets, s->n);
  return SG_OK;
}

static sg_status presets(const cli_call *c, sink *s, const char *const *kinds, size_t n_kinds, sg_error *err) {
  size_t n_names;
  const char *const *names = cli_list(c, "preset", &n_names);
  sg_status st = SG_OK;
  for (size_t i = 0; !st && (n_names ? i < n_names : sgi_preset_name(i) != NULL); i++) {
    const char *name = n_names ? names[i] : sgi_preset_name(i);
    for (size_t k = 0; !st && (n_kinds ? k < n_kinds : sg_feedforward_name(k) != NULL); k++) {
      const char *kind = n_kinds ? kinds[k] : sg_feedforward_name(k);
      entry e = {0};
      st = sgi_preset(name, kind, &e.preset, err);
      if (st) break;
      name_of(&e, name, kind);
      e.batch = e.preset.batch_size;
      e.seq_len = e.preset.seq_len;
      st = add(s, &e, err);
    }
  }
  return st;
}

static bool is_sparse(const char *kind) { return (sgi_ffn_find(kind, NULL)->uses & SGI_USES_ROUTER) != 0; }

static sg_status isoflop(sink *s, const char *const *kinds, size_t n_kinds, sg_error *err) {
  const sgi_isoflop *f;
  sg_status st = SG_OK;
  for (size_t i = 0; !st && (f = sgi_isoflop_at(i)); i++)
    for (int scale = f->first_scale; !st && scale <= f->last_scale; scale++)
      for (size_t k = 0; !st && (n_kinds ? k < n_kinds : sg_feedforward_name(k) != NULL); k++) {
        const char *kind = n_kinds ? kinds[k] : sg_feedforward_name(k);
        char preset[32];
        entry e = {.batch = f->batch_size, .seq_len = f->seq_len};
        snprintf(preset, sizeof preset, "slimpajama;%d", scale);
        st = sgi_preset(preset, kind, &e.preset, err);
        if (st || (scale < f->first_scale_dense && !is_sparse(kind))) continue;
        snprintf(e.name, sizeof e.name, "isoflop;%s;%d", kind, scale);
        s->budgets = &f->budget;
        s->n = 1;
        st = add(s, &e, err);
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
  sg_status st = sweep ? isoflop(&s, kinds, n_kinds, &err) : presets(c, &s, kinds, n_kinds, &err);
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
     .help = "feedforward layer, one of" SGI_KIND_WORDS},
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
