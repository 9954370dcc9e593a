/* guard.h: what a request must look like before anything else sees it. Pure functions of text: no
 * socket, no model. Rules and reasons: docs/http.md, who may call. */
#ifndef SGS_GUARD_H
#define SGS_GUARD_H

#include <stdbool.h>
#include <stddef.h>

enum {
  GUARD_URI_MAX = 4096,
  GUARD_TOKEN = 32,
  GUARD_BODY_MAX = 1 << 20,
  GUARD_JSON_DEPTH = 32,
  GUARD_JSON_VALUES = 20000
};

/* What of a request decides whether it is answered. Strings are NULL where the header is absent. */
typedef struct guard_request {
  const char *method;
  const char *uri; /* as it came, not decoded: path and query */
  bool
      /* a NUL in the address, a header that is not as guard_header wants it, or twice one that
         decides something */
      broken;
  const char *host, *origin, *content_type, *fetch_site, *content_length, *transfer, *token;
  const char *last; /* value of the last header */
} guard_request;

/* HTTP status of the refusal, 0 where the request may go on. wanted: the token of this server, 32
 * hex digits; port: the one it listens on; host: the name it was told to listen on besides
 * loopback, NULL for none. api: the path asks for data, not for a page's file. */
int guard_check(const guard_request *r, unsigned port, const char *host, const char *wanted, bool api);

/* A header as it lies in the buffer it was read into: its name is a token (RFC 9110, 5.6.2), so
 * nothing stands between it and its colon; its value begins right behind, has no control byte, and
 * ends with CR LF. Readers before us that see white space, a folded line, a NUL or a bare CR
 * otherwise than libmicrohttpd would find another request in the same bytes. libmicrohttpd has put
 * NULs in place of the colon and of CR LF, and has copied the name of a folded line to another
 * place. */
bool guard_header(const char *name, const char *value);
/* A header into the request: its value where it decides something, which must not come twice. */
void guard_take(guard_request *r, const char *name, const char *value);
/* Behind the value of the last header stands the empty line, CR LF. (libmicrohttpd takes a line
 * without a name for it.) */
bool guard_last_header(const char *value);

/* The one spelling of a path that is answered: begins with '/', letters, digits, '-', '_', '.', '/'
 * only, no empty or dotted segment. */
bool guard_path(const char *uri, char *path, size_t size);

/* The text of a request's body is worth parsing: not too deep, not too many values. Looks at no
 * grammar: the parser does. */
bool guard_json(const char *text, size_t n);
bool guard_json_within(const char *text, size_t n, size_t depth, size_t values);

/* Compares in a time that does not depend on where they differ. */
bool guard_same(const char *a, const char *b, size_t n);

#endif
