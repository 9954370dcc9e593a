/* Figures: round numbers on both kinds of axes, marks where they belong, text that stays text. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/arena.h"
#include "core/file.h"
#include "core/plot.h"
#include "support/golden.h"

static bool is_round(double v) {
  double x = fabs(v);
  if (x == 0) return true;
  x /= pow(10, floor(log10(x) + 1e-9));
  return fabs(x - 1) < 1e-6 || fabs(x - 2) < 1e-6 || fabs(x - 5) < 1e-6;
}

static void ticks(void **state) {
  (void)state;
  double t[SGI_PLOT_TICKS];
  static const double ends[][2] = {{0, 1},        {0, 7},     {-3, 5},         {1, 1.1},   {1e-9, 3e-9},
                                   {-1e6, 2.5e7}, {260, 278}, {0.001, 0.0013}, {-2, -1.5}, {1, 1e12}};
  for (size_t i = 0; i < SGI_COUNT(ends); i++)
    for (int log = 0; log < 2; log++) {
      const sgi_plot_axis a = {.log = log};
      double low = ends[i][0], high = ends[i][1];
      if (log && low <= 0) continue;
      size_t n = sgi_plot_ticks(&a, low, high, t);
      assert_in_range(n, 2, SGI_PLOT_TICKS);
      for (size_t k = 0; k < n; k++) {
        if (!(t[k] >= low - 1e-6 * (high - low) && t[k] <= high + 1e-6 * (high - low)))
          fail_msg("%g to %g, logarithmic %d: tick %g", low, high, log, t[k]);
        if (k) assert_true(t[k] > t[k - 1]);
      }
      if (log && high / low > 30)
        for (size_t k = 0; k < n; k++) assert_true(is_round(t[k]));
      double step = t[1] - t[0];
      if (!log || high / low < 2)
        for (size_t k = 1; k < n; k++) assert_true(is_round(step) && fabs(t[k] - t[k - 1] - step) < 1e-6 * step);
    }
  const sgi_plot_axis whole = {.whole = true};
  size_t n = sgi_plot_ticks(&whole, 0, 3, t);
  assert_int_equal(n, 4);
  for (size_t k = 0; k < n; k++) assert_true(t[k] == (double)k);
}

static char *draw(const sgi_plot_frame *f, void (*fill)(sgi_plot *p)) {
  char *folder = golden_temporary(), path[600], *text;
  size_t size;
  snprintf(path, sizeof path, "%s/f.svg", folder);
  sgi_plot *p;
  assert_sg_ok(sgi_plot_open(path, f, &p, err));
  assert_false(sgi_is_file(path)); /* whole or not at all */
  fill(p);
  assert_sg_ok(sgi_plot_close(p, err));
  assert_sg_ok(sgi_read_file(path, 1 << 20, &text, &size, err));
  golden_remove(folder);
  return text;
}

static size_t count(const char *text, const char *what) {
  size_t n = 0;
  for (const char *at = text; (at = strstr(at, what)); at += strlen(what)) n++;
  return n;
}

static void marks_in(sgi_plot *p) {
  const double x[] = {1, 10, NAN, 100, 1000, 1e6}, y[] = {1, 2, 3, 4, 5, 6};
  sgi_plot_line(p, "#111111", NULL, x, y, 6); /* two pieces: NaN parts them, the last lies outside */
  sgi_plot_point(p, "#222222", SGI_DISC, 3, 10, 2, "a < b & c %d%%", 7);
  sgi_plot_point(p, "#222222", SGI_DISC, 3, -1, 2, "no logarithm");
  sgi_plot_point(p, "#222222", SGI_DISC, 3, 10, NAN, "no number");
  sgi_plot_point(p, "#222222", SGI_DIAMOND_RING, 3, 100, 4, "ring");
  sgi_plot_error(p, "#333333", 10, 2, 0.5);
  sgi_plot_level(p, "#444444", 3, "level");
  sgi_plot_level(p, "#444444", 99, "outside");
  sgi_plot_entry(p, "#555555", NULL, "<script>");
  sgi_plot_entry(p, "#555555", sgi_plot_dash(1), "dashed");
}

static void marks(void **state) {
  (void)state;
  const sgi_plot_frame f = {
      .title = "A & B\x01", .x = {"x < y", 1, 1000, .log = true}, .y = {"loss", 1, 5}, .legend = true};
  char *text = draw(&f, marks_in);
  assert_int_equal(count(text, "<polyline"), 2);
  assert_int_equal(count(text, "<circle"), 1);
  assert_int_equal(count(text, "<path"), 1);
  assert_non_null(strstr(text, "<title>a &lt; b &amp; c 7%</title>"));
  assert_non_null(strstr(text, ">A &amp; B</text>"));
  assert_non_null(strstr(text, ">x &lt; y</text>"));
  assert_non_null(strstr(text, ">&lt;script&gt;</text>"));
  assert_null(strstr(text, "outside"));
  assert_non_null(strstr(text, ">level</text>"));
  for (double v = 1; v <= 1000; v *= 10) {
    char tick[40];
    snprintf(tick, sizeof tick, "middle\">%g</text>", v);
    assert_non_null(strstr(text, tick));
  }
  assert_null(strstr(text, "nan"));
  assert_null(strstr(text, "inf"));
  sgi_free(text);
}

