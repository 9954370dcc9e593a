/* The server under bad manners: framing, slow clients, full queue, clients that leave, events,
 * stop. The handler here sleeps. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/base.h"
#include "http/client.h"

static http_server *server;
static atomic_int started, cancelled;
static atomic_bool closed; /* /api/gate waits while it is */

static void nap(double seconds) {
  struct timespec t = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
  nanosleep(&t, NULL);
}

/* /api/sleep {"ms": n}: works so long, in steps, with progress. /api/gate: until it opens.
 * /api/echo: the body. /api/bad: fails. */
static sg_status handler(void *user, http_job *j, json_t **answer, sg_error *err) {
  (void)user;
  started++;
  const char *path = http_job_path(j);
  if (!strcmp(path, "/api/bad")) return sgi_fail(err, SG_ERR_ARG, "no good");
  if (!strcmp(path, "/api/echo")) *answer = json_deep_copy(http_job_body(j));
  if (!strcmp(path, "/api/big")) {
    *answer = json_array();
    for (int i = 0; i < 20000; i++) json_array_append_new(*answer, json_integer(i));
    *answer = json_pack("{so}", "list", *answer);
  }
  if (!strcmp(path, "/api/gate")) {
    while (closed) nap(0.005);
    *answer = json_object();
  }
  if (strcmp(path, "/api/sleep")) return SG_OK;
  json_int_t ms = json_integer_value(json_object_get(http_job_body(j), "ms"));
  for (json_int_t i = 0; i < ms; i += 10) {
    if (http_job_cancelled(j)) {
      cancelled++;
      return sgi_fail(err, SG_ERR_CANCELLED, "stopped");
    }
    http_job_progress(j, (double)i / (double)ms, "sleeping");
    nap(0.01);
  }
  *answer = json_pack("{sI}", "slept", ms);
  return SG_OK;
}

static const unsigned char page[] = "<!doctype html><title>x</title>";
static const http_asset assets[] = {{"/index.html", "text/html; charset=utf-8", page, sizeof page - 1},
                                    {"/app.js", "text/javascript", (const unsigned char *)"1;", 2},
                                    {0}};

static int start(void **state) {
  (void)state;
  http_settings s = {.assets = assets, .handler = handler};
  assert_sg_ok(http_start(&s, &server, err));
  return 0;
}
static int stop(void **state) {
  (void)state;
  http_stop(server);
  return 0;
}

static void expect(const char *what, reply r, int status) {
  if (r.status != status) fail_msg("%s: %d, expected %d: %s", what, r.status, status, r.body ? r.body : "");
  reply_free(&r);
}

/* A request of printf's form with the right port put in for %u. */
static reply send_text(const char *format) {
  char text[8192];
  int n = snprintf(text, sizeof text, format, http_port(server));
  return client_raw(http_port(server), text, (size_t)n);
}

static void pages(void **state) {
  (void)state;
  reply r = send_text("GET / HTTP/1.1\r\nHost: localhost:%u\r\n\r\n");
  assert_int_equal(r.status, 200);
  assert_string_equal(r.body, (const char *)page);
  assert_non_null(strstr(reply_header(&r, "Content-Security-Policy"), "default-src 'none'"));
  assert_non_null(strstr(reply_header(&r, "Content-Security-Policy"), "frame-ancestors 'none'"));
  assert_string_equal(reply_header(&r, "X-Content-Type-Options"), "nosniff");
  assert_string_equal(reply_header(&r, "Referrer-Policy"), "no-referrer");
  assert_string_equal(reply_header(&r, "Cross-Origin-Resource-Policy"), "same-origin");
  assert_string_equal(reply_header(&r, "Cross-Origin-Opener-Policy"), "same-origin");
  assert_string_equal(reply_header(&r, "Access-Control-Allow-Origin"), "");
  reply_free(&r);
  expect("other page", send_text("GET /nothing.js HTTP/1.1\r\nHost: localhost:%u\r\n\r\n"), 404);
  expect("traversal", send_text("GET /../app.js HTTP/1.1\r\nHost: localhost:%u\r\n\r\n"), 404);
  /* One connection, many requests. */
  int fd = client_connect(http_port(server));
  char text[128];
  snprintf(text, sizeof text, "GET /app.js HTTP/1.1\r\nHost: localhost:%u\r\n\r\n", http_port(server));
  for (int i = 0; i < 50; i++) {
    reply one = client_exchange(fd, text, strlen(text), 60);
    assert_int_equal(one.status, 200);
    assert_string_equal(one.body, "1;");
    reply_free(&one);
  }
  close(fd);
}

