/* http.h: sockets, limits and threads of the local server, over libmicrohttpd. Knows no model and
 * opens no file: pages come from a table in the program, answers from the caller's handler. */
#ifndef SGS_HTTP_H
#define SGS_HTTP_H

#include <stdbool.h>
#include <stddef.h>

#include "core/json.h"

typedef struct http_asset {
  const char *path, *type; /* "/app.js", "text/javascript" */
  const unsigned char *data;
  size_t size;
} http_asset;

/* One API request while its handler runs, on the worker thread. */
typedef struct http_job http_job;
bool http_job_is_post(const http_job *j);
const char *http_job_path(const http_job *j);
const json_t *http_job_body(const http_job *j); /* an object; empty for GET; borrowed */
/* The client has gone or asked to stop: long handlers look and return SG_ERR_CANCELLED. */
bool http_job_cancelled(const http_job *j);
/* Progress from 0 to 1 and a few words: seen only by clients that asked for an event stream. */
void http_job_progress(http_job *j, double part, const char *what);

/* A part of the answer that is there already, taken over; every one is sent, in order, to clients
 * that asked for an event stream, as "event: piece". */
void http_job_piece(http_job *j, json_t *piece);

/* Fills *answer (new reference) or err. Called from one thread at a time. SG_ERR_ARG becomes 400,
 * others 500; text of an error is shown to the client, so it must not hold a path of this machine.
 * An unknown path: leave *answer NULL and return SG_OK. */
typedef sg_status (*http_handler)(void *user, http_job *job, json_t **answer, sg_error *err);

typedef struct http_settings {
  const char *host;         /* NULL: loopback alone, 127.0.0.1 and, where there is one, ::1 */
  unsigned port;            /* 0: a free one */
  const http_asset *assets; /* ends with a NULL path; "/" is the first */
  http_handler handler;
  void *user;
} http_settings;

typedef struct http_server http_server;
sg_status http_start(const http_settings *s, http_server **out, sg_error *err);
unsigned http_port(const http_server *s);
const char *http_token(const http_server *s); /* 32 hex digits */
void http_stop(http_server *s);               /* NULL allowed */

#endif
