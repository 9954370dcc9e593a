/* file_guard.h: mapped files that lose pages while they are in use: cut by somebody, or on a disk
 * that fails. Reading such a page raises SIGBUS, which ends the process and, of the explorer,
 * everybody's session.
 *
 * The handler puts zero pages in the place of the lost ones and marks the file as lost; the thread
 * reads on. Nothing that was read of a lost file may be told: passes, writers, the explorer's
 * answers and the command's last line ask first. Returning to a saved place (siglongjmp) was
 * rejected: the fault comes on any of OpenMP's threads, in the middle of a product. Handlers run on
 * stacks of their own, because oneDNN keeps data below the stack pointer. */
#ifndef SGI_FILE_GUARD_H
#define SGI_FILE_GUARD_H

#include "core/file.h"

/* Once, by a program (the library itself sets no handler). */
void sgi_guard_install(void);
/* The calling thread and its OpenMP threads get a stack for the handler. */
void sgi_guard_threads(void);

/* A mapping from now on; a number above 0, or 0 where no place is left (then it is not guarded). */
int sgi_guard_add(const char *path, const void *data, const sgi_file_id *id);
void sgi_guard_remove(int number); /* before it is unmapped; 0 allowed */

/* SG_OK, or SG_ERR_IO with the name of a mapped file that has lost pages. */
sg_status sgi_guard_check(sg_error *err);
/* That, and a look at each mapped file: whether it still has its length (a cut within a page raises
 * no signal) and, with times, whether somebody wrote into it. A file that took its name is another
 * one. */
sg_status sgi_guard_look(bool times, sg_error *err);
/* The same of files that were unmapped since the process began: for a command's last line. */
sg_status sgi_guard_end(sg_error *err);

#endif
