/* Requests that two readers could take for two different ones: headers that are no headers, and two
 * ways to tell where a body ends. Each is answered once, with 400, and its connection is closed:
 * what follows on it is not read as a request. */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../server/http.h"
#include "core/base.h"
#include "http/client.h"

static http_server *server;
static atomic_int started;

static sg_status handler(void *user, http_job *j, json_t **answer, sg_error *err) {
  (void)user, (void)err;
  started++;
  *answer = json_deep_copy(http_job_body(j));
  return SG_OK;
}

static int start(void **state) {
  (void)state;
  http_settings s = {.handler = handler};
  assert_sg_ok(http_start(&s, &server, err));
  return 0;
}

static int stop(void **state) {
  (void)state;
  http_stop(server);
  return 0;
}

typedef struct bytes {
  char text[4096];
  size_t n;
} bytes;

static void put(bytes *b, const char *text, size_t n) {
  assert_true(b->n + n < sizeof b->text);
  memcpy(b->text + b->n, text, n);
  b->n += n;
}

/* A request that is right but for the lines put in before `length`, the line that announces the
 * body. */
static bytes request(const char *lines, size_t n, const char *length) {
  bytes b = {.n = 0};
  char head[256];
  int m = snprintf(head, sizeof head,
                   "POST /api/echo HTTP/1.1\r\nHost: localhost:%u\r\nX-Sgatlin-Token: %s\r\nContent-Type: "
                   "application/json\r\n",
                   http_port(server), http_token(server));
  put(&b, head, (size_t)m);
  put(&b, lines, n);
  put(&b, length, strlen(length));
  put(&b, "\r\n{\"a\":1}", 9);
  return b;
}

/* Status of the first answer, then all until the server closes: that it does is part of the test.
 * libmicrohttpd sends the head of its own refusals twice; how many answers came is told by the jobs
 * that began. */
static int answer(const bytes *b, bool byte_by_byte) {
  char got[8192];
  size_t n = 0;
  int status = 0;
  int fd = client_connect(http_port(server));
  assert_true(fd >= 0);
  for (size_t i = 0; byte_by_byte && i < b->n; i++)
    if (send(fd, b->text + i, 1, MSG_NOSIGNAL) != 1) break;
  if (!byte_by_byte) assert_int_equal(send(fd, b->text, b->n, MSG_NOSIGNAL), b->n);
  shutdown(fd, SHUT_WR);
  for (ssize_t k; n + 1 < sizeof got && (k = recv(fd, got + n, sizeof got - 1 - n, 0)) > 0;) n += (size_t)k;
  close(fd);
  got[n] = 0;
  sscanf(got, "HTTP/1.1 %d", &status);
  return status;
}

#define LINE(text) \
  { text, sizeof text - 1 }
static const struct {
  const char *text;
  size_t n;
} wrong[] = {LINE("Transfer-Encoding : chunked\r\n"),
             LINE("Transfer-Encoding\t: chunked\r\n"),
             LINE("Transfer-Encoding\v: chunked\r\n"),
             LINE("Transfer-Encoding\0: chunked\r\n"),
             LINE("Transfer Encoding: chunked\r\n"),
             LINE("Transfer-Encoding: chunked\r\n"),
             LINE("transfer-encoding:chunked\r\n"),
             LINE("Transfer-Encoding: identity\r\n"),
             LINE("Transfer-Encoding: xchunked\r\n"),
             LINE("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"),
             LINE("Transfer-Encoding:\r\n chunked\r\n"),
             LINE("Transfer-Encoding: \x0b"
                  "chunked\r\n"),
             LINE("X: a\r\n Transfer-Encoding: chunked\r\n"),
             LINE("X: a\r\n\tb\r\n"),
             LINE("X: a\r\n \r\n"),
             LINE("X:\r\n a\r\n"),
             LINE("Content-Length : 3\r\n"),
             LINE("Content-Length\t: 3\r\n"),
             LINE("Content-Length: 3\r\n"),
             LINE("Content-Length: 7\r\n"),
             LINE("content-length: 0\r\n"),
             LINE("Host : evil.example\r\n"),
             LINE("Host: localhost\r\n"),
             LINE("X-Sgatlin-Token : 1\r\n"),
             LINE(" X: a\r\n"),
             LINE(": a\r\n"),
             LINE(" : a\r\n"),
             LINE("X Y: a\r\n"),
             LINE("X(: a\r\n"),
             LINE("X\xc3\xa4: a\r\n"),
             LINE("X\x7f: a\r\n"),
             LINE("X\0: a\r\n"),
             LINE("X: a\0b\r\n"),
             LINE("X: a\rTransfer-Encoding: chunked\r\n"),
             LINE("X: a\x01\r\n"),
             LINE("X: a\nY: b\r\n"),
             LINE("Y: b\rZ: c\r\n")};

static void refused_and_closed(void **state) {
  (void)state;
  bytes again = request("", 0, "Content-Length: 7\r\n");
  int before = started;
  for (size_t i = 0; i < SGI_COUNT(wrong); i++)
    for (int drip = 0; drip < 2; drip++) {
      bytes b = request(wrong[i].text, wrong[i].n, "Content-Length: 7\r\n");
      put(&b, again.text, again.n);
      int status = answer(&b, drip);
      if (status != 400) fail_msg("%zu: %s: %d, expected 400", i, wrong[i].text, status);
    }
  assert_int_equal(started, before);
}

static void folded_length(void **state) {
  (void)state;
  static const char *const lengths[] = {"Content-Length: 7\r\n 0\r\n", "Content-Length:\r\n 7\r\n",
                                        "Content-Length: 7 \r\n", "Content-Length: 7, 7\r\n",
                                        "Content-Length: 07 7\r\n"};
  int before = started;
  for (size_t i = 0; i < SGI_COUNT(lengths); i++) {
    bytes b = request("", 0, lengths[i]);
    bytes again = request("", 0, "Content-Length: 7\r\n");
    put(&b, again.text, again.n);
    int status = answer(&b, false);
    if (status != 400) fail_msg("%s: %d", lengths[i], status);
  }
  assert_int_equal(started, before);
}

/* The same check on what is right: no header of a usual client is refused. */
static void usual_headers(void **state) {
  (void)state;
  static const char *const fine[] = {"X: a\r\n",
                                     "X:a\r\n",
                                     "X:\r\n",
                                     "X: \r\n",
                                     "X:\t a b\tc\r\n",
                                     "X: a\r\nX: b\r\n",
                                     "x-!#$%&'*+-.^_`|~09: \"q\"; \xc3\xa4\r\n",
                                     "Accept: */*\r\nAccept-Encoding: gzip, deflate, br\r\nConnection: keep-alive\r\n"};
  for (size_t i = 0; i < SGI_COUNT(fine); i++)
    for (int drip = 0; drip < 2; drip++) {
      bytes b = request(fine[i], strlen(fine[i]), "Content-Length: 7\r\n");
      bytes again = request("", 0, "Content-Length: 7\r\n");
      put(&b, again.text, again.n);
      int before = started, status = answer(&b, drip);
      if (status != 200 || started != before + 2) fail_msg("%s: %d, %d jobs of 2", fine[i], status, started - before);
    }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(refused_and_closed), cmocka_unit_test(folded_length),
                                     cmocka_unit_test(usual_headers)};
  return cmocka_run_group_tests(tests, start, stop);
}
