#include "http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/arena.h"
#include "core/json.h"
#include "guard.h"

/* One job runs, WAITING wait, the rest is told to come again. */
enum {
  WAITING = 8,
  HEADER_SECONDS = 5,
  BODY_SECONDS = 15,
  IDLE_SECONDS = 20,
  MAX_CONNECTIONS = 512,
  HEADER_BYTES = 32768
};

/* What a connection owes, and since when: the reaper closes it past the deadline of its state. */
typedef enum peer_state { AWAIT_HEADERS, AWAIT_BODY, AT_WORK, SENDING, STREAMING } peer_state;

typedef struct peer {
  struct peer *next, *before;
  int fd;
  double since;
  peer_state state;
} peer;

struct http_job {
  http_server *server;
  struct MHD_Connection *connection;
  http_job *next; /* in the queue */
  char path[GUARD_URI_MAX];
  char *text; /* body */
  size_t used, expected;
  json_t *body;
  bool queued, done, gone, stream;
  int status;
  char *answer; /* from jansson */
  char event[256];
  bool new_event, sent;
  size_t offset;
};

struct http_server {
  http_settings settings;
  struct MHD_Daemon *daemon;
  unsigned port;
  char token[GUARD_TOKEN + 1];
  pthread_mutex_t lock;
  pthread_cond_t wake;
  pthread_t worker, reaper;
  bool worker_on, reaper_on, stopping;
  http_job *first, **last, *running;
  size_t waiting;
  peer *peers;
};

/* ---- answers ------------------------------------------------------------------------------------------------------- */

