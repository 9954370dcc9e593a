/* A graph as a picture: a column for each position, a row for each layer, tokens below and logits
 * above. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/arena.h"
#include "core/file.h"
#include "read/graph_story.h"

enum {
  LEFT = 60,
  TOP = 24,
  ROW = 84,
  COLUMN = 62,
  LEAST = 720,
  FIT = 16,
  STEP = 12,
  LOGIT_STEP = 15,
  STORY = 48,
  STORY_STEP = 15,
  STORY_MOST = 8
};

typedef struct svg {
  const sg_graph *g;
  const sg_graph_labels *labels;
  sgi_writer *w;
  sg_status st;
  sg_error *err;
  double *x, *y; /* (n_nodes) */
  double *at;    /* (n_tokens) left edge of a column */
  double width, height;
  size_t told; /* tokens of a word behind its first whose story is told */
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

static double story_height(const svg *s) { return STORY + STORY_STEP * (double)s->told; }

static size_t cell_of(const svg *s, const sg_node *n) { return row_of(s, n) * s->g->n_tokens + (size_t)n->position; }

/* Left edges of the columns, each as wide as its token and its longest line of nodes; where the
 * last one ends. count (cells) is left at 0. */
static double spread(svg *s, unsigned *count) {
  const sg_graph *g = s->g;
  size_t rows = g->n_layers + 2;
  for (size_t i = 0; i < g->n_nodes; i++)
    if (g->nodes[i].kind != SG_NODE_LOGIT) count[cell_of(s, &g->nodes[i])]++;
  double edge = LEFT;
  for (size_t t = 0; t < g->n_tokens; t++) {
    double width = fmax(COLUMN, 14 + 6.5 * (double)strlen(s->labels->prompt_tokens[t]));
    for (size_t r = 0; r < rows; r++)
      width = fmax(width, 16 + STEP * (double)(count[r * g->n_tokens + t] < FIT ? count[r * g->n_tokens + t] : FIT));
    s->at[t] = edge;
    edge += width;
  }
  memset(count, 0, rows * g->n_tokens * sizeof *count);
  return edge;
}

/* Nodes of one cell stand side by side, FIT to a line; logits one below the other, beside their
 * position. */
