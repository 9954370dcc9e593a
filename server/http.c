#include "http.h"

#include <errno.h>
#include <netinet/in.h>
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
#include "jobs.h"
#include "listen.h"
#include "peers.h"

enum { IDLE_SECONDS = 20, MAX_CONNECTIONS = 512, HEADER_BYTES = 32768, ASSETS = 16 };

struct http_server {
  http_settings settings;
  struct MHD_Daemon *four, *six;      /* of 127.0.0.1 or --host; of ::1 */
  struct MHD_Response *files[ASSETS]; /* one for each asset, shared by all who ask */
  listening sockets;
  char token[GUARD_TOKEN + 1];
  job_queue jobs;
  peer_list peers;
  pthread_t keeper;
  pthread_mutex_t lock;
  bool keeper_on, stopping; /* stopping: under the lock */
};

/* What is known of a request from its first line to its end. */
typedef struct context {
  char uri[GUARD_URI_MAX + 2]; /* as it came; libmicrohttpd's own is decoded */
  const char *raw;             /* where libmicrohttpd holds it */
  bool begun;
  struct MHD_Response *file; /* of the page: answered once the request is whole, else the connection would be closed */
  http_job *job;
} context;

/* ---- answers --------------------------------------------------------------------------------- */

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

static enum MHD_Result send_response(http_server *s, struct MHD_Connection *c, int status, struct MHD_Response *r,
                                     peer_state state) {
  if (!r) return MHD_NO;
  peers_enter(&s->peers, peer_of(c), state);
  if (status >= 400) MHD_add_response_header(r, "Connection", "close");
  enum MHD_Result ok = MHD_queue_response(c, (unsigned)status, r);
  MHD_destroy_response(r);
  return ok;
}

static enum MHD_Result refuse(http_server *s, struct MHD_Connection *c, int status, const char *text) {
  sgi_json_begin();
  json_t *o = json_pack("{s:i, s:s}", "status", status, "error", text);
  char *t = o ? json_dumps(o, JSON_COMPACT) : NULL;
  json_decref(o);
  struct MHD_Response *r = MHD_create_response_from_buffer(t ? strlen(t) : 0, t, MHD_RESPMEM_MUST_COPY);
  free(t);
  if (r) add_headers(r, "application/json");
  return send_response(s, c, status, r, PEER_SENDING);
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
    case 421: return "this server answers to 127.0.0.1, [::1] and localhost only";
    default: return "the request is malformed";
  }
}

static sg_status make_files(http_server *s, sg_error *err) {
  const http_asset *a = s->settings.assets;
  for (size_t i = 0; a && a[i].path; i++) {
    if (i == ASSETS) return sgi_fail(err, SG_ERR_INTERNAL, "more than %d files of the page", ASSETS);
    s->files[i] = MHD_create_response_from_buffer(a[i].size, (void *)a[i].data, MHD_RESPMEM_PERSISTENT);
    if (!s->files[i]) return sgi_fail(err, SG_ERR_MEMORY, "out of memory");
    add_headers(s->files[i], a[i].type);
  }
  return SG_OK;
}

/* NULL: there is no such file. */
static struct MHD_Response *file_of(const http_server *s, const char *path) {
  const http_asset *a = s->settings.assets;
  size_t i = 0;
  if (strcmp(path, "/"))
    while (a && a[i].path && strcmp(a[i].path, path)) i++;
  return a && a[i].path ? s->files[i] : NULL;
}

static enum MHD_Result send_file(http_server *s, struct MHD_Connection *c, struct MHD_Response *file) {
  peers_enter(&s->peers, peer_of(c), PEER_SENDING);
  return MHD_queue_response(c, 200, file);
}

static enum MHD_Result finish(http_server *s, const http_job *j) {
  struct MHD_Response *r =
      j->answer ? MHD_create_response_from_buffer(strlen(j->answer), j->answer, MHD_RESPMEM_MUST_COPY) : NULL;
  if (!r) return refuse(s, j->connection, 500, "out of memory");
  add_headers(r, "application/json");
  return send_response(s, j->connection, j->status, r, PEER_SENDING);
}

static enum MHD_Result stream(http_server *s, http_job *j) {
  struct MHD_Response *r = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 16384, jobs_next_event, j, NULL);
  if (r) add_headers(r, "text/event-stream");
  return send_response(s, j->connection, 200, r, PEER_STREAM);
}

/* ---- requests -------------------------------------------------------------------------------- */

static enum MHD_Result take_header(void *cls, enum MHD_ValueKind kind, const char *key, const char *value) {
  (void)kind;
  guard_take(cls, key, value);
  return MHD_YES;
}

/* libmicrohttpd cuts the first line in place; behind the address and one NUL stands the version. A
 * NUL inside the address shows as a distance that is not its length. */
