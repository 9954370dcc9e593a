#include "peers.h"

#include <sys/socket.h>

#include "core/arena.h"
#include "core/base.h"

/* Seconds in each state. IDLE is between an answer and the next request. */
static const double patient[] = {[PEER_HEADERS] = 5,  [PEER_BODY] = 15,     [PEER_WORK] = 3600,
                                 [PEER_SENDING] = 20, [PEER_STREAM] = 3600, [PEER_IDLE] = 20};
static const double pressed[] = {[PEER_HEADERS] = 1, [PEER_BODY] = 3,      [PEER_WORK] = 3600,
                                 [PEER_SENDING] = 2, [PEER_STREAM] = 3600, [PEER_IDLE] = 0.2};
/* No place is left and others wait: the places change hands in less than a second. */
static const double crowded[] = {[PEER_HEADERS] = 0.3, [PEER_BODY] = 0.4,    [PEER_WORK] = 3600,
                                 [PEER_SENDING] = 0.4, [PEER_STREAM] = 3600, [PEER_IDLE] = 0.1};

void peers_init(peer_list *l, size_t limit) {
  *l = (peer_list){.limit = limit};
  pthread_mutex_init(&l->lock, NULL);
}

void peers_deinit(peer_list *l) { pthread_mutex_destroy(&l->lock); }

peer *peers_add(peer_list *l, int fd) {
  peer *p = sgi_alloc(sizeof *p);
  if (!p) return NULL;
  pthread_mutex_lock(&l->lock);
  *p = (peer){.fd = fd, .since = sgi_now(), .next = l->first};
  if (l->first) l->first->before = p;
  l->first = p;
  l->count++;
  pthread_mutex_unlock(&l->lock);
  return p;
}

void peers_remove(peer_list *l, peer *p) {
  pthread_mutex_lock(&l->lock);
  if (p->before)
    p->before->next = p->next;
  else
    l->first = p->next;
  if (p->next) p->next->before = p->before;
  l->count--;
  pthread_mutex_unlock(&l->lock);
  sgi_free(p);
}

void peers_enter(peer_list *l, peer *p, peer_state state) {
  if (!p) return;
  pthread_mutex_lock(&l->lock);
  p->state = state;
  p->since = sgi_now();
  pthread_mutex_unlock(&l->lock);
}

void peers_reap(peer_list *l) {
  double now = sgi_now();
  pthread_mutex_lock(&l->lock);
  const double *deadline = 8 * l->count > 7 * l->limit ? crowded : 2 * l->count > l->limit ? pressed : patient;
  for (peer *p = l->first; p; p = p->next)
    if (p->fd >= 0 && now - p->since > deadline[p->state]) shutdown(p->fd, SHUT_RDWR);
  pthread_mutex_unlock(&l->lock);
}