static void calls(void **state) {
  (void)state;
  reply r = client_call(server, "/api/echo", "{\"a\": [1, 2.5, \"x\"]}", "");
  assert_int_equal(r.status, 200);
  assert_string_equal(r.body, "{\"a\":[1,2.5,\"x\"]}");
  reply_free(&r);
  expect("GET", client_call(server, "/api/echo", NULL, ""), 200);
  expect("error", client_call(server, "/api/bad", "{}", ""), 400);
  expect("unknown", client_call(server, "/api/none", "{}", ""), 404);
  expect("no object", client_call(server, "/api/echo", "[1]", ""), 400);
  expect("no JSON", client_call(server, "/api/echo", "{\"a\":", ""), 400);
  expect("twice the key", client_call(server, "/api/echo", "{\"a\":1,\"a\":2}", ""), 400);
  r = client_call(server, "/api/big", "{}", "");
  assert_true(r.complete && r.n > 100000);
  reply_free(&r);
}

/* What libmicrohttpd lets through in strict mode and what it refuses itself. */
static void framing(void **state) {
  (void)state;
  int before = started;
  expect("two Hosts", send_text("GET / HTTP/1.1\r\nHost: localhost:%u\r\nHost: evil.example\r\n\r\n"), 400);
  expect("no Host", send_text("GET / HTTP/1.1\r\nX: %u\r\n\r\n"), 400);
  expect("other Host", send_text("GET / HTTP/1.1\r\nHost: evil.example:%u\r\n\r\n"), 421);
  expect("absolute form", send_text("GET http://evil.example/ HTTP/1.1\r\nHost: localhost:%u\r\n\r\n"), 400);
  char text[512];
  int n = snprintf(text, sizeof text, "GET /app.js#hidden HTTP/1.1\r\nHost: localhost:%u\r\n\r\n", http_port(server));
  *strchr(text, '#') = 0;
  expect("NUL in the address", client_raw(http_port(server), text, (size_t)n), 400);
  char *both = client_request(server, "/api/echo", "{}", "Transfer-Encoding: chunked\r\n");
  expect("a length and chunks", client_raw(http_port(server), both, strlen(both)), 400);
  free(both);
  expect("two lengths", client_call(server, "/api/echo", "{}", "Content-Length: 2\r\n"), 400);
  expect("two tokens", client_call(server, "/api/echo", "{}", "X-Sgatlin-Token: x\r\n"), 400);
  expect("other origin", client_call(server, "/api/echo", "{}", "Origin: http://evil.example\r\n"), 403);
  expect("no origin", client_call(server, "/api/echo", "{}", "Origin: null\r\n"), 403);
  expect("other site", client_call(server, "/api/echo", "{}", "Sec-Fetch-Site: cross-site\r\n"), 403);
  expect("no token",
         send_text("POST /api/echo HTTP/1.1\r\nHost: localhost:%u\r\nContent-Type: application/json\r\nContent-Length: "
                   "2\r\n\r\n{}"),
         401);
  expect("method", send_text("DELETE / HTTP/1.1\r\nHost: localhost:%u\r\n\r\n"), 405);
  assert_int_equal(started, before);
}

static char *filled(size_t n, const char *front, char with, const char *back) {
  char *t = malloc(strlen(front) + n + strlen(back) + 1);
  memcpy(t, front, strlen(front));
  memset(t + strlen(front), with, n);
  memcpy(t + strlen(front) + n, back, strlen(back) + 1);
  return t;
}

