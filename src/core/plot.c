/* plot.c: the frame, its round numbers, and marks in it. */
#include "core/plot.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/arena.h"
#include "core/file.h"
#include "core/json.h"

enum { WIDTH = 760, HEIGHT = 440, LEFT = 66, RIGHT = 20, LEGEND = 196, TOP = 16, TITLE = 26, BOTTOM = 48, ENTRY = 20 };
enum { PANEL_WIDTH = 320, PANEL_HEIGHT = 260, LEAST_WIDTH = 480 };

static const char *const colours[SGI_PLOT_COLOURS] = {"#1f5fa8", "#c2570c", "#2b8a57", "#8e44ad", "#b8322a", "#0c8791",
                                                      "#8f7400", "#3d4754", "#c25b9a", "#6b8e00", "#7a5230", "#5a7fd6"};
static const char *const dashes[SGI_PLOT_DASHES] = {"none", "6 3", "2 3", "8 3 2 3"};

/* One frame: the ends of its axes (logarithms on a logarithmic one) and where it lies. */
typedef struct panel {
  double x0, x1, y0, y1;
  bool log_x, log_y;
  double left, right, top, bottom;
} panel;

struct sgi_plot {
  sgi_writer *w;
  sg_status st;
  sg_error err;
  panel *at; /* the one that marks go into */
  size_t entries;
  double legend_x, legend_y, legend_width; /* width 0: one column */
  size_t n;
  panel panels[];
};

#define PUT(p, ...) sgi_writer_print((p)->w, &(p)->st, &(p)->err, __VA_ARGS__)

const char *sgi_plot_colour(size_t k) { return colours[k % SGI_PLOT_COLOURS]; }
const char *sgi_plot_dash(size_t k) { return dashes[k % SGI_PLOT_DASHES]; }

static double at_x(const sgi_plot *p, double v) {
  return p->at->left +
         ((p->at->log_x ? log(v) : v) - p->at->x0) / (p->at->x1 - p->at->x0) * (p->at->right - p->at->left);
}
static double at_y(const sgi_plot *p, double v) {
  return p->at->bottom -
         ((p->at->log_y ? log(v) : v) - p->at->y0) / (p->at->y1 - p->at->y0) * (p->at->bottom - p->at->top);
}

/* XML's own characters escaped, those that it forbids left out. */
static void put_text(sgi_plot *p, const char *text) {
  for (const unsigned char *c = (const unsigned char *)text; *c; c++) switch (*c) {
      case '&': PUT(p, "&amp;"); break;
      case '<': PUT(p, "&lt;"); break;
      case '>': PUT(p, "&gt;"); break;
      default:
        if (*c >= 32 && *c != 127) PUT(p, "%c", *c);
    }
}

/* ---- axes ------------------------------------------------------------------------------------ */

/* The smallest of 1, 2, 5 times a power of ten that is not below x. */
static double round_up(double x) {
  double power = pow(10, floor(log10(x))), share = x / power;
  return power * (share <= 1 + 1e-9 ? 1 : share <= 2 + 1e-9 ? 2 : share <= 5 + 1e-9 ? 5 : 10);
}

static size_t even(double least, double most, double step, double *ticks) {
  size_t n = 0;
  double first = ceil(least / step - 1e-9);
  for (double k = first; k * step <= most + 1e-9 * step && n < SGI_PLOT_TICKS; k++) /* -0 is 0 */
    ticks[n++] = k == 0 ? 0 : k * step;
  return n;
}

size_t sgi_plot_ticks(const sgi_plot_axis *axis, double least, double most, double ticks[SGI_PLOT_TICKS]) {
  if (axis->log) {
    static const double of[] = {1, 2, 5};
    for (size_t each = 1; each <= 3; each++) { /* 1, 2, 5; only 1; each second power and so on */
      size_t n = 0, stride = each == 1 ? 1 : 3;
      double skip = each == 3 ? ceil((log10(most) - log10(least)) / (SGI_PLOT_TICKS - 1)) : 1;
      for (double e = skip * floor(log10(least) / skip); e <= log10(most) + 1e-9 && n <= SGI_PLOT_TICKS; e += skip)
        for (size_t i = 0; i < 3; i += stride) {
          double v = of[i] * pow(10, e);
          if (v < least * (1 - 1e-9) || v > most * (1 + 1e-9)) continue;
          if (n < SGI_PLOT_TICKS) ticks[n] = v;
          n++;
        }
      if (n >= 2 && n <= SGI_PLOT_TICKS) return n;
    }
  }
  double step = round_up((most - least) / 6);
  return even(least, most, axis->whole ? fmax(1, step) : step, ticks);
}