static void add_headers(struct MHD_Response *r, const char *type) {
  static const char *const all[][2] = {{"Content-Security-Policy",
                                        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: "
                                        "blob:; font-src 'self'; connect-src 'self'; "
                                        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
                                       {"X-Content-Type-Options", "nosniff"},
                                       {"Referrer-Policy", "no-referrer"},
                                       {"Cross-Origin-Resource-Policy", "same-origin"},
                                       {"Cross-Origin-Opener-Policy", "same-origin"},
                                       {"Cache-Control", "no-store"}};
  for (size_t i = 0; i < SGI_COUNT(all); i++) MHD_add_response_header(r, all[i][0], all[i][1]);
  MHD_add_response_header(r, "Content-Type", type);
}

static peer *peer_of(struct MHD_Connection *c) {
  const union MHD_ConnectionInfo *i = MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
  return i ? i->socket_context : NULL;
}

static void enter(http_server *s, peer *p, peer_state state) {
  if (!p) return;
  pthread_mutex_lock(&s->lock);
  p->state = state;
  p->since = sgi_now();
  pthread_mutex_unlock(&s->lock);
}

static enum MHD_Result send_response(http_server *s, struct MHD_Connection *c, int status, struct MHD_Response *r,
                                     peer_state state) {
  if (!r) return MHD_NO;
  enter(s, peer_of(c), state);
  if (status >= 400) MHD_add_response_header(r, "Connection", "close");
  enum MHD_Result ok = MHD_queue_response(c, (unsigned)status, r);
  MHD_destroy_response(r);
  return ok;
}

static enum MHD_Result refuse(http_server *s, struct MHD_Connection *c, int status, const char *text) {
  char body[1200];
  json_t *o = json_pack("{s:i, s:s}", "status", status, "error", text);
  char *t = o ? json_dumps(o, JSON_COMPACT) : NULL;
  snprintf(body, sizeof body, "%s", t ? t : "{}");
  free(t);
  json_decref(o);
  struct MHD_Response *r = MHD_create_response_from_buffer(strlen(body), body, MHD_RESPMEM_MUST_COPY);
  if (r) add_headers(r, "application/json");
  return send_response(s, c, status, r, SENDING);
}

static const char *reason(int status) {
  switch (status) {
    case 401: return "the token is missing or wrong: open the address that sgatlin printed";
    case 403: return "the request comes from another page";
    case 405: return "this method is not answered here";
    case 411: return "a request with a body needs Content-Length";
    case 413: return "the request is larger than 1 MB";
    case 414: return "the address is too long";
    case 415: return "a request must be application/json";
    case 421: return "this server answers to 127.0.0.1 and localhost only";
    default: return "the request is malformed";
  }
}

static enum MHD_Result send_asset(http_server *s, struct MHD_Connection *c, const char *path) {
  const http_asset *a = s->settings.assets;
  if (strcmp(path, "/"))
    while (a && a->path && strcmp(a->path, path)) a++;
  if (!a || !a->path) return refuse(s, c, 404, "there is no such page");
  struct MHD_Response *r = MHD_create_response_from_buffer(a->size, (void *)a->data, MHD_RESPMEM_PERSISTENT);
  if (r) add_headers(r, a->type);
  return send_response(s, c, 200, r, SENDING);
}

/* ---- event streams --------------------------------------------------------------------------------------------------- */

/* Called by libmicrohttpd's thread for more bytes of a stream: a progress event, or the end. */
static ssize_t next_event(void *cls, uint64_t position, char *to, size_t max) {
  (void)position;
  http_job *j = cls;
  http_server *s = j->server;
  ssize_t n = 0;
  pthread_mutex_lock(&s->lock);
  if (j->new_event && strlen(j->event) <= max) {
    n = (ssize_t)strlen(j->event);
    memcpy(to, j->event, (size_t)n);
    j->new_event = false;
  } else if (j->done && !j->sent) {
    /* "event: done" or "error", then the answer in pieces, then two line ends. */
    const char *head = j->status == 200 ? "event: done\ndata: " : "event: error\ndata: ", *tail = "\n\n";
    size_t h = strlen(head), a = strlen(j->answer), all = h + a + 2, k = 0;
    for (; k < max && j->offset < all; k++, j->offset++)
      to[k] = j->offset < h ? head[j->offset] : j->offset < h + a ? j->answer[j->offset - h] : tail[j->offset - h - a];
    j->sent = j->offset == all;
    n = (ssize_t)k;
  } else if (j->done) {
    n = MHD_CONTENT_READER_END_OF_STREAM;
  } else {
    MHD_suspend_connection(j->connection);
  }
  pthread_mutex_unlock(&s->lock);
  return n;
}

void http_job_progress(http_job *j, double part, const char *what) {
  if (!j->stream) return;
  json_t *o = json_pack("{s:f, s:s}", "part", part, "what", what);
  char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
  json_decref(o);
  pthread_mutex_lock(&j->server->lock);
  if (text && !j->gone && strlen(text) + 32 < sizeof j->event) {
    snprintf(j->event, sizeof j->event, "event: progress\ndata: %s\n\n", text);
    j->new_event = true;
    MHD_resume_connection(j->connection);
  }
  pthread_mutex_unlock(&j->server->lock);
  free(text);
}

bool http_job_cancelled(const http_job *j) {
  pthread_mutex_lock(&j->server->lock);
  bool gone = j->gone || j->server->stopping;
  pthread_mutex_unlock(&j->server->lock);
  return gone;
}

const char *http_job_path(const http_job *j) { return j->path; }
const json_t *http_job_body(const http_job *j) { return j->body; }

/* ---- worker ---------------------------------------------------------------------------------------------------------- */

static void job_free(http_job *j) {
  if (!j) return;
  sgi_free(j->text);
  json_decref(j->body);
  free(j->answer);
  sgi_free(j);
}

static void answer_error(http_job *j, int status, const char *text) {
  json_t *o = json_pack("{s:i, s:s}", "status", status, "error", text);
  free(j->answer);
  j->answer = o ? json_dumps(o, JSON_COMPACT) : NULL;
  json_decref(o);
  j->status = status;
}

static void run_job(http_server *s, http_job *j) {
  sg_error err = {0};
  json_t *answer = NULL;
  sg_status st = s->settings.handler(s->settings.user, j, &answer, &err);
  if (!st && answer) {
    j->answer = json_dumps(answer, JSON_COMPACT | JSON_REAL_PRECISION(9));
    j->status = 200;
  } else if (!st) {
    answer_error(j, 404, "there is no such call");
  } else {
    answer_error(j, st == SG_ERR_ARG || st == SG_ERR_UNSUPPORTED ? 400 : st == SG_ERR_CANCELLED ? 499 : 500, err.text);
  }
  json_decref(answer);
  if (!j->answer) j->status = 500;
}

static void *work(void *cls) {
  http_server *s = cls;
  pthread_mutex_lock(&s->lock);
  while (!s->stopping) {
    http_job *j = s->first;
    if (!j) {
      pthread_cond_wait(&s->wake, &s->lock);
      continue;
    }
    s->first = j->next;
    if (!s->first) s->last = &s->first;
    s->waiting--;
    s->running = j;
    bool skip = j->gone;
    pthread_mutex_unlock(&s->lock);
    if (!skip) run_job(s, j);
    pthread_mutex_lock(&s->lock);
    s->running = NULL;
    j->done = true;
    if (!j->answer) j->status = 500;
    if (j->gone)
      job_free(j);
    else
      MHD_resume_connection(j->connection);
  }
  pthread_mutex_unlock(&s->lock);
  return NULL;
}

static bool enqueue(http_server *s, http_job *j) {
  pthread_mutex_lock(&s->lock);
  bool room = s->waiting < WAITING && !s->stopping;
  if (room) {
    j->queued = true;
    *s->last = j;
    s->last = &j->next;
    s->waiting++;
    if (!j->stream) MHD_suspend_connection(j->connection);
    pthread_cond_signal(&s->wake);
  }
  pthread_mutex_unlock(&s->lock);
  return room;
}

/* ---- requests -------------------------------------------------------------------------------------------------------- */

static enum MHD_Result count_host(void *cls, enum MHD_ValueKind kind, const char *key, const char *value) {
  (void)kind, (void)value;
  if (key && !strcasecmp(key, "Host")) ++*(unsigned *)cls;
  return MHD_YES;
}

static const char *header(struct MHD_Connection *c, const char *name) {
  return MHD_lookup_connection_value(c, MHD_HEADER_KIND, name);
}

/* The first call for a request: its headers are there. Leaves *job NULL where the request was answered at once. */
static enum MHD_Result begin(http_server *s, struct MHD_Connection *c, const char *method, const char *raw,
                             http_job **job) {
  enter(s, peer_of(c), AWAIT_BODY);
  guard_request r = {.method = method,
                     .uri = raw,
                     .host = header(c, "Host"),
                     .origin = header(c, "Origin"),
                     .content_type = header(c, "Content-Type"),
                     .fetch_site = header(c, "Sec-Fetch-Site"),
                     .content_length = header(c, "Content-Length"),
                     .token = header(c, "X-Sgatlin-Token"),
                     .chunked = header(c, "Transfer-Encoding") != NULL};
  MHD_get_connection_values(c, MHD_HEADER_KIND, count_host, &r.n_host);
  char path[GUARD_URI_MAX];
  bool api = !strncmp(raw, "/api/", 5);
  int status = guard_check(&r, s->port, s->settings.host, s->token, api);
  if (status) return refuse(s, c, status, reason(status));
  if (!guard_path(raw, path, sizeof path)) return refuse(s, c, 404, "there is no such page");
  if (!api) return send_asset(s, c, path);
  http_job *j = sgi_alloc(sizeof *j);
  if (!j) return refuse(s, c, 503, "out of memory");
  j->server = s;
  j->connection = c;
  memcpy(j->path, path, sizeof path);
  j->expected = r.content_length ? strtoul(r.content_length, NULL, 10) : 0;
  const char *accept = header(c, "Accept");
  j->stream = accept && !strcmp(accept, "text/event-stream");
  if (j->expected && !(j->text = sgi_alloc(j->expected + 1))) {
    job_free(j);
    return refuse(s, c, 503, "out of memory");
  }
  *job = j;
  return MHD_YES;
}

static enum MHD_Result finish(http_job *j) {
  struct MHD_Response *r =
      j->answer ? MHD_create_response_from_buffer(strlen(j->answer), j->answer, MHD_RESPMEM_MUST_COPY) : NULL;
  if (!r) return refuse(j->server, j->connection, 500, "out of memory");
  add_headers(r, "application/json");
  return send_response(j->server, j->connection, j->status, r, SENDING);
}

static enum MHD_Result stream(http_job *j) {
  struct MHD_Response *r = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 16384, next_event, j, NULL);
  if (r) add_headers(r, "text/event-stream");
  return send_response(j->server, j->connection, 200, r, STREAMING);
}

