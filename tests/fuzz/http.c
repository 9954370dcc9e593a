/* http.c: a request as text through every check and into its handler, without a socket. The first
 * line is METHOD URI, then headers, an empty line and the body. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../server/api.h"
#include "../server/jobs.h"
#include "core/arena.h"
#include "core/json.h"
#include "fuzz/target.h"

#define MODEL "tests/golden/eval/model"
#define TOKEN "0123456789abcdef0123456789abcdef"
enum { PORT = 8123 };

static explorer all;
static job_queue queue = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void begin_http(void) {
  sg_error err = {0};
  fuzz_expect(!sg_model_load(MODEL, &all.model, &err), err.text);
  fuzz_expect(!sg_tokenizer_load(MODEL "/tokenizer.json", &all.tokenizer, &err), err.text);
  all.name = sgi_strdup("model");
}

/* As libmicrohttpd holds it: NULs in place of the colon and of CR LF. at has room for the line and
 * three NULs. */
static char *header(guard_request *r, const char *line, char *at) {
  char *name = at;
  size_t n = strlen(line);
  memcpy(at, line, n + 1);
  at[n + 1] = at[n + 2] = '\0';
  char *value = strchr(name, ':');
  if (!value) {
    r->broken = true;
    return at + n + 2;
  }
  for (*value++ = '\0'; *value == ' ' || *value == '\t';) value++;
  guard_take(r, name, value);
  return at + n + 2;
}

static void handle(const char *method, const char *path, char *body, size_t n, fuzz_outcome *out) {
  http_job *j = sgi_alloc(sizeof *j);
  json_t *answer = NULL;
  if (!j) return;
  j->queue = &queue;
  j->fd = -1;
  j->post = !strcmp(method, "POST");
  j->deadline = 1e18;
  snprintf(j->path, sizeof j->path, "%s", path);
  if (n && (!guard_json(body, n) || sgi_json_parse(body, n, "request", &j->body, &out->err))) goto done;
  if (!j->body) j->body = json_object();
  if (!json_is_object(j->body)) goto done;
  out->status = api_handle(&all, j, &answer, &out->err);
  fuzz_expect(!out->status || *out->err.text, "a refusal without a word");
  fuzz_expect(out->status || !answer || json_is_object(answer) || json_is_array(answer), "an answer that is none");
  /* unless the request said it: an error names the key that is wrong */
  fuzz_expect(!strstr(out->err.text, MODEL) || memmem(body, n, MODEL, strlen(MODEL)),
              "an error tells a path of this machine");
  if (answer) {
    char *text = json_dumps(answer, JSON_COMPACT);
    fuzz_expect(text != NULL, "an answer can not be written");
    free(text);
  }
  json_decref(answer);
done:
  json_decref(j->body);
  sgi_free(j);
}

static void run_http(const uint8_t *data, size_t n, fuzz_outcome *out) {
  char path[GUARD_URI_MAX], *text, *p, *uri;
  if (n > 65536) return;
  text = malloc(n + 1);
  char *headers = calloc(3, n + 4), *next = headers;
  if (!text || !headers) abort();
  memcpy(text, data, n);
  text[n] = '\0';
  guard_request r = {.method = text};
  p = strchr(text, '\n');
  if (p) *p++ = '\0';
  uri = strchr(text, ' ');
  if (uri) *uri++ = '\0';
  r.uri = uri ? uri : "";
  while (p && *p && *p != '\n') {
    char *line = p;
    p = strchr(p, '\n');
    if (p) *p++ = '\0';
    next = header(&r, line, next);
  }
  char *body = p && *p == '\n' ? p + 1 : text + n;
  bool api = !strncmp(r.uri, "/api/", 5);
  int status = strlen(r.uri) < GUARD_URI_MAX ? guard_check(&r, PORT, NULL, TOKEN, api) : 414;
  fuzz_expect(status == 0 || (status >= 400 && status < 500), "a refusal that is no 4xx");
  if (!status && guard_path(r.uri, path, sizeof path)) {
    /* "..": a segment that begins so; "a..b" is a name like others */
    fuzz_expect(*path == '/' && !strstr(path, "/.") && !strstr(path, "//"), "a path that leaves its place");
    /* what was let through is what may be */
    fuzz_expect(r.host && (!strcmp(r.host, "127.0.0.1:8123") || !strcmp(r.host, "localhost:8123") ||
                           !strcmp(r.host, "[::1]:8123")),
                "another host");
    if (api) {
      fuzz_expect(r.token && !strcmp(r.token, TOKEN), "an answer without the token");
      handle(r.method, path, body, (size_t)(text + n - body), out);
    }
  }
  guard_json((const char *)data, n);
  free(headers);
  free(text);
}

const fuzz_target fuzz_http = {"http", begin_http, run_http};
