/* client.h: a plain HTTP client for the tests of the server: what it sends is written by hand, so
 * that it can be wrong. */
#ifndef TEST_CLIENT_H
#define TEST_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

#include "../server/http.h"
#include "support/golden.h"

typedef struct reply {
  int status;    /* 0: the server closed without an answer, or was silent for the time given */
  bool complete; /* the body ended as announced */
  char *head, *body;
  size_t n; /* of body */
} reply;
void reply_free(reply *r);
/* Value of a header into a ring of buffers; "" where absent. */
const char *reply_header(const reply *r, const char *name);

/* A bound on time: `strict` seconds where LOAD_STRICT is set (a quiet machine), otherwise a minute,
 * which only a server that hangs will miss. */
double client_patience(double strict);
int client_connect(unsigned port);     /* 127.0.0.1 */
int client_connect_six(unsigned port); /* ::1; -1 where nobody listens there */
/* Sends n bytes and reads one answer; waits at most `seconds` for each piece. Leaves the connection
 * open. */
reply client_exchange(int fd, const char *bytes, size_t n, double seconds);
/* On a connection of its own. */
reply client_raw(unsigned port, const char *bytes, size_t n);
/* A right request; body NULL: GET. extra: more header lines, each with \r\n, or "". */
reply client_call(const http_server *s, const char *path, const char *body, const char *extra);
/* The same as text, for tests that change it. New: free. */
char *client_request(const http_server *s, const char *path, const char *body, const char *extra);

#endif