static bool uri_holds_nul(const context *x, const char *version) {
  uintptr_t at = (uintptr_t)x->raw, end = (uintptr_t)version;
  return end > at && end - at < HEADER_BYTES && end - at != strlen(x->uri) + 1;
}

/* The first call for a request: its headers are there. Leaves x->file and x->job NULL where it was
 * answered at once. */
static enum MHD_Result begin(http_server *s, struct MHD_Connection *c, const char *method, const char *version,
                             context *x) {
  peers_enter(&s->peers, peer_of(c), PEER_BODY);
  guard_request r = {.method = method, .uri = x->uri, .broken = uri_holds_nul(x, version)};
  MHD_get_connection_values(c, MHD_HEADER_KIND, take_header, &r);
  if (!r.broken && r.last && !guard_last_header(r.last)) r.broken = true;
  char path[GUARD_URI_MAX];
  bool api = !strncmp(x->uri, "/api/", 5);
  int status = guard_check(&r, s->sockets.port, s->settings.host, s->token, api);
  if (status) return refuse(s, c, status, reason(status));
  if (!guard_path(x->uri, path, sizeof path)) return refuse(s, c, 404, "there is no such page");
  if (!api) return (x->file = file_of(s, path)) ? MHD_YES : refuse(s, c, 404, "there is no such page");
  http_job *j = sgi_alloc(sizeof *j);
  if (!j) return refuse(s, c, 503, "out of memory");
  const union MHD_ConnectionInfo *i = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
  const char *accept = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Accept");
  j->queue = &s->jobs;
  j->connection = c;
  j->fd = i ? i->connect_fd : -1;
  j->post = !strcmp(method, "POST");
  j->stream = accept && !strcmp(accept, "text/event-stream");
  memcpy(j->path, path, strlen(path) + 1);
  j->expected = r.content_length ? strtoul(r.content_length, NULL, 10) : 0;
  x->job = j;
  return MHD_YES;
}

static enum MHD_Result start_job(http_server *s, http_job *j) {
  sg_error err = {0};
  if (j->used && !guard_json(j->text, j->used))
    return refuse(s, j->connection, 400, "the request is nested too deep or holds too many values");
  if (j->used && sgi_json_parse(j->text, j->used, "request", &j->body, &err))
    return refuse(s, j->connection, 400, err.text);
  if (!j->used && !(j->body = json_object())) return refuse(s, j->connection, 503, "out of memory");
  if (!json_is_object(j->body)) return refuse(s, j->connection, 400, "the request must be a JSON object");
  /* The state is told first: once it is queued, the job may be done at any moment. */
  peers_enter(&s->peers, peer_of(j->connection), PEER_WORK);
  if (!jobs_add(&s->jobs, j)) return refuse(s, j->connection, 429, "too many requests wait: try again");
  return j->stream ? stream(s, j) : MHD_YES;
}

/* Room for n bytes more and a NUL, within what was announced. */
static bool make_room(http_job *j, size_t n) {
  if (j->used + n < j->room) return true;
  size_t room = 2 * (j->used + n) + 1024;
  if (room > j->expected + 1) room = j->expected + 1;
  char *text = sgi_realloc(j->text, j->room, room);
  if (!text) return false;
  j->text = text;
  j->room = room;
  return true;
}

static void *keep_uri(void *cls, const char *uri, struct MHD_Connection *c) {
  (void)cls, (void)c;
  context *x = sgi_alloc(sizeof *x);
  if (!x) return NULL;
  snprintf(x->uri, sizeof x->uri, "%s", uri);
  x->raw = uri;
  return x;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *c, const char *url, const char *method,
                                  const char *version, const char *data, size_t *size, void **con) {
  (void)url;
  http_server *s = cls;
  context *x = *con;
  if (!x) return MHD_NO; /* memory was out */
  if (!x->begun) {
    x->begun = true;
    return begin(s, c, method, version, x);
  }
  http_job *j = x->job;
  if (x->file) return *size ? MHD_NO : send_file(s, c, x->file);
  if (!j) return MHD_NO;
  if (*size) {
    size_t n = *size;
    if (n > j->expected - j->used || !make_room(j, n)) return MHD_NO;
    memcpy(j->text + j->used, data, n);
    j->used += n;
    *size = 0;
    return MHD_YES;
  }
  switch (jobs_state(&s->jobs, j)) {
    case JOB_NEW: return start_job(s, j);
    case JOB_DONE: return finish(s, j);
    default: return MHD_YES;
  }
}

static void on_completed(void *cls, struct MHD_Connection *c, void **con, enum MHD_RequestTerminationCode toe) {
  (void)toe;
  http_server *s = cls;
  context *x = *con;
  peers_enter(&s->peers, peer_of(c), PEER_IDLE);
  *con = NULL;
  if (x && x->job) jobs_leave(&s->jobs, x->job);
  sgi_free(x);
}

