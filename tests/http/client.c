#include "http/client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

void reply_free(reply *r) {
  free(r->head);
  free(r->body);
  *r = (reply){0};
}

const char *reply_header(const reply *r, const char *name) {
  static char ring[4][512];
  static unsigned at;
  char *out = ring[at++ % 4];
  *out = 0;
  size_t n = strlen(name);
  for (const char *line = r->head; line; line = strstr(line, "\r\n") ? strstr(line, "\r\n") + 2 : NULL)
    if (!strncasecmp(line, name, n) && line[n] == ':') {
      const char *v = line + n + 1 + strspn(line + n + 1, " ");
      snprintf(out, sizeof ring[0], "%.*s", (int)strcspn(v, "\r\n"), v);
    }
  return out;
}

double client_patience(double strict) { return getenv("LOAD_STRICT") ? strict : 60; }

int client_connect(unsigned port) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  assert_true(fd >= 0);
  assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
  return fd;
}

int client_connect_six(unsigned port) {
  struct sockaddr_in6 a = {
      .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
  int fd = socket(AF_INET6, SOCK_STREAM, 0);
  if (fd >= 0 && !connect(fd, (struct sockaddr *)&a, sizeof a)) return fd;
  if (fd >= 0) close(fd);
  return -1;
}

/* More bytes into *text; false at the end or in silence. */
static bool more(int fd, char **text, size_t *n, double seconds) {
  struct pollfd p = {.fd = fd, .events = POLLIN};
  if (poll(&p, 1, (int)(1000 * seconds)) != 1) return false;
  char *grown = realloc(*text, *n + 65537);
  assert_non_null(grown);
  *text = grown;
  ssize_t got = recv(fd, *text + *n, 65536, 0);
  if (got > 0) *n += (size_t)got;
  (*text)[*n] = 0;
  return got > 0;
}

static void take_chunks(reply *r, int fd, char **text, size_t *n, size_t at, double seconds) {
  for (;;) {
    char *line;
    while (!(line = strstr(*text + at, "\r\n")))
      if (!more(fd, text, n, seconds)) return;
    size_t size = strtoul(*text + at, NULL, 16), from = (size_t)(line - *text) + 2;
    while (*n < from + size + 2)
      if (!more(fd, text, n, seconds)) return;
    if (!size) {
      r->complete = true;
      return;
    }
    r->body = realloc(r->body, r->n + size + 1);
    memcpy(r->body + r->n, *text + from, size);
    r->n += size;
    r->body[r->n] = 0;
    at = from + size + 2;
  }
}

reply client_exchange(int fd, const char *bytes, size_t size, double seconds) {
  reply r = {0};
  char *text = calloc(1, 1);
  size_t n = 0;
  for (size_t sent = 0; sent < size;) {
    ssize_t k = send(fd, bytes + sent, size - sent, MSG_NOSIGNAL);
    if (k <= 0) break; /* refused early: the answer is there to be read */
    sent += (size_t)k;
  }
  char *end;
  while (!(end = strstr(text, "\r\n\r\n")))
    if (!more(fd, &text, &n, seconds)) {
      free(text);
      return r;
    }
  size_t head = (size_t)(end - text) + 4;
  r.head = strndup(text, head - 2);
  r.status = atoi(text + 9);
  r.body = calloc(1, 1);
  if (!strcasecmp(reply_header(&r, "Transfer-Encoding"), "chunked")) {
    take_chunks(&r, fd, &text, &n, head, seconds);
  } else {
    size_t length = strtoul(reply_header(&r, "Content-Length"), NULL, 10);
    while (n < head + length && more(fd, &text, &n, seconds)) {}
    r.n = n - head < length ? n - head : length;
    r.complete = r.n == length;
    r.body = realloc(r.body, r.n + 1);
    memcpy(r.body, text + head, r.n);
    r.body[r.n] = 0;
  }
  free(text);
  return r;
}

reply client_raw(unsigned port, const char *bytes, size_t n) {
  int fd = client_connect(port);
  reply r = client_exchange(fd, bytes, n, 60);
  close(fd);
  return r;
}

char *client_request(const http_server *s, const char *path, const char *body, const char *extra) {
  char *out;
  size_t n = body ? strlen(body) : 0;
  char length[96] = "";
  if (body) snprintf(length, sizeof length, "Content-Type: application/json\r\nContent-Length: %zu\r\n", n);
  assert_true(asprintf(&out, "%s %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nX-Sgatlin-Token: %s\r\n%s%s\r\n%s",
                       body ? "POST" : "GET", path, http_port(s), http_token(s), length, extra, body ? body : "") > 0);
  return out;
}

reply client_call(const http_server *s, const char *path, const char *body, const char *extra) {
  char *text = client_request(s, path, body, extra);
  reply r = client_raw(http_port(s), text, strlen(text));
  free(text);
  return r;
}
