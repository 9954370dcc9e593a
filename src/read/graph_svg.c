/* A graph as a picture: a column for each position, a row for each layer, tokens below and logits
 * above. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/arena.h"
#include "core/file.h"

enum { LEFT = 60, TOP = 24, ROW = 84, COLUMN = 74, FIT = 6, STEP = 11, LOGIT_STEP = 15 };

typedef struct svg {
  const sg_graph *g;
  const sg_graph_labels *labels;
  sgi_writer *w;
  sg_status st;
  sg_error *err;
  double *x, *y; /* (n_nodes) */
  double *at;    /* (n_tokens) left edge of a column */
  double width, height;
} svg;

#define PUT(s, ...) sgi_writer_print((s)->w, &(s)->st, (s)->err, __VA_ARGS__)

/* A label: XML's own characters escaped, others that XML forbids left out, newlines shown. */
static void put_text(svg *s, const char *text) {
  for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
    if (*c == '&')
      PUT(s, "&amp;");
    else if (*c == '<')
      PUT(s, "&lt;");
    else if (*c == '>')
      PUT(s, "&gt;");
    else if (*c == '"')
      PUT(s, "&quot;");
    else if (*c == '\n')
      PUT(s, "\xe2\x86\xb5");
    else if (*c >= 32 && *c != 127)
      PUT(s, "%c", *c);
  }
}

static size_t row_of(const svg *s, const sg_node *n) {
  if (n->kind == SG_NODE_TOKEN) return s->g->n_layers + 1;
  return s->g->n_layers - (size_t)n->layer; /* logits: 0 */
}

/* Nodes of one cell stand side by side, FIT to a line; logits one below the other, beside their
 * position. */
static void place(svg *s, unsigned *count) {
  const sg_graph *g = s->g;
  size_t rows = g->n_layers + 2, logits = 0;
  for (size_t i = 0; i < g->n_nodes; i++) logits += g->nodes[i].kind == SG_NODE_LOGIT;
  double top = TOP + (double)logits * LOGIT_STEP;
  double edge = LEFT;
  for (size_t t = 0; t < g->n_tokens; t++) {
    double text = 14 + 6.5 * (double)strlen(s->labels->prompt_tokens[t]);
    s->at[t] = edge;
    edge += text > COLUMN ? text : COLUMN;
  }
  for (size_t i = 0; i < g->n_nodes; i++) {
    const sg_node *n = &g->nodes[i];
    size_t t = (size_t)n->position, cell = row_of(s, n) * g->n_tokens + t;
    unsigned k = count[cell]++;
    s->x[i] = s->at[t] + 8 + STEP * (double)(k % FIT);
    s->y[i] = top + ROW * (double)row_of(s, n) + STEP * (double)(k / FIT);
    if (n->kind == SG_NODE_LOGIT) {
      s->x[i] = s->at[t] + 8;
      s->y[i] = TOP + LOGIT_STEP * (double)k;
    }
  }
  s->width = edge + 110;
  s->height = top + ROW * (double)(rows - 1) + 60;
}

static void draw_edges(svg *s) {
  const sg_graph *g = s->g;
  for (size_t i = g->n_edges; i-- > 0;) { /* heavy edges of a node last, on top */
    const sg_edge_link *e = &g->edges[i];
    double share = g->nodes[e->target].edges_abs > 0 ? fabs(e->weight) / g->nodes[e->target].edges_abs : 0;
    double x0 = s->x[e->source], y0 = s->y[e->source], x1 = s->x[e->target], y1 = s->y[e->target], bend = (y0 - y1) / 2;
    PUT(s,
        "<path d=\"M%.1f %.1fC%.1f %.1f %.1f %.1f %.1f %.1f\" stroke=\"%s\" stroke-width=\"%.2f\" opacity=\"%.2f\"/>\n",
        x0, y0, x0, y0 - bend, x1, y1 + bend, x1, y1, e->weight < 0 ? "#b2561f" : "#2166ac", 0.4 + 5 * share,
        0.2 + 0.6 * fmin(1, 4 * share));
  }
}

