/* jobs.h: API requests that wait for the one worker thread, and the connection of each while it is
 * held.
 *
 * Who owns a job: libmicrohttpd's thread from http_job_new until jobs_add; then the queue, until it
 * is done or left. A job whose client is gone is freed by whoever sees it last: jobs_leave where it
 * waits or is done, the worker where it runs. */
#ifndef SGS_JOBS_H
#define SGS_JOBS_H

#include <microhttpd.h>
#include <pthread.h>

#include "guard.h"
#include "http.h"

typedef enum job_state { JOB_NEW, JOB_WAITS, JOB_RUNS, JOB_DONE } job_state;

typedef struct job_queue {
  pthread_mutex_t lock;
  pthread_cond_t wake;
  pthread_t worker;
  bool worker_on, stopping;
  bool worked; /* a job ended since memory was last given back, at `trimmed` */
  double trimmed;
  http_job *first, *running;
  size_t waiting;
  int threads; /* of OpenMP, for the worker */
  http_handler handler;
  void *user;
} job_queue;

struct http_job {
  /* Set before jobs_add, then read only. */
  job_queue *queue;
  struct MHD_Connection *connection;
  int fd;
  bool stream, post;
  char path[GUARD_URI_MAX];
  char *text;                  /* body */
  size_t used, room, expected; /* room grows as the body comes: an announced megabyte costs nothing */
  json_t *body;
  double deadline; /* set by the worker as it begins */
  /* Under the queue's lock. */
  http_job *next;
  job_state state;
  bool held;      /* the connection is suspended */
  bool left;      /* the connection has ended */
  bool cancelled; /* the client hung up */
  int status;
  char *answer; /* from jansson; NULL: memory was out */
  char event[256];
  bool new_event, sent;
  char *pieces; /* (pieces_used of pieces_room) events that are all sent, behind one another */
  size_t pieces_used, pieces_room, pieces_sent;
  size_t offset;
};

sg_status jobs_start(job_queue *q, http_handler handler, void *user, sg_error *err);
/* Ends the worker and marks what waits as done. Connections may still be open: jobs_deinit after
 * they are closed. */
void jobs_stop(job_queue *q);
void jobs_deinit(job_queue *q);

void http_job_free(http_job *j);
/* False where too many wait or the server stops. A job that is no stream has its connection held
 * until it is done. */
bool jobs_add(job_queue *q, http_job *j);
job_state jobs_state(job_queue *q, const http_job *j);
/* The connection has ended: j is not to be touched again. */
void jobs_leave(job_queue *q, http_job *j);
/* Looks for clients that hung up while they are held, which libmicrohttpd does not see, and gives
 * freed memory back where nothing is to do; called now and then. */
void jobs_watch(job_queue *q);
/* Next bytes of a job's event stream: MHD_ContentReaderCallback of cls = job. */
ssize_t jobs_next_event(void *cls, uint64_t position, char *to, size_t max);

#endif