static void place(svg *s, unsigned *count) {
  const sg_graph *g = s->g;
  size_t rows = g->n_layers + 2, logits = 0;
  for (size_t i = 0; i < g->n_nodes; i++) logits += g->nodes[i].kind == SG_NODE_LOGIT;
  double top = TOP + (double)logits * LOGIT_STEP;
  double edge = spread(s, count);
  for (size_t i = 0; i < g->n_nodes; i++) {
    const sg_node *n = &g->nodes[i];
    size_t t = (size_t)n->position;
    unsigned k = count[cell_of(s, n)]++;
    s->x[i] = s->at[t] + 8 + STEP * (double)(k % FIT);
    s->y[i] = top + ROW * (double)row_of(s, n) + STEP * (double)(k / FIT);
    if (n->kind == SG_NODE_LOGIT) {
      s->x[i] = s->at[t] + 8;
      s->y[i] = TOP + LOGIT_STEP * (double)k;
    }
  }
  s->width = fmax(LEAST, edge + 110);
  size_t output = sgi_story_output(s->g);
  while (output < s->g->n_nodes && (output = sgi_story_next(s->g, output)) < s->g->n_nodes && s->told < STORY_MOST)
    s->told++;
  s->height = top + ROW * (double)(rows - 1) + 60 + story_height(s);
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
  static const char *const color[] = {"#777", "#999", "#1b7837", "#222", "#c51b7d"};
  for (size_t i = 0, logit = 0; i < g->n_nodes; i++) {
    const sg_node *n = &g->nodes[i];
    bool square = n->kind == SG_NODE_TOKEN || n->kind == SG_NODE_LOGIT;
    const char *text = n->kind == SG_NODE_LOGIT ? s->labels->logit_tokens[logit++] : "";
    PUT(s, "<g><title>");
    if (n->kind == SG_NODE_NEURON && g->features)
      PUT(s, "layer %d feature %d, position %d, value %+.3g, influence to %.3f", n->layer, n->index, n->position,
          n->value, n->cumulative);
    else if (n->kind == SG_NODE_ERROR)
      PUT(s, "what the features of layer %d miss, position %d, influence to %.3f", n->layer, n->position,
          n->cumulative);
    else if (n->kind == SG_NODE_NEURON)
      PUT(s, "layer %d channel %d neuron %d, position %d, value %+.3g, influence to %.3f", n->layer, n->channel,
          n->index, n->position, n->value, n->cumulative);
    else if (n->kind == SG_NODE_BIAS)
      PUT(s, "bias of layer %d, position %d", n->layer, n->position);
    else
      PUT(s, "%s %d, position %d", n->kind == SG_NODE_TOKEN ? "token" : "logit", n->token, n->position);
    PUT(s, "</title>");
    if (n->kind == SG_NODE_ERROR)
      PUT(s, "<path d=\"M%.1f %.1fl5 5l-5 5l-5 -5z\" fill=\"%s\"/>", s->x[i], s->y[i] - 5, color[n->kind]);
    else if (square)
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

enum { LABELS = 60 };
static const double LETTER = 5.3, SIZE = 10;

typedef struct label_box {
  double x0, x1, y; /* y: of the letters' feet */
} label_box;

/* Inside the picture, and touching no label and no node. */
static bool is_free(const svg *s, const label_box *b, const label_box *taken, size_t n) {
  bool free = b->x0 > 0 && b->x1 < s->width;
  for (size_t k = 0; k < n && free; k++)
    free = b->x1 < taken[k].x0 || b->x0 > taken[k].x1 || fabs(b->y - taken[k].y) > SIZE;
  for (size_t i = 0; i < s->g->n_nodes && free; i++)
    free = s->x[i] + 4 < b->x0 || s->x[i] - 4 > b->x1 || s->y[i] + 4 < b->y - SIZE || s->y[i] - 4 > b->y + 2;
  return free;
}

/* Labels that touch no other and no node, the most influential first, above their nodes or below,
 * near or past the next line; those that find no place are left out. */
static void draw_labels(svg *s) {
  static const double around[] = {-7, 16, -18, 27};
  const sg_graph *g = s->g;
  label_box taken[LABELS];
  size_t n = 0;
  double bound = INFINITY; /* influence of the last that was looked at */
  while (n < LABELS && s->labels->node_labels) {
    size_t best = g->n_nodes;
    for (size_t i = 0; i < g->n_nodes; i++)
      if (g->nodes[i].kind == SG_NODE_NEURON && s->labels->node_labels[i] && g->nodes[i].influence < bound &&
          (best == g->n_nodes || g->nodes[i].influence > g->nodes[best].influence))
        best = i;
    if (best == g->n_nodes) break;
    bound = g->nodes[best].influence;
    const char *text = s->labels->node_labels[best];
    double half = LETTER * (double)strlen(text) / 2;
    label_box b = {.y = 0};
    bool free = false;
    for (size_t k = 0; k < SGI_COUNT(around) && !free; k++) {
      b = (label_box){s->x[best] - half, s->x[best] + half, s->y[best] + around[k]};
      free = is_free(s, &b, taken, n);
    }
    if (!free) continue;
    taken[n++] = b;
    PUT(s,
        "<text x=\"%.1f\" y=\"%.1f\" font-size=\"10\" text-anchor=\"middle\" stroke=\"#fff\" stroke-width=\"3\" "
        "stroke-linejoin=\"round\" paint-order=\"stroke\">",
        s->x[best], b.y);
    put_text(s, text);
    PUT(s, "</text>\n");
  }
}

static void put_step(svg *s, size_t i) {
  const sg_node *n = &s->g->nodes[i];
  if (n->kind == SG_NODE_TOKEN) {
    PUT(s, "\xe2\x80\x9c");
    put_text(s, s->labels->prompt_tokens[n->position]);
    PUT(s, "\xe2\x80\x9d");
  } else if (n->kind == SG_NODE_BIAS) {
    PUT(s, "the bias of layer %d", n->layer);
  } else if (n->kind == SG_NODE_ERROR) {
    PUT(s, "what the features of layer %d miss", n->layer);
  } else {
    const char *label = s->labels->node_labels ? s->labels->node_labels[i] : NULL;
    if (label)
      put_text(s, label);
    else if (s->g->features)
      PUT(s, "feature %d", n->index);
    else
      PUT(s, "neuron %d\xc2\xb7%d", n->channel, n->index);
    PUT(s, " (layer %d at \xe2\x80\x9c", n->layer);
    put_text(s, s->labels->prompt_tokens[n->position]);
    PUT(s, "\xe2\x80\x9d)");
  }
}

/* "raised most by ... (+1.23)", into an open line; false where nothing does. */
static bool put_way(svg *s, size_t output, int sign) {
  sgi_story_path p = sgi_story_find(s->g, output, sign);
  if (!p.n) return false;
  PUT(s, "%s most by ", sign > 0 ? "raised" : "lowered");
  for (size_t i = 0; i < p.n; i++) {
    if (i) PUT(s, " \xe2\x86\x92 ");
    put_step(s, p.nodes[i]);
  }
  PUT(s, " (%+.2f)", p.weight);
  return true;
}

static void put_output(svg *s, size_t output) {
  size_t logit = 0;
  for (size_t i = 0; i < output; i++) logit += s->g->nodes[i].kind == SG_NODE_LOGIT;
  PUT(s, "<tspan font-weight=\"bold\">");
  put_text(s, s->labels->logit_tokens[logit]);
  PUT(s, " %.1f%%</tspan>", 100 * s->g->nodes[output].probability);
}

/* The strongest ways in words, as the page tells them: of a word the first token's both, and how
 * each of the others came. */
static void draw_story(svg *s, double y) {
  size_t output = sgi_story_output(s->g);
  if (output == s->g->n_nodes) return;
  PUT(s, "<text x=\"6\" y=\"%.1f\">", y);
  put_output(s, output);
  PUT(s, "</text>\n");
  for (int k = 0; k < 2; k++) {
    PUT(s, "<text x=\"6\" y=\"%.1f\">", y + STORY_STEP * (k + 1.0));
    put_way(s, output, k ? -1 : 1);
    PUT(s, "</text>\n");
  }
  for (size_t k = 0; k < s->told; k++) {
    output = sgi_story_next(s->g, output);
    PUT(s, "<text x=\"6\" y=\"%.1f\">", y + STORY_STEP * (double)(k + 3));
    put_output(s, output);
    PUT(s, " ");
    /* Nothing may raise one that hardly comes, and what leads to it may be too little to be
     * kept. */
    if (!put_way(s, output, 1) && !put_way(s, output, -1)) PUT(s, "no edge that is kept leads to it");
    PUT(s, "</text>\n");
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
  draw_labels(s);
  double bottom = s->height - 60 - story_height(s);
  draw_story(s, bottom + 42);
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
      "logits' input back to tokens",
      s->height - 10, g->n_nodes, g->all_nodes, 100 * g->node_share, 100 * g->input_share);
  if (g->features) PUT(s, "; %.1f%% of it leads back to what the features miss", 100 * g->error_share);
  PUT(s, "</text>\n</svg>\n");
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
