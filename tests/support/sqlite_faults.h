/* sqlite_faults.h: SQLite's calls on files, of which one can be made to fail. SQLite has a table of
 * its own for them (a VFS), beside core/calls.h; this one passes all on to the system's. */
#ifndef SQLITE_FAULTS_H
#define SQLITE_FAULTS_H

#include <stdbool.h>
#include <stddef.h>

/* Registers the table as the default one, once. */
void sqlite_faults_install(void);
/* From here the nth call (1 is the next one) that writes, cuts, syncs, opens or removes a file
 * fails with code, an SQLITE_ number; for_ever: and each that follows. 0: none. */
void sqlite_faults_arm(size_t nth, int code, bool for_ever);
/* Calls since then. */
size_t sqlite_faults_count(void);
#endif