static enum MHD_Result start_job(http_job *j) {
  sg_error err = {0};
  j->body = json_object();
  if (j->expected) {
    json_decref(j->body);
    j->body = NULL;
    if (sgi_json_parse(j->text, j->used, "request", &j->body, &err))
      return refuse(j->server, j->connection, 400, err.text);
    if (!json_is_object(j->body)) return refuse(j->server, j->connection, 400, "the request must be a JSON object");
  }
  if (!enqueue(j->server, j)) return refuse(j->server, j->connection, 429, "too many requests wait: try again");
  if (j->stream) return stream(j);
  enter(j->server, peer_of(j->connection), AT_WORK);
  return MHD_YES;
}

/* Not decoded: libmicrohttpd's own url lacks what the client really wrote. Kept until the request ends. */
static void *keep_uri(void *cls, const char *uri, struct MHD_Connection *c) {
  (void)cls, (void)c;
  return strndup(uri, GUARD_URI_MAX + 1);
}

typedef struct context {
  char *uri;
  http_job *job;
} context;

static enum MHD_Result on_request(void *cls, struct MHD_Connection *c, const char *url, const char *method,
                                  const char *version, const char *data, size_t *size, void **con) {
  (void)url, (void)version;
  http_server *s = cls;
  char *raw = *con;
  /* *con begins as the kept address and becomes a context with the first call. */
  union {
    void *p;
    uintptr_t n;
  } tag = {.p = *con};
  if (!(tag.n & 1)) {
    context *x = sgi_alloc(sizeof *x);
    if (!x || !raw) {
      sgi_free(x);
      return MHD_NO;
    }
    x->uri = raw;
    tag.p = x;
    tag.n |= 1; /* 64-byte aligned: the low bit is free */
    *con = tag.p;
    return begin(s, c, method, x->uri, &x->job);
  }
  tag.n &= ~(uintptr_t)1;
  http_job *j = ((context *)tag.p)->job;
  if (!j) return MHD_NO;
  if (*size) {
    size_t room = j->expected - j->used, n = *size < room ? *size : room;
    memcpy(j->text + j->used, data, n);
    j->used += n;
    *size = n == *size ? 0 : *size - n;
    return n || !*size ? MHD_YES : MHD_NO;
  }
  if (!j->queued) return start_job(j);
  return j->done ? finish(j) : MHD_YES;
}

