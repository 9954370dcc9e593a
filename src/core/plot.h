/* plot.h: figures as SVG. A frame with two axes and round numbers on them, a legend beside it, and
 * into it lines, points, bars and error bars in the axes' own numbers: what every command's --svg
 * needs, so that a figure's file holds only what is its own. Or several such frames side by
 * side. */
#ifndef SGI_PLOT_H
#define SGI_PLOT_H

#include "core/base.h"

typedef struct sgi_plot sgi_plot;

/* least, most: of what will be drawn; room is left around it. On a logarithmic axis both are
 * above 0. */
typedef struct sgi_plot_axis {
  const char *title; /* plain text; NULL: none */
  double least, most;
  bool log;
  bool whole; /* only whole numbers get a tick */
  bool zero;  /* 0 is on the axis, with a line where it lies inside */
  bool tight; /* no room is left: the axis ends at least and most */
  bool blank; /* no numbers: the caller writes at the places (sgi_plot_tick) */
} sgi_plot_axis;

typedef struct sgi_plot_frame {
  const char *title; /* NULL: none */
  sgi_plot_axis x, y;
  bool legend; /* room on the right for it */
} sgi_plot_frame;

enum { SGI_PLOT_COLOURS = 12 };
const char *sgi_plot_colour(size_t k); /* of the kth of several; they recur after SGI_PLOT_COLOURS */
enum { SGI_PLOT_DASHES = 4 };
const char *sgi_plot_dash(size_t k); /* a stroke-dasharray; the 0th is "none" */

/* Opens the file (whole or not at all: it appears in sgi_plot_close) and draws the frame. A least
 * or most that is not finite stands for no data: an empty frame. New: sgi_plot_close. */
sg_status sgi_plot_open(const char *path, const sgi_plot_frame *frame, sgi_plot **out, sg_error *err);
/* Several frames in one figure, `across` of them to a row, and under them room for so many entries
 * of the legend; the frames' own `legend` counts for nothing. Marks go into the first until
 * sgi_plot_panel says which. New: sgi_plot_close. */
sg_status sgi_plot_open_panels(const char *path, const sgi_plot_frame *frames, size_t n, size_t across, size_t entries,
                               sgi_plot **out, sg_error *err);
void sgi_plot_panel(sgi_plot *p, size_t k);
/* Drawing fails silently; the first failure is told here. Frees p. */
sg_status sgi_plot_close(sgi_plot *p, sg_error *err);

/* n points joined; those with a number that is not finite, or left of, right of, below or above the
 * frame, interrupt the line. */
void sgi_plot_line(sgi_plot *p, const char *colour, const char *dash, const double *x, const double *y, size_t n);
/* A mark; format: what a pointer over it tells, plain text. */
typedef enum sgi_plot_mark { SGI_DISC, SGI_RING, SGI_DIAMOND, SGI_DIAMOND_RING } sgi_plot_mark;
void sgi_plot_point(sgi_plot *p, const char *colour, sgi_plot_mark mark, double radius, double x, double y,
                    const char *format, ...) SG_PRINTF(7, 8);
/* From y - error to y + error. */
void sgi_plot_error(sgi_plot *p, const char *colour, double x, double y, double error);
/* From 0 to y, between the places x0 and x1. */
void sgi_plot_bar(sgi_plot *p, const char *colour, double x0, double x1, double y, const char *format, ...)
    SG_PRINTF(6, 7);
/* A level across the frame, with a word at its end. */
void sgi_plot_level(sgi_plot *p, const char *colour, double y, const char *name);
/* A word under the frame at x. */
void sgi_plot_tick(sgi_plot *p, double x, const char *text);
/* The next entry of the legend: a square of the colour, or a line where dash is not NULL. */
void sgi_plot_entry(sgi_plot *p, const char *colour, const char *dash, const char *name);

/* Ticks of an axis: at most 12 round numbers (1, 2, 5 times a power of ten; on logarithmic axes
 * too) from least to most. Returns their count. */
enum { SGI_PLOT_TICKS = 12 };
size_t sgi_plot_ticks(const sgi_plot_axis *axis, double least, double most, double ticks[SGI_PLOT_TICKS]);
#endif
