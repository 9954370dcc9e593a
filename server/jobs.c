/* jobs: requests of the API wait here for the one thread that computes.
 *
 * Idea. The network thread (libmicrohttpd's) must never compute, and a model computes with all
 * cores: so one job runs, eight wait, and whoever comes then is told 429. While a job waits or
 * runs, its connection is *held* (suspended) and costs no turn of the network thread.
 *
 *   network thread            queue, under q->lock                worker
 *   jobs_add ------------->   first -> j -> j -> j (<= 8)  --->   unlink, running = j, run_job
 *   jobs_leave (hung up)      running ------------------------>   state = JOB_DONE, let_go
 *   jobs_next_event  <-----   event, answer  <-----------------   http_job_progress
 *   jobs_watch (now and then: who hung up?)
 *
 *   JOB_NEW --add--> JOB_WAITS --worker--> JOB_RUNS --worker--> JOB_DONE
 *                       |  left, hung up, stop: done or freed at once
 *
 * Who may touch what. Fields above "Under the queue's lock" in jobs.h are written before jobs_add
 * and only read afterwards. All below are touched with the lock held, with one exception: run_job
 * writes answer and status without it, since nobody reads them before the state is JOB_DONE, and
 * that is written under the lock. The handler runs without the lock: it takes seconds.
 *
 * Who frees. A job whose client is gone (left) is freed by whoever sees it last: jobs_leave where
 * it waits or is done, the worker where it runs. After jobs_leave the network thread never
 * touches it.
 *
 * Invariants. hold and let_go alternate: libmicrohttpd forgets a resume that meets no suspend,
 * and the connection would then sleep for ever. A client that hangs up while it is held is seen
 * by polling its descriptor, which is open for as long as the job is not left. A cancelled job
 * ends at its next look (http_job_cancelled), which every long loop of the library offers. Where
 * nothing runs or waits, jobs_watch gives the memory of past jobs back to the system.
 *
 * Not taken. A thread a connection: idle clients would cost stacks, and nothing is gained while
 * one computes. Leaving hang-ups to libmicrohttpd: it does not look at a suspended connection. */
#include "jobs.h"

#include <malloc.h>
#include <omp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "core/file_guard.h"

/* One job runs, MAX_WAITING wait, the rest is told to come again. */
enum { MAX_WAITING = 8, JOB_SECONDS = 120, TRIM_SECONDS = 1 };

void http_job_free(http_job *j) {
  if (!j) return;
  sgi_free(j->text);
  json_decref(j->body);
  free(j->answer);
  sgi_free(j->pieces);
  sgi_free(j);
}

/* ---- under the lock -------------------------------------------------------------------------- */

/* libmicrohttpd drops a resume that meets no suspend, or the suspend after it: each is called once,
 * in turn. */
static void hold(http_job *j) {
  if (!j->held) MHD_suspend_connection(j->connection);
  j->held = true;
}

static void let_go(http_job *j) {
  if (j->held) MHD_resume_connection(j->connection);
  j->held = false;
}

static void unlink_job(job_queue *q, http_job *j) {
  http_job **at = &q->first;
  while (*at != j) at = &(*at)->next;
  *at = j->next;
  j->next = NULL;
  q->waiting--;
}

static char *error_text(int status, const char *text) {
  sgi_json_begin(); /* whatever became of the answer */
  json_t *o = json_pack("{s:i, s:s}", "status", status, "error", text);
  char *t = o ? json_dumps(o, JSON_COMPACT) : NULL;
  json_decref(o);
  return t;
}

static void end_unrun(job_queue *q, http_job *j, int status, const char *text) {
  unlink_job(q, j);
  j->answer = error_text(status, text);
  j->status = j->answer ? status : 500;
  j->state = JOB_DONE;
  let_go(j);
}

/* ---- worker ---------------------------------------------------------------------------------- */