static void on_completed(void *cls, struct MHD_Connection *c, void **con, enum MHD_RequestTerminationCode toe) {
  (void)c, (void)toe;
  http_server *s = cls;
  union {
    void *p;
    uintptr_t n;
  } tag = {.p = *con};
  *con = NULL;
  if (!(tag.n & 1)) {
    free(tag.p);
    return;
  }
  tag.n &= ~(uintptr_t)1;
  context *x = tag.p;
  http_job *j = x->job;
  free(x->uri);
  sgi_free(x);
  if (!j) return;
  pthread_mutex_lock(&s->lock);
  bool mine = !j->queued || j->done; /* else the worker frees it */
  j->gone = true;
  pthread_mutex_unlock(&s->lock);
  if (mine) job_free(j);
}

/* ---- connections ------------------------------------------------------------------------------------------------------- */

static void on_connection(void *cls, struct MHD_Connection *c, void **socket_context,
                          enum MHD_ConnectionNotificationCode what) {
  http_server *s = cls;
  pthread_mutex_lock(&s->lock);
  if (what == MHD_CONNECTION_NOTIFY_STARTED) {
    peer *p = sgi_alloc(sizeof *p);
    const union MHD_ConnectionInfo *i = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
    *socket_context = p;
    if (p) {
      *p = (peer){.fd = i ? i->connect_fd : -1, .since = sgi_now(), .next = s->peers};
      if (s->peers) s->peers->before = p;
      s->peers = p;
    }
  } else if (*socket_context) {
    peer *p = *socket_context;
    if (p->before)
      p->before->next = p->next;
    else
      s->peers = p->next;
    if (p->next) p->next->before = p->before;
    sgi_free(p);
    *socket_context = NULL;
  }
  pthread_mutex_unlock(&s->lock);
}

/* libmicrohttpd's timeout counts idle time alone: a client that drips one byte every few seconds would hold its place for ever. */
/* Seconds in each state. After an answer the next request's headers are awaited: SENDING covers that too. */
static const double deadlines[] = {
    [AWAIT_HEADERS] = 5, [AWAIT_BODY] = 15, [AT_WORK] = 3600, [SENDING] = 20, [STREAMING] = 3600};

static void *reap(void *cls) {
  http_server *s = cls;
  for (;;) {
    nanosleep(&(struct timespec){.tv_nsec = 250000000}, NULL);
    pthread_mutex_lock(&s->lock);
    if (s->stopping) break;
    double t = sgi_now();
    for (peer *p = s->peers; p; p = p->next)
      if (p->fd >= 0 && t - p->since > deadlines[p->state]) shutdown(p->fd, SHUT_RDWR);

    pthread_mutex_unlock(&s->lock);
  }
  pthread_mutex_unlock(&s->lock);
  return NULL;
}

