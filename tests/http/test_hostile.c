/* What other pages and programs send to the socket itself: places outside the table, cross-site
 * requests, connections that do nothing. */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../server/http.h"
#include "core/base.h"
#include "http/client.h"

static http_server *server;
static atomic_int started;
static const unsigned char page[] = "<!doctype html><title>x</title>";
static const http_asset assets[] = {{"/index.html", "text/html; charset=utf-8", page, sizeof page - 1}, {0}};

static sg_status handler(void *user, http_job *j, json_t **answer, sg_error *err) {
  (void)user, (void)err;
  started++;
  *answer = json_deep_copy(http_job_body(j));
  return SG_OK;
}

static int start(void **state) {
  (void)state;
  http_settings s = {.assets = assets, .handler = handler};
  struct rlimit files = {4096, 4096};
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
  assert_sg_ok(http_start(&s, &server, err));
  return 0;
}
static int stop(void **state) {
  (void)state;
  http_stop(server);
  return 0;
}

/* 312 spellings of other places, sent as they are. */
static void traversal(void **state) {
  (void)state;
  static const char *const steps[] = {"..",       "%2e%2e",           "%2E.", ".%2e", "%252e%252e", "...", ".", "..%00",
                                      "..%c0%af", "\xc0\xae\xc0\xae", "..;",  "~",    "%uff0e"};
  static const char *const joints[] = {"/", "//", "\\", "%2f", "%5c", "%252f", "/./", "/\\"};
  static const char *const ends[] = {"etc/passwd", "config.json", "index.html"};
  size_t sent = 0;
  for (size_t a = 0; a < sizeof steps / sizeof *steps; a++)
    for (size_t b = 0; b < sizeof joints / sizeof *joints; b++)
      for (size_t c = 0; c < sizeof ends / sizeof *ends; c++, sent++) {
        char text[256];
        int n = snprintf(text, sizeof text, "GET /%s%s%s HTTP/1.1\r\nHost: localhost:%u\r\n\r\n", steps[a], joints[b],
                         ends[c], http_port(server));
        reply r = client_raw(http_port(server), text, (size_t)n);
        if (r.status != 404 && r.status != 400) fail_msg("%s: %d", text, r.status);
        if (r.n > 200) fail_msg("%s: %zu bytes", text, r.n); /* one sentence */
        reply_free(&r);
      }
  assert_true(sent >= 300);
}

/* 32 requests a page elsewhere can make a browser send, with a session's token known or not: no job
 * begins. */
static void other_sites(void **state) {
  (void)state;
  static const char *const types[] = {"text/plain", "application/x-www-form-urlencoded",
                                      "multipart/form-data; boundary=x", "text/plain; application/json"};
  static const char *const origins[] = {"Origin: null\r\n", "Origin: http://evil.example\r\n",
                                        "Origin: http://evil.example\r\nSec-Fetch-Site: cross-site\r\n",
                                        "Sec-Fetch-Site: cross-site\r\n", ""};
  static const char *const gets[] = {"/api/predict?q=a",
                                     "/api/predict?text=a&token=1",
                                     "/?q=a",
                                     "/?text=a&view=graph",
                                     "/api/metrics",
                                     "/api/graph?text=dog",
                                     "/index.html?text=a",
                                     "/api/ablate?x=1",
                                     "/api/info"};
  char token[64], text[1024];
  size_t sent = 0;
  int before = started;
  for (int known = 0; known < 2; known++) {
    if (known)
      snprintf(token, sizeof token, "X-Sgatlin-Token: %s\r\n", http_token(server));
    else
      token[0] = 0;
    for (size_t o = 0; o < sizeof origins / sizeof *origins; o++)
      for (size_t t = 0; t < sizeof types / sizeof *types; t++, sent++) {
        int n = snprintf(text, sizeof text,
                         "POST /api/predict HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n%s%sContent-Type: %s\r\nContent-Length: "
                         "12\r\n\r\n{\"text\":\"a\"}",
                         http_port(server), origins[o], token, types[t]);
        reply r = client_raw(http_port(server), text, (size_t)n);
        if (r.status != 401 && r.status != 403 && r.status != 415) fail_msg("%s: %d", text, r.status);
        assert_string_equal(reply_header(&r, "Access-Control-Allow-Origin"), "");
        reply_free(&r);
      }
  }
  for (size_t i = 0; i < sizeof gets / sizeof *gets; i++, sent++) { /* images, links, frames */
    int n = snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nSec-Fetch-Site: cross-site\r\n\r\n",
                     gets[i], http_port(server));
    reply r = client_raw(http_port(server), text, (size_t)n);
    assert_int_equal(r.status, strncmp(gets[i], "/api/", 5) ? 200 : 401);
    reply_free(&r);
  }
  reply r = client_call(server, "/api/predict", "{}",
                        "Origin: http://evil.example\r\n"); /* even with everything else right */
  assert_int_equal(r.status, 403);
  reply_free(&r);
  assert_true(sent >= 30);
  assert_int_equal(started, before);
}