/* Without the lock: nobody else reads answer and status before the state is JOB_DONE. */
static void run_job(job_queue *q, http_job *j) {
  sg_error err = {0};
  json_t *answer = NULL;
  j->deadline = sgi_now() + JOB_SECONDS;
  sgi_json_begin();
  sg_status st = q->handler(q->user, j, &answer, &err);
  if (!st && answer && !sgi_json_failures()) j->answer = json_dumps(answer, JSON_COMPACT | JSON_REAL_PRECISION(9));
  if (j->answer) {
    j->status = 200;
  } else if (!st && answer) {
    j->status = sgi_json_state() == SGI_JSON_LOST ? 500 : 503;
    j->answer =
        error_text(j->status, j->status == 500 ? "a part of the answer can not be written as JSON" : "out of memory");
  } else if (!st) {
    j->status = 404;
    j->answer = error_text(404, "there is no such call");
  } else {
    j->status = st == SG_ERR_ARG || st == SG_ERR_UNSUPPORTED ? 400
                : st == SG_ERR_CANCELLED                     ? 499
                : st == SG_ERR_MEMORY                        ? 503
                                                             : 500;
    j->answer = error_text(j->status, err.text);
  }
  json_decref(answer);
  if (!j->answer) j->status = 500;
}

static void *work(void *cls) {
  job_queue *q = cls;
  omp_set_num_threads(q->threads); /* a setting of each thread */
  sgi_guard_threads();
  pthread_mutex_lock(&q->lock);
  while (!q->stopping) {
    http_job *j = q->first;
    if (!j) {
      pthread_cond_wait(&q->wake, &q->lock);
      continue;
    }
    unlink_job(q, j);
    q->running = j;
    j->state = JOB_RUNS;
    pthread_mutex_unlock(&q->lock);
    run_job(q, j);
    pthread_mutex_lock(&q->lock);
    q->running = NULL;
    q->worked = true;
    j->state = JOB_DONE;
    if (j->left)
      http_job_free(j);
    else
      let_go(j);
  }
  pthread_mutex_unlock(&q->lock);
  return NULL;
}

sg_status jobs_start(job_queue *q, http_handler handler, void *user, sg_error *err) {
  *q = (job_queue){.handler = handler, .user = user, .threads = omp_get_max_threads()};
  pthread_mutex_init(&q->lock, NULL);
  pthread_cond_init(&q->wake, NULL);
  if (pthread_create(&q->worker, NULL, work, q)) return sgi_fail(err, SG_ERR_MEMORY, "no thread for the server");
  q->worker_on = true;
  return SG_OK;
}

void jobs_stop(job_queue *q) {
  pthread_mutex_lock(&q->lock);
  q->stopping = true;
  pthread_cond_broadcast(&q->wake);
  pthread_mutex_unlock(&q->lock);
  if (q->worker_on) pthread_join(q->worker, NULL);
  q->worker_on = false;
  pthread_mutex_lock(&q->lock);
  while (q->first) end_unrun(q, q->first, 503, "the server is stopping");
  pthread_mutex_unlock(&q->lock);
}

void jobs_deinit(job_queue *q) {
  pthread_mutex_destroy(&q->lock);
  pthread_cond_destroy(&q->wake);
}

/* ---- libmicrohttpd's thread ------------------------------------------------------------------ */

bool jobs_add(job_queue *q, http_job *j) {
  pthread_mutex_lock(&q->lock);
  bool room = q->waiting < MAX_WAITING && !q->stopping;
  if (room) {
    http_job **at = &q->first;
    while (*at) at = &(*at)->next;
    *at = j;
    q->waiting++;
    j->state = JOB_WAITS;
    if (!j->stream) hold(j);
    pthread_cond_signal(&q->wake);
  }
  pthread_mutex_unlock(&q->lock);
  return room;
}

job_state jobs_state(job_queue *q, const http_job *j) {
  pthread_mutex_lock(&q->lock);
  job_state state = j->state;
  pthread_mutex_unlock(&q->lock);
  return state;
}

void jobs_leave(job_queue *q, http_job *j) {
  pthread_mutex_lock(&q->lock);
  if (j->state == JOB_WAITS) unlink_job(q, j);
  bool mine = j->state != JOB_RUNS;
  j->left = j->cancelled = true;
  pthread_mutex_unlock(&q->lock);
  if (mine) http_job_free(j);
}