/* The ends of an axis: room around the data, none where it is empty. */
static void span(const sgi_plot_axis *a, double *low, double *high) {
  double least = a->least, most = a->most;
  if (!isfinite(least) || !isfinite(most) || most < least || (a->log && least <= 0)) least = a->log, most = 1 + a->log;
  if (a->zero && !a->log) least = fmin(least, 0), most = fmax(most, 0);
  if (a->log) least = log(least), most = log(most);
  double room = a->tight ? 0 : 0.04 * (most - least);
  if (!(most - least > 1e-12 * fmax(1, fabs(most))))
    room = fmax(0.5 * fabs(most) * !a->log, 0.5 * (a->whole ? 1 : 0.2));
  *low = a->zero && a->least >= 0 ? least : least - room;
  *high = a->zero && a->most <= 0 ? most : most + room;
}

/* 20000 is "20k". */
static void number_text(double v, char *out, size_t size) {
  double large = fabs(v);
  const char *unit = large >= 1e16 ? "" : large >= 1e9 ? "G" : large >= 1e6 ? "M" : large >= 1e4 ? "k" : "";
  double divisor = *unit == 'G' ? 1e9 : *unit == 'M' ? 1e6 : *unit == 'k' ? 1e3 : 1;
  snprintf(out, size, "%.6g%s", v / divisor, unit);
}

static void axis(sgi_plot *p, const sgi_plot_axis *a, bool x) {
  const panel *f = p->at;
  double ticks[SGI_PLOT_TICKS], low = x ? f->x0 : f->y0, high = x ? f->x1 : f->y1, end = -INFINITY;
  size_t n = a->blank ? 0 : sgi_plot_ticks(a, a->log ? exp(low) : low, a->log ? exp(high) : high, ticks);
  for (size_t i = 0; i < n; i++) {
    char text[32];
    double v = ticks[i], at = x ? at_x(p, v) : at_y(p, v);
    const char *stroke = v == 0 && a->zero && !a->log ? " stroke=\"#8a929b\"" : "";
    number_text(v, text, sizeof text);
    if (!x) {
      PUT(p, "<line x1=\"%.0f\" x2=\"%.0f\" y1=\"%.1f\" y2=\"%.1f\"%s/>", f->left, f->right, at, at, stroke);
      PUT(p, "<text stroke=\"none\" x=\"%.0f\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n", f->left - 6, at + 4, text);
      continue;
    }
    PUT(p, "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%.0f\" y2=\"%.0f\"%s/>\n", at, at, f->top, f->bottom, stroke);
    double half = 3.2 * (double)strlen(text);
    if (at - half < end + 5) continue; /* it would stand in its neighbour */
    PUT(p, "<text stroke=\"none\" x=\"%.1f\" y=\"%.0f\" text-anchor=\"middle\">%s</text>\n", at, f->bottom + 16, text);
    end = at + half;
  }
}

static void titles(sgi_plot *p, const sgi_plot_frame *f) {
  const panel *a = p->at;
  if (f->title) {
    PUT(p, "<text x=\"%.0f\" y=\"%.0f\" font-size=\"14\">", a->left, a->top - 8);
    put_text(p, f->title);
    PUT(p, "</text>\n");
  }
  if (f->x.title) {
    PUT(p, "<text x=\"%.0f\" y=\"%.0f\" text-anchor=\"middle\">", (a->left + a->right) / 2, a->bottom + 38);
    put_text(p, f->x.title);
    PUT(p, "</text>\n");
  }
  if (f->y.title) {
    PUT(p, "<text transform=\"translate(%.0f %.0f) rotate(-90)\" text-anchor=\"middle\">", a->left - LEFT + 14,
        (a->top + a->bottom) / 2);
    put_text(p, f->y.title);
    PUT(p, "</text>\n");
  }
}

static void frame(sgi_plot *p, const sgi_plot_frame *f, panel at) {
  at.log_x = f->x.log, at.log_y = f->y.log;
  span(&f->x, &at.x0, &at.x1);
  span(&f->y, &at.y0, &at.y1);
  *p->at = at;
  PUT(p, "<g stroke=\"#dde1e5\" fill=\"#59626d\" font-size=\"11\">\n");
  axis(p, &f->x, true);
  axis(p, &f->y, false);
  PUT(p, "</g>\n");
  titles(p, f);
}