static void too_large(void **state) {
  (void)state;
  char front[256];
  snprintf(front, sizeof front, "GET / HTTP/1.1\r\nHost: localhost:%u\r\nX: ", http_port(server));
  char *t = filled(64 << 10, front, 'x', "\r\n\r\n");
  expect("64 KB of header", client_raw(http_port(server), t, strlen(t)), 431);
  free(t);
  snprintf(front, sizeof front, " HTTP/1.1\r\nHost: localhost:%u\r\n\r\n", http_port(server));
  t = filled(8 << 10, "GET /", 'a', front);
  expect("8 KB of address", client_raw(http_port(server), t, strlen(t)), 414);
  free(t);
  size_t used = (size_t)snprintf(front, sizeof front, "GET / HTTP/1.1\r\nHost: localhost:%u\r\n", http_port(server));
  t = malloc(used + 10001 * 12 + 3);
  memcpy(t, front, used);
  for (int i = 0; i < 10001; i++) used += (size_t)sprintf(t + used, "X%05d: y\r\n", i);
  strcpy(t + used, "\r\n");
  expect("10,001 headers", client_raw(http_port(server), t, strlen(t)), 431);
  free(t);
  t = filled((1 << 20) - 7, "{\"a\":\"", 'x', "\"}");
  expect("1 MB + 1 of body", client_call(server, "/api/echo", t, ""), 413);
  free(t);
  t = filled((1 << 20) - 8, "{\"a\":\"", 'x', "\"}");
  expect("1 MB of body", client_call(server, "/api/echo", t, ""), 200);
  free(t);
  t = filled(33, "{\"a\":", '[', "");
  expect("33 deep", client_call(server, "/api/echo", t, ""), 400);
  free(t);
  t = malloc(1 << 20);
  size_t k = (size_t)sprintf(t, "{\"a\":[0");
  while (k < (1 << 20) - 16) k += (size_t)sprintf(t + k, ",0");
  strcpy(t + k, "]}");
  expect("half a million values", client_call(server, "/api/echo", t, ""), 400);
  free(t);
}

static size_t count(const char *text, const char *what) {
  size_t n = 0;
  for (const char *p = text; (p = strstr(p, what)); p++) n++;
  return n;
}

static void events(void **state) {
  (void)state;
  reply r = client_call(server, "/api/sleep", "{\"ms\": 300}", "Accept: text/event-stream\r\n");
  assert_int_equal(r.status, 200);
  assert_true(r.complete);
  assert_string_equal(reply_header(&r, "Content-Type"), "text/event-stream");
  assert_true(count(r.body, "event: progress\ndata: {") > 3);
  assert_non_null(strstr(r.body, "event: done\ndata: {\"slept\":300}\n\n"));
  reply_free(&r);
  r = client_call(server, "/api/bad", "{}", "Accept: text/event-stream\r\n");
  assert_string_equal(r.body, "event: error\ndata: {\"status\":400,\"error\":\"no good\"}\n\n");
  reply_free(&r);
  r = client_call(server, "/api/big", "{}", "Accept: text/event-stream\r\n"); /* longer than one piece */
  assert_true(r.complete && !strncmp(r.body, "event: done\ndata: {", 19) && !strcmp(r.body + r.n - 3, "}\n\n"));
  reply_free(&r);
}

/* 1 runs, 8 wait, the tenth is told to come again; all nine are answered. */
static void queue(void **state) {
  (void)state;
  int fd[9], before = started;
  char *text = client_request(server, "/api/gate", "{}", "");
  closed = true;
  for (int i = 0; i < 9; i++) {
    fd[i] = client_connect(http_port(server));
    assert_int_equal(send(fd[i], text, strlen(text), MSG_NOSIGNAL), strlen(text));
    while (started == before) nap(0.005); /* the first is at work */
  }
  nap(0.5); /* and eight are read */
  expect("the tenth", client_call(server, "/api/echo", "{}", ""), 429);
  closed = false;
  for (int i = 0; i < 9; i++) {
    reply r = client_exchange(fd[i], "", 0, 60);
    expect("one of nine", r, 200);
    close(fd[i]);
  }
  free(text);
}

/* Clients that hang up: at work, in the queue, while streaming. Nothing goes on for them, and
 * others are served. */
static void hang_up(void **state) {
  (void)state;
  for (int stream = 0; stream < 2; stream++) {
    int before = cancelled, ran = started;
    char *text = client_request(server, "/api/sleep", "{\"ms\": 30000}", stream ? "Accept: text/event-stream\r\n" : "");
    int fd[4];
    for (int i = 0; i < 4; i++) {
      fd[i] = client_connect(http_port(server));
      assert_int_equal(send(fd[i], text, strlen(text), MSG_NOSIGNAL), strlen(text));
    }
    while (started == ran) nap(0.01);
    nap(0.05);
    for (int i = 0; i < 4; i++) close(fd[3 - i]);
    double t = sgi_now();
    expect("after them", client_call(server, "/api/echo", "{}", ""), 200);
    double took = sgi_now() - t;
    if (took >= client_patience(5)) fail_msg("served after %.3f s", took);
    assert_true(cancelled > before);
    free(text);
  }
}

/* Many short lives at once, each cut at another place: no answer goes to a wrong place, nothing is
 * lost or used after it is gone
 * (`make asan` looks). */