static void bars_in(sgi_plot *p) {
  sgi_plot_bar(p, "#111111", 0.1, 0.9, 2, "up");
  sgi_plot_bar(p, "#111111", 1.1, 1.9, -1, "down");
  sgi_plot_tick(p, 0.5, "first");
}

/* A bar ends at 0: up and down meet there. */
static void bars(void **state) {
  (void)state;
  const sgi_plot_frame f = {.x = {NULL, 0, 2, .tight = true, .blank = true}, .y = {"y", -1, 2, .zero = true}};
  char *text = draw(&f, bars_in);
  double y[2], height[2], x, width;
  const char *at = text;
  for (int i = 0; i < 2; i++) {
    at = strstr(at, "\" fill=\"#111111\"");
    assert_non_null(at);
    const char *from = at;
    while (strncmp(from, "<rect", 5)) from--;
    assert_int_equal(
        sscanf(from, "<rect x=\"%lf\" y=\"%lf\" width=\"%lf\" height=\"%lf\"", &x, &y[i], &width, &height[i]), 4);
    at++;
  }
  assert_true(fabs(y[0] + height[0] - y[1]) < 0.02 && fabs(height[0] - 2 * height[1]) < 0.02);
  assert_non_null(strstr(text, ">first</text>"));
  sgi_free(text);
}

static void nothing_in(sgi_plot *p) { (void)p; }

static void empty(void **state) {
  (void)state;
  const sgi_plot_frame f = {.x = {"x", INFINITY, -INFINITY, .log = true}, .y = {"y", NAN, NAN}};
  char *text = draw(&f, nothing_in);
  assert_null(strstr(text, "nan"));
  assert_null(strstr(text, "inf"));
  assert_non_null(strstr(text, "</svg>"));
  sgi_free(text);
  const sgi_plot_frame one = {.x = {"x", 3, 3}, .y = {"y", 0, 0}};
  text = draw(&one, nothing_in);
  assert_null(strstr(text, "nan"));
  sgi_free(text);
  sgi_plot *p;
  assert_int_equal(sgi_plot_open("/no/such/f.svg", &f, &p, NULL), SG_ERR_IO);
}

/* Each panel has its own frame: the same numbers lie in each at the same place of it; entries stand
 * under all of them. */
static void panels(void **state) {
  (void)state;
  sgi_plot_frame f[4];
  for (size_t k = 0; k < 4; k++)
    f[k] = (sgi_plot_frame){.title = k % 2 ? "odd" : "even", .x = {"x", 1, 1000, .log = true}, .y = {"y", 0, 1}};
  char *folder = golden_temporary(), path[600], *text;
  size_t size;
  double x[4], y[4], width, height, ex[3], ey[3];
  snprintf(path, sizeof path, "%s/f.svg", folder);
  sgi_plot *p;
  assert_sg_ok(sgi_plot_open_panels(path, f, 4, 3, 3, &p, err));
  for (size_t k = 4; k-- > 0;) {
    sgi_plot_panel(p, k);
    sgi_plot_point(p, "#111111", SGI_DISC, 3, 10, 0.5, "%zu", k);
  }
  for (size_t k = 0; k < 3; k++) sgi_plot_entry(p, "#222222", NULL, "curve");
  assert_sg_ok(sgi_plot_close(p, err));
  assert_sg_ok(sgi_read_file(path, 1 << 20, &text, &size, err));
  assert_int_equal(sscanf(strstr(text, "viewBox"), "viewBox=\"0 0 %lf %lf\"", &width, &height), 2);
  const char *at = text;
  for (size_t k = 4; k-- > 0; at++) {
    assert_non_null(at = strstr(at, "<circle"));
    assert_int_equal(sscanf(at, "<circle cx=\"%lf\" cy=\"%lf\"", &x[k], &y[k]), 2);
    assert_true(x[k] > 0 && x[k] < width && y[k] > 0 && y[k] < height);
  }
  assert_true(x[1] - x[0] > 100 && fabs((x[2] - x[1]) - (x[1] - x[0])) < 0.2 && x[3] == x[0]);
  assert_true(y[0] == y[1] && y[1] == y[2] && y[3] - y[0] > 100);
  at = text;
  for (size_t k = 0; k < 3; k++, at++) {
    assert_non_null(at = strstr(at, "\" width=\"12\" height=\"12\""));
    const char *from = at;
    while (strncmp(from, "<rect", 5)) from--;
    assert_int_equal(sscanf(from, "<rect x=\"%lf\" y=\"%lf\"", &ex[k], &ey[k]), 2);
    assert_true(ey[k] > y[3] && ey[k] + 12 <= height);
  }
  assert_true(ey[0] == ey[1] && ex[1] > ex[0] && ey[2] > ey[0] && ex[2] == ex[0]);
  assert_int_equal(count(text, ">odd</text>"), 2);
  sgi_free(text);
  golden_remove(folder);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(ticks), cmocka_unit_test(marks), cmocka_unit_test(bars),
                                     cmocka_unit_test(panels), cmocka_unit_test(empty)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
