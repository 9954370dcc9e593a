/* listen.h: the sockets that the server listens on: both loopback addresses with the same port, or
 * the one that was asked for. */
#ifndef SGS_LISTEN_H
#define SGS_LISTEN_H

#include "core/base.h"

typedef struct listening {
  int four, six; /* -1: none */
  unsigned port;
} listening;

/* host NULL: 127.0.0.1 and ::1; else that IPv4 address alone. port 0: one that is free on both.
 * Where the machine has no ::1 it is left out; where somebody else listens on ::1 with a port that
 * was asked for, that is an error, as on 127.0.0.1: a browser that is told "localhost" could end up
 * there. */
sg_status listen_open(const char *host, unsigned port, listening *out, sg_error *err);
void listen_close(listening *l);

#endif