static void cut_anywhere(void **state) {
  (void)state;
  char *text = client_request(server, "/api/sleep", "{\"ms\": 20}", "");
  char *events_text = client_request(server, "/api/sleep", "{\"ms\": 20}", "Accept: text/event-stream\r\n");
  for (size_t i = 0; i < 120; i++) {
    const char *t = i % 2 ? text : events_text;
    size_t n = i % 3 ? strlen(t) : i % strlen(t);
    int fd = client_connect(http_port(server));
    assert_true(send(fd, t, n, MSG_NOSIGNAL) >= 0);
    nap(0.001 * (double)(i % 7));
    if (i % 5 == 0) { /* a reset instead of an orderly end */
      struct linger l = {1, 0};
      setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
    }
    close(fd);
  }
  nap(0.5);
  expect("after them", client_call(server, "/api/echo", "{}", ""), 200);
  free(text);
  free(events_text);
}

/* More slow clients than there are places: from the sixth second on a good one is served at
 * once. */
static void slow_headers(void **state) {
  (void)state;
  enum { SLOW = 600 };
  struct rlimit files = {4096, 4096};
  setrlimit(RLIMIT_NOFILE, &files);
  static int fd[SLOW];
  char text[128];
  snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: localhost:%u\r\nX: ", http_port(server));
  double t0 = sgi_now();
  for (int i = 0; i < SLOW; i++) {
    fd[i] = client_connect(http_port(server));
    send(fd[i], text, strlen(text), MSG_NOSIGNAL);
  }
  while (sgi_now() - t0 < 5.5) {
    for (int i = 0; i < SLOW; i++) send(fd[i], "y", 1, MSG_NOSIGNAL);
    nap(0.4);
  }
  double t = sgi_now();
  expect("a good client among slow ones", send_text("GET / HTTP/1.1\r\nHost: localhost:%u\r\n\r\n"), 200);
  double took = sgi_now() - t;
  if (took >= client_patience(1)) fail_msg("served after %.3f s", took);
  for (int i = 0; i < SLOW; i++) close(fd[i]);
}

static void slow_body(void **state) {
  (void)state;
  char *text = client_request(server, "/api/echo", "{\"a\": 1}", "");
  int fd = client_connect(http_port(server));
  send(fd, text, strlen(text) - 3, MSG_NOSIGNAL);
  expect("others meanwhile", client_call(server, "/api/echo", "{}", ""), 200);
  send(fd, text + strlen(text) - 3, 3, MSG_NOSIGNAL);
  reply r = client_exchange(fd, "", 0, 60);
  expect("the body's end", r, 200);
  close(fd);
  free(text);
}

/* A server that stops while jobs run, wait and stream ends at once and in order. */
static void stop_at_work(void **state) {
  (void)state;
  http_server *s;
  http_settings settings = {.assets = assets, .handler = handler};
  assert_sg_ok(http_start(&settings, &s, err));
  int fd[6];
  for (int i = 0; i < 6; i++) {
    char *text = client_request(s, "/api/sleep", "{\"ms\": 20000}", i % 2 ? "Accept: text/event-stream\r\n" : "");
    fd[i] = client_connect(http_port(s));
    send(fd[i], text, strlen(text), MSG_NOSIGNAL);
    free(text);
  }
  nap(0.1);
  double t = sgi_now();
  http_stop(s);
  double took = sgi_now() - t; /* the jobs would take 20 s each */
  if (took >= client_patience(2)) fail_msg("stopped after %.3f s", took);
  for (int i = 0; i < 6; i++) close(fd[i]);
}

static void settings(void **state) {
  (void)state;
  static const char *const bad[] = {"", "localhost", "0.0.0.0", "256.1.1.1", "::1", "127.0.0.1:80", "evil.example"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    http_server *s;
    sg_error e = {0};
    http_settings one = {.assets = assets, .handler = handler, .host = bad[i]};
    assert_int_equal(http_start(&one, &s, &e), SG_ERR_ARG);
    assert_null(s);
  }
  http_server *s;
  sg_error e = {0};
  http_settings taken = {.assets = assets, .handler = handler, .port = http_port(server)};
  assert_int_equal(http_start(&taken, &s, &e), SG_ERR_IO);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(pages),     cmocka_unit_test(calls),        cmocka_unit_test(framing),
      cmocka_unit_test(too_large), cmocka_unit_test(events),       cmocka_unit_test(queue),
      cmocka_unit_test(hang_up),   cmocka_unit_test(cut_anywhere), cmocka_unit_test(slow_headers),
      cmocka_unit_test(slow_body), cmocka_unit_test(stop_at_work), cmocka_unit_test(settings)};
  return cmocka_run_group_tests(tests, start, stop);
}