static void draw_nodes(svg *s) {
  const sg_graph *g = s->g;
  static const char *const color[] = {"#777", "#999", "#1b7837", "#222"};
  for (size_t i = 0, logit = 0; i < g->n_nodes; i++) {
    const sg_node *n = &g->nodes[i];
    bool square = n->kind == SG_NODE_TOKEN || n->kind == SG_NODE_LOGIT;
    const char *text = n->kind == SG_NODE_LOGIT ? s->labels->logit_tokens[logit++] : "";
    PUT(s, "<g><title>");
    if (n->kind == SG_NODE_NEURON)
      PUT(s, "layer %d channel %d neuron %d, position %d, value %+.3g, influence to %.3f", n->layer, n->channel,
          n->index, n->position, n->value, n->cumulative);
    else if (n->kind == SG_NODE_BIAS)
      PUT(s, "bias of layer %d, position %d", n->layer, n->position);
    else
      PUT(s, "%s %d, position %d", n->kind == SG_NODE_TOKEN ? "token" : "logit", n->token, n->position);
    PUT(s, "</title>");
    if (square)
      PUT(s, "<rect x=\"%.1f\" y=\"%.1f\" width=\"8\" height=\"8\" fill=\"%s\"/>", s->x[i] - 4, s->y[i] - 4,
          color[n->kind]);
    else
      PUT(s, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\" fill=\"%s\"/>", s->x[i], s->y[i], color[n->kind]);
    if (n->kind == SG_NODE_LOGIT) {
      PUT(s, "<text x=\"%.1f\" y=\"%.1f\">", s->x[i] + 8, s->y[i] + 4);
      put_text(s, text);
      PUT(s, " %.1f%%</text>", 100 * n->probability);
    }
    PUT(s, "</g>\n");
  }
}

static void draw(svg *s) {
  const sg_graph *g = s->g;
  PUT(s,
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" width=\"%.0f\" height=\"%.0f\" "
      "font-family=\"sans-serif\" font-size=\"11\">\n<title>Attribution graph: ",
      s->width, s->height, s->width, s->height);
  put_text(s, s->labels->prompt);
  PUT(s, "</title>\n<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n<g fill=\"none\">\n");
  draw_edges(s);
  PUT(s, "</g>\n");
  draw_nodes(s);
  double bottom = s->height - 60;
  for (size_t l = 0; l < g->n_layers; l++)
    PUT(s, "<text x=\"6\" y=\"%.1f\" fill=\"#555\">layer %zu</text>\n", bottom - ROW * (double)(l + 1) + 4, l);
  PUT(s, "<text x=\"6\" y=\"%.1f\" fill=\"#555\">tokens</text>\n", bottom + 4);
  for (size_t t = 0; t < g->n_tokens; t++) {
    PUT(s, "<text x=\"%.1f\" y=\"%.1f\">", s->at[t] + 4, bottom + 20);
    put_text(s, s->labels->prompt_tokens[t]);
    PUT(s, "</text>\n");
  }
  PUT(s,
      "<text x=\"6\" y=\"%.1f\" fill=\"#555\">%zu of %zu nodes: %.1f%% of the influence; kept paths lead %.1f%% of the "
      "logits' input back to tokens</text>\n</svg>\n",
      s->height - 10, g->n_nodes, g->all_nodes, 100 * g->node_share, 100 * g->input_share);
}

sg_status sg_graph_save_svg(const sg_graph *g, const sg_graph_labels *labels, const char *path, sg_error *err) {
  size_t cells = (g->n_layers + 2) * g->n_tokens;
  unsigned *count = sgi_alloc(cells * sizeof *count);
  double *room = sgi_alloc((2 * g->n_nodes + g->n_tokens) * sizeof *room);
  svg s = {.g = g, .labels = labels, .err = err};
  if (!count || !room) {
    s.st = sgi_fail_memory(err, cells * sizeof *count, "a picture");
  } else {
    s.x = room;
    s.y = room + g->n_nodes;
    s.at = room + 2 * g->n_nodes;
    place(&s, count);
    s.st = sgi_writer_open(path, &s.w, err);
  }
  if (!s.st) {
    draw(&s);
    if (s.st)
      sgi_writer_drop(s.w);
    else
      s.st = sgi_writer_close(s.w, err);
  }
  sgi_free(count);
  sgi_free(room);
  return s.st;
}
