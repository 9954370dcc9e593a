/* peers.h: open connections and what each owes. libmicrohttpd's own timeout counts idle time alone,
 * so a client that drips one byte every few seconds would hold its place for ever; here each state
 * has a deadline, and peers_reap closes who lets it pass. */
#ifndef SGS_PEERS_H
#define SGS_PEERS_H

#include <pthread.h>
#include <stddef.h>

typedef enum peer_state { PEER_HEADERS, PEER_BODY, PEER_WORK, PEER_SENDING, PEER_STREAM, PEER_IDLE } peer_state;

typedef struct peer {
  struct peer *next, *before;
  int fd;
  double since; /* when it entered its state */
  peer_state state;
} peer;

/* Its lock is held for a few instructions, never around a call of libmicrohttpd. */
typedef struct peer_list {
  pthread_mutex_t lock;
  peer *first;
  size_t count, limit;
} peer_list;

void peers_init(peer_list *l, size_t limit);
void peers_deinit(peer_list *l);
peer *peers_add(peer_list *l, int fd); /* NULL when memory is out */
void peers_remove(peer_list *l, peer *p);
void peers_enter(peer_list *l, peer *p, peer_state state); /* p NULL allowed */
/* Shuts the sockets of those past their deadline; with half of the places taken, deadlines are
 * short. */
void peers_reap(peer_list *l);

#endif