static void on_connection(void *cls, struct MHD_Connection *c, void **socket_context,
                          enum MHD_ConnectionNotificationCode what) {
  http_server *s = cls;
  if (what == MHD_CONNECTION_NOTIFY_STARTED) {
    const union MHD_ConnectionInfo *i = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
    *socket_context = peers_add(&s->peers, i ? i->connect_fd : -1);
  } else if (*socket_context) {
    peers_remove(&s->peers, *socket_context);
    *socket_context = NULL;
  }
}

static void *keep_order(void *cls) {
  http_server *s = cls;
  for (;;) {
    nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    pthread_mutex_lock(&s->lock);
    bool stop = s->stopping;
    pthread_mutex_unlock(&s->lock);
    if (stop) return NULL;
    peers_reap(&s->peers);
    jobs_watch(&s->jobs);
  }
}

/* ---- start and stop -------------------------------------------------------------------------- */

static sg_status make_token(char *out, sg_error *err) {
  unsigned char random[GUARD_TOKEN / 2];
  if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
    return sgi_fail(err, SG_ERR_IO, "no random bytes for the server's token: %s", strerror(errno));
  for (size_t i = 0; i < sizeof random; i++) snprintf(out + 2 * i, 3, "%02x", random[i]);
  return SG_OK;
}

/* Places on each of n addresses. */
static unsigned connection_limit(unsigned n) {
  struct rlimit r;
  if (getrlimit(RLIMIT_NOFILE, &r) || r.rlim_cur > n * MAX_CONNECTIONS + 64) return MAX_CONNECTIONS;
  return r.rlim_cur > 32 + n * 16 ? ((unsigned)r.rlim_cur - 32) / n : 16;
}

/* Listens on *fd, which is libmicrohttpd's from then on. One thread for each; they share jobs,
 * peers and files, which have locks. (MHD_add_connection of 0.9.75 would spare the second, but
 * hangs once all places are taken.) */
static sg_status start_daemon(http_server *s, int *fd, struct MHD_Daemon **out, sg_error *err) {
  *out = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC, 0, NULL, NULL,
                          on_request, s, MHD_OPTION_LISTEN_SOCKET, *fd, MHD_OPTION_STRICT_FOR_CLIENT, 1,
                          MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HEADER_BYTES, MHD_OPTION_CONNECTION_LIMIT,
                          (unsigned)s->peers.limit, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_SECONDS,
                          MHD_OPTION_NOTIFY_COMPLETED, on_completed, s, MHD_OPTION_NOTIFY_CONNECTION, on_connection, s,
                          MHD_OPTION_URI_LOG_CALLBACK, keep_uri, s, MHD_OPTION_END);
  if (!*out) return sgi_fail(err, SG_ERR_IO, "the server does not start: %s", strerror(errno));
  *fd = -1;
  return SG_OK;
}

sg_status http_start(const http_settings *settings, http_server **out, sg_error *err) {
  *out = NULL;
  http_server *s = sgi_alloc(sizeof *s);
  if (!s) return sgi_fail_memory(err, sizeof *s, "a server");
  s->settings = *settings;
  s->sockets = (listening){-1, -1, 0};
  pthread_mutex_init(&s->lock, NULL);
  sg_status st = jobs_start(&s->jobs, settings->handler, settings->user, err);
  if (!st) st = listen_open(s->settings.host, s->settings.port, &s->sockets, err);
  peers_init(&s->peers, connection_limit(s->sockets.six >= 0 ? 2 : 1));
  if (!st) st = make_token(s->token, err);
  if (!st) st = make_files(s, err);
  if (!st && pthread_create(&s->keeper, NULL, keep_order, s))
    st = sgi_fail(err, SG_ERR_MEMORY, "no thread for the server");
  else
    s->keeper_on = !st;
  if (!st) st = start_daemon(s, &s->sockets.four, &s->four, err);
  if (!st && s->sockets.six >= 0) st = start_daemon(s, &s->sockets.six, &s->six, err);
  if (st)
    http_stop(s);
  else
    *out = s;
  return st;
}

unsigned http_port(const http_server *s) { return s->sockets.port; }
const char *http_token(const http_server *s) { return s->token; }

void http_stop(http_server *s) {
  if (!s) return;
  pthread_mutex_lock(&s->lock);
  s->stopping = true;
  pthread_mutex_unlock(&s->lock);
  if (s->keeper_on) pthread_join(s->keeper, NULL);
  jobs_stop(&s->jobs); /* no connection is held after this: libmicrohttpd aborts on one */
  if (s->four) MHD_stop_daemon(s->four);
  if (s->six) MHD_stop_daemon(s->six);
  listen_close(&s->sockets);
  for (size_t i = 0; i < ASSETS; i++)
    if (s->files[i]) MHD_destroy_response(s->files[i]);
  jobs_deinit(&s->jobs);
  peers_deinit(&s->peers);
  pthread_mutex_destroy(&s->lock);
  sgi_free(s);
}