static sg_status begin(const char *path, size_t n, double width, double height, sgi_plot **out, sg_error *err) {
  size_t bytes = sizeof(sgi_plot) + (n ? n : 1) * sizeof(panel);
  *out = NULL;
  sgi_plot *p = sgi_alloc(bytes);
  if (!p) return sgi_fail_memory(err, bytes, "a figure");
  p->n = n;
  p->at = p->panels;
  sg_status st = sgi_writer_open(path, &p->w, err);
  if (st) {
    sgi_free(p);
    return st;
  }
  PUT(p,
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" font-family=\"sans-serif\" "
      "font-size=\"12\">\n<rect width=\"%.0f\" height=\"%.0f\" fill=\"#fff\"/>\n",
      width, height, width, height);
  *out = p;
  return SG_OK;
}

sg_status sgi_plot_open(const char *path, const sgi_plot_frame *f, sgi_plot **out, sg_error *err) {
  sg_status st = begin(path, 1, WIDTH, HEIGHT, out, err);
  if (st) return st;
  panel at = {.left = LEFT,
              .right = WIDTH - (f->legend ? LEGEND : RIGHT),
              .top = TOP + (f->title ? TITLE : 0),
              .bottom = HEIGHT - BOTTOM};
  frame(*out, f, at);
  (*out)->legend_x = at.right + 14;
  (*out)->legend_y = at.top;
  return SG_OK;
}

sg_status sgi_plot_open_panels(const char *path, const sgi_plot_frame *frames, size_t n, size_t across, size_t entries,
                               sgi_plot **out, sg_error *err) {
  size_t rows = (n + across - 1) / across, columns = n < across ? n : across;
  double width = fmax((double)columns * PANEL_WIDTH, LEAST_WIDTH), below = (double)rows * PANEL_HEIGHT + 8;
  sg_status st = begin(path, n, width, below + (double)((entries + 1) / 2) * ENTRY, out, err);
  for (size_t k = 0; k < n && !st; k++) {
    double x = (double)(k % across) * PANEL_WIDTH, y = (double)(k / across) * PANEL_HEIGHT;
    sgi_plot_panel(*out, k);
    frame(
        *out, &frames[k],
        (panel){
            .left = x + LEFT, .right = x + PANEL_WIDTH - RIGHT, .top = y + TITLE, .bottom = y + PANEL_HEIGHT - BOTTOM});
  }
  if (st) return st;
  sgi_plot_panel(*out, 0);
  (*out)->legend_x = LEFT / 2;
  (*out)->legend_y = below;
  (*out)->legend_width = width / 2;
  return SG_OK;
}

void sgi_plot_panel(sgi_plot *p, size_t k) { p->at = &p->panels[k]; }

sg_status sgi_plot_close(sgi_plot *p, sg_error *err) {
  PUT(p, "</svg>\n");
  sg_status st = p->st;
  /* A figure of a document that lacks what there was no memory for would be another figure. */
  if (!st && sgi_json_state() == SGI_JSON_MEMORY) st = sgi_json_incomplete("what a figure shows", &p->err);
  if (st) {
    sgi_writer_drop(p->w);
    sgi_fail(err, st, "%s", p->err.text);
  } else
    st = sgi_writer_close(p->w, err);
  sgi_free(p);
  return st;
}

/* ---- marks ----------------------------------------------------------------------------------- */

static bool inside(const sgi_plot *p, double x, double y) {
  if (!isfinite(x) || !isfinite(y) || (p->at->log_x && x <= 0) || (p->at->log_y && y <= 0)) return false;
  double h = at_x(p, x), v = at_y(p, y);
  return h >= p->at->left - 0.5 && h <= p->at->right + 0.5 && v >= p->at->top - 0.5 && v <= p->at->bottom + 0.5;
}

void sgi_plot_line(sgi_plot *p, const char *colour, const char *dash, const double *x, const double *y, size_t n) {
  bool open = false;
  for (size_t i = 0; i < n; i++) {
    if (!inside(p, x[i], y[i])) {
      if (open) PUT(p, "\"/>\n");
      open = false;
      continue;
    }
    if (!open)
      PUT(p, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"2\" stroke-dasharray=\"%s\" points=\"", colour,
          dash ? dash : "none");
    PUT(p, "%s%.1f,%.1f", open ? " " : "", at_x(p, x[i]), at_y(p, y[i]));
    open = true;
  }
  if (open) PUT(p, "\"/>\n");
}