/* A million values do not fit into a body; one that claims them is refused by its length, before it
 * is read. */
static void million(void **state) {
  (void)state;
  char text[512];
  int n = snprintf(text, sizeof text,
                   "POST /api/predict HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nX-Sgatlin-Token: %s\r\n"
                   "Content-Type: application/json\r\nContent-Length: 2000009\r\n\r\n{\"ids\":[0",
                   http_port(server), http_token(server));
  double t = sgi_now();
  reply r = client_raw(http_port(server), text, (size_t)n);
  assert_int_equal(r.status, 413);
  double took = sgi_now() - t;
  if (took >= client_patience(1)) fail_msg("refused after %.3f s", took);
  reply_free(&r);
}

static double cpu_of(pid_t pid) {
  clockid_t clock;
  struct timespec t;
  assert_int_equal(clock_getcpuclockid(pid, &clock), 0);
  assert_int_equal(clock_gettime(clock, &t), 0);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static pid_t serve_with_files(rlim_t files, unsigned *port) {
  int ends[2];
  assert_int_equal(pipe(ends), 0);
  pid_t pid = fork();
  assert_true(pid >= 0);
  if (!pid) {
    http_settings s = {.assets = assets, .handler = handler};
    http_server *own;
    sg_error e = {0};
    struct rlimit limit = {files, files};
    for (int fd = 3; fd < 64; fd++)
      if (fd != ends[1]) close(fd);
    unsigned found = !setrlimit(RLIMIT_NOFILE, &limit) && !http_start(&s, &own, &e) ? http_port(own) : 0;
    if (write(ends[1], &found, sizeof found) != sizeof found) _exit(1);
    for (;;) pause();
  }
  close(ends[1]);
  assert_int_equal(read(ends[0], port, sizeof *port), sizeof *port);
  close(ends[0]);
  assert_true(*port);
  return pid;
}

/* Seconds until a page arrives, or until it is refused with 503. */
static double served(unsigned port) {
  char text[128];
  int n = snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: localhost:%u\r\n\r\n", port);
  double t = sgi_now();
  reply r = client_raw(port, text, (size_t)n);
  if (r.status != 200 && r.status != 503) fail_msg("a new client: status %d", r.status);
  reply_free(&r);
  return sgi_now() - t;
}

/* More idle connections than places, then than file descriptors. */
static void idle(unsigned port, pid_t pid, int *fd, int count, double wait, double *after) {
  char text[128];
  int n = snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: localhost:%u\r\n\r\n", port);
  for (int i = 0; i < count; i++) {
    fd[i] = client_connect(port);
    send(fd[i], text, (size_t)n, MSG_NOSIGNAL);
  }
  double cpu = cpu_of(pid);
  struct timespec nap = {(time_t)wait, 0};
  nanosleep(&nap, NULL);
  assert_true(cpu_of(pid) - cpu < 0.5 * wait); /* no spin */
  *after = served(port);
  if (*after >= client_patience(1)) fail_msg("a new client is served after %.3f s", *after);
  for (int i = 0; i < count; i++) close(fd[i]);
  double then = served(port);
  if (then >= client_patience(1)) fail_msg("once they are gone, a client is served after %.3f s", then);
}

static void idle_connections(void **state) {
  (void)state;
  enum { IDLE = 1024 };
  static int fd[IDLE];
  unsigned port;
  double after;
  pid_t pid = serve_with_files(4096, &port);
  idle(port, pid, fd, IDLE, 3, &after);
  print_message("1,024 idle connections: a new client is served after %.3f s\n", after);
  kill(pid, SIGKILL);
  waitpid(pid, NULL, 0);
  pid = serve_with_files(64, &port);
  idle(port, pid, fd, 128, 2, &after);
  print_message("64 descriptors, 128 idle connections: after %.3f s\n", after);
  kill(pid, SIGKILL);
  waitpid(pid, NULL, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(traversal), cmocka_unit_test(other_sites),
                                     cmocka_unit_test(million), cmocka_unit_test(idle_connections)};
  return cmocka_run_group_tests(tests, start, stop);
}