ssize_t jobs_next_event(void *cls, uint64_t position, char *to, size_t max) {
  (void)position;
  http_job *j = cls;
  ssize_t n = 0;
  pthread_mutex_lock(&j->queue->lock);
  if (j->pieces_sent < j->pieces_used) {
    size_t left = j->pieces_used - j->pieces_sent, k = left < max ? left : max;
    memcpy(to, j->pieces + j->pieces_sent, k);
    j->pieces_sent += k;
    n = (ssize_t)k;
  } else if (j->new_event && strlen(j->event) <= max) {
    n = (ssize_t)strlen(j->event);
    memcpy(to, j->event, (size_t)n);
    j->new_event = false;
  } else if (j->state == JOB_DONE && (j->sent || !j->answer)) {
    n = j->sent ? MHD_CONTENT_READER_END_OF_STREAM : MHD_CONTENT_READER_END_WITH_ERROR;
  } else if (j->state == JOB_DONE) {
    /* The answer in pieces: it is one line. */
    const char *head = j->status == 200 ? "event: done\ndata: " : "event: error\ndata: ", *tail = "\n\n";
    size_t h = strlen(head), a = strlen(j->answer), all = h + a + 2, k = 0;
    for (; k < max && j->offset < all; k++, j->offset++)
      to[k] = j->offset < h ? head[j->offset] : j->offset < h + a ? j->answer[j->offset - h] : tail[j->offset - h - a];
    j->sent = j->offset == all;
    n = (ssize_t)k;
  } else {
    hold(j);
  }
  pthread_mutex_unlock(&j->queue->lock);
  return n;
}

/* ---- watcher --------------------------------------------------------------------------------- */

static bool hung_up(const http_job *j) {
  struct pollfd p = {.fd = j->fd, .events = POLLRDHUP};
  return j->fd >= 0 && poll(&p, 1, 0) == 1 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR));
}

/* The descriptor of a job that waits or runs and was not left is open: jobs_leave comes before
 * libmicrohttpd closes it. */
void jobs_watch(job_queue *q) {
  double now = sgi_now();
  pthread_mutex_lock(&q->lock);
  for (http_job *j = q->first, *next; j; j = next) {
    next = j->next;
    if (j->held && hung_up(j)) end_unrun(q, j, 499, "the client hung up");
  }
  if (q->running && !q->running->left && hung_up(q->running)) q->running->cancelled = true;
  bool trim = q->worked && !q->running && !q->first && now - q->trimmed >= TRIM_SECONDS;
  if (trim) q->worked = false, q->trimmed = now;
  pthread_mutex_unlock(&q->lock);
  /* What requests took and gave back is the system's again, else the process would keep the most
   * that it ever held, and a little more wherever pieces that live on lie between. */
  if (trim) malloc_trim(0);
}

/* ---- handlers -------------------------------------------------------------------------------- */

void http_job_progress(http_job *j, double part, const char *what) {
  if (!j->stream) return;
  json_t *o = json_pack("{s:f, s:s}", "part", part, "what", what);
  char *text = o ? json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(4)) : NULL;
  json_decref(o);
  pthread_mutex_lock(&j->queue->lock);
  if (text && !j->left && strlen(text) + 32 < sizeof j->event) {
    snprintf(j->event, sizeof j->event, "event: progress\ndata: %s\n\n", text);
    j->new_event = true;
    let_go(j);
  }
  pthread_mutex_unlock(&j->queue->lock);
  free(text);
}

/* Under the lock. A piece that there is no room for is left out: the answer holds it all. */
static void add_piece(http_job *j, const char *text) {
  static const char head[] = "event: piece\ndata: ", tail[] = "\n\n";
  size_t n = sizeof head + strlen(text) + sizeof tail;
  if (j->pieces_room - j->pieces_used < n) {
    size_t room = 2 * j->pieces_room + n + 1024;
    char *grown = sgi_realloc(j->pieces, j->pieces_room, room);
    if (!grown) return;
    j->pieces = grown;
    j->pieces_room = room;
  }
  j->pieces_used += (size_t)snprintf(j->pieces + j->pieces_used, n, "%s%s%s", head, text, tail);
}

void http_job_piece(http_job *j, json_t *piece) {
  char *text = j->stream && piece ? json_dumps(piece, JSON_COMPACT) : NULL;
  json_decref(piece);
  if (!text) return;
  pthread_mutex_lock(&j->queue->lock);
  if (!j->left) add_piece(j, text);
  let_go(j);
  pthread_mutex_unlock(&j->queue->lock);
  free(text);
}

bool http_job_cancelled(const http_job *j) {
  pthread_mutex_lock(&j->queue->lock);
  bool gone = j->cancelled || j->queue->stopping;
  pthread_mutex_unlock(&j->queue->lock);
  return gone || sgi_now() > j->deadline;
}

const char *http_job_path(const http_job *j) { return j->path; }
const json_t *http_job_body(const http_job *j) { return j->body; }
bool http_job_is_post(const http_job *j) { return j->post; }