/* ---- start and stop ------------------------------------------------------------------------------------------------------ */

static sg_status make_token(char *out, sg_error *err) {
  unsigned char random[GUARD_TOKEN / 2];
  if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
    return sgi_fail(err, SG_ERR_IO, "no random bytes for the server's token: %s", strerror(errno));
  for (size_t i = 0; i < sizeof random; i++) snprintf(out + 2 * i, 3, "%02x", random[i]);
  return SG_OK;
}

static unsigned connection_limit(void) {
  struct rlimit r;
  if (getrlimit(RLIMIT_NOFILE, &r) || r.rlim_cur > MAX_CONNECTIONS + 64) return MAX_CONNECTIONS;
  return r.rlim_cur > 48 ? (unsigned)r.rlim_cur - 32 : 16;
}

static sg_status listen_on(http_server *s, sg_error *err) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)s->settings.port)};
  const char *host = s->settings.host ? s->settings.host : "127.0.0.1";
  if (inet_pton(AF_INET, host, &a.sin_addr) != 1)
    return sgi_fail(err, SG_ERR_ARG, "--host %s: expected an IPv4 address of this machine, such as 127.0.0.1", host);
  s->daemon = MHD_start_daemon(
      MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC, (uint16_t)s->settings.port, NULL, NULL,
      on_request, s, MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&a, MHD_OPTION_STRICT_FOR_CLIENT, 1,
      MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HEADER_BYTES, MHD_OPTION_CONNECTION_LIMIT, connection_limit(),
      MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_SECONDS, MHD_OPTION_NOTIFY_COMPLETED, on_completed, s,
      MHD_OPTION_NOTIFY_CONNECTION, on_connection, s, MHD_OPTION_URI_LOG_CALLBACK, keep_uri, s,
      MHD_OPTION_LISTENING_ADDRESS_REUSE, 1u, MHD_OPTION_END);
  if (!s->daemon)
    return sgi_fail(err, SG_ERR_IO, "can not listen on %s, port %u: %s", host, s->settings.port, strerror(errno));
  const union MHD_DaemonInfo *i = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_BIND_PORT);
  s->port = i ? i->port : s->settings.port;
  return SG_OK;
}

sg_status http_start(const http_settings *settings, http_server **out, sg_error *err) {
  *out = NULL;
  http_server *s = sgi_alloc(sizeof *s);
  if (!s) return sgi_fail_memory(err, sizeof *s, "a server");
  s->settings = *settings;
  s->last = &s->first;
  pthread_mutex_init(&s->lock, NULL);
  pthread_cond_init(&s->wake, NULL);
  sg_status st = make_token(s->token, err);
  if (!st && pthread_create(&s->worker, NULL, work, s)) st = sgi_fail(err, SG_ERR_MEMORY, "no thread for the server");
  s->worker_on = !st;
  if (!st && pthread_create(&s->reaper, NULL, reap, s)) st = sgi_fail(err, SG_ERR_MEMORY, "no thread for the server");
  s->reaper_on = !st;
  if (!st) st = listen_on(s, err);
  if (st)
    http_stop(s);
  else
    *out = s;
  return st;
}

unsigned http_port(const http_server *s) { return s->port; }
const char *http_token(const http_server *s) { return s->token; }

void http_stop(http_server *s) {
  if (!s) return;
  pthread_mutex_lock(&s->lock);
  s->stopping = true;
  pthread_cond_broadcast(&s->wake);
  pthread_mutex_unlock(&s->lock);
  if (s->worker_on) pthread_join(s->worker, NULL);
  if (s->reaper_on) pthread_join(s->reaper, NULL);
  /* Suspended connections must be resumed before the daemon ends. */
  pthread_mutex_lock(&s->lock);
  for (http_job *j = s->first; j; j = j->next) {
    j->done = true;
    answer_error(j, 503, "the server is stopping");
    MHD_resume_connection(j->connection);
  }
  pthread_mutex_unlock(&s->lock);
  if (s->daemon) MHD_stop_daemon(s->daemon);
  pthread_mutex_destroy(&s->lock);
  pthread_cond_destroy(&s->wake);
  sgi_free(s);
}
