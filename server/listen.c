#include "listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Free ports tried before it is given up that one is free on both addresses. */
enum { TRIES = 32 };

static int failed(int fd) {
  int error = errno;
  if (fd >= 0) close(fd);
  errno = error;
  return -1;
}

/* A socket that listens on the address; -1 with errno. */
static int listen_at(const struct sockaddr *a, socklen_t size) {
  int fd = socket(a->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1;
  if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on)) return failed(fd);
  if (a->sa_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on)) return failed(fd);
  if (bind(fd, a, size) || listen(fd, SOMAXCONN)) return failed(fd);
  return fd;
}

static sg_status open_four(const char *host, unsigned port, listening *l, sg_error *err) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  socklen_t n = sizeof a;
  if (inet_pton(AF_INET, host, &a.sin_addr) != 1 || a.sin_addr.s_addr == INADDR_ANY)
    return sgi_fail(err, SG_ERR_ARG, "--host %s: expected one IPv4 address of this machine, such as 127.0.0.1", host);
  l->four = listen_at((struct sockaddr *)&a, sizeof a);
  if (l->four < 0 || getsockname(l->four, (struct sockaddr *)&a, &n))
    return sgi_fail(err, SG_ERR_IO, "can not listen on %s, port %u: %s", host, port, strerror(errno));
  l->port = ntohs(a.sin_port);
  return SG_OK;
}

/* l->six on the port of l->four; *taken: somebody else listens there. */
static sg_status open_six(listening *l, bool *taken, sg_error *err) {
  struct sockaddr_in6 a = {
      .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)l->port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
  l->six = listen_at((struct sockaddr *)&a, sizeof a);
  *taken = l->six < 0 && errno == EADDRINUSE;
  if (l->six >= 0 || errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL || errno == EPROTONOSUPPORT) return SG_OK;
  return sgi_fail(err, SG_ERR_IO, "can not listen on [::1], port %u: %s", l->port, strerror(errno));
}

sg_status listen_open(const char *host, unsigned port, listening *l, sg_error *err) {
  listening passed[TRIES]; /* kept until the end, so that no port is given out twice */
  size_t n = 0;
  sg_status st;
  bool again;
  do {
    bool taken = false;
    *l = (listening){-1, -1, 0};
    st = open_four(host ? host : "127.0.0.1", port, l, err);
    if (!st && !host) st = open_six(l, &taken, err);
    if (st) passed[n++] = *l;
    again = taken && !port && n < TRIES;
  } while (again);
  for (size_t i = 0; i < n; i++) listen_close(&passed[i]);
  if (st) *l = (listening){-1, -1, 0};
  return st;
}

void listen_close(listening *l) {
  if (l->four >= 0) close(l->four);
  if (l->six >= 0) close(l->six);
  *l = (listening){-1, -1, 0};
}