static void put_title(sgi_plot *p, const char *format, va_list list) {
  char text[400];
  vsnprintf(text, sizeof text, format, list);
  PUT(p, "<title>");
  put_text(p, text);
  PUT(p, "</title>");
}

void sgi_plot_point(sgi_plot *p, const char *colour, sgi_plot_mark mark, double radius, double x, double y,
                    const char *format, ...) {
  if (!inside(p, x, y)) return;
  bool ring = mark == SGI_RING || mark == SGI_DIAMOND_RING, disc = mark == SGI_DISC || mark == SGI_RING;
  double h = at_x(p, x), v = at_y(p, y);
  if (disc)
    PUT(p, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%g\"", h, v, radius);
  else
    PUT(p, "<path d=\"M%.1f %.1fl%g %gl-%g %gl-%g -%gz\"", h, v - radius, radius, radius, radius, radius, radius,
        radius);
  PUT(p, " fill=\"%s\" stroke=\"%s\">", ring ? "none" : colour, ring ? colour : "none");
  va_list list;
  va_start(list, format);
  put_title(p, format, list);
  va_end(list);
  PUT(p, disc ? "</circle>\n" : "</path>\n");
}

void sgi_plot_error(sgi_plot *p, const char *colour, double x, double y, double error) {
  if (!inside(p, x, y) || !isfinite(error)) return;
  double low = fmin(p->at->bottom, at_y(p, p->at->log_y ? fmax(y - error, exp(p->at->y0)) : y - error));
  double high = fmax(p->at->top, at_y(p, y + error));
  PUT(p, "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"%s\"/>\n", at_x(p, x), at_x(p, x), low, high,
      colour);
}

void sgi_plot_bar(sgi_plot *p, const char *colour, double x0, double x1, double y, const char *format, ...) {
  if (!inside(p, x0, y) || !inside(p, x1, y) || p->at->log_y) return;
  double top = at_y(p, fmax(y, 0)), end = at_y(p, fmin(y, 0));
  PUT(p, "<rect x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\" fill=\"%s\">", at_x(p, x0), top,
      at_x(p, x1) - at_x(p, x0), end - top, colour);
  va_list list;
  va_start(list, format);
  put_title(p, format, list);
  va_end(list);
  PUT(p, "</rect>\n");
}

void sgi_plot_level(sgi_plot *p, const char *colour, double y, const char *name) {
  double v = at_y(p, y);
  if (!isfinite(v) || v < p->at->top || v > p->at->bottom) return;
  PUT(p, "<line x1=\"%.0f\" x2=\"%.0f\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"%s\" stroke-dasharray=\"5 4\"/>", p->at->left,
      p->at->right, v, v, colour);
  PUT(p, "<text x=\"%.0f\" y=\"%.1f\" text-anchor=\"end\" font-size=\"11\" fill=\"%s\">", p->at->right - 4, v - 4,
      colour);
  put_text(p, name);
  PUT(p, "</text>\n");
}

void sgi_plot_tick(sgi_plot *p, double x, const char *text) {
  PUT(p, "<text x=\"%.1f\" y=\"%.0f\" text-anchor=\"middle\" font-size=\"11\" fill=\"#59626d\">", at_x(p, x),
      p->at->bottom + 16);
  put_text(p, text);
  PUT(p, "</text>\n");
}

void sgi_plot_entry(sgi_plot *p, const char *colour, const char *dash, const char *name) {
  size_t k = p->entries++, columns = p->legend_width > 0 ? 2 : 1;
  double x = p->legend_x + p->legend_width * (double)(k % columns), y = p->legend_y + ENTRY * (double)(k / columns);
  if (dash)
    PUT(p,
        "<line x1=\"%.0f\" x2=\"%.0f\" y1=\"%.0f\" y2=\"%.0f\" stroke=\"%s\" stroke-width=\"2\" "
        "stroke-dasharray=\"%s\"/>",
        x - 3, x + 15, y + 6, y + 6, colour, dash);
  else
    PUT(p, "<rect x=\"%.0f\" y=\"%.0f\" width=\"12\" height=\"12\" fill=\"%s\"/>", x, y, colour);
  PUT(p, "<text x=\"%.0f\" y=\"%.0f\">", x + 20, y + 10);
  put_text(p, name);
  PUT(p, "</text>\n");
}
