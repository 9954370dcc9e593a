/* Both loopback addresses: the same port, the same rules, one set of places; machines without
 * ::1. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../server/http.h"
#include "../server/listen.h"
#include "http/client.h"

static http_server *server;
static bool has_six;
static const unsigned char page[] = "<!doctype html><title>x</title>";
static const http_asset assets[] = {{"/index.html", "text/html; charset=utf-8", page, sizeof page - 1}, {0}};

static sg_status handler(void *user, http_job *j, json_t **answer, sg_error *err) {
  (void)user, (void)err;
  *answer = json_deep_copy(http_job_body(j));
  return SG_OK;
}

/* A socket that listens on ::1 with a port of its own; -1 where there is no ::1. */
static int other_program(unsigned *port) {
  struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
  socklen_t n = sizeof a;
  int fd = socket(AF_INET6, SOCK_STREAM, 0);
  if (fd < 0 || bind(fd, (struct sockaddr *)&a, n) || listen(fd, 1)) {
    if (fd >= 0) close(fd);
    return -1;
  }
  assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
  *port = ntohs(a.sin6_port);
  return fd;
}

static int start(void **state) {
  (void)state;
  unsigned port;
  int fd = other_program(&port);
  has_six = fd >= 0;
  if (has_six) close(fd);
  struct rlimit files = {4096, 4096};
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
  http_settings s = {.assets = assets, .handler = handler};
  assert_sg_ok(http_start(&s, &server, err));
  return 0;
}
static int stop(void **state) {
  (void)state;
  http_stop(server);
  return 0;
}

static reply ask(const char *host, const char *path, const char *more) {
  char text[512];
  int n = snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: %s:%u\r\n%s\r\n", path, host, http_port(server), more);
  int fd = client_connect_six(http_port(server));
  assert_true(fd >= 0);
  reply r = client_exchange(fd, text, (size_t)n, 60);
  close(fd);
  return r;
}

static void same_rules(void **state) {
  (void)state;
  if (!has_six) skip();
  char token[80];
  snprintf(token, sizeof token, "X-Sgatlin-Token: %s\r\n", http_token(server));
  const struct {
    const char *host, *path, *more;
    int status;
  } all[] = {{"[::1]", "/", "", 200},
             {"localhost", "/", "", 200},
             {"[::1]", "/api/x", token, 200},
             {"[::1]", "/api/x", "", 401},
             {"[::2]", "/", "", 421},
             {"::1", "/", "", 421},
             {"[0:0:0:0:0:0:0:1]", "/", "", 421},
             {"[::ffff:127.0.0.1]", "/", "", 421},
             {"evil.example", "/", "", 421},
             {"[::1]", "/..%2f", "", 404},
             {"[::1]", "/", "Origin: http://evil.example\r\n", 403}};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    reply r = ask(all[i].host, all[i].path, all[i].more);
    if (r.status != all[i].status)
      fail_msg("%s %s: %d, expected %d", all[i].host, all[i].path, r.status, all[i].status);
    reply_free(&r);
  }
  /* Many requests on one connection. */
  char text[128];
  int n = snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: [::1]:%u\r\n\r\n", http_port(server));
  int fd = client_connect_six(http_port(server));
  for (int i = 0; i < 50; i++) {
    reply r = client_exchange(fd, text, (size_t)n, 60);
    assert_int_equal(r.status, 200);
    assert_string_equal(r.body, (const char *)page);
    reply_free(&r);
  }
  close(fd);
}

/* 700 connections that only wait, on ::1: new clients on either address are served. */
static void idle(void **state) {
  (void)state;
  if (!has_six) skip();
  enum { IDLE = 700 };
  static int fd[IDLE];
  for (int i = 0; i < IDLE; i++) fd[i] = client_connect_six(http_port(server));
  nanosleep(&(struct timespec){.tv_sec = 2}, NULL);
  double t = sgi_now();
  reply r = client_call(server, "/api/x", "{}", "");
  assert_int_equal(r.status, 200);
  reply_free(&r);
  r = ask("[::1]", "/", "");
  assert_int_equal(r.status, 200);
  reply_free(&r);
  double took = sgi_now() - t;
  if (took >= client_patience(1)) fail_msg("served after %.3f s", took);
  for (int i = 0; i < IDLE; i++) close(fd[i]);
}

/* Somebody else on ::1: an error where the port was asked for, another port where it was not. */
static void taken(void **state) {
  (void)state;
  if (!has_six) skip();
  unsigned port;
  int fd = other_program(&port);
  listening l;
  sg_error e = {0};
  assert_int_equal(listen_open(NULL, port, &l, &e), SG_ERR_IO);
  char words[40];
  snprintf(words, sizeof words, "[::1], port %u", port);
  assert_non_null(strstr(e.text, words));
  assert_true(l.four < 0 && l.six < 0);
  assert_sg_ok(listen_open("127.0.0.1", port, &l, err)); /* that address alone */
  assert_true(l.four >= 0 && l.six < 0);
  listen_close(&l);
  for (int i = 0; i < 50; i++) {
    assert_sg_ok(listen_open(NULL, 0, &l, err));
    assert_true(l.six >= 0 && l.port != port);
    listen_close(&l);
  }
  close(fd);
}

/* A network of its own without ::1, where the kernel allows that. */
static void without(void **state) {
  (void)state;
  pid_t pid = fork();
  assert_true(pid >= 0);
  if (!pid) {
    listening l;
    sg_error e = {0};
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET)) _exit(77);
    _exit(listen_open(NULL, 0, &l, &e) || l.four < 0 || l.six >= 0);
  }
  int how;
  assert_int_equal(waitpid(pid, &how, 0), pid);
  if (WIFEXITED(how) && WEXITSTATUS(how) == 77) skip();
  assert_true(WIFEXITED(how) && WEXITSTATUS(how) == 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(same_rules), cmocka_unit_test(idle), cmocka_unit_test(taken),
                                     cmocka_unit_test(without)};
  return cmocka_run_group_tests(tests, start, stop);
}
